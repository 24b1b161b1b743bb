"""What each operation of ONNX is to a chip: a matrix on arrays, digital work by a name of `digital.ops`, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cimsolve.errors import InputError
from cimsolve.files.text import shown_name
from cimsolve.model.families.keys import named
from cimsolve.model.onnx.graph import Graph, GraphNode, said

ALIASES = named("Identity Cast CastLike Dropout")
"""What they make is what they read."""
FREE = ALIASES | named(
    "Reshape Flatten Squeeze Unsqueeze Transpose Expand Slice Split Concat Gather GatherElements GatherND ScatterND "
    "ScatterElements Pad Tile Neg Trilu DepthToSpace SpaceToDepth ReverseSequence OneHot "
    "QuantizeLinear DequantizeLinear DynamicQuantizeLinear"
)
"""Vectors moved, signs turned, and the steps between levels and numbers, which arrays take as they are."""
REDUCTIONS = named(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp ReduceLogSum ReduceProd"
)
ADDITIONS = named(
    "Add Sub Sum Mean Max Min And Or Xor Not Equal Less LessOrEqual Greater GreaterOrEqual IsNaN IsInf Where Abs Sign "
    "Floor Ceil Round CumSum"
)
POOLS = named("GlobalAveragePool GlobalMaxPool GlobalLpPool AveragePool MaxPool LpPool ArgMax ArgMin TopK")
PRODUCTS = named("Mul Div Mod BitShift Resize Upsample")
ACTIVATIONS = named(
    "Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Swish Mish Tanh Softplus Softsign Gelu Erf Exp "
    "Log Sqrt Reciprocal Pow Sin Cos Tan Atan Asin Acos Sinh Cosh Clip ThresholdedRelu Shrink"
)
NORMS = named(
    "LayerNormalization RMSNormalization GroupNormalization InstanceNormalization BatchNormalization LpNormalization "
    "LRN MeanVarianceNormalization"
)
SOFTMAXES = named("Softmax LogSoftmax Hardmax")

Name = Literal["add", "multiply", "layer_norm", "activation", "softmax", "attention_mac"]

NAMES: Mapping[str, Name] = {
    **dict.fromkeys(ADDITIONS | REDUCTIONS | POOLS, "add"),
    **dict.fromkeys(PRODUCTS, "multiply"),
    **dict.fromkeys(ACTIVATIONS, "activation"),
    **dict.fromkeys(NORMS, "layer_norm"),
    **dict.fromkeys(SOFTMAXES, "softmax"),
}
"""Operation -> what it is done as, an element at a time."""
OPERANDS: Mapping[str, tuple[int, int]] = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearMatMul": (0, 3),
    "Conv": (0, 1),
    "ConvInteger": (0, 1),
    "QLinearConv": (0, 3),
}
"""Operations of matrices -> which inputs are multiplied."""
CONVOLUTIONS = named("Conv ConvInteger QLinearConv")


@dataclass(frozen=True)
class Matrix:
    """A matrix of weights that a node applies to each of `positions` vectors of `read`."""

    weight: str
    read: str
    n_in: int
    n_out: int
    positions: int
    is_turned: bool
    """Whether the file has an output a row, not an input."""
    groups: int
    """Of a convolution: so many equal blocks on the diagonal, each of which reads inputs of its own."""

    @property
    def macs(self) -> int:
        """Products of one pass of the graph."""
        return self.positions * self.n_in * self.n_out // self.groups


def sizes(graph: Graph, origin: str, node: GraphNode, value: str) -> tuple[int, ...]:
    """The shape of a value that `node` reads or makes. Raises InputError where it is not known."""
    shape = graph.values[value].shape
    if shape is None:
        raise InputError(
            f"{origin}: {said(node)}: the shape of {shown_name(value)} does not follow from the file: that of what "
            f"{said(_unsized(graph, value))} makes is not known; give the sizes of its inputs by --dim NAME=N, export "
            "it with fixed sizes, or add the shapes by onnxruntime's symbolic_shape_infer"
        )
    return shape


def _unsized(graph: Graph, value: str) -> GraphNode:
    """The first node behind a value of unknown shape, the shapes of whose inputs are known."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    while True:
        node = makers[value]
        unknown = [name for name in node.inputs if name in makers and graph.values[name].shape is None]
        if not unknown:
            return node
        value = unknown[0]


def matrix_of(graph: Graph, origin: str, node: GraphNode) -> Matrix | None:
    """The matrix of weights that a node applies; None where it has none. Raises InputError for one that cannot be."""
    if node.op not in OPERANDS:
        return None
    first, second = (node.inputs[at] for at in OPERANDS[node.op])
    constant = [graph.values[name].is_constant for name in (first, second)]
    if constant.count(True) != 1:
        return None
    weight, read = (first, second) if constant[0] else (second, first)
    shape, of_read = sizes(graph, origin, node, weight), sizes(graph, origin, node, read)
    made = math.prod(sizes(graph, origin, node, node.outputs[0]))
    groups = 1
    if node.op in CONVOLUTIONS:
        if weight == first:
            raise InputError(f"{origin}: {said(node)}: its kernel is no constant; expected weights that the file holds")
        groups = int(node.attributes.get("group", 1))
        n_in, n_out, is_turned = groups * math.prod(shape[1:]), shape[0], True
        positions = made // n_out
    else:
        if math.prod(shape[:-2]) != 1:
            raise InputError(
                f"{origin}: {said(node)}: weights {list(shape)} are {math.prod(shape[:-2])} matrices, each for inputs "
                "of its own; expected one; split the node, or count it as digital work by --digital"
            )
        matrix = shape[-2:] if len(shape) > 1 else (shape[0], 1)
        is_turned = bool(node.attributes.get("transA" if weight == first else "transB", 0)) != (weight == first)
        n_in, n_out = matrix[::-1] if is_turned else matrix
        positions = math.prod(of_read) // max(1, n_in)
    if n_in == 1 and groups == 1:  # an outer product, such as that of positions and frequencies
        return None
    return Matrix(weight, read, n_in, n_out, positions, is_turned, groups)


def digital_work_of(graph: Graph, origin: str, node: GraphNode) -> tuple[Name, int]:
    """What a node that is not understood counts as where digital work is asked for, and its elements in one pass."""
    if node.op == "ConvTranspose":  # every element read meets the kernels of its channel
        kernels = math.prod(sizes(graph, origin, node, node.inputs[1])[1:])
        return "attention_mac", math.prod(sizes(graph, origin, node, node.inputs[0])) * kernels
    return "activation", math.prod(sizes(graph, origin, node, node.outputs[0]))


def work_of(graph: Graph, origin: str, node: GraphNode) -> tuple[Name, int] | None:
    """What a node without weights is done as, and its elements in one pass; None where it costs nothing.

    Raises InputError for a node that is not understood.
    """
    if node.op in FREE:
        return None
    made = math.prod(sizes(graph, origin, node, node.outputs[0]))
    if node.op in OPERANDS and node.op not in CONVOLUTIONS:
        first = sizes(graph, origin, node, node.inputs[OPERANDS[node.op][0]])
        inner = first[0] if node.attributes.get("transA") else first[-1]
        return "attention_mac", made * inner
    if node.op not in NAMES:
        raise InputError(
            f"{origin}: {said(node)}: this operation is not mapped; --digital {node.op} counts it as digital work, "
            + ("by its products" if node.op == "ConvTranspose" else "one activation an element that it makes")
        )
    elements = made
    if node.op in REDUCTIONS or node.op in POOLS:
        window = math.prod(node.attributes.get("kernel_shape", ()))
        elements = made * window if window > 1 else math.prod(sizes(graph, origin, node, node.inputs[0]))
    elif node.op in ("Sum", "Mean", "Max", "Min"):
        elements = made * max(1, len(node.inputs) - 1)
    return NAMES[node.op], elements
