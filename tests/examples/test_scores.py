"""The scores for comparison agree with the dumbest loop, and the table shows them."""

import math

import numpy as np
import pytest
import scores


def by_loop(x, labels, groups, macro):
    hits = {}
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i and not (groups and groups[i] and groups[i] == groups[j])]
        if any(labels[j] == labels[i] for j in others):
            nearest = min(others, key=lambda j: np.linalg.norm(x[i] - x[j]))
            hits.setdefault(labels[i], []).append(labels[nearest] == labels[i])
    if macro:
        return np.mean([np.mean(h) for h in hits.values()])
    return np.mean(sum(hits.values(), []))


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("groups", [None, [f"g{i // 3}" if i % 5 else "" for i in range(60)]])
def test_recall_is_that_of_the_dumbest_loop(groups, average):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [40, 15, 5])
    x = rng.normal(size=(60, 4)).astype(np.float32) + 0.8 * labels[:, None]
    got = scores.retrieve(x, labels, groups)[average]["recall_at_1"]
    assert got == pytest.approx(by_loop(x, labels, groups, average == "macro"))


def test_queries_without_a_possible_hit_are_counted_and_left_out():
    got = scores.retrieve(np.eye(3, dtype=np.float32), np.array([0, 0, 1]), None)
    assert (got["num_queries"], got["num_dropped"]) == (2, 1)
    assert math.isnan(scores.retrieve(np.eye(2, dtype=np.float32), np.array([0, 1]), None)["micro"]["recall_at_1"])


def test_groups_far_apart_have_perfect_scores_and_shuffled_labels_do_not():
    labels = np.repeat([3, 5], 20)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32) * 0.01 + labels[:, None]
    perfect = scores.score(x, labels)
    assert perfect["nmi"] == pytest.approx(1) and perfect["self_excluded"]["macro"]["recall_at_1"] == 1
    assert "group_excluded" not in perfect
    assert scores.score(x, np.random.default_rng(0).permutation(labels))["nmi"] < 0.3


def test_the_table_has_a_line_for_each_and_a_dash_where_there_are_no_groups():
    labels = np.repeat([0, 1], 5)
    x = labels[:, None] + np.zeros((1, 2), np.float32)
    text = scores.table({"model": scores.score(x, labels, ["a"] * 10), "raw": scores.score(x, labels)})
    head, model, raw = text.splitlines()
    assert [c.strip() for c in head.split("  ") if c] == list(scores.COLUMNS)
    assert model.split() == ["model", "1.000", "1.000", "1.000", "nan", "nan"]
    assert raw.split() == ["raw", "1.000", "1.000", "1.000", "-", "-"]
    assert len({len(line) for line in (head, model, raw)}) == 1
