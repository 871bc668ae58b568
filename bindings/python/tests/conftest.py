"""A tiny model, trained once for all tests, and the images it was trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "bindings" / "python"), str(ROOT / "tests" / "internal")]

import dsl  # noqa: E402

TINY = dict(stem="small", embedding_dim=16, input_size=32, learners=2, steps=4, batch_size=8, images_per_class=4, threads=1)


def draw(index: int, height: int = 32, width: int = 40) -> np.ndarray:
    """Two classes: a bright bar on the left or on the right."""
    noise = np.random.default_rng(index).integers(0, 40, (height, width, 3))
    left = 4 if index % 2 == 0 else width - 16
    noise[8 : height - 8, left : left + 12] += 150
    return noise.astype(np.uint8)


@pytest.fixture(scope="session")
def images():
    return [draw(i) for i in range(24)]


@pytest.fixture(scope="session")
def dataset(images):
    splits = ["train", "train", "train", "val", "test"]
    return dsl.Dataset.from_arrays(images, [i % 2 for i in range(24)], class_names=["left", "right"], splits=[splits[i // 2 % 5] for i in range(24)],
                                   groups=[f"p{i // 2}" for i in range(24)])


@pytest.fixture(scope="session")
def model_path(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.dsl"
    dsl.train(dataset, path, progress=False, **TINY).close()
    return path


@pytest.fixture(scope="session")
def model(model_path):
    return dsl.Model.load(model_path, threads=1)


@pytest.fixture(scope="session")
def files(images, tmp_path_factory):
    from dsl.overlay import write_png

    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"image{i}.png" for i in range(4)]
    for path, image in zip(paths, images):
        write_png(path, image)
    return paths
