"""Rows for K-means and searches: seeded embeddings."""

import numpy as np

CLASSES = 8


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rows(count, dim, spread=None, seed=0):
    """[count, dim] float32 of unit length: normal; with a spread, around CLASSES centres that lie so far apart in a row's noise (1: as far as the noise is wide)."""
    g = np.random.default_rng(seed)
    x = g.standard_normal((count, dim), np.float32)
    if spread is not None:
        x += np.float32(spread) * g.standard_normal((CLASSES, dim), np.float32)[g.integers(0, CLASSES, count)]
    return unit(x)


def inertia(x, centres):
    """Sum of squared distances to the nearest centres, in float64."""
    x, centres = x.astype(np.float64), centres.astype(np.float64)
    squared = (centres**2).sum(1) - 2 * (x @ centres.T)
    return float((x**2).sum() + squared.min(1).sum())
