"""Makes the modules of examples/ and the Python binding importable; runs the quickstart once, small, for all tests that need a model."""

import csv
import os
import pathlib
import subprocess
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
os.environ.setdefault("DSL_LIBRARY", str(ROOT / "build" / "release" / "lib" / "libdsl.so.1"))
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "bindings" / "python")]


def run(command, **options):
    """The standard output of a command; its error output stands in the exception, and in the test's when it fails."""
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        print(done.stdout, done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished small quickstart: out, its folder; said, what it printed; model; images, paths of its test images."""
    out = tmp_path_factory.mktemp("quickstart") / "out"
    said = run([ROOT / "examples" / "quickstart.sh", "--phantoms", 96, "--steps", 12, "--input-size", 32, "--batch-size", 24, "--threads", 2],
               env={**os.environ, "OUT": str(out)})  # fmt: skip
    manifest = next(out.glob("phantoms-*/manifest.csv"))
    with open(manifest, newline="", encoding="utf-8") as f:
        images = [str(manifest.parent / row["path"]) for row in csv.DictReader(f) if row["split"] == "test"]
    return types.SimpleNamespace(out=out, said=said, model=out / "model.dsl", images=images, manifest=manifest)
