"""Makes the modules of examples/ and the Python binding importable; runs the quickstart once, small, for all tests that need a model."""

import csv
import os
import pathlib
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_S = 1800  # on a machine that has built nothing yet
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
os.environ.setdefault("DSL_LIBRARY", str(ROOT / "build" / "release" / "lib" / "libdsl.so.1"))
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "bindings" / "python"), str(ROOT / "tests" / "internal")]

import process  # noqa: E402


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished small quickstart: out, its folder; said, what it printed; model; images, paths of its test images."""
    out = tmp_path_factory.mktemp("quickstart") / "out"
    command = [ROOT / "examples" / "quickstart.sh", "--phantoms", 96, "--steps", 12, "--input-size", 32, "--batch-size", 24, "--threads", 2]
    said = process.output(command, BUILD_S, env={**os.environ, "OUT": str(out)})
    manifest = next(out.glob("phantoms-*/manifest.csv"))
    with open(manifest, newline="", encoding="utf-8") as f:
        images = [str(manifest.parent / row["path"]) for row in csv.DictReader(f) if row["split"] == "test"]
    return types.SimpleNamespace(out=out, said=said, model=out / "model.dsl", images=images, manifest=manifest)
