"""What the parts of run.sh have in common: options, checks, and the file in which a part's findings go back."""

import argparse
import json
import os
import pathlib
import sys
import time

import machine

SKIPPED = 3


class Part:
    def __init__(self, description, *more):
        """more names options of this part alone, each with a value."""
        p = argparse.ArgumentParser(description=description)
        p.add_argument("--found", type=pathlib.Path, required=True, help="JSON file for the findings")
        p.add_argument("--out", type=pathlib.Path, required=True, help="folder of the results")
        p.add_argument("--seconds", type=float, required=True, help="be done by then")
        p.add_argument("--small", action="store_true", help="tiny sizes")
        for option in more:
            p.add_argument(f"--{option}")
        self.options = options = p.parse_args()
        self.small, self.out = options.small, options.out
        self.data, self.failures = {"checks": []}, []
        self._found, self._summary = options.found, []
        self._end = time.monotonic() + options.seconds

    @property
    def left_s(self):
        return self._end - time.monotonic()

    def check(self, what, ok, detail=""):
        """Notes something that has to hold."""
        print(f"{'ok  ' if ok else 'FAIL'} {what}{': ' if detail else ''}{detail}", flush=True)
        self.data["checks"].append({"what": what, "ok": bool(ok), "detail": detail})
        if not ok:
            self.failures.append(f"{what}: {detail}")
        self.save()

    def tell(self, line):
        """Prints a line that also belongs into the summary."""
        print(line, flush=True)
        self._summary.append(line)
        self.save()

    def save(self):
        """Writes what has been found so far; a part that is stopped keeps it."""
        fresh = self._found.with_suffix(".new")
        fresh.write_text(json.dumps({"summary": self._summary + [f"FAIL {f}" for f in self.failures], **self.data}))
        os.replace(fresh, self._found)

    def skip(self, reason):
        """Ends the part."""
        self.tell(f"skipped: {reason}")
        sys.exit(SKIPPED)

    def end(self):
        self.save()
        sys.exit(bool(self.failures))


def cpus():
    return len(os.sched_getaffinity(0))


def torch_device():
    """PyTorch, and where it computes: on the GPU, or on the CPU beside the emulated GPU. None without PyTorch; a CPU-only PyTorch beside a real
    GPU is of no use."""
    try:
        import torch
    except ImportError as e:
        return None, str(e)
    if torch.cuda.is_available():
        return torch, "cuda"
    return (torch, "cpu") if machine.is_emulated() else (None, "PyTorch sees no GPU")
