#!/usr/bin/env python3
"""PyTorch beside libdsl in one run: training steps and inference of the same networks on the same pixels with the same number of threads.

The two take turns, round by round; a case's result is the median over the rounds of PyTorch's time divided by ours. PyTorch runs in each of its
forms first and the fastest takes part. Before anything is timed the embeddings are compared. Start it with run.sh, which sets PyTorch up to use
this machine as well as it can. Writes bench.json and bench.txt into the folder given. Exit status 1 when embeddings differ.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from draw import draw, images  # noqa: E402
from network import Arch, Folded, Network, fold, is_running  # noqa: E402
from parity import error, write_folder  # noqa: E402

AGREE = {"train": 1e-4, "infer": 1e-3}  # inference may use Winograd convolutions
BARS = {"train": 1.0, "infer": 1.3}
FULL = [("train", Arch("resnet18", "frozen", 64, 128)), ("train", Arch("resnet18", "batch", 64, 128)),
        ("train", Arch("resnet50", "frozen", 224, 32)), ("infer", Arch("resnet50", "frozen", 224, 1)),
        ("infer", Arch("resnet50", "frozen", 224, 8))]
QUICK = [("train", Arch("resnet18", "frozen", 64, 8)), ("train", Arch("resnet18", "batch", 64, 8)),
         ("infer", Arch("resnet50", "frozen", 64, 1))]


@dataclasses.dataclass
class Result:
    task: str
    network: str
    threads: int
    torch_form: str
    torch_ms: float
    our_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    error: float

    def __str__(self):
        bar = BARS[self.task]
        return (f"{self.task:6}{self.network:36}{self.threads:3}{self.torch_ms:11.2f}{self.our_ms:11.2f}{self.ratio:7.2f}"
                f"  [{self.ratio_low:.2f}, {self.ratio_high:.2f}]  {'≥' if self.ratio >= bar else '<'} {bar:.1f}  {self.error:.0e}  "
                f"{self.torch_form}")


HEAD = f"{'task':6}{'network':36}{'n':>3}{'torch ms':>11}{'our ms':>11}{'ratio':>7}  [min, max]    bar    error  PyTorch's form"


def torch_training(arch, tensors, pixels, seed):
    """PyTorch's forms of a training step: name and function; each returns the embedding."""
    for name, memory in (("channels last", torch.channels_last), ("contiguous", torch.contiguous_format)):
        for foreach in (False, True):
            own = {n: t.float().clone(memory_format=memory if t.ndim == 4 else torch.contiguous_format) for n, t in tensors.items()}
            params = [t.requires_grad_() for n, t in own.items() if not is_running(n)]
            adam = torch.optim.Adam(params, lr=1e-6, weight_decay=1e-4, foreach=foreach)
            net = Network(arch, own, training=True)

            def step(net=net, adam=adam):
                adam.zero_grad(set_to_none=True)
                e, _, _ = net.forward(pixels)
                e.backward(seed)
                adam.step()
                return e.detach()

            yield f"eager, {name}{', foreach Adam' if foreach else ''}", step


class Module(torch.nn.Module):
    """A network as TorchScript wants it."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        for n, t in net.t.items():
            self.register_buffer(n.replace(".", "_"), t)

    def forward(self, pixels):
        return self.net.forward(pixels)[0]


def torch_inference(arch, tensors, pixels):
    """PyTorch's forms of inference: frozen TorchScript, optimised."""
    for folded in (True, False):
        for name, memory in (("channels last", torch.channels_last), ("contiguous", torch.contiguous_format)):
            own = {n: t.float().clone(memory_format=memory if t.ndim == 4 else torch.contiguous_format)
                   for n, t in (fold(tensors) if folded else tensors).items()}
            module = Module((Folded if folded else Network)(arch, own, training=False)).eval()
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the shapes are constant here
                traced = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(module, pixels)))

            def run(traced=traced):
                with torch.no_grad():
                    return traced(pixels)

            yield f"frozen TorchScript, {name}{', folded before' if folded else ''}", run


def timed(f, n):
    start = time.perf_counter()
    for _ in range(n):
        f()
    return (time.perf_counter() - start) / n


def fastest(forms):
    """The fastest form, its name, and the embedding of its first run."""
    tried = []
    for name, f in forms:
        e = f()
        f()
        tried.append((min(timed(f, 1) for _ in range(3)), name, f, e))
    _, name, f, e = min(tried, key=lambda x: x[0])
    return name, f, e


class Ours:
    """The Go program of tests/bench/run, waiting."""

    def __init__(self, program, folder, task, threads):
        self.process = subprocess.Popen([program, "-task", task, "-threads", str(threads), folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit("bench: libdsl's side did not start; see its message above")

    def time(self, n):
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / n

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def bench(program, task, arch, threads, rounds, seconds):
    torch.set_num_threads(threads)
    tensors, _, _ = draw(Arch(arch.backbone, arch.mode, 64, 2), 0)  # drawing at full size in float64 takes minutes
    pixels = images(arch.batch, arch.size, 0)
    seed = torch.randn(arch.batch, arch.embedding_dim, generator=torch.Generator().manual_seed(0))
    form, theirs, e = fastest(torch_training(arch, tensors, pixels, seed) if task == "train" else torch_inference(arch, tensors, pixels))
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        write_folder(folder, arch, tensors, pixels, seed)
        ours = Ours(program, folder, task, threads)
        try:
            got = np.fromfile(folder / "embedding.f32", "<f4").reshape(e.shape)
            n = max(1, round(seconds / timed(theirs, 1)))
            ours.time(2)
            pairs = [(timed(theirs, n), ours.time(n)) for _ in range(rounds)]
        finally:
            ours.close()
    ratios = [t / o for t, o in pairs]
    name = f"{arch.backbone} {arch.size} px, batch {arch.batch}, {arch.mode} BN"
    return Result(task, name, threads, form, 1e3 * statistics.median(t for t, _ in pairs), 1e3 * statistics.median(o for _, o in pairs),
                  statistics.median(ratios), min(ratios), max(ratios), error(got.astype(np.float64), e.double().numpy()))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folder", type=pathlib.Path, help="where bench.json and bench.txt go")
    p.add_argument("--quick", action="store_true", help="small networks and few rounds: does it work?")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=7)
    options = p.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    cases, rounds, seconds = (QUICK, 3, 0.1) if options.quick else (FULL, options.rounds, 1.0)
    results, lines = [], [HEAD]
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        program = pathlib.Path(tmp) / "run"
        subprocess.run(["go", "build", "-o", program, "./tests/bench/run"], cwd=ROOT, check=True)
        for task, arch in cases:
            for threads in options.threads:
                results.append(bench(program, task, arch, threads, rounds, seconds))
                lines.append(str(results[-1]))
                print(lines[-1], flush=True)
    about = dict(torch=torch.__version__, python=platform.python_version(), cpus=os.cpu_count(), load=os.getloadavg(), rounds=rounds,
                 environment={k: os.environ.get(k) for k in ("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY")})
    (options.folder / "bench.json").write_text(json.dumps(dict(about=about, results=[dataclasses.asdict(r) for r in results]), indent=1))
    (options.folder / "bench.txt").write_text("\n".join(lines) + "\n")
    wrong = [r for r in results if not r.error <= AGREE[r.task]]
    for r in wrong:
        print(f"{r.network}: the embeddings differ by {r.error:.1e}, more than {AGREE[r.task]:.0e}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
