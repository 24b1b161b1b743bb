"""ONNX graphs, damaged as bytes and as what the bytes say: sizes, names, operations, attributes, edges."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import onnx

from fuzz.damage import damage_bytes
from fuzz.kind import Kind
from fuzz.kinds.specs import make
from makers.onnx_graphs import encoder

_MAP = ("--hw", "chip.json", "--model", "net.onnx", "--strategy", "spread", "--out", "out", "--tokens", "8")
_NUMBERS = (0, 1, -1, 2, 3, 7, 2**31, 2**40, 2**62, -(2**62))
_TEXTS = ("", "x", "If", "Loop", "Conv", "Gather", "Einsum", "Range", "ConstantOfShape", "\x1b[31m", "a\nb", "y" * 5000)


def _make(folder: Path) -> None:
    make(folder)
    encoder(folder / "net.onnx", in_parts=True)


def _damage(rng: Random, folder: Path) -> None:
    path = folder / "net.onnx"
    if rng.random() < 0.4:
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
        return
    model = onnx.ModelProto()
    model.ParseFromString(path.read_bytes())
    for _ in range(rng.choice([1, 1, 2, 5])):
        _change(rng, model.graph)
    path.write_bytes(model.SerializeToString())


def _change(rng: Random, graph: Any) -> None:
    node, held, given = rng.choice(graph.node), rng.choice(graph.initializer), rng.choice(graph.input)
    what = rng.randrange(9)
    if what == 0:
        node.op_type = rng.choice([*_TEXTS, rng.choice(graph.node).op_type])
    elif what == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([*_TEXTS, *rng.choice(graph.node).output])
    elif what == 2 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice(_NUMBERS)
        attribute.ints[:] = [rng.choice(_NUMBERS) for _ in range(rng.randrange(5))]
    elif what == 3 and held.dims:
        held.dims[rng.randrange(len(held.dims))] = rng.choice(_NUMBERS)
    elif what == 4:
        held.raw_data = damage_bytes(rng, held.raw_data)
    elif what == 5:
        held.data_type = rng.randrange(25)
    elif what == 6 and given.type.tensor_type.shape.dim:
        size = rng.choice(given.type.tensor_type.shape.dim)
        if rng.random() < 0.5:
            size.dim_value = rng.choice(_NUMBERS)
        else:
            size.dim_param = rng.choice(_TEXTS)
    elif what == 7:
        node.output[0] = rng.choice([*_TEXTS, *rng.choice(graph.node).output])
    else:
        graph.node.remove(node)


KINDS = {"onnx": Kind(_make, _damage, [(*_MAP, "-q"), (*_MAP, "--json")])}
