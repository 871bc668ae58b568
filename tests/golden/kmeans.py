"""Writes kmeans.json: what K-means of scikit-learn reaches on the test pictures of HAM10000, as 28x28 arrays averaged to 7x7.

Run: python3 tests/golden/kmeans.py DATA   (scikit-learn 1.2.1; DATA is the folder that holds ham10000_28)
"""

import json
import pathlib
import sys

import numpy as np
import sklearn
from sklearn.cluster import KMeans

RESTARTS, SEEDS = 5, 5


def rows(folder):
    """[N, 147]: the means of 4x4 pixels, in [0, 1]."""
    images = np.load(pathlib.Path(folder, "ham10000_28", "test_images.npy"))
    return (images.reshape(-1, 7, 4, 7, 4, 3).astype(np.float32).mean((2, 4)) / 255).reshape(len(images), -1)


def main(folder):
    x = rows(folder)
    found = []
    for k in (2, 7, 20, 60):
        inertia = [KMeans(k, n_init=RESTARTS, max_iter=100, tol=0, random_state=s).fit(x).inertia_ for s in range(SEEDS)]
        found.append({"k": k, "mean": float(np.mean(inertia)), "least": float(np.min(inertia)), "most": float(np.max(inertia))})
    text = json.dumps({"sklearn": sklearn.__version__, "images": len(x), "restarts": RESTARTS, "seeds": SEEDS, "inertia": found})
    (pathlib.Path(__file__).parent / "kmeans.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
