"""Datasets of NumPy arrays and files: every shape and type, splits, groups, names; MedMNIST's layout; what is refused."""

import json

import numpy as np
import pytest

import dsl
from conftest import ROOT, TINY, draw
from dsl.__main__ import main
from dsl.arrays import holds_arrays, read_arrays

DATA = ROOT.parent / "shared" / "data"
IMAGES = np.stack([draw(i) for i in range(20)])  # [20, 32, 40, 3]
LABELS = np.arange(20) % 2
SPLITS = ["train"] * 12 + ["val"] * 4 + ["test"] * 4


@pytest.fixture
def folder(tmp_path):
    for split, rows in (("train", slice(0, 12)), ("val", slice(12, 16)), ("test", slice(16, 20))):
        np.save(tmp_path / f"{split}_images.npy", IMAGES[rows, :, :, :1])
        np.save(tmp_path / f"{split}_labels.npy", LABELS[rows])
        np.save(tmp_path / f"{split}_groups.npy", np.arange(20)[rows] // 2)
    return tmp_path


@pytest.mark.parametrize("change", [
    lambda a: a, lambda a: a[..., 0], lambda a: a[..., :1], lambda a: a.astype(np.uint16) * 257, lambda a: a / np.float32(255), lambda a: a / 255,
    lambda a: np.asfortranarray(a), lambda a: list(a), lambda a: a.astype(">u2") * 257, lambda a: a[:, ::-1], lambda a: [a[0][:20], *a[1:]],
])  # fmt: skip
def test_arrays_of_all_kinds_train_and_evaluate(change, model):
    dataset = dsl.Dataset.from_arrays(change(IMAGES), LABELS, splits=SPLITS, groups=np.arange(20) // 2, class_names={0: "left", 1: "right"})
    assert (dataset.size("train"), dataset.size("val"), dataset.size("test")) == (12, 4, 4)
    assert dataset.manifest()[13] == {"path": "", "label": "1", "class_name": "right", "mask": "", "split": "val", "group": "6"}
    scores = dsl.evaluate(model, dataset)
    assert scores["num_images"] == 4 and scores["group_excluded"] is not None


def test_types_and_shapes_of_the_same_values_score_alike(model):
    def score(images, **options):
        return dsl.evaluate(model, dsl.Dataset.from_arrays(images, LABELS, **options), "")["self_excluded"]["micro"]

    gray = IMAGES[..., 0]
    want = score(gray)
    assert score(gray[..., None]) == score(np.repeat(gray[..., None], 3, 3)) == score(gray.astype(np.uint16) + 9, window=(9, 264)) == want


@pytest.mark.parametrize(("labels", "message"), [
    (LABELS + 0.5, "an integer for each of 20"), (LABELS[:19], "got 19 for 20"), (LABELS - 1, "got label -1"), (np.stack([LABELS, LABELS], 1), "shape"),
    (["left"] * 20, "an integer"), (LABELS + 70000, "got label 70000"),
])  # fmt: skip
def test_labels_without_sense_are_refused(labels, message):
    with pytest.raises(dsl.Error, match=message) as caught:
        dsl.Dataset.from_arrays(IMAGES, labels)
    assert caught.value.code == dsl.Status.INVALID


def test_labels_of_a_column_are_labels():
    assert [row["label"] for row in dsl.Dataset.from_arrays(IMAGES[:3], LABELS[:3, None]).manifest()] == ["0", "1", "0"]
    assert len(dsl.Dataset.from_arrays([], [])) == 0


def test_a_folder_of_arrays_is_a_dataset(folder):
    with dsl.Dataset.open(folder) as dataset, dsl.Dataset.open_arrays(folder, class_names=["left", "right"]) as named:
        assert (dataset.size("train"), dataset.size("val"), dataset.size("test")) == (12, 4, 4)
        assert [row["group"] for row in dataset.manifest()] == [str(i // 2) for i in range(20)]
        assert named.manifest()[1]["class_name"] == "right"
    assert all(isinstance(image, np.memmap) for image in read_arrays(folder)["images"])


def test_a_folder_of_arrays_trains_from_the_command_line(folder, tmp_path, capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    assert main(["train", str(folder), "-o", str(tmp_path / "m.dsl"), *options]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 4
    assert main(["evaluate", str(tmp_path / "m.dsl"), str(folder)]) == 0
    assert "4 images of 2 classes" in capsys.readouterr().out


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_a_dataset(tmp_path, save):
    save(tmp_path / "set.npz", train_images=IMAGES[:16, ..., 0], train_labels=LABELS[:16, None].astype(np.uint8), test_images=IMAGES[16:, ..., 0],
         test_labels=LABELS[16:, None].astype(np.uint8), other=np.zeros(3))
    with dsl.Dataset.open(tmp_path / "set.npz") as dataset:
        assert (dataset.size("train"), dataset.size("val"), dataset.size("test")) == (16, 0, 4)


@pytest.mark.parametrize(("name", "content", "code", "message"), [
    ("val_labels.npy", None, "NOT_FOUND", "val_images without val_labels"),
    ("val_labels.npy", np.zeros(3, int), "INVALID", r"val_labels of shape \(3,\) for 4 images"),
    ("val_labels.npy", np.zeros(4), "INVALID", "val_labels of float64"),
    ("val_labels.npy", np.array([{}] * 4), "CORRUPT", "val_labels.npy.*cannot be read"),
    ("val_images.npy", np.zeros((4, 8), np.uint8), "INVALID", r"val_images of shape \(4, 8\)"),
    ("val_images.npy", np.zeros((4, 8, 8, 2), np.uint8), "INVALID", "channels"),
    ("val_images.npy", np.zeros((4, 8, 8), np.int32), "INVALID", "int32"),
    ("val_images.npy", b"\x93NUMPY\x01\x00", "CORRUPT", "val_images.npy.*cannot be read"),
    ("val_images.npy", b"", "CORRUPT", "val_images.npy.*cannot be read"),
    ("val_groups.npy", None, "INVALID", "groups for 16 of 20 images"),
])  # fmt: skip
def test_broken_folders_are_refused(folder, name, content, code, message):
    (folder / name).unlink()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    elif content is not None:
        np.save(folder / name, content, allow_pickle=True)
    with pytest.raises(dsl.Error, match=message) as caught:
        dsl.Dataset.open(folder)
    assert caught.value.code == dsl.Status[code] and str(folder) not in str(caught.value)


def test_broken_npz_files_are_refused(tmp_path):
    path = tmp_path / "set.npz"
    for content, code in ((None, "NOT_FOUND"), (b"PK\x03\x04", "CORRUPT"), (b"text", "CORRUPT")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(dsl.Error) as caught:
            dsl.Dataset.open(path)
        assert caught.value.code == dsl.Status[code]
    np.savez(path, a=np.zeros(2))
    with pytest.raises(dsl.Error, match="got no images"):
        dsl.Dataset.open(path)
    np.savez(path, train_images=IMAGES, train_labels=LABELS)
    path.write_bytes(path.read_bytes().replace(b"NUMPY", b"NUMMY"))
    with pytest.raises(dsl.Error) as caught:
        dsl.Dataset.open(path)
    assert caught.value.code == dsl.Status.CORRUPT


def test_other_folders_hold_no_arrays(tmp_path):
    (tmp_path / "images.npy").touch()
    assert not holds_arrays(tmp_path) and not holds_arrays(tmp_path / "none")


@pytest.mark.parametrize(("name", "counts", "classes"), [("mednist", (3000, 600, 1200), 6), ("ham10000_28", (4871, 697, 1449), 7), ("pneumoniamnist", (4708, 524, 624), 2)])
def test_real_sets_have_their_counts(name, counts, classes):
    if not (DATA / name).is_dir():
        pytest.skip(f"the data are not here (../shared/data/{name})")
    with dsl.Dataset.open(DATA / name) as dataset:
        assert tuple(dataset.size(split) for split in ("train", "val", "test")) == counts
        assert len({row["label"] for row in dataset.manifest()}) == classes
