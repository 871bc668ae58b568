#!/usr/bin/env python3
"""Segmentation without drawn masks: a U-Net learns from regions of a model's maps, and is compared with one that learns from true masks.

    python3 examples/weak_labels.py manifest.csv --model attention.dsl [--classifier classifier.dsl] --out FOLDER

The manifest has masks and the splits train, val and test. Maps are the model's attention, where its features are strong (activation) and, with a
classification network, its Grad-CAM. The masks of the val split choose a threshold for each kind of map; the maps of the train split above it (or below,
where that fits better) are its proxy masks, which a small U-Net learns. FOLDER gets results.txt and results.json with Dice and IoU on the test split, and sheet.png. Needs PyTorch.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import collection  # noqa: E402
import dsl  # noqa: E402
import pictures  # noqa: E402

SHOWN = 6
TITLES = {"attention": "attention", "grad_cam": "Grad-CAM", "self": "self map", "activation": "activation"}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="weak_labels.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("manifest", help="a manifest.csv with masks and the splits train, val and test")
    parser.add_argument("--model", required=True, help="a .dsl file whose attention and features are looked at")
    parser.add_argument("--classifier", help="a .dsl file of a classification network, for Grad-CAM")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the results")
    parser.add_argument("--unet-steps", type=int, default=400, help="steps of 16 images for each U-Net")
    parser.add_argument("--size", type=int, default=96, help="pixels of a side that the U-Net sees, a multiple of 8")
    parser.add_argument("--images", type=int, default=0, help="how many images of the train split, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    options = parser.parse_args(arguments)
    if options.unet_steps < 1 or options.size < 8 or options.size % 8:
        parser.error("want 1 step or more, and a size that is a multiple of 8")
    return options


# ---- images and masks, in the pixel grid of their files ------------------------------------------------------------


def load(path, size):
    """An image stretched to [size, size, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.BILINEAR))


def load_mask(path):
    """A mask [H, W], True inside."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).any(axis=2)


def stretch(mask, shape):
    """A mask in another number of pixels."""
    return np.asarray(Image.fromarray(mask).resize(shape[::-1], Image.NEAREST))


def overlap(region, mask):
    """Dice and IoU; 1 when both are empty."""
    both, total = int((region & mask).sum()), int(region.sum()) + int(mask.sum())
    return (2 * both / total, both / (total - both)) if total else (1.0, 1.0)


# ---- maps ----------------------------------------------------------------------------------------------------------


class Maps:
    """One kind of map of one model, scored against the masks of the test split."""

    def __init__(self, path, manifest, source, threads):
        self.model, self.source, self.title = dsl.Model.load(path, threads=threads), source, TITLES[source]
        self.scores = dsl.evaluate_masks(self.model, manifest, source, "test")
        self.threshold, self.side = (self.scores["validation"][name] for name in ("threshold", "foreground"))

    def proxies(self, paths):
        """Proxy masks [H, W] in the originals' pixels."""
        return self.model.proxy_masks(paths, self.threshold, foreground=self.side, source=self.source)

    def rows(self):
        """What the table says of it: name and mean scores."""
        names = {"fixed": "0.5", "otsu": "Otsu", "best": f"{self.side} {self.threshold:.2f}, proxy masks"}
        return [(f"{self.title}, {names[rule]}", self.scores["mean"][rule]) for rule in names]


# ---- U-Nets --------------------------------------------------------------------------------------------------------


def learn(images, masks, options):
    """A U-Net that learnt from images and masks of any size."""
    import unet

    side = (options.size, options.size)
    return unet.train(images, np.stack([stretch(m, side) for m in masks]).astype(np.uint8), options.unet_steps, options.seed)


def outlines(net, images, shapes):
    """What a U-Net outlines, one region of each shape."""
    import unet

    for p, (height, width) in zip(unet.predict(net, images), shapes):
        yield np.asarray(Image.fromarray(p).resize((width, height), Image.BILINEAR)) >= 0.5


def score(net, images, masks):
    """Mean Dice and IoU on images and masks of their own sizes."""
    found = [overlap(region, mask) for region, mask in zip(outlines(net, images, [m.shape for m in masks]), masks)]
    dice, iou = np.mean(found, axis=0)
    return {"dice": float(dice), "iou": float(iou)}


# ---- results -------------------------------------------------------------------------------------------------------


def table(rows):
    width = max(len(name) for name, _ in rows)
    return f"{'':{width}}  Dice   IoU\n" + "".join(f"{name:{width}}  {s['dice']:.3f}  {s['iou']:.3f}\n" for name, s in rows)


def draw(path, test, maps, nets, options):
    """The sheet: some test images, their masks, maps with their proxy masks, and what the U-Nets outline."""
    chosen = [test[i] for i in np.sort(np.random.default_rng(options.seed).permutation(len(test))[:SHOWN])]
    shown = [dsl.load_image(item.path) for item in chosen]
    small = np.stack([load(item.path, options.size) for item in chosen])
    columns = [("image", [(None, None)] * len(chosen)), ("mask", [(None, load_mask(item.mask)) for item in chosen])]
    for m in maps:
        paths = [item.path for item in chosen]
        columns.append((m.title, list(zip(m.model.maps(paths, m.source), m.proxies(paths)))))
    for name, net in nets:
        columns.append((name, [(None, region) for region in outlines(net, small, [image.shape[:2] for image in shown])]))
    rows = [(image, [cells[i] for _, cells in columns]) for i, image in enumerate(shown)]
    pictures.sheet(path, [name for name, _ in columns], rows, "Test images, and where their findings are said to be")


def run(options):
    import torch  # said at once when it is missing

    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    items = [item for item in collection.read(options.manifest) if item.mask]
    test, train = ([item for item in items if item.split == split] for split in ("test", "train"))
    if not test or not train:
        raise ValueError(f"{pathlib.Path(options.manifest).name}: got {len(train)} training and {len(test)} test images with masks, want some of both")
    if options.images:
        train = [train[i] for i in np.sort(np.random.default_rng(options.seed).permutation(len(train))[: options.images])]
    maps = [Maps(options.model, options.manifest, source, options.threads) for source in ("attention", "activation")]
    if options.classifier:
        maps.append(Maps(options.classifier, options.manifest, "grad_cam", options.threads))
    mean = maps[0].scores["mean"]
    rows = [("all foreground", mean["all_foreground"]), ("centre disc", mean["centre_disc"]), *(row for m in maps for row in m.rows())]

    print(f"{len(train)} training images, {len(test)} test images; {len(maps) + 1} U-Nets of {options.unet_steps} steps", flush=True)
    images = np.stack([load(item.path, options.size) for item in train])
    test_images, test_masks = np.stack([load(item.path, options.size) for item in test]), [load_mask(item.mask) for item in test]
    paths = [item.path for item in train]
    teachers = [(f"U-Net on {m.title}", lambda m=m: m.proxies(paths)) for m in maps] + [("U-Net on true masks", lambda: [load_mask(i.mask) for i in train])]
    nets = []
    for name, masks in teachers:
        begun = time.monotonic()
        nets.append((name, learn(images, masks(), options)))
        rows.append((name, score(nets[-1][1], test_images, test_masks)))
        print(f"{name}: Dice {rows[-1][1]['dice']:.3f}, {time.monotonic() - begun:.0f} s", flush=True)
    text = table(rows)
    (options.out / "results.txt").write_text(f"{len(test)} test images\n\n{text}", encoding="utf-8")
    found = {"mean": dict(rows), "maps": {m.source: m.scores for m in maps}}
    (options.out / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(options.out / "sheet.png", test, maps, nets, options)
    print("\n" + text)
    print(f"results in {options.out}: results.txt, results.json, sheet.png")


def main(arguments=None):
    options = parse(arguments)
    try:
        run(options)
    except KeyboardInterrupt:
        sys.exit("weak_labels: stopped")
    except ImportError as e:
        sys.exit(f"weak_labels: {e}; it needs PyTorch (Debian: python3-torch)")
    except (OSError, ValueError, dsl.Error) as e:
        sys.exit(f"weak_labels: {e}")


if __name__ == "__main__":
    main()
