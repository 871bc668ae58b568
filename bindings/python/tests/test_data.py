"""Data sets: published layouts, the authors' lists, manifests of them; from Python and the command line."""

from pathlib import Path

import pytest

import dsl
from conftest import ROOT, draw
from dsl.__main__ import main
from dsl.overlay import write_png


@pytest.fixture
def ham(tmp_path):
    """HAM10000 in miniature: 16 images of two classes, two of each lesion."""
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for part in (1, 2):
        (tmp_path / f"HAM10000_images_part_{part}").mkdir()
    for i in range(16):
        write_png(tmp_path / f"HAM10000_images_part_{1 + i % 2}" / f"ISIC_{i}.jpg", draw(i // 8))  # told by content
        rows.append(f"HAM_{i // 2},ISIC_{i},{'nv' if i < 8 else 'mel'},histo,50,male,back")
    (tmp_path / "HAM10000_metadata.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_published_data_set_is_told_by_its_files(ham):
    with dsl.Dataset.open(ham) as dataset:
        rows = dataset.manifest()
        assert (len(dataset), dataset.size("test"), dataset.size("val")) == (16, 4, 0)
    assert rows[0] == {"path": str(ham / "HAM10000_images_part_1" / "ISIC_0.jpg"), "label": "5", "class_name": "nv", "mask": "",
                       "split": rows[0]["split"], "group": "HAM_0"}
    assert len({(row["group"], row["split"]) for row in rows}) == 8  # no lesion in two splits


def test_what_a_published_data_set_lacks_is_named_with_its_source(ham):
    (ham / "HAM10000_images_part_2" / "ISIC_3.jpg").unlink()
    with pytest.raises(dsl.Error, match="lacks 1 images that it names.*ISIC_3.jpg.*Dataverse") as caught:
        dsl.Dataset.open(ham)
    assert caught.value.code == dsl.Status.NOT_FOUND and str(ham) not in str(caught.value)


def test_the_manifest_command_writes_what_was_read(ham, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "manifest.csv"
    assert main(["manifest", str(ham), "-o", str(out)]) == 0
    assert "16 images of 2 classes" in capsys.readouterr().out
    assert out.read_text().splitlines()[1].startswith("../HAM10000_images_part_1/ISIC_0.jpg,5,nv,,")
    with dsl.Dataset.open(out) as again, dsl.Dataset.open(ham) as first:
        assert [{**r, "path": Path(r["path"]).resolve()} for r in again.manifest()] == [{**r, "path": Path(r["path"]).resolve()} for r in first.manifest()]
    assert main(["manifest", str(tmp_path / "none"), "-o", str(out)]) == 1


def test_a_name_that_is_not_utf8_passes(tmp_path):
    write_png(tmp_path / "plain.png", draw(0))
    folder = tmp_path / "data" / "class"
    folder.mkdir(parents=True)
    odd = folder / b"\xff.png".decode("utf-8", "surrogateescape")
    odd.write_bytes((tmp_path / "plain.png").read_bytes())
    with dsl.Dataset.open(tmp_path / "data") as dataset:
        assert dataset.manifest()[0]["path"] == str(odd)


def test_lists_are_read_without_their_images(tmp_path):
    (tmp_path / "train.txt").write_text("image_id class_id path\n1 1 a.png\n2 3 b.png\n")
    (tmp_path / "test.txt").write_text("image_id class_id path\n3 2 c.png\n")
    with dsl.Dataset.open_lists(tmp_path / "train.txt", tmp_path / "test.txt", tmp_path) as dataset:
        assert [(r["label"], r["class_name"], r["split"]) for r in dataset.manifest()] == [("0", "class 1", "train"), ("2", "class 3", "train"), ("1", "class 2", "test")]
    with pytest.raises(dsl.Error, match='"a.png" again'):
        dsl.Dataset.open_lists(tmp_path / "train.txt", tmp_path / "train.txt", tmp_path)


@pytest.mark.parametrize(("name", "train", "test", "classes"), [("ISIC", 20000, 5331, 8), ("MURA", 36808, 3197, 14), ("HKVASIR", 8567, 2095, 23)])
def test_the_authors_lists_have_the_counts_of_the_paper(name, train, test, classes):
    lists = ROOT.parent / "shared" / "data" / "splits"
    if not lists.is_dir():
        pytest.skip("the authors' lists are not here (../shared/data/splits)")
    with dsl.Dataset.open_lists(lists / f"{name}_train.txt", lists / f"{name}_test.txt", ".") as dataset:
        assert (dataset.size("train"), dataset.size("test")) == (train, test)
        assert len({row["label"] for row in dataset.manifest()}) == classes
