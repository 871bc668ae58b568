"""Runs the cells of an experiment, each in a process of its own, some side by side."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import cell as cells_
from . import state
from .config import Cell

POLL_S = 0.2
LINE_EVERY_S = 2.0  # on a terminal
GRACE_S = 120.0  # for a cell that was told to stop: it writes its last model
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Plan:
    cells: list[Cell]
    jobs: int
    command: Callable[[Cell], list[str]]  # what runs a cell
    report: Callable[[], None]  # called when a cell is done


def run(plan: Plan) -> list[Cell]:
    """Runs all cells that are not done and returns those that failed. Ctrl-C stops them and raises KeyboardInterrupt; whatever else ends this
    process stops them too."""
    states = {c.name: s for c, s in zip(plan.cells, state.survey(plan.cells))}
    waiting = [c for c in plan.cells if states[c.name].status != state.DONE]
    running: dict[str, tuple[Cell, subprocess.Popen[bytes]]] = {}
    failed: list[Cell] = []
    for c in waiting:
        state.failure_path(c).unlink(missing_ok=True)
    line = _Line(plan)
    try:
        while waiting or running:
            while waiting and len(running) < plan.jobs:
                c = waiting.pop(0)
                running[c.name] = (c, _start(c, plan.command(c)))
            line.show()
            time.sleep(POLL_S)
            for c, process in [r for r in running.values() if r[1].poll() is not None]:
                del running[c.name]
                if not _succeeded(c, process.returncode):
                    failed.append(c)
                else:
                    plan.report()
                line.ended(c)
    finally:
        _stop([process for _, process in running.values()])
    return failed


def _start(cell: Cell, command: list[str]) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a terminal's Ctrl-C reaches it once, through this process."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with open(cell.folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def _succeeded(cell: Cell, code: int) -> bool:
    if code == 0 and cells_.result(cell) is not None:
        return True
    lines = (cell.folder / "output.txt").read_text(errors="replace").strip().splitlines()
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    state.failure_path(cell).write_text(f"{ended}: {lines[-1] if lines else 'it printed nothing'}\n")
    return False


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Interrupts them and waits; those that do not end in time, or when a second Ctrl-C comes, are killed."""
    try:
        for p in processes:
            p.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE_S
        for p in processes:
            p.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for p in processes:
            p.kill()
            p.wait()


class _Line:
    """How far it is: a line when a cell has ended, and on a terminal one that is written over."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._begun, self._next = plan, time.monotonic(), 0.0
        self._terminal, self._width = sys.stdout.isatty(), 0

    def _text(self) -> str:
        return state.summary(state.survey(self._plan.cells), self._plan.jobs, time.monotonic() - self._begun)

    def show(self) -> None:
        if not self._terminal or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY_S
        text = self._text()
        print("\r" + text.ljust(self._width), end="", flush=True)
        self._width = len(text)

    def ended(self, cell: Cell) -> None:
        found = state.state_of(cell)
        print("\r" + f"{cell.name} {found.status}: {found.note}".ljust(self._width) + "\n" if self._terminal else f"{cell.name} {found.status}: {found.note}\n",
              end="")  # fmt: skip
        print(self._text(), flush=True)
