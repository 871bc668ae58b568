#!/usr/bin/env python3
"""Writes pillow_*.png, the goldens of TestPillowParity: what Pillow's bilinear resize makes of a drawn picture.

Run in this folder: /usr/bin/python3 pillow_golden.py (python3-pil 9.4.0 made the committed files).
"""
import numpy as np
from PIL import Image


def picture(width, height):
    """The same integers as goldenPicture in resize_test.go: stripes, a ramp and an edge."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    v = x * 7 + y * 13 + c * 29 + (x * y) % 31 * 5
    v = np.where((x // 9 + y // 7) % 3 == 0, 255 - v % 200, v % 256)
    return Image.fromarray(v.astype(np.uint8), "RGB")


def shorter(img, short):
    w, h = img.size
    size = (short, short * h // w) if w <= h else (short * w // h, short)
    return img.resize(size, Image.BILINEAR)


def evaluate(img, size):
    img = shorter(img, round(size * 256 / 224))
    x, y = (round((n - size) / 2) for n in img.size)
    return img.crop((x, y, x + size, y + size))


def part(img, box, size, mirror_x, mirror_y):
    img = img.crop(box).resize((size, size), Image.BILINEAR)
    if mirror_x:
        img = img.transpose(Image.FLIP_LEFT_RIGHT)
    if mirror_y:
        img = img.transpose(Image.FLIP_TOP_BOTTOM)
    return img


evaluate(picture(200, 150), 64).save("pillow_evaluate_shrink.png")
evaluate(picture(23, 31), 48).save("pillow_evaluate_enlarge.png")
evaluate(picture(61, 60), 32).save("pillow_evaluate_odd.png")
part(picture(200, 150), (20, 30, 131, 115), 64, False, False).save("pillow_part.png")
part(picture(200, 150), (20, 30, 131, 115), 64, True, True).save("pillow_part_mirrored.png")
part(picture(200, 150), (190, 0, 200, 150), 40, True, False).save("pillow_part_thin.png")
shorter(picture(173, 90), 40).save("pillow_shorter.png")
