"""kmeans: K-means of embeddings. Beside faiss the time of one iteration, since faiss never stops early; beside scikit-learn the whole of it, with as many restarts and to the
same objective."""

import pathlib
import tempfile

import points
from contest import SIDES, Bar, Row, Side, agree, results, take_turns
from peers import module

NAME, DIM, K, RESTARTS = "kmeans", 1024, 8, 5
SLOW, CLEAR = 0.05, 0.2  # between clusters: such that K-means takes more than the iterations that are timed; such that there is one best objective
EQUAL = 1e-3  # relative difference of inertia
FAISS, SKLEARN = Bar(3, (7,)), Bar(1.2, (2,))


def beside_faiss(folder, settings, threads):
    module("faiss")
    count = 8 if settings.quick else 20
    with Side("faiss", [settings.python, SIDES / "faiss_kmeans.py", folder, threads, DIM, K, count], threads) as faiss, \
            Side("libdsl", ours(settings, threads, "iterations", count) + [folder], threads) as libdsl:  # fmt: skip
        more = {"difference": same_objective(libdsl, faiss), "tolerance": EQUAL, "notes": f"one iteration of {count}"}
        times, name = take_turns([libdsl, faiss], settings), f"faiss {faiss.about['version']}"
    yield from results(NAME, threads, times[0], [(name, times[1], more)], [FAISS])


def beside_sklearn(folder, settings, threads):
    module("sklearn")
    with Side("scikit-learn", [settings.python, SIDES / "sklearn_kmeans.py", folder, DIM, K, RESTARTS, 100], threads) as sklearn, \
            Side("libdsl", ours(settings, threads, "kmeans", 100) + [folder], threads) as libdsl:  # fmt: skip
        more = {"difference": same_objective(libdsl, sklearn), "tolerance": EQUAL, "notes": f"{RESTARTS} restarts to the end"}
        times, name = take_turns([libdsl, sklearn], settings), f"scikit-learn {sklearn.about['version']}, {sklearn.about['form']}"
    yield from results(NAME, threads, times[0], [(name, times[1], more)], [SKLEARN])


def ours(settings, threads, task, iterations):
    return [settings.programs / "points", "-task", task, "-dim", DIM, "-k", K, "-restarts", RESTARTS, "-iterations", iterations, "-threads", threads]


def same_objective(libdsl, peer):
    a, b = libdsl.about["inertia"], peer.about["inertia"]
    return agree(f"libdsl's inertia {a:.1f}, {peer.name}'s {b:.1f}", abs(a / b - 1), EQUAL)


def measure(settings, threads):
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        for beside, spread in ((beside_faiss, SLOW), (beside_sklearn, CLEAR)):
            points.rows(2_000 if settings.quick else 20_000, DIM, spread).tofile(folder / "rows.f32")
            yield from beside(folder, settings, threads)


ROWS = [Row(NAME, f"K-means of 20,000 rows of {DIM} numbers, k = {K}", measure)]
