"""How much a network computes and moves at least, by formula, and how long an H200 takes for that at its peak.

FLOPs are those of convolutions and matrix products, two for each multiplication with its addition; a training step has three products for each
layer (forward, gradient of the input, gradient of the weights), the first layer two. Bytes are in bfloat16: each product reads its two operands and
writes its result once, and all between layers is fused; the update reads and writes float32 parameters, gradients and Adam's moments once.
"""

import dataclasses
import sys

import machine

sys.path.insert(0, str(machine.ROOT / "tests" / "parity"))

PEAK_FLOPS, PEAK_BYTES = 989e12, 4.8e12  # per second: bfloat16 without sparsity and memory, by NVIDIA's data sheet of the H200 SXM
ADAM_BYTES = 28  # per parameter: reads of w, dw, m, v and writes of w, m, v


@dataclasses.dataclass
class Layer:
    inputs: int  # elements
    outputs: int
    weights: int
    flops: int  # of one product
    first: bool

    def products(self, training):
        """(FLOPs, bytes) of each product."""
        forward = (self.flops, 2 * (self.inputs + self.outputs + self.weights))
        of_input = (self.flops, 2 * (self.outputs + self.weights + self.inputs))
        of_weights = (self.flops, 2 * (self.inputs + self.outputs) + 4 * self.weights)
        return [forward] + [of_weights] * training + [of_input] * (training and not self.first)


def layers(arch):
    """The layers with weights, found by a forward pass over shapes alone."""
    import torch
    from network import Network

    found = []

    class Shapes(Network):
        def normalise(self, pixels):
            return torch.empty(pixels.shape, device="meta")

        def layer(self, x, k, r, stride):
            b, c, h, w = x.shape
            y = torch.empty(b, k, (h - 1) // stride + 1, (w - 1) // stride + 1, device="meta")
            weights = k * c * r * r
            found.append(Layer(x.numel(), y.numel(), weights, 2 * weights * y.numel() // k, not found))
            return y

        def conv_norm(self, x, conv, norm, k, r, stride):
            return self.layer(x, k, r, stride)

        def conv(self, x, name, k):
            return self.layer(x, k, 3, 1)

        def linear(self, v):
            return self.layer(v[:, :, None, None], self.arch.embedding_dim, 1, 1)

    Shapes(arch, {}, training=False).forward(torch.empty(arch.batch, arch.size, arch.size, 3, device="meta"))
    return found


@dataclasses.dataclass
class Work:
    flops: float
    bytes: float
    least_s: float  # each product at the peak that bounds it, one after the other

    @classmethod
    def of(cls, arch, training):
        all_layers = layers(arch)
        products = [p for layer in all_layers for p in layer.products(training)]
        update = ADAM_BYTES * sum(layer.weights for layer in all_layers) * training
        least = sum(max(f / PEAK_FLOPS, b / PEAK_BYTES) for f, b in products) + update / PEAK_BYTES
        return cls(sum(f for f, _ in products), sum(b for _, b in products) + update, least)
