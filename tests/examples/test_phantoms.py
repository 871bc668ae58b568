"""The phantoms are what their manifest says, the same for the same seed, and readable by others."""

import csv
import hashlib
import os

import numpy as np
import phantoms
import pytest
from PIL import Image

IMAGES = 72


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    with open(phantoms.draw(folder, IMAGES, seed=3), newline="", encoding="utf-8") as f:
        return folder, list(csv.DictReader(f))


def digest(folder):
    sums = {}
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as f:
                sums[os.path.relpath(os.path.join(root, name), folder)] = hashlib.sha256(f.read()).hexdigest()
    return sums


def test_every_row_has_a_picture_and_a_mask_of_its_size(drawn):
    folder, rows = drawn
    assert len(rows) == IMAGES
    for row in rows:
        with Image.open(folder / row["path"]) as picture, Image.open(folder / row["mask"]) as mask:
            assert picture.mode == "RGB" and mask.mode == "L"
            assert picture.size == mask.size == (phantoms.WIDTH, phantoms.HEIGHT)
            values, counts = np.unique(np.asarray(mask), return_counts=True)
            assert values.tolist() == [0, 255]
            assert 0.02 < counts[1] / mask.width / mask.height < 0.75


def test_the_lesion_differs_from_the_skin_around_it(drawn):
    folder, rows = drawn
    for row in rows:
        picture = np.asarray(Image.open(folder / row["path"]), float)
        inside = np.asarray(Image.open(folder / row["mask"])) > 0
        assert np.abs(picture[inside].mean(0) - picture[~inside].mean(0)).max() > 10, row["path"]


def test_classes_are_equally_frequent_and_named(drawn):
    _, rows = drawn
    labels = [int(row["label"]) for row in rows]
    assert np.bincount(labels).tolist() == [IMAGES // len(phantoms.CLASSES)] * len(phantoms.CLASSES)
    assert all(row["class_name"] == phantoms.CLASSES[int(row["label"])] for row in rows)


def test_a_lesion_is_in_one_split_and_some_have_two_pictures(drawn):
    _, rows = drawn
    splits, sizes = {}, {}
    for row in rows:
        splits.setdefault(row["group"], set()).add((row["split"], row["label"]))
        sizes[row["group"]] = sizes.get(row["group"], 0) + 1
    assert all(len(where) == 1 for where in splits.values())
    assert set(sizes.values()) == {1, 2}


@pytest.mark.parametrize("images", [24, 25, 100, 1200])
def test_every_class_is_in_every_split(images):
    rows = phantoms.plan(images, seed=1)
    assert len(rows) == images
    assert {(label, split) for _, label, split in rows} == {(c, s) for c in range(6) for s in ("train", "val", "test")}


def test_the_same_seed_gives_the_same_files_and_another_one_does_not(drawn, tmp_path):
    folder, _ = drawn
    phantoms.draw(tmp_path / "same", IMAGES, seed=3)
    phantoms.draw(tmp_path / "other", IMAGES, seed=4)
    first, same, other = digest(folder), digest(tmp_path / "same"), digest(tmp_path / "other")
    assert first == same
    images = [name for name in first if name.startswith("images")]
    assert images and all(first[name] != other[name] for name in images)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (4, 7, 3)])
def test_png_files_read_back_as_written(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    phantoms.write_png(tmp_path / "x.png", pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), pixels)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="got 23 images, want at least 24"):
        phantoms.plan(23, 0)
