"""PyTorch's forms of the benchmark's tasks: channels last, in bfloat16 by autocast or, for inference, with BatchNorm folded into bfloat16 weights.

A task goes from a batch of bytes in pinned host memory to the embedding in host memory; a training step also takes dL/de from pinned memory, as the
loss is computed on the host, and ends with Adam. On the CPU, beside the emulated GPU, everything is the same but for the pinned memory.
"""

import sys

import torch

import machine

sys.path.insert(0, str(machine.ROOT / "tests" / "parity"))

from network import MEAN, STD, Folded, Network, fold, is_running  # noqa: E402

MODES = {"eager": None, "compile": "default", "graphs": "reduce-overhead", "max-autotune": "max-autotune"}
RATE, DECAY = 1e-6, 1e-4  # those of package network
torch.backends.cudnn.benchmark = True  # it tries cuDNN's kernels, as libdsl does


def on_device(base):
    """A network with the normalisation's constants where they are needed."""

    class OnDevice(base):
        def __init__(self, arch, tensors, training, where):
            super().__init__(arch, tensors, training)
            self.mean, self.std = (torch.tensor(v, device=where) for v in (MEAN, STD))

        def normalise(self, pixels):
            return (pixels.float() / 255 - self.mean) / self.std

    return OnDevice


Plain, WithoutNorm = on_device(Network), on_device(Folded)


class InBFloat16(WithoutNorm):
    """Folded weights in bfloat16, without autocast."""

    def normalise(self, pixels):
        return super().normalise(pixels).bfloat16()


class Module(torch.nn.Module):
    """A network as torch.compile likes it best: its tensors are parameters, which stay where they are."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        for n, t in net.t.items():
            self.register_buffer(n.replace(".", "_"), t) if is_running(n) else self.register_parameter(n.replace(".", "_"), t)

    def forward(self, pixels):
        return self.net.forward(pixels)[0]


def place(tensors, where, dtype=torch.float32, trained=False):
    """Parameters and statistics on the device, channels last."""
    out = {}
    for n, t in tensors.items():
        x = t.to(where, torch.float32 if is_running(n) else dtype)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        out[n] = x if is_running(n) else torch.nn.Parameter(x, requires_grad=trained)
    return out


def compiled(module, form):
    if MODES[form] is None:
        return module
    import torch._dynamo

    for t in [*module.parameters(), *module.buffers()]:
        torch._dynamo.mark_static_address(t)
    return torch.compile(module, mode=MODES[form], dynamic=False)


class Host:
    """What both sides share: the batch in host memory."""

    def __init__(self, pixels, where):
        self.where = where
        self.pixels = self.pin(pixels)

    def pin(self, x):
        return x.pin_memory() if self.where == "cuda" else x

    def upload(self):
        return self.pixels.to(self.where, non_blocking=True)

    def wait(self):
        if self.where == "cuda":
            torch.cuda.synchronize()


def inference(form, arch, tensors, pixels, where):
    """Functions by name, each returning the embedding on the host; eager has two, of which the faster counts."""
    host = Host(pixels, where)
    out = host.pin(torch.empty(arch.batch, arch.embedding_dim))

    def runner(run):
        def once():
            with torch.no_grad():
                out.copy_(run(host.upload()), non_blocking=True)
            host.wait()
            return out

        return once

    folded = compiled(Module(InBFloat16(arch, place(fold(tensors), where, torch.bfloat16), False, where)).eval(), form)
    found = {f"{form}, bfloat16 weights, BatchNorm folded": runner(folded)}
    if form == "eager":
        plain = Module(Plain(arch, place(tensors, where), False, where)).eval()

        def autocast(x):
            with torch.autocast(where, torch.bfloat16):
                return plain(x)

        found["eager, autocast"] = runner(autocast)
    return found


def training(form, arch, tensors, pixels, seed, where):
    """The function of a step, which returns the embedding on the host."""
    host = Host(pixels, where)
    out, de = host.pin(torch.empty(arch.batch, arch.embedding_dim)), host.pin(seed.float())
    module = Module(Plain(arch, place(tensors, where, trained=True), True, where)).train()
    fast = {"fused": True} if where == "cuda" else {}
    adam = torch.optim.Adam(module.parameters(), lr=RATE, weight_decay=DECAY, **fast)
    run = compiled(module, form)

    def once():
        with torch.autocast(where, torch.bfloat16):
            e = run(host.upload()).float()
        out.copy_(e.detach(), non_blocking=True)
        host.wait()  # the loss needs it
        e.backward(de.to(where, non_blocking=True))
        adam.step()
        adam.zero_grad(set_to_none=True)
        return out

    return {f"{form}, autocast, {'fused ' * bool(fast)}Adam": once}
