"""Index and cluster: against naive loops in NumPy and against scikit-learn; names, exclusions, files; the commands."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

import dsl
from dsl.__main__ import main as run_main

RNG = np.random.default_rng(5)
DATA = Path(os.environ.get("DSL_DATA") or Path(__file__).resolve().parents[3].parent / "shared" / "data")


def code_of(call):
    with pytest.raises(dsl.Error) as caught:
        call()
    assert str(caught.value)
    return caught.value.code


def naive(gallery, queries, k, excluded=None):
    """Sorts all rows by their float64 cosine; of equal ones the first comes first."""
    unit = [(r / np.linalg.norm(r.astype(np.float64), axis=1, keepdims=True)).astype(np.float32).astype(np.float64) for r in (gallery, queries)]
    similarity = np.array([[sum(a * b) for a in unit[0]] for b in unit[1]])
    if excluded is not None:
        similarity[excluded] = -np.inf
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(similarity, rows, 1)


def test_search_equals_sorting_all_rows():
    gallery, queries = RNG.normal(size=(300, 24)).astype(np.float32), RNG.normal(size=(20, 24)).astype(np.float32)
    index = dsl.Index(embedding_dim=24)
    index.add(gallery[:100])
    index.add(gallery[100:])
    found = index.search(queries, 7)
    rows, similarities = naive(gallery, queries, 7)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarities, similarities, atol=1e-6)
    assert found.ids == rows.tolist() and len(index) == 300


def test_own_ids_and_groups_are_left_out():
    gallery = RNG.normal(size=(60, 8)).astype(np.float32)
    ids, groups = [f"scan {i}" for i in range(60)], [f"patient {i % 7}" if i % 5 else "" for i in range(60)]
    index = dsl.Index(embedding_dim=8)
    index.add(gallery, ids, labels=np.arange(60) % 3, groups=groups)
    same = np.array([[a == b for b in ids] for a in ids])
    np.testing.assert_array_equal(index.search(gallery, 4, exclude_ids=ids).rows, naive(gallery, gallery, 4, same)[0])
    same |= np.array([[bool(a) and a == b for b in groups] for a in groups])
    found = index.search(gallery, 4, exclude_ids=ids, exclude_groups=groups)
    np.testing.assert_array_equal(found.rows, naive(gallery, gallery, 4, same)[0])
    assert index.item(8) == dsl.Item("scan 8", 2, "patient 1") and index.item(5) == dsl.Item("scan 5", 2, None)
    assert index.search(gallery[:1], 100, exclude_ids=ids[:1]).ids[0][-1] in ids[1:]
    assert index.search(gallery[:1], 61).rows[0, -1] == -1 and index.search(gallery[:1], 61).similarities[0, -1] == -np.inf


def test_a_learner_compares_its_own_part(model, images):
    e = model.embed(images)
    index = dsl.Index(model)
    index.add(e)
    for k, learner in enumerate(model.info["learners"]):
        rows, similarities = naive(e[:, learner["subspace"]], e[:, learner["subspace"]], 5)
        found = index.search(e, 5, learner=k, model=model)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_allclose(found.similarities, similarities, atol=1e-6)
    assert code_of(lambda: index.search(e, 5, learner=2)) == dsl.Status.INVALID


def test_a_saved_index_finds_the_same(model, model_path, images, dataset, tmp_path):
    e = model.embed(images)
    with dsl.Index(model) as index:
        index.add(e, range(100, 124), labels=[-1] * 24, groups=[""] * 24)
        index.save(tmp_path / "gallery.dsl")
        found = index.search(e, 3)
    assert code_of(lambda: index.search(e, 3)) == dsl.Status.INVALID
    with dsl.Index.load(tmp_path / "gallery.dsl", model) as copy:
        again = copy.search(e, 3)
        np.testing.assert_array_equal(again.rows, found.rows)
        np.testing.assert_array_equal(again.similarities, found.similarities)
        assert again.ids == found.ids and again.ids[4][0] == 104 and copy.info["ids"] == "number" and copy.info["num_learners"] == 2
    assert code_of(lambda: dsl.Index.load(model_path)) == dsl.Status.INVALID
    assert code_of(lambda: dsl.Model.load(tmp_path / "gallery.dsl")) == dsl.Status.INVALID
    (tmp_path / "cut.dsl").write_bytes((tmp_path / "gallery.dsl").read_bytes()[:-9])
    assert code_of(lambda: dsl.Index.load(tmp_path / "cut.dsl")) == dsl.Status.CORRUPT


def test_another_model_is_refused(model, images, dataset, tmp_path):
    from conftest import TINY

    with dsl.train(dataset, tmp_path / "other.dsl", progress=False, **{**TINY, "seed": 9}) as other, dsl.Index(model) as index:
        e = model.embed(images)
        index.add(e)
        index.save(tmp_path / "gallery.dsl")
        assert code_of(lambda: dsl.Index.load(tmp_path / "gallery.dsl", other)) == dsl.Status.INVALID
        assert code_of(lambda: index.search(other.embed(images), 3, model=other)) == dsl.Status.INVALID
        model.save(tmp_path / "copy.dsl")
        with dsl.Model.load(tmp_path / "copy.dsl") as copy:
            index.search(e, 3, model=copy)


def test_what_makes_no_sense_is_refused():
    index = dsl.Index(embedding_dim=4)
    row = np.ones((1, 4), np.float32)
    index.add(row, ["a"])
    for bad in (
        lambda: dsl.Index(),
        lambda: index.add(np.ones((1, 5), np.float32)),
        lambda: index.add(np.ones(4, np.float32)),
        lambda: index.add(row * np.nan, ["a"]),
        lambda: index.add(row * 0, ["a"]),
        lambda: index.add(row, [1]),
        lambda: index.add(row, ["a", "b"]),
        lambda: index.add(row, [1.5]),
        lambda: index.add(row, ["a\0b"]),
        lambda: index.add(row, ["a"], labels=[-2]),
        lambda: index.add(row, ["a"], groups="g"),
        lambda: index.search(row, 0),
        lambda: index.search(row, -1),
        lambda: index.search(row, 1, exclude_ids=[1]),
        lambda: index.search(row, 1, device="gpu"),
        lambda: dsl.cluster(row, 1, device="gpu"),
        lambda: dsl.cluster(row, 2),
        lambda: dsl.cluster(row, 0),
        lambda: dsl.cluster(row, 1, restarts=0),
        lambda: dsl.cluster(row * np.inf, 1),
        lambda: dsl.cluster(row, 1, seed=-1),
    ):
        assert code_of(bad) == dsl.Status.INVALID
    assert code_of(lambda: index.item(1)) == dsl.Status.NOT_FOUND
    assert len(index) == 1 and index.search(np.empty((0, 4)), 3).rows.shape == (0, 3)


def test_clusters_are_where_the_rows_are():
    centres = np.eye(5, dtype=np.float32) * 10
    x = np.repeat(centres, 20, axis=0) + RNG.normal(size=(100, 5)).astype(np.float32) * 0.1
    found = dsl.cluster(x, 5, seed=3)
    assert len({tuple(np.unique(part)) for part in found.assignment.reshape(5, 20)}) == 5
    np.testing.assert_allclose(found.centres[found.assignment[::20]], x.reshape(5, 20, 5).mean(1), atol=1e-4)
    assert found.inertia == pytest.approx(((x - found.centres[found.assignment]) ** 2).sum(), rel=1e-5)
    np.testing.assert_array_equal(dsl.cluster(x, 5, seed=3, threads=1).assignment, found.assignment)


def test_clusters_of_pictures_are_as_tight_as_scikit_learns():
    sklearn_cluster = pytest.importorskip("sklearn.cluster")
    folder = DATA / "ham10000_28"
    if not folder.is_dir():
        pytest.skip("no ham10000_28 in ../shared/data beside the repository, nor in $DSL_DATA")
    x = np.load(folder / "val_images.npy").reshape(-1, 7, 4, 7, 4, 3).astype(np.float32).mean((2, 4)).reshape(-1, 147) / 255
    for k in (7, 30):
        ours = np.mean([dsl.cluster(x, k, seed=s).inertia for s in range(3)])
        theirs = np.mean([sklearn_cluster.KMeans(k, n_init=5, max_iter=100, random_state=s).fit(x).inertia_ for s in range(3)])
        assert ours < theirs * 1.005


def test_the_commands(model_path, files, tmp_path, capsys):
    manifest = files[0].parent / "manifest.csv"
    manifest.write_text("path,label,group\n" + "".join(f"{p.name},{i % 2},p{i // 2}\n" for i, p in enumerate(files)))
    gallery, out = str(tmp_path / "gallery.dsl"), str(tmp_path / "found.json")
    assert run_main(["index", str(model_path), str(manifest), "-o", gallery]) == 0
    assert run_main(["search", str(model_path), gallery, str(files[2]), "-k", "3", "--json", out]) == 0
    (found,) = json.loads(Path(out).read_text())
    assert found["query"] == "image2.png" and found["neighbours"][0]["id"] == "image2.png" and len(found["neighbours"]) == 3
    assert found["neighbours"][0]["similarity"] == pytest.approx(1, abs=1e-5) and found["neighbours"][0]["label"] == 0
    assert "image2.png" in capsys.readouterr().out
    assert run_main(["search", str(model_path), gallery, str(files[2]), "--learner", "1", "--exclude-group", "--json", out]) == 0
    (found,) = json.loads(Path(out).read_text())
    assert sorted(n["id"] for n in found["neighbours"]) == ["image0.png", "image1.png"] and {n["group"] for n in found["neighbours"]} == {"p0"}
    assert run_main(["search", str(model_path), gallery, str(files[0]), "--exclude-id", "--json", out]) == 0
    assert "image0.png" not in [n["id"] for n in json.loads(Path(out).read_text())[0]["neighbours"]]
    table = tmp_path / "clusters.csv"
    assert run_main(["cluster", str(model_path), str(files[0].parent), "-k", "2", "-o", str(table)]) == 0
    with table.open() as f:
        rows = list(csv.DictReader(f))
    assert [r["id"] for r in rows] == [p.name for p in files] and {r["cluster"] for r in rows} == {"0", "1"}
    assert run_main(["search", str(model_path), str(model_path), str(files[0])]) == 1
    assert run_main(["index", str(model_path), str(tmp_path), "-o", gallery]) == 1
    (tmp_path / "bad.csv").write_text("path,label\na.png,nevus\n")
    assert run_main(["cluster", str(model_path), str(tmp_path / "bad.csv"), "-k", "2", "-o", str(table)]) == 1
    assert "line 2" in capsys.readouterr().err
    assert run_main(["embed", str(model_path), str(files[0].parent), "-o", str(tmp_path / "e.npy")]) == 0
    assert np.load(tmp_path / "e.npy").shape == (4, 16) and (tmp_path / "e.txt").read_text().split() == [str(p) for p in files]
