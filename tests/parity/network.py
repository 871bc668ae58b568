"""The network of libdsl in PyTorch, written from its description alone: the reference that parity and benchmarks hold libdsl against.

ResNet-18 or -50 (He et al. 2016) cut after its third stage, the attention gate, global average pooling, a linear layer. Tensors have
torchvision's names. Weights are kept as torch wants them, [K, C, R, S]; libdsl's order is [K, R, S, C] (to_libdsl, from_libdsl).
"""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F

MEAN, STD, EPS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1e-5
BLOCKS = {"resnet18": (2, 2, 2), "resnet34": (3, 4, 6), "resnet50": (3, 4, 6)}


@dataclasses.dataclass(frozen=True)
class Arch:
    """What is computed: architecture, BatchNorm mode (frozen, batch), input shape."""

    backbone: str = "resnet18"
    mode: str = "frozen"
    size: int = 64
    batch: int = 8
    embedding_dim: int = 128
    stem: str = "standard"

    @property
    def channels(self):
        return 1024 if self.backbone == "resnet50" else 256


class Network:
    """The forward pass over a dict of tensors. Layers are methods, so that draw.py can choose weights as the pass goes."""

    def __init__(self, arch, tensors, training):
        self.arch, self.t = arch, tensors
        self.batch_statistics = training and arch.mode == "batch"

    def conv_norm(self, x, conv, norm, k, r, stride):
        """Convolution without bias, r×r to k channels, and BatchNorm; batch statistics update the running ones in place."""
        y = F.conv2d(x, self.t[conv + ".weight"], stride=stride, padding=r // 2)
        return F.batch_norm(y, self.t[norm + ".running_mean"], self.t[norm + ".running_var"], self.t[norm + ".weight"],
                            self.t[norm + ".bias"], self.batch_statistics, 0.1, EPS)

    def conv(self, x, name, k):
        return F.conv2d(x, self.t[name + ".weight"], self.t[name + ".bias"], padding=1)

    def relu(self, x, shift):
        """ReLU; shift names the parameter that moves x up and down, which only draw.py uses."""
        return F.relu(x)

    def max_pool(self, x):
        return F.max_pool2d(x, 3, 2, 1)

    def stem(self, x):
        x = self.relu(self.conv_norm(x, "conv1", "bn1", 64, 7, 2), "bn1.bias")
        return self.max_pool(x) if self.arch.stem == "standard" else x

    def block(self, x, at, width, stride):
        bottleneck = self.arch.backbone == "resnet50"
        out = 4 * width if bottleneck else width
        kernels = ((width, 1, 1), (width, 3, stride), (out, 1, 1)) if bottleneck else ((width, 3, stride), (out, 3, 1))
        y = x
        for i, (k, r, s) in enumerate(kernels, 1):
            y = self.conv_norm(y, f"{at}.conv{i}", f"{at}.bn{i}", k, r, s)
            if i < len(kernels):
                y = self.relu(y, f"{at}.bn{i}.bias")
        if stride != 1 or x.shape[1] != out:
            x = self.conv_norm(x, at + ".downsample.0", at + ".downsample.1", out, 1, stride)
        return self.relu(y + x, f"{at}.bn{len(kernels)}.bias")

    def normalise(self, pixels):
        like = self.t["conv1.weight"]
        mean, std = (torch.tensor(v, dtype=like.dtype, device=like.device) for v in (MEAN, STD))
        return (pixels.to(like.dtype) / 255 - mean) / std

    def features(self, pixels):
        """F [B, C, H', W'] of u8 pixels [B, H, W, 3]."""
        x = self.stem(self.normalise(pixels).permute(0, 3, 1, 2))
        for stage, blocks in enumerate(BLOCKS[self.arch.backbone]):
            for i in range(blocks):
                x = self.block(x, f"layer{stage + 1}.{i}", 64 << stage, 2 if i == 0 and stage > 0 else 1)
        return x

    def forward(self, pixels):
        """e [B, D], attention map [B, 1, H', W'], penultimate v [B, C]; dropout off."""
        f, c = self.features(pixels), self.arch.channels
        h = self.relu(self.conv(f, "attention.0", c // 8), "attention.0.bias")
        h = self.relu(self.conv(h, "attention.2", c // 32), "attention.2.bias")
        a = torch.sigmoid(self.conv(h, "attention.4", 1))
        v = (f * a).mean((2, 3))
        return self.linear(v), a, v

    def linear(self, v):
        return F.linear(v, self.t["embedding.weight"], self.t["embedding.bias"])


class Folded(Network):
    """The network with BatchNorm folded into the convolutions."""

    def conv_norm(self, x, conv, norm, k, r, stride):
        return F.conv2d(x, self.t[conv + ".weight"], self.t[norm + ".bias"], stride, r // 2)


def fold(tensors):
    """The tensors of Folded."""
    out = dict(tensors)
    for name in tensors:
        if name.endswith(".running_var"):
            norm = name.removesuffix(".running_var")
            conv = norm.replace("downsample.1", "downsample.0").replace("bn", "conv")
            s = tensors[norm + ".weight"] / (tensors[name] + EPS).sqrt()
            out[conv + ".weight"] = tensors[conv + ".weight"] * s.view(-1, 1, 1, 1)
            out[norm + ".bias"] = tensors[norm + ".bias"] - tensors[norm + ".running_mean"] * s
    return out


def is_running(name):
    return name.endswith((".running_mean", ".running_var"))


def to_libdsl(x):
    """[K, C, R, S] -> [K, R, S, C]; everything else stays."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)


def from_libdsl(flat, like):
    """The reverse, from a flat array, shaped as the torch tensor like."""
    if like.ndim != 4:
        return flat.reshape(like.shape)
    k, c, r, s = like.shape
    return flat.reshape(k, r, s, c).transpose(0, 3, 1, 2)
