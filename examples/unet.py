"""A small U-Net (Ronneberger, Fischer and Brox 2015) that learns to outline findings from images and masks, on the CPU in minutes. Needs PyTorch.

Images [N, S, S, 3] and masks [N, S, S] are uint8, masks 0 or 1. The same seed gives the same network on the same machine and number of threads.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128)  # channels of each level, each of half the last one's size
BATCH = 16
LEARNING_RATE = 2e-3


def block(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images [N, 3, S, S] to the logits of a mask [N, S, S]; S is a multiple of 8."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(block(i, o) for i, o in zip((3, *WIDTHS), WIDTHS))
        self.up = nn.ModuleList(block(deep + flat, flat) for deep, flat in zip(WIDTHS[:0:-1], WIDTHS[-2::-1]))
        self.last = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, x):
        levels = []
        for layer in self.down:
            x = layer(functional.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for layer, flat in zip(self.up, levels[-2::-1]):
            x = layer(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), flat], dim=1))
        return self.last(x)[:, 0]


def loss_of(logits, masks):
    """Cross-entropy plus 1 - Dice of the whole batch: the first for every pixel, the second so that small findings count."""
    p = torch.sigmoid(logits)
    dice = (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, masks) + 1 - dice


def tensor_of(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def train(images, masks, steps, seed=0):
    """A network trained with Adam and a cosine schedule on random flips."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = UNet()
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = rng.integers(0, len(images), min(BATCH, len(images)))
        x, y = tensor_of(images[chosen]), torch.from_numpy(masks[chosen]).float()
        axes = [axis for axis in (1, 2) if rng.random() < 0.5]  # of a mask; an image has one more before them
        x, y = torch.flip(x, [axis + 1 for axis in axes]), torch.flip(y, axes)
        optimiser.zero_grad()
        loss_of(net(x), y).backward()
        optimiser.step()
        schedule.step()
    return net


@torch.no_grad()
def predict(net, images, batch=32):
    """Probabilities [N, S, S] float32."""
    parts = [torch.sigmoid(net(tensor_of(images[i : i + batch]))).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.empty(images.shape[:3], np.float32)
