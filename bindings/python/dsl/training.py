"""Training and evaluation."""

from __future__ import annotations

import ctypes
import json
import os
import queue
from collections.abc import Callable
from ctypes import c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from . import _call, _native
from ._native import Error, ProgressFunction, Status, TrainOptions, optional_number, optional_text
from .bar import Bar
from .dataset import DataLike, dataset_of
from .model import Model, model_of

STAGES = ("prepare", "warmup", "learn", "finetune", "done")
EVENTS = ("step", "validated", "grew", "note")


@dataclass(frozen=True)
class Progress:
    """What a training tells; numbers are NaN where there is none yet."""

    stage: str  # one of STAGES
    event: str  # one of EVENTS
    epoch: int
    step: int  # optimiser steps done; in "prepare" images checked
    num_steps: int
    num_learners: int
    learner: int  # whose step it was
    best: bool  # validated: the best score so far
    learning_rate: float
    loss: float
    nmi: float  # of the last validation
    recall_at_1: float
    macro_recall_at_1: float
    elapsed_s: float
    message: str


def _progress_of(p: _native.ProgressInfo) -> Progress:
    return Progress(STAGES[p.stage], EVENTS[p.event], p.epoch, p.step, p.num_steps, p.num_learners, p.learner, bool(p.best), p.learning_rate,
                    p.loss, p.nmi, p.recall_at_1, p.macro_recall_at_1, p.elapsed_s, (p.message or b"").decode())


def last_path(out: str | os.PathLike[str]) -> Path:
    """Where the last model goes when the best one goes to out."""
    return Path(out).with_suffix(".last.dsl")


def train(
    data: DataLike,
    out: str | os.PathLike[str],
    *,
    learners: Union[int, Literal["dynamic"]] = "dynamic",
    loss: str | None = None,
    mining: str | None = None,
    beta: str | None = None,
    cluster_space: str | None = None,
    recluster_every: int | None = None,
    patience: int | None = None,
    backbone: str | None = None,
    stem: str | None = None,
    attention: str | None = None,
    profile: str | None = None,
    init: str | os.PathLike[str] | None = None,
    embedding_dim: int | None = None,
    input_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    images_per_class: int | None = None,
    learning_rate: float | None = None,
    embedding_rate: float | None = None,
    exact_convolutions: bool = False,
    nondeterministic: bool = False,
    warmup_share: float | None = None,
    finetune_share: float | None = None,
    validation_share: float | None = None,
    seed: int = 0,
    threads: int = 0,
    device: str = "auto",
    precision: str = "auto",
    skip_unreadable: bool = False,
    log: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every_s: float = 0,
    progress: Union[bool, Callable[[Progress], Any]] = True,
) -> Model:
    """Trains on the "train" images of data, validates on "val" (or a share held out), and writes the best model to out.

    data: a manifest, a folder with a subfolder per class, a Dataset, or (images, labels). The last model goes beside out
    (model.last.dsl for model.dsl). learners: "dynamic" (grow as needed) or a fixed number. None means the profile's default: backbone
    "resnet18" ("resnet34", "resnet50"), stem "standard" ("small" for small images), attention "gate" ("none"), profile "scratch" ("paper").
    init: a file with the weights to start from; the "paper" profile needs one. A trained model gives its backbone and attention, whatever its head;
    a .safetensors file with the state dict of torchvision's or timm's ResNet-18, -34 or -50 (convert_weights) gives the backbone. BatchNorm is
    frozen then, and there is no warm-up unless warmup_share asks for one.
    loss "margin", with mining "nearest" ("distance-weighted") and beta "fixed" ("learnt", "per-class"); or "contrastive", "triplet",
    "proxy-anchor", "multi-similarity", "supervised-contrastive"; or "classification", a network that embeds with its penultimate vector and knows no learners. cluster_space "embedding" ("penultimate"): the vectors
    whose clusters share out the images among learners. recluster_every (epochs) and patience (validations before a learner is added) follow the run's length.
    learning_rate and embedding_rate: of the backbone, and of the embedding layer, while learners train; the latter is learning_rate, from scratch ten times it.
    exact_convolutions: on the CPU no Winograd convolutions, which round two to eight times as much as direct ones (up to 1.7e-6 of a layer's norm) and make
    a step up to 1.3 times as fast. nondeterministic: on a GPU also kernels that add up in another order each time, where they are faster; two runs then
    differ by rounding.
    embedding_dim 128, input_size 224 pixels, validation_share 0.15. A 0 is a 0, and refused where it makes no sense; threads 0 means all cores.
    warmup_share and finetune_share, 0 for none: of the steps, what trains a classification network first; of those after it, what trains the
    whole embedding last.
    steps, when set, replaces epochs. skip_unreadable leaves unreadable images out instead of stopping. device and precision: as in Model.load.
    log: a file for JSON lines. progress: a bar, nothing, or a function of a Progress, called on this thread; False from it cancels.

    resume: go on from the checkpoint beside out (model.checkpoint.dsl for model.dsl) if there is one: a training that was stopped, also by a crash, then
    ends bit for bit as if it had never been, on the same device with the same threads and libraries; report["resume_differences"] says why where it may
    not. Options and data must be those of the checkpoint. Without resume a training starts anew and removes it. checkpoint_every_s: from one
    checkpoint to the next within an epoch, 0 for 300, below 0 for no checkpoints.

    Returns the best model; its report says what happened. Ctrl-C raises KeyboardInterrupt within 200 ms; the last model is on disk when the
    process ends or wait_for_files() returns. Raises Error.
    """
    count = 0 if learners == "dynamic" else learners
    if not isinstance(count, int) or isinstance(count, bool) or (count < 1 and learners != "dynamic"):
        raise Error(Status.INVALID, f'dsl: learners: got {learners!r}, want "dynamic" or a number of 1 or more')
    if not 0 <= seed < 2**64:
        raise Error(Status.INVALID, f"dsl: seed: got {seed}, want 0 to 2^64 - 1")
    numbers = _positive(embedding_dim=embedding_dim, input_size=input_size, epochs=epochs, steps=steps, batch_size=batch_size,
                        images_per_class=images_per_class, learning_rate=learning_rate, validation_share=validation_share,
                        recluster_every=recluster_every, patience=patience, embedding_rate=embedding_rate)  # fmt: skip
    dataset = dataset_of(data)
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # The C callback runs on the thread that dsl_train runs on; it hands copies to this one.
    callback = ProgressFunction(lambda info, _: events.put(_progress_of(info.contents)) or 0)
    options = TrainOptions(
        struct_size=ctypes.sizeof(TrainOptions), learners=count, out_path=_native.encode_path(out),
        log_path=None if log is None else _native.encode_path(log), init_path=None if init is None else _native.encode_path(init),
        backbone=optional_text(backbone), stem=optional_text(stem), attention=optional_text(attention), profile=optional_text(profile),
        device=optional_text(device), precision=optional_text(precision), threads=threads, skip_unreadable=int(skip_unreadable), seed=seed,
        loss=optional_text(loss), mining=optional_text(mining), beta=optional_text(beta), cluster_space=optional_text(cluster_space),
        warmup_share=optional_number(warmup_share), finetune_share=optional_number(finetune_share), progress=callback,
        exact_convolutions=int(exact_convolutions), nondeterministic=int(nondeterministic), resume=int(resume), checkpoint_every_s=checkpoint_every_s, **numbers,
    )  # fmt: skip
    report = c_void_p()
    with Bar(enabled=progress is True) as bar:
        listener = progress if callable(progress) else bar.show
        _call.run("dsl_train", (dataset._handle.pointer, ctypes.byref(options)), (ctypes.byref(report),), events, _stopping(listener))
    found = json.loads(_call.take_report(report))
    model = Model.load(out, device=device, precision=precision, threads=threads)
    model.report = found
    return model


def _positive(**numbers: int | float | None) -> dict[str, Any]:
    """The options that are set. For C a 0 is the default: one that was asked for would go unnoticed."""
    given = {name: value for name, value in numbers.items() if value is not None}
    for name, value in given.items():
        if value == 0:
            raise Error(Status.INVALID, f"dsl: {name}: got 0, want more, or None for the default")
    return given


def _stopping(listener: Callable[[Progress], Any]) -> Callable[[Progress], None]:
    def listen(p: Progress) -> None:
        if listener(p) is False:  # a function that returns nothing goes on
            raise Error(Status.CANCELLED, "dsl: train: cancelled by the progress function")

    return listen


def wait_for_files() -> None:
    """Waits until a training that was stopped has written its last model."""
    _call.finish()


def evaluate(model: Model | str | os.PathLike[str], data: DataLike, split: str = "test") -> dict[str, Any]:
    """Scores on a split ("" for all images): NMI, AMI, and retrieval over queries (micro) and classes (macro), with self or group excluded."""
    dataset, model = dataset_of(data), model_of(model)
    report = c_void_p()
    _call.run("dsl_session_evaluate", (model._session().pointer, dataset._handle.pointer, split.encode()), (ctypes.byref(report),))
    result: dict[str, Any] = json.loads(_call.take_report(report))
    return result


def evaluate_masks(model: Model | str | os.PathLike[str], data: DataLike, source: str = "", split: str = "test") -> dict[str, Any]:
    """Scores maps against the masks of a split ("" for all images): Dice and IoU for the thresholds "fixed" (0.5), "otsu" (of each image) and "best"
    (of the validation images), the pointing game, and the same for all pixels and for a centred disc.

    source: "attention", "grad_cam", "self", "activation" (see Model.maps); "" means "grad_cam" for a classification network and "attention" for others.
    Threshold, side and radius are chosen on the split "val" only: result["validation"] has them, result["mean"] the means, result["images"]
    each image. An empty mask and an empty region have Dice and IoU 1.
    """
    dataset, model = dataset_of(data), model_of(model)
    report = c_void_p()
    _call.run("dsl_session_evaluate_masks", (model._session().pointer, dataset._handle.pointer, source.encode(), split.encode()), (ctypes.byref(report),))
    result: dict[str, Any] = json.loads(_call.take_report(report))
    return result
