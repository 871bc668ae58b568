#!/usr/bin/env python3
"""Kills a training again and again (SIGKILL) and lets it go on; then compares it with one that was never stopped: the weights of its best and its last
model bit for bit, its scores and its log.

    python3 tests/resume/resume.py                                                  small pictures, drawn here
    python3 tests/resume/resume.py --data manifest.csv --steps 400 --set input_size=64 --set batch_size=64

Kills come at random steps and moments of --seed; at least two of them around a growth and two around a clustering, which are looked up in the first
run's messages. Exit status 1 when something differs.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("DSL_LIBRARY", str(ROOT / "build" / "release" / "lib" / "libdsl.so.1"))
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import numpy as np  # noqa: E402

import dsl  # noqa: E402
from dsl.training import last_path  # noqa: E402

SMALL = dict(stem="small", embedding_dim=128, input_size=16, batch_size=12, images_per_class=4, warmup_share=0.2, threads=1, device="cpu")
SMALL_STEPS = 70
GROWTH_KILLS, CLUSTER_KILLS = 3, 3
LIMIT_S = 1800


# ---- one training: a process of its own -----------------------------------------------------------------------------


def draw(index):
    """Three classes of pictures: a bright bar on the left, in the middle or on the right, which noise hides now and then."""
    rng = np.random.default_rng(index)
    picture = rng.integers(0, 140, (24, 24, 3))
    left = 8 * (index % 3)
    picture[4:20, left : left + 6] += 80
    return picture.astype(np.uint8)


def small_dataset():
    count = 90
    splits = ["val" if i % 3 == (i // 3) % 3 else "train" for i in range(count)]
    return dsl.Dataset.from_arrays([draw(i) for i in range(count)], [i % 3 for i in range(count)], splits=splits)


def work(options):
    """Trains, and prints each message as a line of JSON; at the end the report."""

    def tell(p):
        print(json.dumps({"event": p.event, "stage": p.stage, "step": p.step, "message": p.message}), flush=True)

    data = options.pop("data") or small_dataset()
    with dsl.train(data, progress=tell, **options) as model:
        print(json.dumps({"event": "report", "stage": "done", "step": 0, "message": "", "report": model.report}), flush=True)


class Training:
    """A training in a folder, which can be run in parts."""

    def __init__(self, folder, options):
        self.out, self.log = folder / "model.dsl", folder / "log.jsonl"
        self.options = {**options, "out": str(self.out), "log": str(self.log)}
        folder.mkdir()

    def run(self, until=None, delay_s=0.0, **more):
        """Runs until a message of the learners' training meets until(), and kills delay_s later; to the end without it. Returns the messages, and
        whether it was killed."""
        command = [sys.executable, __file__, "--work", json.dumps({**self.options, **more})]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
            messages, deadline = [], time.monotonic() + LIMIT_S
            try:
                for line in process.stdout:
                    messages.append(json.loads(line))
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"a training was not over after {LIMIT_S} s")
                    if until and messages[-1]["stage"] != "prepare" and until(messages[-1]):
                        time.sleep(delay_s)
                        break
            finally:
                process.kill()
        if until is None and process.returncode != 0:
            raise RuntimeError(f"a training ended with status {process.returncode}")
        return messages, process.returncode == -signal.SIGKILL

    def identities(self):
        """Digests of the best and the last model: of their weights, learners and architecture."""
        return [identity(path) for path in (self.out, last_path(self.out))]

    def lines(self):
        """The log without the clock and what only a run tells that goes on."""
        found = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [{k: v for k, v in line.items() if k not in ("elapsed_s", "waited_s")} for line in found if not line.get("message", "").startswith("going on after step")]


def identity(path):
    with dsl.Model.load(path, device="cpu") as model, dsl.Index(model) as index:
        return index.info["model"]


# ---- where to kill --------------------------------------------------------------------------------------------------


def is_clustering(message):
    return message["event"] == "note" and message["message"].startswith(("grouping", "clusters of"))


def plan(messages, kills, rng):
    """Moments to kill at, in the order of steps: (step, what for, a test of a message). A moment that a checkpoint has left behind comes at once."""
    steps = [m["step"] for m in messages if m["event"] == "step" and m["stage"] != "prepare"]
    growths = sorted({m["step"] for m in messages if m["event"] == "grew"})
    clusterings = sorted({m["step"] for m in messages if is_clustering(m)})
    if not growths or not clusterings:
        raise RuntimeError("the training has not grown: choose other options")
    moments = []
    for k in range(kills):
        if k < GROWTH_KILLS:
            step = growths[k % len(growths)]
            wanted = ("validated", "grew", "grew")[k % 3]
            moments.append((step, f"growth, when {wanted}", lambda m, s=step, w=wanted: m["step"] > s or m["step"] == s and m["event"] == w))
        elif k < GROWTH_KILLS + CLUSTER_KILLS:
            step = rng.choice(clusterings)
            moments.append((step, "clustering", lambda m, s=step: m["step"] > s or m["step"] == s and is_clustering(m)))
        else:
            step = rng.choice(steps[:-3])
            moments.append((step, "step", lambda m, s=step: m["step"] >= s))
    return sorted(moments, key=lambda moment: moment[0])


def compare(got, want, reports):
    """What differs between two trainings that ended."""
    wrong = []
    for name, a, b in zip(("best", "last"), got.identities(), want.identities()):
        print(f"{name} model: {a[:16]}, never stopped {b[:16]}")
        if a != b:
            wrong.append(f"the {name} model")
    same = ("best", "last", "steps", "growths", "num_learners")
    if any(reports[0][k] != reports[1][k] for k in same) or reports[0]["resume_differences"]:
        wrong.append(f"the report: {reports[0]}, never stopped {reports[1]}")
    a, b = got.lines(), want.lines()
    if a != b:
        first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        wrong.append(f"the log from line {first + 1} on, {len(a)} and {len(b)} lines: {a[first : first + 1]}, never stopped {b[first : first + 1]}")
    return wrong


def trial(folder, o):
    options = {**(SMALL if o.data is None else {}), "data": o.data, "steps": o.steps, **dict(o.set)}
    whole, parts = Training(folder / "whole", options), Training(folder / "parts", options)
    begun = time.monotonic()
    messages, _ = whole.run(checkpoint_every_s=-1)
    report = messages[-1]["report"]
    print(f"never stopped: {time.monotonic() - begun:.1f} s, {report['steps']} steps, {report['growths']} growths", flush=True)
    rng = random.Random(o.seed)
    done = 0
    for step, what, until in plan(messages, o.kills, rng):
        delay_s = rng.uniform(0, o.delay)
        seen, killed = parts.run(until, delay_s, resume=True, checkpoint_every_s=o.checkpoint_every)
        done += killed
        steps = [m["step"] for m in seen if m["stage"] != "prepare"]
        print(f"kill {done:2d} at step {step:3d} ({what}), {delay_s:.3f} s later: steps {steps[0]} to {steps[-1]}" + ("" if killed else "; ended before"), flush=True)
    ended, _ = parts.run(resume=True, checkpoint_every_s=o.checkpoint_every)
    wrong = compare(parts, whole, (ended[-1]["report"], report))
    if done < o.kills:
        wrong.append(f"{o.kills} kills: got {done}")
    print(f"{done} kills, {time.monotonic() - begun:.1f} s: " + ("; ".join(f"DIFFERS: {w}" for w in wrong) or "bit for bit equal"))
    return not wrong


def setting(text):
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", help="a manifest or a folder; small pictures without it")
    p.add_argument("--steps", type=int, default=SMALL_STEPS)
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--delay", type=float, default=0.2, help="seconds that a kill comes at most after its moment")
    p.add_argument("--checkpoint-every", type=float, default=0.3, help="seconds")
    p.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="an option of dsl.train")
    p.add_argument("--work", help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.work:
        return work(json.loads(o.work))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dsl-resume-"))
    try:
        print(f"seed {o.seed}", flush=True)
        return 0 if trial(folder, o) else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
