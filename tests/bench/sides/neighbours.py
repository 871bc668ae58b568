"""A peer's side of a search for nearest neighbours: neighbours.py faiss|sklearn FOLDER THREADS DIM K. Rows are added and searched for in each iteration; the rows found
go to PEER.i64."""

import pathlib
import sys

import numpy as np

from serve import serve


def faiss_search(x, k, threads):
    import faiss

    faiss.omp_set_num_threads(threads)

    def search():
        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        return index.search(x, k)[1]

    return search, faiss.__version__


def sklearn_search(x, k, threads):
    import sklearn
    from sklearn.neighbors import NearestNeighbors

    return lambda: NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=threads).fit(x).kneighbors(x)[1], sklearn.__version__


def main():
    peer, folder, (threads, dim, k) = sys.argv[1], pathlib.Path(sys.argv[2]), map(int, sys.argv[3:])
    x = np.fromfile(folder / "rows.f32", "<f4").reshape(-1, dim)
    search, version = {"faiss": faiss_search, "sklearn": sklearn_search}[peer](x, k, threads)
    search().astype("<i8").tofile(folder / f"{peer}.i64")
    serve(search, version=version)


main()
