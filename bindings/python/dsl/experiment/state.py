"""How far an experiment is, read from its files."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cell as cells_
from . import lock
from .config import Cell

DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"
_TAIL_BYTES = 8192  # some thirty lines of a log


def failure_path(cell: Cell) -> Path:
    """Holds one line, why the cell failed when it was last run."""
    return cell.folder / "failed.txt"


@dataclass(frozen=True)
class State:
    cell: Cell
    status: str  # DONE, RUNNING, FAILED or WAITING
    seconds: float = 0.0  # DONE: what it took; RUNNING: what it is expected to take in all, 0 if unknown
    share: float = 0.0  # RUNNING: of its steps, done
    note: str = ""


def survey(cells: list[Cell]) -> list[State]:
    """The state of each cell. Raises Error when a result was measured with other options than the cell's."""
    return [state_of(c) for c in cells]


def state_of(cell: Cell) -> State:
    found = cells_.result(cell)
    if found is not None:
        return State(cell, DONE, found["total_seconds"], 1.0, f"{found['steps']} steps")
    last = _last_line(cell)
    place = f"step {last['step']} of {last['num_steps']}" if last else ""
    if lock.holder(cells_.lock_path(cell)) is not None:
        share = last["step"] / last["num_steps"] if last else 0.0
        return State(cell, RUNNING, last["elapsed_s"] / share if share else 0.0, share, place)
    if failure_path(cell).exists():
        return State(cell, FAILED, note=failure_path(cell).read_text(errors="replace").strip())
    return State(cell, WAITING, note=f"stopped at {place}" if place else "")


def _last_line(cell: Cell) -> dict[str, Any]:
    """Of the training's log that says how many steps there are; empty if there is none."""
    try:
        lines = cells_.read_log(cells_.log_path(cell), _TAIL_BYTES)
    except FileNotFoundError:
        return {}
    return next((line for line in reversed(lines) if line.get("num_steps")), {})


def remaining_s(states: list[State], jobs: int) -> float | None:
    """Seconds until all cells that neither are done nor have failed are done, jobs at a time. A cell is expected to take as long as those of its method and data
    set that are known, else as those of its data set, else as all. None while nothing is known."""
    known = [s for s in states if s.seconds > 0]
    if not known:
        return None

    def expected(cell: Cell) -> float:
        same_data = [s for s in known if s.cell.data.name == cell.data.name]
        same = [s for s in same_data if s.cell.method.name == cell.method.name]
        return statistics.fmean(s.seconds for s in same or same_data or known)

    left = [(s.seconds or expected(s.cell)) * (1 - s.share) for s in states if s.status in (RUNNING, WAITING)]
    return max(sum(left) / jobs, max(left, default=0.0))


def summary(states: list[State], jobs: int, elapsed_s: float | None = None) -> str:
    """One line: cells done of all, elapsed time, expected time."""
    count = {status: sum(s.status == status for s in states) for status in (DONE, RUNNING, FAILED)}
    parts = [f"{count[DONE]}/{len(states)} cells done"]
    parts += [f"{count[status]} {status}" for status in (RUNNING, FAILED) if count[status]]
    if elapsed_s is not None:
        parts.append(f"elapsed {duration(elapsed_s)}")
    if count[DONE] + count[FAILED] < len(states):
        left = remaining_s(states, jobs)
        parts.append("ETA unknown" if left is None else f"ETA {duration(left)}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours} h {m:02} min" if hours else f"{m} min {s:02} s" if m else f"{s} s"
