"""Trains on the images of build.sh as examples/quickstart.py does, dynamic learners and a single one, and scores the last models on test images."""

import pathlib
import re
import statistics
import tempfile
import time

import numpy as np

import machine
import part as parts

SEEDS = (0, 1, 2)
EPOCHS = 32
USUAL = dict(input_size=64, batch_size=128, images_per_class=16)
SMALL = dict(input_size=16, batch_size=8, images_per_class=4, stem="small", embedding_dim=16)
SMALL_PER_SPLIT, SMALL_STEPS = 24, 6
LEARNT_NMI = 0.15  # untrained networks have 0.10 at most, trained ones 0.25 on the CPU: see README.md
TELL_S = 15  # between lines about a training
COLUMNS = ("NMI", "R@1 micro", "R@1 macro", "micro, group out", "macro, group out")


def load(small):
    """A Dataset of the packed images, decoded as libdsl decodes files."""
    import dsl

    with np.load(machine.DATA) as pack:
        files, ends, suffix = pack["files"], pack["ends"], str(pack["suffix"])
        labels, splits, groups, names = (pack[n].tolist() for n in ("labels", "splits", "groups", "class_names"))
    chosen = range(len(labels))
    if small:
        chosen = [i for split in ("train", "val", "test") for i in [i for i in chosen if splits[i] == split][:SMALL_PER_SPLIT]]
    starts = np.concatenate([[0], ends[:-1]])
    images = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"image{suffix}"
        for i in chosen:
            path.write_bytes(files[starts[i] : ends[i]].tobytes())
            images.append(dsl.load_image(path))
    of = lambda values: [values[i] for i in chosen]  # noqa: E731
    dataset = dsl.Dataset.from_arrays(images, of(labels), class_names=names, splits=of(splits), groups=of(groups))
    print(f"{len(dataset)} images: " + ", ".join(f"{dataset.size(s)} {s}" for s in ("train", "val", "test")), flush=True)
    return dataset


def teller(name):
    """A progress function that prints now and then."""
    last = [time.monotonic()]

    def listen(p):
        if p.event == "grew" or time.monotonic() - last[0] > TELL_S:
            last[0] = time.monotonic()
            print(f"     {name}: step {p.step} of {p.num_steps}, {p.num_learners} learners, loss {p.loss:.3f}", flush=True)

    return listen


def run(data, learners, seed, small):
    """One training: its scores in the order of COLUMNS, the number of learners, seconds."""
    import dsl

    settings = SMALL if small else USUAL
    steps = SMALL_STEPS if small else EPOCHS * (data.size("train") // settings["batch_size"])
    name = f"{learners if learners == 'dynamic' else 'one'}, seed {seed}"
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "model.dsl"
        dsl.train(data, out, learners=learners, seed=seed, steps=steps, device="cuda", progress=teller(name), **settings).close()
        took = time.monotonic() - start
        with dsl.Model.load(out.with_suffix(".last.dsl"), device="cuda") as model:
            found, count = dsl.evaluate(model, data, "test"), model.num_learners
    scores = [found["nmi"], *(found[way][mean]["recall_at_1"] for way in ("self_excluded", "group_excluded") for mean in ("micro", "macro"))]
    print(f"{name}: " + ", ".join(f"{c} {s:.3f}" for c, s in zip(COLUMNS, scores)) + f"; {count} learners, {steps} steps in {took:.1f} s", flush=True)
    return {"learners": learners, "seed": seed, "scores": scores, "learners_at_the_end": count, "steps": steps, "seconds": took}


def table(runs):
    """Mean ± deviation over the seeds, and the README's rows of the CPU."""
    lines = ["| on the GPU | seeds | learners at the end | " + " | ".join(COLUMNS) + " | seconds |", "|---" * (len(COLUMNS) + 4) + "|"]
    for learners, title in (("dynamic", "dynamic"), (1, "one learner")):
        some = [r for r in runs if r["learners"] == learners]
        if some:
            cells = [spread([r["scores"][c] for r in some]) for c in range(len(COLUMNS))]
            ends = ", ".join(str(r["learners_at_the_end"]) for r in some)
            lines.append(f"| {title} | {len(some)} | {ends} | " + " | ".join(cells) + f" | {statistics.mean(r['seconds'] for r in some):.0f} |")
    cpu = re.search(r"^\| \| seed \|.*\n(?:\|.*\n)+", (machine.ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    if cpu:
        lines += ["", "On the CPU, from the README:", cpu[0].rstrip()]
    return "\n".join(lines)


def spread(values):
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def main():
    part = parts.Part(__doc__)
    if not machine.DATA.exists():
        part.skip("there is no out/gpu/data.npz: give build.sh a manifest")
    data = load(part.small)
    runs = []
    for seed in SEEDS[:1] if part.small else SEEDS:
        for learners in ("dynamic", 1):
            if runs and part.left_s < 1.5 * max(r["seconds"] for r in runs):
                print(f"no time for seed {seed} with learners {learners}", flush=True)
                continue
            runs.append(run(data, learners, seed, part.small))
            part.data["runs"] = runs
            nmi = runs[-1]["scores"][0]
            part.check(f"seed {seed}, learners {learners}: it learnt", part.small or nmi > LEARNT_NMI, f"NMI {nmi:.3f}")
    part.tell(table(runs))
    part.end()


if __name__ == "__main__":
    main()
