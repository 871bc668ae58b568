"""Rows of a report: the results of a method on a data set over its seeds."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from . import cell as cells_
from .config import Experiment

# Column: what it is called, and where a result has it below "best" or "last".
METRICS = {
    "NMI": ("test", "nmi"),
    "AMI": ("test", "ami"),
    "R@1 micro": ("test", "self_excluded", "micro", "recall_at_1"),
    "R@1 macro": ("test", "self_excluded", "macro", "recall_at_1"),
    "R@1 micro, own group out": ("test", "group_excluded", "micro", "recall_at_1"),
    "R@1 macro, own group out": ("test", "group_excluded", "macro", "recall_at_1"),
    "validation NMI": ("validation", "nmi"),
}
LEARNERS, LEARNERS_AT_END, SECONDS = "K", "K at end", "seconds"  # K: of the model that is scored


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None of a single value) of the values."""

    mean: float
    deviation: float | None
    values: list[float]


@dataclass(frozen=True)
class Row:
    data: str
    method: str  # or, of a group, which of its methods was chosen and how
    chosen: bool  # a group's row: its numbers are those of another row
    seeds: list[int]
    numbers: dict[str, Spread | None]  # of METRICS, in [0, 1], None where the data have no groups; and LEARNERS to SECONDS


def results(experiment: Experiment) -> list[dict[str, Any]]:
    """What all finished cells measured, in the order of the cells."""
    return [r for r in (cells_.result(c) for c in experiment.cells()) if r is not None]


def rows(experiment: Experiment, found: list[dict[str, Any]]) -> list[Row]:
    """For each data set a row for each method that has results, then two for each group: its methods of the best and of the worst mean validation
    NMI. The test split takes no part in that choice. A group is compared on the seeds that all its methods have, and has no rows while there is none."""
    out = []
    for data in experiment.data:
        of: dict[str, dict[int, dict[str, Any]]] = {m.name: {} for m in experiment.methods}
        for r in found:
            if r["data"] == data.name:
                of[r["method"]][r["seed"]] = r
        out += [_row(experiment, data.name, name, results) for name, results in of.items() if results]
        for group in dict.fromkeys(m.group for m in experiment.methods if m.group):
            out += _group(experiment, data.name, group, {m.name: of[m.name] for m in experiment.methods if m.group == group})
    return out


def _group(experiment: Experiment, data: str, group: str, of: dict[str, dict[int, dict[str, Any]]]) -> list[Row]:
    seeds = [s for s in experiment.seeds if all(s in results for results in of.values())]
    if not seeds:
        return []
    mean = {name: statistics.fmean(results[s][experiment.score]["validation"]["nmi"] for s in seeds) for name, results in of.items()}
    chosen = (("best", max(mean, key=mean.__getitem__)), ("worst", min(mean, key=mean.__getitem__)))
    return [_row(experiment, data, f"{group}, {word} K on validation: {name}", {s: of[name][s] for s in seeds}, chosen=True) for word, name in chosen]


def _row(experiment: Experiment, data: str, label: str, results: dict[int, dict[str, Any]], chosen: bool = False) -> Row:
    numbers = {name: spread([_at(r[experiment.score], path) for r in results.values()]) for name, path in METRICS.items()}
    numbers[LEARNERS] = spread([r[experiment.score]["num_learners"] for r in results.values()])
    numbers[LEARNERS_AT_END] = spread([r["last"]["num_learners"] for r in results.values()])
    numbers[SECONDS] = spread([r["seconds"] for r in results.values()])
    return Row(data, label, chosen, list(results), numbers)


def _at(scores: dict[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = scores
    for key in path:
        if found is None:
            return None
        found = found[key]
    return float(found)


def spread(values: list[float | None]) -> Spread | None:
    """None when a value is missing or no number."""
    numbers = [float(v) for v in values if v is not None and not math.isnan(v)]
    if not numbers or len(numbers) < len(values):
        return None
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, numbers)
