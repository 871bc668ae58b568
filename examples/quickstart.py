#!/usr/bin/env python3
"""Trains a model on images, scores it, and draws what it learnt.

    examples/quickstart.sh [FOLDER | manifest.csv] [options]     installs and builds first, then runs this

Without images it draws phantoms. A folder has one subfolder of images per class; a manifest is a CSV file with the columns
path,label[,class_name][,mask][,split][,group]. Images without a test split get one: a fifth, drawn by class and whole groups.
"""

import argparse
import collections
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import collection  # noqa: E402
import dsl  # noqa: E402
import phantoms  # noqa: E402
import pictures  # noqa: E402
import scores  # noqa: E402

SHOWN = 6  # queries, neighbours of each, and heatmaps
MOST_MAPPED = 2000  # points of the 2-D map: t-SNE's time grows faster than their number
EPOCHS = 32  # those of the scratch profile
REHEARSAL_STEPS = 8
# What a training takes beside its steps (validation, clustering), as a share of them; 17 % on the phantoms, rounded up.
OVERHEAD = 0.25
STAGES = {"warmup": "warm-up", "learn": "learners", "finetune": "fine-tuning"}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="quickstart.sh", description=__doc__.split("\n\n")[0],
                                     epilog="The environment variable OUT names the folder of the results.")  # fmt: skip
    parser.add_argument("source", nargs="?", help="a folder with one subfolder of images per class, of a published data set, or a manifest.csv; default: phantoms")
    parser.add_argument("--out", type=pathlib.Path, default=os.environ.get("OUT", ROOT / "out" / "quickstart"), help="folder of the results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learners", default="dynamic", help='"dynamic" (grow as needed) or a number')
    parser.add_argument("--input-size", type=int, default=64, help="pixels of a side that the network looks at; more shows finer heatmaps and takes longer")
    parser.add_argument("--batch-size", type=int, default=0, help="images of a step; default: 128, fewer for small data sets")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=0, help=f"optimiser steps of the training; default: {EPOCHS} passes over the training images")
    length.add_argument("--minutes", type=float, default=0, help="as many steps as take about so long")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--phantoms", type=int, default=1200, metavar="N", help="how many phantoms to draw")
    options = parser.parse_args(arguments)
    options.out = pathlib.Path(options.out)
    if options.learners != "dynamic":
        if not options.learners.isdecimal() or int(options.learners) < 1:
            parser.error(f'argument --learners: got "{options.learners}", want "dynamic" or a number of 1 or more')
        options.learners = int(options.learners)
    return options


# ---- the data ------------------------------------------------------------------------------------------------------


def prepare(options):
    """The manifest to train on and its items. Draws phantoms or makes a test split where there is none."""
    source = options.source
    if not source:
        folder = options.out / f"phantoms-{options.phantoms}-seed{options.seed}"
        source = folder / "manifest.csv"
        if not source.exists():
            print(f"drawing {options.phantoms} phantoms")
            phantoms.draw(folder, options.phantoms, options.seed)
    found = collection.read(source)
    items = collection.with_test_split(found, seed=options.seed)
    if items is not found:
        source = options.out / "manifest.csv"
        collection.write(items, source)
        print(f"no test split: made one, see {source}")
    count = collections.Counter(item.split for item in items)
    classes = collections.Counter(item.class_name for item in items)
    print(f"{len(items)} images: {', '.join(f'{n} {split}' for split, n in sorted(count.items()))}")
    print("classes: " + ", ".join(f"{name} {n}" for name, n in sorted(classes.items())))
    return source, items


def load(path):
    """The file's own pixels [H, W, 3], before EXIF orientation: the geometry of heatmaps."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def load_mask(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


# ---- the training --------------------------------------------------------------------------------------------------


def settings(options, train_images):
    """The options of dsl.train but for the number of steps. Small data sets get small batches, so that they get enough steps."""
    batch = options.batch_size or min(128, max(32, train_images // 15 // 8 * 8))
    return {"learners": options.learners, "input_size": options.input_size, "batch_size": batch, "images_per_class": max(2, batch // 8),
            "threads": options.threads, "seed": options.seed}  # fmt: skip


def rehearse(manifest, **options):
    """Trains for a few steps and throws the model away: the median seconds of a step."""
    took, last = [], [None]

    def listen(progress):
        now = time.monotonic() if progress.stage in STAGES and progress.event == "step" else None
        if now is not None and last[0] is not None:  # nothing but a step lies between
            took.append(now - last[0])
        last[0] = now

    with tempfile.TemporaryDirectory() as folder:
        dsl.train(manifest, os.path.join(folder, "model.dsl"), steps=REHEARSAL_STEPS, progress=listen, **options).close()
    return float(np.median(took))


def peak_memory_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB


def train(manifest, items, options):
    """Trains, saying first how long it takes; returns the report of dsl.train."""
    train_images = sum(item.split == "train" for item in items)
    chosen = settings(options, train_images)
    print(f"timing {REHEARSAL_STEPS} steps")
    step_s = rehearse(manifest, **chosen) * (1 + OVERHEAD)
    steps = options.steps or EPOCHS * max(1, train_images // chosen["batch_size"])
    if options.minutes:
        steps = max(REHEARSAL_STEPS, round(60 * options.minutes / step_s))
    print(f"training {steps} steps of {chosen['batch_size']} images takes about {steps * step_s / 60:.1f} minutes and "
          f"{peak_memory_gib():.1f} GiB of memory; Ctrl-C stops it and keeps the last model", flush=True)  # fmt: skip
    with dsl.train(manifest, options.out / "model.dsl", log=options.out / "training.jsonl", steps=steps, **chosen) as model:
        return model.report


def draw_training(log, path):
    """The curve from the log, JSON lines: see dsl.train."""
    losses, validations, growths, stages = [], [], [], []
    with open(log, encoding="utf-8") as f:
        for line in map(json.loads, f):
            if line["event"] == "step" and "loss" in line:
                losses.append((line["step"], line["loss"]))
            elif line["event"] == "validated":
                validations.append((line["step"], line["nmi"], line["recall_at_1"]))
            elif line["event"] == "grew":
                growths.append((line["step"], line["sizes"]))
            name = STAGES.get(line["stage"])
            if name and name not in (n for _, n in stages):
                stages.append((line["step"], name))
    pictures.training(path, losses, validations, growths, stages)


# ---- the scores ----------------------------------------------------------------------------------------------------


def evaluate(manifest, items, out, summary):
    """Scores both models and raw pixels on the test images, into metrics.json and metrics.txt."""
    test = [item for item in items if item.split == "test"]
    found = {}
    for name, file in (("best model", "model.dsl"), ("last model", "model.last.dsl")):
        with dsl.Model.load(out / file) as model:
            found[name] = dsl.evaluate(model, manifest)
    raw = scores.raw_pixels([item.path for item in test])
    found["raw pixels"] = scores.score(raw, [item.label for item in test], [item.group for item in test])
    text = scores.table(found)
    (out / "metrics.txt").write_text(f"{len(test)} test images\n\n{text}", encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps({"training": summary, "test": found}, indent=2) + "\n", encoding="utf-8")
    print("\n" + text)


# ---- the pictures --------------------------------------------------------------------------------------------------


def choose(test, rng):
    """SHOWN indices into the test images: every class in turn, at random inside a class."""
    by_label = collections.defaultdict(list)
    for i in rng.permutation(len(test)):
        by_label[test[i].label].append(int(i))
    rounds = [group[turn] for turn in range(SHOWN) for _, group in sorted(by_label.items()) if turn < len(group)]
    return rounds[:SHOWN]


def nearest(embeddings, test, query):
    """Indices of the other test images, most similar first, without the query's own group."""
    similarity = embeddings @ embeddings[query]
    order = np.argsort(-similarity, kind="stable")
    own = test[query].group
    return [(int(i), float(similarity[i])) for i in order if i != query and not (own and test[i].group == own)]


def draw_neighbours(path, test, embeddings, queries):
    rows = []
    for q in queries:
        found = [(load(test[i].path), test[i].class_name, s) for i, s in nearest(embeddings, test, q)[:SHOWN]]
        rows.append((load(test[q].path), test[q].class_name, found))
    pictures.neighbours(path, rows, "Test images and their nearest neighbours (cosine similarity; never from the query's own group)")


def draw_heatmaps(path, model, test, queries):
    heat = model.heatmap([test[q].path for q in queries])
    items = [(load(test[q].path), test[q].class_name, h, load_mask(test[q].mask) if test[q].mask else None) for q, h in zip(queries, heat)]
    pictures.heatmaps(path, items, "Where the network looks (attention)")


def draw_pair(path, model, test, embeddings, query):
    """The query and its nearest neighbour of the same class, or the nearest of all."""
    order = nearest(embeddings, test, query)
    other = next((i for i, _ in order if test[i].label == test[query].label), order[0][0])
    a, b = test[query], test[other]
    learners = range(model.num_learners) if model.num_learners > 1 else ()
    rows = []
    for learner in (None, *learners):
        why = model.explain_pair(a.path, b.path, learner=learner)
        what = "whole embedding" if learner is None else f"learner {learner + 1}"
        rows.append((what, why.similarity, (why.bias_a, why.bias_b), (why.map_a, why.map_b)))
    pictures.pair(path, (load(a.path), load(b.path)), (a.class_name, b.class_name), rows)


def draw_map(path, test, embeddings, rng):
    chosen = np.sort(rng.permutation(len(test))[:MOST_MAPPED])
    names = {item.label: item.class_name for item in test}
    labels = [test[i].label for i in chosen]
    pictures.embedding_map(path, pictures.project(embeddings[chosen]), labels, names, f"Embeddings of {len(chosen)} test images (t-SNE)")


def draw_all(options, items):
    test = [item for item in items if item.split == "test"]
    rng = np.random.default_rng(options.seed)
    queries = choose(test, rng)
    out = options.out
    with dsl.Model.load(out / "model.dsl", threads=options.threads) as model:
        embeddings = model.embed([item.path for item in test])
        draw_neighbours(out / "neighbours.png", test, embeddings, queries)
        draw_heatmaps(out / "heatmaps.png", model, test, queries)
        draw_pair(out / "pair.png", model, test, embeddings, queries[0])
    draw_map(out / "map.png", test, embeddings, rng)
    draw_training(out / "training.jsonl", out / "training.png")


FILES = (("model.dsl", "the best model by its scores on the validation images"), ("model.last.dsl", "the model after the last step"),
         ("metrics.txt", "scores on the test images"), ("metrics.json", "the same and more, for programs"),
         ("neighbours.png", "test images and their nearest neighbours"), ("heatmaps.png", "where the network looks"),
         ("pair.png", "why two images are similar"), ("map.png", "all test images in two dimensions"),
         ("training.png", "the training, with its growths"), ("training.jsonl", "its log"))  # fmt: skip


def run(options):
    options.out.mkdir(parents=True, exist_ok=True)
    manifest, items = prepare(options)
    summary = train(manifest, items, options)
    evaluate(manifest, items, options.out, summary)
    print("drawing the pictures")
    draw_all(options, items)
    print(f"\nresults in {options.out}:")
    for name, what in FILES:
        print(f"  {name:15} {what}")


def main(arguments=None):
    options = parse(arguments)
    try:
        run(options)
    except KeyboardInterrupt:
        sys.exit("quickstart: stopped")
    except (OSError, ValueError, dsl.Error) as e:
        sys.exit(f"quickstart: {e}")


if __name__ == "__main__":
    main()
