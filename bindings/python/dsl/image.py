"""Images from files and arrays."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from ctypes import c_int32
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _native
from ._native import Array, Error, Handle, Status, check, create, lib
from .dicom import is_dicom, read_dicom

# A picture: a path (JPEG, PNG, DICOM), or an array [H, W], [H, W, 1] or [H, W, 3] of uint8, uint16, float32 (or what numpy makes one of, as PIL's images).
ImageLike = Union[str, "os.PathLike[str]", npt.NDArray[Any], Any]
# Several: a sequence of pictures, or an array [N, H, W] or [N, H, W, C].
ImagesLike = Union[Sequence[ImageLike], npt.NDArray[Any]]
Window = tuple[float, float]

_DTYPES = {np.dtype(np.uint8): 0, np.dtype(np.uint16): 1, np.dtype(np.float32): 2}


def load_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Reads a JPEG, PNG or DICOM file: [H, W, 3] uint8, the file's own pixel grid, without EXIF orientation, as heatmaps are."""
    image = open_image(path, None)
    try:
        height, width = size_of(image)
        out = np.empty((height, width, 3), np.uint8)
        check(lib().dsl_image_pixels(image.pointer, out.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), out.size))
        return out
    finally:
        image.close()


def is_path(image: Any) -> bool:
    return isinstance(image, (str, os.PathLike))


def sequence_of(images: ImagesLike) -> Sequence[ImageLike]:
    """Checks that images are several, not one."""
    if is_path(images):
        raise Error(Status.INVALID, "dsl: images: got one path, want a list of images: [path]")
    if isinstance(images, np.ndarray):
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (1, 3))
        if single or images.ndim not in (3, 4):
            raise Error(Status.INVALID, f"dsl: images: got an array of shape {images.shape}, want [N, H, W, C], or a list of images: [image]")
        return images
    if not isinstance(images, Iterable):
        raise Error(Status.INVALID, f"dsl: images: got {type(images).__name__}, want a list of paths or arrays")
    return images if isinstance(images, Sequence) else list(images)


def open_image(image: ImageLike, window: Window | None) -> Handle:
    """A handle of one picture. window: the values that become black and white; None means the full range of the type (0..1 for floats), and the
    file's own window for DICOM."""
    if isinstance(image, Handle):
        return image
    if is_path(image) and is_dicom(image):
        return open_image(read_dicom(image, window="auto" if window is None else (sum(window) / 2, window[1] - window[0])), None)
    if is_path(image):
        return create("dsl_image_load_file", "dsl_image_free", _native.encode_path(image))
    pixels = np.asarray(image)
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    native = pixels.dtype.newbyteorder("=")
    if native not in _DTYPES:
        raise Error(Status.INVALID, f"dsl: image: got an array of {pixels.dtype}, want uint8, uint16 or float32")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise Error(Status.INVALID, f"dsl: image: got an array of shape {pixels.shape}, want [H, W], [H, W, 1] or [H, W, 3]")
    row = pixels.shape[1] * pixels.shape[2] * pixels.itemsize
    strides_fit = pixels.strides[1:] == (pixels.shape[2] * pixels.itemsize, pixels.itemsize) and pixels.strides[0] >= row
    if not strides_fit or pixels.dtype != native or not pixels.flags.aligned:
        pixels = np.ascontiguousarray(pixels, native)
    array = Array(struct_size=ctypes.sizeof(Array), dtype=_DTYPES[native], data=pixels.ctypes.data,
                  data_size_bytes=pixels.strides[0] * max(pixels.shape[0] - 1, 0) + row, row_stride_bytes=pixels.strides[0],
                  height=pixels.shape[0], width=pixels.shape[1], channels=pixels.shape[2])
    if window is not None:
        array.window_low, array.window_high = window
        if window[0] == window[1]:
            raise Error(Status.INVALID, f"dsl: window: got {window}, want two different numbers")
    return create("dsl_image_from_array", "dsl_image_free", ctypes.byref(array))


def size_of(image: Handle) -> tuple[int, int]:
    height, width = c_int32(), c_int32()
    check(lib().dsl_image_size(image.pointer, ctypes.byref(height), ctypes.byref(width)))
    return height.value, width.value
