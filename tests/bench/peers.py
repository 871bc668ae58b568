"""What users would take instead of libdsl, as far as it is installed: run.sh installs it, but for quick runs."""

import importlib.util
import shutil

from contest import Missing

PACKAGES = {"faiss": "python3-faiss", "cv2": "python3-opencv", "sklearn": "python3-sklearn", "PIL": "python3-pil", "onnx": "python3-onnx"}


def module(name):
    """Makes sure that Python has a module."""
    if importlib.util.find_spec(name) is None:
        raise Missing(f"{PACKAGES[name]} is not installed")


def node():
    path = shutil.which("node")
    if path is None:
        raise Missing("node is not installed")
    return path


def onnxruntime(settings):
    """The folder with onnxruntime-node."""
    folder = settings.cache / "onnxruntime" / "node_modules"
    if not (folder / "onnxruntime-node").is_dir():
        raise Missing("onnxruntime-node is not installed")
    return folder
