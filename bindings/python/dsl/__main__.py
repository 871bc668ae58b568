"""The command line: python3 -m dsl train | embed | heatmap | masks | evaluate | index | search | cluster | manifest | info | experiment | convert-weights."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from . import Dataset, Error, Model, convert_weights, evaluate, load_image, overlay, train, wait_for_files
from .experiment import cli as experiment
from .gallery import IMAGE_SUFFIXES, add_commands
from .training import evaluate_masks, last_path

SOURCES = ["attention", "grad_cam", "self", "activation"]
DATA = "manifest.csv (path,label[,class_name][,split][,group]), a folder of a published data set, or one with a subfolder per class"


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except Error as e:
        print(f"dsl {options.command}: error: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"dsl {options.command}: error: {e.strerror}: {Path(e.filename or '').name}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"dsl {options.command}: stopped", file=sys.stderr)
        return 130  # as a shell says of a program that SIGINT ended
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="dsl", description="Dynamic subspace metric learning for medical images. For research, not a medical device.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser("train", help="train a model on a data set")
    p.set_defaults(run=run_train)
    p.add_argument("data", help=DATA)
    p.add_argument("-o", "--out", required=True, help="where the best model goes; the last one goes to NAME.last.dsl")
    p.add_argument("--learners", default="dynamic", help="dynamic (default), or a number")
    p.add_argument("--loss", help="margin (default), contrastive, triplet, proxy-anchor, multi-similarity, supervised-contrastive, classification")
    p.add_argument("--mining", choices=["nearest", "distance-weighted"], help="of the margin loss")
    p.add_argument("--beta", choices=["fixed", "learnt", "per-class"], help="of the margin loss")
    p.add_argument("--cluster-space", choices=["embedding", "penultimate"], help="what is clustered to share out the images")
    p.add_argument("--recluster-every", type=int, metavar="EPOCHS")
    p.add_argument("--patience", type=int, help="validations without a better NMI before a learner is added")
    p.add_argument("--exact-convolutions", action="store_true", help="on the CPU no Winograd convolutions: less rounding, slower")
    p.add_argument("--nondeterministic", action="store_true", help="on a GPU also kernels that add up in another order each time, where they are faster")
    p.add_argument("--backbone", choices=["resnet18", "resnet34", "resnet50"])
    p.add_argument("--stem", choices=["standard", "small"])
    p.add_argument("--attention", choices=["gate", "none"])
    p.add_argument("--profile", choices=["scratch", "paper"])
    p.add_argument("--init", metavar="FILE", help="start from this model's backbone and attention, or from a ResNet's .safetensors file")
    for name, what in (("embedding-dim", "width of an embedding (128)"), ("input-size", "pixels of a side (224)"), ("epochs", "passes over the images"),
                       ("steps", "optimiser steps, instead of epochs"), ("batch-size", ""), ("images-per-class", "in a batch")):  # fmt: skip
        p.add_argument(f"--{name}", type=int, help=what)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=0, help="0: all cores")
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--embedding-rate", type=float, help="the learning rate of the embedding layer while learners train")
    p.add_argument("--warmup-share", type=float, help="of the steps, for the classification network that comes first; 0 for none")
    p.add_argument("--finetune-share", type=float, help="of the steps after it, for the whole embedding at the end; 0 for none")
    p.add_argument("--validation-share", type=float, help="of the training images, without a val split (0.15)")
    add_device(p)
    p.add_argument("--skip-unreadable", action="store_true", help="leave unreadable images out instead of stopping")
    p.add_argument("--log", help="a file for JSON lines")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out, if there is one")
    p.add_argument("--checkpoint-every", type=float, default=0, metavar="SECONDS", help="within an epoch (300); below 0: no checkpoints")

    p = commands.add_parser("embed", help="write embeddings of images to a .npy file, their names to a .txt file beside it")
    p.set_defaults(run=run_embed)
    add_model(p)
    p.add_argument("images", nargs="+", help="image files or folders")
    p.add_argument("-o", "--out", required=True, help="a .npy file, [N, D] float32")

    p = commands.add_parser("heatmap", help="write heatmaps of images: NAME.heatmap.png over the image, NAME.heatmap.npy in [0, 1]")
    p.set_defaults(run=run_heatmap)
    add_model(p)
    p.add_argument("images", nargs="+", help="image files or folders")
    p.add_argument("-o", "--out", required=True, help="a folder")

    p.add_argument("--grad-cam", action="store_true", help="of the predicted class instead of the attention; for classification networks")
    p.add_argument("--label", type=int, help="of this class, with --grad-cam")

    p = commands.add_parser("masks", help="write proxy masks, regions of maps, as NAME.mask.png, and masks.csv, a manifest that names them")
    p.set_defaults(run=run_masks)
    add_model(p)
    p.add_argument("data", help=DATA)
    p.add_argument("-o", "--out", required=True, help="a folder")
    p.add_argument("--split", default="train", help="train (default), val, test, or all")
    p.add_argument("--source", choices=SOURCES, help="of the maps; default: grad_cam for a classification network, else attention")
    p.add_argument("--threshold", default="best", help="best (default: of the val split's masks, with its side), otsu (of each image), or a number of 0 to 1")
    p.add_argument("--foreground", choices=["above", "below"], help="side of the threshold, with otsu or a number; default: above")

    p = commands.add_parser("evaluate", help="score a model on a split")
    p.set_defaults(run=run_evaluate)
    add_model(p)
    p.add_argument("data", help=DATA)
    p.add_argument("--split", default="test", help="train, val, test (default), or all")
    p.add_argument("--json", help="write all scores to this file")
    p.add_argument("--masks", action="store_true", help="score maps against the masks instead; thresholds are chosen on the val split")
    p.add_argument("--source", choices=SOURCES, help="of the maps, with --masks; default: grad_cam for a classification network, else attention")

    p = commands.add_parser("calibrate", help="write a copy of a model that --precision int8 takes, calibrated on images of a data set")
    p.set_defaults(run=run_calibrate)
    p.add_argument("model", help="a .dsl file")
    p.add_argument("data", help=DATA)
    p.add_argument("-o", "--out", required=True, help="a .dsl file; MODEL itself is fine")
    p.add_argument("--num-images", type=int, default=256, help="so many, drawn at random but always the same (256)")
    p.add_argument("--split", default="train", help="train (default), val or test")
    p.add_argument("--threads", type=int, default=0)

    p = commands.add_parser("manifest", help="write what a data set holds as a manifest: a line for each image with its class, split and group")
    p.set_defaults(run=run_manifest)
    p.add_argument("data", help=DATA)
    p.add_argument("-o", "--out", required=True, help="a .csv file")

    add_commands(commands, add_model)

    p = commands.add_parser("info", help="say what a model file holds")
    p.set_defaults(run=run_info)
    p.add_argument("model")

    experiment.add_parser(commands)

    p = commands.add_parser("convert-weights", help="turn a state dict of PyTorch into a .safetensors file, for train --init; needs PyTorch")
    p.set_defaults(run=run_convert_weights)
    p.add_argument("source", help="a .pth file")
    p.add_argument("out", help="a .safetensors file")
    return top


def add_model(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", help="a .dsl file")
    add_device(p)
    p.add_argument("--threads", type=int, default=0)


def add_device(p: argparse.ArgumentParser) -> None:
    p.add_argument("--device", default="auto", help="auto (default: a GPU where one can be used), cpu, cuda, cuda:1")
    p.add_argument("--precision", default="auto", choices=["auto", "f32", "tf32", "bf16", "int8"])


def load(o: argparse.Namespace) -> Model:
    return Model.load(o.model, device=o.device, precision=o.precision, threads=o.threads)


def run_train(o: argparse.Namespace) -> None:
    if o.learners != "dynamic" and not o.learners.isdigit():
        raise Error(1, f'dsl: learners: got "{o.learners}", want dynamic or a number')
    try:
        model = train(
            o.data, o.out, learners="dynamic" if o.learners == "dynamic" else int(o.learners), backbone=o.backbone, stem=o.stem, attention=o.attention,
            profile=o.profile, init=o.init, embedding_dim=o.embedding_dim, input_size=o.input_size, epochs=o.epochs, steps=o.steps, batch_size=o.batch_size,
            images_per_class=o.images_per_class, learning_rate=o.learning_rate, embedding_rate=o.embedding_rate, warmup_share=o.warmup_share,
            loss=o.loss, mining=o.mining, beta=o.beta, cluster_space=o.cluster_space, recluster_every=o.recluster_every, patience=o.patience,
            finetune_share=o.finetune_share, validation_share=o.validation_share, seed=o.seed, threads=o.threads,
            device=o.device, precision=o.precision, skip_unreadable=o.skip_unreadable, log=o.log,
            exact_convolutions=o.exact_convolutions, nondeterministic=o.nondeterministic, resume=o.resume, checkpoint_every_s=o.checkpoint_every,
        )  # fmt: skip
    except KeyboardInterrupt:
        wait_for_files()
        if last_path(o.out).exists():
            print(f"the last model is {last_path(o.out).name}; the same command with --resume goes on", file=sys.stderr)
        raise
    print(json.dumps(model.report, indent=2))


def image_files(names: list[str]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = Path(name)
        found += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
    if not found:
        raise Error(2, "dsl: images: the folders hold no .jpg, .png or .dcm files")
    return found


def run_embed(o: argparse.Namespace) -> None:
    files = image_files(o.images)
    out = Path(o.out)
    with load(o) as model:
        np.save(out, model.embed(files))
    out.with_suffix(".txt").write_text("".join(f"{p}\n" for p in files))
    print(f"{len(files)} embeddings in {out}")


def run_heatmap(o: argparse.Namespace) -> None:
    if o.label is not None and not o.grad_cam:
        raise Error(1, "dsl: label: a class has a heatmap with --grad-cam only")
    files = image_files(o.images)
    folder = Path(o.out)
    folder.mkdir(parents=True, exist_ok=True)
    with load(o) as model:
        for path in files:
            heatmap = (model.grad_cam([path], o.label) if o.grad_cam else model.heatmap([path]))[0]
            overlay.write_png(folder / f"{path.stem}.heatmap.png", overlay.overlay(load_image(path), heatmap))
            np.save(folder / f"{path.stem}.heatmap.npy", heatmap)
    print(f"{len(files)} heatmaps in {folder}")


def run_evaluate(o: argparse.Namespace) -> None:
    if o.masks:
        return run_evaluate_masks(o)
    if o.source:
        raise Error(1, "dsl: source: maps are scored with --masks only")
    with load(o) as model:
        scores = evaluate(model, o.data, "" if o.split == "all" else o.split)
    if o.json:
        Path(o.json).write_text(json.dumps(scores, indent=2) + "\n")
    print(f"{scores['num_images']} images of {scores['num_classes']} classes, split {scores['split']}")
    print(f"NMI {scores['nmi']:.4f}   AMI {scores['ami']:.4f}")
    for name in ("self_excluded", "group_excluded"):
        found = scores[name]
        if found is None:
            continue
        print(f"{name.replace('_', ' ')}: {found['num_queries']} queries, {found['num_dropped']} dropped")
        for average in ("micro", "macro"):
            s = found[average]
            print(f"  {average}  " + "   ".join(f"R@{k} {s[f'recall_at_{k}']:.4f}" for k in (1, 2, 4, 8)) + f"   MAP@R {s['map_at_r']:.4f}")


def run_calibrate(o: argparse.Namespace) -> None:
    with Model.load(o.model) as model, model.calibrate(o.data, num_images=o.num_images, split=o.split, threads=o.threads) as calibrated:
        calibrated.save(o.out)
    print(f"calibrated model in {o.out}")


def write_rows(path: str | Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        out = csv.DictWriter(file, rows[0])
        out.writeheader()
        out.writerows(rows)


def run_manifest(o: argparse.Namespace) -> None:
    with Dataset._open_files(o.data) as dataset:
        rows = dataset.manifest()
    folder = os.path.dirname(os.path.abspath(o.out))
    for row in rows:  # paths in a manifest are relative to it
        row.update({cell: os.path.relpath(row[cell], folder) for cell in ("path", "mask") if row[cell]})
    write_rows(o.out, rows)
    counts = Counter(row["split"] for row in rows)
    classes, groups = len({row["label"] for row in rows}), len({row["group"] for row in rows} - {""})
    print(f"{len(rows)} images of {classes} classes in {o.out}: " + ", ".join(f"{counts[s]} {s}" for s in ("train", "val", "test")) + f"; {groups} groups")


def threshold_of(o: argparse.Namespace, model: Model) -> tuple[float | str, str]:
    """Threshold and side of run_masks."""
    if o.threshold == "best":
        if o.foreground:
            raise Error(1, "dsl: foreground: the best threshold has a side of its own")
        chosen = evaluate_masks(model, o.data, o.source or "", "val")["validation"]
        return chosen["threshold"], chosen["foreground"]
    try:
        return o.threshold if o.threshold == "otsu" else float(o.threshold), o.foreground or "above"
    except ValueError:
        raise Error(1, f'dsl: threshold: got "{o.threshold}", want best, otsu or a number') from None


def run_masks(o: argparse.Namespace) -> None:
    with Dataset.open(o.data) as dataset:
        rows = [row for row in dataset.manifest() if o.split in ("all", row["split"])]
    folder = Path(o.out)
    twice = [name for name, n in Counter(Path(row["path"]).stem for row in rows).items() if n > 1]
    if not rows:
        raise Error(2, f'dsl: masks: the split "{o.split}" has no images')
    if twice:
        raise Error(1, f'dsl: masks: got several images named "{twice[0]}", want names that differ')
    with load(o) as model:
        threshold, side = threshold_of(o, model)
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            mask = model.proxy_masks([row["path"]], threshold, foreground=side, source=o.source or "")[0]
            row["mask"] = f"{Path(row['path']).stem}.mask.png"
            overlay.write_png(folder / row["mask"], mask.astype(np.uint8) * 255)
            row["path"] = os.path.relpath(row["path"], folder)
    write_rows(folder / "masks.csv", rows)
    print(f"{len(rows)} masks in {folder}: {side} {threshold}")


def run_evaluate_masks(o: argparse.Namespace) -> None:
    with load(o) as model:
        scores = evaluate_masks(model, o.data, o.source or "", "" if o.split == "all" else o.split)
    if o.json:
        Path(o.json).write_text(json.dumps(scores, indent=2) + "\n")
    chosen = scores["validation"]
    print(f"{scores['num_images']} images with masks, split {scores['split']}, maps: {scores['source']}")
    print(f"best on {chosen['num_images']} validation images: {chosen['foreground']} {chosen['threshold']:.3f}, disc radius {chosen['disc_radius']:.3f}")
    for name, found in scores["mean"].items():
        print(f"{name:15} Dice {found['dice']:.4f}   IoU {found['iou']:.4f}")
    if scores["pointing_game"] is not None:
        print(f"pointing game {scores['pointing_game']:.4f}")


def run_info(o: argparse.Namespace) -> None:
    with Model.load(o.model) as model:
        print(json.dumps(model.info, indent=2))


def run_convert_weights(o: argparse.Namespace) -> None:
    print(f"{convert_weights(o.source, o.out)} tensors in {o.out}")


if __name__ == "__main__":
    sys.exit(main())
