"""Calibrated models: precision int8 through Python and the command line."""

import numpy as np
import pytest

import dsl
from dsl.__main__ import main
from test_serving import code_of


def test_int8_embeds_almost_as_float32(model, dataset, images):
    with model.calibrate(dataset, num_images=8, threads=1) as calibrated:
        assert calibrated.info["calibrated"] and not model.info["calibrated"]
        plain, eight = model.embed(images[:5]), calibrated.embed(images[:5])
        assert 0 < np.abs(plain - eight).max() < 0.1
        assert (plain * eight).sum(axis=1).min() > 0.99
        assert np.corrcoef(model.heatmap([images[0]])[0].ravel(), calibrated.heatmap([images[0]])[0].ravel())[0, 1] > 0.99


def test_a_calibrated_model_comes_back_from_its_file(model, images, files, tmp_path):
    path = tmp_path / "int8.dsl"
    with model.calibrate(files, threads=1) as calibrated:
        calibrated.save(path)
        with dsl.Model.load(path, precision="int8", threads=1) as loaded:
            np.testing.assert_array_equal(loaded.embed(images[:3]), calibrated.embed(images[:3]))
    with dsl.Model.load(path, threads=1) as loaded:
        np.testing.assert_array_equal(loaded.embed(images[:3]), model.embed(images[:3]))


def test_arrays_calibrate_as_the_files_they_were_saved_in(model, images, files):
    with model.calibrate(files, threads=1) as a, model.calibrate(np.stack(images[:4]), threads=1) as b:
        np.testing.assert_array_equal(a.embed(images[:3]), b.embed(images[:3]))


def test_a_model_that_was_not_calibrated_says_what_to_do(model_path, images):
    with dsl.Model.load(model_path, precision="int8") as model, pytest.raises(dsl.Error, match="calibrate") as caught:
        model.embed(images[:1])
    assert caught.value.code == dsl.Status.INVALID


def test_calibrate_refuses(model, dataset, tmp_path):
    assert code_of(lambda: model.calibrate([])) == dsl.Status.INVALID
    assert code_of(lambda: model.calibrate(dataset, num_images=-1)) == dsl.Status.INVALID
    assert code_of(lambda: model.calibrate(dataset, split="best")) == dsl.Status.INVALID
    assert code_of(lambda: model.calibrate([tmp_path / "absent.png"])) == dsl.Status.NOT_FOUND
    assert code_of(lambda: model.calibrate(7)) == dsl.Status.INVALID


def test_training_refuses_int8(dataset, tmp_path):
    assert code_of(lambda: dsl.train(dataset, tmp_path / "m.dsl", precision="int8", progress=False)) == dsl.Status.UNSUPPORTED


def test_the_command_line_calibrates_and_embeds(model_path, images, files, tmp_path, capsys):
    rows = "".join(f"{path},{i % 2},train\n" for i, path in enumerate(files))
    (tmp_path / "data.csv").write_text("path,label,split\n" + rows)
    calibrated, out = tmp_path / "int8.dsl", tmp_path / "e.npy"
    assert main(["calibrate", str(model_path), str(tmp_path / "data.csv"), "-o", str(calibrated), "--num-images", "3", "--threads", "1"]) == 0
    assert main(["embed", str(calibrated), str(files[0]), "-o", str(out), "--precision", "int8", "--device", "cpu", "--threads", "1"]) == 0
    with dsl.Model.load(calibrated, precision="int8", threads=1) as model:
        np.testing.assert_array_equal(np.load(out), model.embed([files[0]]))
    assert main(["embed", str(model_path), str(files[0]), "-o", str(out), "--precision", "int8"]) == 1
    assert "calibrate" in capsys.readouterr().err
