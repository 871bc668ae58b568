"""The U-Net learns, and the example runs from end to end on few phantoms."""

import json

import numpy as np
import process
import pytest
from conftest import PYTHON, ROOT
from PIL import Image

import weak_labels

SMALL = ["--unet-steps", 8, "--size", 32, "--threads", 1]


def test_a_u_net_learns_to_outline_bright_discs():
    unet = pytest.importorskip("unet", reason="PyTorch is not there")
    unet.torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    centres = rng.uniform(8, 24, (40, 2))
    masks = np.stack([((x - cx) ** 2 + (y - cy) ** 2 < 36) for cx, cy in centres]).astype(np.uint8)
    images = (rng.integers(0, 60, (40, 32, 32, 3)) + 120 * masks[..., None]).astype(np.uint8)
    net = unet.train(images[:30], masks[:30], steps=60, seed=0)
    assert weak_labels.score(net, images[30:], list(masks[30:] > 0))["dice"] > 0.8
    again = unet.train(images[:30], masks[:30], steps=2, seed=3)
    same = unet.train(images[:30], masks[:30], steps=2, seed=3)
    np.testing.assert_array_equal(unet.predict(again, images[:2]), unet.predict(same, images[:2]))
    assert unet.predict(net, images[:0]).shape == (0, 32, 32)


def test_overlap_is_defined_for_empty_regions():
    none, some = np.zeros((2, 2), bool), np.eye(2, dtype=bool)
    assert weak_labels.overlap(none, none) == (1, 1) and weak_labels.overlap(none, some) == (0, 0)
    assert weak_labels.overlap(some, np.ones((2, 2), bool)) == (pytest.approx(2 / 3), 0.5)


def test_a_mask_of_any_kind_is_nonzero_inside(tmp_path):
    mask = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    mask.save(tmp_path / "gray.png")
    mask.convert("P").save(tmp_path / "palette.png")
    for name in ("gray", "palette"):
        np.testing.assert_array_equal(weak_labels.load_mask(tmp_path / f"{name}.png"), [[False, True], [True, False]])


@pytest.fixture(scope="module")
def classifier(trained):
    import dsl

    path = trained.out / "classifier.dsl"
    dsl.train(trained.manifest, path, loss="classification", steps=8, input_size=32, batch_size=24, images_per_class=3, threads=1, progress=False).close()
    return path


def test_the_example_compares_proxies_and_true_masks(trained, classifier, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not there")
    command = [PYTHON, ROOT / "examples" / "weak_labels.py", trained.manifest, "--model", trained.model, "--classifier", classifier, "--out", tmp_path, *SMALL]
    said = process.output(command)
    found = json.loads((tmp_path / "results.json").read_text())
    names = ["U-Net on attention", "U-Net on activation", "U-Net on Grad-CAM", "U-Net on true masks", "all foreground", "centre disc"]
    for name in names:
        assert 0 <= found["mean"][name]["iou"] <= found["mean"][name]["dice"] <= 1
        assert f"{found['mean'][name]['dice']:.3f}" in (tmp_path / "results.txt").read_text() and name in said
    assert set(found["maps"]) == {"attention", "activation", "grad_cam"} and found["maps"]["grad_cam"]["num_images"] == len(trained.images)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 300


@pytest.mark.parametrize("change, says", [(["--size", 20], "multiple of 8"), (["--model", "none.dsl"], "none.dsl"), (["--classifier", "{model}"], "classification")])
def test_what_cannot_be_done_is_said_in_one_line(trained, change, says, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not there")
    change = [str(c).replace("{model}", str(trained.model)) for c in change]
    done = process.run([PYTHON, ROOT / "examples" / "weak_labels.py", trained.manifest, "--model", trained.model, "--out", tmp_path, *SMALL, *change])
    assert done.returncode != 0 and says in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
