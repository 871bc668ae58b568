"""PyTorch's side of an epoch: torch_epoch.py FOLDER THREADS WORKERS.... A DataLoader with Pillow decodes and augments as libdsl does; margin loss of all pairs of a batch;
Adam. The fastest of the numbers of worker processes takes part, as a part of the files shows."""

import csv
import pathlib
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from networks import Network, read  # noqa: E402
from serve import fastest, serve  # noqa: E402

TRIAL = 2  # batches
MARGIN, BETA = 0.2, 1.2


class Files(torch.utils.data.Dataset):
    """A manifest's training images, augmented: a random part of 0.08 to 1 of the area and of aspect 3/4 to 4/3, resized, flipped both ways."""

    def __init__(self, folder, size):
        with open(folder / "manifest.csv", newline="") as f:
            self.rows = [(str(folder / r["path"]), int(r["label"])) for r in csv.DictReader(f) if r["split"] == "train"]
        self.size = size

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        path, label = self.rows[i]
        image = Image.open(path).convert("RGB")
        part = np.asarray(image.resize((self.size, self.size), Image.BILINEAR, box=random_part(*image.size)))
        flips = random.choice((1, -1)), random.choice((1, -1))
        return torch.from_numpy(part[:: flips[0], :: flips[1]].copy()), label


def random_part(width, height):
    """(left, top, right, bottom), as torchvision's RandomResizedCrop draws it."""
    for _ in range(10):
        area, aspect = width * height * random.uniform(0.08, 1), np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2


def margin_loss(e, labels):
    """Mean over the terms above 0 of all pairs."""
    z = F.normalize(e)
    d = ((2 - 2 * z @ z.T).clamp(min=0) + 1e-8).sqrt()
    same = labels[:, None] == labels[None, :]
    terms = torch.where(same, d - BETA + MARGIN, BETA - d + MARGIN)[~torch.eye(len(z), dtype=torch.bool)].clamp(min=0)
    return terms.sum() / (terms > 0).sum().clamp(min=1)


def make_epoch(arch, tensors):
    """The function that trains on the batches of a loader."""
    own = {n: t.clone(memory_format=torch.channels_last if t.ndim == 4 else torch.contiguous_format) for n, t in tensors.items()}
    params = [t.requires_grad_() for n, t in own.items() if not n.endswith((".running_mean", ".running_var"))]
    adam, net = torch.optim.Adam(params, lr=1e-3, weight_decay=1e-4), Network(arch, own, training=True)

    def epoch(loader):
        for pixels, labels in loader:
            adam.zero_grad(set_to_none=True)
            loss = margin_loss(net.forward(pixels)[0], labels)
            loss.backward()
            adam.step()
        if not torch.isfinite(loss):
            raise SystemExit("torch_epoch: the loss is not finite")

    return epoch


def main():
    folder, threads, workers = pathlib.Path(sys.argv[1]), int(sys.argv[2]), list(map(int, sys.argv[3:]))
    torch.set_flush_denormal(True)  # before its threads start: subnormal numbers, which libdsl flushes too, would slow it down
    torch.set_num_threads(threads)
    arch, tensors, _, _ = read(folder)
    files, epoch = Files(folder, arch.size), make_epoch(arch, tensors)

    def loader(count, part):
        return torch.utils.data.DataLoader(part, arch.batch, shuffle=True, drop_last=True, num_workers=count, persistent_workers=count > 0)

    few = torch.utils.data.Subset(files, range(TRIAL * arch.batch))
    trials = {count: loader(count, few) for count in workers}
    best, _, _ = fastest(((count, lambda t=trial: epoch(t)) for count, trial in trials.items()), most=1)
    whole = loader(best, files)
    serve(lambda: epoch(whole), version=torch.__version__, form=f"{best} loader processes")


main()
