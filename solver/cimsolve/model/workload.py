"""What a model asks of the arrays: factors, stages and the edges between them.

Everything here follows from the question alone (model, structures): no placement, no schedule. The checker
rebuilds it for every solution it judges.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Ints, sum_by
from cimsolve.model.model import CacheUse, Experts, Linear, Model, Operation, Step, Tail
from cimsolve.model.structure import Structure


@dataclass(frozen=True)
class Factor:
    """What is stored of one linear: the matrix as it is, or one of the two block-diagonal factors.

    `blocks` diagonal blocks of `block_rows x block_cols` weights each. `input` and `output` number the vectors
    that it reads and makes: row r of block b takes element `b * block_rows + r` of `input`, its column c makes
    element `b * block_cols + c` of `output`. `expert`: the one of its stage to which it belongs; None: every token
    fires it. `repeats`: the factor of an earlier stage whose weights it fires again; None: it is stored itself.
    """

    id: int
    linear: str
    kind: str
    layer: int
    stage: int
    blocks: int
    block_rows: int
    block_cols: int
    input: int
    output: int
    expert: int | None = None
    repeats: int | None = None

    @property
    def weights(self) -> int:
        """Number of weights stored."""
        return self.blocks * self.block_rows * self.block_cols


@dataclass(frozen=True)
class Stage:
    """All blocks that may run at once, and the work that lies between them and the stages they read.

    `operations` are the digital operations, `transfer_elements` the vector elements moved, `cache` what is read and
    written of keys and values, all before the stage starts and once per token; a stage without `after` starts its pass
    and has none, or a part of a model.
    """

    id: int
    name: str
    layer: int
    pass_name: str
    phase: int
    after: tuple[int, ...]
    operations: tuple[Operation, ...]
    transfer_elements: int
    cache: CacheUse | None
    experts: Experts | None = None
    choice: int | None = None
    """Number of the choice by which a token fires experts here; stages that follow one choice fire the same."""
    positions: int = 1
    """How many times its blocks fire in a pass, one after the other."""


@dataclass(frozen=True)
class FactorTable:
    """The factors as columns; every array has shape (factors,)."""

    blocks: Ints
    block_rows: Ints
    block_cols: Ints
    stage: Ints
    input: Ints
    first_block: Ints
    """Number of the factor's first block when all blocks of the workload are counted through."""
    expert: Ints
    """The expert of each factor's stage to which it belongs; -1: every token fires it."""
    stored: Ints
    """The factor with whose weights each fires: itself, or the one that it repeats."""


@dataclass(frozen=True)
class Workload:
    """The factors and stages of one token pass, in dataflow order."""

    factors: tuple[Factor, ...]
    stages: tuple[Stage, ...]
    tails: Mapping[str, Tail]
    """Pass name -> what follows its last stage; the order is the order in which the passes run."""

    @cached_property
    def table(self) -> FactorTable:
        """The factors as columns."""

        def column(field: str) -> Ints:
            return np.array([getattr(factor, field) for factor in self.factors], dtype=np.int64)

        columns = {name: column(name) for name in ("blocks", "block_rows", "block_cols", "stage", "input")}
        expert = np.array([-1 if factor.expert is None else factor.expert for factor in self.factors], dtype=np.int64)
        stored = [factor.id if factor.repeats is None else factor.repeats for factor in self.factors]
        first_block = np.cumsum(columns["blocks"]) - columns["blocks"]
        return FactorTable(**columns, first_block=first_block, expert=expert, stored=np.array(stored, dtype=np.int64))

    @property
    def block_count(self) -> int:
        """Number of blocks of all factors."""
        return int(self.table.blocks.sum())

    @property
    def weight_count(self) -> int:
        """Number of weights stored in all factors."""
        return sum(factor.weights for factor in self.factors if factor.repeats is None)

    @cached_property
    def laps(self) -> int:
        """Most times that a token goes through stages of the same weights; 1 where no weights fire again."""
        return int(np.bincount(self.table.stored).max())

    @cached_property
    def chosen(self) -> Ints:
        """How many of its experts a token fires in each stage, 0 where it has none; shape (stages,)."""
        return np.array([0 if each.experts is None else each.experts.chosen for each in self.stages], dtype=np.int64)

    @cached_property
    def choices(self) -> tuple[Experts, ...]:
        """The experts of each choice, in dataflow order."""
        found = {each.choice: each.experts for each in self.stages if each.experts is not None}
        return tuple(found.values())

    @cached_property
    def has_experts(self) -> bool:
        """Whether some stage has experts."""
        return bool(self.chosen.any())

    @cached_property
    def positions(self) -> Ints:
        """How many times each stage's blocks fire in a pass; shape (stages,)."""
        return np.array([stage.positions for stage in self.stages], dtype=np.int64)

    @cached_property
    def has_positions(self) -> bool:
        """Whether some stage fires more than once in a pass."""
        return bool((self.positions > 1).any())

    @property
    def fires_all_once(self) -> bool:
        """Whether a pass fires all that is stored, and once."""
        return not self.has_experts and not self.has_positions and self.laps == 1

    def sum_fired(self, of_factors: Ints) -> Ints:
        """Sum for each stage of what a token fires: of the experts, all alike, of as many as it chooses; (stages,).

        All positions of a stage count.

        `of_factors` has shape (factors,).
        """
        table, count = self.table, len(self.stages)
        fired = sum_by(table.stage, np.where(table.expert < 0, of_factors, 0), count)
        if not self.has_experts:
            return fired * self.positions
        stored = np.array([1 if each.experts is None else each.experts.stored for each in self.stages], dtype=np.int64)
        of_experts = sum_by(table.stage, np.where(table.expert < 0, 0, of_factors), count)
        return np.asarray((fired + of_experts // stored * self.chosen) * self.positions)

    @property
    def fired_weight_count(self) -> int:
        """Number of weights stored that a token fires."""
        table = self.table
        return int(self.sum_fired(table.blocks * table.block_rows * table.block_cols).sum())

    @cached_property
    def kinds(self) -> npt.NDArray[np.str_]:
        """`dense`, `R` or `L` of each factor; shape (factors,)."""
        return np.array([factor.kind for factor in self.factors])

    @cached_property
    def is_chain(self) -> bool:
        """Whether every stage reads the one before it and no other: no two can overlap."""
        return all(stage.after == ((stage.id - 1,) if stage.id else ()) for stage in self.stages)

    @cached_property
    def factors_of_stage(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the factors of each stage."""
        members: list[list[int]] = [[] for _ in self.stages]
        for factor in self.factors:
            members[factor.stage].append(factor.id)
        return tuple(tuple(ids) for ids in members)

    def continues_pass(self, stage: int) -> bool:
        """Whether the stage reads another of its own pass; the others start a pass."""
        after = self.stages[stage].after
        return bool(after) and self.stages[after[0]].pass_name == self.stages[stage].pass_name

    @cached_property
    def last_stages(self) -> Mapping[str, tuple[int, ...]]:
        """Pass name -> the stages that no other stage of the pass reads."""
        read = {
            before
            for stage in self.stages
            for before in stage.after
            if self.stages[before].pass_name == stage.pass_name
        }
        return {
            name: tuple(s.id for s in self.stages if s.pass_name == name and s.id not in read) for name in self.tails
        }


def build_workload(model: Model, structures: Mapping[str, Structure]) -> Workload:
    """Factors and stages of `model` with each linear stored as `structures` says.

    A step (linears with one input) becomes one stage of everything that reads its input (dense matrices and `R`
    factors) and, where there are Monarch linears, a second one of their `L` factors. The passes of an
    encoder-decoder run one after the other: the target pass starts when the source pass has ended.
    """
    factors: list[Factor] = []
    stages: list[Stage] = []
    vectors = itertools.count()
    stored: dict[tuple[str, str], int] = {}

    def add_stage(
        step: Step,
        suffix: str,
        after: tuple[int, ...],
        work: tuple[Operation, ...],
        moved: int,
        cache: CacheUse | None = None,
    ) -> int:
        of_step = step.layer, step.pass_name, step.phase
        choice = choice_of_step[-1] if step.experts is not None else None
        name, experts = step.name + suffix, step.experts
        stages.append(Stage(len(stages), name, *of_step, after, work, moved, cache, experts, choice, step.positions))
        return stages[-1].id

    def add_factor(linear: Linear, kind: str, stage: int, shape: tuple[int, int, int], reads: int) -> None:
        layer, output = stages[stage].layer, next(vectors)
        number = len(factors)
        first = stored.setdefault((linear.name, kind), number)
        repeats = None if first == number else first
        factors.append(Factor(number, linear.name, kind, layer, stage, *shape, reads, output, linear.expert, repeats))

    last_stage_of_step: list[int] = []
    choice_of_step: list[int] = []
    choices = itertools.count()
    finals: list[int] = []
    previous_pass_ends: tuple[int, ...] = ()
    current_pass = model.steps[0].pass_name
    for step in model.steps:
        if step.pass_name != current_pass:
            current_pass, previous_pass_ends, finals = step.pass_name, tuple(finals), []
        after = tuple(last_stage_of_step[index] for index in step.reads) or previous_pass_ends
        choice_of_step.append(_choice(model, step, choice_of_step, choices))
        chosen = [(linear, structures[linear.name]) for linear in step.linears]
        monarchs = [(linear, structure) for linear, structure in chosen if not structure.is_dense]
        # The first stage of a later pass waits for the earlier pass but reads nothing of it.
        has_work = bool(step.reads) or step.begins_part
        work, moved, cache = (step.operations, step.moved_elements, step.cache) if has_work else ((), 0, None)
        last = first = add_stage(step, ".R" if monarchs else "", after, work, moved, cache)
        own_inputs = step.experts is not None and step.experts.own_inputs
        inputs: dict[tuple[int | None, int], int] = {}
        for linear, structure in chosen:
            of = linear.expert if own_inputs else None, linear.input
            reads = inputs[of] if of in inputs else inputs.setdefault(of, next(vectors))
            if structure.is_dense:
                add_factor(linear, "dense", first, linear.block, reads)
            else:
                add_factor(linear, "R", first, structure.factors(linear.n_in, linear.n_out)[0], reads)
        if monarchs:
            # The shuffle moves what the R factors make once; each L factor reads its own shuffled copy.
            last = add_stage(step, ".L", (first,), (), _shuffled_elements(step, monarchs))
            for linear, structure in monarchs:
                add_factor(linear, "L", last, structure.factors(linear.n_in, linear.n_out)[1], next(vectors))
        last_stage_of_step.append(last)
        finals = [s for s in finals if s not in after] + [last]
    return Workload(tuple(factors), tuple(stages), model.tails)


def _shuffled_elements(step: Step, monarchs: Sequence[tuple[Linear, Structure]]) -> int:
    """Elements between the R and the L factors of a step that a token moves: of experts those of the chosen."""
    always = experts = 0
    for linear, structure in monarchs:
        elements = structure.k * structure.l * structure.rank
        if linear.expert is None:
            always += elements
        else:
            experts += elements
    chosen = experts * step.experts.chosen // step.experts.stored if step.experts is not None else 0
    return step.positions * (always + chosen)


def _choice(model: Model, step: Step, earlier: Sequence[int], choices: Iterator[int]) -> int:
    """The choice that a step follows: that of as many experts which it reads, or one of its own; -1 without experts."""
    experts = step.experts
    if experts is None:
        return -1
    for index in step.reads if experts.own_inputs else ():
        read = model.steps[index].experts
        if read is not None and read[:2] == experts[:2]:
            return earlier[index]
    return next(choices)
