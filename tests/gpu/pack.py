#!/usr/bin/env python3
"""Packs the images of a manifest, as they are, into one .npz for run.sh: pack.py MANIFEST.csv OUT.npz.

The files' bytes are one array, so that compression sees the headers that they share. Data sets have licences: what is packed is not for others.
"""

import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "bindings" / "python")]

import collection  # noqa: E402


def main():
    manifest, out = sys.argv[1:]
    items = collection.read(manifest)
    files = [pathlib.Path(item.path).read_bytes() for item in items]
    names = {item.label: item.class_name for item in items}
    np.savez_compressed(
        out, files=np.frombuffer(b"".join(files), np.uint8), ends=np.cumsum([len(f) for f in files]),
        suffix=pathlib.Path(items[0].path).suffix, labels=[item.label for item in items], splits=[item.split for item in items],
        groups=[item.group for item in items], class_names=[names.get(label, "") for label in range(max(names) + 1)])  # fmt: skip
    print(f"{len(items)} images, {pathlib.Path(out).stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
