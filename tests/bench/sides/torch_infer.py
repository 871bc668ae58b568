"""PyTorch's side of inference: torch_infer.py FOLDER THREADS. Frozen TorchScript, in the fastest of its forms; the embedding goes to torch.f32."""

import pathlib
import sys
import warnings

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from networks import Module, normalised, read  # noqa: E402
from serve import fastest, serve  # noqa: E402

MEMORY = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


def forms(arch, tensors, x):
    for folded in (True, False):
        for name, memory in MEMORY.items():
            own = x.clone(memory_format=memory)
            module = Module(arch, tensors, folded, memory).eval()
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the shapes are constant here
                traced = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(module, own)))

            def run(traced=traced, own=own):
                with torch.no_grad():
                    return traced(own)

            yield f"{name}{', folded before' if folded else ''}", run


def main():
    folder, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    torch.set_flush_denormal(True)  # before its threads start: subnormal numbers, which libdsl flushes too, would slow it down
    torch.set_num_threads(threads)
    arch, tensors, pixels, _ = read(folder)
    form, run, e = fastest(forms(arch, tensors, normalised(arch, tensors, pixels)))
    e.numpy().tofile(folder / "torch.f32")
    serve(run, form=form, version=torch.__version__)


main()
