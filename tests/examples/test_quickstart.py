"""The quickstart from end to end on few phantoms, and its errors."""

import json
import os
import re
import signal
import time

import process
import pytest
from conftest import PYTHON, ROOT
from PIL import Image

QUICKSTART = [PYTHON, ROOT / "examples" / "quickstart.py"]
SMALL = ["--steps", 12, "--input-size", 32, "--batch-size", 24, "--threads", 2]


def test_it_says_beforehand_how_long_and_how_much_memory(trained):
    assert re.search(r"training 12 steps of 24 images takes about \d+\.\d minutes and \d+\.\d GiB of memory", trained.said)


def test_every_file_that_it_names_is_there(trained):
    named = re.findall(r"^  (\S+) {2,}\S", trained.said.split("results in")[1], re.MULTILINE)
    assert len(named) == 10
    for name in named:
        assert (trained.out / name).stat().st_size > 0, name
    for picture in ("neighbours", "heatmaps", "pair", "map", "training"):
        with Image.open(trained.out / f"{picture}.png") as image:
            assert min(image.size) > 300


def test_the_metrics_are_numbers_in_range_for_all_three(trained):
    metrics = json.loads((trained.out / "metrics.json").read_text())
    assert set(metrics["test"]) == {"best model", "last model", "raw pixels"}
    for name, scores in metrics["test"].items():
        assert scores["num_images"] == len(trained.images), name
        assert 0 <= scores["nmi"] <= 1
        for excluded in ("self_excluded", "group_excluded"):
            for average in ("micro", "macro"):
                assert 0 <= scores[excluded][average]["recall_at_1"] <= 1
    assert metrics["training"]["steps"] == 12
    table = (trained.out / "metrics.txt").read_text()
    assert f"{metrics['test']['best model']['nmi']:.3f}" in table and table.strip() in trained.said + table


def test_a_folder_without_splits_gets_a_test_split(trained, tmp_path):
    for i, path in enumerate(trained.images[:24]):
        folder = tmp_path / "images" / f"class{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(path, folder / f"{i}.png")
    said = process.output([*QUICKSTART, tmp_path / "images", "--out", tmp_path / "out", "--learners", 1, *SMALL])
    assert "no test split: made one" in said
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["training"]["num_learners"] == 1


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["nowhere.csv"], "No such file"),
        (["--phantoms", 3], "got 3 images, want at least 24"),
        (["--learners", "many"], 'got "many", want "dynamic" or a number'),
        (["--learners=-1"], 'got "-1", want "dynamic" or a number'),
        (["--phantoms", 24, "--input-size", 4], "input_size: got 4"),
    ],
)
def test_errors_are_one_clear_line(arguments, says, tmp_path):
    done = process.run([*QUICKSTART, *arguments, "--out", tmp_path])
    assert done.returncode != 0
    assert says in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_ctrl_c_stops_it_and_keeps_the_last_model(trained, tmp_path):
    log = tmp_path / "training.jsonl"
    with process.Process([*QUICKSTART, trained.manifest, "--out", tmp_path, *SMALL, "--steps", 100000]) as program:
        program.wait_until(lambda: log.exists() and '"step"' in log.read_text(), "the training has not begun")
        program.send_signal(signal.SIGINT)
        begun = time.monotonic()
        program.wait()
        took = time.monotonic() - begun
    assert program.returncode != 0 and program.stderr.strip().splitlines()[-1].startswith("quickstart: stopped") and "Traceback" not in program.stderr
    assert took < 20
    import dsl

    with dsl.Model.load(tmp_path / "model.last.dsl") as model:
        assert model.embed([trained.images[0]]).shape == (1, 128)
