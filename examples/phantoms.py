#!/usr/bin/env python3
"""Draws phantoms: small pictures that look a little like dermoscopy, with classes, masks, splits and groups.

    python3 examples/phantoms.py FOLDER [--images 1200] [--seed 0]

They need no data set, licence or network, and show whether a training works: the class decides structure and border (pigment
network, globules, two tones, ...), while pigment, size, skin, light and hairs vary within every class. They are drawings and say
nothing about real lesions.

FOLDER gets images/*.png (128 x 96), masks/*.png (0 and 255) and manifest.csv, which is written last. A lesion is a group; every
third one has two pictures (turned, moved, lit otherwise), and its pictures are always in one split. The same seed gives the same files.
"""

import argparse
import csv
import os
import struct
import sys
import zlib

import numpy as np

# H, W picture height and width; p, q lesion coordinates in pixels, before the view's turn and zoom.
WIDTH, HEIGHT = 128, 96
CLASSES = ("homogeneous", "reticular", "globular", "two_tone", "vascular", "keratosis")
VAL_SHARE, TEST_SHARE = 0.15, 0.25
NOISE_WAVES = 10


# ---- textures: functions of lesion coordinates ---------------------------------------------------------------------


class Noise:
    """Smooth random function of the plane, about N(0, 1): a sum of plane waves of the given wavelengths in pixels."""

    def __init__(self, rng, shortest, longest):
        angle = rng.uniform(0, 2 * np.pi, NOISE_WAVES)
        frequency = 2 * np.pi / np.exp(rng.uniform(np.log(shortest), np.log(longest), NOISE_WAVES))
        self.kp = (frequency * np.cos(angle)).astype(np.float32)
        self.kq = (frequency * np.sin(angle)).astype(np.float32)
        self.phase = rng.uniform(0, 2 * np.pi, NOISE_WAVES).astype(np.float32)

    def __call__(self, p, q):
        total = np.zeros_like(p)
        for kp, kq, phase in zip(self.kp, self.kq, self.phase):
            total += np.cos(kp * p + kq * q + phase)
        return total * np.float32(np.sqrt(2 / NOISE_WAVES))


def smoothstep(x, low, high):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def dots(p, q, centres, radii):
    """Soft discs, 1 inside and 0 outside: centres [n, 2], radii [n], all in pixels."""
    out = np.zeros_like(p)
    for (cp, cq), radius in zip(centres, radii):
        distance = np.sqrt((p - cp) ** 2 + (q - cq) ** 2)
        np.maximum(out, smoothstep(-distance, -radius - 0.7, -radius + 0.7), out=out)
    return out


def scatter(rng, number, reach):
    """Points spread evenly over a disc: [number, 2]."""
    radius = reach * np.sqrt(rng.uniform(0, 1, number))
    angle = rng.uniform(0, 2 * np.pi, number)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)


# ---- one lesion ----------------------------------------------------------------------------------------------------


def mix(a, b, share):
    """Colour a [3] or [H, W, 3] where share is 0, b where it is 1; share [H, W]."""
    share = share[..., None]
    return a * (1 - share) + b * share


def colour(rng, light, dark):
    """A colour between two, a little off in hue."""
    share = rng.uniform(0, 1)
    return (np.asarray(light) * (1 - share) + np.asarray(dark) * share + rng.normal(0, 0.015, 3)).astype(np.float32)


class Lesion:
    """What all pictures of one lesion share: outline, pigment and structure."""

    def __init__(self, rng, label):
        self.kind = CLASSES[label]
        ragged = {"two_tone": 0.17, "keratosis": 0.10}.get(self.kind, 0.07)
        self.radius = rng.uniform(19, 33)
        self.aspect = rng.uniform(0.75, 1.0)
        order = np.arange(2, 8)
        self.waves = list(zip(order, ragged * rng.normal(0, 1, order.size) / order**0.7, rng.uniform(0, 2 * np.pi, order.size)))
        self.softness = {"keratosis": 1.2, "vascular": 2.0}.get(self.kind, 3.2) * rng.uniform(0.8, 1.3)
        self.skin = colour(rng, [0.92, 0.76, 0.67], [0.75, 0.56, 0.45])
        # The same pigments for every class but the vascular one, so that mean colour alone tells little.
        self.pigment = colour(rng, [0.70, 0.49, 0.36], [0.46, 0.28, 0.19])
        if self.kind == "vascular":
            self.pigment = colour(rng, [0.76, 0.42, 0.38], [0.56, 0.24, 0.22])
        self.dark = self.pigment * np.float32(rng.uniform(0.45, 0.75))
        self.coarse, self.fine = Noise(rng, 25, 70), Noise(rng, 4, 10)
        self.spacing = rng.uniform(5.5, 8.0)
        self.axis = rng.uniform(0, 2 * np.pi)
        self.points = scatter(rng, int(rng.integers(26, 48)), self.radius * 0.9)
        self.sizes = rng.uniform(1.2, 2.7, len(self.points))

    def alpha(self, p, q):
        """How much lesion there is at a place, in [0, 1]; the outline is at 0.5."""
        r, theta = np.hypot(p, q / self.aspect), np.arctan2(q / self.aspect, p)
        edge = self.radius * (1 + sum(a * np.cos(k * theta + phase) for k, a, phase in self.waves))
        return 1 / (1 + np.exp(np.clip((r - edge) / self.softness, -30, 30)))

    def paint(self, p, q):
        """The lesion's own colour at every place, [H, W, 3]."""
        shade = 1 + 0.05 * self.coarse(p, q)[..., None]
        return getattr(self, "_" + self.kind)(p, q) * shade

    def _homogeneous(self, p, q):
        return mix(self.pigment, self.dark, smoothstep(self.coarse(p, q), -1.5, 3.5))

    def _reticular(self, p, q):
        warp = self.fine(p, q) * 0.5
        k = 2 * np.pi / self.spacing
        angles = self.axis + np.array([0, 2, 4]) * np.pi / 3
        holes = sum(np.cos(k * (p * np.cos(a) + q * np.sin(a)) + warp) for a in angles)
        return mix(self.dark, self.pigment * 1.08, smoothstep(holes, -1.1, 0.5))

    def _globular(self, p, q):
        return mix(self.pigment * 1.05, self.dark, 0.95 * dots(p, q, self.points, self.sizes))

    def _two_tone(self, p, q):
        side = (p * np.cos(self.axis) + q * np.sin(self.axis)) / self.radius + 0.25 * self.coarse(p, q)
        veil = np.array([0.42, 0.44, 0.52], np.float32) * self.pigment.mean() / 0.42
        return mix(mix(self.pigment, self.dark, smoothstep(side, -0.2, 0.2)), veil, 0.8 * smoothstep(self.coarse(q, p), 0.7, 1.3))

    def _vascular(self, p, q):
        lacunae = dots(p, q, self.points[:14], self.sizes[:14] * 2.2)
        return mix(self.pigment, self.dark * np.array([1.1, 0.8, 1.1], np.float32), 0.85 * lacunae)

    def _keratosis(self, p, q):
        ridges = np.sin(2 * np.pi * (p * np.cos(self.axis) + q * np.sin(self.axis)) / (1.2 * self.spacing) + 1.6 * self.coarse(p, q))
        body = mix(self.pigment, self.dark, 0.55 * smoothstep(ridges, -0.2, 1.0))
        half = len(self.points) // 3
        body = mix(body, np.array([0.93, 0.87, 0.74], np.float32), 0.85 * dots(p, q, self.points[:half], self.sizes[:half] * 0.8))
        return mix(body, self.dark * 0.6, 0.8 * dots(p, q, self.points[half : half + 5], self.sizes[half : half + 5]))


# ---- one picture of it ---------------------------------------------------------------------------------------------


def add_hairs(rng, picture, x, y):
    """Draws 0 to 6 thin dark arcs over the picture, in place."""
    tone = rng.uniform(0.08, 0.30) * np.array([1.0, 0.8, 0.65], np.float32)
    for _ in range(min(rng.poisson(1.6), 6)):
        angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.006)
        x0, y0 = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
        across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
        distance = np.abs(across - bend * along**2) / np.sqrt(1 + (2 * bend * along) ** 2)
        there = np.exp(-((distance / rng.uniform(0.5, 0.9)) ** 2)) * (np.abs(along) < rng.uniform(25, 80))
        picture[:] = mix(picture, tone, 0.8 * there)


def photograph(rng, lesion):
    """One view of a lesion: picture [H, W, 3] uint8 and mask [H, W] uint8 (0, 255)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    turn, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.15)
    dx = (x - WIDTH / 2 - rng.uniform(-12, 12)) / zoom
    dy = (y - HEIGHT / 2 - rng.uniform(-7, 7)) / zoom
    p, q = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    alpha = lesion.alpha(p, q)
    skin = lesion.skin * (1 + 0.02 * Noise(rng, 8, 60)(x, y))[..., None]
    picture = mix(skin, lesion.paint(p, q), alpha)
    slope = rng.uniform(-0.11, 0.11, 2)
    light = rng.uniform(0.86, 1.08) + slope[0] * (x / WIDTH - 0.5) + slope[1] * (y / HEIGHT - 0.5)
    corner = np.hypot(x / WIDTH - 0.5, y / HEIGHT - 0.5)
    light -= rng.uniform(0, 0.6) * np.maximum(corner - 0.42, 0)
    picture = picture * light[..., None] * rng.normal(1, 0.015, 3)
    add_hairs(rng, picture, x, y)
    picture += rng.normal(0, 0.012, picture.shape)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8), np.where(alpha > 0.5, 255, 0).astype(np.uint8)


# ---- files ---------------------------------------------------------------------------------------------------------


def write_png(path, pixels):
    """Writes [H, W] or [H, W, 3] uint8 as an 8-bit PNG (PNG specification, ISO/IEC 15948), with the Sub filter."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, width, -1)
    sub = rows.copy()
    sub[:, 1:] -= rows[:, :-1]  # modulo 256, as the filter wants
    raw = np.concatenate([np.ones((height, 1), np.uint8), sub.reshape(height, -1)], axis=1).tobytes()

    def chunk(tag, body):
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[rows.shape[2]], 0, 0, 0)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b""))


def plan(images, seed):
    """Which lesion, class and split each picture has: rows (lesion, label, split). Classes are equally frequent, splits whole lesions."""
    if images < 4 * len(CLASSES):
        raise ValueError(f"phantoms: got {images} images, want at least {4 * len(CLASSES)}: 4 for each of the {len(CLASSES)} classes")
    rng = np.random.default_rng([seed, 0])
    rows, lesion = [], 0
    for label in range(len(CLASSES)):
        wanted = images // len(CLASSES) + (label < images % len(CLASSES))
        views = []
        while sum(views) < wanted:
            views.append(min(2 if len(views) % 3 == 2 else 1, wanted - sum(views)))
        val, test = (max(1, round(share * len(views))) for share in (VAL_SHARE, TEST_SHARE))
        splits = rng.permutation(["val"] * val + ["test"] * test + ["train"] * (len(views) - val - test))
        for number, split in zip(views, splits):
            rows += [(lesion, label, str(split))] * number
            lesion += 1
    return rows


def draw(folder, images=1200, seed=0):
    """Draws the whole set into folder and returns the path of its manifest. See the module's text for what is there."""
    rows = plan(images, seed)
    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    os.makedirs(os.path.join(folder, "masks"), exist_ok=True)
    manifest = os.path.join(folder, "manifest.csv")
    lines = []
    for i, (lesion, label, split) in enumerate(rows):
        if i == 0 or lesion != rows[i - 1][0]:
            drawn = Lesion(np.random.default_rng([seed, 1, lesion]), label)
        picture, mask = photograph(np.random.default_rng([seed, 2, i]), drawn)
        path, mask_path = f"images/{i:05d}.png", f"masks/{i:05d}.png"
        write_png(os.path.join(folder, path), picture)
        write_png(os.path.join(folder, mask_path), mask)
        lines.append([path, label, CLASSES[label], mask_path, split, f"lesion{lesion:05d}"])
    with open(manifest + ".part", "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["path", "label", "class_name", "mask", "split", "group"])
        writer.writerows(lines)
    os.replace(manifest + ".part", manifest)
    return manifest


def main():
    parser = argparse.ArgumentParser(description="Draws dermoscopy-like phantoms with classes, masks, splits and groups.")
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        print(draw(options.folder, options.images, options.seed))
    except (OSError, ValueError) as e:
        sys.exit(f"phantoms.py: {e}")


if __name__ == "__main__":
    main()
