"""What a model stores and in which order it runs, from its steps and the texts of its structures alone.

docs/formulation.md, sections "Monarch factors" and "Gaps", in plain loops; nothing of the package is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles.naive_chip import Chip


@dataclass
class Factor:
    stage: int
    blocks: int
    rows: int
    cols: int


@dataclass
class Stage:
    name: str
    layer: int
    of_pass: str
    phase: int
    reads: list[int]
    operations: list[tuple[str, int]] = field(default_factory=list)
    moved: int = 0


@dataclass
class Tail:
    after: list[int]
    operations: list[tuple[str, int]]
    moved: int


@dataclass
class Gap:
    """Cycles of each part, pJ of each component, and what it is between."""

    partial_sums: int = 0
    digital: int = 0
    transfer: int = 0
    pj: dict[str, float] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        return self.partial_sums + self.digital + self.transfer


class Dataflow:
    """Factors and stages of `model`, each linear stored as `structure` (name -> `dense` or `k,l,T`) says."""

    def __init__(self, model: Any, structure: Mapping[str, str]) -> None:
        self.factors: list[Factor] = []
        self.stages: list[Stage] = []
        self.passes: list[str] = []
        result_of_step: list[int] = []
        for step in model.steps:
            if step.pass_name not in self.passes:
                self.passes.append(step.pass_name)
            stored = [(each, structure[each.name]) for each in step.linears]
            first = Stage(step.name, step.layer, step.pass_name, step.phase, [])
            if step.reads:
                first.reads = [result_of_step[index] for index in step.reads]
                first.operations = [(each.name, each.elements) for each in step.operations]
                first.moved = step.linears[0].n_in
            elif step.pass_name != self.passes[0]:
                first.reads = self.ends_of(self.passes[self.passes.index(step.pass_name) - 1])
            number = len(self.stages)
            self.stages.append(first)
            shuffled, second = 0, []
            for linear, how in stored:
                if how == "dense":
                    self.factors.append(Factor(number, 1, linear.n_in, linear.n_out))
                    continue
                k, l, rank = (int(text) for text in how.split(","))  # noqa: E741  the equations' own letter
                self.factors.append(Factor(number, k, linear.n_in // k, rank * l))
                second.append(Factor(number + 1, l, rank * k, linear.n_out // l))
                shuffled += k * l * rank
            if second:
                first.name += ".R"
                self.factors += second
                self.stages.append(
                    Stage(f"{step.name}.L", step.layer, step.pass_name, step.phase, [number], [], shuffled)
                )
            result_of_step.append(len(self.stages) - 1)
        self.tails = {
            name: Tail(self.ends_of(name), [(each.name, each.elements) for each in operations], elements)
            for name, (operations, elements) in model.tails.items()
        }

    def ends_of(self, name: str) -> list[int]:
        """The stages of a pass that no other of it reads."""
        own = [number for number, stage in enumerate(self.stages) if stage.of_pass == name]
        return [number for number in own if not any(number in self.stages[other].reads for other in own)]

    def starts_pass(self, number: int) -> bool:
        stage = self.stages[number]
        return not any(self.stages[read].of_pass == stage.of_pass for read in stage.reads)

    def pass_before(self, number: int) -> str | None:
        """The pass that a stage waits for as the first of a later one, else None."""
        at = self.passes.index(self.stages[number].of_pass)
        return self.passes[at - 1] if at and self.starts_pass(number) else None

    def weights(self) -> int:
        return sum(factor.blocks * factor.rows * factor.cols for factor in self.factors)

    def fewest_sums(self, chip: Chip) -> list[int]:
        """Additions of partial sums by stage if blocks are cut along the rows no more than they must be."""
        sums, limit = [0] * len(self.stages), chip.most_rows()
        for factor in self.factors:
            parts = 1
            while parts * limit < factor.rows:
                parts += 1
            for _ in range(factor.blocks):
                for _ in range(factor.cols):
                    sums[factor.stage] += parts - 1
        return sums


class Gaps:
    """All gaps of one token where stages make `sums` partial sums to add."""

    def __init__(self, chip: Chip, flow: Dataflow, sums: list[int]) -> None:
        self.chip, self.flow, self.sums = chip, flow, sums
        self.tails = {name: self.gap(tail.after, tail.operations, tail.moved) for name, tail in flow.tails.items()}
        self.before: list[Gap] = []
        for number, stage in enumerate(flow.stages):
            earlier = flow.pass_before(number)
            if earlier is not None:
                self.before.append(self.tails[earlier])
            elif flow.starts_pass(number):
                self.before.append(Gap())
            else:
                self.before.append(self.gap(stage.reads, stage.operations, stage.moved))

    def gap(self, reads: Iterable[int], operations: list[tuple[str, int]], moved: int) -> Gap:
        found = Gap()
        added = sum(self.sums[read] for read in reads)
        if added:
            found.partial_sums = self.chip.operation_cycles("add", added)
            found.pj["partial_sums"] = self.chip.operation_pj("add", added)
        for name, elements in operations:
            found.digital += self.chip.operation_cycles(name, elements)
            found.pj[name] = found.pj.get(name, 0.0) + self.chip.operation_pj(name, elements)
        if moved:
            found.transfer = self.chip.transfer_cycles(moved)
            found.pj["transfer"] = self.chip.transfer_pj(moved)
        return found

    def of_phase(self, phase: int | None = None) -> list[Gap]:
        """What a phase pays for a token, or the whole token: gaps inside passes, and tails in their last phase."""
        flow, found = self.flow, []
        for number, stage in enumerate(flow.stages):
            if phase in (None, stage.phase) and not flow.starts_pass(number):
                found.append(self.before[number])
        for name, gap in self.tails.items():
            last = max(stage.phase for stage in flow.stages if stage.of_pass == name)
            if phase in (None, last):
                found.append(gap)
        return found

    def of_rows(self) -> list[Gap]:
        """By stage, what stands before it, a tail between passes once; then the last pass's tail."""
        flow, rows, told = self.flow, [], set()
        for number, gap in enumerate(self.before):
            earlier = flow.pass_before(number)
            rows.append(Gap() if earlier in told else gap)
            if earlier is not None:
                told.add(earlier)
        return [*rows, self.tails[flow.passes[-1]]]
