"""JPEG files like those of a camera: 600x450, smooth colours with some grain, drawn by seed."""

import io

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 600, 450
GRAIN = 4.3  # levels; with it a file of quality 90 has 48 KB, and one of quality 97 with full colour 243 KB
KINDS = {"48 KB, 4:2:0": dict(quality=90, subsampling=2), "243 KB, 4:4:4": dict(quality=97, subsampling=0)}


def photo(seed):
    g = np.random.default_rng(seed)
    coarse = Image.fromarray(g.integers(40, 216, (5, 7, 3), np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.BICUBIC), np.float32)
    noise = g.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    return Image.fromarray((smooth + GRAIN * noise).clip(0, 255).astype(np.uint8))


def encoded(seed, quality, subsampling):
    """A file's bytes."""
    out = io.BytesIO()
    photo(seed).save(out, "JPEG", quality=quality, subsampling=subsampling)
    return out.getvalue()
