"""scikit-learn's side of a whole K-means, Lloyd's or Elkan's, whichever is faster: sklearn_kmeans.py FOLDER DIM K RESTARTS ITERATIONS."""

import pathlib
import sys

import numpy as np
import sklearn
from sklearn.cluster import KMeans

from serve import fastest, serve


def main():
    folder, (dim, k, restarts, iterations) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:])
    x = np.fromfile(folder / "rows.f32", "<f4").reshape(-1, dim)

    def form(algorithm):
        means = KMeans(k, n_init=restarts, max_iter=iterations, tol=0, algorithm=algorithm, random_state=0)
        return f"{algorithm}'s", lambda: means.fit(x).inertia_

    name, run, inertia = fastest(form(a) for a in ("lloyd", "elkan"))
    serve(run, version=sklearn.__version__, form=name, inertia=float(inertia))


main()
