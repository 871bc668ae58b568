"""The configuration of an experiment: what a TOML file says, checked, as cells."""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._native import Error, Status
from ..training import train

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SCORES = ("best", "last")
DYNAMIC = "dynamic"  # what dsl.train's learners is when nothing is said

# What dsl.train takes but an experiment sets itself. Methods are compared at equal optimiser steps, and epochs of several learners are longer.
RESERVED = {"seed", "log", "progress", "resume", "epochs"}


@dataclass(frozen=True)
class Data:
    name: str
    path: Path | None  # None: to be named on the command line
    lists: list[str]  # names in path of a list of training and one of test images, see Dataset.open_lists; empty for other data
    options: dict[str, Any]
    reference: str  # text for the report: what others measured


@dataclass(frozen=True)
class Method:
    name: str
    group: str  # methods of which the report names the best and the worst; "" for none
    options: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One training: a method on a data set with a seed."""

    data: Data
    method: Method
    seed: int
    folder: Path
    options: dict[str, Any]  # of dsl.train

    @property
    def name(self) -> str:
        return f"{self.data.name}/{self.method.name}/{self.seed}"


@dataclass(frozen=True)
class Experiment:
    file: Path
    name: str
    out: Path
    seeds: list[int]
    score: str  # which model the report shows, one of SCORES
    data: list[Data]
    methods: list[Method]
    common: dict[str, Any] = field(default_factory=dict)
    forced: dict[str, Any] = field(default_factory=dict)  # options given on the command line

    def cells(self, only: str = "*", threads: int = 0) -> list[Cell]:
        """The cells whose names match, those of the first seed first: a table of some of them compares methods fairly. threads: of a cell, where
        the file does not say."""
        found = [self._cell(d, m, s, {"threads": threads}) for s in self.seeds for d in self.data for m in self.methods]
        found = [c for c in found if fnmatch.fnmatchcase(c.name, only)]
        if not found:
            raise invalid(f'cells: none is named "{only}"; a name is DATA/METHOD/SEED')
        return found

    def learners(self, method: Method) -> Any:
        """Of a method: a number or DYNAMIC."""
        return {**self.common, **method.options, **self.forced}.get("learners", DYNAMIC)

    def _cell(self, data: Data, method: Method, seed: int, defaults: dict[str, Any]) -> Cell:
        options = {**defaults, **self.common, **data.options, **method.options, **self.forced}
        return Cell(data, method, seed, self.out / data.name / method.name / f"seed-{seed}", options)


def invalid(message: str) -> Error:
    return Error(Status.INVALID, f"experiment: {message}")


def load(file: Path, *, out: Path | None = None, paths: dict[str, Path] | None = None, forced: dict[str, Any] | None = None) -> Experiment:
    """Reads and checks a file. out, paths (of data sets) and forced (options of dsl.train for all cells) replace what the file says; relative
    paths in the file count from its folder. Raises Error, which names what is wrong."""
    tables = _parse(file.read_bytes(), file.name)
    known = {"experiment", "data", "method"}
    if set(tables) - known:
        raise invalid(f'"{file.name}": got a table "{min(set(tables) - known)}", want [experiment], [[data]] and [[method]]')
    head = dict(_table(tables, "experiment", dict))
    name = _name(head, "experiment")
    where = "[experiment]"
    seeds, score, folder = head.pop("seeds", [0]), head.pop("score", "best"), head.pop("out", f"out/{name}")
    if not _distinct_numbers(seeds):
        raise invalid(f"{where}: seeds: got {seeds!r}, want a list of different numbers of 0 or more")
    if score not in SCORES:
        raise invalid(f'{where}: score: got {score!r}, want "best" (the model of the best validation NMI) or "last"')
    if not isinstance(folder, str):
        raise invalid(f"{where}: out: got {folder!r}, want a folder")
    data = [_data(d, file.parent) for d in _table(tables, "data", list)]
    methods = [_method(m, file.parent) for m in _table(tables, "method", list)]
    _check_names(data, "data")
    _check_names(methods, "method")
    common = _options(head, where, file.parent)
    for d in data:
        if "steps" not in {**common, **d.options, **(forced or {})}:
            raise invalid(f'data "{d.name}": got no steps, want the number of optimiser steps there or in {where}')
    found = Experiment(file, name, out or file.parent / folder, seeds, score, data, methods, common, _options(forced or {}, "--set", Path()))
    return _with_paths(found, paths or {})


def _parse(text: bytes, name: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        raise Error(Status.UNSUPPORTED, "experiment: reading TOML needs Python 3.11 or newer") from None
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise invalid(f'"{name}": no TOML: {e}') from None


def _table(tables: dict[str, Any], name: str, kind: type) -> Any:
    found = tables.get(name)
    if not isinstance(found, kind) or not found or (kind is list and not all(isinstance(t, dict) for t in found)):
        raise invalid(f"got no {'[[' if kind is list else '['}{name}{']]' if kind is list else ']'}, want {'one or more' if kind is list else 'one'}")
    return found


def _name(table: dict[str, Any], what: str) -> str:
    name = table.pop("name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(f"{what}: name: got {name!r}, want letters, digits, dots, - and _: it names a folder")
    return name


def _text(table: dict[str, Any], key: str, where: str) -> str:
    value = table.pop(key, "")
    if not isinstance(value, str):
        raise invalid(f"{where}: {key}: got {value!r}, want text")
    return value


def _data(table: dict[str, Any], base: Path) -> Data:
    table = dict(table)
    name = _name(table, "data")
    where = f'data "{name}"'
    path, reference = _text(table, "path", where), _text(table, "reference", where)
    lists = table.pop("lists", [])
    if not isinstance(lists, list) or len(lists) not in (0, 2) or not all(isinstance(x, str) for x in lists):
        raise invalid(f"{where}: lists: got {lists!r}, want two names of files, of training and of test images")
    return Data(name, base / path if path else None, lists, _options(table, where, base), reference)


def _method(table: dict[str, Any], base: Path) -> Method:
    table = dict(table)
    name = _name(table, "method")
    where = f'method "{name}"'
    group = _text(table, "group", where)
    if "steps" in table:
        raise invalid(f"{where}: steps: got {table['steps']!r}, want none: all methods take the same number")
    return Method(name, group, _options(table, where, base))


def _options(given: dict[str, Any], where: str, base: Path) -> dict[str, Any]:
    """Options of dsl.train; paths count from base."""
    known = {n for n, p in inspect.signature(train).parameters.items() if p.kind is p.KEYWORD_ONLY} - RESERVED
    for name in given:
        if name in RESERVED:
            raise invalid(f"{where}: {name}: an experiment sets it itself" + (" (give steps instead)" if name == "epochs" else ""))
        if name not in known:
            raise invalid(f"{where}: {name}: no such option, want one of {', '.join(sorted(known))}")
    return {n: str(base / v) if n == "init" else v for n, v in given.items()}


def _distinct_numbers(seeds: Any) -> bool:
    return isinstance(seeds, list) and seeds != [] and all(type(s) is int and s >= 0 for s in seeds) and len(set(seeds)) == len(seeds)


def _check_names(items: Sequence[Data | Method], what: str) -> None:
    names = [i.name for i in items]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f'{what} "{name}": got two of this name, want one')


def _with_paths(found: Experiment, paths: dict[str, Path]) -> Experiment:
    for name in paths:
        if name not in {d.name for d in found.data}:
            raise invalid(f'--data: got "{name}", want one of {", ".join(d.name for d in found.data)}')
    return replace(found, data=[replace(d, path=paths.get(d.name, d.path)) for d in found.data])
