"""The Go tests of the CUDA backend, on the real driver and libraries."""

import dataclasses
import re
import subprocess

import machine
from part import Part

SHOWN = 200  # lines of a failed program's output, half from its beginning and half from its end
PASSED, FAILED, SKIPPED = (re.compile(rf"^\s*--- {word}: (\S+)", re.M) for word in ("PASS", "FAIL", "SKIP"))
# A skipped test's own line, and before it the line of its log that says why.
REASON = re.compile(r"^\s+\S+\.go:\d+: (.*)\n(?:\s*=== .*\n)*\s*--- SKIP: (\S+)", re.M)


@dataclasses.dataclass
class Suite:
    program: str
    folder: str  # of the package: a test compares sources
    limit_s: int
    tests: str = "."


SUITES = [Suite("driver", "lib/backend/cuda/driver", 30), Suite("kernels", "lib/backend/cuda/kernels", 90),
          Suite("nvlib", "lib/backend/cuda/nvlib", 60), Suite("cuda", "lib/backend/cuda", 240), Suite("train", "lib/train", 60, "CUDA"),
          Suite("index", "lib/index", 30, "CUDA|Device"), Suite("eval", "lib/eval", 30, "CUDA")]  # fmt: skip


def command(suite):
    """A test program's command line. It stops itself when its time is up, saying where it was."""
    return [str(machine.programs() / f"{suite.program}.test"), "-test.v", "-test.timeout", f"{suite.limit_s}s", "-test.run", suite.tests]


def environment():
    return {**machine.go_environment(), "DSL_TEST_GPU": "1"}


def output(suite):
    """What a test program prints, and its exit status; one that does not even stop itself is killed."""
    try:
        done = subprocess.run(command(suite), cwd=machine.ROOT / suite.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=suite.limit_s + 10)  # fmt: skip
        return done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode(errors="replace"), "killed"


def show(text):
    """Output without what passed or was skipped."""
    lines = [line for line in text.split("\n") if not re.match(r"=== |\s*--- (PASS|SKIP)", line)]
    if len(lines) > SHOWN:
        lines[SHOWN // 2 : -SHOWN // 2] = ["[...]"]
    print("\n".join(lines))


def run(part, suite):
    text, status = output(suite)
    names = {word: pattern.findall(text) for word, pattern in (("passed", PASSED), ("failed", FAILED), ("skipped", SKIPPED))}
    ok = status == 0 and not names["failed"] and bool(names["passed"])
    if not ok:
        show(text)
    part.data[suite.program] = {"passed": len(names["passed"]), "failed": names["failed"], "skipped": names["skipped"], "status": status}
    part.tell(f"{suite.folder}: " + ", ".join(f"{len(found)} {word}" for word, found in names.items()))
    part.check(suite.folder, ok, "" if ok else f"ended with {status}; failed: {', '.join(names['failed'][:20]) or 'see the output'}")
    for reason, name in REASON.findall(text):
        print(f"     skipped {name}: {reason}")


def main():
    part = Part(__doc__)
    for suite in SUITES:
        if part.small and suite.program == "train":
            part.tell("lib/train: left out, it takes minutes without a GPU")
            continue
        run(part, suite)
    part.end()


if __name__ == "__main__":
    main()
