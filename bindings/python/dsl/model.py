"""Trained models: embeddings, heatmaps, explanations."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int32, c_void_p
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _call, _native
from ._native import CalibrateOptions, Error, Explanation, Handle, SessionOptions, Status, check, create, lib, optional_text
from .dataset import DataLike, Dataset, dataset_of
from .dicom import is_dicom
from .image import ImageLike, ImagesLike, Window, is_path, open_image, sequence_of, size_of

_CHUNK = 64  # arrays copied into the library at a time


@dataclass(frozen=True)
class PairExplanation:
    """Why two images are similar: sum(grid) + bias = sum(map) + bias = similarity, for a and for b."""

    similarity: float  # cosine, in [-1, 1]
    bias_a: float  # what belongs to no place
    bias_b: float
    grid_a: npt.NDArray[np.float32]  # the network's own grid
    grid_b: npt.NDArray[np.float32]
    map_a: npt.NDArray[np.float32]  # in the original's pixels
    map_b: npt.NDArray[np.float32]


class Model:
    """A trained model. Methods may be called from several threads; calls on one model wait for each other."""

    def __init__(self, handle: Handle, device: str, precision: str, threads: int, batch_invariant: bool) -> None:
        self._handle = handle
        self._options = (device, precision, threads, batch_invariant)
        self._session_handle: Handle | None = None
        self._lock = threading.Lock()
        self._info: dict[str, Any] | None = None
        self.report: dict[str, Any] | None = None  # of the training, when train made this model

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str = "auto", precision: str = "auto", threads: int = 0, batch_invariant: bool = False
    ) -> Model:
        """Reads a .dsl file.

        device: "auto" (the first GPU that can be used, else the CPU), "cpu", "cuda", "cuda:1". precision: "auto" (float32 on a CPU, bfloat16
        on a GPU that multiplies it), "f32", "tf32", "bf16", or "int8": about three times as fast on a CPU with VNNI, for a model from calibrate.
        threads: 0 means all cores. batch_invariant: an embedding does not depend in one bit on
        the images beside it (else to about 1e-5), at some cost in speed.
        """
        return cls(create("dsl_model_load", "dsl_model_free", _native.encode_path(path)), device, precision, threads, batch_invariant)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model, without training state."""
        check(lib().dsl_model_save(self._handle.pointer, _native.encode_path(path)))

    def calibrate(
        self, data: DataLike | ImagesLike, *, num_images: int = 256, split: str = "train", window: Window | None = None,
        device: str = "cpu", precision: str = "int8", threads: int = 0,
    ) -> Model:  # fmt: skip
        """A copy of the model that can also compute with the precision "int8", which is the one that it starts with: it knows the ranges of the
        network's feature maps, measured on num_images images (all, if there are fewer). save keeps them. Labels do not count.

        data: what train reads, of which split counts, or a list of paths or arrays; window: as in embed, of a list. device: where the ranges are measured; the
        copy is on it too, but for int8, which the CPU computes. The copy's other options are those of load; to an index it is the same model.
        """
        with _pictures_of(data, split, num_images, window) as dataset:
            o = CalibrateOptions(ctypes.sizeof(CalibrateOptions), num_images, split.encode(), device.encode(), threads, 0)
            made = c_void_p()
            _call.run("dsl_model_calibrate", (self._handle.pointer, dataset._handle.pointer, ctypes.byref(o)), (ctypes.byref(made),))
        return Model(Handle(made, "dsl_model_free"), "cpu" if precision == "int8" else device, precision, threads, self._options[3])

    @property
    def info(self) -> dict[str, Any]:
        """Architecture, classes, learners, preprocessing and model card."""
        if self._info is None:
            self._info = json.loads(_native.text_of("dsl_model_info", self._handle))
        return self._info

    @property
    def embedding_dim(self) -> int:
        return self._number("embedding_dim")

    @property
    def num_learners(self) -> int:
        return self._number("num_learners")

    @property
    def input_size(self) -> int:
        """Pixels of a side of what the network looks at."""
        return self._number("input_size")

    def embed(self, images: ImagesLike, *, window: Window | None = None) -> npt.NDArray[np.float32]:
        """Embeddings [N, D] float32, rows of unit length, of paths or arrays. window: for uint16 and float arrays and DICOM files,
        what becomes black and white."""
        images = sequence_of(images)
        out = np.empty((len(images), self.embedding_dim), np.float32)
        if len(images) and not isinstance(images, np.ndarray) and all(is_path(i) and not is_dicom(i) for i in images):
            paths = (c_char_p * len(images))(*[_native.encode_path(i) for i in images])
            _call.run("dsl_session_embed_files", (self._session().pointer, paths, len(images)), (_call.floats(out), out.size))
            return out
        for start in range(0, len(images), _CHUNK):
            with _open(images[start : start + _CHUNK], window) as handles:
                pointers = (c_void_p * len(handles))(*[h.pointer for h in handles])
                part = out[start : start + len(handles)]
                _call.run("dsl_session_embed", (self._session().pointer, pointers, len(handles)), (_call.floats(part), part.size))
        return out

    def heatmap(self, images: ImagesLike, *, grid: bool = False, window: Window | None = None) -> list[npt.NDArray[np.float32]]:
        """Where the network looks: for each image [H, W] float32 in [0, 1] in the original's pixels (grid: the network's own grid)."""
        return self._maps("dsl_session_heatmap", images, grid, window)

    def classify(self, images: ImagesLike, *, window: Window | None = None) -> npt.NDArray[np.float32]:
        """Class probabilities [N, number of classes] float32 of a classification network: column = label, rows sum to 1."""
        images = sequence_of(images)
        out = np.empty((len(images), self._number("num_classes")), np.float32)
        for start in range(0, max(len(images), 1), _CHUNK):  # no images: still an error for a model that does not classify
            with _open(images[start : start + _CHUNK], window) as handles:
                pointers = (c_void_p * len(handles))(*[h.pointer for h in handles])
                part = out[start : start + len(handles)]
                _call.run("dsl_session_classify", (self._session().pointer, pointers, len(handles)), (_call.floats(part), part.size))
        return out

    def grad_cam(self, images: ImagesLike, label: int | None = None, *, grid: bool = False, window: Window | None = None) -> list[npt.NDArray[np.float32]]:
        """Where a classification network sees the class label, or the class of the highest score (Grad-CAM): for each image [H, W] float32 in [0, 1]
        in the original's pixels (grid: the network's own grid), divided by its largest value; zeros where nothing speaks for the class."""
        if label is not None and label < 0:
            raise Error(Status.INVALID, f"dsl: label: got {label}, want 0 or more, or None for the predicted one")
        return self._maps("dsl_session_class_map", images, grid, window, (-1 if label is None else label,), (None,))

    def self_map(self, images: ImagesLike, *, grid: bool = False, window: Window | None = None) -> list[npt.NDArray[np.float32]]:
        """Where an image has what its own embedding is made of: the positive part of explain_pair(image, image), divided by its largest value;
        shapes as those of heatmap."""
        return self._maps("dsl_session_self_map", images, grid, window)

    def activation_map(self, images: ImagesLike, *, grid: bool = False, window: Window | None = None) -> list[npt.NDArray[np.float32]]:
        """Where an image has strong features: the norm of the feature map before the attention, scaled to [0, 1] for each image; shapes as those of
        heatmap."""
        return self._maps("dsl_session_activation_map", images, grid, window)

    def maps(self, images: ImagesLike, source: str = "", *, window: Window | None = None) -> list[npt.NDArray[np.float32]]:
        """heatmap for the source "attention", grad_cam for "grad_cam", self_map for "self", activation_map for "activation"; "" means "grad_cam"
        for a classification network and "attention" for others."""
        sources = {"attention": self.heatmap, "grad_cam": self.grad_cam, "self": self.self_map, "activation": self.activation_map}
        source = source or ("grad_cam" if self.info["head"] == "classification" else "attention")
        if source not in sources:
            raise Error(Status.INVALID, f'dsl: source: got "{source}", want one of {", ".join(sources)}')
        return sources[source](images, window=window)

    def proxy_masks(self, images: ImagesLike, threshold: float | Literal["otsu"], *, foreground: Literal["above", "below"] = "above", source: str = "",
                    window: Window | None = None) -> list[npt.NDArray[np.bool_]]:  # fmt: skip
        """Masks that nobody drew, from maps (see maps): for each image [H, W] in the original's pixels, True where the map is at least threshold, or
        where it is less with foreground "below". threshold "otsu" is that of Otsu for each image. evaluate_masks finds threshold and side on
        images with masks: its result["validation"] has both."""
        if foreground not in ("above", "below"):
            raise Error(Status.INVALID, f'dsl: foreground: got "{foreground}", want above or below')
        if threshold != "otsu" and not 0 <= threshold <= 1:
            raise Error(Status.INVALID, f"dsl: threshold: got {threshold}, want 0 to 1, or otsu")
        return [(m >= (otsu(m) if threshold == "otsu" else threshold)) == (foreground == "above") for m in self.maps(images, source, window=window)]

    def _maps(self, function: str, images: ImagesLike, grid: bool, window: Window | None, before: tuple[Any, ...] = (),
              after: tuple[Any, ...] = ()) -> list[npt.NDArray[np.float32]]:
        """Calls function(session, image, *before, token, grid and map with their sizes, *after) for each image."""
        out = []
        for image in sequence_of(images):
            with _open([image], window) as (handle,):
                shape = self._grid(handle) if grid else size_of(handle)
                values = np.empty(shape, np.float32)
                wanted, other = (_call.floats(values), values.size), (None, 0)
                places = (*wanted, *other) if grid else (*other, *wanted)
                _call.run(function, (self._session().pointer, handle.pointer, *before), (*places, *after))
            out.append(values)
        return out

    def explain_pair(self, a: ImageLike, b: ImageLike, learner: int | None = None, *, window: Window | None = None) -> PairExplanation:
        """Where two images are similar, exactly. learner: 0..K-1, or None for the whole embedding. The images enter whole, not cropped."""
        with _open([a, b], window) as (first, second):
            maps = [np.empty(shape, np.float32) for shape in (self._grid(first), self._grid(second), size_of(first), size_of(second))]
            e = Explanation(ctypes.sizeof(Explanation), -1 if learner is None else learner, *[_call.floats(m) for m in maps], *[m.size for m in maps])
            _call.run("dsl_session_explain_pair", (self._session().pointer, first.pointer, second.pointer), (ctypes.byref(e),))
        return PairExplanation(e.similarity, e.bias_a, e.bias_b, *maps)

    def close(self) -> None:
        """Frees the model; may be called twice."""
        with self._lock:
            if self._session_handle is not None:
                self._session_handle.close()
            self._handle.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _session(self) -> Handle:
        """The session, made when it is first needed."""
        with self._lock:
            if self._session_handle is None:
                device, precision, threads, invariant = self._options
                options = SessionOptions(ctypes.sizeof(SessionOptions), threads, optional_text(device), int(invariant), 0, optional_text(precision))
                self._session_handle = create("dsl_session_create", "dsl_session_free", self._handle.pointer, ctypes.byref(options))
            return self._session_handle

    def _number(self, name: str) -> int:
        n = c_int32()
        check(getattr(lib(), "dsl_model_" + name)(self._handle.pointer, ctypes.byref(n)))
        return n.value

    def _grid(self, image: Handle) -> tuple[int, int]:
        height, width = c_int32(), c_int32()
        check(lib().dsl_session_grid_size(self._session().pointer, image.pointer, ctypes.byref(height), ctypes.byref(width)))
        return height.value, width.value


def otsu(values: npt.NDArray[np.float32]) -> float:
    """The threshold of Otsu 1979 for values in [0, 1], a multiple of 1/256, as dsl_session_evaluate_masks has it; 0.5 when all lie in one bin."""
    counts = np.bincount(np.minimum(values.ravel() * 256, 255).astype(int), minlength=256).astype(float)
    below, sums = counts.cumsum()[:-1], (counts * np.arange(256)).cumsum()
    above = counts.sum() - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    between = np.where((below > 0) & (above > 0), between, 0)
    return float(between.argmax() + 1) / 256 if between.max() > 0 else 0.5


@contextmanager
def _pictures_of(data: Any, split: str, most: int, window: Window | None) -> Iterator[Dataset]:
    """data as a dataset: a list or an array of images has no labels, and all of them are of the split; of a long one, most of them, evenly taken."""
    if isinstance(data, (list, np.ndarray)):
        if 0 < most < len(data):
            data = [data[i * len(data) // most] for i in range(most)]
        with Dataset.from_arrays(data, [0] * len(data), splits=[split] * len(data), window=window) as dataset:
            yield dataset
    elif isinstance(data, Dataset):
        yield data
    else:
        with dataset_of(data) as dataset:
            yield dataset


@contextmanager
def _open(images: Any, window: Window | None) -> Iterator[list[Handle]]:
    """Handles of pictures, freed at the end."""
    handles: list[Handle] = []
    try:
        for i, image in enumerate(images):
            try:
                handles.append(open_image(image, window))
            except Error as e:
                raise Error(e.code, f"image {i}: {e}") if len(images) > 1 else e from None
        yield handles
    finally:
        for handle, image in zip(handles, images):
            if handle is not image:
                handle.close()


def model_of(model: Model | str | os.PathLike[str]) -> Model:
    if isinstance(model, Model):
        return model
    if is_path(model):
        return Model.load(model)
    raise Error(Status.INVALID, f"dsl: model: got {type(model).__name__}, want a Model or a path")
