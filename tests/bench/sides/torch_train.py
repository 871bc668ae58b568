"""PyTorch's side of a training step: torch_train.py FOLDER THREADS FORM.... Forward, backward from dL/de, Adam, in the fastest of the forms that are named
("channels last", "contiguous"; ", foreach Adam" after it); the first step's embedding goes to torch.f32."""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from networks import Network, read  # noqa: E402
from serve import fastest, serve  # noqa: E402

MEMORY = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
RATE, DECAY = 1e-6, 1e-4  # as tests/internal/network: a rate at which hundreds of steps do not diverge


def form_of(name, arch, tensors, pixels, seed):
    layout, _, adam = name.partition(", ")
    memory = MEMORY[layout]
    own = {n: t.clone(memory_format=memory if t.ndim == 4 else torch.contiguous_format) for n, t in tensors.items()}
    params = [t.requires_grad_() for n, t in own.items() if not n.endswith((".running_mean", ".running_var"))]
    optimiser = torch.optim.Adam(params, lr=RATE, weight_decay=DECAY, foreach=adam == "foreach Adam")
    net = Network(arch, own, training=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        e, _, _ = net.forward(pixels)
        e.backward(seed)
        optimiser.step()
        return e.detach()

    return step


def main():
    folder, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    torch.set_flush_denormal(True)  # before its threads start: subnormal numbers, which libdsl flushes too, would slow it down
    torch.set_num_threads(threads)
    network = read(folder)
    form, run, e = fastest((name, form_of(name, *network)) for name in sys.argv[3:])
    e.numpy().tofile(folder / "torch.f32")
    serve(run, form=form, version=torch.__version__)


main()
