"""Weights from elsewhere: a ResNet's state dict as .safetensors, and models whose head is left out."""

import hashlib
import json
import struct

import numpy as np
import pytest

import dsl
from conftest import TINY
from test_training import code_of

PAPER = {**TINY, "profile": "paper", "learners": 1, "steps": 2}


def resnet18(rng):
    """A state dict with torchvision's names and shapes, of a network that computes something finite."""
    state = {}

    def conv_norm(conv, norm, k, c, r):
        state[f"{conv}.weight"] = rng.normal(0, (2 / (k * r * r)) ** 0.5, (k, c, r, r))
        for name, low, high in (("weight", 0.5, 1.5), ("bias", -0.1, 0.1), ("running_mean", -0.1, 0.1), ("running_var", 0.5, 1.5)):
            state[f"{norm}.{name}"] = rng.uniform(low, high, k)
        state[f"{norm}.num_batches_tracked"] = np.int64(3)

    conv_norm("conv1", "bn1", 64, 3, 7)
    c = 64
    for layer, k in ((1, 64), (2, 128), (3, 256), (4, 512)):
        for block in (0, 1):
            at = f"layer{layer}.{block}"
            conv_norm(f"{at}.conv1", f"{at}.bn1", k, c, 3)
            conv_norm(f"{at}.conv2", f"{at}.bn2", k, k, 3)
            if c != k:
                conv_norm(f"{at}.downsample.0", f"{at}.downsample.1", k, c, 1)
            c = k
    state["fc.weight"] = np.zeros((10, 512))
    return {name: x if x.dtype == np.int64 else x.astype(np.float32) for name, x in state.items()}


def write_safetensors(path, state):
    header, data = {}, b""
    for name, x in state.items():
        raw = x.tobytes()
        header[name] = {"dtype": {"<f4": "F32", "<i8": "I64"}[x.dtype.str], "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture(scope="module")
def state():
    return resnet18(np.random.default_rng(4))


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "a patient's weights.pt"  # the content tells what it is
    write_safetensors(path, state)
    return path


def test_the_paper_s_profile_starts_from_a_resnet(dataset, weights, tmp_path):
    with dsl.train(dataset, tmp_path / "m.dsl", init=weights, progress=False, **PAPER) as model:
        info = model.info
    assert info["backbone"] == "resnet18" and info["stem"] == TINY["stem"] and info["attention"] == "gate"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in info["card"]["notes"] and "patient" not in json.dumps(info)


def test_the_card_of_a_training_from_scratch_names_no_weights(model):
    assert model.info["card"]["notes"] == ""


def test_the_embedding_and_the_attention_are_drawn_by_the_seed(dataset, weights, images, tmp_path):
    def embed(name, seed):
        with dsl.train(dataset, tmp_path / name, init=weights, seed=seed, progress=False, **PAPER) as model:
            return model.embed(images[:4]), model.heatmap(images[:1])[0]

    first, again, other = (embed(n, s) for n, s in (("a.dsl", 1), ("b.dsl", 1), ("c.dsl", 2)))
    for a, b, c in zip(first, again, other):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 1e-3


@pytest.mark.parametrize(
    "change, options, code, text",
    [
        (lambda s: s, dict(backbone="resnet50"), dsl.Status.INVALID, 'got those of backbone "resnet18", want "resnet50"'),
        (lambda s: {n: x for n, x in s.items() if n != "layer3.1.bn2.bias"}, {}, dsl.Status.INVALID, '"layer3.1.bn2.bias" is missing: got 74 of the 75'),
        (lambda s: {**s, "conv1.weight": np.zeros((64, 1, 7, 7), np.float32)}, {}, dsl.Status.INVALID, r"got shape \[64 1 7 7\], want \[64 3 7 7\]"),
        (lambda s: {**s, "conv1.0.weight": s["conv1.weight"]}, {}, dsl.Status.UNSUPPORTED, "deep stem"),
        (lambda s: {**s, "bn1.running_var": -s["bn1.running_var"]}, {}, dsl.Status.CORRUPT, "bn1.running_var"),
        (lambda s: {}, {}, dsl.Status.INVALID, "got 0 tensors"),
    ],
)
def test_weights_that_do_not_fit_stop_before_anything_is_written(dataset, state, tmp_path, change, options, code, text):
    write_safetensors(tmp_path / "w.safetensors", change(dict(state)))
    with pytest.raises(dsl.Error, match=text) as caught:
        dsl.train(dataset, tmp_path / "m.dsl", init=tmp_path / "w.safetensors", progress=False, **{**PAPER, **options})
    assert caught.value.code == code and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_file_of_pytorch_is_told_from_weights(dataset, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    assert code_of(lambda: dsl.train(dataset, tmp_path / "m.dsl", init=tmp_path / "w.pth", progress=False, **PAPER)) == dsl.Status.CORRUPT
