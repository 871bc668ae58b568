"""faiss's side of an iteration of K-means: faiss_kmeans.py FOLDER THREADS DIM K ITERATIONS. What ITERATIONS take more than FEW, divided, is an iteration."""

import pathlib
import sys

import faiss
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from points import inertia  # noqa: E402
from serve import timed, turns  # noqa: E402

FEW = 5


def main():
    folder, (threads, dim, k, iterations) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:])
    faiss.omp_set_num_threads(threads)
    x = np.fromfile(folder / "rows.f32", "<f4").reshape(-1, dim)

    def cluster(count):
        means = faiss.Kmeans(dim, k, niter=count, nredo=1, seed=1, max_points_per_centroid=len(x))  # all rows, as libdsl
        means.train(x)
        return means

    found = cluster(iterations)
    turns(lambda n: (timed(lambda: cluster(iterations), n) - timed(lambda: cluster(FEW), n)) / (iterations - FEW),
          version=faiss.__version__, inertia=inertia(x, found.centroids))  # fmt: skip


main()
