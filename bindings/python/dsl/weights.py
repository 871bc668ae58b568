"""Weights from elsewhere: state dicts of PyTorch as .safetensors files."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._native import Error, Status

WRAPPERS = ("state_dict", "model")  # where programs that save more than weights keep them
PARALLEL = "module."  # what PyTorch's DataParallel puts before every name
DTYPES = {
    "torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.int64": "I64", "torch.int32": "I32",
    "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8", "torch.bool": "BOOL",
}  # fmt: skip


def convert_weights(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> int:
    """Turns a state dict that PyTorch saved (.pth, .pt) into a .safetensors file, which train takes as init.

    source: a state dict, or a dict that has it under "state_dict" or "model". It is read by the installed PyTorch, 1.13 or newer, with weights_only, so that
    a file from elsewhere cannot run code. What is no tensor is left out, and so is "module." before a name. Types stay as they are.
    Returns the number of tensors. Raises Error; out is then as before.
    """
    source, out = Path(source), Path(out)
    tensors = _tensors(_load(source), source.name)
    partial = out.with_name(out.name + ".partial")
    try:
        with open(partial, "wb") as f:
            _write(f, tensors)
        os.replace(partial, out)
    except OSError as e:
        raise _os_error(e, out.name) from None
    finally:
        partial.unlink(missing_ok=True)
    return len(tensors)


def _os_error(e: OSError, name: str) -> Error:
    return Error(Status.NOT_FOUND if isinstance(e, FileNotFoundError) else Status.IO, f'dsl: file "{name}": {e.strerror}')


def _load(source: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise Error(Status.UNSUPPORTED, "dsl: convert_weights needs PyTorch, which is not installed") from None
    if "weights_only" not in inspect.signature(torch.load).parameters:
        raise Error(Status.UNSUPPORTED, f"dsl: convert_weights: got PyTorch {torch.__version__}, want 1.13 or newer, which loads weights without running code")
    try:
        with open(source, "rb") as f:
            return torch.load(f, map_location="cpu", weights_only=True)
    except OSError as e:
        raise _os_error(e, source.name) from None
    except pickle.UnpicklingError as e:
        reason = str(e).rpartition("error: ")[2].partition("\n")[0]
        raise Error(Status.UNSUPPORTED, f'dsl: file "{source.name}": PyTorch {torch.__version__} cannot load it as weights only ({reason:.200}); '
                    "save the state dict alone") from None  # fmt: skip
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError) as e:
        raise Error(Status.CORRUPT, f'dsl: file "{source.name}": PyTorch cannot load it') from e


def _tensors(loaded: Any, name: str) -> dict[str, Any]:
    """The tensors of a state dict by name, wherever it stands."""
    import torch

    if isinstance(loaded, Mapping):
        loaded = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), loaded)
    if not isinstance(loaded, Mapping):
        raise Error(Status.INVALID, f'dsl: file "{name}": got a {type(loaded).__name__}, want a state dict, a dict of tensors')
    found: dict[str, Any] = {}
    for key, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            continue
        key = str(key).removeprefix(PARALLEL)
        if key in found:
            raise Error(Status.INVALID, f'dsl: file "{name}": got the tensor "{key}" with and without "{PARALLEL}"')
        if str(value.dtype) not in DTYPES or value.layout != torch.strided:
            raise Error(Status.UNSUPPORTED, f'dsl: file "{name}": tensor "{key}": got {value.dtype}, {value.layout}, want a dense one of {", ".join(DTYPES)}')
        found[key] = value
    if not found:
        raise Error(Status.INVALID, f'dsl: file "{name}": got no tensors, only {", ".join(map(str, list(loaded)[:5])) or "an empty dict"}')
    return found


def _write(f: Any, tensors: dict[str, Any]) -> None:
    """The header's size, the header, the tensors' bytes; those with the largest elements first, so that all are aligned."""
    import torch

    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    header, at = {}, 0
    for name in order:
        t = tensors[name]
        end = at + t.numel() * t.element_size()
        header[name] = {"dtype": DTYPES[str(t.dtype)], "shape": list(t.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    f.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        f.write(tensors[name].detach().contiguous().reshape(-1).view(torch.uint8).numpy())
