"""The parts of run.sh, one after the other: each is a program of its own with a time limit, and what one leaves behind does not touch the next."""

import argparse
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import machine

HERE = pathlib.Path(__file__).resolve().parent
POLL_S = 0.2
DEVICE_LIMIT_S = 120  # the first look at the GPU: it compiles the kernels
LEAST_S = 20  # with less time left, a part is not begun


@dataclasses.dataclass
class Spec:
    name: str
    program: str
    what: str
    limit_s: float


# Quick and telling ones first.
SPECS = [
    Spec("conformance", "conformance.py", "the tests of the CUDA backend on the real driver, cuDNN and cuBLAS", 540),
    Spec("torch", "together.py", "libdsl and PyTorch in one process", 180),
    Spec("memory", "memory.py", "what is left on the GPU, and what happens when there is too little of it", 240),
    Spec("parity", "agreement.py", "the network on the GPU against the CPU, tensor by tensor", 420),
    Spec("sanitizer", "sanitizer.py", "compute-sanitizer over the kernels and the conformance tests", 420),
    Spec("training", "training.py", "HAM10000, dynamic learners and a single one, three seeds each", 540),
    Spec("bench", "bench.py", "PyTorch beside libdsl", 540),
]
FILES = ("summary.txt", "results.json", "log.txt", "bench.txt", "bench.md")
DONE = {0: "ok", 1: "FAILED", 3: "skipped"}


def parse():
    p = argparse.ArgumentParser(prog="run.sh", description="Tests and comparisons that need an NVIDIA GPU.",
                                epilog="; ".join(f"{s.name}: {s.what}" for s in SPECS))  # fmt: skip
    p.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(s.name for s in SPECS) + "; default: all, in this order")
    p.add_argument("--minutes", type=float, default=28, help="end by then; parts without time left are not run (default: 28)")
    p.add_argument("--cases", metavar="REGEX", help='of bench only those cases, such as "infer" or "resnet50.*batch 32"')
    p.add_argument("--small", action="store_true", help="tiny sizes: do the scripts work? Times and scores mean nothing")
    options = p.parse_args()
    wrong = set(options.parts) - {s.name for s in SPECS}
    if wrong:
        p.error(f"no part {', '.join(sorted(wrong))}; there are: {', '.join(s.name for s in SPECS)}")
    options.out = pathlib.Path(os.environ.get("OUT") or machine.ROOT / "out" / "gpu" / "results")
    return options


class Log:
    """log.txt: all that parts print. It is shown as it grows."""

    def __init__(self, folder):
        self.file = open(folder / "log.txt", "wb")
        self._reader = open(folder / "log.txt", "rb")

    def show(self):
        sys.stdout.write(self._reader.read().decode(errors="replace"))
        sys.stdout.flush()

    def say(self, text):
        self.file.write((text + "\n").encode())
        self.file.flush()
        self.show()


def run(command, limit_s, log):
    """The exit status of a program, None when its time was up. Its process group ends with it."""
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log.file, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + limit_s
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
            log.show()
        return process.poll()
    finally:
        kill(process)
        log.show()


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Results:
    """results.json and summary.txt, written anew after each part."""

    def __init__(self, options, about, specs):
        self.options, self.specs = options, specs
        self.all = {"machine": about, "small": options.small, "parts": {}}
        self.write()

    def add(self, spec, status, seconds, found):
        self.all["parts"][spec.name] = {"status": status, "seconds": round(seconds, 1), **found}
        self.write()

    def write(self):
        (self.options.out / "results.json").write_text(json.dumps(self.all, indent=1) + "\n")
        (self.options.out / "summary.txt").write_text(self.summary() + "\n")

    def summary(self):
        lines = [machine.describe(self.all["machine"]) + (" (small sizes: numbers mean nothing)" if self.options.small else "")]
        for name, part in self.all["parts"].items():
            lines.append(f"\n{name}: {part['status']} ({part['seconds']:.0f} s)")
            lines += ["  " + line for text in part.get("summary", ()) for line in text.split("\n")]
        missing = [s.name for s in self.specs if s.name not in self.all["parts"]]
        if missing:
            lines.append("\nnot run: " + ", ".join(missing))
        return "\n".join(lines)


def run_part(spec, options, limit_s, log):
    """Status and what the part found."""
    found = options.out / f".{spec.name}.json"
    found.unlink(missing_ok=True)
    command = [sys.executable, "-u", HERE / spec.program, "--found", found, "--out", options.out, "--seconds", limit_s - LEAST_S / 2]
    more = ["--small"] * options.small + (["--cases", options.cases] if options.cases and spec.name == "bench" else [])
    code = run(command + more, limit_s, log)
    status = f"FAILED: its {limit_s:.0f} s were up" if code is None else DONE.get(code, f"FAILED: it ended with {code}")
    content = json.loads(found.read_text()) if found.exists() else {}
    found.unlink(missing_ok=True)
    return status, content


def look(log):
    """What is known of this machine. Ends the program where no GPU can be used."""
    machine.unpack()
    os.environ.update(machine.environment())
    found = machine.find_gpu(DEVICE_LIMIT_S)
    if "error" in found:
        log.say(f"run.sh: no GPU can be used, so nothing was run: {found['error']}")
        sys.exit(1)
    log.say(machine.describe(found))
    return found


def main():
    options = parse()
    end = time.monotonic() + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (options.out / name).unlink(missing_ok=True)
    log = Log(options.out)
    specs = [s for s in SPECS if not options.parts or s.name in options.parts]
    results = Results(options, look(log), specs)
    for spec in specs:
        left = end - time.monotonic()
        if left < LEAST_S:
            break
        log.say(f"\n==== {spec.name}: {spec.what}")
        start = time.monotonic()
        status, found = run_part(spec, options, min(spec.limit_s, left), log)
        results.add(spec, status, time.monotonic() - start, found)
        log.say(f"==== {spec.name}: {status}")
    log.say("\n" + results.summary() + f"\n\nresults in {options.out}")
    ok = len(results.all["parts"]) == len(specs) and not any(p["status"].startswith("FAILED") for p in results.all["parts"].values())
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
