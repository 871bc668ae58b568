"""The network on the GPU against the same on the CPU: same weights, images and dL/de; every result by ‖GPU − CPU‖/‖CPU‖.

The weights are drawn so that no activation lies within float32's rounding of a kink (tests/parity/draw.py). bfloat16's rounding is larger than
that, so units change sides and gradients move by a tenth, in PyTorch as here, and which of them is chance. So in bfloat16 the bar decides on what
the forward pass computes; a gradient fails when its error is more than RATIO times PyTorch's on the same tensor and more than CHANCE times PyTorch's
typical one, and all of them when the typical ratio is above RATIO; a gradient of one number, when its sign is wrong. All tensors that miss the bar
are listed with both errors.
"""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import machine
import part as parts

sys.path.insert(0, str(machine.ROOT / "tests" / "parity"))

BARS = {"f32": 1e-3, "bf16": 2e-2}
RATIO, CHANCE = 1.5, 3
SIGN = 1  # up to this error the sign of a number is right
GROUPS = ("inference", "forward", "gradient", "running", "calibrated")
LIMIT_S = 120  # of one run


def cases(small):
    from network import Arch

    shapes = [("resnet18", 32, 2)] if small else [("resnet18", 64, 8), ("resnet50", 224, 2)]
    return [Arch(backbone, mode, size, batch) for backbone, size, batch in shapes for mode in ("frozen", "batch")]


def our_run(folder, backend, precision):
    """{"group name": flat array} of a backend, in libdsl's order of elements."""
    with tempfile.TemporaryDirectory() as tmp:
        copy = pathlib.Path(tmp)
        for f in folder.iterdir():
            (copy / f.name).symlink_to(f)
        subprocess.run([machine.programs() / "parity", "-backend", backend, "-precision", precision, "-threads", str(parts.cpus()), copy], check=True,
                       timeout=LIMIT_S, env=machine.go_environment(), stdin=subprocess.DEVNULL)  # fmt: skip
        files = [f for group in GROUPS for f in sorted((copy / "out" / group).glob("*.f32"))]
        return {f"{f.parent.name} {f.stem}": np.fromfile(f, "<f4").astype(np.float64) for f in files}


def torch_run(arch, tensors, pixels, seed, precision):
    """The same by PyTorch, where it can."""
    import torch
    from network import Network, is_running, to_libdsl

    _, where = parts.torch_device()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    rounded = torch.autocast(where, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    own = {n: t.float().clone().to(where).requires_grad_(not is_running(n)) for n, t in tensors.items()}
    out, x = {}, pixels.to(where)
    with torch.no_grad(), rounded:
        e, a, v = Network(arch, own, training=False).forward(x)
        out.update({"inference embedding": e, "inference attention": a, "inference penultimate": v})
    with rounded:
        e, a, _ = Network(arch, own, training=True).forward(x)
    out.update({"forward embedding": e, "forward attention": a})
    e.backward(seed.to(where, e.dtype))
    for n, t in own.items():
        if not is_running(n):
            out[f"gradient {n}"] = t.grad
        elif arch.mode == "batch":  # a calibration computes batch statistics whatever the training does
            out.update({f"running {n}": t, f"calibrated {n}": t})
    return {n: to_libdsl(t.detach().double().cpu().numpy()).ravel() for n, t in out.items()}


def verdict(precision, rows, single):
    """The tensors that fail, and the typical ratio of gradients' errors, ours by PyTorch's. single: tensors of one number, a sum that cancels."""
    bar, gradients = BARS[precision], {n: row for n, row in rows.items() if n.startswith("gradient ")}
    ratio = float(np.median([ours / max(other, 1e-30) for ours, other in gradients.values()]))
    failed = [n for n, (ours, _) in rows.items() if not ours <= bar]
    if precision == "bf16":
        typical = float(np.median([other for _, other in gradients.values()]))
        limit = {n: max(RATIO * other, CHANCE * typical, SIGN if n in single else 0) for n, (_, other) in gradients.items()}
        failed = [n for n in failed if not rows[n][0] <= limit.get(n, bar)]
        failed += ["the typical gradient"] * (not ratio <= RATIO)
    return failed, ratio


def compare(part, arch, precision, got, theirs, cpu):
    """Notes the errors of one run, and lists what misses the bar."""
    from parity import error

    bar = BARS[precision]
    rows = {n: (error(got[n], cpu[n]), error(theirs[n], cpu[n])) for n in cpu if n in theirs}
    missed = sorted((n for n in rows if not rows[n][0] <= bar), key=lambda n: -rows[n][0])
    failed, ratio = verdict(precision, rows, {n for n in rows if cpu[n].size == 1})
    title = f"{arch.backbone}, {arch.size} px, batch {arch.batch}, {arch.mode} BatchNorm, {precision}"
    for n in missed:
        print(f"     misses {bar:.0e}: {n:45} {rows[n][0]:.2e}, PyTorch {rows[n][1]:.2e}")
    worst = max(rows, key=lambda n: rows[n][0])
    part.data.setdefault("tensors", {})[title] = rows
    part.tell(f"{title}: {len(rows) - len(missed)} of {len(rows)} tensors within {bar:.0e}; worst {rows[worst][0]:.1e} "
              f"({worst}; PyTorch {rows[worst][1]:.1e}); gradients' errors by PyTorch's, median {ratio:.2f}")  # fmt: skip
    part.check(title, not failed, ", ".join(f"{n} {rows[n][0]:.1e}" if n in rows else f"{n} ({ratio:.2f})" for n in failed))


def run(part, arch):
    from draw import draw
    from parity import write_folder

    start = time.monotonic()
    tensors, pixels, seed = draw(arch, 0)
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        write_folder(folder, arch, tensors, pixels, seed)
        cpu = our_run(folder, "onednn", "auto")
        print(f"     {arch.backbone}, {arch.mode}: {len(cpu)} tensors from the CPU after {time.monotonic() - start:.0f} s", flush=True)
        for precision in BARS:
            compare(part, arch, precision, our_run(folder, "cuda", precision), torch_run(arch, tensors, pixels, seed, precision), cpu)


def main():
    part = parts.Part(__doc__.split("\n")[0])
    torch, why = parts.torch_device()
    if torch is None:
        part.skip(f"the weights are drawn with PyTorch: {why}")
    for arch in cases(part.small):
        run(part, arch)
    part.end()


if __name__ == "__main__":
    main()
