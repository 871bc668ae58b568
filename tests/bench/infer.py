"""infer-*: the embedding of a batch, from pixels, by the network cut after its third stage with attention. Peers: ONNX Runtime and frozen TorchScript; the faster
of them is what the bar is for."""

import contextlib
import pathlib
import tempfile

import numpy as np

import networks
from contest import SIDES, Bar, Row, Side, agree, only_the_best, results, take_turns
from peers import module, node, onnxruntime
from parity import error

AGREE = 1e-3  # ‖x − ref‖/‖ref‖; libdsl may use Winograd convolutions
AGREE_INT8 = 0.1  # of int8 from float32


def libdsl(folder, precision, settings, threads):
    return Side("libdsl", [settings.programs / "run", "-task", "infer", "-precision", precision, "-threads", threads, folder], threads)


def onnx_runtime(folder, model, arch, settings, threads):
    return Side("ONNX Runtime", [node(), SIDES / "ort.js", onnxruntime(settings), folder, model, threads, arch.batch, arch.size], threads)


def embedding(folder, name):
    return np.fromfile(folder / f"{name}.f32", "<f4")


def measure(row, arch, bar, settings, threads):
    """float32 beside ONNX Runtime and TorchScript."""
    with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
        folder = pathlib.Path(tmp)
        networks.write(folder, arch)
        networks.export_onnx(folder)
        ort = stack.enter_context(onnx_runtime(folder, "model", arch, settings, threads))
        torch = stack.enter_context(Side("TorchScript", [settings.python, SIDES / "torch_infer.py", folder, threads], threads))
        ours = stack.enter_context(libdsl(folder, "f32", settings, threads))
        names = f"ONNX Runtime {ort.about['version']}", f"TorchScript {torch.about['version']}, {torch.about['form']}"
        got = embedding(folder, "embedding")
        differences = [agree(f"libdsl and {name}", error(got, embedding(folder, file)), AGREE) for name, file in zip(names, ("model", "torch"))]
        times = take_turns([ours, ort, torch], settings)
    rivals = [(name, t, {"difference": d, "tolerance": AGREE}) for name, t, d in zip(names, times[1:], differences)]
    yield from results(row, threads, times[0], rivals, only_the_best(rivals, bar))


def measure_int8(row, arch, bars, settings, threads):
    """int8 beside ONNX Runtime's float32 and its int8; all embeddings are compared with its float32."""
    module("onnx")
    import quantise  # which needs onnx

    with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
        folder = pathlib.Path(tmp)
        networks.write(folder, arch)
        networks.export_onnx(folder)
        quantise.write(folder, arch, settings)
        peers = [stack.enter_context(onnx_runtime(folder, model, arch, settings, threads)) for model in ("model", "int8")]
        ours = stack.enter_context(libdsl(folder, "int8", settings, threads))
        reference = embedding(folder, "model")
        difference = agree("libdsl's int8 and ONNX Runtime's float32", error(embedding(folder, "embedding"), reference), AGREE_INT8)
        theirs = error(embedding(folder, "int8"), reference)
        times = take_turns([ours, *peers], settings)
        version = peers[0].about["version"]
    more = {"difference": difference, "tolerance": AGREE_INT8}
    rivals = [(f"ONNX Runtime {version}, float32", times[1], more),
              (f"ONNX Runtime {version}, int8", times[2], more | {"notes": f"its int8 differs by {theirs:.0e}"})]  # fmt: skip
    yield from results(row, threads, times[0], rivals, bars)


def row(name, backbone, size, batch, measure, bar):
    def run(settings, threads):
        arch = networks.Arch(backbone, "frozen", 64, min(batch, 4)) if settings.quick else networks.Arch(backbone, "frozen", size, batch)
        return measure(name, arch, bar, settings, threads)

    precision = "int8, " if measure is measure_int8 else ""
    return Row(name, f"embedding, ResNet-{backbone.removeprefix('resnet')}, {precision}{size} px, batch {batch}", run)


INT8 = (Bar(2.5, (3.5,)), Bar(1.0, (1.2,)))  # beside float32, beside int8
ROWS = [
    row("infer-r50-b1", "resnet50", 224, 1, measure, Bar(1.0, (1.25, 1.15))),
    row("infer-r50-b8", "resnet50", 224, 8, measure, Bar(1.0, (1.25, 1.15))),
    row("infer-r50-b32", "resnet50", 224, 32, measure, Bar(0.95, (1.15,))),
    row("infer-r18-b128", "resnet18", 64, 128, measure, Bar(1.0, (1.4,))),
    *(row(f"infer-int8-b{batch}", "resnet50", 224, batch, measure_int8, INT8) for batch in (1, 8, 32)),
]
