#!/usr/bin/env python3
"""libdsl beside what its users would take instead, on the CPU: one table, in text and JSON.

Each row compares outputs first; where they disagree the row fails. Then libdsl and its peers take turns, round by round, on the same number of threads. A
ratio is the median over the rounds of the peer's time divided by libdsl's, with the least and the greatest round in brackets. Of peers that do the same in several
ways the fastest way takes part. A bar stands in the line of the peer that it is for. Start it with run.sh, which installs the peers and sets them up to use this machine as
well as they can. Exit status 1 when a row fails.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import decode
import epoch
import infer
import kmeans
import knn
import scale
import startup
import table
import train
from contest import ROOT, Bar, Failed, Missing, Result, Settings

ROWS = {row.name: row for group in (infer, train, epoch, decode, kmeans, knn, startup, scale) for row in group.ROWS}
CACHE = ROOT / "build" / "bench"
ENVIRONMENT = ("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY")


def options_of(arguments):
    listing = "\n".join(f"  {row.name:18}{row.work}" for row in ROWS.values())
    p = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__.split("\n")[0], epilog=f"rows:\n{listing}",
                                formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("rows", nargs="*", metavar="row", help="all rows when none is named")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "out" / "bench", metavar="FOLDER", help="gets bench.txt and bench.json (out/bench)")
    p.add_argument("--quick", action="store_true", help="does it work? small work and few rounds; installs nothing and skips what is missing")
    p.add_argument("--threads", nargs="+", default=["1", "2"], metavar="N", help="numbers of threads (1 2)")
    p.add_argument("--rounds", type=int, metavar="N", help="at most, for rows that do not take long (5; quick: 1)")
    options = p.parse_args(arguments)
    options.rows += [word for word in options.threads if not word.isdigit()]  # rows that come right after the numbers
    options.threads = [int(word) for word in options.threads if word.isdigit()]
    for name in options.rows:
        if name not in ROWS:
            p.error(f"there is no row {name}; rows are:\n{listing}")
    if min(options.threads, default=0) < 1 or (options.rounds or 1) < 1:
        p.error("threads and rounds are 1 or more")
    return options


def build():
    """The library, the example in C and libdsl's sides, as far as they are not up to date. Returns the folder of the sides."""
    programs = CACHE / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    for command in (["--preset", "release"], ["--build", "--preset", "release", "--parallel", "--target", "example_embed"]):
        subprocess.run(["cmake", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    os.environ["DSL_LIBRARY"] = str(ROOT / "build" / "release" / "lib" / "libdsl.so.1")
    packages = [f"./tests/bench/{name}" for name in ("run", "points", "pictures", "model")]
    subprocess.run(["go", "build", "-o", f"{programs}/", *packages], cwd=ROOT, check=True)
    return programs


class Table:
    """What was found; told line by line, written at the end."""

    def __init__(self):
        self.lines, self.results, self.passed, self.skipped, self.failed = [], [], [], [], []
        self.tell(table.HEAD)

    def tell(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def measure(self, row, settings, threads):
        run = dict(row=row.name, threads=threads, load_before=os.getloadavg()[0])
        begun = time.monotonic()
        try:
            for result in row.measure(settings, threads):
                if settings.quick and isinstance(result, Result):
                    result = dataclasses.replace(result, bar=Bar())  # other work than the bars are for
                self.results.append(result)
                self.tell(table.line(result))
            self.passed.append(run)
        except Missing as e:
            self.skipped.append(run | dict(why=str(e)))
            self.tell(f"{row.name:17}{threads:>2} skipped: {e}")
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as e:
            self.failed.append(run | dict(why=str(e)))
            self.tell(f"{row.name:17}{threads:>2} FAILED: {e}")
        run |= dict(load_after=os.getloadavg()[0], seconds=time.monotonic() - begun)

    def write(self, folder, about):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.txt").write_text("\n".join(self.lines) + "\n")
        record = dict(about=about, results=[r.record() for r in self.results], passed=self.passed, skipped=self.skipped, failed=self.failed)
        (folder / "bench.json").write_text(json.dumps(record, indent=1) + "\n")


def machine():
    """Processor and what of it matters for speed."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].replace("\t", "").splitlines() if ":" in line)
    flags = fields.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile")
    return dict(cpu=fields.get("model name", "").strip(), cores=len(os.sched_getaffinity(0)), flags=[f for f in wanted if f in flags])


def main():
    options, begun = options_of(sys.argv[1:]), time.time()
    rounds = options.rounds or (1 if options.quick else 5)
    settings = Settings(quick=options.quick, rounds=rounds, python=sys.executable, cache=CACHE, programs=build())
    found = Table()
    for name in options.rows or ROWS:
        for threads in ROWS[name].threads or options.threads:
            found.measure(ROWS[name], settings, threads)
    found.tell(f"{len(found.passed)} passed, {len(found.failed)} failed, {len(found.skipped)} skipped; {time.time() - begun:.0f} s")
    about = dict(machine(), python=platform.python_version(), rounds=rounds, quick=options.quick, threads=options.threads, seconds=time.time() - begun,
                 environment={name: os.environ.get(name) for name in ENVIRONMENT}, load=os.getloadavg())  # fmt: skip
    found.write(options.out, about)
    print(f"written to {options.out}")
    sys.exit(bool(found.failed))


if __name__ == "__main__":
    main()
