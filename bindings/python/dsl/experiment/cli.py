"""The command line: python3 -m dsl experiment CONFIG.toml."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from .._native import Error, Status
from . import cell as cells_
from . import control, report, schedule
from .config import Cell, Experiment, invalid, load


def add_parser(commands: Any) -> None:
    p = commands.add_parser("experiment", help="train methods x seeds x data sets, and write a table")
    p.set_defaults(run=run)
    p.add_argument("config", type=Path, help="a TOML file, see examples/experiments")
    p.add_argument("-o", "--out", type=Path, help="folder of the results, instead of the file's")
    p.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="where a data set is")
    p.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of dsl.train for all cells")
    p.add_argument("--only", default="*", metavar="PATTERN", help="only cells whose names DATA/METHOD/SEED match, such as '*/mml-*/0'")
    p.add_argument("--jobs", type=int, default=1, help="cells side by side; without threads in the file they share the cores (1)")
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--cell", metavar="DATA/METHOD/SEED", help="run this cell alone, here, anew if it is done")
    mode.add_argument("--background", action="store_true", help="go on after this command and the terminal have ended")
    mode.add_argument("--status", action="store_true", help="say how far it is")
    mode.add_argument("--stop", action="store_true", help="stop the run in the background; the same command goes on where it was")
    mode.add_argument("--report", action="store_true", help="write the report again")


def run(o: argparse.Namespace) -> None:
    # What a script starts in the background is told to ignore Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if o.jobs < 1:
        raise invalid(f"--jobs: got {o.jobs}, want 1 or more")
    experiment = load(o.config, out=o.out, paths={n: Path(v) for n, v in _pairs(o.data, "--data")}, forced={n: _value(v) for n, v in _pairs(o.set, "--set")})
    if o.cell:
        run_cell(experiment, o)
    elif o.background:
        process = control.start(experiment, [sys.executable, *_command(o, "--only", o.only, "--jobs", str(o.jobs))])
        print(f"process {process} works in the background and writes to {control.log_path(experiment)}; --status looks, --stop stops it")
    elif o.status:
        print(control.status(experiment, o.only))
    elif o.stop:
        print(f"process {control.stop(experiment)} has stopped")
    elif o.report:
        print(report.write(experiment))
    else:
        run_all(experiment, o)


def run_cell(experiment: Experiment, o: argparse.Namespace) -> None:
    found = [c for c in experiment.cells(threads=_cores()) if c.name == o.cell]
    if not found:
        raise Error(Status.NOT_FOUND, f'experiment: cell: got "{o.cell}", want DATA/METHOD/SEED of {experiment.file.name}')
    cell = found[0]
    print("python3 " + shlex.join(_cell_command(o, cell)), flush=True)
    result = cells_.run(cell)
    print(f"{cell.name}: {result['steps']} steps in {result['seconds']:.0f} s, NMI {result[experiment.score]['test']['nmi']:.4f}")


def run_all(experiment: Experiment, o: argparse.Namespace) -> None:
    cells = experiment.cells(o.only, threads=max(1, _cores() // o.jobs))
    for cell in cells:
        if cell.data.path is None and cells_.result(cell) is None:
            raise invalid(f'data "{cell.data.name}": got no path, want one in the file or --data {cell.data.name}=PATH')
    with control.alone(experiment):
        failed = schedule.run(schedule.Plan(cells, o.jobs, lambda c: [sys.executable, *_cell_command(o, c)], lambda: report.write(experiment)))
        print(report.write(experiment))
    if failed:
        raise Error(Status.INTERNAL, f"experiment: {len(failed)} of {len(cells)} cells failed: {', '.join(c.name for c in failed)}; "
                    "output.txt in a cell's folder says why; the same command tries them again")  # fmt: skip


def _cell_command(o: argparse.Namespace, cell: Cell) -> list[str]:
    threads = [] if any(s.startswith("threads=") for s in o.set) else ["--set", f"threads={cell.options['threads']}"]
    return _command(o, *threads, "--cell", cell.name)


def _command(o: argparse.Namespace, *more: str) -> list[str]:
    """The arguments of Python that do more with the same file, folder, data sets and options."""
    again = ["-m", "dsl", "experiment", str(o.config)]
    again += ["--out", str(o.out)] if o.out else []
    for name, values in (("--data", o.data), ("--set", o.set)):
        for value in values:
            again += [name, value]
    return again + list(more)


def _pairs(given: list[str], option: str) -> list[tuple[str, str]]:
    pairs = [g.partition("=") for g in given]
    for text, (name, _, value) in zip(given, pairs):
        if not name or not value:
            raise invalid(f'{option}: got "{text}", want NAME=VALUE')
    return [(name, value) for name, _, value in pairs]


def _value(text: str) -> Any:
    """A number, or true or false, as TOML has them; else text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _cores() -> int:
    return len(os.sched_getaffinity(0))
