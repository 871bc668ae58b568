"""compute-sanitizer over our kernels (accesses, races) and over conformance tests of the backend (accesses)."""

import dataclasses
import glob
import re
import shutil
import subprocess

import conformance
import machine
from part import Part

SHOWN = 60  # lines of what it found
FOUND = 99  # its exit status when it found something
OPTIONS = {"memcheck": ["--report-api-errors", "no"]}  # cuDNN asks the driver for what may not be there


@dataclasses.dataclass
class Job:
    tool: str
    suite: conformance.Suite
    limit_s: int

    def __str__(self):
        return f"{self.tool}, {self.suite.folder}" + ("" if self.suite.tests == "." else f", {self.suite.tests}")


KERNELS = ("kernels", "lib/backend/cuda/kernels")
SHARED = "Test(BatchNorm|ChannelSum|MaxPool|Pool|GatedPool|DistanceTile|NearestCentres|TopK)"  # of kernels whose threads share memory
NETWORKS = "TestConformanceInBFloat16/(network|an_update|the_same_program|Linear|Adam)"  # each runs many times slower than without
JOBS = [Job("memcheck", conformance.Suite(*KERNELS, 120), 150), Job("memcheck", conformance.Suite("cuda", "lib/backend/cuda", 120, NETWORKS), 150),
        Job("racecheck", conformance.Suite(*KERNELS, 120, SHARED), 150)]  # fmt: skip


def find():
    return shutil.which("compute-sanitizer") or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/compute-sanitizer"))), None)


def run(part, tool, job):
    command = [tool, "--tool", job.tool, "--error-exitcode", str(FOUND), *OPTIONS.get(job.tool, []), *conformance.command(job.suite)]
    try:
        done = subprocess.run(command, cwd=machine.ROOT / job.suite.folder, env=conformance.environment(), timeout=job.limit_s,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")  # fmt: skip
    except subprocess.TimeoutExpired:
        part.tell(f"{job}: not done after {job.limit_s} s, so nothing is known")
        return
    summary = re.findall(r"=+ (?:ERROR|RACECHECK) SUMMARY: (.*)", done.stdout)
    lines = [line for line in done.stdout.split("\n") if line.startswith("=========")]
    passed = len(conformance.PASSED.findall(done.stdout))
    ok = done.returncode == 0 and bool(summary) and passed > 0
    if not ok:
        print("\n".join(lines[:SHOWN]) or done.stdout[-4000:])
    part.tell(f"{job}: {summary[-1] if summary else 'no summary'}; {passed} tests passed")
    part.check(str(job), ok, "" if ok else f"it ended with {done.returncode}")


def main():
    part = Part(__doc__)
    tool = find()
    if tool is None:
        part.skip("there is no compute-sanitizer, on PATH or in /usr/local/cuda*/bin")
    for job in JOBS:
        if part.left_s < job.limit_s:
            part.tell(f"{job}: no time left")
            continue
        run(part, tool, job)
    part.end()


if __name__ == "__main__":
    main()
