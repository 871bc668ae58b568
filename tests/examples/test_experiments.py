"""Experiments from end to end on phantoms: killed and started again, with a cell that fails, in the background; the shipped configurations."""

import json
import os
import shlex

import phantoms
import process
import pytest
from conftest import PYTHON, ROOT

FOLDER = ROOT / "examples" / "experiments"
SMOKE = FOLDER / "phantoms" / "smoke.toml"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")}
LIMIT_S = 600

if process.run([PYTHON, "-c", "import tomllib"]).returncode != 0:
    pytest.skip("experiments need Python 3.11 (tomllib)", allow_module_level=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    phantoms.draw(folder, 72)
    return f"phantoms={folder / 'manifest.csv'}"


def command(config, out, *more):
    return [PYTHON, "-m", "dsl", "experiment", config, "--out", out, *more]


def run(config, out, *more):
    return process.run(command(config, out, *more), LIMIT_S, env=ENVIRONMENT)


def result(out, method, seed=0):
    path = out / "phantoms" / method / f"seed-{seed}" / "result.json"
    return json.loads(path.read_text()) if path.exists() else None


def timeless(value):
    """A result without what depends on the clock."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "total_seconds", "elapsed_s", "waited_s")}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def is_held(path):
    code = "import sys; from pathlib import Path; from dsl.experiment import lock; print(lock.holder(Path(sys.argv[1])))"
    return process.output([PYTHON, "-c", code, path], env=ENVIRONMENT).strip() != "None"


def wait_until(condition, what):
    """Waits beside no process of its own."""
    with process.Process(["sleep", LIMIT_S], LIMIT_S) as clock:
        clock.wait_until(condition, what)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The smoke experiment's first seed, whose run was killed in its second cell and started again; and when the first cell was done."""
    out = tmp_path_factory.mktemp("smoke") / "out"
    only = ("--data", data, "--only", "*/0")
    second = out / "phantoms" / "two" / "seed-0"
    with process.Process(command(SMOKE, out, *only), LIMIT_S, env=ENVIRONMENT) as first:
        first.wait_until(lambda: (second / "log.jsonl").exists() or result(out, "two"), "the second cell has not begun")
        first.kill()
    wait_until(lambda: not is_held(second / "lock"), "the cell goes on without its runner")
    assert result(out, "one") and not result(out, "two")
    assert "1/3 cells done" in run(SMOKE, out, "--status", "--only", "*/0").stdout
    done = (out / "phantoms" / "one" / "seed-0" / "result.json").stat().st_mtime_ns
    again = run(SMOKE, out, *only)
    assert again.returncode == 0, again.stderr + again.stdout
    return out, done, again.stdout


def test_a_killed_run_goes_on_with_what_is_not_done(finished):
    out, done, said = finished
    assert (out / "phantoms" / "one" / "seed-0" / "result.json").stat().st_mtime_ns == done
    assert "phantoms/two/0 done" in said and "phantoms/dynamic/0 done" in said and "phantoms/one/0" not in said
    assert "3/3 cells done" in said
    for method, learners in (("one", 1), ("two", 2), ("dynamic", 1)):
        found = result(out, method)
        assert found["steps"] == 8 and found["best"]["num_learners"] == found["last"]["num_learners"] == learners
        assert 0 <= found["best"]["test"]["nmi"] <= 1 and found["best"]["val"]["num_images"] > 0
        assert found["validations"][-1]["step"] == 8 and found["validations"][-1]["nmi"] == found["last"]["validation"]["nmi"]
        folder = out / "phantoms" / method / "seed-0"
        assert {p.name for p in folder.iterdir()} == {"model.dsl", "model.last.dsl", "log.jsonl", "output.txt", "result.json", "lock"}


def test_the_report_has_its_rows(finished):
    out, _, said = finished
    table = (out / "table.txt").read_text()
    assert table in said
    assert f"{100 * result(out, 'one')['best']['test']['nmi']:.2f}" in table
    assert "MML, best K on validation" in table and "MML, worst K on validation" in table
    done = run(SMOKE, out, "--report")
    assert done.returncode == 0 and done.stdout.strip() == table.strip(), done.stderr


def test_the_command_that_a_cell_printed_gives_the_same_numbers(finished, tmp_path):
    out, _, _ = finished
    printed = (out / "phantoms" / "two" / "seed-0" / "output.txt").read_text().splitlines()[0]
    words = shlex.split(printed)
    assert words[0] == "python3" and str(out) in words
    again = process.run([PYTHON, *(str(tmp_path) if w == str(out) else w for w in words[1:])], LIMIT_S, env=ENVIRONMENT)
    assert again.returncode == 0 and again.stdout.startswith("python3 -m dsl experiment"), again.stderr
    assert timeless(result(tmp_path, "two")) == timeless(result(out, "two"))
    anew = process.run([PYTHON, *(str(tmp_path) if w == str(out) else w for w in words[1:])], LIMIT_S, env=ENVIRONMENT)  # a done cell starts anew
    assert anew.returncode == 0 and timeless(result(tmp_path, "two")) == timeless(result(out, "two"))


def test_other_options_do_not_mix_with_what_is_measured(finished, data):
    out, _, _ = finished
    refused = run(SMOKE, out, "--data", data, "--set", "steps=13")
    assert refused.returncode == 1 and "steps: got 8" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_a_cell_that_fails_is_reported_and_the_others_go_on(data, tmp_path):
    text = SMOKE.read_text().split("[[method]]")[0].replace("seeds = [0, 1]", "seeds = [0]").replace("steps = 8", "steps = 3")
    config = tmp_path / "failing.toml"
    config.write_text(text + '[[method]]\nname = "bad"\nlearners = 1\nbatch_size = 7\n[[method]]\nname = "good"\nlearners = 1\n')
    done = run(config, tmp_path / "out", "--data", data, "--jobs", 2)
    assert done.returncode == 1 and "1 of 2 cells failed: phantoms/bad/0" in done.stderr
    assert "phantoms/bad/0 failed: exit status 1" in done.stdout and "1/2 cells done, 1 failed" in done.stdout
    assert result(tmp_path / "out", "good") and not result(tmp_path / "out", "bad")
    assert "bad" not in (tmp_path / "out" / "table.txt").read_text()
    status = run(config, tmp_path / "out", "--status").stdout
    assert "failed" in status and "images_per_class" in status.splitlines()[0]


def test_a_run_in_the_background_is_looked_at_and_stopped(data, tmp_path):
    long = ("--data", data, "--set", "steps=100000", "--set", "threads=1")
    begun = run(SMOKE, tmp_path, *long, "--background")
    assert begun.returncode == 0, begun.stderr
    try:
        folder = tmp_path / "phantoms" / "one" / "seed-0"
        wait_until(lambda: (folder / "log.jsonl").exists() and "\"num_steps\":100000" in (folder / "log.jsonl").read_text(), "the first cell has not begun")
        status = run(SMOKE, tmp_path, *long, "--status").stdout.splitlines()
        assert status[0].split()[:3] == ["phantoms/one/0", "running", "step"] and "0/6 cells done, 1 running, ETA" in status[-1]
        twice = run(SMOKE, tmp_path, *long)
        assert twice.returncode == 1 and "runs already" in twice.stderr
    finally:
        stopped = run(SMOKE, tmp_path, *long, "--stop")
    assert stopped.returncode == 0 and "has stopped" in stopped.stdout, stopped.stderr
    assert not is_held(folder / "lock") and not is_held(tmp_path / "run.pid") and (folder / "model.last.dsl").exists()
    assert "stopped at step" in run(SMOKE, tmp_path, *long, "--status").stdout
    nothing = run(SMOKE, tmp_path, *long, "--stop")
    assert nothing.returncode == 1 and "does not run" in nothing.stderr


@pytest.mark.parametrize(
    "more, word",
    [
        (["--cell", "phantoms/one/7"], "phantoms/one/7"),
        (["--data", "other=x.csv"], "other"),
        (["--data", "phantoms"], "NAME=VALUE"),
        (["--set", "lerning_rate=1"], "lerning_rate"),
        (["--only", "x/*"], "x/*"),
        (["--jobs", "0"], "--jobs"),
        ([], "--data phantoms=PATH"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(more, word, tmp_path):
    done = run(SMOKE, tmp_path, *more)
    assert done.returncode == 1 and word in done.stderr and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda p: p.name)
def test_the_shipped_configurations_are_right(path):
    from dsl.experiment import config

    experiment = config.load(path)
    assert experiment.name == path.stem and experiment.out.resolve() == ROOT / "out" / "experiments" / path.stem
    assert len(experiment.cells()) == len(experiment.seeds) * len(experiment.methods)
    assert f"`{path.relative_to(FOLDER)}`" in (FOLDER / "README.md").read_text()
    assert f"--data {experiment.data[0].name}=" in path.read_text()
