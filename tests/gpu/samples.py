"""Pictures and a model to try things on."""

import numpy as np

import dsl

TINY = dict(stem="small", embedding_dim=16, input_size=32)
USUAL = dict(embedding_dim=128, input_size=224)


def pictures(count, side, seed=0):
    """Two classes: a bright bar on the left or on the right."""
    noise = np.random.default_rng(seed).integers(0, 60, (count, side, side, 3), dtype=np.uint8)
    for i, picture in enumerate(noise):
        left = side // 8 if i % 2 == 0 else side - side // 2
        picture[side // 4 : -side // 4, left : left + side // 3] += 150
    return noise


def dataset(count, side):
    return dsl.Dataset.from_arrays(pictures(count, side), [i % 2 for i in range(count)])


def train(path, device, small, **options):
    """Trains for a few steps and returns the model."""
    settings = {**(TINY if small else USUAL), "learners": 1, "steps": 3, "batch_size": 8, "images_per_class": 4, "progress": False, **options}
    with dataset(24, settings["input_size"]) as data:
        return dsl.train(data, path, device=device, **settings)


def apart(a, b):
    """‖a − b‖/‖b‖; infinite for anything not finite."""
    e = np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64))
    return e if np.isfinite(e) else np.inf
