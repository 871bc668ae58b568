#!/usr/bin/env python3
"""Holds libdsl against PyTorch in float64, tensor by tensor, and beside PyTorch in float32.

For each tensor the error is ‖x − ref64‖/‖ref64‖. libdsl passes when its error is at most the bar of the tensor's group (BARS) and at most 3 times
float32 PyTorch's own on that tensor, where that tells right from wrong: see below. Exit status 1 when a tensor fails.

Adam's first step has the gradient's sign and size lr whatever the gradient's size, so an element whose gradient is 0 but for rounding goes to either
side. The ratio of weight updates leaves these elements out (decided); the bar does not. A tensor of one number (attention.4.bias)
has no ratio that counts: a single error may be 0 by chance, and this one is a sum that cancels.

What follows the first step is partly chance, for PyTorch as for libdsl: an undecided element that goes the other way, or an activation at a kink (see
draw.py), changes all later gradients by 1e-5 to 1e-2, and its absence leaves only float32's resolution; PyTorch's own error then differs between two
runs on several threads. So several networks take three steps, a tensor's error is the median over them, and after the first step a tensor's ratio does
not count alone: the median of the ratios of all tensors of a group must be at most 3, which a loss of accuracy anywhere in the step would exceed.

  parity.py                                 ResNet-18 and -50 at 64 px, both BatchNorm modes
  parity.py --backbone resnet50 --size 224 --batch 2 --mode frozen
  parity.py --mutate                        shows that the comparison fails for each tensor zeroed or with its sign flipped
"""

import argparse
import atexit
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from draw import draw  # noqa: E402
from network import Arch, Network, from_libdsl, is_running, to_libdsl  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATIO = 3
LIMIT_S = 900  # of a program: none may hang a test
BARS = {"forward": 1e-4, "inference": 1e-4, "running": 1e-4, "calibrated": 1e-4, "gradient": 1e-3, "step1": 1e-2, "step3": 1e-2,
        "running3": 1e-4}
PASS, STEPS = ("forward", "inference", "running", "calibrated", "gradient"), ("step1", "step3", "running3")
STEP_SIZE, STEP_BATCH, STEP_SEEDS = 32, 2, 5
CHANCE = ("step3", "running3")
UNDECIDED = 30  # root mean square errors of float32 PyTorch's gradient


def torch_run(arch, tensors, pixels, seed, dtype):
    """Everything that is compared, as {group: {name: float64 array}}, computed by PyTorch in one precision."""
    fresh = {n: t.to(dtype).clone().requires_grad_(not is_running(n)) for n, t in tensors.items()}
    out = {}
    with torch.no_grad():
        e, a, v = Network(arch, fresh, training=False).forward(pixels)
        out["inference"] = {"embedding": e, "attention": a, "penultimate": v}
    params = {n: t for n, t in fresh.items() if not is_running(n)}
    net, adam = Network(arch, fresh, training=True), torch.optim.Adam(params.values(), lr=1e-3, weight_decay=1e-4)
    for step in (1, 2, 3):
        adam.zero_grad()
        e, a, _ = net.forward(pixels)
        e.backward(seed.to(dtype))
        running = {n: t.clone() for n, t in fresh.items() if is_running(n)}
        if step == 1:
            out["forward"] = {"embedding": e.detach(), "attention": a.detach()}
            out["gradient"] = {n: t.grad.clone() for n, t in params.items()}
            out["running"] = running
            if arch.mode == "batch":  # a calibration computes batch statistics whatever the training does
                out["calibrated"] = running
        adam.step()
        if step != 2:
            out[f"step{step}"] = {n: t.detach().double() - tensors[n] for n, t in params.items()}
    out["running3"] = running
    return {g: {n: t.detach().double().numpy() for n, t in ts.items()} for g, ts in out.items()}


def write_folder(folder, arch, tensors, pixels, seed):
    """The network as tests/internal/network reads it."""
    shapes = {}
    for name, t in tensors.items():
        x = to_libdsl(t.float().numpy())
        shapes[name] = x.shape
        x.astype("<f4").tofile(folder / (name + ".f32"))
    pixels.numpy().tofile(folder / "pixels.u8")
    seed.float().numpy().astype("<f4").tofile(folder / "seed.f32")
    index = dict(backbone=arch.backbone, stem=arch.stem, attention="gate", embedding_dim=arch.embedding_dim, mode=arch.mode,
                 batch=arch.batch, height=arch.size, width=arch.size, tensors=shapes)
    (folder / "index.json").write_text(json.dumps(index))


@functools.cache
def program():
    """Builds tests/parity/run, once."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    subprocess.run(["go", "build", "-o", folder, "./tests/parity/run"], cwd=ROOT, check=True, timeout=LIMIT_S)
    return pathlib.Path(folder) / "run"


def our_run(arch, tensors, pixels, seed, like, options):
    """The same from libdsl; like gives groups, names and shapes."""
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        write_folder(folder, arch, tensors, pixels, seed)
        subprocess.run([program(), "-backend", options.backend, "-threads", str(options.threads), folder], check=True, timeout=LIMIT_S)
        return {g: {n: read(folder / "out" / g, n, ref, tensors) for n, ref in refs.items()} for g, refs in like.items()}


def read(folder, name, ref, tensors):
    """One tensor of our run, in torch's order; of the weights after a step, how far they moved."""
    flat = np.fromfile(folder / (name + ".f32"), "<f4").astype(np.float64)
    x = flat.reshape(ref.shape) if name == "attention" else from_libdsl(flat, ref)
    return x - tensors[name].numpy() if folder.name.startswith("step") else x


def error(x, ref):
    """‖x − ref‖/‖ref‖; infinite for anything not finite."""
    e = np.linalg.norm(x - ref) / np.linalg.norm(ref)
    return e if np.isfinite(e) else np.inf


@dataclasses.dataclass
class Run:
    """One network's results in our precision, in float64 and in float32 PyTorch: {group: {name: array}} each."""

    ours: dict
    ref: dict
    torch32: dict
    decided: dict  # by parameter: where the gradient's sign is beyond doubt

    def errors(self, group, name):
        """Ours and float32 PyTorch's, on the whole tensor and on its decided elements."""
        ours, ref, t32 = (x[group][name] for x in (self.ours, self.ref, self.torch32))
        at = self.decided[name] if group.startswith("step") else np.ones(ref.shape, bool)
        return error(ours, ref), error(t32, ref), error(ours[at], ref[at]), error(t32[at], ref[at])


def sure(tensors, ref, t32):
    """Where the gradient with its weight decay lies UNDECIDED errors of float32 PyTorch or more from 0."""
    out = {}
    for name, g in ref.items():
        noise = np.sqrt(np.mean((t32[name] - g) ** 2))
        out[name] = np.abs(g + 1e-4 * tensors[name].numpy()) >= UNDECIDED * noise
    return out


def run(arch, groups, seed, options):
    torch.set_num_threads(options.threads)
    tensors, pixels, de = draw(arch, seed)
    ref, t32 = (torch_run(arch, tensors, pixels, de, dtype) for dtype in (torch.float64, torch.float32))
    decided = sure(tensors, ref["gradient"], t32["gradient"])
    ref = {g: ref[g] for g in groups if g in ref}
    return Run(our_run(arch, tensors, pixels, de, ref, options), ref, t32, decided)


@dataclasses.dataclass
class Row:
    """A tensor's errors over the runs."""

    group: str
    name: str
    ours: float
    torch32: float
    ours_decided: float
    torch32_decided: float

    by_ratio: bool  # whether the ratio counts

    @property
    def ok(self):
        return self.ours <= BARS[self.group] and (not self.by_ratio or self.ours_decided <= RATIO * self.torch32_decided)

    @property
    def ratio(self):
        return self.ours_decided / self.torch32_decided if self.torch32_decided else float("inf") if self.ours_decided else 0.0

    def __str__(self):
        bar, verdict = BARS[self.group], "ok" if self.ok else "FAIL"
        return f"{self.group + ' ' + self.name:50} {self.ours:9.2e} {self.torch32:9.2e} {self.ratio:7.2f} {bar:7.0e} {verdict}"


def compare(runs, group, name):
    """Median errors, ours and PyTorch's, on the whole tensor and on its decided elements."""
    errors = np.median([r.errors(group, name) for r in runs], axis=0)
    return Row(group, name, *map(float, errors), by_ratio=group not in CHANCE and runs[0].ref[group][name].size > 1)


def names(runs):
    return [(g, n) for g, tensors in runs[0].ours.items() for n in tensors]


def mutate(runs):
    """Zeroes each compared tensor, then flips its sign; returns how many mutations there were and which of them passed unseen."""
    unseen = []
    for group, name in names(runs):
        for what, factor in (("zeroed", 0), ("sign flipped", -1)):
            changed = [dataclasses.replace(r, ours={group: r.ours[group] | {name: factor * r.ours[group][name]}}) for r in runs]
            if compare(changed, group, name).ok:
                unseen.append(f"{group} {name} {what}")
    return 2 * len(names(runs)), unseen


def typical_ratio(rows, group):
    """The median ratio of a group's tensors."""
    return np.median([r.ratio for r in rows if r.group == group])


def lost_accuracy(rows):
    """The groups in which single ratios are chance and the typical one is too large."""
    return [g for g in CHANCE if any(r.group == g for r in rows) and typical_ratio(rows, g) > RATIO]


def report(title, rows, brief):
    print(f"\n{title}\n{'tensor':50} {'ours':>9} {'torch32':>9} {'ratio':>7} {'bar':>7}")
    for r in rows:
        if not (brief and r.ok):
            print(r)
    for group in BARS:
        some = [r for r in rows if r.group == group]
        if some:
            worst, far = max(some, key=lambda r: r.ours), max(some, key=lambda r: r.ratio)
            print(f"summary {group:10}: {sum(r.ok for r in some)} of {len(some)} ok, worst {worst.ours:.1e} ({worst.name}), "
                  f"ratio median {typical_ratio(rows, group):.2f}, worst {far.ratio:.2f} ({far.name})")


def check(backbone, mode, options):
    """All runs of one backbone and BatchNorm mode: yields title and runs."""
    batch = options.batch or (8 if backbone == "resnet18" else 4)
    arch = Arch(backbone, mode, options.size, batch)
    yield f"{backbone}, {mode} BatchNorm, {batch} × {options.size} px: one pass", [run(arch, PASS, options.seed, options)]
    arch = Arch(backbone, mode, STEP_SIZE, STEP_BATCH)
    seeds = range(options.seed, options.seed + STEP_SEEDS)
    yield (f"{backbone}, {mode} BatchNorm, {STEP_BATCH} × {STEP_SIZE} px: Adam steps of {STEP_SEEDS} networks",
           [run(arch, STEPS, s, options) for s in seeds])


def parser():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--backbone", choices=("resnet18", "resnet50"), help="one backbone instead of both")
    p.add_argument("--mode", choices=("frozen", "batch"), help="one BatchNorm mode instead of both")
    p.add_argument("--size", type=int, default=64, help="pixels of a side")
    p.add_argument("--batch", type=int, help="images (8, ResNet-50: 4)")
    p.add_argument("--backend", default="onednn")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--mutate", action="store_true", help="also check that the comparison can fail")
    p.add_argument("--brief", action="store_true", help="print failures and summaries only")
    return p


def main():
    options, failed = parser().parse_args(), 0
    for backbone in (options.backbone,) if options.backbone else ("resnet18", "resnet50"):
        for mode in (options.mode,) if options.mode else ("frozen", "batch"):
            for title, runs in check(backbone, mode, options):
                rows = [compare(runs, g, n) for g, n in names(runs)]
                report(title, rows, options.brief)
                for group in lost_accuracy(rows):
                    print(f"FAIL {group}: the median ratio is {typical_ratio(rows, group):.2f}, want at most {RATIO}")
                failed += sum(not r.ok for r in rows) + len(lost_accuracy(rows))
                if options.mutate:
                    count, unseen = mutate(runs)
                    print(f"mutations: {count - len(unseen)} of {count} seen", *unseen, sep="\n  ")
                    failed += len(unseen)
    print(f"\n{failed} failures" if failed else "\nall ok")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
