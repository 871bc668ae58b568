"""Heatmaps as pictures, with NumPy and the standard library alone."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

# Blue, cyan, green, yellow, red at equal distances.
_COLOURS = np.array([[0, 0, 160], [0, 180, 255], [60, 220, 60], [255, 220, 0], [200, 0, 0]], np.float32)


def colours(heatmap: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """A map [H, W] as colours [H, W, 3]: low is blue, high is red."""
    position = np.clip((heatmap - low) / max(high - low, 1e-12), 0, 1) * (len(_COLOURS) - 1)
    at = np.minimum(position.astype(int), len(_COLOURS) - 2)
    part = (position - at)[..., None]
    return np.rint(_COLOURS[at] * (1 - part) + _COLOURS[at + 1] * part).astype(np.uint8)


def overlay(image: npt.NDArray[np.uint8], heatmap: npt.NDArray[np.float32], *, opacity: float = 0.45) -> npt.NDArray[np.uint8]:
    """A heatmap over its image [H, W, 3]; the colours span the heatmap's own range."""
    shade = colours(heatmap, float(heatmap.min()), float(heatmap.max()))
    return np.rint(image * (1 - opacity) + shade * opacity).astype(np.uint8)


def write_png(path: str | os.PathLike[str], pixels: npt.NDArray[np.uint8]) -> None:
    """Writes [H, W] (gray) or [H, W, 3] uint8 as a PNG file."""
    height, width = pixels.shape[:2]
    kind = 0 if pixels.ndim == 2 else 2  # PNG's colour types

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # filter 0 before each row
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b""))
