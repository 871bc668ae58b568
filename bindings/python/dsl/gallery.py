"""The commands index, search and cluster of the command line."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ._native import Error, Status
from .index import Index, Item, cluster
from .model import Model

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".dcm"}


@dataclass(frozen=True)
class Picture:
    """A picture to embed. Its id is the file's name, below a folder or a manifest's with the folders between."""

    path: Path
    id: str
    label: int = -1
    group: str = ""


def pictures(names: list[str]) -> list[Picture]:
    """Image files, all image files below folders, and the rows of manifests (.csv)."""
    found = [p for name in names for p in _pictures_of(Path(name))]
    if not found:
        raise Error(Status.NOT_FOUND, "dsl: images: the folders and manifests name no .jpg, .png or .dcm files")
    return found


def _pictures_of(path: Path) -> Iterator[Picture]:
    if path.is_dir():
        for p in sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            yield Picture(p, p.relative_to(path).as_posix())
    elif path.suffix.lower() == ".csv":
        with path.open(newline="", encoding="utf-8") as f:
            for number, row in enumerate(csv.DictReader(f), 2):
                label = row.get("label") or "-1"
                if not row.get("path") or not label.removeprefix("-").isdigit():
                    raise Error(Status.INVALID, f'dsl: manifest "{path.name}": line {number}: want a path, and a label that is a number')
                yield Picture(path.parent / row["path"], row["path"], int(label), row.get("group") or "")
    else:
        yield Picture(path, path.name)


def add_commands(commands: Any, add_model: Callable[[argparse.ArgumentParser], None]) -> None:
    what = "image files, folders, or manifests (.csv with path[,label][,group])"
    p = commands.add_parser("index", help="embed a gallery of images, to search in")
    p.set_defaults(run=run_index)
    add_model(p)
    p.add_argument("images", nargs="+", help=what)
    p.add_argument("-o", "--out", required=True, help="a .dsl file; it holds the images' names, labels and groups")

    p = commands.add_parser("search", help="the images of a gallery that are most similar to others")
    p.set_defaults(run=run_search)
    add_model(p)
    p.add_argument("gallery", help="a .dsl file of dsl index")
    p.add_argument("images", nargs="+", help=what)
    p.add_argument("-k", type=int, default=5, help="so many neighbours (5)")
    p.add_argument("--learner", type=int, help="compare this learner's part alone, 0 to K-1; default: the whole embedding")
    p.add_argument("--exclude-id", action="store_true", help="leave out what has the query's name")
    p.add_argument("--exclude-group", action="store_true", help="leave out the query's group, which a manifest or its name in the gallery tells, and its name")
    p.add_argument("--json", help="write the neighbours to this file")

    p = commands.add_parser("cluster", help="group images by K-means of their embeddings")
    p.set_defaults(run=run_cluster)
    add_model(p)
    p.add_argument("images", nargs="+", help=what)
    p.add_argument("-k", type=int, required=True, help="so many clusters")
    p.add_argument("-o", "--out", required=True, help="a .csv file with the columns id,cluster")
    p.add_argument("--seed", type=int, default=0)


def _load(o: argparse.Namespace) -> Model:
    return Model.load(o.model, device=o.device, precision=o.precision, threads=o.threads)


def run_index(o: argparse.Namespace) -> None:
    found = pictures(o.images)
    with _load(o) as model, Index(model) as index:
        index.add(model.embed([p.path for p in found]), [p.id for p in found], labels=[p.label for p in found], groups=[p.group for p in found])
        index.save(o.out)
    print(f"{len(found)} images in {o.out}")


def run_search(o: argparse.Namespace) -> None:
    queries = pictures(o.images)
    with _load(o) as model, Index.load(o.gallery, model) as index:
        ids = [p.id for p in queries] if o.exclude_id or o.exclude_group else None
        groups = _groups_of(queries, index) if o.exclude_group else None
        found = index.search(model.embed([p.path for p in queries]), o.k, learner=o.learner, exclude_ids=ids, exclude_groups=groups, threads=o.threads, device=o.device)
        results = []
        for query, rows, similarities in zip(queries, found.rows.tolist(), found.similarities.tolist()):
            hits = [(s, index.item(row)) for row, s in zip(rows, similarities) if row >= 0]
            results.append({"query": query.id, "neighbours": [{"similarity": s, **asdict(item)} for s, item in hits]})
            print_hits(query, hits)
    if o.json:
        Path(o.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _groups_of(queries: list[Picture], index: Index) -> list[str]:
    """The queries' groups, of those without one that of the gallery's image of the same name."""
    known = {}
    if not all(q.group for q in queries):
        items = (index.item(row) for row in range(len(index)))
        known = {item.id: item.group or "" for item in items}
    return [q.group or known.get(q.id, "") for q in queries]


def print_hits(query: Picture, hits: list[tuple[float, Item]]) -> None:
    print(query.id)
    for rank, (similarity, item) in enumerate(hits, 1):
        label = "" if item.label is None else f"label {item.label}"
        print(f"  {rank:>3}  {similarity:7.4f}  {label:10}{item.id}" + (f"  ({item.group})" if item.group else ""))
    if not hits:
        print("  nothing is left")


def run_cluster(o: argparse.Namespace) -> None:
    found = pictures(o.images)
    with _load(o) as model:
        groups = cluster(model.embed([p.path for p in found]), o.k, seed=o.seed, threads=o.threads, device=o.device)
    with open(o.out, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["id", "cluster"])
        writer.writerows(zip([p.id for p in found], groups.assignment.tolist()))
    for k in range(o.k):
        print(f"cluster {k}: {int((groups.assignment == k).sum())} images")
