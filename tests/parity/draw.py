"""Draws seeded networks on which a comparison of gradients means something.

ReLU and max-pool have no derivative at their kinks: where an activation lies within rounding of one, float32 may take the other side than
float64, and one such element of 500,000 changes a gradient by 1e-3, a thousand times the rounding error. So the weights are drawn while a float64
forward pass runs: each channel's shift moves until no pre-activation lies within MARGIN standard deviations of 0, and a channel of conv1 is
drawn anew while a max-pool window has two largest values closer than POOL_MARGIN. All values are float32 numbers.

After the first Adam step kinks are where they are. Convolutions before a BatchNorm, which undoes their scale, are SCALE times He's, so that a step of
1e-3 moves the network SCALE times less than it would: unscaled, three steps carry activations over standard deviations. The γ at the end of each
residual branch is BRANCH times the others', as trained networks have it: with full branches ResNet-50 multiplies a rounding error by 50.
"""

import numpy as np
import torch
import torch.nn.functional as F

from network import EPS, Network

MARGIN = 2e-4  # of a channel's standard deviation; float32 errs by 1e-6 to 1e-5 of it
POOL_MARGIN = 1e-5
SCALE = 32
BRANCH = 0.2


def f32(x):
    """Rounds to float32 and back."""
    return x.to(torch.float32).to(torch.float64)


class Draw(Network):
    """A forward pass that makes its tensors when it meets them."""

    def __init__(self, arch, seed):
        super().__init__(arch, {}, training=True)
        self.g = torch.Generator().manual_seed(seed)
        self.t["conv1.weight"] = torch.zeros(1, dtype=torch.float64)  # tells features() the type

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.g, dtype=torch.float64)

    def uniform(self, n, low, high):
        return low + (high - low) * torch.rand(n, generator=self.g, dtype=torch.float64)

    def conv_norm(self, x, conv, norm, k, r, stride):
        self.t[conv + ".weight"] = f32(self.normal(k, x.shape[1], r, r) * SCALE * (2 / (k * r * r)) ** 0.5)
        sign = torch.where(self.uniform(k, 0, 1) < 0.2, -1.0, 1.0)
        last = norm.endswith("bn3" if self.arch.backbone == "resnet50" else "bn2")
        self.t[norm + ".weight"] = f32(sign * self.uniform(k, 0.5, 1.5) * (BRANCH if last else 1))
        self.t[norm + ".bias"] = f32(0.2 * self.normal(k))
        y = F.conv2d(x, self.t[conv + ".weight"], stride=stride, padding=r // 2)
        mean, std = y.mean((0, 2, 3)), y.std((0, 2, 3))
        self.t[norm + ".running_mean"] = f32(mean + 0.3 * std * self.normal(k))
        self.t[norm + ".running_var"] = f32(std**2 * torch.exp(0.3 * self.normal(k)))
        return self.norm(y, norm)

    def norm(self, y, norm):
        """BatchNorm that leaves the running statistics alone."""
        t = self.t
        if self.batch_statistics:
            return F.batch_norm(y, None, None, t[norm + ".weight"], t[norm + ".bias"], True, 0, EPS)
        return F.batch_norm(y, t[norm + ".running_mean"], t[norm + ".running_var"], t[norm + ".weight"], t[norm + ".bias"], False, 0, EPS)

    def conv(self, x, name, k):
        self.t[name + ".bias"] = f32(0.2 * self.normal(k))
        w = self.normal(k, x.shape[1], 3, 3)
        self.t[name + ".weight"] = f32(w / F.conv2d(x, w, padding=1).std())
        return super().conv(x, name, k)

    def relu(self, x, shift):
        """Moves each channel by the smallest amount that frees the surroundings of 0."""
        b = self.t[shift]
        before, moved = b.clone(), b.clone()
        for c in range(x.shape[1]):
            moved[c] += free(x[:, c].reshape(-1))
        self.t[shift] = f32(moved)
        return F.relu(x + (self.t[shift] - before).view(1, -1, 1, 1))

    def stem(self, x):
        y = super().stem(x)
        for _ in range(50):
            y, tied = self.pooled(x)
            if not len(tied):
                return y
            for c in tied:
                self.t["conv1.weight"][c] = f32(self.normal(*self.t["conv1.weight"][c].shape) * SCALE * (2 / (64 * 49)) ** 0.5)
        raise RuntimeError(f"draw: {len(tied)} channels of conv1 still have ties in their max-pool windows; try another seed")

    def pooled(self, x):
        """The stem's output with the weights at hand, and the channels with ties in max-pool windows."""
        z = self.norm(F.conv2d(x, self.t["conv1.weight"], stride=2, padding=3), "bn1")
        y = self.relu(z, "bn1.bias")
        b, c, h, w = y.shape
        windows = F.unfold(F.pad(y, (1, 1, 1, 1)).reshape(b * c, 1, h + 2, w + 2), 3, stride=2)
        top = windows.topk(2, dim=1).values
        near = (top[:, 0] > 0) & (top[:, 0] - top[:, 1] < POOL_MARGIN)
        return F.max_pool2d(y, 3, 2, 1), near.reshape(b, c, -1).any(2).any(0).nonzero().flatten().tolist()

    def linear(self, v):
        d, c = self.arch.embedding_dim, v.shape[1]
        self.t["embedding.weight"] = f32(self.normal(d, c) * (2 / (c + d)) ** 0.5)
        self.t["embedding.bias"] = f32(self.uniform(d, -1, 1) / c**0.5)
        return super().linear(v)


def free(x):
    """The smallest shift after which no value lies within MARGIN standard deviations of 0."""
    v, margin = np.sort(x.numpy()), MARGIN * float(x.std())
    lows, highs = np.append(-np.inf, v), np.append(v, np.inf)
    wide = highs - lows >= 2.2 * margin  # 2.2 leaves room for rounding the shift
    at = np.clip(0, lows[wide] + 1.1 * margin, highs[wide] - 1.1 * margin)
    return -at[np.argmin(np.abs(at))]


def images(batch, size, seed):
    """Smooth coloured fields with noise on top, u8 [B, H, W, 3]; few values are cut at 0 or 255."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 5, generator=g)
    field = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise = torch.randn(batch, 3, size, size, generator=g)
    return (255 * (0.25 + 0.5 * field) + 12 * noise).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def draw(arch, seed):
    """Tensors (float64 holding float32 numbers), pixels u8 [B, H, W, 3], and dL/de [B, D]."""
    pixels = images(arch.batch, arch.size, seed)
    d = Draw(arch, seed)
    with torch.no_grad():
        e, _, _ = d.forward(pixels)
    return d.t, pixels, f32(d.normal(*e.shape))
