"""PyTorch beside libdsl on the same GPU: the same networks, pixels and weights, in turns. Each case runs in a process of its own (case.py)."""

import dataclasses
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time

import counting
import machine
import part as parts
from case import Case

# The most telling ones first: time may not suffice for all.
CASES = [("train", "resnet18", "frozen", 64, 128), ("infer", "resnet50", "frozen", 224, 32), ("train", "resnet50", "frozen", 224, 32),
         ("infer", "resnet50", "frozen", 224, 1), ("infer", "resnet18", "frozen", 64, 256), ("train", "resnet50", "frozen", 224, 128),
         ("infer", "resnet50", "frozen", 224, 256), ("train", "resnet18", "frozen", 64, 256), ("infer", "resnet18", "frozen", 64, 1),
         ("infer", "resnet18", "frozen", 64, 32), ("train", "resnet18", "frozen", 64, 32), ("train", "resnet50", "frozen", 224, 256),
         ("train", "resnet18", "batch", 64, 128)]  # fmt: skip
SMALL = [("train", "resnet18", "frozen", 32, 2), ("infer", "resnet18", "frozen", 32, 1)]
QUICK, COMPILED, SLOW = "eager", ("compile", "graphs"), "max-autotune"
CASE_S, SLOW_CASE_S = 150, 240  # limits of a process
LEAST_S = 40  # a case is not begun with less
WARM_S, AT_ONCE = 180, 5  # for PyTorch's compilations, several at once, before anything is timed
WORST = 3e-2  # error of an embedding in bfloat16, or twice PyTorch's


def name(case):
    task, backbone, mode, size, batch = case
    return f"{task} {backbone} {size} px, batch {batch}" + (", batch statistics" if mode == "batch" else "")


class Bench:
    def __init__(self, part, where, cases):
        self.part, self.where, self.cases = part, where, cases
        self.found = {}  # by case
        part.data["cases"] = {}

    def start(self, case, forms, file, **more):
        case = Case(*case, forms=list(forms), where=self.where, small=self.part.small, found=file, **more)
        program = machine.ROOT / "tests/gpu/case.py"
        return subprocess.Popen([sys.executable, program, json.dumps(dataclasses.asdict(case))], stdin=subprocess.DEVNULL)

    def warm(self):
        """Lets PyTorch compile what it will need, on all cores; its caches on disk keep it."""
        end, waiting, running = time.monotonic() + min(WARM_S, self.part.left_s / 3), list(self.cases), []
        print(f"compiling PyTorch's forms of {len(waiting)} cases, for {end - time.monotonic():.0f} s at most", flush=True)
        while (waiting or running) and time.monotonic() < end:
            running = [p for p in running if p.poll() is None]
            while waiting and len(running) < AT_ONCE:
                running.append(self.start(waiting.pop(0), COMPILED, "", only_compile=True))
            time.sleep(0.2)
        for p in running:
            p.kill()
            p.wait()
        print(f"compiled; {len(waiting)} cases not begun", flush=True)

    def run(self, case, forms, limit_s):
        """Runs a case with some forms and adds what it found, also where its time was up."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            process = self.start(case, forms, file.name)
            try:
                status = process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                status = f"stopped after {limit_s:.0f} s"
            with open(file.name) as f:
                text = f.read()
        found = json.loads(text) if text else {"forms": {}}
        if status != 0:
            found["status"] = status
        old = self.found.setdefault(case, found)
        self.found[case] = {**found, **old, "forms": {**old["forms"], **found["forms"]}}
        self.tell(case)

    def tell(self, case):
        found = self.found[case]
        line = cells(case, found)
        print("  ".join(c for c in line), flush=True)
        for form, f in found["forms"].items():
            if "failed" in f:
                print(f"     PyTorch's form {form} failed: {f['failed']}", flush=True)
        work = counting.Work.of(arch(case), case[0] == "train")
        self.part.data["cases"][name(case)] = {**found, "work": dataclasses.asdict(work)}
        self.part.data["rows"] = [dict(zip(HEAD, cells(c, f))) for c, f in self.found.items()]
        for file, text in (("bench.txt", text_table(self.found)), ("bench.md", markdown(self.found))):
            (self.part.out / file).write_text(text + "\n", encoding="utf-8")
        self.part.save()

    def check(self):
        for case, found in self.found.items():
            if isinstance(found.get("status"), int):
                self.part.check(f"{name(case)}: the process", False, f"it ended with {found['status']}, see log.txt")
            if "error" not in found:
                self.part.check(f"{name(case)}: libdsl's side", False, f"nothing came of it: {found.get('status')}")
                continue
            theirs = [f["error"] for f in found["forms"].values() if "error" in f]
            worst = max([WORST, *(2 * e for e in theirs)])
            self.part.check(f"{name(case)}: the embedding", found["error"] <= worst,
                            f"error {found['error']:.1e}, PyTorch's {min(theirs, default=0):.1e}")  # fmt: skip


def arch(case):
    from network import Arch

    _, backbone, mode, size, batch = case
    return Arch(backbone, mode, size, batch)


HEAD = ("case", "eager ms", "compile ms", "graphs ms", "autotune ms", "libdsl ms", "ratio to the best", "ratio to eager",
        "GPU busy ms, theirs", "ours", "of peak", "of roofline", "loss on host", "error", "set-up s")  # fmt: skip
NOTES = """\
Medians of rounds in which both sides take turns; ratios are PyTorch's time by libdsl's, with the least and greatest round: above 1, libdsl is faster.
eager: the faster of autocast and bfloat16 weights with folded BatchNorm (inference), autocast with fused Adam (training); compile: torch.compile;
graphs: its mode reduce-overhead, with CUDA graphs; autotune: its mode max-autotune. GPU busy: the time in which kernels ran, of PyTorch's best form
and of libdsl, by PyTorch's profiler. of peak: FLOPs by formula / (libdsl's time × 989 TFLOP/s); of roofline: the least time that the layers need one
by one at 989 TFLOP/s and 4.8 TB/s / libdsl's time. loss on host: share of libdsl's step. error: of libdsl's embedding against float32. set-up:
compiling libdsl's program, with the choice of kernels."""


def milliseconds(found):
    """PyTorch's by form and ours."""
    timed = {form: f["rounds"] for form, f in found["forms"].items() if "rounds" in f}
    ours = [o for rounds in timed.values() for _, o in rounds]
    return {form: 1e3 * statistics.median(t for t, _ in rounds) for form, rounds in timed.items()}, 1e3 * statistics.median(ours) if ours else None


def ratio(found, form):
    if form is None or "rounds" not in found["forms"].get(form, {}):
        return "-"
    ratios = [t / o for t, o in found["forms"][form]["rounds"]]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def cells(case, found):
    """A row of the table, as text; "-" for what is not known."""
    theirs, ours = milliseconds(found)
    best = min(theirs, key=theirs.get) if theirs else None
    known = lambda value, text: "-" if value is None else format(value, text)  # noqa: E731
    busy = [(device or {}).get("ms") for device in (found["forms"].get(best, {}).get("device"), found.get("device"))]
    work = counting.Work.of(arch(case), case[0] == "train")
    share = lambda seconds: None if ours is None else seconds / (ours / 1e3)  # noqa: E731
    host = found["host_s"] / found["step_with_loss_s"] if "host_s" in found else None
    return (name(case), *(known(theirs.get(form), ".3f") for form in (QUICK, *COMPILED, SLOW)), known(ours, ".3f"),
            ratio(found, best), ratio(found, QUICK), *(known(b, ".3f") for b in busy),
            known(share(work.flops / counting.PEAK_FLOPS), ".1%"), known(share(work.least_s), ".1%"), known(host, ".1%"),
            known(found.get("error"), ".0e"), known(found.get("open_s"), ".1f"))  # fmt: skip


def text_table(found):
    rows = [HEAD, *(cells(c, f) for c, f in found.items())]
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEAD))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) for r in rows) + "\n\n" + NOTES


def markdown(found):
    rows = [HEAD, ("---",) * len(HEAD), *(cells(c, f) for c, f in found.items())]
    return "\n".join("| " + " | ".join(r) + " |" for r in rows) + "\n\n" + NOTES


def main():
    part = parts.Part(__doc__, "cases")
    torch, where = parts.torch_device()
    if torch is None:
        part.skip(where)
    cases = [c for c in (SMALL if part.small else CASES) if re.search(part.options.cases or "", name(c))]
    if not cases:
        part.check(f"cases that match {part.options.cases!r}", False, "; ".join(name(c) for c in CASES))
        part.end()
    bench = Bench(part, where, cases)
    compiles = hasattr(torch, "compile")
    if compiles:
        bench.warm()
    print("  ".join(HEAD), flush=True)
    for case in cases:
        if part.left_s > LEAST_S:
            bench.run(case, (QUICK, *COMPILED) if compiles else (QUICK,), min(CASE_S, part.left_s))
    for case in list(bench.found):
        if compiles and part.left_s > SLOW_CASE_S / 2:
            bench.run(case, (SLOW,), min(SLOW_CASE_S, part.left_s))
    bench.check()
    missing = [name(c) for c in cases if c not in bench.found]
    part.tell(text_table(bench.found) + (f"\nno time for: {'; '.join(missing)}" if missing else ""))
    part.end()


if __name__ == "__main__":
    main()
