"""The report of an experiment: tables, all numbers, plots."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from . import plots, summary, table
from .config import Experiment


def write(experiment: Experiment) -> str:
    """Writes table.md, table.txt, results.csv and results.json of the cells that are done into the experiment's folder, whole or not at all, and
    plots where matplotlib is installed. Returns what table.txt says."""
    found = summary.results(experiment)
    rows = summary.rows(experiment, found)
    everything = {"experiment": experiment.name, "score": experiment.score, "table": [asdict(r) for r in rows], "results": found}
    text = table.text(experiment, rows)
    experiment.out.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("table.txt", text),
        ("table.md", table.markdown(experiment, rows)),
        ("results.csv", table.comma_separated(found)),
        ("results.json", json.dumps(everything, indent=1) + "\n"),
    ):
        _replace(experiment.out / name, content)
    plots.write(experiment, found, rows)
    return text


def _replace(path: Path, content: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)
