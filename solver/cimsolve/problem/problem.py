"""A question with its workload: all that strategies, bounds and the checker work on.

Strategies answer it, the checker rebuilds it from a solution file's header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.model.workload import FactorTable, Workload, build_workload
from cimsolve.problem.question import Question
from cimsolve.problem.routing import Counted, counted, is_counted
from cimsolve.problem.terms import Cut, Terms

Others = ParamSpec("Others")
Found = TypeVar("Found")


class InputGroup(NamedTuple):
    """The blocks of a stage that read one vector in rows of one height: `inputs` row ranges, equal in all else.

    Each range feeds `columns` logical columns in `blocks` blocks of `block_cols`, and must be cut along the rows
    into `parts` pieces at least.
    """

    vector: int
    height: int
    parts: int
    inputs: int
    columns: int
    blocks: int
    block_cols: int
    experts: int = 0
    """Of so many experts, with as many inputs each, which never fire together; 0: every token fires it."""

    @property
    def inputs_together(self) -> int:
        """Inputs that may fire together: those of one expert."""
        return self.inputs // max(1, self.experts)

    @property
    def all_columns(self) -> int:
        """Logical columns that all ranges feed."""
        return self.inputs * self.columns


CYCLES_MAX = 2**42
"""Most cycles that one activation may last at all its positions: sums of a million of them fit int64."""


@dataclass(frozen=True)
class Problem:
    """One mapping question, and what follows from it alone. Raises InfeasibleError where no mapping can be an answer.

    Sizes below are in logical weights: an array holds `rows x weights_per_row` of them.
    """

    question: Question

    def __post_init__(self) -> None:
        """Raise InfeasibleError where the chip's memory cannot hold the keys and values of one sequence.

        Raises InputError for experts on a chip with a network, where what moves is that of the experts chosen; for
        convolutions there; for more time than can be counted; and for a routing that is not one of this model.
        """
        memory, model = self.hardware.memory, self.model
        if self.terms.routing is not None and all(step.experts is None for step in model.steps):
            raise InputError(f"routing: {model.name} has no experts to choose; leave it out")
        _ = self.counted
        self._demand_countable_positions()
        if self.hardware.interconnect is not None and any(step.experts is not None for step in model.steps):
            raise InputError(
                f"{model.name} has experts, and {self.hardware.name} a network: what moves there depends on those that "
                "a token chooses, which is not priced; take a chip without network and core, such as paper256"
            )
        if memory is None or model.cached_elements * memory.kv_bits <= memory.bits:
            return
        needed = model.cached_elements * memory.kv_bits / 1e6
        flags = "--tokens" if model.source_tokens is None else "--tokens, --source-tokens"
        raise InfeasibleError(
            f"memory.mbit = {memory.mbit:g} is short: keys and values of {model.tokens_told} of {model.name} take "
            f"{needed:.12g} Mbit at memory.kv_bits = {memory.kv_bits}; ask for fewer tokens ({flags}) or bits "
            f"(memory.kv_bits), or give memory.mbit = {needed:.12g}",
            is_final=True,
        )

    def _demand_countable_positions(self) -> None:
        most = max(step.positions for step in self.model.steps)
        if most == 1:
            return
        if self.hardware.interconnect is not None:
            raise InputError(
                f"{self.model.name} fires at many positions, and {self.hardware.name} has a network: what moves there "
                "is not priced; take a chip without network and core, such as paper256"
            )
        array = self.hardware.array
        longest = int(self.hardware.activation_cycles(np.array([self.rows_limit]), np.array([array.cols]))[0])
        if most * longest > CYCLES_MAX:
            raise InputError(
                f"{self.model.name} fires at {most} positions, of up to {longest} cycles on {self.hardware.name}: more "
                f"than can be counted; expected at most {CYCLES_MAX} cycles in all"
            )

    def asking(self, **changes: Any) -> Problem:
        """The problem of `Question.asking(**changes)`."""
        changed = Problem(self.question.asking(**changes))
        if changed.model is self.model and changed.structures is self.structures:
            changed.__dict__["workload"] = self.workload
        if changed.hardware is self.hardware and changed.cut == self.cut:
            changed.__dict__["known_of_chip"] = self.known_of_chip
        return changed

    @cached_property
    def known(self) -> dict[Any, Any]:
        """What functions that are `found_once` have found of this problem."""
        return {}

    @cached_property
    def known_of_chip(self) -> dict[Any, Any]:
        """What functions that are `found_once_of_chip` have found; parts of the model share it."""
        return {}

    @cached_property
    def workload(self) -> Workload:
        """Factors, stages and edges of the model as it is stored."""
        return build_workload(self.model, self.structures)

    @cached_property
    def counted(self) -> Counted | None:
        """What was counted of how tokens choose experts; None where nothing was."""
        routing = self.terms.routing
        return counted(routing, self.workload.choices, self.model.name) if routing and is_counted(routing) else None

    @cached_property
    def stored(self) -> Problem:
        """The problem of the weights as they are stored, those that fire again once; itself where none do."""
        stored = self.model.stored
        # Counts are of the choices of all laps.
        routing = None if is_counted(self.terms.routing) else self.terms.routing
        return self if stored is self.model else Problem(self.question.asking(model=stored, routing=routing))

    @property
    def hardware(self) -> Hardware:
        return self.question.hardware

    @property
    def model(self) -> Model:
        return self.question.model

    @property
    def structures(self) -> Mapping[str, Structure]:
        return self.question.structures

    @property
    def terms(self) -> Terms:
        return self.question.terms

    @property
    def objective(self) -> tuple[str, ...]:
        return self.question.objective

    @property
    def cut(self) -> Cut:
        return self.terms.cut

    @property
    def cost_limits(self) -> dict[str, float]:
        """Metric -> the most that the user allows."""
        limits = {name.removeprefix("max_"): limit for name, limit in self.terms if name.startswith("max_")}
        return {metric: limit for metric, limit in limits.items() if metric != "arrays" and limit is not None}

    @property
    def has_cost_limits(self) -> bool:
        """Whether the user limits latency or energy."""
        return bool(self.cost_limits)

    def excess(self, metrics: Mapping[str, int | float]) -> float:
        """How far metrics are over the cost limits, as a sum of shares; 0 where all are kept."""
        return sum(max(0.0, metrics[metric] / limit - 1) for metric, limit in self.cost_limits.items())

    @property
    def rows(self) -> int:
        """Rows of an array."""
        return self.hardware.array.rows

    @property
    def weights_per_row(self) -> int:
        """Logical columns of an array."""
        return self.hardware.weights_per_row

    @property
    def rows_limit(self) -> int:
        """Most rows of a piece: a piece fires whole, so the driver and converter limits bound its height."""
        return self.hardware.rows_limit

    @property
    def array_limit(self) -> int | None:
        """Most arrays a mapping may use, or None for as many as needed."""
        limits = [limit for limit in (self.hardware.arrays_max, self.terms.max_arrays) if limit is not None]
        return min(limits) if limits else None

    @property
    def places_told(self) -> str:
        """What `array_limit` is where the places of a network set it; else empty."""
        return self.hardware.places_told if self.array_limit == self.hardware.arrays_max else ""

    @property
    def table(self) -> FactorTable:
        """The factors as columns."""
        return self.workload.table

    @cached_property
    def row_parts(self) -> Ints:
        """Fewest pieces along the rows that each factor's blocks must be cut into; shape (factors,)."""
        return ceil_div(self.table.block_rows, self.rows_limit)

    @cached_property
    def forced_additions(self) -> Ints:
        """Additions of parts of outputs that each factor needs with the fewest row cuts; shape (factors,)."""
        return np.asarray((self.row_parts - 1) * self.table.blocks * self.table.block_cols)

    @property
    def must_cut_rows(self) -> bool:
        """Whether some block is taller than a piece may be."""
        return bool((self.row_parts > 1).any())

    @property
    def is_dense(self) -> bool:
        """Whether every matrix is stored dense."""
        return all(structure.is_dense for structure in self.structures.values())

    @cached_property
    def least_pieces(self) -> Ints:
        """Fewest pieces that each factor must be cut into, to fit an array and the rows at once; shape (factors,)."""
        return self.table.blocks * self.row_parts * ceil_div(self.table.block_cols, self.weights_per_row)

    @cached_property
    def phase_tokens(self) -> Mapping[int, int]:
        """Phase -> tokens of a prefill that go through it, those of its pass; phases in order."""
        found = {stage.phase: self.model.tokens_of(stage.pass_name) for stage in self.workload.stages}
        return dict(sorted(found.items()))

    @cached_property
    def later_tokens(self) -> tuple[int, ...]:
        """Tokens of a prefill after the first, of each phase in order."""
        return tuple(tokens - 1 for tokens in self.phase_tokens.values())

    @cached_property
    def weight_cells(self) -> int:
        """Logical cells that the stored weights take."""
        return self.workload.weight_count

    @cached_property
    def weight_cells_fired(self) -> int:
        """Logical cells of the stored weights that a token fires."""
        return self.workload.fired_weight_count

    @cached_property
    def stage_groups(self) -> tuple[tuple[InputGroup, ...], ...]:
        """Per stage, the groups that a token fires; stages of equal shape compare equal once vectors are renumbered.

        Experts, which fire apart, count as further inputs of one of them.
        """
        found = []
        for stage in self.workload.stages:
            found.append(self.groups_of(stage.id, None if stage.experts is None else stage.experts.chosen))
        return tuple(found)

    @cached_property
    def stored_groups(self) -> tuple[tuple[InputGroup, ...], ...]:
        """Per stage, its groups if a token fired all experts."""
        if not self.workload.has_experts:
            return self.stage_groups
        return tuple(self.groups_of(stage.id) for stage in self.workload.stages)

    def groups_of(self, stage: int, fired: int | None = None, always: bool = True) -> tuple[InputGroup, ...]:
        """The groups of a stage that fires so many of its experts (None: all), and what `always` fires."""
        factors, experts = self.workload.factors, self.workload.stages[stage].experts
        vectors: dict[tuple[int, bool], int] = {}
        widths: dict[tuple[int, int, int, int], list[int]] = {}
        for factor in (factors[number] for number in self.workload.factors_of_stage[stage]):
            inputs, apart = factor.blocks, 0
            if factor.expert is None:
                inputs *= always
            elif experts is not None:  # all are as the first of them
                apart = experts.stored if fired is None else fired
                inputs *= apart * (factor.expert == 0)
            if not inputs:
                continue
            vector = vectors.setdefault((factor.input, factor.expert is None), len(vectors))
            widths.setdefault((vector, factor.block_rows, inputs, apart), []).append(factor.block_cols)
        # Of blocks of several widths on one input only the least is used, to stay on the safe side.
        return tuple(
            InputGroup(vector, rows, ceil_div(rows, self.rows_limit), inputs, sum(cols), len(cols), min(cols), apart)
            for (vector, rows, inputs, apart), cols in widths.items()
        )


def found_once(
    find: Callable[Concatenate[Problem, Others], Found],
) -> Callable[Concatenate[Problem, Others], Found]:
    """The function, which then finds its answer to equal arguments once for a problem; nobody may change the answer."""
    return _found_once(find, lambda problem: problem.known)


def found_once_of_chip(
    find: Callable[Concatenate[Problem, Others], Found],
) -> Callable[Concatenate[Problem, Others], Found]:
    """As `found_once`, of a function whose answer depends on its arguments, the chip and the cuts alone."""
    return _found_once(find, lambda problem: problem.known_of_chip)


def _found_once(
    find: Callable[Concatenate[Problem, Others], Found], known_of: Callable[[Problem], dict[Any, Any]]
) -> Callable[Concatenate[Problem, Others], Found]:
    name = f"{find.__module__}.{find.__qualname__}"

    @wraps(find)
    def found(problem: Problem, /, *args: Others.args, **named: Others.kwargs) -> Found:
        known, key = known_of(problem), (name, args, *sorted(named.items()))
        if key not in known:
            known[key] = find(problem, *args, **named)
        answer: Found = known[key]
        return answer

    return found
