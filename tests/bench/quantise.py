"""Writes ONNX Runtime's own int8 form of a model: quantise and dequantise around each convolution, sum and pooling, as its tools for Python place them (the QDQ format), from
which it makes integer kernels. Activations are uint8 by the ranges of the images at hand, weights int8 for each output channel."""

import json
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from contest import LIMIT_S, SIDES
from peers import node, onnxruntime

QUANTISED = ("Conv", "Relu", "Add", "MaxPool")


class Quantiser:
    """Rewrites a graph."""

    def __init__(self, model):
        self.graph = model.graph
        self.weights = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.users = {}
        for n in self.graph.node:
            for name in n.input:
                self.users.setdefault(name, []).append(n.op_type)
        self.nodes = []

    def activations(self):
        """Tensors that are quantised: the input, and what QUANTISED nodes make, but for what goes into a ReLU only and is fused with it."""
        made = [n.output[0] for n in self.graph.node if n.op_type in QUANTISED and self.users.get(n.output[0]) != ["Relu"]]
        return [self.graph.input[0].name, *made]

    def add_pair(self, name, scale, zero, kind, axis=None):
        """Nodes that quantise and dequantise a tensor; returns the result's name."""
        at = {} if axis is None else {"axis": axis}
        for suffix, value in (("scale", np.asarray(scale, np.float32)), ("zero", np.asarray(zero, kind))):
            self.graph.initializer.append(numpy_helper.from_array(value, f"{name}_{suffix}"))
        constants = [f"{name}_scale", f"{name}_zero"]
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *constants], [f"{name}_q"], **at))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *constants], [f"{name}_dq"], **at))
        return f"{name}_dq"

    def add_activation(self, name, low, high):
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255 or 1.0
        return self.add_pair(name, scale, round(-low / scale), np.uint8)

    def add_weight(self, name):
        largest = np.abs(self.weights[name]).reshape(len(self.weights[name]), -1).max(1)
        return self.add_pair(name, np.where(largest > 0, largest, 1) / 127, np.zeros(len(largest)), np.int8, axis=0)

    def run(self, ranges):
        replaced = {}
        if (x := self.graph.input[0].name) in ranges:
            replaced[x] = self.add_activation(x, *ranges[x])
        for n in list(self.graph.node):
            if n.op_type in QUANTISED:
                n.input[:] = [replaced.get(name, name) for name in n.input]
            if n.op_type == "Conv":
                n.input[1] = self.add_weight(n.input[1])
            self.nodes.append(n)
            if n.output[0] in ranges:
                replaced[n.output[0]] = self.add_activation(n.output[0], *ranges[n.output[0]])
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)


def ranges_of(names, folder, arch, settings):
    """[least, greatest] of tensors over input.f32."""
    model = onnx.load(str(folder / "model.onnx"))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name != "x")
    onnx.save(model, str(folder / "watched.onnx"))
    command = [node(), SIDES / "ort_ranges.js", onnxruntime(settings), folder, "watched.onnx", arch.batch, arch.size]
    text = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S).stdout
    x = np.fromfile(folder / "input.f32", "<f4")
    return json.loads(text) | {"x": [float(x.min()), float(x.max())]}


def write(folder, arch, settings):
    """Writes int8.onnx beside model.onnx."""
    model = onnx.load(str(folder / "model.onnx"))
    quantiser = Quantiser(model)
    names = quantiser.activations()
    found = ranges_of(names, folder, arch, settings)
    quantiser.run({name: found[name] for name in names})
    onnx.save(model, str(folder / "int8.onnx"))
