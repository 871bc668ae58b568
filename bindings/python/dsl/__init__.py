"""libdsl: attention-based dynamic subspace metric learning for medical images.

    import dsl

    model = dsl.train("manifest.csv", "model.dsl")
    embeddings = model.embed(["a.png", "b.png"])    # [2, D] float32, unit rows
    heatmap = model.heatmap(["a.png"])[0]           # [H, W] float32 in [0, 1]
    index = dsl.Index(model); index.add(embeddings, ids=["a", "b"])
    found = index.search(embeddings, k=1)           # .ids, .similarities
    groups = dsl.cluster(embeddings, 2).assignment  # [2] int32
    scores = dsl.evaluate(model, "manifest.csv")    # dict

For research, not a medical device. The library is loaded on first use, not on import. A process made by fork() after that cannot use it:
use the "spawn" or "forkserver" start method.
"""

from ._native import Error, Status, device_count, device_info, set_num_threads, version
from .dataset import Dataset
from .dicom import read_dicom
from .image import load_image
from .index import Clusters, Index, Item, Neighbours, cluster
from .model import Model, PairExplanation
from .training import Progress, evaluate, evaluate_masks, train, wait_for_files
from .weights import convert_weights

__all__ = [
    "Clusters",
    "Dataset",
    "Error",
    "Index",
    "Item",
    "Model",
    "Neighbours",
    "PairExplanation",
    "Progress",
    "Status",
    "cluster",
    "convert_weights",
    "device_count",
    "device_info",
    "evaluate",
    "evaluate_masks",
    "load_image",
    "read_dicom",
    "set_num_threads",
    "train",
    "version",
    "wait_for_files",
]
