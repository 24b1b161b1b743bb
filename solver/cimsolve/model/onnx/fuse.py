"""Which nodes are one operation together: norms, softmaxes and activations in parts, biases, scales and masks.

A graph says a GELU as five nodes, a layer norm as nine. What one value alone goes into and one comes out of again, by
steps element by element and sums over axes, is one function of that value: with a sum over an axis a norm or a
softmax, with a function that is no polynomial an activation. A bias, or a scale of each output, is part of its matrix;
a mask or a scale between a product of activations and a softmax part of the softmax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cimsolve.model.onnx.graph import Graph, GraphNode
from cimsolve.model.onnx.operations import (
    ACTIVATIONS,
    ADDITIONS,
    ALIASES,
    FREE,
    NORMS,
    OPERANDS,
    PRODUCTS,
    REDUCTIONS,
    SOFTMAXES,
    Matrix,
    Name,
)

REGION_MAX = 256
"""Most nodes of one function; what is longer is counted node by node."""
_FUSIBLE = ALIASES | {"Neg"} | ADDITIONS | PRODUCTS | REDUCTIONS | ACTIVATIONS
_AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
ON_SCORES = _AFFINE | {"Where", "Max", "Min"}
"""What a mask is put on scores by."""


@dataclass
class Fused:
    """Numbers of nodes that are part of another, and those that stand for all of an operation in parts."""

    parts: set[int] = field(default_factory=set)
    """Nodes that cost nothing of their own."""
    whole: dict[int, Name] = field(default_factory=dict)
    """Last node of an operation in parts -> what it is done as, once for each element that it makes."""


class Flow:
    """Who makes and who reads each value, among the values that follow from `matrices`; none goes on from `ends`."""

    def __init__(self, graph: Graph, matrices: Mapping[int, Matrix], ends: frozenset[int] = frozenset()) -> None:
        self.graph, self.matrices = graph, matrices
        self.producer: dict[str, int] = {}
        self.readers: dict[str, list[int]] = defaultdict(list)
        for number, node in enumerate(graph.nodes):
            if number in ends:
                continue
            made = self.made_inputs(node)
            if number in matrices or (made and not all(graph.values[o].is_constant for o in node.outputs if o)):
                self.producer.update((name, number) for name in node.outputs if name)
            for name in made:
                self.readers[name].append(number)

    def made_inputs(self, node: GraphNode) -> list[str]:
        """The values that a node reads which follow from a matrix, each once."""
        return [name for name in dict.fromkeys(node.inputs) if name in self.producer]

    def maker(self, value: str) -> GraphNode | None:
        """The node that makes a value which follows from a matrix."""
        return self.graph.nodes[self.producer[value]] if value in self.producer else None

    def source(self, value: str) -> str:
        """The value that this one is parts of, moved; itself where it was computed."""
        while (node := self.maker(value)) and node.op in FREE and len(made := self.made_inputs(node)) == 1:
            value = made[0]
        return value

    def only_reader(self, value: str) -> int | None:
        """The one node that reads a value, behind what only moves it; None where there are others."""
        while len(readers := self.readers[value]) == 1 and value not in self.graph.outputs:
            node = self.graph.nodes[readers[0]]
            if node.op not in FREE or len(self.made_inputs(node)) != 1:
                return readers[0]
            value = node.outputs[0]
        return None

    def beside(self, node: GraphNode) -> int | None:
        """Most elements of what a node reads that is constant; None where another input is not."""
        made = set(self.made_inputs(node))
        others = [self.graph.values[name] for name in node.inputs if name and name not in made]
        if len(made) != 1 or not all(value.is_constant and value.elements is not None for value in others):
            return None
        return max((value.elements or 0 for value in others), default=0)


def fuse(flow: Flow) -> Fused:
    """What of the graph's digital work is one operation together."""
    fused = Fused()
    _fuse_functions(flow, fused)
    _fuse_affine(flow, fused)
    _fuse_attention(flow, fused)
    return fused


def _fuse_functions(flow: Flow, fused: Fused) -> None:
    """Everything between a value and the next that alone goes on from it."""
    nodes = flow.graph.nodes
    before: dict[str, tuple[str, int]] = {}  # value -> the one that all ways to it come through, and its depth

    def common(one: str, other: str) -> str | None:
        while one != other:
            (from_one, at_one), (from_other, at_other) = (before.get(v, ("", 0)) for v in (one, other))
            if not at_one and not at_other:
                return None
            if at_one >= at_other:
                one = from_one
            else:
                other = from_other
        return one

    region_of: dict[int, set[int]] = {}
    starts: dict[int, str] = {}
    for number, node in enumerate(nodes):
        if node.op not in _FUSIBLE or number in flow.matrices or node.outputs[0] not in flow.producer:
            continue
        made = flow.made_inputs(node)
        start: str | None = made[0]
        for other in made[1:]:
            start = common(start, other) if start is not None else None
        if start is None:
            continue
        before[node.outputs[0]] = (start, before.get(start, ("", 0))[1] + 1)
        if len(made) > 1 and (region := _between(flow, start, number)):
            for member in [each for each in region if each in region_of]:
                region |= region_of[member]
            for member in region:
                region_of[member] = region
            starts[number] = start
    for last, start in starts.items():
        region, earlier = region_of[last], flow.producer.get(start, -1)
        if not {nodes[each].op for each in region} & REDUCTIONS:
            continue
        if (
            earlier >= 0 and earlier not in region and nodes[earlier].op == "Exp"
        ):  # a softmax, of which the parts are summed
            region.add(earlier)
            region_of[earlier] = region
            earlier = flow.producer.get(flow.made_inputs(nodes[earlier])[0], -1)
        if earlier in region_of and earlier not in region:  # the mean or the largest is taken away first
            before_it = region_of[earlier]
            if {nodes[each].op for each in before_it} <= {"ReduceMean", "ReduceMax", "Sub", *ALIASES}:
                region |= before_it
                for member in before_it:
                    region_of[member] = region
    for region in {id(each): each for each in region_of.values()}.values():
        name = _name_of({nodes[each].op for each in region})
        if name is None:
            continue
        fused.parts |= region
        if name != "guard":
            fused.whole[max(region)] = name


def _between(flow: Flow, start: str, last: int) -> set[int] | None:
    """The nodes on all ways from `start` to node `last`; None where they are too many."""
    found, ahead = {last}, [last]
    while ahead:
        for name in flow.made_inputs(flow.graph.nodes[ahead.pop()]):
            if name != start and (maker := flow.producer[name]) not in found:
                found.add(maker)
                ahead.append(maker)
        if len(found) > REGION_MAX:
            return None
    return found


def _name_of(ops: set[str]) -> Name | Literal["guard"] | None:
    if ops & {"ReduceSum", "ReduceLogSumExp"} and ops & {"Exp", "ReduceLogSumExp"}:
        return "softmax"
    if ops & REDUCTIONS:
        return "layer_norm"
    if ops & ACTIVATIONS - {"Pow"}:
        return "activation"
    return "guard" if "IsNaN" in ops else None


def _fuse_affine(flow: Flow, fused: Fused) -> None:
    """Biases and scales of matrices, gains and offsets of norms, factors of activations."""
    nodes = flow.graph.nodes
    for number, node in enumerate(nodes):
        name = fused.whole.get(number)
        if number in flow.matrices:
            _take_in(flow, fused, number, flow.matrices[number].n_out, norms=True)
        elif name == "layer_norm" or (number not in fused.parts and node.op in NORMS):
            _take_in(flow, fused, number, (flow.graph.values[node.outputs[0]].shape or (0,))[-1])
        elif name == "activation" or (number not in fused.parts and node.op in ACTIVATIONS):
            _take_in(flow, fused, number, 1)


def _take_in(flow: Flow, fused: Fused, number: int, most: int, norms: bool = False) -> None:
    """What follows a node and has constants of at most so many elements is part of it."""
    nodes = flow.graph.nodes
    after = flow.only_reader(nodes[number].outputs[0])
    while after is not None and after not in fused.parts:
        node, beside = nodes[after], flow.beside(nodes[after])
        is_affine = node.op in _AFFINE and beside is not None and 0 < beside <= most
        if not is_affine and not (norms and node.op == "BatchNormalization"):
            return
        fused.parts.add(after)
        after = flow.only_reader(node.outputs[0])


def _fuse_attention(flow: Flow, fused: Fused) -> None:
    """Scales of what is multiplied, and masks and scales of scores before their softmax."""
    nodes = flow.graph.nodes
    for number, node in enumerate(nodes):
        if node.op in OPERANDS and number not in flow.matrices:
            for name in flow.made_inputs(node):
                fused.parts.update(each for each in _back(flow, fused, name, _AFFINE) if flow.beside(nodes[each]) == 1)
        is_softmax = number not in fused.parts and node.op in SOFTMAXES
        if is_softmax or fused.whole.get(number) == "softmax":
            start = _start(flow, fused, number)
            passed = list(_back(flow, fused, start, ON_SCORES)) if start else []
            first = flow.source(flow.made_inputs(nodes[passed[-1]])[0]) if passed else ""
            maker = flow.maker(first)
            if maker is not None and maker.op in OPERANDS and flow.producer[first] not in flow.matrices:
                fused.parts.update(passed)


def _start(flow: Flow, fused: Fused, number: int) -> str | None:
    """What a softmax reads, also one in parts."""
    if number not in fused.whole:
        return next(iter(flow.made_inputs(flow.graph.nodes[number])), None)
    value: str | None = flow.graph.nodes[number].outputs[0]
    while value in flow.producer and flow.producer[value] in fused.parts | {number}:
        value = next(iter(flow.made_inputs(flow.graph.nodes[flow.producer[value]])), None)
    return value


def _back(flow: Flow, fused: Fused, value: str, ops: frozenset[str]) -> Iterator[int]:
    """The nodes of these operations, with one input that follows from a matrix, that a value comes through last."""
    while True:
        value = flow.source(value)
        node, number = flow.maker(value), flow.producer.get(value, -1)
        if node is None or number in fused.parts or number in flow.matrices or node.op not in ops:
            return
        made = flow.made_inputs(node)
        if len(made) != 1:
            return
        yield number
        value = made[0]
