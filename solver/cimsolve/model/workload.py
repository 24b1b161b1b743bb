"""What a model asks of the arrays: factors, stages and the edges between them.

Everything here follows from the question alone (model, structures): no placement, no schedule. The checker
rebuilds it for every solution it judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.columns import Ints
from cimsolve.model.model import Linear, Model, Operation, Step
from cimsolve.model.structure import Structure


@dataclass(frozen=True)
class Factor:
    """What is stored of one linear: a dense matrix, or one of the two block-diagonal factors.

    `blocks` diagonal blocks of `block_rows x block_cols` weights each. `input` and `output` number the vectors
    that it reads and makes: row r of block b takes element `b * block_rows + r` of `input`, its column c makes
    element `b * block_cols + c` of `output`.
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

    @property
    def weights(self) -> int:
        """Number of weights stored."""
        return self.blocks * self.block_rows * self.block_cols


@dataclass(frozen=True)
class Stage:
    """All blocks that may run at once, and the work that lies between them and the stages they read.

    `operations` are the digital operations, `transfer_elements` the vector elements moved, both before the stage
    starts and once per token; a stage without `after` starts its pass and has neither.
    """

    id: int
    name: str
    layer: int
    pass_name: str
    phase: int
    after: tuple[int, ...]
    operations: tuple[Operation, ...]
    transfer_elements: int


@dataclass(frozen=True)
class Tail:
    """The work after the last stage of a pass: operations, and the elements that leave the chip."""

    operations: tuple[Operation, ...]
    transfer_elements: int


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

        blocks = column("blocks")
        return FactorTable(
            blocks=blocks,
            block_rows=column("block_rows"),
            block_cols=column("block_cols"),
            stage=column("stage"),
            input=column("input"),
            first_block=np.concatenate([[0], np.cumsum(blocks)[:-1]]).astype(np.int64),
        )

    @property
    def block_count(self) -> int:
        """Number of blocks of all factors."""
        return int(self.table.blocks.sum())

    @property
    def weight_count(self) -> int:
        """Number of weights stored in all factors."""
        return sum(factor.weights for factor in self.factors)

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


class _Builder:
    def __init__(self) -> None:
        self.factors: list[Factor] = []
        self.stages: list[Stage] = []
        self.vectors = 0

    def vector(self) -> int:
        """The number of a vector that no factor has yet."""
        self.vectors += 1
        return self.vectors - 1

    def stage(
        self,
        step: Step,
        suffix: str,
        after: tuple[int, ...],
        operations: tuple[Operation, ...],
        transfer_elements: int,
    ) -> int:
        number = len(self.stages)
        self.stages.append(
            Stage(
                id=number,
                name=step.name + suffix,
                layer=step.layer,
                pass_name=step.pass_name,
                phase=step.phase,
                after=after,
                operations=operations,
                transfer_elements=transfer_elements,
            )
        )
        return number

    def factor(self, linear: Linear, kind: str, layer: int, stage: int, shape: tuple[int, int, int], reads: int) -> int:
        output = self.vector()
        blocks, rows, cols = shape
        self.factors.append(
            Factor(len(self.factors), linear.name, kind, layer, stage, blocks, rows, cols, reads, output)
        )
        return output


def build_workload(model: Model, structures: Mapping[str, Structure]) -> Workload:
    """Factors and stages of `model` with each linear stored as `structures` says.

    A step (linears with one input) becomes one stage of everything that reads its input (dense matrices and `R`
    factors) and, where there are Monarch linears, a second one of their `L` factors. The passes of an
    encoder-decoder run one after the other: the target pass starts when the source pass has ended.
    """
    builder = _Builder()
    last_stage_of_step: list[int] = []
    final_of_pass: dict[str, list[int]] = {}
    previous_pass_ends: tuple[int, ...] = ()
    current_pass: str | None = None
    for step in model.steps:
        if step.pass_name != current_pass:
            if current_pass is not None:
                previous_pass_ends = tuple(final_of_pass[current_pass])
            current_pass = step.pass_name
            final_of_pass[current_pass] = []
        after = tuple(last_stage_of_step[index] for index in step.reads) or previous_pass_ends
        n_in = step.linears[0].n_in
        # The first stage of a later pass waits for the earlier pass but reads nothing of it.
        reads_something = bool(step.reads)
        has_monarch = any(not structures[linear.name].is_dense for linear in step.linears)
        first = builder.stage(
            step,
            ".R" if has_monarch else "",
            after,
            step.operations if reads_something else (),
            n_in if reads_something else 0,
        )
        step_input = builder.vector()
        second_factors: list[tuple[Linear, Structure, int]] = []
        for linear in step.linears:
            structure = structures[linear.name]
            if structure.is_dense:
                builder.factor(linear, "dense", step.layer, first, (1, linear.n_in, linear.n_out), step_input)
            else:
                shape_r, _ = structure.factors(linear.n_in, linear.n_out)
                z = builder.factor(linear, "R", step.layer, first, shape_r, step_input)
                second_factors.append((linear, structure, z))
        last = first
        if second_factors:
            # The shuffle moves z once; each L factor reads its own shuffled copy.
            moved = sum(s.k * s.l * s.rank for _, s, _ in second_factors)
            last = builder.stage(step, ".L", (first,), (), moved)
            for linear, structure, _ in second_factors:
                _, shape_l = structure.factors(linear.n_in, linear.n_out)
                builder.factor(linear, "L", step.layer, last, shape_l, builder.vector())
        last_stage_of_step.append(last)
        finals = final_of_pass[step.pass_name]
        final_of_pass[step.pass_name] = [s for s in finals if s not in after] + [last]
    return Workload(
        factors=tuple(builder.factors),
        stages=tuple(builder.stages),
        tails={name: Tail(operations, elements) for name, (operations, elements) in model.tails.items()},
    )
