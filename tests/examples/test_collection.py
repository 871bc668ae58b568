"""Reading manifests and folders, and making a test split."""

import collection
import dsl
import numpy as np
import pytest
from collection import Item


def items_of(labels, groups=None, split=""):
    return [Item(f"/x/{i}.png", label, f"c{label}", "", split, groups[i] if groups else "") for i, label in enumerate(labels)]


def test_a_manifest_keeps_its_cells_and_its_paths_become_absolute(tmp_path):
    (tmp_path / "m.csv").write_text("\ufeffpath,label,class_name,mask,split,group,age\na/1.png,3,nevus,m/1.png,test,L1,40\n/b/2.png,4,,,train,,\n")
    assert collection.read(tmp_path / "m.csv") == [
        Item(str(tmp_path / "a/1.png"), 3, "nevus", str(tmp_path / "m/1.png"), "test", "L1"),
        Item("/b/2.png", 4, "class 4", "", "train", ""),
    ]


def test_a_manifest_without_the_optional_columns_is_fine(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\n1.png,0\n")
    assert collection.read(tmp_path / "m.csv") == [Item(str(tmp_path / "1.png"), 0, "class 0", "", "", "")]


def test_what_is_written_reads_back(tmp_path):
    items = items_of([0, 1, 1], groups=["a", "", "b"], split="train")
    collection.write(items, tmp_path / "m.csv")
    assert collection.read(tmp_path / "m.csv") == items


def test_a_folder_has_a_class_per_subfolder_in_order_of_name(tmp_path):
    for name in ("b/2.JPG", "b/deep/1.png", "a/3.jpeg", "a/notes.txt", ".git/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [(i.path, i.label, i.class_name) for i in collection.read(tmp_path)]
    assert found == [(str(tmp_path / p), label, name) for p, label, name in (("a/3.jpeg", 0, "a"), ("b/2.JPG", 1, "b"), ("b/deep/1.png", 1, "b"))]


def test_a_published_data_set_is_read_as_one(tmp_path):
    (tmp_path / "HAM10000_images_part_1").mkdir()
    rows = [f"HAM_{i},ISIC_{i},{dx}" for i, dx in enumerate(["nv"] * 5 + ["mel"] * 5)]
    for i in range(10):
        (tmp_path / "HAM10000_images_part_1" / f"ISIC_{i}.jpg").touch()
    (tmp_path / "HAM10000_metadata.csv").write_text("\n".join(["lesion_id,image_id,dx", *rows]) + "\n")
    items = collection.read(tmp_path)
    assert [(i.class_name, i.label) for i in items] == [("nv", 5)] * 5 + [("mel", 4)] * 5 and [i.split for i in items].count("test") == 2
    assert collection.with_test_split(items) is items


def test_sources_without_images_or_columns_are_refused(tmp_path):
    with pytest.raises(dsl.Error, match="no images"):
        collection.read(tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.png").touch()
    with pytest.raises(dsl.Error, match="named like splits"):
        collection.read(tmp_path)
    (tmp_path / "m.csv").write_text("file,label\n1.png,0\n")
    with pytest.raises(ValueError, match="m.csv: no column path"):
        collection.read(tmp_path / "m.csv")
    np.save(tmp_path / "test_images.npy", np.zeros((2, 8, 8), np.uint8))
    np.save(tmp_path / "test_labels.npy", np.arange(2))
    with pytest.raises(ValueError, match="JPEG and PNG"):
        collection.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        collection.read(tmp_path / "none.csv")


def test_a_test_split_that_exists_is_kept():
    items = items_of([0, 0, 1], split="train")
    items[1] = items[1]._replace(split="test")
    assert collection.with_test_split(items) == items


def test_a_made_test_split_has_the_share_of_every_class_and_whole_groups():
    labels = [0] * 100 + [1] * 20
    made = collection.with_test_split(items_of(labels, groups=[f"g{i // 2}" for i in range(120)]), share=0.2, seed=5)
    test = [i for i in made if i.split == "test"]
    assert [sum(i.label == label for i in test) for label in (0, 1)] == [20, 4]
    assert {i.group for i in test}.isdisjoint({i.group for i in made if i.split == "train"})
    assert made == collection.with_test_split(items_of(labels, groups=[f"g{i // 2}" for i in range(120)]), share=0.2, seed=5)
    assert made != collection.with_test_split(items_of(labels, groups=[f"g{i // 2}" for i in range(120)]), share=0.2, seed=6)


def test_validation_images_do_not_become_test_images():
    items = items_of([0] * 10, split="train")[:5] + items_of([0] * 10, split="val")[5:]
    made = collection.with_test_split(items, share=0.4)
    assert [i.split for i in made].count("test") == 2 and [i.split for i in made][5:] == ["val"] * 5
