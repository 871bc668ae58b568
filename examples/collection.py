"""A collection of labelled images as the examples see it: read from a manifest or a folder, with a test split made if it has none."""

import csv
import os
from typing import NamedTuple

import numpy as np

import dsl

COLUMNS = ("path", "label", "class_name", "mask", "split", "group")


class Item(NamedTuple):
    """One image. Paths are absolute; mask, split and group are "" where there is none."""

    path: str
    label: int
    class_name: str
    mask: str
    split: str
    group: str


def read(source):
    """The items of a manifest.csv, or of a folder. Raises OSError, ValueError and dsl.Error."""
    items = read_folder(source) if os.path.isdir(source) else read_manifest(source)
    if not items:
        raise ValueError(f"{os.path.basename(source)}: no images. Give a manifest.csv with path,label columns, or a folder with one subfolder of images per class")
    return items


def read_manifest(path):
    folder = os.path.dirname(os.path.abspath(path))

    def absolute(cell):
        return os.path.normpath(os.path.join(folder, cell)) if cell else ""

    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = csv.DictReader(f)
        missing = {"path", "label"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{os.path.basename(path)}: no column {', '.join(sorted(missing))} in its header line")
        return [Item(absolute(r["path"]), int(r["label"]), r.get("class_name") or f"class {r['label']}", absolute(r.get("mask")), r.get("split") or "",
                     r.get("group") or "") for r in rows]  # fmt: skip


def read_folder(folder):
    """What libdsl finds there: a published data set, or a folder per class. Raises dsl.Error too."""
    with dsl.Dataset.open(os.path.abspath(folder)) as dataset:
        rows = dataset.manifest()
    if not all(row["path"] for row in rows):
        raise ValueError(f"{os.path.basename(folder)}: the examples read JPEG and PNG files; dsl.train takes the others too")
    return [Item(row["path"], int(row["label"]), row["class_name"], row["mask"], row["split"], row["group"]) for row in rows]


def with_test_split(items, share=0.2, seed=0):
    """Items as they are when some are "test"; else about share of each class's training images moved to it, whole groups together.
    Items without a split are training images."""
    if any(item.split == "test" for item in items):
        return items
    rng = np.random.default_rng(seed)
    units = {}  # (group or the image itself) -> indices
    for i, item in enumerate(items):
        if item.split == "val":
            continue
        units.setdefault(item.group or i, []).append(i)
    test = set()
    by_label = {}
    for unit in units.values():
        by_label.setdefault(items[unit[0]].label, []).append(unit)
    for _, of_label in sorted(by_label.items()):
        wanted, taken = share * sum(map(len, of_label)), 0
        for k in rng.permutation(len(of_label)):
            if taken + len(of_label[k]) / 2 > wanted:
                break
            test.update(of_label[k])
            taken += len(of_label[k])
    return [item._replace(split="test" if i in test else item.split or "train") for i, item in enumerate(items)]


def write(items, path):
    """Writes a manifest with absolute paths."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(items)
