"""The steps of an ONNX graph, as a config of model_type `linears`: matrices with one input, and the work between."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from cimsolve.columns import ceil_div
from cimsolve.errors import InputError
from cimsolve.files.text import near_name, one_line, shown_name
from cimsolve.model.onnx.fuse import ON_SCORES, Flow, fuse
from cimsolve.model.onnx.graph import Graph, GraphNode, said
from cimsolve.model.onnx.operations import (
    CONVOLUTIONS,
    FREE,
    OPERANDS,
    Matrix,
    digital_work_of,
    matrix_of,
    sizes,
    work_of,
)

_COMPARISONS = frozenset({"LessOrEqual", "Less", "GreaterOrEqual", "Greater"})


class Builder:
    """What the nodes of a graph come to. `digital`: patterns of nodes that are counted as digital work."""

    def __init__(self, graph: Graph, origin: str, digital: Sequence[str]) -> None:
        self.graph, self.origin, self.digital = graph, origin, digital
        self.live = _live(graph)
        matrices = {n: found for n in self.live if (found := matrix_of(graph, origin, graph.nodes[n]))}
        names = _names(graph, matrices)
        self.asked = self._asked(names)
        mapped = {n: m for n, m in matrices.items() if n not in self.asked}
        self.is_whole = any(m.positions > 1 and graph.nodes[n].op in CONVOLUTIONS for n, m in mapped.items())
        """Whether a pass is that of the whole input, in which a matrix fires at all its positions; else a token's."""
        self.tokens = 1 if self.is_whole else _most_positions(mapped.values())
        self.once = [n for n, m in mapped.items() if m.positions == 1 < self.tokens]
        """Matrices of a whole sequence, such as those of a task's head."""
        self.names = names
        self.matrices = {n: m for n, m in mapped.items() if n not in self.once}
        self._demand_mappable()
        self.macs = {n: m.macs for n, m in matrices.items() if n in self.asked}
        self.flow = Flow(graph, self.matrices, frozenset(self.once))
        self.fused = fuse(self.flow)
        self.found = Counter[str]()
        self.assigned: set[int] = set()

    def config(self) -> dict[str, Any]:
        """Steps, tail and what is not mapped, as keys of `linears`."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, matrix in self.matrices.items():
            groups.setdefault(self._input_of(number, matrix), []).append(number)
        number_of_step = {each: step for step, members in enumerate(groups.values()) for each in members}
        before: dict[int, int] = {}  # step -> bits of the steps before it
        reach: dict[str, int] = {}  # value -> bits of the steps that it comes from, none before another
        steps: list[dict[str, Any]] = []
        for (value, *_), members in groups.items():
            reads = self._reach(value, number_of_step, reach, before)
            step = len(steps)
            before[step] = 0
            for each in _bits(reads):
                before[step] |= before[each] | 1 << each
            entry: dict[str, Any] = {"name": self.names[members[0]]}
            entry["linears"] = [
                {
                    "name": self.names[each],
                    "n_in": self.matrices[each].n_in,
                    "n_out": self.matrices[each].n_out,
                    **({"groups": self.matrices[each].groups} if self.matrices[each].groups > 1 else {}),
                    **self._tensor(each),
                }
                for each in members
            ]
            entry["reads"] = [steps[each]["name"] for each in _bits(reads)]
            self._add_work(entry, self._pending([value]))
            if self.is_whole:
                entry["positions"] = self.matrices[members[0]].positions
            steps.append(entry)
        return {"steps": steps, "tail": self._tail(), "unmapped": self._unmapped()}

    def _asked(self, names: Mapping[int, str]) -> set[int]:
        found: set[int] = set()
        for pattern in self.digital:
            matching = {
                number
                for number in self.live
                for node in [self.graph.nodes[number]]
                if any(fnmatchcase(name, pattern) for name in (node.name, node.op, names.get(number, node.name)))
                or (pattern == GROUPED and node.op in CONVOLUTIONS and node.attributes.get("group", 1) > 1)
            }
            if not matching:
                known = {self.graph.nodes[number].op for number in self.live} | set(names.values())
                near = near_name(pattern, known, "did you mean {}? ")
                raise InputError(
                    f"--digital {one_line(pattern)}: no node of {self.origin} has such a name or operation; {near}"
                    "expected a pattern of node names, operations or linears"
                )
            found |= matching
        return found

    def _demand_mappable(self) -> None:
        if not self.matrices:
            raise InputError(
                f"{self.origin}: no MatMul, Gemm or Conv with weights; expected a graph with one or more to map"
            )
        for number, matrix in self.matrices.items():
            node = self.graph.nodes[number]
            if not self.is_whole and matrix.positions != self.tokens:
                raise InputError(
                    f"{self.origin}: {said(node)}: fires {matrix.positions} times where most fire {self.tokens} times; "
                    f"expected one firing a token; count it as digital work by --digital {node.name}"
                )

    def _input_of(self, number: int, matrix: Matrix) -> tuple[str, ...]:
        """What a matrix reads, and how: windows of a convolution are another input than what they slide over."""
        node = self.graph.nodes[number]
        if node.op not in CONVOLUTIONS:
            return (self._alias(matrix.read), str(matrix.positions) if self.is_whole else "")
        keys = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")
        return (self._alias(matrix.read), *(str(node.attributes.get(key)) for key in keys), str(matrix.n_in))

    def _alias(self, value: str) -> str:
        """The value that a matrix reads, whatever it was called or shaped on the way."""
        nodes, makers = self.graph.nodes, self._makers
        while value in makers and nodes[makers[value]].op in _SHAPED and nodes[makers[value]].inputs:
            value = nodes[makers[value]].inputs[0]
        return value

    @property
    def _makers(self) -> Mapping[str, int]:
        if not hasattr(self, "_made_by"):
            self._made_by = {name: n for n, node in enumerate(self.graph.nodes) for name in node.outputs if name}
        return self._made_by

    def _tensor(self, number: int) -> dict[str, Any]:
        """Where the file holds the numbers of a matrix, if it does as they are."""
        matrix, nodes = self.matrices[number], self.graph.nodes
        value, is_turned = matrix.weight, matrix.is_turned
        while (maker := self._makers.get(value)) is not None:
            if nodes[maker].op == "Transpose" and nodes[maker].attributes.get("perm", [1, 0]) == [1, 0]:
                is_turned = not is_turned
            elif nodes[maker].op != "Identity":
                return {}
            value = nodes[maker].inputs[0]
        rank = len(self.graph.values[value].shape or ())
        if value not in self.graph.weights or not value.isprintable() or len(value) > TENSOR_NAME_MAX:
            return {}
        if rank != 2 and nodes[number].op not in CONVOLUTIONS:
            return {}
        return {"tensor": {"name": value, "layout": "out_in" if is_turned else "in_out"}}

    def _reach(self, value: str, step_of: Mapping[int, int], reach: dict[str, int], before: Mapping[int, int]) -> int:
        """Bits of the steps that a value comes from, without those before another of them."""
        ahead = [value]
        while ahead:
            at = ahead[-1]
            number = self.flow.producer.get(at, -1)
            if at in reach or number < 0:
                reach.setdefault(at, 0)
                ahead.pop()
            elif number in step_of:
                reach[at] = 1 << step_of[number]
                ahead.pop()
            elif missing := [each for each in self.flow.made_inputs(self.graph.nodes[number]) if each not in reach]:
                ahead += missing
            else:
                bits = 0
                for made in self.flow.made_inputs(self.graph.nodes[number]):
                    bits |= reach[made]
                for each in _bits(bits):
                    bits &= ~before[each]
                reach[at] = bits
                ahead.pop()
        return reach[value]

    def _pending(self, values: Iterable[str]) -> list[int]:
        """The nodes between matrices and these values whose work no earlier step has."""
        found: set[int] = set()
        ahead = [value for value in values if value in self.flow.producer]
        while ahead:
            number = self.flow.producer[ahead.pop()]
            if number not in found and number not in self.assigned and number not in self.matrices:
                found.add(number)
                ahead += self.flow.made_inputs(self.graph.nodes[number])
        self.assigned |= found
        return sorted(found)

    def _add_work(self, entry: dict[str, Any], numbers: Sequence[int]) -> None:
        """The operations of nodes, those of one name together, and whether they need all tokens."""
        elements: dict[str, int] = {}
        cached, is_causal = 0, False
        for number in numbers:
            node = self.graph.nodes[number]
            work = self._work(number, node)
            if work is None:
                continue
            elements[work[0]] = elements.get(work[0], 0) + work[1]
            is_product = node.op in OPERANDS and number not in self.asked and len(self.flow.made_inputs(node)) == 2
            if is_product and not self.is_whole:
                cached += self._fewest_elements(node.inputs[OPERANDS[node.op][1]])
                is_causal = is_causal or self._is_causal(node)
        entry["operations"] = [
            {"name": name, "elements": ceil_div(each, self.tokens)} for name, each in elements.items() if each
        ]
        if cached:
            each = ceil_div(cached, self.tokens)
            entry["barrier"] = True
            entry["cache"] = {"read": each, "tokens": self.tokens, "written": each, "is_causal": is_causal}

    def _work(self, number: int, node: GraphNode) -> tuple[str, int] | None:
        if number in self.asked:
            self.found["digital"] += 1
            if number in self.macs:
                return "attention_mac", self.macs[number]
            if node.op not in OPERANDS:
                return digital_work_of(self.graph, self.origin, node)
        if number in self.fused.whole:
            self.found[self.fused.whole[number]] += 1
            return self.fused.whole[number], math.prod(sizes(self.graph, self.origin, node, node.outputs[0]))
        if number in self.fused.parts:
            return None
        work = work_of(self.graph, self.origin, node)
        if work is not None:
            self.found[work[0]] += 1
        return work

    def _fewest_elements(self, value: str) -> int:
        """Elements of a value before it was repeated, moved and scaled, and after it was cut."""
        least = self.graph.values[value].elements or 0
        while (node := self.flow.maker(value)) and len(made := self.flow.made_inputs(node)) == 1:
            if node.op not in FREE and self.flow.producer[value] not in self.fused.parts:
                break
            value = made[0]
            least = min(least, self.graph.values[value].elements or least)
        return least

    def _is_causal(self, product: GraphNode) -> bool:
        """Whether a mask on the scores of a product compares the positions of queries and keys."""
        nodes, values = self.graph.nodes, self.graph.values
        ahead: list[str] = []
        after = self.flow.only_reader(product.outputs[0])
        while after is not None and nodes[after].op in ON_SCORES:
            ahead += [name for name in nodes[after].inputs if name not in self.flow.producer]
            after = self.flow.only_reader(nodes[after].outputs[0])
        seen = set(ahead)
        while ahead:
            value = ahead.pop()
            if value not in self._makers:
                continue
            node = nodes[self._makers[value]]
            many = [name for name in node.inputs if name and (values[name].elements or 2) > 1]
            if node.op == "Trilu" or (node.op in _COMPARISONS and len(many) > 1):
                return True
            ahead += [name for name in node.inputs if name not in seen]
            seen.update(node.inputs)
        return False

    def _tail(self) -> dict[str, Any]:
        leaving = dict.fromkeys(self.flow.source(name) for name in self._ends() if name in self.flow.producer)
        entry: dict[str, Any] = {}
        self._add_work(entry, self._pending(leaving))
        total = sum(self.graph.values[name].elements or 0 for name in leaving)
        return {"operations": entry["operations"], "elements": ceil_div(total, self.tokens)}

    def _ends(self) -> list[str]:
        """What leaves the arrays: outputs but caches, and what matrices of a whole sequence read."""
        outputs = [name for name in self.graph.outputs if not name.startswith("present")]
        return [*outputs, *(name for n in self.once for name in self.graph.nodes[n].inputs)]

    def _unmapped(self) -> list[str]:
        told = ["embeddings, masks and what else comes before the first matrix", "biases"]
        if self.found["attention_mac"]:
            told.append("products of activations, which are digital work")
        if self.once:
            told.append(f"what runs once a sequence: {_listed([self.names[n] for n in self.once])}")
        if self.asked:
            told.append(f"as digital work by --digital: {_listed([self.graph.nodes[n].name for n in self.asked])}")
        weights = Counter(self._alias(self.matrices[n].weight) for n in self.matrices)
        if shared := [name for name, count in weights.items() if count > 1]:
            told.append(f"that weights are shared ({_listed(shared)}): each matrix is stored for itself")
        return [shown_name(each) for each in told]


TENSOR_NAME_MAX = 512
GROUPED = "GroupedConv"
"""What convolutions in groups are called, such as those of each channel for itself."""
_SHAPED = frozenset({"Identity", "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_NAME_KEPT = 160


def _listed(names: Iterable[str]) -> str:
    each = sorted(names)
    return ", ".join(shown_name(name) for name in each[:3]) + (f" and {len(each) - 3} more" if len(each) > 3 else "")


def _bits(number: int) -> list[int]:
    found = []
    while number:
        low = number & -number
        found.append(low.bit_length() - 1)
        number ^= low
    return found


def _live(graph: Graph) -> list[int]:
    """The nodes that the outputs come from, in order."""
    makers = {name: number for number, node in enumerate(graph.nodes) for name in node.outputs if name}
    found: set[int] = set()
    ahead = list(graph.outputs)
    while ahead:
        number = makers.get(ahead.pop(), -1)
        if number >= 0 and number not in found:
            found.add(number)
            ahead += graph.nodes[number].inputs
    return sorted(found)


def _most_positions(matrices: Iterable[Matrix]) -> int:
    """How often the matrices with most of the products fire in a pass of the graph."""
    macs = Counter[int]()
    for matrix in matrices:
        macs[matrix.positions] += matrix.macs
    return max(macs, key=lambda each: (macs[each], each), default=1)


def _names(graph: Graph, matrices: Mapping[int, Matrix]) -> dict[int, str]:
    """A name for each matrix: its module or its tensor where that is said, else its node."""
    found: dict[int, str] = {}
    taken = set[str]()
    for number, matrix in matrices.items():
        node = graph.nodes[number]
        name = node.scope
        if not name and matrix.weight in graph.weights and matrix.weight.endswith(".weight"):
            name = matrix.weight.removesuffix(".weight")
        if not name:
            name = node.name.strip("/").removesuffix(f"/{node.op}").replace("/", ".")
        name = one_line(name or node.op)[:_NAME_KEPT]
        while name in taken:
            name = f"{name}.{number}"
        taken.add(name)
        found[number] = name
    return found
