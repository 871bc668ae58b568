"""A ResNet's weights on their whole way from PyTorch into a model: saved as .pth, converted, taken as the start of a training that changes
nothing, served.

What is compared is the penultimate vector, which a classification network embeds with: without attention it is the mean of the backbone's
features. A learning rate of 1e-30 leaves every float32 weight as it is.
"""

import pathlib
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (Debian: python3-torch), nothing to hold libdsl against")
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT / "bindings" / "python")]

import dsl  # noqa: E402
from draw import draw  # noqa: E402
from network import Arch, Network  # noqa: E402

SIZE, SHORTER = 56, 64  # the evaluation transform of 64 × 64 pixels is then their centre, unresized: 64 = 56 · 8/7
BATCH = 4
BAR = 1e-4


def penultimate(arch, tensors, pixels):
    with torch.no_grad():
        v = Network(arch, tensors, training=False).features(pixels).mean((2, 3))
        return (v / v.norm(dim=1, keepdim=True)).double().numpy()


def save(path, tensors):
    """As a program does that trains on several GPUs, with what libdsl does not need."""
    state = {f"module.{name}": t.float() for name, t in tensors.items()}
    state |= {name.replace("running_var", "num_batches_tracked"): torch.tensor(9) for name in state if name.endswith("running_var")}
    state |= {"module.layer4.0.conv1.weight": torch.full((2, 2, 1, 1), float("nan")), "module.fc.bias": torch.zeros(5)}
    torch.save({"epoch": 90, "state_dict": state}, path)


def ours(tmp_path, weights, pixels):
    """The penultimate vectors [B, C] of a model that starts from weights and stays there."""
    border = (SHORTER - SIZE) // 2
    images = [np.pad(p, ((border, border), (border, border), (0, 0)), mode="reflect") for p in pixels.numpy()]
    data = dsl.Dataset.from_arrays(images * 2, [i % 2 for i in range(2 * BATCH)], splits=["train"] * BATCH + ["val"] * BATCH)
    with dsl.train(data, tmp_path / "m.dsl", init=weights, loss="classification", attention="none", input_size=SIZE, steps=1, batch_size=4, images_per_class=2,
                   learning_rate=1e-30, threads=1, device="cpu", precision="f32", progress=False) as model:  # fmt: skip
        return model.embed(images).astype(np.float64), model.info["backbone"]


def error(x, ref):
    return np.linalg.norm(x - ref) / np.linalg.norm(ref)


def mistakes(name, t):
    """What a wrong import could make of a tensor."""
    yield "channels out of order", t.roll(1, 0)
    if t.ndim == 4:
        yield "inputs out of order", t.roll(1, 1)
        if t.shape[2] > 1:
            yield "rows for columns", t.transpose(2, 3).contiguous()
    elif name.endswith("running_var"):
        yield "deviation for variance", t.sqrt()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50"])
def test_a_backbone_computes_what_it_computes_in_pytorch(backbone, tmp_path):
    arch = Arch(backbone, "frozen", SIZE, BATCH)
    tensors, pixels, _ = draw(arch, seed=3)
    tensors = {n: t for n, t in tensors.items() if not n.startswith(("attention.", "embedding."))}
    save(tmp_path / "w.pth", tensors)
    assert dsl.convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors") == len(tensors) + sum(n.endswith("running_var") for n in tensors) + 2
    got, name = ours(tmp_path, tmp_path / "w.safetensors", pixels)
    assert name == backbone and error(got, penultimate(arch, tensors, pixels)) <= BAR

    single = {n: t.float() for n, t in tensors.items()}
    unseen = [f"{n}: {what}" for n, t in single.items() for what, wrong in mistakes(n, t)
              if error(got, penultimate(arch, {**single, n: wrong}, pixels)) <= BAR]  # fmt: skip
    assert not unseen, f"the comparison would not see {unseen}"
