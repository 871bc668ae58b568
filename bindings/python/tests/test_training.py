"""Training from arrays, manifests and folders; progress; what is refused before it starts; leaks."""

import gc
import json

import numpy as np
import pytest

import dsl
from conftest import TINY, draw
from dsl import _native
from dsl.overlay import write_png


def code_of(call):
    with pytest.raises(dsl.Error) as caught:
        call()
    return caught.value.code


@pytest.fixture
def manifest(tmp_path):
    lines = ["path,label,class_name,split"]
    for i in range(20):
        write_png(tmp_path / f"{i}.png", draw(i))
        lines.append(f"{i}.png,{i % 2},{'left' if i % 2 == 0 else 'right'},{'train' if i < 12 else 'val' if i < 16 else 'test'}")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_manifest_trains_and_reports(manifest, tmp_path):
    seen = []
    with dsl.train(manifest, tmp_path / "m.dsl", log=tmp_path / "log.jsonl", progress=seen.append, **TINY) as model:
        assert model.report["steps"] == 4 and model.report["model"] == "m.dsl" and model.num_learners == 2
    assert [p.step for p in seen if p.event == "step" and p.stage != "prepare"] == [1, 2, 3, 4]
    assert any(p.event == "validated" and 0 <= p.nmi <= 1 for p in seen)
    events = [json.loads(line)["event"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert "validated" in events
    assert (tmp_path / "m.last.dsl").exists() and not list(tmp_path.glob(".dsl-*"))
    assert dsl.evaluate(tmp_path / "m.dsl", manifest)["num_images"] == 4


def test_a_folder_per_class_trains(tmp_path):
    for i in range(24):
        folder = tmp_path / "data" / ("left" if i % 2 == 0 else "right")
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{i}.png", draw(i))
    with dsl.train(tmp_path / "data", tmp_path / "m.dsl", progress=False, **TINY) as model:
        assert model.info["classes"] == ["left", "right"]


def test_the_same_seed_gives_the_same_model(dataset, tmp_path):
    for name in ("a", "b"):
        dsl.train(dataset, tmp_path / f"{name}.dsl", progress=False, seed=5, **TINY).close()
    dsl.train(dataset, tmp_path / "c.dsl", progress=False, seed=6, **TINY).close()
    e = [dsl.Model.load(tmp_path / f"{n}.dsl", threads=1).embed([draw(0)]) for n in "abc"]
    np.testing.assert_array_equal(e[0], e[1])
    assert np.abs(e[0] - e[2]).max() > 1e-4


def test_the_bar_writes_lines(manifest, tmp_path, capsys):
    dsl.train(manifest, tmp_path / "m.dsl", **TINY).close()
    assert "NMI" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        dict(mining="distance-weighted", beta="learnt", cluster_space="penultimate", recluster_every=1, patience=2, embedding_rate=1e-2),
        dict(exact_convolutions=True, nondeterministic=True),
        *(dict(loss=loss) for loss in ("contrastive", "triplet", "proxy-anchor", "multi-similarity", "supervised-contrastive")),
    ],
)
def test_the_method_can_be_chosen(dataset, tmp_path, options):
    with dsl.train(dataset, tmp_path / "m.dsl", progress=False, **TINY, **options) as model:
        assert model.num_learners == 2 and model.report["steps"] == 4


def test_a_classification_network_embeds_with_its_penultimate_vector(dataset, tmp_path):
    options = {k: v for k, v in TINY.items() if k not in ("learners", "embedding_dim")}
    with dsl.train(dataset, tmp_path / "m.dsl", loss="classification", progress=False, **options) as model:
        e = model.embed([draw(0), draw(1)])
        assert model.info["head"] == "classification" and e.shape == (2, 256)
        np.testing.assert_allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)


def test_progress_can_cancel_and_raise(dataset, tmp_path):
    def refuse(p):
        return not (p.event == "step" and p.stage != "prepare")

    options = {**TINY, "steps": 100000}
    assert code_of(lambda: dsl.train(dataset, tmp_path / "m.dsl", progress=refuse, **options)) == dsl.Status.CANCELLED
    dsl.wait_for_files()
    dsl.Model.load(tmp_path / "m.last.dsl").close()

    def fail(p):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dsl.train(dataset, tmp_path / "m.dsl", progress=fail, **options)


def test_the_paper_s_profile_starts_from_a_model(manifest, tmp_path):
    first = tmp_path / "first.dsl"
    dsl.train(manifest, first, progress=False, **TINY).close()
    options = {**TINY, "profile": "paper", "learners": 2}
    with dsl.train(manifest, tmp_path / "second.dsl", init=first, progress=False, **options) as model:
        assert model.num_learners == 2 and model.report["steps"] == 4
    other = "none" if TINY.get("attention", "gate") == "gate" else "gate"
    assert code_of(lambda: dsl.train(manifest, tmp_path / "third.dsl", init=first, progress=False, **{**options, "attention": other})) == dsl.Status.INVALID


@pytest.mark.parametrize(
    "options, want",
    [
        ({}, {"warmup": 5, "learn": 6, "finetune": 1}),
        (dict(warmup_share=None, finetune_share=None), {"warmup": 5, "learn": 6, "finetune": 1}),
        (dict(warmup_share=0), {"learn": 10, "finetune": 2}),
        (dict(finetune_share=0.0), {"warmup": 5, "learn": 7}),
        (dict(warmup_share=0, finetune_share=0), {"learn": 12}),
        (dict(warmup_share=0.25, finetune_share=0.34), {"warmup": 3, "learn": 6, "finetune": 3}),
    ],
)
def test_a_share_of_none_is_the_profile_s_and_one_of_zero_is_none(dataset, tmp_path, options, want):
    steps = {}

    def count(p):
        if p.event == "step" and p.stage != "prepare":
            steps[p.stage] = steps.get(p.stage, 0) + 1

    dsl.train(dataset, tmp_path / "m.dsl", progress=count, **{**TINY, "learners": 1, "steps": 12}, **options).close()
    assert steps == want


POSITIVE = ("embedding_dim", "input_size", "epochs", "steps", "batch_size", "images_per_class", "learning_rate", "validation_share",
            "embedding_rate", "recluster_every", "patience")  # fmt: skip


def test_options_of_none_have_their_defaults(dataset, tmp_path):
    for name, options in (("unset", {}), ("none", dict(learning_rate=None, validation_share=None, epochs=None))):
        dsl.train(dataset, tmp_path / f"{name}.dsl", progress=False, **TINY, **options).close()
    e = [dsl.Model.load(tmp_path / f"{n}.dsl", threads=1).embed([draw(0)]) for n in ("unset", "none")]
    np.testing.assert_array_equal(e[0], e[1])


@pytest.mark.parametrize(
    "change, code",
    [
        (dict(learners=0), dsl.Status.INVALID),
        (dict(learners="two"), dsl.Status.INVALID),
        (dict(learners=1000), dsl.Status.INVALID),
        (dict(backbone="vgg"), dsl.Status.INVALID),
        (dict(profile="fast"), dsl.Status.INVALID),
        (dict(profile="paper"), dsl.Status.INVALID),
        (dict(init="absent.dsl"), dsl.Status.NOT_FOUND),
        (dict(input_size=4), dsl.Status.INVALID),
        (dict(batch_size=7), dsl.Status.INVALID),
        (dict(learning_rate=-1.0), dsl.Status.INVALID),
        (dict(warmup_share=-0.1), dsl.Status.INVALID),
        (dict(finetune_share=1.0), dsl.Status.INVALID),
        (dict(warmup_share=float("nan")), dsl.Status.INVALID),
        (dict(warmup_share=0), dsl.Status.INVALID),  # two learners from nothing
        *((dict([(name, 0)]), dsl.Status.INVALID) for name in POSITIVE),
        (dict(validation_share=1.5), dsl.Status.INVALID),
        (dict(loss="l2"), dsl.Status.INVALID),
        (dict(loss="triplet", mining="nearest"), dsl.Status.INVALID),
        (dict(beta="wild"), dsl.Status.INVALID),
        (dict(cluster_space="pixels"), dsl.Status.INVALID),
        (dict(loss="classification"), dsl.Status.INVALID),  # with learners
        (dict(seed=-1), dsl.Status.INVALID),
        (dict(threads=-1), dsl.Status.INVALID),
        (dict(device="cuda:99"), dsl.Status.DEVICE),
        (dict(log="absent/folder/log.jsonl"), dsl.Status.NOT_FOUND),
    ],
)
def test_bad_options_stop_before_anything_is_written(dataset, tmp_path, change, code):
    assert code_of(lambda: dsl.train(dataset, tmp_path / "m.dsl", progress=False, **{**TINY, **change})) == code
    assert list(tmp_path.iterdir()) == []


def test_bad_data_stop_before_anything_is_written(images, tmp_path):
    out = tmp_path / "out" / "m.dsl"
    assert code_of(lambda: dsl.train((images, [0] * 24), out, progress=False, **TINY)) == dsl.Status.NOT_FOUND  # no such folder
    out.parent.mkdir()
    assert code_of(lambda: dsl.train((images, [0] * 24), out, progress=False, **TINY)) == dsl.Status.INVALID  # one class
    assert code_of(lambda: dsl.train(([], []), out, progress=False, **TINY)) == dsl.Status.INVALID
    assert code_of(lambda: dsl.train((images, [0]), out, progress=False, **TINY)) == dsl.Status.INVALID
    assert code_of(lambda: dsl.train(tmp_path / "absent.csv", out, progress=False, **TINY)) == dsl.Status.NOT_FOUND
    assert list(out.parent.iterdir()) == []


def test_unreadable_images_stop_or_are_left_out(manifest, tmp_path):
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-30])
    out = tmp_path / "out.dsl"
    with pytest.raises(dsl.Error, match="3.png"):
        dsl.train(manifest, out, progress=False, **TINY)
    assert not out.exists()
    notes = []
    with dsl.train(manifest, out, skip_unreadable=True, progress=lambda p: notes.append(p.message), **TINY) as model:
        assert model.report["skipped"] == ["3.png"]
    assert any("3.png" in n for n in notes)


def test_unreadable_test_images_do_not_stop_a_training(manifest, tmp_path):
    (tmp_path / "17.png").write_bytes((tmp_path / "17.png").read_bytes()[:-30])
    with dsl.train(manifest, tmp_path / "out.dsl", progress=False, **TINY) as model:
        assert model.report["skipped"] == []
        with pytest.raises(dsl.Error, match="17.png"):
            dsl.evaluate(model, manifest)


def test_handles_do_not_leak(dataset, images, tmp_path):
    dsl.wait_for_files()
    gc.collect()  # what earlier tests left to the collector must not vanish in between
    before = _native.lib().dsl_live_handles()
    with dsl.train(dataset, tmp_path / "m.dsl", progress=False, **TINY) as model:
        model.embed(images[:3])
        model.heatmap(images[:1])
        dsl.evaluate(model, dataset)
        with pytest.raises(dsl.Error):
            model.embed([images[0], "absent.png"])
    dsl.Dataset.from_arrays(images, [0] * 24).close()
    gc.collect()
    assert _native.lib().dsl_live_handles() == before
