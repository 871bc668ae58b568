"""One cell: a training, the scores of its best and its last model, and the file result.json, which is written last."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from .. import _native
from ..dataset import Dataset, dataset_of
from ..model import Model
from ..training import evaluate, last_path, train
from . import lock
from .config import Cell, invalid

# May differ between a result and a configuration that belong together: they are no part of the method.
_MACHINE = {"threads", "device"}


def result_path(cell: Cell) -> Path:
    return cell.folder / "result.json"


def log_path(cell: Cell) -> Path:
    return cell.folder / "log.jsonl"


def lock_path(cell: Cell) -> Path:
    return cell.folder / "lock"


def result(cell: Cell) -> dict[str, Any] | None:
    """What a finished cell measured, None for one that is not finished. Raises Error when it was measured with other options."""
    try:
        found: dict[str, Any] = json.loads(result_path(cell).read_text())
    except FileNotFoundError:
        return None
    got, want = ({n: v for n, v in o.items() if n not in _MACHINE} for o in (found["options"], recorded(cell)))
    for name in sorted(set(got) | set(want)):
        if got.get(name) != want.get(name):
            raise invalid(f'cell "{cell.name}": {name}: got {got.get(name)!r} in its result.json, want {want.get(name)!r}; '
                          "remove its folder, or choose another --out")  # fmt: skip
    return found


def recorded(cell: Cell) -> dict[str, Any]:
    """The options as result.json has them: without folders."""
    return {n: Path(v).name if n == "init" else v for n, v in cell.options.items()}


def run(cell: Cell) -> dict[str, Any]:
    """Trains and scores a cell and writes its files. One that was stopped goes on where it was; a finished one starts anew.
    Raises Error."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with lock.hold(lock_path(cell), f'cell "{cell.name}"'):
        out = cell.folder / "model.dsl"
        if result_path(cell).exists():
            for path in (result_path(cell), log_path(cell), *cell.folder.glob("model*.dsl")):
                path.unlink(missing_ok=True)
        begun = time.monotonic()
        with open_data(cell) as data:
            with train(data, out, seed=cell.seed, log=log_path(cell), progress=sys.stderr.isatty(), resume=True, **cell.options) as model:
                report, info = model.report or {}, model.info
            scores = {"best": _scores(cell, out, data), "last": _scores(cell, last_path(out), data)}
        found = {
            "data": cell.data.name, "method": cell.method.name, "seed": cell.seed, "options": recorded(cell), "steps": report["steps"],
            "seconds": report["elapsed_s"], "total_seconds": time.monotonic() - begun, **scores, **_history(log_path(cell)),
            "training": report, "data_hash": info["card"]["data_hash"], "library_version": _native.version(),
        }  # fmt: skip
        for which in scores:
            found[which]["validation"] = report[which]
        _write(result_path(cell), found)
        out.with_suffix(".checkpoint.dsl").unlink(missing_ok=True)  # nothing is left to go on from
    return found


def open_data(cell: Cell) -> Dataset:
    if cell.data.path is None:
        raise invalid(f'data "{cell.data.name}": got no path, want one in the configuration or --data {cell.data.name}=PATH')
    path, lists = cell.data.path, cell.data.lists
    data = Dataset.open_lists(*(path / name for name in lists), path) if lists else dataset_of(path)
    if data.size("test") == 0:
        data.close()
        raise invalid(f'data "{cell.data.name}": got no test split, want one: the scores are measured on it')
    return data


def _scores(cell: Cell, path: Path, data: Dataset) -> dict[str, Any]:
    """Scores on the splits; "val" is missing where the training held its validation images out itself."""
    how = {name: cell.options[name] for name in ("device", "precision", "threads") if name in cell.options}
    with Model.load(path, **how) as model:
        found: dict[str, Any] = {split: evaluate(model, data, split) for split in ("val", "test") if data.size(split) > 0}
        found["num_learners"] = model.num_learners
    return found


def _history(log: Path) -> dict[str, Any]:
    """Growths and validations of a training; a step that a resumed training repeated counts once."""
    growths, validations = {}, {}
    for line in read_log(log):
        if line["event"] == "grew":
            growths[line["step"]] = {"step": line["step"], "num_learners": line["num_learners"]}
        if line["event"] == "validated":
            validations[line["step"]] = {"step": line["step"], "nmi": line.get("nmi"), "num_learners": line["num_learners"]}
    return {"growths": list(growths.values()), "validations": list(validations.values())}


def read_log(path: Path, last_bytes: int = 0) -> list[dict[str, Any]]:
    """The lines of a training's log, or those of its end; without those that a killed process, or one that is writing, left half written."""
    with open(path, "rb") as file:
        if last_bytes:
            file.seek(max(0, file.seek(0, os.SEEK_END) - last_bytes))
        text = file.read().decode(errors="replace")
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [line for line in lines if isinstance(line, dict)]


def _write(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
