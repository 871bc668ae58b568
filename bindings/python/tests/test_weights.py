"""Weights from elsewhere: a ResNet's state dict as .safetensors, and models whose head is left out."""

import hashlib
import json
import os
import struct

import numpy as np
import pytest

import dsl
from conftest import TINY
from dsl.__main__ import main
from dsl.overlay import write_png
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
    for layer, k in ((1, 64), (2, 128), (3, 256)):
        for block in (0, 1):
            at = f"layer{layer}.{block}"
            conv_norm(f"{at}.conv1", f"{at}.bn1", k, c, 3)
            conv_norm(f"{at}.conv2", f"{at}.bn2", k, k, 3)
            if c != k:
                conv_norm(f"{at}.downsample.0", f"{at}.downsample.1", k, c, 1)
            c = k
    state |= {"layer4.0.conv1.weight": np.full((2, 2, 3, 3), np.nan), "fc.weight": np.zeros((10, 512))}  # not read
    return {name: x if x.dtype == np.int64 else x.astype(np.float32) for name, x in state.items()}


def write_safetensors(path, state):
    header, at = {}, 0
    for name, x in state.items():
        header[name] = {"dtype": {"<f4": "F32", "<i8": "I64"}[x.dtype.str], "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *(x.tobytes() for x in state.values())]))


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

# ---- a network trained on one data set as the start on another ----


def write_bars(folder, classes):
    """A folder per class: pictures with a bar whose place is the class's."""
    for i in range(8 * classes):
        image = np.random.default_rng(i).integers(0, 40, (32, 40, 3)).astype(np.uint8)
        image[8:24, 2 + 9 * (i % classes) : 8 + 9 * (i % classes)] += 150
        path = folder / f"class{i % classes}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, image)
    return folder


def test_a_classification_network_is_reused_on_other_classes(tmp_path, images, capsys):
    two, four = write_bars(tmp_path / "two", 2), write_bars(tmp_path / "four", 4)
    tiny = "--input-size 32 --batch-size 8 --images-per-class 4 --threads 1".split()
    first, second = tmp_path / "first.dsl", tmp_path / "second.dsl"
    assert main(["train", str(two), "-o", str(first), "--loss", "classification", "--stem", "small", "--steps", "4", *tiny]) == 0
    # a rate of 1e-30 changes no float32 weight
    assert main(["train", str(four), "-o", str(second), "--init", str(first), "--steps", "2", "--learning-rate", "1e-30", "--embedding-dim", "16", *tiny]) == 0
    capsys.readouterr()
    with dsl.Model.load(first, threads=1) as a, dsl.Model.load(second, threads=1) as b:
        assert (a.info["head"], b.info["head"]) == ("classification", "embedding") and b.info["stem"] == "small"
        assert (len(a.info["classes"]), len(b.info["classes"])) == (2, 4) and b.embed(images[:2]).shape == (2, 16)
        np.testing.assert_array_equal(a.heatmap(images[:1])[0], b.heatmap(images[:1])[0])  # of backbone and attention
        assert hashlib.sha256(first.read_bytes()).hexdigest() in b.info["card"]["notes"]


# ---- convert_weights ----


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (Debian: python3-torch)")


def read_safetensors(path):
    """{name: (dtype, shape, bytes)} by the format's description alone."""
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + n]), raw[8 + n :]
    ends = sorted(tuple(x["data_offsets"]) for x in header.values())
    assert n % 8 == 0 and [b for b, _ in ends] == [0, *(e for _, e in ends[:-1])] and ends[-1][1] == len(data)
    return {name: (x["dtype"], x["shape"], data[slice(*x["data_offsets"])]) for name, x in header.items()}


def test_the_tensors_of_a_state_dict_are_kept_as_they_are(torch, tmp_path):
    turned = torch.arange(6.0).reshape(2, 3).t()  # not contiguous
    state = {
        "module.turned": torch.nn.Parameter(turned), "module.half": torch.tensor([1, -2], dtype=torch.float16),
        "module.brain": torch.tensor([1.0], dtype=torch.bfloat16), "plain": torch.tensor([3.5], dtype=torch.float64),
        "count": torch.tensor(7), "none": torch.zeros(0, 2), "flag": torch.tensor([True]), "epoch": 3,
    }  # fmt: skip
    for wrapped in (state, {"state_dict": state, "epoch": 3}, {"model": state}):
        torch.save(wrapped, tmp_path / "w.pth")
        assert dsl.convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors") == 7
        assert read_safetensors(tmp_path / "w.safetensors") == {
            "turned": ("F32", [3, 2], np.array([0, 3, 1, 4, 2, 5], "<f4").tobytes()),
            "half": ("F16", [2], np.array([1, -2], "<f2").tobytes()), "brain": ("BF16", [1], b"\x80\x3f"),
            "plain": ("F64", [1], np.array([3.5], "<f8").tobytes()), "count": ("I64", [], np.array(7, "<i8").tobytes()),
            "none": ("F32", [0, 2], b""), "flag": ("BOOL", [1], b"\x01"),
        }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.pth", "w.safetensors"]


@pytest.mark.parametrize(
    "make, code, text",
    [
        (lambda t: [t.zeros(1)], dsl.Status.INVALID, "got a list, want a state dict"),
        (lambda t: {"weights": {"a": t.zeros(1)}}, dsl.Status.INVALID, "got no tensors, only weights"),
        (lambda t: {}, dsl.Status.INVALID, "an empty dict"),
        (lambda t: {"a": t.zeros(1), "module.a": t.zeros(1)}, dsl.Status.INVALID, 'got the tensor "a" with and without'),
        (lambda t: {"a": t.zeros(1, dtype=t.complex64)}, dsl.Status.UNSUPPORTED, "complex64"),
        (lambda t: {"a": t.eye(2).to_sparse()}, dsl.Status.UNSUPPORTED, "sparse"),
        (lambda t: {"state_dict": {"a": t.zeros(1)}, "options": dsl.Status.INVALID}, dsl.Status.UNSUPPORTED, "save the state dict alone"),
    ],
)
def test_what_is_no_state_dict_of_dense_tensors_is_refused(torch, tmp_path, make, code, text):
    torch.save(make(torch), tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_text("as before")
    with pytest.raises(dsl.Error, match=text) as caught:
        dsl.convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert caught.value.code == code and str(tmp_path) not in str(caught.value)
    assert (tmp_path / "w.safetensors").read_text() == "as before" and len(list(tmp_path.iterdir())) == 2


def test_a_file_that_would_run_code_runs_none(torch, tmp_path):
    class Runs:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Runs()}, tmp_path / "w.pth")
    assert code_of(lambda: dsl.convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")) == dsl.Status.UNSUPPORTED
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # the same file runs it where nobody looks
    assert (tmp_path / "ran").exists()


def test_damaged_and_absent_files_are_refused(torch, tmp_path):
    torch.save({"a": torch.zeros(100)}, tmp_path / "w.pth")
    raw = (tmp_path / "w.pth").read_bytes()
    for cut in (0, 3, 100, len(raw) // 2, len(raw) - 10):
        (tmp_path / "cut.pth").write_bytes(raw[:cut])
        code = code_of(lambda: dsl.convert_weights(tmp_path / "cut.pth", tmp_path / "out"))
        assert code in (dsl.Status.CORRUPT, dsl.Status.UNSUPPORTED)  # PyTorch takes a short piece for a pickle of what it does not know
    assert code_of(lambda: dsl.convert_weights(tmp_path / "absent.pth", tmp_path / "out")) == dsl.Status.NOT_FOUND
    assert code_of(lambda: dsl.convert_weights(tmp_path, tmp_path / "out")) == dsl.Status.IO
    assert code_of(lambda: dsl.convert_weights(tmp_path / "w.pth", tmp_path / "absent" / "out")) == dsl.Status.NOT_FOUND
    assert not (tmp_path / "out").exists()


def test_the_command_line_converts(torch, tmp_path, capsys):
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.pth")
    assert main(["convert-weights", str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")]) == 0
    assert capsys.readouterr().out.startswith("1 tensors in") and list(read_safetensors(tmp_path / "w.safetensors")) == ["a"]
    assert main(["convert-weights", str(tmp_path / "absent.pth"), str(tmp_path / "out")]) == 1
    assert 'error: dsl: file "absent.pth"' in capsys.readouterr().err
