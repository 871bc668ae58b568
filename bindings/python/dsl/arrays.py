"""Data sets of NumPy files: {train,val,test}_images.npy and _labels.npy in a folder, or the same names in an .npz file, as MedMNIST has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import Error, Status

_SPLITS = ("train", "val", "test")


def holds_arrays(path: str | os.PathLike[str]) -> bool:
    """Whether a path is such a folder, or an .npz file."""
    path = Path(os.fsdecode(path))
    return path.suffix == ".npz" or any((path / f"{split}_images.npy").is_file() for split in _SPLITS)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What Dataset.from_arrays takes: images, labels, splits and groups. Files of a folder are mapped into memory, not read."""
    path = Path(os.fsdecode(path))
    arrays = _npz(path) if path.suffix == ".npz" else _folder(path)
    images: list[npt.NDArray[Any]] = []
    labels: list[int] = []
    splits: list[str] = []
    groups: list[Any] = []
    for split in _SPLITS:
        if f"{split}_images" not in arrays:
            continue
        part, of_part = arrays[f"{split}_images"], _column(path, arrays, f"{split}_labels", split)
        if part.ndim not in (3, 4):
            raise Error(Status.INVALID, f'dsl: arrays "{path.name}": got {split}_images of shape {part.shape}, want [N, H, W] or [N, H, W, C]')
        if of_part.dtype.kind not in "iu":
            raise Error(Status.INVALID, f'dsl: arrays "{path.name}": got {split}_labels of {of_part.dtype}, want integers')
        images += list(part)  # rows that share the memory of part
        labels += of_part.tolist()
        splits += [split] * len(part)
        if f"{split}_groups" in arrays:
            groups += _column(path, arrays, f"{split}_groups", split).tolist()
    if not images:
        raise Error(Status.INVALID, f'dsl: arrays "{path.name}": got no images, want train_images, val_images or test_images')
    if groups and len(groups) != len(images):
        raise Error(Status.INVALID, f'dsl: arrays "{path.name}": got groups for {len(groups)} of {len(images)} images, want them for all splits or none')
    return {"images": images, "labels": labels, "splits": splits, "groups": groups or None}


def _column(path: Path, arrays: Mapping[str, npt.NDArray[Any]], name: str, split: str) -> npt.NDArray[Any]:
    """A number or text for each image of a split; [N, 1] is [N]."""
    if name not in arrays:
        raise Error(Status.NOT_FOUND, f'dsl: arrays "{path.name}": got {split}_images without {name}')
    column, n = arrays[name], len(arrays[f"{split}_images"])
    if column.shape not in ((n,), (n, 1)):
        raise Error(Status.INVALID, f'dsl: arrays "{path.name}": got {name} of shape {column.shape} for {n} images, want [{n}]')
    return column.reshape(n)


def _folder(path: Path) -> dict[str, npt.NDArray[Any]]:
    return {file.stem: _load(file, "r") for split in _SPLITS for what in ("images", "labels", "groups") if (file := path / f"{split}_{what}.npy").is_file()}


def _npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    with _load(path, None) as archive:
        try:
            return {name: archive[name] for name in archive.files if name.startswith(tuple(f"{split}_" for split in _SPLITS))}
        except Exception as e:  # of zip, of zlib, of an array's header
            raise Error(Status.CORRUPT, f'dsl: arrays "{path.name}": cannot be read ({e})') from None


def _load(file: Path, mode: Any) -> Any:
    try:
        return np.load(file, mmap_mode=mode)
    except FileNotFoundError:
        raise Error(Status.NOT_FOUND, f'dsl: arrays "{file.name}": there is no such file') from None
    except OSError as e:
        raise Error(Status.IO, f'dsl: arrays "{file.name}": cannot be read ({e.strerror})') from None
    except Exception as e:  # no array, pickled objects, cut short
        raise Error(Status.CORRUPT, f'dsl: arrays "{file.name}": cannot be read ({e})') from None
