"""Writes metric.json: partitions with their NMI and AMI by scikit-learn, and retrievals with scores by NumPy.

Run: python3 tests/golden/metric.py   (scikit-learn 1.2.1, NumPy 1.24)
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score


def partitions(rng):
    yield "one image", [0], [0]
    yield "one class in one cluster", [3] * 5, [1] * 5
    yield "one class in two clusters", [0] * 6, [0, 0, 0, 1, 1, 1]
    yield "two classes in one cluster", [0, 0, 0, 1, 1, 1], [2] * 6
    yield "equal up to names", [0, 0, 1, 1, 2, 2, 2], [5, 5, 0, 0, 9, 9, 9]
    yield "each image alone in one", [0, 0, 1, 1, 2], [0, 1, 2, 3, 4]
    yield "independent by design", [0, 0, 1, 1], [0, 1, 0, 1]
    for n, classes, clusters in [(20, 3, 4), (200, 7, 7), (1000, 7, 12), (1000, 2, 2)]:
        labels = rng.integers(classes, size=n)
        noisy = np.where(rng.random(n) < 0.6, labels, rng.integers(clusters, size=n)) % clusters
        yield f"{n} images, noisy", labels, noisy
        yield f"{n} images, independent", labels, rng.integers(clusters, size=n)
    for n in (3, 17, 100):  # not each image alone in both: see the comment of AMI
        yield f"{n} images, each its own class, in one cluster", np.arange(n), np.zeros(n, int)
        yield f"{n} images of one class, each its own cluster", np.zeros(n, int), np.arange(n)
        yield f"{n} images, each its own class, in two clusters", np.arange(n), np.arange(n) % 2
    yield "all alone but two", np.append(np.arange(30), 29), np.append(np.arange(30), 0)
    yield "one image apart", np.append(np.zeros(50, int), 1), np.append(np.zeros(50, int), 1)
    yield "another image apart", np.append(np.zeros(50, int), 1), np.append(1, np.zeros(50, int))
    yield "labels far apart and negative", np.array([-(2**62), 2**62, 7, 7, 2**62]), np.array([-5, 2**40, -5, -5, 0])
    for _ in range(60):  # any number of classes and clusters, of any sizes
        n = int(rng.integers(2, 120))
        labels, clusters = (rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 0.7))) for k in rng.integers(1, n + 1, size=2))
        kept = rng.random(n) < rng.random()
        yield "any table", labels, np.where(kept, labels, clusters)
    skewed = rng.choice(7, size=800, p=[0.67, 0.11, 0.11, 0.05, 0.03, 0.02, 0.01])
    yield "classes of very different sizes", skewed, (skewed + (rng.random(800) < 0.3)) % 7


def large(rng):
    """Partitions too large to write out, by a formula that the test repeats: label (i·a mod p) mod classes, cluster (i·b mod p) mod clusters."""
    p = 999983  # a prime, so that the numbers are spread evenly
    for n, a, classes, b, clusters in [(20000, 7919, 23, 7919, 46), (20000, 7919, 300, 104729, 500), (50000, 7919, 3000, 7919, 2000), (20000, 1, 20000, 7919, 40)]:
        i = np.arange(n)
        labels, found = i * a % p % classes, i * b % p % clusters
        yield {"n": n, "a": a, "classes": classes, "b": b, "clusters": clusters, "p": p} | {
            "nmi": float(normalized_mutual_info_score(labels, found)), "ami": float(adjusted_mutual_info_score(labels, found))}


def retrieval(rng, name, n, dim, classes, groups):
    labels = rng.integers(classes, size=n)
    labels[0] = classes  # a class of one image: a query without a possible hit
    centres = rng.normal(size=(classes + 1, dim))
    x = (centres[labels] + 1.2 * rng.normal(size=(n, dim))).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    group = rng.integers(groups, size=n)
    out = {"name": name, "dim": dim, "x": [float(v) for v in x.ravel()], "labels": labels.tolist(), "groups": group.tolist()}
    wide = x.astype(np.float64)
    squared = ((wide[:, None] - wide[None]) ** 2).sum(2)
    out["self_excluded"] = scores(squared, labels, np.eye(n, dtype=bool))
    out["group_excluded"] = scores(squared, labels, group[:, None] == group[None])
    return out


def scores(squared, labels, excluded):
    rows = {}
    for q in range(len(labels)):
        order = np.argsort(squared[q], kind="stable")
        hit = (labels[order] == labels[q])[~excluded[q][order]]
        r = int(hit.sum())
        if r == 0:
            continue
        precision = np.cumsum(hit[:r]) / np.arange(1, r + 1)
        row = [float(hit[:k].any()) for k in (1, 2, 4, 8)] + [hit[:r].mean(), (precision * hit[:r]).sum() / r]
        rows.setdefault(int(labels[q]), []).append(row)
    queries = sum(map(len, rows.values()))
    return {
        "micro": np.concatenate([np.array(v) for v in rows.values()]).mean(0).tolist(),
        "macro": np.mean([np.mean(v, axis=0) for v in rows.values()], axis=0).tolist(),
        "queries": queries,
        "dropped": len(labels) - queries,
    }


def main():
    rng = np.random.default_rng(1)
    clusterings = [
        {
            "name": name,
            "labels": np.asarray(labels).tolist(),
            "clusters": np.asarray(clusters).tolist(),
            "nmi": float(normalized_mutual_info_score(labels, clusters)),
            "ami": float(adjusted_mutual_info_score(labels, clusters)),
        }
        for name, labels, clusters in partitions(rng)
    ]
    retrievals = [
        retrieval(rng, "a small set", 40, 5, 3, 15),
        retrieval(rng, "many classes", 90, 6, 20, 60),
        retrieval(rng, "large groups", 60, 4, 4, 6),
    ]
    text = json.dumps({"sklearn": sklearn.__version__, "clusterings": clusterings, "large": list(large(rng)), "retrievals": retrievals})
    (pathlib.Path(__file__).parent / "metric.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
