"""One case of the benchmark, in a process of its own: libdsl's side (timed/) and PyTorch's forms take turns. Started by bench.py, with a description
in JSON as its argument; writes what it found to a file after each form.
"""

import ctypes
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import machine

sys.path.insert(0, str(machine.ROOT / "tests" / "parity"))

ROUNDS, ROUND_S, WARM_S = 7, 0.25, 0.4
PROFILED = 5  # iterations
HOST_ITERATIONS = 50
TOP = 12  # kernels that are listed
WARM = 3  # iterations


class Ours:
    """libtimed.so, with one task open."""

    def __init__(self, folder, kind, backend, precision):
        self.library = ctypes.CDLL(str(machine.programs() / "libtimed.so"))
        self.library.timed_message.restype = ctypes.c_char_p
        start = time.perf_counter()
        self.check(self.library.timed_open(str(folder).encode(), kind.encode(), backend.encode(), precision.encode(), len(os.sched_getaffinity(0))))
        self.open_s = time.perf_counter() - start

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.timed_message().decode())

    def run(self, iterations):
        """Seconds of an iteration, and of the loss in it."""
        seconds, host = ctypes.c_double(), ctypes.c_double()
        self.check(self.library.timed_run(iterations, ctypes.byref(seconds), ctypes.byref(host)))
        return seconds.value / iterations, host.value / iterations

    def embedding(self, shape):
        import numpy as np

        out = np.empty(shape, np.float32)
        self.check(self.library.timed_embedding(out.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), out.size))
        return out

    def close(self):
        self.library.timed_close()


@dataclasses.dataclass
class Case:
    """What is timed, and how: from bench.py."""

    task: str  # infer, train
    backbone: str
    mode: str
    size: int
    batch: int
    forms: list
    where: str  # PyTorch's device
    small: bool
    found: str  # file
    only_compile: bool = False  # fills PyTorch's caches


class Bench:
    def __init__(self, case):
        from draw import draw, images
        from network import Arch

        import torch

        self.case, self.torch = case, torch
        self.arch = Arch(case.backbone, case.mode, case.size, case.batch)
        self.tensors, _, _ = draw(Arch(case.backbone, case.mode, 64, 2), 0)  # kinks do not matter here
        self.pixels = images(case.batch, case.size, 0)
        self.seed = torch.randn(case.batch, self.arch.embedding_dim, generator=torch.Generator().manual_seed(0))
        self.found = {"forms": {}}

    def save(self):
        fresh = self.case.found + ".new"
        pathlib.Path(fresh).write_text(json.dumps(self.found))
        os.replace(fresh, self.case.found)

    def rivals(self, form):
        import rivals

        if self.case.task == "infer":
            return rivals.inference(form, self.arch, self.tensors, self.pixels, self.case.where)
        return rivals.training(form, self.arch, self.tensors, self.pixels, self.seed, self.case.where)

    def wait(self):
        if self.case.where == "cuda":
            self.torch.cuda.synchronize()

    def timed(self, f, n):
        """Seconds of an iteration of PyTorch's."""
        self.wait()
        start = time.perf_counter()
        for _ in range(n):
            f()
        self.wait()
        return (time.perf_counter() - start) / n

    def reference(self):
        """The embedding in float32 by PyTorch on the CPU; without batch statistics a few rows are enough."""
        from network import Network

        with self.torch.no_grad():
            part = self.pixels if self.case.mode == "batch" else self.pixels[:8]
            return Network(self.arch, {n: t.float() for n, t in self.tensors.items()}, self.case.task == "train").forward(part)[0].numpy()

    def run(self):
        from parity import write_folder

        if self.case.only_compile:
            for form in self.case.forms:
                for f in self.rivals(form).values():
                    self.timed(f, 2)
            return
        with tempfile.TemporaryDirectory() as tmp:
            folder = pathlib.Path(tmp)
            write_folder(folder, self.arch, self.tensors, self.pixels, self.seed)
            self.ours = Ours(folder, self.case.task, "cuda", "bf16")
            self.begin()
            functions = {form: self.against(form) for form in self.case.forms}
            self.profile_all(functions)
            self.ours.close()
            if self.case.task == "train" and "eager" in self.case.forms:
                self.host_share(folder)

    def begin(self):
        """Our side alone."""
        from samples import apart

        self.ours.run(1)
        self.want = self.reference()
        got = self.ours.embedding((self.case.batch, self.arch.embedding_dim))[: len(self.want)]
        self.found.update(open_s=self.ours.open_s, error=apart(got, self.want))
        self.save()

    def against(self, form):
        """Rounds against the fastest function of a form, which is returned. A form that fails is noted."""
        from samples import apart

        start = time.perf_counter()
        try:
            functions = self.rivals(form)
            error = {name: apart(f().numpy()[: len(self.want)], self.want) for name, f in functions.items()}
            for f in functions.values():
                self.timed(f, WARM)
            times = {name: min(self.timed(f, 1) for _ in range(3)) for name, f in functions.items()}
        except Exception as e:  # noqa: BLE001: a form of PyTorch's that does not work is a finding
            self.found["forms"][form] = {"failed": f"{type(e).__name__}: {e}"[:500]}
            self.save()
            return None
        name, ready = min(times, key=times.get), time.perf_counter() - start
        self.found["forms"][form] = {"name": name, "error": error[name], "ready_s": ready, "rounds": self.rounds(functions[name], times[name])}
        self.save()
        return functions[name]

    def rounds(self, f, about):
        """Pairs of seconds, PyTorch's and ours."""
        count, least, warm = (2, 0.02, 0) if self.case.small else (ROUNDS, ROUND_S, WARM_S)
        ours = self.ours.run(1)[0]
        self.timed(f, 1 + round(warm / about))
        self.ours.run(1 + round(warm / ours))
        return [(self.timed(f, max(1, round(least / about))), self.ours.run(max(1, round(least / ours)))[0]) for _ in range(count)]

    def profile_all(self, functions):
        """After all else: a process that has been profiled launches more slowly."""
        if "eager" in functions:
            self.found["device"] = self.profile(lambda: self.ours.run(PROFILED))
        for form, f in functions.items():
            if f is not None:
                self.found["forms"][form]["device"] = self.profile(lambda f=f: self.timed(f, PROFILED))
        self.save()

    def profile(self, f):
        """How long kernels ran in an iteration, and which: {"ms", "top"}. None where nothing can be seen."""
        if self.case.where != "cuda":
            return None
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            f()
            self.wait()
        with tempfile.TemporaryDirectory() as tmp:
            trace = pathlib.Path(tmp) / "trace.json"
            seen.export_chrome_trace(str(trace))
            return busy(json.loads(trace.read_text()), PROFILED)

    def host_share(self, folder):
        """The loss on the host as a share of our step."""
        ours = Ours(folder, "learn", "cuda", "bf16")
        ours.run(WARM)
        pairs = [ours.run(2 if self.case.small else HOST_ITERATIONS) for _ in range(3)]
        total, host = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        self.found.update(step_with_loss_s=total, host_s=host)
        self.save()
        ours.close()


def busy(trace, iterations):
    """From a trace: the time in which at least one kernel ran, and the kernels that ran longest."""
    spans = sorted((e["ts"], e["ts"] + e["dur"], e["name"]) for e in trace["traceEvents"] if e.get("cat") == "kernel")
    if not spans:
        return None
    total, end, by_name = 0.0, float("-inf"), {}
    for start, stop, name in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
        by_name[name] = by_name.get(name, 0.0) + stop - start
    top = sorted(by_name.items(), key=lambda x: -x[1])[:TOP]
    return {"ms": total / 1e3 / iterations, "kernels": len(spans) / iterations, "top": {n[:100]: us / 1e3 / iterations for n, us in top}}


if __name__ == "__main__":
    Bench(Case(**json.loads(sys.argv[1]))).run()
