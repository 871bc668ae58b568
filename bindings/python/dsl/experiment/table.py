"""Tables of rows, as Markdown and as plain text, and all numbers as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from .config import Experiment
from .summary import LEARNERS, LEARNERS_AT_END, METRICS, SECONDS, Row, Spread

COLUMNS = ("method", "runs", LEARNERS, LEARNERS_AT_END, *METRICS, SECONDS)


def markdown(experiment: Experiment, rows: list[Row]) -> str:
    parts = [f"# {experiment.name}", explanation(experiment)]
    for data in experiment.data:
        cells = _cells(rows, data.name)
        if len(cells) > 1:
            lines = ["| " + " | ".join(row) + " |" for row in cells]
            parts += [f"## {data.name}", "\n".join([lines[0], "|---" + "|---:" * (len(COLUMNS) - 1) + "|", *lines[1:]])]
            if data.reference:
                parts += ["Reported by others, not measured here:", data.reference.strip()]
    return "\n\n".join(parts) + "\n"


def text(experiment: Experiment, rows: list[Row]) -> str:
    parts = [experiment.name, explanation(experiment)]
    for data in experiment.data:
        cells = _cells(rows, data.name)
        if len(cells) > 1:
            widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
            lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]).rstrip() for row in cells]
            parts.append("\n".join([data.name, *lines]))
            if data.reference:
                parts.append("Reported by others, not measured here:\n" + data.reference.strip())
    return "\n\n".join(parts) + "\n"


def explanation(experiment: Experiment) -> str:
    which = "best model by validation NMI" if experiment.score == "best" else "last model"
    return (f"Test split, {which}; mean ± standard deviation (n - 1) over the seeds, scores in %. K: learners of that model. R@1: recall@1 over queries (micro) and over classes (macro); "
            "own group out: without images of the query's group. A group's best and worst K are chosen by mean validation NMI.")  # fmt: skip


def _cells(rows: list[Row], data: str) -> list[list[str]]:
    """The header and the rows of a data set."""
    out = [list(COLUMNS)]
    for row in rows:
        if row.data == data:
            n = row.numbers
            learners = (_number(n[name], 1, 1) for name in (LEARNERS, LEARNERS_AT_END))
            out.append([row.method, str(len(row.seeds)), *learners, *(_number(n[m], 100, 2) for m in METRICS), _number(n[SECONDS], 1, 0)])
    return out


def _number(spread: Spread | None, scale: float, digits: int) -> str:
    if spread is None:
        return "-"
    values = set(spread.values)
    if scale == 1 and len(values) == 1 and spread.mean == int(spread.mean):
        return str(int(spread.mean))  # the same K each time
    mean = f"{scale * spread.mean:.{digits}f}"
    return mean if spread.deviation is None else f"{mean} ± {scale * spread.deviation:.{digits}f}"


def comma_separated(found: list[dict[str, Any]]) -> str:
    """A line for each result with all its numbers; columns are named by the way to them, best_test_nmi."""
    lines = []
    for r in found:
        line = {key: r[key] for key in ("data", "method", "seed", "steps", "seconds", "total_seconds")}
        line["growth_steps"] = " ".join(str(g["step"]) for g in r["growths"])
        for which in ("best", "last"):
            line.update(_flat(r[which], which))
        lines.append(line)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(key for line in lines for key in line)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _flat(value: dict[str, Any], name: str) -> dict[str, Any]:
    out = {}
    for key, v in value.items():
        out.update(_flat(v, f"{name}_{key}") if isinstance(v, dict) else {f"{name}_{key}": v})
    return out
