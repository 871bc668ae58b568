"""Class probabilities, Grad-CAM, maps against masks, proxy masks."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, draw
from process import run

import dsl
from dsl.model import otsu


@pytest.fixture(scope="module")
def classifier_path(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "tiny.dsl"
    options = {name: value for name, value in TINY.items() if name not in ("learners", "embedding_dim")}
    dsl.train(dataset, path, progress=False, loss="classification", **options).close()
    return path


@pytest.fixture(scope="module")
def classifier(classifier_path):
    return dsl.Model.load(classifier_path, threads=1)


def bar(index, height=32, width=40):
    """The mask of conftest.draw."""
    mask = np.zeros((height, width), bool)
    left = 4 if index % 2 == 0 else width - 16
    mask[8 : height - 8, left : left + 12] = True
    return mask


@pytest.fixture(scope="module")
def masked(images):
    """8 images of val, 6 of test, the last of which has no mask; masks of every other image have twice its size."""
    masks = [np.kron(bar(i), np.ones((1 + i % 2,) * 2)) for i in range(13)] + [None]
    return dsl.Dataset.from_arrays(images[:14], [i % 2 for i in range(14)], splits=["val"] * 8 + ["test"] * 6, masks=masks)


def code_of(call):
    with pytest.raises(dsl.Error) as caught:
        call()
    return caught.value.code


def test_class_probabilities_sum_to_one(classifier, images):
    p = classifier.classify(images[:5])
    assert p.shape == (5, 2) and p.dtype == np.float32 and p.min() > 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(classifier.classify([images[3]])[0], p[3], atol=1e-5)
    assert classifier.classify([]).shape == (0, 2)


def test_many_images_are_classified_in_chunks(classifier, images):
    many = [images[i % 24] for i in range(70)]
    np.testing.assert_allclose(classifier.classify(many)[64:], classifier.classify(many[64:]), atol=1e-5)


def test_grad_cam_has_the_image_s_shape_and_the_predicted_class_by_default(classifier, images):
    maps = classifier.grad_cam([images[0], images[1][:20]])
    assert [m.shape for m in maps] == [(32, 40), (20, 40)]
    grids = [classifier.grad_cam([images[0]], label, grid=True)[0] for label in (0, 1)]
    for m in (*maps, *grids):
        assert m.dtype == np.float32 and 0 <= m.min() <= m.max() <= 1
    assert all(g.max() in (0, 1) for g in grids) and not np.array_equal(*grids)
    assert any(np.array_equal(classifier.grad_cam([images[0]], grid=True)[0], g) for g in grids)


def test_a_label_that_the_model_does_not_know_is_refused(classifier, images):
    for label in (2, -1, 2**40):
        assert code_of(lambda: classifier.grad_cam(images[:1], label)) == dsl.Status.INVALID


def test_models_that_embed_have_no_class_scores(model, images, masked):
    for call in (lambda: model.classify(images[:1]), lambda: model.classify([]), lambda: model.grad_cam(images[:1]),
                 lambda: dsl.evaluate_masks(model, masked, "grad_cam")):  # fmt: skip
        assert code_of(call) == dsl.Status.UNSUPPORTED


def test_the_self_map_is_the_positive_part_of_a_pair_s_map(model, images):
    grid = model.explain_pair(images[0], images[0]).grid_a.clip(min=0)
    np.testing.assert_allclose(model.self_map([images[0]], grid=True)[0], grid / grid.max(), atol=1e-5)


def test_an_activation_map_fills_its_range(model, images):
    for grid in model.activation_map(images[:2], grid=True):
        assert grid.min() == 0 and grid.max() == 1


def test_maps_are_those_of_their_source(classifier, images):
    for source, method in (("attention", classifier.heatmap), ("grad_cam", classifier.grad_cam), ("self", classifier.self_map),
                           ("activation", classifier.activation_map)):  # fmt: skip
        np.testing.assert_array_equal(classifier.maps(images[:1], source)[0], method(images[:1])[0])
    assert code_of(lambda: classifier.maps(images[:1], "saliency")) == dsl.Status.INVALID


def dice(region, mask):
    total = region.sum() + mask.sum()
    return 2 * (region & mask).sum() / total if total else 1.0


@pytest.mark.parametrize("source", ["attention", "grad_cam", "self", "activation"])
def test_scores_against_masks_are_those_of_a_loop(classifier, images, masked, source):
    scores = dsl.evaluate_masks(classifier, masked, source)
    assert (scores["source"], scores["num_images"], scores["num_without_mask"]) == (source, 5, 1)
    chosen = scores["validation"]
    maps = classifier.maps(images[:13:2], source)  # the even ones have masks of their own size
    for i, values in zip(range(8, 13, 2), maps[4:]):
        found = next(s for s in scores["images"] if s["name"] == f"image {i}")
        for rule, threshold in (("fixed", 0.5), ("otsu", found["otsu_threshold"]), ("best", chosen["threshold"])):
            region = (values >= threshold) == (chosen["foreground"] == "above")
            assert found[rule]["dice"] == pytest.approx(dice(region, bar(i)), abs=1e-12)
        assert found["area"] == pytest.approx(bar(i).mean())
        assert found["all_foreground"]["dice"] == pytest.approx(dice(np.ones_like(bar(i)), bar(i)))
        first = values.argmax() if chosen["foreground"] == "above" else values.argmin()
        assert found["pointing_hit"] == bar(i).flat[first]
    assert scores["mean"]["best"]["dice"] == pytest.approx(np.mean([s["best"]["dice"] for s in scores["images"]]))


def test_the_source_of_a_model_without_one_named_is_its_own(model, classifier, masked):
    assert dsl.evaluate_masks(model, masked)["source"] == "attention"
    assert dsl.evaluate_masks(classifier, masked, split="val")["source"] == "grad_cam"
    assert dsl.evaluate_masks(classifier, masked, split="")["num_images"] == 13


def test_what_has_no_masks_is_refused(model, dataset, masked, images):
    assert code_of(lambda: dsl.evaluate_masks(model, dataset)) == dsl.Status.NOT_FOUND
    assert code_of(lambda: dsl.evaluate_masks(model, masked, split="train")) == dsl.Status.NOT_FOUND
    assert code_of(lambda: dsl.evaluate_masks(model, masked, "saliency")) == dsl.Status.INVALID
    assert code_of(lambda: dsl.Dataset.from_arrays(images[:2], [0, 1], masks=[None])) == dsl.Status.INVALID
    across = dsl.Dataset.from_arrays(images[:2], [0, 1], splits=["val", "test"], masks=[bar(0).T, bar(1).T])
    assert code_of(lambda: dsl.evaluate_masks(model, across)) == dsl.Status.INVALID


def write(folder, images):
    """A manifest of images with masks: 4 of val, the others of test."""
    from dsl.overlay import write_png

    lines = ["path,label,mask,split"]
    for i, image in enumerate(images):
        write_png(folder / f"{i}.png", image)
        write_png(folder / f"{i}.mask.png", np.repeat(bar(i)[:, :, None], 3, 2).astype(np.uint8) * 255)
        lines.append(f"{i}.png,{i % 2},{i}.mask.png,{'val' if i < 4 else 'test'}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def cli(*arguments):
    return run([sys.executable, "-m", "dsl", *arguments], env={**os.environ, "PYTHONPATH": str(Path(dsl.__file__).resolve().parents[1])})


@pytest.mark.parametrize("source", ["attention", "grad_cam", "self", "activation"])
def test_proxy_masks_are_the_maps_side_of_the_threshold(classifier, images, source):
    values = classifier.maps(images[:1], source)[0]
    above, below = (classifier.proxy_masks(images[:1], 0.3, foreground=side, source=source)[0] for side in ("above", "below"))
    assert above.dtype == bool and above.shape == (32, 40)
    np.testing.assert_array_equal(above, values >= 0.3)
    np.testing.assert_array_equal(below, ~above)
    assert classifier.proxy_masks(images[:1], 0)[0].all()


def test_otsu_s_threshold_is_that_of_the_library(classifier, images, masked):
    for found in dsl.evaluate_masks(classifier, masked)["images"][::2]:
        values = classifier.grad_cam([images[int(found["name"].split()[1])]])[0]
        region = classifier.proxy_masks([images[int(found["name"].split()[1])]], "otsu")[0]
        np.testing.assert_array_equal(region, values >= found["otsu_threshold"])


@pytest.mark.parametrize("values, want", [([0.25, 0.25, 0.25, 0.75], 65 / 256), ([0.3, 0.3], 0.5), ([1, 1], 0.5), ([0, 1], 1 / 256)])
def test_otsu_of_few_values(values, want):
    assert otsu(np.array(values, np.float32)) == want


def test_proxy_masks_without_sense_are_refused(model, images):
    for arguments in ({"threshold": 1.5}, {"threshold": float("nan")}, {"threshold": 0.5, "foreground": "left"}, {"threshold": 0.5, "source": "x"}):
        assert code_of(lambda: model.proxy_masks(images[:1], **arguments)) == dsl.Status.INVALID


def test_the_command_line_writes_proxy_masks_with_the_validation_images_threshold(classifier_path, tmp_path):
    manifest = write(tmp_path, [draw(i) for i in range(6)])
    done = cli("masks", classifier_path, manifest, "-o", tmp_path / "out", "--split", "test")
    assert done.returncode == 0, done.stderr
    chosen = dsl.evaluate_masks(classifier_path, manifest)["validation"]
    with dsl.Dataset.open(tmp_path / "out" / "masks.csv") as written, dsl.Model.load(classifier_path) as model:
        rows = written.manifest()
        wanted = model.proxy_masks([row["path"] for row in rows], chosen["threshold"], foreground=chosen["foreground"])
    assert [(os.path.basename(r["path"]), os.path.basename(r["mask"]), r["split"]) for r in rows] == [(f"{i}.png", f"{i}.mask.png", "test") for i in (4, 5)]
    for row, mask in zip(rows, wanted):
        np.testing.assert_array_equal(dsl.load_image(row["mask"])[:, :, 0], mask * np.uint8(255))
    for more, says in ((["--split", "train"], "no images"), (["--threshold", "high", "--split", "all"], "high"), (["--foreground", "below", "--split", "all"], "side of its own")):
        done = cli("masks", classifier_path, manifest, "-o", tmp_path / "out2", *more)
        assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out2").exists()
    done = cli("masks", classifier_path, manifest, "-o", tmp_path / "out3", "--split", "all", "--threshold", "otsu")
    assert done.returncode == 0 and len(list((tmp_path / "out3").glob("*.mask.png"))) == 6


def test_the_command_line_scores_masks_and_draws_grad_cam(classifier_path, model_path, tmp_path):
    manifest = write(tmp_path, [draw(i) for i in range(6)])
    done = cli("evaluate", classifier_path, manifest, "--masks", "--json", tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["num_images"] == 2 and f"Dice {scores['mean']['best']['dice']:.4f}" in done.stdout
    done = cli("heatmap", classifier_path, tmp_path / "0.png", "--grad-cam", "--label", "1", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    with dsl.Model.load(classifier_path) as model:
        np.testing.assert_allclose(np.load(tmp_path / "out" / "0.heatmap.npy"), model.grad_cam([tmp_path / "0.png"], 1)[0], atol=1e-5)
    for arguments, says in ((["heatmap", model_path, tmp_path / "0.png", "-o", tmp_path / "out", "--label", "1"], "--grad-cam"),
                            (["heatmap", model_path, tmp_path / "0.png", "-o", tmp_path / "out", "--grad-cam"], "classification"),
                            (["evaluate", model_path, manifest, "--source", "self"], "--masks")):  # fmt: skip
        done = cli(*arguments)
        assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr
