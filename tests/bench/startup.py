"""startup: from the start of a process to the first embedding of an image, with the model read from its file. libdsl's process is examples/embed.c, which also decodes the image;
ONNX Runtime's is a program for node that gets the image's numbers, with the model as it was exported and as it was optimised before."""

import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

import networks
from contest import LIMIT_S, ROOT, SIDES, Bar, Failed, Row, agree, only_the_best, results, take_turns
from infer import AGREE
from parity import error
from peers import node, onnxruntime

NAME, SIZE = "startup", 224
BAR = Bar(1, (1.5,))
EMBED = ROOT / "build" / "release" / "examples" / "example_embed"


class Launch:
    """A side that is a new process each time, on so many cores."""

    def __init__(self, name, command, threads):
        self.name, self.command = name, [str(c) for c in command]
        self.cores = set(sorted(os.sched_getaffinity(0))[:threads])
        self.output = ""

    def time(self, n):
        start = time.perf_counter()
        for _ in range(n):
            done = subprocess.run(self.command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, preexec_fn=lambda: os.sched_setaffinity(0, self.cores))
            if done.returncode != 0:
                raise Failed(f"{self.name} ended with {done.returncode}; its messages are above")
            self.output = done.stdout
        return (time.perf_counter() - start) / n


def framed(pixels):
    """A picture whose evaluation transform to SIZE is pixels [SIZE, SIZE, 3]: with a border that the centre crop takes off."""
    border = (SIZE * 256 // 224 - SIZE) // 2
    return Image.fromarray(np.pad(pixels, ((border, border), (border, border), (0, 0)), "edge"))


def sides(folder, settings, threads):
    """libdsl and ONNX Runtime in both forms, with the files that they need."""
    networks.export_onnx(folder)
    subprocess.run([settings.programs / "model", folder], check=True)
    framed(networks.read(folder)[2].numpy()[0]).save(folder / "image.png")
    ort = [node(), SIDES / "ort_start.js", onnxruntime(settings), folder]
    optimise = Launch("ONNX Runtime", [*ort, "model.onnx", threads, SIZE, "all", "optimised.onnx"], threads)
    optimise.time(1)
    return [Launch("libdsl", [EMBED, folder / "model.dsl", folder / "image.png"], threads),
            Launch("ONNX Runtime", [*ort, "model.onnx", threads, SIZE, "all"], threads),
            Launch("ONNX Runtime, model optimised before", [*ort, "optimised.onnx", threads, SIZE, "disabled"], threads)]  # fmt: skip


def measure(settings, threads):
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        networks.write(folder, networks.Arch("resnet18" if settings.quick else "resnet50", "frozen", SIZE, 1))
        ours, *peers = sides(folder, settings, threads)
        ours.time(1)
        got, differences = np.array(ours.output.split(), np.float64), []
        for peer in peers:
            peer.time(1)
            e = np.fromfile(folder / "start.f32", "<f4").astype(np.float64)
            differences.append(agree(f"libdsl and {peer.name}", error(got, e / np.linalg.norm(e)), AGREE))
        times = take_turns([ours, *peers], settings)
    rivals = [(p.name, t, {"difference": d, "tolerance": AGREE}) for p, t, d in zip(peers, times[1:], differences)]
    yield from results(NAME, threads, times[0], rivals, only_the_best(rivals, BAR))


ROWS = [Row(NAME, f"process start to first embedding, ResNet-50, {SIZE} px", measure)]
