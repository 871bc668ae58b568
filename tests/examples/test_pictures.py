"""The pictures are drawn for every number of things, and what can be computed in them is right."""

import numpy as np
import pictures
import pytest
from PIL import Image

RNG = np.random.default_rng(0)


def picture(height=24, width=32):
    return RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)


def check(path, least=200):
    """A PNG of a sensible size that is not blank."""
    with Image.open(path) as drawn:
        assert drawn.format == "PNG" and min(drawn.size) >= least
        assert len(np.unique(np.asarray(drawn.convert("L")))) > 20


def colours(path):
    return {tuple(c) for c in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize("same", [True, False])
def test_neighbours_of_the_querys_class_have_green_frames_and_others_vermilion_ones(same, tmp_path):
    gray = np.full((24, 32, 3), 128, np.uint8)
    pictures.neighbours(tmp_path / "n.png", [(gray, "a", [(gray, "a" if same else "b", 0.5)] * 3)], "title")
    check(tmp_path / "n.png")
    assert (rgb(pictures.GREEN) in colours(tmp_path / "n.png")) == same
    assert (rgb(pictures.RED) in colours(tmp_path / "n.png")) != same


def test_queries_may_have_unequal_numbers_of_neighbours(tmp_path):
    pictures.neighbours(tmp_path / "n.png", [(picture(), "a", []), (picture(40, 20), "a long name of a class", [(picture(), "b", -0.1)])], "title")
    check(tmp_path / "n.png")


@pytest.mark.parametrize("mask", [None, np.zeros((24, 32)), np.ones((24, 32)), np.eye(48, 64)])
def test_heatmaps_are_drawn_with_any_mask(mask, tmp_path):
    pictures.heatmaps(tmp_path / "h.png", [(picture(), "a", RNG.random((24, 32)), mask)] * 2, "title")
    check(tmp_path / "h.png")


@pytest.mark.parametrize("scale", [0, 1e-4])
def test_a_pair_is_drawn_also_when_its_maps_are_zero(scale, tmp_path):
    maps = (scale * RNG.normal(size=(24, 32)), scale * RNG.normal(size=(30, 20)))
    pictures.pair(tmp_path / "p.png", (picture(), picture(30, 20)), ("a", "b"), [("whole", 0.4, (0.1, 0.2), maps), ("learner 1", 0.2, (0.0, 0.1), maps)])
    check(tmp_path / "p.png")


@pytest.mark.parametrize("number", [1, 2, 5, 40])
def test_embeddings_are_projected_to_finite_points(number):
    points = pictures.project(RNG.normal(size=(number, 8)).astype(np.float32))
    assert points.shape == (number, 2) and np.isfinite(points).all()


def test_projected_groups_stay_groups():
    labels = np.repeat([0, 1, 2], 20)
    points = pictures.project((RNG.normal(size=(60, 8)) * 0.05 + np.eye(8)[labels]).astype(np.float32))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(60) * 1e9
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_the_map_has_a_mark_for_every_class(tmp_path):
    styles = [pictures.class_style(i) for i in range(64)]
    assert len(set(styles)) == 64
    labels = np.arange(12) % 3 + 5
    pictures.embedding_map(tmp_path / "m.png", RNG.normal(size=(12, 2)), labels, {5: "a", 6: "b", 7: "c"}, "title")
    check(tmp_path / "m.png")
    assert all(any(np.abs(np.subtract(rgb(c), got)).max() < 90 for got in colours(tmp_path / "m.png")) for c in pictures.CLASS_COLOURS[:3])


@pytest.mark.parametrize("growths", [[], [(3, [40, 88])], [(3, [40, 88]), (3, [40, 30, 58]), (4, [1, 2, 3, 4])]])
def test_the_training_is_drawn_with_any_number_of_growths(growths, tmp_path):
    pictures.training(tmp_path / "t.png", [(s, 1 / s) for s in range(1, 9)], [(4, 0.2, 0.5), (8, 0.3, 0.6)], growths, [(0, "warm-up"), (4, "learners")])
    check(tmp_path / "t.png")
    assert (rgb(pictures.RED) in colours(tmp_path / "t.png")) == bool(growths)


def test_a_training_that_said_nothing_is_drawn(tmp_path):
    pictures.training(tmp_path / "t.png", [], [], [], [])
    check(tmp_path / "t.png")


def test_the_running_mean_of_a_constant_is_the_constant():
    assert np.allclose(pictures.smooth(np.full(9, 3.0), 4), 3.0)
    assert np.allclose(pictures.smooth(np.array([1.0]), 4), 1.0)


def test_large_images_are_thinned_and_small_ones_kept():
    assert pictures.thin(np.zeros((600, 400))).shape == (600, 400)
    assert pictures.thin(np.zeros((601, 1200, 3))).shape == (301, 600, 3)
