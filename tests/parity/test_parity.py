"""Parity of the oneDNN backend with float64 PyTorch on small inputs, one test for each backbone and BatchNorm mode."""

import argparse
import pathlib
import sys

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (Debian: python3-torch), nothing to hold libdsl against")
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import parity  # noqa: E402

OPTIONS = argparse.Namespace(backend="onednn", threads=1, seed=0, size=64, batch=None)


@pytest.mark.parametrize("mode", ["frozen", "batch"])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_every_tensor_is_as_close_to_float64_as_pytorch(backbone, mode):
    for title, runs in parity.check(backbone, mode, OPTIONS):
        rows = [parity.compare(runs, g, n) for g, n in parity.names(runs)]
        assert rows, title
        bad = [str(r) for r in rows if not r.ok]
        assert not bad, "\n".join([title, *bad])
        assert not parity.lost_accuracy(rows), title
        count, unseen = parity.mutate(runs)
        assert count == 2 * len(rows) and not unseen, unseen
