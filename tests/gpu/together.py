"""libdsl and PyTorch in one process, in both orders and at once: results stay right, both use the primary context, libdsl leaves none current on its
callers' threads, and there is one cuDNN and one cuBLAS."""

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import part as parts

LIMIT_S = 80
ORDERS = ("torch dsl torch dsl", "dsl torch dsl torch")
TOLERANCE = {"torch": 1e-3, "f32": 1e-3, "bf16": 5e-2}  # ‖x − CPU's‖/‖CPU's‖; parity looks closer
ROUNDS, SMALL_ROUNDS = 20, 2  # of both at once
NOT_INITIALIZED = 3  # CUDA's result


class Torch:
    """A network of PyTorch that computes forward and backward with its convolutions and matrix products."""

    def __init__(self, torch, where):
        torch.manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        nn = torch.nn
        self.net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
        self.x = torch.randn(8, 3, 32, 32)
        self.want = self.compute("cpu")
        self.where = where

    def compute(self, where):
        net = self.net.to(where)
        net.zero_grad()
        y = net(self.x.to(where))
        y.square().sum().backward()
        return [y.detach().cpu().numpy(), net[0].weight.grad.cpu().numpy()]

    def step(self):
        import samples

        off = max(samples.apart(got, want) for got, want in zip(self.compute(self.where), self.want))
        assert off <= TOLERANCE["torch"], f"PyTorch's results are off by {off:.1e}"
        return f"off by {off:.0e}"


class Ours:
    """Embeddings on the GPU in both precisions, held against those of the CPU."""

    def __init__(self, path, small):
        import dsl
        import samples

        self.pictures = samples.pictures(1, 40, seed=1) if small else samples.pictures(9, 200, seed=1)
        with dsl.Model.load(path, device="cpu") as cpu:
            self.want = cpu.embed(self.pictures)
        self.models = {p: dsl.Model.load(path, device="cuda", precision=p) for p in ("f32", "bf16")}

    def step(self):
        import samples

        off = {p: samples.apart(model.embed(self.pictures), self.want) for p, model in self.models.items()}
        for precision, error in off.items():
            assert error <= TOLERANCE[precision], f"libdsl's embeddings in {precision} are off by {error:.1e}"
        return "off by " + ", ".join(f"{error:.0e} in {precision}" for precision, error in off.items())


class Driver:
    """The driver that libdsl has opened."""

    def __init__(self):
        self.library = ctypes.CDLL(os.environ.get("DSL_CUDA_DRIVER") or "libcuda.so.1")

    def context(self, name, *more):
        found = ctypes.c_void_p()
        code = getattr(self.library, name)(ctypes.byref(found), *more)
        assert code in (0, NOT_INITIALIZED), f"{name}: {code}"
        return found.value

    def current(self):
        """The context of this thread, None for none."""
        return self.context("cuCtxGetCurrent")

    def primary(self):
        found = self.context("cuDevicePrimaryCtxRetain", 0)
        self.library.cuDevicePrimaryCtxRelease_v2(0)
        return found


def train(small):
    import samples

    with tempfile.TemporaryDirectory() as folder:
        samples.train(pathlib.Path(folder) / "model.dsl", "cuda", small).close()


def at_once(torch_side, our_side, rounds):
    """Both, each on a thread of its own."""
    failures = []

    def work(side):
        try:
            for _ in range(rounds):
                side.step()
        except Exception as e:  # noqa: BLE001: told by the main thread
            failures.append(e)

    threads = [threading.Thread(target=work, args=(side,)) for side in (torch_side, our_side)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def libraries():
    """The files of cuDNN's and cuBLAS's that this process has mapped, by name."""
    found = {}
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        path = pathlib.Path(line.split(maxsplit=5)[-1])
        if path.name.startswith(("libcudnn", "libcublas")):
            found.setdefault(path.name.split(".so")[0], set()).add(str(path))
    return found


def child(order, model, small):
    """Runs in a process of its own."""
    sides, driver = {}, Driver()
    for name in order.split():
        before = driver.current()
        if name not in sides:
            sides[name] = Torch(*parts.torch_device()) if name == "torch" else Ours(model, small)
        print(f"  {name}: {sides[name].step()}", flush=True)
        assert name == "torch" or driver.current() == before, "libdsl has changed the context of its caller's thread"
    assert driver.current() in (None, driver.primary()), "PyTorch does not use the primary context"
    before = driver.current()
    train(small)
    assert driver.current() == before, "a training has changed the context of its caller's thread"
    print("  a training: done", flush=True)
    rounds = SMALL_ROUNDS if small else ROUNDS
    at_once(sides["torch"], sides["dsl"], rounds)
    print(f"  both at once, {rounds} times: right", flush=True)
    for name, paths in sorted(libraries().items()):
        print(f"  {name}: {' and '.join(sorted(paths))}", flush=True)
        assert len(paths) == 1, f"two of {name} are loaded"
    assert {"libcudnn", "libcublas"} <= set(libraries())


def main():
    part = parts.Part(__doc__)
    torch, where = parts.torch_device()
    if torch is None:
        part.skip(where)
    import samples

    with tempfile.TemporaryDirectory() as folder:
        model = str(pathlib.Path(folder) / "model.dsl")
        samples.train(model, "cpu", part.small).close()
        for order in ORDERS:
            print(f"{order}, PyTorch on {where}", flush=True)
            command = [sys.executable, "-c", f"import together; together.child({order!r}, {model!r}, {part.small})"]
            try:
                status = subprocess.run(command, cwd=pathlib.Path(__file__).parent, stdin=subprocess.DEVNULL, timeout=LIMIT_S).returncode
            except subprocess.TimeoutExpired:
                status = f"{LIMIT_S} s without an end"
            part.check(f"{order}, in one process (PyTorch on {where})", status == 0, "" if status == 0 else f"status {status}, see log.txt")
    part.end()


if __name__ == "__main__":
    main()
