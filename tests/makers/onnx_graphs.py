"""Small ONNX graphs, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Size = int | str


class Net:
    """Nodes as they are called; each gives the name of what it makes."""

    def __init__(self, inputs: Mapping[str, Sequence[Size]], opset: int = 17) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]

    def __call__(self, op: str, *reads: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        made = [f"{op}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(op, reads, made, name or f"/{op}_{len(self.nodes)}", **attributes))
        return made[0] if outputs == 1 else made

    def tensor(self, name: str, *shape: int) -> str:
        """Weights that the file holds."""
        values = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) / 7 - 1
        self.held.append(numpy_helper.from_array(values, name))
        return name

    def numbers(self, values: Any, kind: type = np.int64) -> str:
        """A constant."""
        self.held.append(numpy_helper.from_array(np.array(values, dtype=kind), f"constant_{len(self.held)}"))
        return self.held[-1].name

    def scalar(self, value: float) -> str:
        """A constant number."""
        return self.numbers(value, np.float32)

    def linear(self, name: str, read: str, n_in: int, n_out: int, bias: bool = True) -> str:
        """A matrix, and its bias."""
        made = str(self("MatMul", read, self.tensor(f"{name}.weight", n_in, n_out), name=f"/{name}/MatMul"))
        return str(self("Add", made, self.tensor(f"{name}.bias", n_out))) if bias else made

    def proto(self, *outputs: str) -> onnx.ModelProto:
        """The graph that makes these values."""
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, ends, self.held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)

    def save(self, path: Path, *outputs: str) -> Path:
        """Writes the graph that makes these values."""
        path.write_bytes(self.proto(*outputs).SerializeToString())
        return path


WIDTH, HEADS, INNER = 16, 2, 32


def encoder(path: Path, *, in_parts: bool = False, inputs: Sequence[Size] = ("batch", "sequence", WIDTH)) -> Path:
    """One BERT layer; `in_parts`: norms, softmax and GELU as an old exporter says them, node by node."""
    net = Net({"x": inputs, "mask": ["batch", 1, 1, "sequence"]}, opset=20)
    x = "x"
    q, k, v = (_split(net, net.linear(f"encoder.layer.0.attention.self.{name}", x, WIDTH, WIDTH)) for name in KEYS)
    scores = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]))
    scores = net("Add", net("Div", scores, net.scalar(2.83)), net("Mul", "mask", net.scalar(-1e4)))
    weights = softmax_in_parts(net, scores) if in_parts else net("Softmax", scores, axis=-1)
    attended = net("Transpose", net("MatMul", weights, v), perm=[0, 2, 1, 3])
    attended = net("Reshape", attended, net.numbers([0, 0, WIDTH]))
    x = _norm(net, "a", net("Add", net.linear("encoder.layer.0.attention.output.dense", attended, 16, 16), x), in_parts)
    up = net.linear("encoder.layer.0.intermediate.dense", x, WIDTH, INNER)
    up = gelu_in_parts(net, up) if in_parts else net("Gelu", up)
    down = net.linear("encoder.layer.0.output.dense", up, INNER, WIDTH)
    return net.save(path, _norm(net, "b", net("Add", down, x), in_parts))


KEYS = ("query", "key", "value")
CONFIG = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 512,
}
"""The config of `encoder`."""


def softmax_in_parts(net: Net, read: str) -> str:
    """Exponentials over their sum."""
    high = net("Exp", net("Sub", read, net("ReduceMax", read, net.numbers([-1]))))
    return str(net("Div", high, net("ReduceSum", high, net.numbers([-1]))))


def gelu_in_parts(net: Net, read: str) -> str:
    """GELU by the error function."""
    grown = net("Add", net("Erf", net("Div", read, net.scalar(1.4142))), net.scalar(1.0))
    return str(net("Mul", net("Mul", read, grown), net.scalar(0.5)))


def norm_in_parts(net: Net, read: str, gain: str, offset: str) -> str:
    """A layer norm of nine nodes."""
    centred = net("Sub", read, net("ReduceMean", read, net.numbers([-1])))
    spread = net("ReduceMean", net("Pow", centred, net.scalar(2.0)), net.numbers([-1]))
    scaled = net("Div", centred, net("Sqrt", net("Add", spread, net.scalar(1e-5))))
    return str(net("Add", net("Mul", scaled, gain), offset))


def _split(net: Net, read: str) -> str:
    parts = net("Reshape", read, net.numbers([0, 0, HEADS, WIDTH // HEADS]))
    return str(net("Transpose", parts, perm=[0, 2, 1, 3]))


def _norm(net: Net, name: str, read: str, in_parts: bool) -> str:
    gain, offset = net.tensor(f"{name}.gain", WIDTH), net.tensor(f"{name}.offset", WIDTH)
    return norm_in_parts(net, read, gain, offset) if in_parts else str(net("LayerNormalization", read, gain, offset))
