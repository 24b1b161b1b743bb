"""An ONNX graph with every size known: symbolic dimensions given, arithmetic on shapes folded, nothing else computed.

What a node makes is inferred by the `onnx` library node by node, so that no weights are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from cimsolve.errors import InputError
from cimsolve.files.json_file import read_bytes
from cimsolve.files.text import shown_name, told
from cimsolve.model.families.keys import named

FILE_BYTES_MAX = 2**31 - 1
"""A protocol buffer has at most as many; weights beyond are external."""
NODES_MAX = 1_000_000
FOLDED_MAX = 4096
"""Most elements of a tensor that is computed when the graph is read: shapes and what leads to them."""
DIMENSION_MAX, ELEMENTS_MAX = 2**31, 2**50

_CONTROL = {"If", "Loop", "Scan"}
_FOLDED = named(
    "Abs Add And Cast Ceil Concat ConstantOfShape CumSum Div Equal Expand Flatten Floor Gather Greater GreaterOrEqual "
    "Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Pow Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape "
    "Slice Split Sqrt Squeeze Sub Tile Transpose Unsqueeze Where"
)
"""Operations of which shapes are made; with known inputs of few elements they are computed."""
_COMPARED = named("GreaterOrEqual LessOrEqual")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """What is known of a value: its shape, its numbers where they are few and known, and from what it is made."""

    shape: Shape | None
    kind: int
    """ONNX's number of its type of elements."""
    data: npt.NDArray[Any] | None = None
    is_constant: bool = False
    """Whether it is the same for every input of the graph."""

    @property
    def elements(self) -> int | None:
        """Number of elements; None where the shape is not known."""
        return None if self.shape is None else math.prod(self.shape)


@dataclass(frozen=True)
class GraphNode:
    """One operation of the graph."""

    name: str
    op: str
    """Its type, with its domain where that is not ONNX's own."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: str
    """The module that it comes from, where the exporter says so; else empty."""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of computation, and what is known of every value."""

    nodes: tuple[GraphNode, ...]
    values: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: frozenset[str]
    """Values that the file holds."""


Resolve = Callable[[onnx.GraphProto, frozenset[str]], Mapping[str, int]]
"""Of a graph, with the names that the file holds, the size of every symbolic dimension of its inputs."""


def read_graph(path: Path, origin: str, resolve: Resolve) -> Graph:
    """The graph of a file. Raises InputError for a file that is none, and for what cannot be mapped in any way."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(read_bytes(path, FILE_BYTES_MAX))
        if not model.graph.node or not model.opset_import:
            raise InputError(f"{origin}: this is no ONNX graph, or an empty one; export or fetch it anew")
        if any(isinstance(text, bytes) for text in _texts(model)):
            raise InputError(f"{origin}: holds names that are no UTF-8 text; export or fetch it anew")
        if model.functions:
            model = inline_local_functions(model)
        return _Reading(model, origin, resolve).graph()
    except (DecodeError, UnicodeDecodeError, MemoryError) as error:
        raise InputError(f"{origin}: is no sound ONNX file: {told(error)}; export or fetch it anew") from None


def _texts(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """All names that are read; what is no UTF-8 text comes as bytes."""
    graph = model.graph
    for each in (*model.opset_import, *graph.node, *model.functions):
        yield each.domain
    for node in graph.node:
        yield from (node.name, node.op_type, *node.input, *node.output, *(each.name for each in node.attribute))
        for entry in node.metadata_props:
            yield from (entry.key, entry.value)
    yield from (each.name for each in graph.initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (size.dim_param for size in value.type.tensor_type.shape.dim)


def said(node: GraphNode) -> str:
    """A node as messages name it."""
    return f"node {shown_name(node.name)} ({shown_name(node.op)})"


class _Reading:
    def __init__(self, model: onnx.ModelProto, origin: str, resolve: Resolve) -> None:
        self.origin, self.proto = origin, model.graph
        self.ir_version, self.opsets = model.ir_version, list(model.opset_import)
        self.versions = {self._plain(each.domain): each.version for each in model.opset_import}
        self.values: dict[str, Tensor] = {}
        if len(self.proto.node) > NODES_MAX:
            raise InputError(f"{origin}: {len(self.proto.node)} nodes; expected at most {NODES_MAX}")
        for held in (*self.proto.initializer, *(sparse.values for sparse in self.proto.sparse_initializer)):
            self.values[held.name] = self._held(held)
        self.weights = frozenset(self.values)
        self.dims = dict(resolve(self.proto, self.weights))
        self.inputs = [given for given in self.proto.input if given.name not in self.weights]
        for given in self.inputs:
            self.values[given.name] = Tensor(self._stated(given), given.type.tensor_type.elem_type)
        self.stated = {each.name: each for each in (*self.proto.value_info, *self.proto.output)}

    def graph(self) -> Graph:
        nodes = [self._node(number, proto) for number, proto in enumerate(self.proto.node)]
        for node, proto in zip(nodes, self.proto.node, strict=True):
            self._infer(node, proto)
        outputs = tuple(each.name for each in self.proto.output)
        for name in outputs:
            if name not in self.values:
                raise InputError(f"{self.origin}: output {shown_name(name)}: no node makes it; export the graph anew")
        inputs = tuple(each.name for each in self.inputs)
        return Graph(tuple(nodes), self.values, inputs, outputs, self.weights)

    def _node(self, number: int, proto: onnx.NodeProto) -> GraphNode:
        domain = self._plain(proto.domain)
        op = f"{domain}.{proto.op_type}" if domain else proto.op_type
        found = {each.key: each.value for each in proto.metadata_props}
        scopes = re.findall(r"'([^']*)'", found.get("pkg.torch.onnx.name_scopes", ""))
        node = GraphNode(
            proto.name or f"{proto.op_type}_{number}",
            op,
            tuple(proto.input),
            tuple(proto.output),
            {each.name: _attribute(each) for each in proto.attribute},
            scopes[-2] if len(scopes) > 1 else "",
        )
        if op in _CONTROL:
            raise InputError(
                f"{self.origin}: {said(node)}: what runs depends on values; expected none of If, Loop and Scan; "
                "export the model for one case"
            )
        return node

    def _infer(self, node: GraphNode, proto: onnx.NodeProto) -> None:
        read = [name for name in node.inputs if name]
        for name in read:
            if name not in self.values:
                raise InputError(
                    f"{self.origin}: {said(node)} reads {shown_name(name)}, which nothing before it makes; "
                    "export the graph anew"
                )
        known = [self.values[name] for name in read]
        self._demand_rows(node, known)
        is_constant = node.op in ("Shape", "Size") or all(value.is_constant for value in known)
        kinds = self._infer_types(node, proto, read)
        for name in filter(None, node.outputs):
            shape, kind = kinds.get(name, (None, TensorProto.FLOAT))
            if shape is None and name in self.stated:
                shape = self._stated(self.stated[name], is_needed=False)
            self._demand_countable(node, shape)
            self.values[name] = Tensor(shape, kind, None, is_constant)
        folded = self._fold(node, proto, known)
        for name, data in zip(node.outputs, folded, strict=False):
            if name and data.size <= FOLDED_MAX:
                self.values[name] = Tensor(data.shape, self.values[name].kind, data, True)

    def _infer_types(
        self, node: GraphNode, proto: onnx.NodeProto, read: list[str]
    ) -> dict[str, tuple[Shape | None, int]]:
        try:
            schema = onnx.defs.get_schema(
                proto.op_type, self.versions[self._plain(proto.domain)], self._plain(proto.domain)
            )
        except (onnx.defs.SchemaError, KeyError):
            return {}
        types = {name: helper.make_tensor_type_proto(self.values[name].kind, self.values[name].shape) for name in read}
        numbers = {name: numpy_helper.from_array(data) for name in read if (data := self.values[name].data) is not None}
        try:
            found = shape_inference.infer_node_outputs(
                schema, proto, types, numbers, opset_imports=self.opsets, ir_version=self.ir_version
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.origin}: {said(node)}: what it reads does not fit it: {told(error)}; export the graph anew"
            ) from None
        kinds = {name: (_sizes(each), each.tensor_type.elem_type) for name, each in found.items()}
        shapes = [shape for name in read if (shape := self.values[name].shape) is not None]
        if node.op in _COMPARED and len(shapes) == len(read):  # older versions of them say nothing of it
            kinds[node.outputs[0]] = (np.broadcast_shapes(*shapes), TensorProto.BOOL)
        return kinds

    def _fold(self, node: GraphNode, proto: onnx.NodeProto, known: list[Tensor]) -> list[Any]:
        """What a node makes, where it is part of the arithmetic on shapes and small."""
        if node.op == "Shape":
            (shape,) = (known[0].shape,) if known else (None,)
            begin, end = node.attributes.get("start", 0), node.attributes.get("end")
            return [] if shape is None else [np.array(shape[slice(begin, end)], dtype=np.int64)]
        if node.op == "Size":
            return [np.array(known[0].elements)] if known and known[0].elements is not None else []
        if node.op == "Constant":
            return _constant(node)
        made = [self.values[name].elements for name in node.outputs if name]
        small = all(each is not None and each <= FOLDED_MAX for each in made)
        if node.op not in _FOLDED or not small or any(value.data is None for value in known):
            return []
        given = {name: self.values[name].data for name in node.inputs if name}
        try:
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(proto).run(None, given)
        except Exception:  # of arithmetic that has no outcome the shape is unknown, and is told where it is needed
            return []
        return [np.asarray(each) for each in results]

    def _stated(self, value: ValueInfoProto, is_needed: bool = True) -> Shape | None:
        """The shape that the file states, with symbols replaced; None where it states none."""
        if not value.type.tensor_type.HasField("shape"):
            if is_needed:
                raise InputError(
                    f"{self.origin}: input {shown_name(value.name)} has no shape; export the graph with one"
                )
            return None
        sizes = [dimension_of(value, axis) for axis in range(len(value.type.tensor_type.shape.dim))]
        shape = [self.dims.get(each, -1) if isinstance(each, str) else each for each in sizes]
        if is_needed or all(each >= 0 for each in shape):
            return tuple(shape)
        return None

    def _held(self, held: TensorProto) -> Tensor:
        shape = tuple(held.dims)
        if any(size < 0 for size in shape) or math.prod(shape) > ELEMENTS_MAX:
            raise InputError(f"{self.origin}: tensor {shown_name(held.name)}: its sizes cannot be; export it anew")
        data = None
        if math.prod(shape) <= FOLDED_MAX and held.data_location != TensorProto.EXTERNAL:
            try:
                data = numpy_helper.to_array(held)
            except Exception as error:
                raise InputError(
                    f"{self.origin}: tensor {shown_name(held.name)}: its numbers do not fit its type and shape: "
                    f"{told(error)}; export it anew"
                ) from None
        return Tensor(shape, held.data_type, data, True)

    def _demand_rows(self, node: GraphNode, known: list[Tensor]) -> None:
        """Refuse a sequence for which a table, such as that of positions, has too few rows."""
        if node.op == "Gather" and len(known) == 2 and known[0].shape and known[1].data is not None:
            rows, asked = known[0].shape[node.attributes.get("axis", 0) % len(known[0].shape)], known[1].data
            if asked.size and not -rows <= int(asked.min()) <= int(asked.max()) < rows:
                raise InputError(
                    f"{self.origin}: {said(node)}: asks for row {int(asked.max())} of {rows}; "
                    "expected a sequence as long as the model's at most; give --tokens"
                )

    def _demand_countable(self, node: GraphNode, shape: Shape | None) -> None:
        if shape is not None and (max(shape, default=0) > DIMENSION_MAX or math.prod(shape) > ELEMENTS_MAX):
            raise InputError(f"{self.origin}: {said(node)}: makes {list(shape)}: more than can be counted; correct it")

    @staticmethod
    def _plain(domain: str) -> str:
        return "" if domain == "ai.onnx" else domain


def dimension_of(value: ValueInfoProto, axis: int) -> int | str:
    """The size of an axis of an input, or its symbol; `<input>.<axis>` where the file gives neither."""
    dimension = value.type.tensor_type.shape.dim[axis]
    if dimension.HasField("dim_value") and dimension.dim_value >= 0:
        return int(dimension.dim_value)
    symbol = dimension.dim_param
    return f"{value.name}.{axis}" if symbol in ("", "?") else symbol


def _sizes(found: onnx.TypeProto) -> Shape | None:
    if not found.HasField("tensor_type") or not found.tensor_type.HasField("shape"):
        return None
    dims: Iterable[Any] = found.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
    return tuple(sizes) if all(size >= 0 for size in sizes) else None


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _constant(node: GraphNode) -> list[Any]:
    """The numbers of a Constant, where they are few."""
    for key, value in node.attributes.items():
        if key == "value" and isinstance(value, TensorProto) and math.prod(value.dims) <= FOLDED_MAX:
            return [numpy_helper.to_array(value)]
        if key in ("value_int", "value_ints"):
            return [np.array(value, dtype=np.int64)]
        if key in ("value_float", "value_floats"):
            return [np.array(value, dtype=np.float32)]
    return []
