"""Scores for comparison, and the table of all scores."""

import numpy as np
from PIL import Image

RAW_SIDE = 32
COLUMNS = ("NMI", "R@1 micro", "R@1 macro", "micro, own group out", "macro, own group out")


def raw_pixels(paths):
    """Images as vectors [N, 3072]: shrunk to 32 x 32, nothing learnt. What a model scores above this is what it learnt."""
    rows = np.empty((len(paths), RAW_SIDE * RAW_SIDE * 3), np.float32)
    for row, path in zip(rows, paths):
        with Image.open(path) as image:
            row[:] = np.asarray(image.convert("RGB").resize((RAW_SIDE, RAW_SIDE), Image.BILINEAR), np.float32).ravel() / 255
    return rows


def score(x, labels, groups=None, seeds=3):
    """Scores rows [N, D] by Euclidean distance, in the form of dsl.evaluate as far as the table needs it.

    NMI is the mean over seeded K-means runs with as many clusters as classes. R@1 is the share of queries whose nearest other row has
    their label, over queries (micro) and over classes (macro); queries without any possible hit are left out. groups [N]: "" is none.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    labels = np.asarray(labels)
    classes = len(np.unique(labels))
    found = [KMeans(classes, n_init=5, max_iter=100, random_state=s).fit_predict(x) for s in range(seeds)]
    out = {"num_images": len(x), "nmi": float(np.mean([normalized_mutual_info_score(labels, f) for f in found])), "self_excluded": retrieve(x, labels, None)}
    if groups is not None and any(groups):
        out["group_excluded"] = retrieve(x, labels, groups)
    return out


def retrieve(x, labels, groups):
    number = len(x)
    own = np.arange(number)
    if groups is not None:
        _, own = np.unique([g or f"\0{i}" for i, g in enumerate(groups)], return_inverse=True)
    norms = (x.astype(np.float64) ** 2).sum(axis=1)
    hits, possible = np.zeros(number, bool), np.zeros(number, bool)
    for start in range(0, number, 512):
        rows = slice(start, min(start + 512, number))
        distance = norms[None] - 2 * (x[rows] @ x.T)
        excluded = own[rows, None] == own[None]
        distance[excluded] = np.inf
        hits[rows] = labels[distance.argmin(axis=1)] == labels[rows]
        possible[rows] = ((labels[rows, None] == labels[None]) & ~excluded).any(axis=1)
    hits, kept = hits[possible], labels[possible]
    macro = [hits[kept == label].mean() for label in np.unique(kept)]
    mean = lambda values: float(np.mean(values)) if len(values) else float("nan")  # noqa: E731
    return {"num_queries": int(possible.sum()), "num_dropped": int((~possible).sum()), "micro": {"recall_at_1": mean(hits)}, "macro": {"recall_at_1": mean(macro)}}


def table(scores):
    """The scores, {name: what dsl.evaluate or score returned}, as text with one line each."""

    def cells(s):
        excluded = s.get("group_excluded")
        values = [s["nmi"], *(s["self_excluded"][a]["recall_at_1"] for a in ("micro", "macro"))]
        return values + [excluded[a]["recall_at_1"] if excluded else None for a in ("micro", "macro")]

    width = max(len(name) for name in scores)
    lines = [" " * width + "  " + "  ".join(c.rjust(5) for c in COLUMNS)]
    for name, s in scores.items():
        lines.append(name.ljust(width) + "  " + "  ".join(("-" if v is None else f"{v:.3f}").rjust(max(5, len(c))) for c, v in zip(COLUMNS, cells(s))))
    return "\n".join(lines) + "\n"
