"""Makes the modules of examples/ and the Python binding importable."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "bindings" / "python")]
