"""Networks that libdsl and its peers compute: one drawing for each backbone, written as tests/internal/network reads it, read back by the peers."""

import functools
import json
import pathlib
import sys
import warnings

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "parity"))

from draw import draw, images  # noqa: E402
from network import Arch, Folded, Network, fold  # noqa: E402
from parity import write_folder  # noqa: E402


@functools.cache
def drawn(backbone, mode):
    """Tensors of a network. Weights fit any size; drawing in float64 at full size would take minutes."""
    return draw(Arch(backbone, mode, 64, 2), 0)[0]


def write(folder, arch):
    """A network with a batch of images and dL/de."""
    seed = torch.randn(arch.batch, arch.embedding_dim, generator=torch.Generator().manual_seed(0))
    write_folder(folder, arch, drawn(arch.backbone, arch.mode), images(arch.batch, arch.size, 0), seed)


def read(folder):
    """Arch, float32 tensors, pixels u8 [B, H, W, 3] and dL/de [B, D] of a folder."""
    index = json.loads((folder / "index.json").read_text())
    arch = Arch(index["backbone"], index["mode"], index["height"], index["batch"], index["embedding_dim"], index["stem"])
    tensors = {}
    for name, shape in index["tensors"].items():
        x = torch.from_numpy(np.fromfile(folder / f"{name}.f32", "<f4").reshape(shape))
        tensors[name] = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x
    pixels = torch.from_numpy(np.fromfile(folder / "pixels.u8", np.uint8).reshape(arch.batch, arch.size, arch.size, 3))
    seed = torch.from_numpy(np.fromfile(folder / "seed.f32", "<f4").reshape(arch.batch, arch.embedding_dim))
    return arch, tensors, pixels, seed


def normalised(arch, tensors, pixels):
    """[B, 3, H, W] float32: what inference of the peers starts from. libdsl's starts from the pixels."""
    return Network(arch, tensors, training=False).normalise(pixels).permute(0, 3, 1, 2).contiguous()


class Ready:
    """Takes images that are normalised already."""

    def normalise(self, pixels):
        return pixels.permute(0, 2, 3, 1)


class ReadyNetwork(Ready, Network):
    pass


class ReadyFolded(Ready, Folded):
    pass


class Module(torch.nn.Module):
    """A network for inference as TorchScript and the ONNX exporter want it: its tensors as buffers in one memory format."""

    def __init__(self, arch, tensors, folded=False, memory=torch.contiguous_format):
        super().__init__()
        source = fold(tensors) if folded else tensors
        own = {n: t.clone(memory_format=memory if t.ndim == 4 else torch.contiguous_format) for n, t in source.items()}
        self.net = (ReadyFolded if folded else ReadyNetwork)(arch, own, training=False)
        for n, t in own.items():
            self.register_buffer(n.replace(".", "_"), t)

    def forward(self, x):
        return self.net.forward(x)[0]


def export_onnx(folder):
    """Writes the folder's network as model.onnx, input x [B, 3, H, W] normalised, output e [B, D], with the batch free; and input.f32."""
    arch, tensors, pixels, _ = read(folder)
    x = normalised(arch, tensors, pixels)
    x.numpy().tofile(folder / "input.f32")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant shapes, which is what they are
        torch.onnx.export(Module(arch, tensors, folded=True).eval(), x[:1], str(folder / "model.onnx"), input_names=["x"], output_names=["e"],
                          dynamic_axes={"x": {0: "n"}, "e": {0: "n"}}, opset_version=13)
