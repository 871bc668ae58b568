"""decode: from a JPEG file to the pixels that a network takes, antialiased, one thread. Peers: Pillow (bilinear) and OpenCV (area)."""

import contextlib
import pathlib
import tempfile

import numpy as np

from contest import SIDES, Bar, Row, Side, agree, results, take_turns
from peers import module
from photos import KINDS, encoded

NAME, SIZE, FILES = "decode", 224, 16
PEERS = {"PIL": "Pillow, bilinear", "cv2": "OpenCV, area"}
LEVELS = {"PIL": 1.0, "cv2": 3.0}  # of 255, mean difference: Pillow has libdsl's filter, OpenCV a box's and whole pixels as borders
BAR = Bar(2, (2.2,))


def difference(folder, peer):
    ours, theirs = (np.fromfile(folder / f"{name}.u8", np.uint8).astype(np.int16) for name in ("libdsl", peer))
    return float(np.abs(ours - theirs).mean())


def measure_kind(kind, settings, threads):
    with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
        folder, files = pathlib.Path(tmp), 2 if settings.quick else FILES
        for i in range(files):
            (folder / f"{i:02}.jpg").write_bytes(encoded(i, **KINDS[kind]))
        ours = stack.enter_context(Side("libdsl", [settings.programs / "pictures", "-size", SIZE, folder], threads))
        peers = [stack.enter_context(Side(name, [settings.python, SIDES / "pictures.py", peer, folder, SIZE], threads)) for peer, name in PEERS.items()]
        differences = [agree(f"libdsl and {name}", difference(folder, peer), LEVELS[peer]) for peer, name in PEERS.items()]
        times = [[t / files for t in rounds] for rounds in take_turns([ours, *peers], settings)]
        rivals = [(f"{p.name} {p.about['version']}", t, {"difference": d, "tolerance": LEVELS[key], "notes": kind})
                  for key, p, t, d in zip(PEERS, peers, times[1:], differences)]  # fmt: skip
    yield from results(NAME, threads, times[0], rivals, [BAR] * len(rivals))


def measure(settings, threads):
    for peer in PEERS:
        module(peer)
    for kind in KINDS:
        yield from measure_kind(kind, settings, threads)


ROWS = [Row(NAME, f"600x450 JPEG to {SIZE} px", measure, threads=(1,))]
