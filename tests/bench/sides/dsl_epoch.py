"""libdsl's side of an epoch: dsl_epoch.py FOLDER THREADS SIZE BATCH. Trains one learner on FOLDER/manifest.csv from scratch. The time of N epochs is that from the validation after the
first to the last step of N more: so it has writing the model and, but for the last, validating."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import dsl  # noqa: E402
from serve import turns  # noqa: E402


def main():
    folder, (threads, size, batch) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:])

    def seconds(n):
        told = []
        model = dsl.train(folder / "manifest.csv", folder / "model.dsl", learners=1, warmup_share=0, finetune_share=0, epochs=1 + n, input_size=size,
                          batch_size=batch, images_per_class=batch // 8, threads=threads, device="cpu", checkpoint_every_s=-1, progress=told.append)  # fmt: skip
        model.close()
        start = next(p.elapsed_s for p in told if p.event == "validated")
        return [p.elapsed_s for p in told if p.event == "step"][-1] - start

    turns(seconds, version=dsl.version())


main()
