"""Nearest neighbours in a gallery of embeddings, and K-means."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _call, _native
from ._native import ClusterOptions, Error, Handle, SearchOptions, Status, check, create, lib, optional_text
from .model import Model

# Names of rows: texts or numbers, all of one kind.
IDs = Union[Sequence[str], Sequence[int], npt.NDArray[Any]]
ID = Union[str, int]

_TEXT_SIZE = 1024  # DSL_INDEX_TEXT_SIZE


@dataclass(frozen=True)
class Neighbours:
    """The k most similar rows of each query, the most similar first; of equally similar ones that which was added first."""

    rows: npt.NDArray[np.int64]  # [Q, k], in the order of adding; -1 where fewer are left
    similarities: npt.NDArray[np.float32]  # [Q, k], cosines; -inf where fewer are left
    ids: list[list[ID]]  # of the rows found


@dataclass(frozen=True)
class Item:
    """What an index knows of a row."""

    id: ID
    label: int | None
    group: str | None


class Index:
    """A gallery of embeddings: exact search by cosine similarity.

        index = dsl.Index(model)
        index.add(model.embed(paths), ids=names, groups=patients)
        found = index.search(model.embed(["query.png"]), k=5)

    With a model the index knows its learners, and refuses embeddings of another (search(..., model=other), load(path, other)). Without one it takes
    rows of embedding_dim numbers from anywhere. Searches may run in several threads.
    """

    def __init__(self, model: Model | None = None, *, embedding_dim: int = 0) -> None:
        self._take(create("dsl_index_create", "dsl_index_free", model and model._handle.pointer, embedding_dim))

    def _take(self, handle: Handle) -> None:
        self._handle = handle
        self.embedding_dim: int = self.info["embedding_dim"]

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Model | None = None) -> Index:
        """Reads an index file. model: the file must hold embeddings of this one."""
        index = cls.__new__(cls)
        index._take(create("dsl_index_load", "dsl_index_free", _native.encode_path(path), model and model._handle.pointer))
        return index

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index, so that a crash leaves the old file or the new one. Ids, labels and groups are written as they were given."""
        check(lib().dsl_index_save(self._handle.pointer, _native.encode_path(path)))

    def add(
        self, embeddings: npt.ArrayLike, ids: IDs | None = None, *, labels: Sequence[int] | npt.NDArray[Any] | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Appends rows [N, D]. ids: all texts (up to 1023 bytes) or all numbers; None numbers the rows. labels: 0 or more, -1 for none. groups (patient,
        lesion, study): "" for none."""
        rows = _rows(embeddings, self.embedding_dim)
        texts, numbers = _ids(ids, len(rows))
        check(lib().dsl_index_add(self._handle.pointer, _call.floats(rows), len(rows), texts, numbers, _numbers("labels", labels, len(rows)),
                                  _texts("groups", groups, len(rows))))  # fmt: skip

    def search(
        self, queries: npt.ArrayLike, k: int = 5, *, learner: int | None = None, exclude_ids: IDs | None = None,
        exclude_groups: Sequence[str] | None = None, model: Model | None = None, threads: int = 0,
        device: str = "auto",
    ) -> Neighbours:  # fmt: skip
        """The k rows most similar to each of queries [Q, D]. learner: 0..K-1 compares this learner's part alone. exclude_ids, exclude_groups [Q]: rows with
        the query's own id, or of its own group, are left out. model: the one that made the queries, to be sure that it made the gallery. device: as in
        Model.load; a GPU helps with big searches, and finds the same."""
        rows = _rows(queries, self.embedding_dim)
        if model is not None:
            check(lib().dsl_index_check_model(self._handle.pointer, model._handle.pointer))
        n = len(rows)
        texts, numbers = _ids(exclude_ids, n)
        options = SearchOptions(ctypes.sizeof(SearchOptions), threads, None if learner is None else ctypes.pointer(c_int32(learner)), texts, numbers,
                                _texts("exclude_groups", exclude_groups, n), optional_text(device))  # fmt: skip
        found, similarities = np.empty((n, max(k, 0)), np.int64), np.empty((n, max(k, 0)), np.float32)
        _call.run("dsl_index_search", (self._handle.pointer, _call.floats(rows), n, k, ctypes.byref(options)),
                  (found.ctypes.data_as(POINTER(c_int64)), _call.floats(similarities), found.size))  # fmt: skip
        known = {int(row): self.item(int(row)).id for row in np.unique(found) if row >= 0}
        return Neighbours(found, similarities, [[known[int(row)] for row in line if row >= 0] for line in found])

    def item(self, row: int) -> Item:
        """What is known of a row."""
        name, group, label = ctypes.create_string_buffer(_TEXT_SIZE), ctypes.create_string_buffer(_TEXT_SIZE), c_int64()
        check(lib().dsl_index_item(self._handle.pointer, row, name, _TEXT_SIZE, group, _TEXT_SIZE, ctypes.byref(label)))
        text = name.value.decode()
        return Item(text if self._text_ids() else int(text), None if label.value < 0 else label.value, group.value.decode() or None)

    def _text_ids(self) -> bool:
        return bool(self.info["ids"] == "text")

    @property
    def info(self) -> dict[str, Any]:
        """Size, embedding_dim, num_learners, the model's identity, and the kind of ids."""
        result: dict[str, Any] = json.loads(_native.text_of("dsl_index_info", self._handle))
        return result

    def __len__(self) -> int:
        n = c_int64()
        check(lib().dsl_index_size(self._handle.pointer, ctypes.byref(n)))
        return n.value

    def close(self) -> None:
        """Frees the index; may be called twice."""
        self._handle.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass(frozen=True)
class Clusters:
    """What K-means found."""

    assignment: npt.NDArray[np.int32]  # [N], 0 to k - 1
    centres: npt.NDArray[np.float32]  # [k, D]
    inertia: float  # sum of squared distances to the centres


def cluster(embeddings: npt.ArrayLike, k: int, *, seed: int = 0, restarts: int = 5, max_iterations: int = 100, threads: int = 0, device: str = "auto") -> Clusters:
    """Groups rows [N, D] into k clusters by K-means: the best of so many seeded restarts from greedy k-means++ seeds. Equal arguments give equal
    clusters. device: as in Model.load; a GPU assigns big arrays."""
    if not 0 <= seed < 2**64:
        raise Error(Status.INVALID, f"dsl: seed: got {seed}, want 0 to 2^64 - 1")
    if restarts < 1 or max_iterations < 1:
        raise Error(Status.INVALID, f"dsl: cluster: got {restarts} restarts and {max_iterations} iterations, want 1 or more")
    rows = _rows(embeddings, None)
    n, d = rows.shape
    if not 1 <= k <= n:  # before memory is taken for the centres
        raise Error(Status.INVALID, f"dsl: cluster: got {k} clusters for {n} rows, want 1 to {n}")
    assignment, centres, inertia = np.empty(n, np.int32), np.empty((k, d), np.float32), c_double()
    options = ClusterOptions(ctypes.sizeof(ClusterOptions), threads, restarts, max_iterations, seed, optional_text(device))
    _call.run("dsl_cluster", (_call.floats(rows), n, d, k, ctypes.byref(options)),
              (assignment.ctypes.data_as(POINTER(c_int32)), assignment.size, _call.floats(centres), centres.size, ctypes.byref(inertia)))  # fmt: skip
    return Clusters(assignment, centres, inertia.value)


def _rows(values: npt.ArrayLike, dim: int | None) -> npt.NDArray[np.float32]:
    rows = np.ascontiguousarray(values, np.float32)
    if rows.ndim != 2 or (dim is not None and rows.shape[1] != dim):
        raise Error(Status.INVALID, f"dsl: embeddings: got shape {list(rows.shape)}, want [N, {'D' if dim is None else dim}]")
    return rows


def _ids(ids: IDs | None, n: int) -> tuple[Any, Any]:
    """Ids as texts or as numbers; the other is None."""
    if ids is None:
        return None, None
    if all(isinstance(i, str) for i in ids):
        return _texts("ids", ids, n), None
    return None, _numbers("ids", ids, n)


def _numbers(name: str, values: Any, n: int) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise Error(Status.INVALID, f"dsl: {name}: got {array.dtype} of shape {list(array.shape)}, want {n} whole numbers{' or texts' * (name == 'ids')}")
    return (c_int64 * n)(*array.tolist())


def _texts(name: str, values: Any, n: int) -> Any:
    if values is None:
        return None
    if isinstance(values, str) or len(values) != n or not all(isinstance(v, str) and "\0" not in v for v in values):
        raise Error(Status.INVALID, f"dsl: {name}: want {n} texts without NUL")
    return (c_char_p * n)(*[v.encode() for v in values])
