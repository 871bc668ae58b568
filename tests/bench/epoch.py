"""epoch: an epoch of training from JPEG files on disk: pictures, augmentation, training steps. Both sides have the same cores, whatever threads and processes they start. PyTorch's data set
reads and decodes each file in each epoch; libdsl has decoded the files when it checked them, and keeps decoded pictures (up to 2 GiB). Nothing is compared: both draw at random."""

import csv
import os
import pathlib
import tempfile

import networks
import photos
from contest import SIDES, Bar, Row, Side, results, take_turns

NAME, SIZE, CLASSES = "epoch", 64, 8
BAR = Bar(1.5, (2.0,))


def write_files(folder, training, validation):
    """Files of 48 KB with a manifest."""
    with open(folder / "manifest.csv", "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("path", "label", "split"))
        for i in range(training + validation):
            (folder / f"{i}.jpg").write_bytes(photos.encoded(i, **photos.KINDS["48 KB, 4:2:0"]))
            out.writerow((f"{i}.jpg", i % CLASSES, "train" if i < training else "val"))


def measure(settings, threads):
    batch, training = (16, 64) if settings.quick else (128, 1024)
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        write_files(folder, training, 4 * CLASSES)
        networks.write(folder, networks.Arch("resnet18", "batch", SIZE, batch))
        workers = [0, 1] if threads == 1 else [threads - 1, threads]
        with Side("PyTorch", [settings.python, SIDES / "torch_epoch.py", folder, threads, *workers], threads, cores) as torch, \
                Side("libdsl", [settings.python, SIDES / "dsl_epoch.py", folder, threads, SIZE, batch], threads, cores) as ours:  # fmt: skip
            times = take_turns([ours, torch], settings, count=1)
        name = f"PyTorch {torch.about['version']}, {torch.about['form']}"
    yield from results(NAME, threads, times[0], [(name, times[1], {"notes": f"{training} files, decoded once by libdsl"})], [BAR])


ROWS = [Row(NAME, f"an epoch from JPEG files, ResNet-18, {SIZE} px, batch 128", measure)]
