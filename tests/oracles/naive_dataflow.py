"""What a model stores and in which order it runs, from its steps and the texts of its structures alone.

docs/formulation.md, sections "Monarch factors", "Experts" and "Gaps", in plain loops, with nothing of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from oracles.naive_chip import Chip
from oracles.naive_memory import Kept, kept_before, written_after


@dataclass
class Factor:
    stage: int
    blocks: int
    rows: int
    cols: int
    shuffles: int | None = None
    """The R factor whose z an L factor reads."""
    expert: int | None = None
    is_stored: bool = True
    """False: its weights are those of an earlier step, and fire again."""
    begins: int = 0
    """Where its input begins, if the vectors of its stage stand one after the other."""


@dataclass
class Stage:
    name: str
    layer: int
    of_pass: str
    phase: int
    reads: list[int]
    operations: list[tuple[str, int]] = field(default_factory=list)
    moved: int = 0
    kept: Kept | None = None
    choices: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    """All sets of experts that a token may fire."""
    choice: int | None = None
    """Number of the choice that says which; steps whose experts read what those of another made follow its."""
    positions: int = 1
    """How many times its blocks fire in a pass."""


@dataclass
class Tail:
    after: list[int]
    operations: list[tuple[str, int]]
    moved: int
    kept: Kept | None = None


class Dataflow:
    """Factors and stages of `model`, each linear stored as `structure` (name -> `dense` or `k,l,T`) says."""

    def __init__(self, model: Any, structure: Mapping[str, str]) -> None:
        self.factors: list[Factor] = []
        self.stages: list[Stage] = []
        self.passes: list[str] = []
        self.tokens = {"source": model.source_tokens, "target": model.tokens, "token": model.tokens}
        """By pass, those of a prefill."""
        lengths = model.tokens, model.source_tokens
        told: set[str] = set()
        result_of_step: list[int] = []
        choice_of_step: list[int | None] = []
        choices_of_step: list[list[tuple[int, ...]]] = []
        choices = 0
        for step in model.steps:
            if step.pass_name not in self.passes:
                self.passes.append(step.pass_name)
            stored = [(each, structure[each.name]) for each in step.linears]
            first = Stage(step.name, step.layer, step.pass_name, step.phase, [], positions=step.positions)
            if step.reads:
                first.reads = [result_of_step[index] for index in step.reads]
                first.operations = [(each.name, each.elements) for each in step.operations]
                first.moved = sum(self.inputs_of(step) for _ in range(step.positions))
                first.kept = kept_before(step.name, step.layer, model.config, *lengths)
            elif step.pass_name != self.passes[0]:
                first.reads = self.ends_of(self.passes[self.passes.index(step.pass_name) - 1])
            if step.experts is not None:
                first.choices = list(combinations(range(step.experts.stored), step.experts.chosen))
                followed = [
                    choice_of_step[index]
                    for index in step.reads
                    if step.experts.own_inputs and choices_of_step[index] == first.choices
                ]
                first.choice = followed[0] if followed else choices
                choices += not followed
            choice_of_step.append(first.choice)
            choices_of_step.append(first.choices)
            number = len(self.stages)
            self.stages.append(first)
            shuffled, second = 0, []
            for linear, how in stored:
                new = linear.name not in told
                told.add(linear.name)
                begins = 0
                for earlier in {each.input: each.n_in for each in step.linears if each.input < linear.input}.values():
                    begins += earlier
                if how == "dense":
                    blocks = linear.groups
                    rows, cols = linear.n_in // blocks, linear.n_out // blocks
                    self.factors.append(Factor(number, blocks, rows, cols, None, linear.expert, new, begins))
                    continue
                k, l, rank = (int(text) for text in how.split(","))  # noqa: E741  the equations' own letter
                self.factors.append(Factor(number, k, linear.n_in // k, rank * l, None, linear.expert, new, begins))
                of_r = len(self.factors) - 1
                second.append(Factor(number + 1, l, rank * k, linear.n_out // l, of_r, linear.expert, new))
                if linear.expert is None or linear.expert in first.choices[0]:
                    shuffled += k * l * rank
            if second:
                first.name += ".R"
                self.factors += second
                last = Stage(f"{step.name}.L", step.layer, step.pass_name, step.phase, [number], [])
                last.moved, last.positions = step.positions * shuffled, step.positions
                last.choices, last.choice = first.choices, first.choice
                self.stages.append(last)
            result_of_step.append(len(self.stages) - 1)
        self.tails = {
            name: Tail(
                self.ends_of(name),
                [(each.name, each.elements) for each in tail.operations],
                tail.transfer_elements,
                written_after(name, model.config, model.source_tokens),
            )
            for name, tail in model.tails.items()
        }

    def inputs_of(self, step: Any) -> int:
        """Elements of all vectors that a token brings to a step: experts are alike, so any choice has as many."""
        own = step.experts is not None and step.experts.own_inputs
        moved, told = 0, set()
        for linear in step.linears:
            fires = not own or linear.expert is None or linear.expert < step.experts.chosen
            vector = (linear.expert if own else None, linear.input)
            if fires and vector not in told:
                moved += linear.n_in
                told.add(vector)
        return moved

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

    def follows(self, number: int) -> set[int]:
        """All stages that must have ended before this one starts."""
        reads = self.stages[number].reads
        return {*reads, *(earlier for read in reads for earlier in self.follows(read))}

    def kept_elements(self) -> int:
        """Elements of keys and values that one sequence leaves in the memory."""
        return sum(stage.kept.read() for stage in self.stages if stage.kept)

    def is_causal(self) -> bool:
        """Whether a token must wait for the one before it."""
        return any(stage.kept.is_causal for stage in self.stages if stage.kept)

    def weights(self) -> int:
        return sum(factor.blocks * factor.rows * factor.cols for factor in self.factors if factor.is_stored)

    def fires(self, factor: Factor, choice: tuple[int, ...]) -> bool:
        return factor.expert is None or factor.expert in choice

    def weights_fired(self) -> int:
        """Of those, what a token fires, as often as it does; of the experts any it may choose, as they are alike."""
        fired = [each for each in self.factors if self.fires(each, self.stages[each.stage].choices[0])]
        return sum(self.stages[each.stage].positions * each.blocks * each.rows * each.cols for each in fired)

    def fewest_sums(self, chip: Chip) -> list[int]:
        """Additions of partial sums by stage if blocks are cut along the rows no more than they must be."""
        sums, limit = [0] * len(self.stages), chip.most_rows()
        for factor in self.factors:
            if not self.fires(factor, self.stages[factor.stage].choices[0]):
                continue
            parts = 1
            while parts * limit < factor.rows:
                parts += 1
            for _ in range(factor.blocks):
                for _ in range(factor.cols):
                    sums[factor.stage] += (parts - 1) * self.stages[factor.stage].positions
        return sums
