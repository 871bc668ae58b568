"""A training that was stopped goes on from its checkpoint. That this is so bit for bit wherever it was stopped is tested in lib/train and tests/resume."""

import json

import pytest

import dsl
from conftest import TINY


LONG = {**TINY, "steps": 40}  # Python hears of a step a little later, and stops the training later still


def identity(model):
    with dsl.Index(model) as index:
        return index.info["model"]


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """The identity and the report of a training that was never stopped."""
    with dsl.train(dataset, tmp_path_factory.mktemp("whole") / "a.dsl", progress=False, checkpoint_every_s=-1, **LONG) as trained:
        return identity(trained), trained.report


def stopped(dataset, out, **options):
    with pytest.raises(dsl.Error) as e:
        dsl.train(dataset, out, progress=lambda p: p.event != "step" or p.stage == "prepare" or p.step < 3, **LONG, **options)
    assert e.value.code == dsl.Status.CANCELLED
    dsl.wait_for_files()


def checkpoint_of(out):
    return out.with_suffix(".checkpoint.dsl")


def test_a_stopped_training_goes_on(dataset, whole, tmp_path):
    out, log = tmp_path / "a.dsl", tmp_path / "a.jsonl"
    stopped(dataset, out, log=log)
    before = log.read_text().splitlines()
    steps = []
    with dsl.train(dataset, out, log=log, resume=True, progress=lambda p: steps.append(p.step) if p.stage != "prepare" and p.event == "step" else None, **LONG) as again:
        begun = again.report["resumed_step"]
        assert 3 <= begun < 40 and again.report["resume_differences"] == []
        assert identity(again) == whole[0] and again.report["best"] == whole[1]["best"] and again.report["last"] == whole[1]["last"]
    assert steps == list(range(begun + 1, 41))
    lines = log.read_text().splitlines()
    assert lines[: len(before) - 1] == before[:-1]  # but for the end of the first part
    assert [json.loads(line)["stage"] for line in lines].count("done") == 1


def test_a_finished_training_returns_the_same_again(dataset, tmp_path):
    out = tmp_path / "a.dsl"
    with dsl.train(dataset, out, progress=False, **TINY) as first:
        want, report = identity(first), first.report
    out.unlink()
    with dsl.train(dataset, out, progress=False, resume=True, **TINY) as again:
        assert identity(again) == want and again.report["best"] == report["best"] and again.report["resumed_step"] == 4


def test_without_a_checkpoint_a_training_starts(dataset, model, tmp_path):
    with dsl.train(dataset, tmp_path / "a.dsl", progress=False, resume=True, **TINY) as trained:
        assert identity(trained) == identity(model) and trained.report["resumed_step"] == 0


def test_another_option_is_named_and_nothing_is_changed(dataset, tmp_path):
    out, log = tmp_path / "a.dsl", tmp_path / "a.jsonl"
    stopped(dataset, out, log=log)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(dsl.Error, match='option "seed": got 5, want 0') as e:
        dsl.train(dataset, out, progress=False, resume=True, seed=5, log=log, **LONG)
    assert e.value.code == dsl.Status.INVALID and before == {p: p.read_bytes() for p in tmp_path.iterdir()}


@pytest.mark.parametrize("text", ["short\n", "x" * 10000])
def test_a_log_of_something_else_is_refused(dataset, tmp_path, text):
    out, log = tmp_path / "a.dsl", tmp_path / "a.jsonl"
    stopped(dataset, out, log=log)
    log.write_text(text)
    with pytest.raises(dsl.Error, match="not the log of the run"):
        dsl.train(dataset, out, progress=False, resume=True, log=log, **LONG)
    assert log.read_text() == text


def test_a_damaged_checkpoint_is_an_error(dataset, tmp_path):
    out = tmp_path / "a.dsl"
    stopped(dataset, out)
    checkpoint_of(out).write_bytes(checkpoint_of(out).read_bytes()[:-100])
    with pytest.raises(dsl.Error) as e:
        dsl.train(dataset, out, progress=False, resume=True, **LONG)
    assert e.value.code == dsl.Status.CORRUPT and "a.checkpoint.dsl" in str(e.value)


def test_a_training_from_the_start_leaves_no_checkpoint_of_another(dataset, tmp_path):
    out = tmp_path / "a.dsl"
    stopped(dataset, out)
    assert checkpoint_of(out).exists()
    dsl.train(dataset, out, progress=False, checkpoint_every_s=-1, **TINY).close()
    assert not checkpoint_of(out).exists()


def test_a_checkpoint_is_a_model_too(dataset, tmp_path):
    out = tmp_path / "a.dsl"
    stopped(dataset, out)
    with dsl.Model.load(checkpoint_of(out), threads=1) as model:
        assert model.info["num_learners"] >= 1
