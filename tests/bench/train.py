"""train-*: a training step: forward, backward from dL/de, Adam. Peer: PyTorch, eager. libdsl's peak memory is compared where the peer has one form only."""

import pathlib
import tempfile

import numpy as np

import networks
from contest import SIDES, Bar, Result, Row, Side, agree, results, take_turns
from parity import error

AGREE = 1e-4  # ‖x − ref‖/‖ref‖ of the first step's embedding; tests/parity compares gradients and weights
FORMS = ("channels last", "channels last, foreach Adam", "contiguous", "contiguous, foreach Adam")
MEMORY = Bar(0.6, at_most=True)


def measure(row, arch, bar, forms, settings, threads):
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        networks.write(folder, arch)
        with Side("PyTorch", [settings.python, SIDES / "torch_train.py", folder, threads, *forms], threads) as torch, \
                Side("libdsl", [settings.programs / "run", "-task", "train", "-threads", threads, folder], threads) as ours:  # fmt: skip
            got, ref = (np.fromfile(folder / name, "<f4") for name in ("embedding.f32", "torch.f32"))
            difference = agree("libdsl and PyTorch", error(got, ref), AGREE)
            times = take_turns([ours, torch], settings)
            peaks = ours.peak_bytes(), torch.peak_bytes()
        name = f"PyTorch {torch.about['version']}, {torch.about['form']}"
    yield from results(row, threads, times[0], [(name, times[1], {"difference": difference, "tolerance": AGREE})], [bar])
    if len(forms) == 1:  # a process that tried several has all of their memory
        ratio = peaks[0] / peaks[1]
        yield Result(row, "peak memory", threads, name, peaks[1], peaks[0], ratio, ratio, ratio, MEMORY, unit="B")


def row(name, arch, bar, forms):
    def run(settings, threads):
        small = networks.Arch(arch.backbone, arch.mode, 64, 8)
        return measure(name, small if settings.quick else arch, bar, forms, settings, threads)

    what = f"training step, ResNet-{arch.backbone.removeprefix('resnet')}, {arch.size} px, batch {arch.batch}"
    return Row(name, f"{what}, {'frozen BatchNorm' if arch.mode == 'frozen' else 'batch statistics'}", run)


ROWS = [
    row("train-r50", networks.Arch("resnet50", "frozen", 224, 32), Bar(1.7, (2.4,)), FORMS[:1]),
    row("train-r18-frozen", networks.Arch("resnet18", "frozen", 64, 128), Bar(1.2, (2.0,)), FORMS),
    row("train-r18-batch", networks.Arch("resnet18", "batch", 64, 128), Bar(1.2, (1.6,)), FORMS),
]
