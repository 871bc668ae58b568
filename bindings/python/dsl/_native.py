"""The C ABI of include/dsl.h by ctypes: structs, signatures, loading, errors. Nothing happens on import."""

from __future__ import annotations

import ctypes
import enum
import json
import os
import sys
import threading
import weakref
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

ABI_VERSION = 1


class Status(enum.IntEnum):
    """The codes of Error, those of dsl.h."""

    OK = 0
    INVALID = 1
    NOT_FOUND = 2
    CORRUPT = 3
    UNSUPPORTED = 4
    DEVICE = 5
    OUT_OF_MEMORY = 6
    CANCELLED = 7
    IO = 8
    BUFFER_TOO_SMALL = 9
    FORKED = 10
    POISONED = 11
    ABI_MISMATCH = 12
    INTERNAL = 13


class Error(Exception):
    """What libdsl could not do, and why. code is a Status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code: int = Status(code) if code in Status._value2member_map_ else code


class Array(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("data", c_void_p),
        ("data_size_bytes", c_size_t),
        ("row_stride_bytes", c_int64),
        ("height", c_int32),
        ("width", c_int32),
        ("channels", c_int32),
        ("window_low", c_float),
        ("window_high", c_float),
        ("reserved", c_int32),
    ]


class SessionOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("threads", c_int32),
        ("device", c_char_p),
        ("batch_invariant", c_int32),
        ("reserved", c_int32),
        ("precision", c_char_p),
    ]


class CalibrateOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("num_images", c_int32),
        ("split", c_char_p),
        ("device", c_char_p),
        ("threads", c_int32),
        ("reserved", c_int32),
    ]


class Explanation(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("learner", c_int32),
        ("grid_a", POINTER(c_float)),
        ("grid_b", POINTER(c_float)),
        ("map_a", POINTER(c_float)),
        ("map_b", POINTER(c_float)),
        ("grid_a_capacity", c_size_t),
        ("grid_b_capacity", c_size_t),
        ("map_a_capacity", c_size_t),
        ("map_b_capacity", c_size_t),
        ("similarity", c_double),
        ("bias_a", c_double),
        ("bias_b", c_double),
    ]


class ProgressInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("stage", c_int32),
        ("event", c_int32),
        ("epoch", c_int32),
        ("num_learners", c_int32),
        ("learner", c_int32),
        ("best", c_int32),
        ("reserved", c_int32),
        ("step", c_int64),
        ("num_steps", c_int64),
        ("learning_rate", c_double),
        ("loss", c_double),
        ("nmi", c_double),
        ("recall_at_1", c_double),
        ("macro_recall_at_1", c_double),
        ("elapsed_s", c_double),
        ("message", c_char_p),
    ]


ProgressFunction = ctypes.CFUNCTYPE(c_int32, POINTER(ProgressInfo), c_void_p)


class TrainOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("learners", c_int32),
        ("out_path", c_char_p),
        ("log_path", c_char_p),
        ("init_path", c_char_p),
        ("backbone", c_char_p),
        ("stem", c_char_p),
        ("attention", c_char_p),
        ("profile", c_char_p),
        ("device", c_char_p),
        ("embedding_dim", c_int32),
        ("input_size", c_int32),
        ("epochs", c_int32),
        ("batch_size", c_int32),
        ("images_per_class", c_int32),
        ("threads", c_int32),
        ("skip_unreadable", c_int32),
        ("nondeterministic", c_int32),
        ("steps", c_int64),
        ("seed", c_uint64),
        ("learning_rate", c_double),
        ("validation_share", c_double),
        ("progress", ProgressFunction),
        ("progress_user", c_void_p),
        ("precision", c_char_p),
        ("warmup_share", POINTER(c_double)),
        ("finetune_share", POINTER(c_double)),
        ("loss", c_char_p),
        ("mining", c_char_p),
        ("beta", c_char_p),
        ("cluster_space", c_char_p),
        ("recluster_every", c_int32),
        ("patience", c_int32),
        ("embedding_rate", c_double),
        ("checkpoint_every_s", c_double),
        ("resume", c_int32),
        ("exact_convolutions", c_int32),
    ]


class SearchOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("threads", c_int32),
        ("learner", POINTER(c_int32)),
        ("exclude_ids", POINTER(c_char_p)),
        ("exclude_int_ids", POINTER(c_int64)),
        ("exclude_groups", POINTER(c_char_p)),
        ("device", c_char_p),
    ]


class ClusterOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("threads", c_int32),
        ("restarts", c_int32),
        ("max_iterations", c_int32),
        ("seed", c_uint64),
        ("device", c_char_p),
    ]


# A test compares these with the C compiler's layout.
STRUCTS: dict[str, type[ctypes.Structure]] = {
    "dsl_array": Array,
    "dsl_session_options": SessionOptions,
    "dsl_calibrate_options": CalibrateOptions,
    "dsl_explanation": Explanation,
    "dsl_progress": ProgressInfo,
    "dsl_train_options": TrainOptions,
    "dsl_search_options": SearchOptions,
    "dsl_cluster_options": ClusterOptions,
}

_OUT = POINTER(c_void_p)
_FLOATS = POINTER(c_float)
_HANDLE = c_void_p
# name: (result, arguments)
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "dsl_status_name": (c_char_p, [c_int32]),
    "dsl_last_error_message": (c_char_p, []),
    "dsl_abi_version": (c_int32, []),
    "dsl_version_string": (c_char_p, []),
    "dsl_set_num_threads": (c_int32, [c_int32]),
    "dsl_device_count": (c_int32, [POINTER(c_int32)]),
    "dsl_device_info": (c_int32, [c_int32, c_char_p, c_size_t, POINTER(c_size_t)]),
    "dsl_cuda_add_library_dir": (c_int32, [c_char_p]),
    "dsl_live_handles": (c_int64, []),
    "dsl_struct_init": (None, [c_void_p, c_size_t]),
    "dsl_cancel_token_create": (c_int32, [_OUT]),
    "dsl_cancel_token_cancel": (None, [_HANDLE]),
    "dsl_cancel_token_free": (None, [_HANDLE]),
    "dsl_image_load_file": (c_int32, [c_char_p, _OUT]),
    "dsl_image_from_array": (c_int32, [POINTER(Array), _OUT]),
    "dsl_image_size": (c_int32, [_HANDLE, POINTER(c_int32), POINTER(c_int32)]),
    "dsl_image_pixels": (c_int32, [_HANDLE, POINTER(c_uint8), c_size_t]),
    "dsl_image_free": (None, [_HANDLE]),
    "dsl_dataset_open": (c_int32, [c_char_p, _OUT]),
    "dsl_dataset_open_lists": (c_int32, [c_char_p, c_char_p, c_char_p, _OUT]),
    "dsl_dataset_manifest": (c_int32, [_HANDLE, c_char_p, c_size_t, POINTER(c_size_t)]),
    "dsl_dataset_create": (c_int32, [_OUT]),
    "dsl_dataset_add": (c_int32, [_HANDLE, _HANDLE, c_int64, c_char_p, c_char_p]),
    "dsl_dataset_set_mask": (c_int32, [_HANDLE, c_int64, _HANDLE]),
    "dsl_dataset_set_class_name": (c_int32, [_HANDLE, c_int64, c_char_p]),
    "dsl_dataset_size": (c_int32, [_HANDLE, c_char_p, POINTER(c_int64)]),
    "dsl_dataset_free": (None, [_HANDLE]),
    "dsl_model_load": (c_int32, [c_char_p, _OUT]),
    "dsl_model_save": (c_int32, [_HANDLE, c_char_p]),
    "dsl_model_embedding_dim": (c_int32, [_HANDLE, POINTER(c_int32)]),
    "dsl_model_num_learners": (c_int32, [_HANDLE, POINTER(c_int32)]),
    "dsl_model_input_size": (c_int32, [_HANDLE, POINTER(c_int32)]),
    "dsl_model_calibrate": (c_int32, [_HANDLE, _HANDLE, POINTER(CalibrateOptions), _HANDLE, _OUT]),
    "dsl_model_info": (c_int32, [_HANDLE, c_char_p, c_size_t, POINTER(c_size_t)]),
    "dsl_model_free": (None, [_HANDLE]),
    "dsl_report_json": (c_int32, [_HANDLE, c_char_p, c_size_t, POINTER(c_size_t)]),
    "dsl_report_free": (None, [_HANDLE]),
    "dsl_session_create": (c_int32, [_HANDLE, POINTER(SessionOptions), _OUT]),
    "dsl_session_embed": (c_int32, [_HANDLE, POINTER(c_void_p), c_size_t, _HANDLE, _FLOATS, c_size_t]),
    "dsl_session_embed_files": (c_int32, [_HANDLE, POINTER(c_char_p), c_size_t, _HANDLE, _FLOATS, c_size_t]),
    "dsl_session_grid_size": (c_int32, [_HANDLE, _HANDLE, POINTER(c_int32), POINTER(c_int32)]),
    "dsl_session_heatmap": (c_int32, [_HANDLE, _HANDLE, _HANDLE, _FLOATS, c_size_t, _FLOATS, c_size_t]),
    "dsl_session_explain_pair": (c_int32, [_HANDLE, _HANDLE, _HANDLE, _HANDLE, POINTER(Explanation)]),
    "dsl_session_evaluate": (c_int32, [_HANDLE, _HANDLE, c_char_p, _HANDLE, _OUT]),
    "dsl_model_num_classes": (c_int32, [_HANDLE, POINTER(c_int32)]),
    "dsl_session_classify": (c_int32, [_HANDLE, POINTER(c_void_p), c_size_t, _HANDLE, _FLOATS, c_size_t]),
    "dsl_session_class_map": (c_int32, [_HANDLE, _HANDLE, c_int64, _HANDLE, _FLOATS, c_size_t, _FLOATS, c_size_t, POINTER(c_int64)]),
    "dsl_session_activation_map": (c_int32, [_HANDLE, _HANDLE, _HANDLE, _FLOATS, c_size_t, _FLOATS, c_size_t]),
    "dsl_session_self_map": (c_int32, [_HANDLE, _HANDLE, _HANDLE, _FLOATS, c_size_t, _FLOATS, c_size_t]),
    "dsl_session_evaluate_masks": (c_int32, [_HANDLE, _HANDLE, c_char_p, c_char_p, _HANDLE, _OUT]),
    "dsl_session_free": (None, [_HANDLE]),
    "dsl_index_create": (c_int32, [_HANDLE, c_int32, _OUT]),
    "dsl_index_add": (c_int32, [_HANDLE, _FLOATS, c_size_t, POINTER(c_char_p), POINTER(c_int64), POINTER(c_int64), POINTER(c_char_p)]),
    "dsl_index_search": (
        c_int32,
        [_HANDLE, _FLOATS, c_size_t, c_int32, POINTER(SearchOptions), _HANDLE, POINTER(c_int64), _FLOATS, c_size_t],
    ),
    "dsl_index_check_model": (c_int32, [_HANDLE, _HANDLE]),
    "dsl_index_size": (c_int32, [_HANDLE, POINTER(c_int64)]),
    "dsl_index_item": (c_int32, [_HANDLE, c_int64, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_int64)]),
    "dsl_index_info": (c_int32, [_HANDLE, c_char_p, c_size_t, POINTER(c_size_t)]),
    "dsl_index_save": (c_int32, [_HANDLE, c_char_p]),
    "dsl_index_load": (c_int32, [c_char_p, _HANDLE, _OUT]),
    "dsl_index_free": (None, [_HANDLE]),
    "dsl_cluster": (
        c_int32,
        [_FLOATS, c_size_t, c_int32, c_int32, POINTER(ClusterOptions), _HANDLE, POINTER(c_int32), c_size_t, _FLOATS, c_size_t, POINTER(c_double)],
    ),
    "dsl_train": (c_int32, [_HANDLE, POINTER(TrainOptions), _HANDLE, _OUT]),
}

_lock = threading.Lock()
_library: ctypes.CDLL | None = None
_forked = False


def _after_fork_in_child() -> None:
    global _forked, _lock
    _lock = threading.Lock()  # another thread may have held it
    _forked = _library is not None


os.register_at_fork(after_in_child=_after_fork_in_child)


def _candidates() -> list[Path]:
    """Where libdsl may lie, best first: the environment, the package, the installed tree, the build folder."""
    named = os.environ.get("DSL_LIBRARY")
    if named:
        return [Path(named)]
    here = Path(__file__).resolve().parent
    found = [here / "libdsl.so.1"]
    if here.parent.parts[-3:] == ("share", "dsl", "python"):
        prefix = here.parents[3]
        found += [prefix / "lib" / "libdsl.so.1", prefix / "lib64" / "libdsl.so.1", *sorted(prefix.glob("lib/*/libdsl.so.1"))]
    if here.parent.parts[-2:] == ("bindings", "python"):
        built = here.parents[2].glob("build/*/lib/libdsl.so.1")
        found += sorted(built, key=lambda p: p.stat().st_mtime, reverse=True)
    return found


# Where NVIDIA's wheels, which PyTorch brings along, keep cuDNN, cuBLAS and NVRTC.
_CUDA_WHEELS = ("nvidia/cudnn/lib", "nvidia/cublas/lib", "nvidia/cuda_nvrtc/lib", "nvidia/cu13/lib")


def _cuda_folders() -> list[str]:
    """The folders of this Python's wheels that libdsl should look into for cuDNN and cuBLAS."""
    return [str(folder) for entry in sys.path if entry for wheel in _CUDA_WHEELS if (folder := Path(entry, wheel)).is_dir()]


def lib() -> ctypes.CDLL:
    """The library, loaded now if it was not."""
    global _library
    if _forked:
        raise Error(Status.FORKED, 'dsl: libdsl cannot be used in a child of fork(): use multiprocessing.get_context("spawn")')
    if _library is not None:
        return _library
    with _lock:
        if _library is None:
            _library = _load()
    return _library


def _load() -> ctypes.CDLL:
    candidates = _candidates()
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        places = ", ".join(str(p) for p in candidates)
        raise Error(Status.NOT_FOUND, f"dsl: libdsl.so.1 is not in any of: {places}; build it or set DSL_LIBRARY to its path")
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as e:
        raise Error(Status.ABI_MISMATCH, f"dsl: cannot use {path.name}: {e}") from None
    if loaded.dsl_abi_version() != ABI_VERSION:
        raise Error(Status.ABI_MISMATCH, f"dsl: {path.name} has ABI {loaded.dsl_abi_version()}, want {ABI_VERSION}")
    for folder in _cuda_folders():
        loaded.dsl_cuda_add_library_dir(encode_path(folder))
    return loaded


def last_message() -> str:
    return lib().dsl_last_error_message().decode("utf-8", "replace")


def check(status: int) -> None:
    if status != Status.OK:
        raise Error(status, last_message())


def version() -> str:
    """The version of the library."""
    return lib().dsl_version_string().decode()


def set_num_threads(n: int) -> None:
    """CPU threads for all that is started from now on and gives no number itself; 0 means all cores."""
    check(lib().dsl_set_num_threads(n))


def encode_path(path: str | os.PathLike[str]) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise Error(Status.INVALID, "dsl: a path holds a NUL character")
    return encoded


def optional_number(number: float | None) -> Any:
    """A number that may be 0, as a pointer; None is NULL."""
    return None if number is None else ctypes.pointer(c_double(number))


def optional_text(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


class Handle:
    """Owns a C handle and frees it once: on close, at the end of a with block, or when collected."""

    def __init__(self, pointer: c_void_p, free: str) -> None:
        self.pointer = pointer
        self._finalizer = weakref.finalize(self, getattr(lib(), free), pointer)

    def close(self) -> None:
        self._finalizer()
        self.pointer = c_void_p(None)


def create(function: str, free: str, *arguments: Any) -> Handle:
    """Calls a function whose last parameter is a place for a handle."""
    out = c_void_p()
    check(getattr(lib(), function)(*arguments, ctypes.byref(out)))
    return Handle(out, free)


def text_of(function: str, about: Handle | int) -> str:
    """Calls a function that fills a buffer with what it knows about a handle, or a number, and says how large the buffer must be."""
    call = getattr(lib(), function)
    needed = c_size_t()
    of = about.pointer if isinstance(about, Handle) else about
    status = call(of, None, 0, ctypes.byref(needed))
    if status != Status.BUFFER_TOO_SMALL:
        check(status)
    buffer = ctypes.create_string_buffer(needed.value)
    check(call(of, buffer, len(buffer), None))
    return buffer.value.decode("utf-8", "surrogateescape")  # names of files may be anything


def device_count() -> int:
    """How many NVIDIA GPUs can be used. device_info(0) raises the reason when there is none."""
    n = c_int32()
    check(lib().dsl_device_count(ctypes.byref(n)))
    return n.value


def device_info(device: int = 0) -> dict[str, Any]:
    """A GPU: name, compute capability, memory in bytes, versions of driver, cuDNN and cuBLAS. Raises Error with the reason why it cannot be used."""
    info: dict[str, Any] = json.loads(text_of("dsl_device_info", device))
    return info
