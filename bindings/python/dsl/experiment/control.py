"""A run in the background: started, looked at, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .._native import Error, Status
from . import lock, schedule, state
from .config import Experiment, invalid

BEGIN_S = 30.0  # for a process to begin: it only imports
POLL_S = 0.1


def pid_path(experiment: Experiment) -> Path:
    """Held, and holding the process's number, while a run works on the folder."""
    return experiment.out / "run.pid"


def log_path(experiment: Experiment) -> Path:
    return experiment.out / "run.log"


@contextlib.contextmanager
def alone(experiment: Experiment) -> Iterator[None]:
    """One run at a time works on a folder."""
    experiment.out.mkdir(parents=True, exist_ok=True)
    with lock.hold(pid_path(experiment), f'"{experiment.name}"'):
        yield


def running(experiment: Experiment) -> int | None:
    return lock.holder(pid_path(experiment))


def start(experiment: Experiment, command: list[str]) -> int:
    """Starts a run that outlives this process and the terminal, and returns its number. Raises Error when one runs, or when it does not begin."""
    process = running(experiment)
    if process is not None:
        raise invalid(f'"{experiment.name}" runs already, in process {process}')
    experiment.out.mkdir(parents=True, exist_ok=True)
    with open(log_path(experiment), "wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + BEGIN_S
    while running(experiment) != child.pid:
        if child.poll() == 0:
            return child.pid  # nothing was left to do
        if child.poll() is not None or time.monotonic() > deadline:
            raise Error(Status.INTERNAL, f"experiment: it did not begin; {log_path(experiment).name} says: "
                        + (log_path(experiment).read_text(errors="replace").strip() or "nothing"))  # fmt: skip
        time.sleep(POLL_S)
    return child.pid


def stop(experiment: Experiment) -> int:
    """Stops a run and waits for its end; returns its number. Raises Error when none runs or it does not end."""
    process = running(experiment)
    if process is None:
        raise Error(Status.NOT_FOUND, f'experiment: "{experiment.name}" does not run')
    os.kill(process, signal.SIGINT)
    deadline = time.monotonic() + 2 * schedule.GRACE_S
    while running(experiment) == process:
        if time.monotonic() > deadline:
            raise Error(Status.INTERNAL, f"experiment: process {process} was told to stop and has not ended")
        time.sleep(POLL_S)
    return process


def status(experiment: Experiment, only: str) -> str:
    """A line for each cell, and one for all."""
    states = state.survey(experiment.cells(only))
    width = max(len(s.cell.name) for s in states)
    process = running(experiment)
    lines = [f"{s.cell.name:{width}}  {s.status:7}  {s.note}".rstrip() for s in states]
    jobs = sum(s.status == state.RUNNING for s in states)
    lines.append(state.summary(states, max(jobs, 1)) + (f"; process {process}" if process else "; no run works on it"))
    return "\n".join(lines)
