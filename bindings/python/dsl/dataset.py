"""Labelled images."""

from __future__ import annotations

import csv
import ctypes
import io
import os
from collections.abc import Mapping, Sequence
from ctypes import c_int64
from typing import Any, Union

import numpy as np

from . import _native
from ._native import Error, Handle, Status, check, create, lib, optional_text
from .arrays import holds_arrays, read_arrays
from .dicom import is_dicom
from .image import ImageLike, ImagesLike, Window, is_path, open_image, sequence_of


class Dataset:
    """Labelled images: files of a manifest or a folder, or arrays."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """A manifest (CSV with path,label[,class_name][,mask][,split][,group]), a folder that holds ISIC 2019, HAM10000, MURA or HyperKvasir as
        they are published, a folder with a subfolder of images per class, or NumPy files (see open_arrays). Where some of the images are DICOM,
        all are read at once (see read_dicom) and kept in memory as 8-bit RGB."""
        if holds_arrays(path):
            return cls.open_arrays(path)
        dataset = cls._open_files(path)
        rows = dataset.manifest()
        if not any(is_dicom(row["path"]) for row in rows):
            return dataset
        dataset.close()
        return cls.from_arrays(
            [row["path"] for row in rows], [int(row["label"]) for row in rows], splits=[row["split"] for row in rows],
            groups=[row["group"] for row in rows], class_names={int(row["label"]): row["class_name"] for row in rows},
            masks=[row["mask"] or None for row in rows],
        )  # fmt: skip

    @classmethod
    def _open_files(cls, path: str | os.PathLike[str]) -> Dataset:
        """Files by their names, none of them read."""
        return cls(create("dsl_dataset_open", "dsl_dataset_free", _native.encode_path(path)))

    @classmethod
    def open_lists(cls, train_list: str | os.PathLike[str], test_list: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Dataset:
        """The lists of training and test images that the method's authors publish: a header line, then "image_id class_id path" per line,
        class numbers from 1, paths relative to folder. Images need not be there until they are used."""
        return cls(create("dsl_dataset_open_lists", "dsl_dataset_free", *map(_native.encode_path, (train_list, test_list, folder))))

    @classmethod
    def open_arrays(cls, path: str | os.PathLike[str], *, class_names: Sequence[str] | Mapping[int, str] | None = None, window: Window | None = None) -> Dataset:
        """A folder of NumPy files {train,val,test}_images.npy ([N, H, W] or [N, H, W, C]) and _labels.npy ([N], from 0), or an .npz file with arrays
        of these names, as MedMNIST has it; any of the splits may be missing. {train,val,test}_groups say which images belong together. Arrays of
        a folder are not read into memory as they are, but the dataset keeps each image as 8-bit RGB. class_names and window: as in from_arrays."""
        return cls.from_arrays(**read_arrays(path), class_names=class_names, window=window)

    @classmethod
    def from_arrays(cls, images: ImagesLike, labels: Sequence[int], *, class_names: Sequence[str] | Mapping[int, str] | None = None,
                    splits: Sequence[str] | None = None, groups: Sequence[Any] | None = None, window: Window | None = None,
                    masks: Sequence[ImageLike | None] | None = None) -> Dataset:
        """Images with a label >= 0 each: a list, or an array [N, H, W] or [N, H, W, 1 or 3] of uint8, uint16 or floats. splits: "train", "val", "test",
        one for each image; groups (patient, lesion): equal values stay together; class_names by label. window: the values of uint16 and floats
        that become black and white. masks: one for each image, None or nonzero in the finding, [H, W] of any size."""
        images = sequence_of(images)
        n = len(images)
        for name, values in (("labels", labels), ("splits", splits), ("groups", groups), ("masks", masks)):
            if values is not None and len(values) != n:
                raise Error(Status.INVALID, f"dsl: {name}: got {len(values)} for {n} images")
        labels = _integers(labels, n)
        dataset = cls(create("dsl_dataset_create", "dsl_dataset_free"))
        for i in range(n):
            image = open_image(images[i], window)
            try:
                check(lib().dsl_dataset_add(dataset._handle.pointer, image.pointer, labels[i], optional_text(splits[i] if splits is not None else None),
                                            optional_text(str(groups[i]) if groups is not None else None)))
            finally:
                if image is not images[i]:
                    image.close()
        for i, mask in enumerate(masks or []):
            if mask is not None:
                dataset._set_mask(i, mask)
        names = class_names.items() if isinstance(class_names, Mapping) else enumerate(class_names or [])
        for label, name in names:
            check(lib().dsl_dataset_set_class_name(dataset._handle.pointer, label, name.encode()))
        return dataset

    def _set_mask(self, index: int, mask: ImageLike) -> None:
        if not is_path(mask):
            mask = (np.asarray(mask) != 0).astype(np.uint8)
        image = open_image(mask, None)
        try:
            check(lib().dsl_dataset_set_mask(self._handle.pointer, index, image.pointer))
        finally:
            image.close()

    def size(self, split: str = "") -> int:
        """How many images a split has; "" counts all."""
        n = c_int64()
        check(lib().dsl_dataset_size(self._handle.pointer, split.encode(), ctypes.byref(n)))
        return n.value

    def manifest(self) -> list[dict[str, str]]:
        """What was read: for each image its path ("" in memory), label, class_name, mask, split and group."""
        return list(csv.DictReader(io.StringIO(_native.text_of("dsl_dataset_manifest", self._handle), newline="")))

    def __len__(self) -> int:
        return self.size()

    def close(self) -> None:
        """Frees the images; may be called twice."""
        self._handle.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _integers(labels: Any, n: int) -> list[int]:
    """Labels [N] or [N, 1] as numbers for C."""
    array = np.asarray(labels)
    if n > 0 and (array.dtype.kind not in "iub" or array.shape not in ((n,), (n, 1))):
        raise Error(Status.INVALID, f"dsl: labels: got {array.dtype} of shape {array.shape}, want an integer for each of {n} images")
    return [int(label) for label in array.reshape(n)]


# What train and evaluate read: a Dataset, a path, or (images, labels).
DataLike = Union[Dataset, str, "os.PathLike[str]", tuple[ImagesLike, Sequence[int]]]


def dataset_of(data: DataLike) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, os.PathLike)):
        return Dataset.open(data)
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset.from_arrays(*data)
    raise Error(Status.INVALID, f"dsl: data: got {type(data).__name__}, want a path, a Dataset, or (images, labels)")
