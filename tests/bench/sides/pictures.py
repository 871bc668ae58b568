"""A peer's side of decoding: pictures.py PIL|cv2 FOLDER SIZE. Reads the folder's JPEG files and resizes the part that libdsl's evaluation transform shows, antialiased. The
pixels [files, SIZE, SIZE, 3] go to PEER.u8."""

import pathlib
import sys

import numpy as np

from serve import serve

SHORTER_OF_CROP = 256 / 224  # the shorter side is resized to so many crops


def crop(width, height, size):
    """The part (left, top, right, bottom) of a picture that becomes size x size."""
    shorter = round(size * SHORTER_OF_CROP)
    w, h = (shorter, shorter * height // width) if width < height else (shorter * width // height, shorter)
    left, top = round((w - size) / 2), round((h - size) / 2)
    return left * width / w, top * height / h, (left + size) * width / w, (top + size) * height / h


def pillow(size):
    import PIL
    from PIL import Image

    def read(path):
        image = Image.open(path)
        return image.resize((size, size), Image.BILINEAR, box=crop(*image.size, size))

    return read, np.asarray, PIL.__version__


def opencv(size):
    import cv2

    cv2.setNumThreads(1)

    def read(path):
        image = cv2.imread(path)
        left, top, right, bottom = map(round, crop(image.shape[1], image.shape[0], size))
        return cv2.resize(image[top:bottom, left:right], (size, size), interpolation=cv2.INTER_AREA)

    return read, lambda image: image[:, :, ::-1], cv2.__version__


def main():
    peer, folder, size = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    read, as_rgb, version = {"PIL": pillow, "cv2": opencv}[peer](size)
    paths = [str(path) for path in sorted(folder.glob("*.jpg"))]
    np.stack([as_rgb(read(path)) for path in paths]).tofile(folder / f"{peer}.u8")
    serve(lambda: [read(path) for path in paths], version=version)


main()
