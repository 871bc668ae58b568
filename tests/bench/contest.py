"""What every row of the benchmark is made of: sides that take turns, and the results.

A side is a program in a process of its own, so that each can have its threads, its BLAS and its memory. It prepares, computes once, prints a line
"ready", with a JSON object about itself if it likes, and then answers each number N that it reads with the seconds that N iterations took.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDES = pathlib.Path(__file__).resolve().parent / "sides"
LIMIT_S = 600  # for one answer of a side, if it says nothing else
FEWEST_ROUNDS = 3


class Missing(Exception):
    """A peer that is not installed."""


class Failed(Exception):
    """Outputs that disagree, or a side that does not run: a row that counts for nothing."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    quick: bool
    rounds: int
    python: str
    cache: pathlib.Path  # what is installed for the benchmark
    programs: pathlib.Path  # libdsl's sides, built

    @property
    def seconds(self):
        """How long a turn should take."""
        return 0.05 if self.quick else 0.5

    @property
    def budget_s(self):
        """When no further round is begun, beyond FEWEST_ROUNDS."""
        return 1 if self.quick else 15


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a ratio is held against, the goal by threads: the last one counts for more threads too."""

    floor: float | None = None
    goals: tuple[float, ...] = ()
    at_most: bool = False  # of memory: less is better

    def goal(self, threads):
        return self.goals[min(threads, len(self.goals)) - 1] if self.goals else None

    def met(self, ratio, bar):
        return ratio <= bar if self.at_most else ratio >= bar


@dataclasses.dataclass(frozen=True)
class Result:
    """libdsl beside one peer. Times in seconds, or memory in bytes; a ratio of times is the peer's through libdsl's, one of memory libdsl's through the peer's."""

    row: str
    what: str
    threads: int
    peer: str
    theirs: float
    ours: float
    ratio: float
    low: float
    high: float
    bar: Bar
    unit: str = "s"
    difference: float | None = None
    tolerance: float | None = None
    notes: str = ""
    rounds: tuple = ()

    def record(self):
        """What the JSON file has of it."""
        goal = self.bar.goal(self.threads)
        met = {"floor_met": self.bar.met(self.ratio, self.bar.floor)} if self.bar.floor is not None else {}
        met |= {"goal_met": self.bar.met(self.ratio, goal)} if goal is not None else {}
        return dataclasses.asdict(self) | {"bar": {"floor": self.bar.floor, "goal": goal, "at_most": self.bar.at_most}} | met


@dataclasses.dataclass(frozen=True)
class Entry:
    """libdsl alone: the time and the most memory of a piece of work; no time where it was skipped, and the note says why."""

    row: str
    what: str
    size: str
    threads: int
    seconds: float | None = None
    peak_bytes: int | None = None
    note: str = ""

    def record(self):
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: name, what is computed, and the function that measures it with so many threads."""

    name: str
    work: str
    measure: Callable
    threads: tuple[int, ...] = ()  # the only numbers that make sense; none: all that are asked for


class Side:
    """A running program, ready for its turns."""

    def __init__(self, name, command, threads, cores=None, limit_s=LIMIT_S):
        count = str(threads)
        env = os.environ | {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, preexec_fn=pin)
        self.name, self.limit_s = name, limit_s
        try:
            line = self._answer()
            if not line.startswith("ready"):
                raise Failed(f"{name}: got {line!r}, want ready")
        except Failed:
            self.close()
            raise
        self.about = json.loads(line.removeprefix("ready").strip() or "{}")

    def _answer(self):
        watch = threading.Timer(self.limit_s, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise Failed(f"{self.name} ended, or took longer than {self.limit_s} s; its messages are above")
        return line.strip()

    def time(self, n):
        """Seconds of one of n iterations."""
        try:
            self.process.stdin.write(f"{n}\n")
            self.process.stdin.flush()
        except OSError as e:
            raise Failed(f"{self.name} ended: {e}")
        return float(self._answer()) / n

    def peak_bytes(self):
        """The most memory that was resident, in Linux's words VmHWM."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))

    def close(self):
        with contextlib.suppress(OSError):  # it may have ended
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def take_turns(sides, settings, count=None):
    """The seconds of an iteration: a list of rounds for each side. Who begins a round changes. count: iterations of a turn; None: what takes settings.seconds, as a first turn
    shows."""
    counts = [count or max(1, round(settings.seconds / waited(side))) for side in sides]
    times, begun = [[] for _ in sides], time.monotonic()
    for r in range(settings.rounds):
        if r >= FEWEST_ROUNDS and time.monotonic() - begun > settings.budget_s:
            break
        for i in range(len(sides)):
            at = (r + i) % len(sides)
            times[at].append(positive(sides[at], sides[at].time(counts[at]), settings))
    return times


def waited(side):
    """Seconds that an iteration takes, with what belongs to it but does not count."""
    start = time.monotonic()
    side.time(1)
    return time.monotonic() - start


def positive(side, seconds, settings):
    """seconds. A difference of two times can be 0 or less on a busy machine: then the row fails, but for quick runs, whose times count for nothing."""
    if seconds > 0 or settings.quick:
        return max(seconds, 1e-9)
    raise Failed(f"{side.name}: got {seconds} s for an iteration; the machine is too busy for this row")


def results(row, threads, ours, peers, bars, **common):
    """A result for each peer, given as (name, times by round, more fields of Result): libdsl's times are ours."""
    for (name, theirs, more), bar in zip(peers, bars):
        ratios = [t / o for t, o in zip(theirs, ours)]
        fields = dict(row=row, what="time", threads=threads, peer=name, theirs=statistics.median(theirs), ours=statistics.median(ours),
                      ratio=statistics.median(ratios), low=min(ratios), high=max(ratios), bar=bar, rounds=tuple(zip(theirs, ours)))
        yield Result(**(fields | common | more))


def only_the_best(peers, bar):
    """The bar for the fastest of peers, in the form that results takes them; none for the others."""
    medians = [statistics.median(times) for _, times, _ in peers]
    return [bar if m == min(medians) else Bar() for m in medians]


def agree(what, difference, tolerance):
    """The difference, when it is within the tolerance; else Failed."""
    if not difference <= tolerance:
        raise Failed(f"{what}: outputs differ by {difference:.1e}, more than {tolerance:.0e}")
    return float(difference)
