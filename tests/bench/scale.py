"""scale: how libdsl's cost grows: embeddings with the batch, scores, K-means and searches with the number of rows. A table of its own, without a peer. What would take longer
than the limit, going by the size before, is skipped and said to be."""

import pathlib
import tempfile

import networks
from contest import Entry, Failed, Row, Side

NAME, DIM, K = "scale", 128, 8
LIMIT_S, QUICK_LIMIT_S = 15, 2
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROWS_OF = (10_000, 100_000, 1_000_000)
QUICK_ROWS = (1_000, 10_000)
MOST_PAIRS = 100_000**2  # of a search; more rows than 100,000 are searched for 1,000 queries

# How work grows with the rows: all pairs, or each row.
TASKS = {"scores": ("score", lambda n: n * n), "K-means, one start": ("kmeans", lambda n: n), "search": ("search", lambda n: n * queries(n))}


def queries(rows):
    return rows if rows**2 <= MOST_PAIRS else 1_000


def embeddings(settings, threads):
    for batch in (1, 4) if settings.quick else BATCHES:
        with tempfile.TemporaryDirectory() as tmp:
            networks.write(pathlib.Path(tmp), networks.Arch("resnet18", "frozen", 64, batch))
            with Side("libdsl", [settings.programs / "run", "-task", "infer", "-threads", threads, tmp], threads) as side:
                seconds = side.time(max(1, round(settings.seconds / side.time(1))))
                yield Entry(NAME, "embedding, ResNet-18, 64 px", f"batch {batch}", threads, seconds, side.peak_bytes(), f"{batch / seconds:.0f} images/s")


def rows(what, settings, threads):
    """One task for all numbers of rows."""
    (task, work), limit, before = TASKS[what], QUICK_LIMIT_S if settings.quick else LIMIT_S, None
    for n in QUICK_ROWS if settings.quick else ROWS_OF:
        size = f"{n:,} rows" + (f", {queries(n):,} queries" if task == "search" else "")
        expected = before and before[1] * work(n) / work(before[0])
        if expected and expected > limit:
            yield Entry(NAME, what, size, threads, note=f"skipped: it would take about {expected:.0f} s, more than {limit}")
            continue
        with tempfile.TemporaryDirectory() as tmp:
            command = [settings.programs / "points", "-task", task, "-dim", DIM, "-k", K, "-restarts", 1, "-queries", queries(n), "-drawn", n, "-threads", threads]
            try:
                with Side("libdsl", [*command, tmp], threads, limit_s=2 * limit) as side:
                    before = n, side.about["seconds"]
                    count = side.about.get("iterations")
                    yield Entry(NAME, what, size, threads, before[1], side.peak_bytes(), f"{count} iterations" if count else "")
            except Failed as e:
                yield Entry(NAME, what, size, threads, note=f"skipped: {e}")


def measure(settings, threads):
    yield from embeddings(settings, threads)
    for what in TASKS:
        yield from rows(what, settings, threads)


ROWS = [Row(NAME, "time and memory over batch sizes and numbers of rows", measure, threads=(2,))]
