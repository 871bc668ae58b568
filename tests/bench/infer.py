"""infer-*: the embedding of a batch, from pixels, by the network cut after its third stage with attention. Peers: ONNX Runtime and frozen TorchScript; the faster
of them is what the bar is for."""

import contextlib
import pathlib
import tempfile

import numpy as np

import networks
from contest import SIDES, Bar, Row, Side, agree, only_the_best, results, take_turns
from peers import node, onnxruntime
from parity import error

AGREE = 1e-3  # ‖x − ref‖/‖ref‖; libdsl may use Winograd convolutions


def sides(folder, arch, settings, threads, with_side):
    """libdsl's side, then (name, side, file of its embedding) of the peers."""
    ours = with_side(Side("libdsl", [settings.programs / "run", "-task", "infer", "-threads", threads, folder], threads))
    networks.export_onnx(folder)
    ort = with_side(Side("ONNX Runtime", [node(), SIDES / "ort.js", onnxruntime(settings), folder, threads, arch.batch, arch.size], threads))
    torch = with_side(Side("TorchScript", [settings.python, SIDES / "torch_infer.py", folder, threads], threads))
    return ours, [(f"ONNX Runtime {ort.about['version']}", ort, "ort.f32"),
                  (f"TorchScript {torch.about['version']}, {torch.about['form']}", torch, "torch.f32")]


def measure(row, arch, bar, settings, threads):
    with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
        folder = pathlib.Path(tmp)
        networks.write(folder, arch)
        ours, peers = sides(folder, arch, settings, threads, stack.enter_context)
        got = np.fromfile(folder / "embedding.f32", "<f4")
        differences = [agree(f"libdsl and {name}", error(got, np.fromfile(folder / file, "<f4")), AGREE) for name, _, file in peers]
        times = take_turns([ours] + [side for _, side, _ in peers], settings)
    rivals = [(name, t, {"difference": d, "tolerance": AGREE}) for (name, _, _), t, d in zip(peers, times[1:], differences)]
    yield from results(row, threads, times[0], rivals, only_the_best(rivals, bar))


def row(name, backbone, size, batch, bar):
    def run(settings, threads):
        arch = networks.Arch(backbone, "frozen", 64, min(batch, 4)) if settings.quick else networks.Arch(backbone, "frozen", size, batch)
        return measure(name, arch, bar, settings, threads)

    return Row(name, f"embedding, ResNet-{backbone.removeprefix('resnet')}, {size} px, batch {batch}", run)


ROWS = [
    row("infer-r50-b1", "resnet50", 224, 1, Bar(1.0, (1.25, 1.15))),
    row("infer-r50-b8", "resnet50", 224, 8, Bar(1.0, (1.25, 1.15))),
    row("infer-r50-b32", "resnet50", 224, 32, Bar(0.95, (1.25, 1.15))),
    row("infer-r18-b128", "resnet18", 64, 128, Bar(1.0, (1.4,))),
]
