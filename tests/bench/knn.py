"""knn: exact nearest neighbours of a set of embeddings among themselves, each row its own first. Peers: faiss's flat index and scikit-learn's brute force."""

import contextlib
import pathlib
import tempfile

import numpy as np

import points
from contest import SIDES, Bar, Row, Side, agree, only_the_best, results, take_turns
from peers import module

NAME, DIM, K = "knn", 128, 8
PEERS = {"faiss": "faiss IndexFlatL2", "sklearn": "scikit-learn brute"}
TIES = 2e-6  # of similarities: neighbours that a float32 product of 128 numbers cannot tell apart
BAR = Bar(1, (2, 3.5))


def similarities(x, found):
    """[N, K] cosines of each row and those found for it, in float64."""
    return np.stack([np.einsum("nd,nd->n", x.astype(np.float64), x[column].astype(np.float64)) for column in found.T], axis=1)


def difference(x, folder, peer):
    """The largest difference of similarity between the neighbours of a rank: 0 but for ties."""
    ours, theirs = (np.fromfile(folder / f"{name}.i64", "<i8").reshape(len(x), K) for name in ("libdsl", peer))
    return float(np.abs(similarities(x, ours) - similarities(x, theirs)).max())


def measure(settings, threads):
    with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
        folder = pathlib.Path(tmp)
        x = points.rows(2_000 if settings.quick else 20_000, DIM)
        x.tofile(folder / "rows.f32")
        for peer in PEERS:
            module(peer)
        command = [settings.programs / "points", "-task", "search", "-dim", DIM, "-k", K, "-threads", threads, folder]
        ours = stack.enter_context(Side("libdsl", command, threads))
        peers = [stack.enter_context(Side(name, [settings.python, SIDES / "neighbours.py", peer, folder, threads, DIM, K], threads))
                 for peer, name in PEERS.items()]  # fmt: skip
        differences = [agree(f"libdsl and {name}", difference(x, folder, peer), TIES) for peer, name in PEERS.items()]
        times = take_turns([ours, *peers], settings)
        rivals = [(f"{p.name} {p.about['version']}", t, {"difference": d, "tolerance": TIES}) for p, t, d in zip(peers, times[1:], differences)]
    yield from results(NAME, threads, times[0], rivals, only_the_best(rivals, BAR))


ROWS = [Row(NAME, f"exact {K} nearest neighbours of 20,000 rows of {DIM} numbers", measure)]
