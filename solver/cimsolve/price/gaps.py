"""What lies between stages: partial sums, digital operations, transfers; and what of it every mapping pays alike.

Equations: docs/formulation.md, section "Gaps".
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import numpy as np

from cimsolve.columns import Ints, sum_by
from cimsolve.errors import InputError
from cimsolve.model.model import Operation
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

ELEMENTS_MAX = 2**40
MOVED_MAX = 2**36
CYCLES_MAX = 2**60
"""Most elements of one digital operation, of one transfer, and most cycles of a gap.

At the slowest that a hardware spec can say, their picoseconds fit int64.
"""


@dataclass(frozen=True)
class Gap:
    """One gap, once per token. Every operation starts on a clock edge, so the parts add up exactly."""

    partial_sum_cycles: int = 0
    digital_cycles: int = 0
    transfer_cycles: int = 0
    energy_pj: MappingABC[str, float] = field(default_factory=dict)
    """Component -> energy: `partial_sums`, `transfer`, and each digital operation by name."""

    @property
    def parts_cycles(self) -> dict[str, int]:
        """`partial_sums`, `digital`, `transfer` -> cycles; they sum to `cycles`."""
        return {
            "partial_sums": self.partial_sum_cycles,
            "digital": self.digital_cycles,
            "transfer": self.transfer_cycles,
        }

    @property
    def units_cycles(self) -> int:
        """Cycles of the digital units."""
        return self.partial_sum_cycles + self.digital_cycles

    @property
    def cycles(self) -> int:
        """Cycles of the whole gap."""
        return self.units_cycles + self.transfer_cycles


@dataclass(frozen=True)
class Gaps:
    """The gap before each stage, and the one after each pass, which is also the one before the next pass."""

    before: tuple[Gap, ...]
    within: tuple[bool, ...]
    """Whether the gap before each stage lies within its pass; another one is the tail of the pass before."""
    tails: MappingABC[str, Gap]
    added: Ints
    """Partial sums that each stage leaves to add, shape (stages,)."""

    @cached_property
    def before_cycles(self) -> Ints:
        """Cycles of the gap before each stage; shape (stages,)."""
        return np.array([gap.cycles for gap in self.before], dtype=np.int64)

    @property
    def own(self) -> list[Gap]:
        """Every gap of a token once: those within passes, then the tails."""
        return [*(gap for gap, within in zip(self.before, self.within, strict=True) if within), *self.tails.values()]

    @property
    def last_tail(self) -> Gap:
        """The gap after the last pass, which ends the token."""
        return list(self.tails.values())[-1]


def partial_sum_elements(problem: Problem, pieces: Pieces) -> Ints:
    """Digital additions per stage: each piece beyond the first that feeds an output; shape (stages,).

    The pieces of a block tile it (P1), so the columns of all pieces less those of all blocks count them.
    """
    table = problem.table
    stages = len(problem.workload.stages)
    made = sum_by(table.stage[pieces.factor], pieces.cols, stages)
    return np.asarray(made - sum_by(table.stage, table.blocks * table.block_cols, stages))


def least_partial_sum_elements(problem: Problem) -> Ints:
    """Digital additions per stage with the fewest row cuts that the limits allow: no mapping adds less; (stages,)."""
    table = problem.table
    added = (problem.row_parts - 1) * table.blocks * table.block_cols
    return sum_by(table.stage, added, len(problem.workload.stages))


def find_gaps(problem: Problem, added: Ints) -> Gaps:
    """All gaps of a mapping whose partial sums per stage are `added`, shape (stages,).

    Raises InputError for more work than int64 picoseconds can count.
    """
    workload = problem.workload
    passes = list(workload.tails)
    adds = added.tolist()
    tails = {
        name: _gap(
            problem, sum(adds[stage] for stage in workload.last_stages[name]), tail.operations, tail.transfer_elements
        )
        for name, tail in workload.tails.items()
    }
    before: list[Gap] = []
    gap = cache(partial(_gap, problem))  # layers repeat each other
    for stage in workload.stages:
        if not stage.after:
            before.append(Gap())
        elif not workload.continues_pass(stage.id):
            # A later pass starts once the earlier one has ended, its tail included.
            before.append(tails[passes[passes.index(stage.pass_name) - 1]])
        else:
            summed = sum(adds[earlier] for earlier in stage.after)
            before.append(gap(summed, stage.operations, stage.transfer_elements))
    within = tuple(not stage.after or workload.continues_pass(stage.id) for stage in workload.stages)
    return Gaps(tuple(before), within, tails, added)


def least_gaps(problem: Problem) -> Gaps:
    """The gaps of a mapping with the fewest partial sums that the limits allow; no mapping has shorter ones."""
    return find_gaps(problem, least_partial_sum_elements(problem))


def gaps_of_phases(problem: Problem, gaps: Gaps) -> dict[int, list[Gap]]:
    """Phase -> the gaps that it pays per token, phases in order; the tail of a pass belongs to its last phase."""
    stages = problem.workload.stages
    found: dict[int, list[Gap]] = {name: [] for name in sorted({stage.phase for stage in stages})}
    for stage in stages:
        if problem.workload.continues_pass(stage.id):
            found[stage.phase].append(gaps.before[stage.id])
    for name, tail in gaps.tails.items():
        found[max(stage.phase for stage in stages if stage.pass_name == name)].append(tail)
    return found


def shared_cycles(gaps: Iterable[Gap]) -> tuple[int, int]:
    """Cycles that gaps hold the digital units and the interconnect."""
    held = [(gap.units_cycles, gap.transfer_cycles) for gap in gaps]
    return sum(units for units, _ in held), sum(transfer for _, transfer in held)


def fixed_metrics(problem: Problem, gaps: Gaps) -> dict[str, int | float]:
    """The metrics of a token and a prefill if arrays took no time and nothing but their cells cost energy.

    What every mapping pays alike, that of `gaps` too: digital operations, transfers, the partial sums of row cuts
    that cannot be avoided, and the cells, each of which is driven once. A ratio between two mappings is a ratio of
    what lies on top of this. It is no bound on what arrays need beyond it: `prove/` has those.

    Gaps run one at a time (S6), so a token takes their sum at least. The leakage is that of the arrays which the
    weights' area needs, over this time.
    """
    hardware = problem.hardware
    clock_ns = hardware.clock_ps / 1000
    least = gaps if (gaps.added == least_partial_sum_elements(problem)).all() else least_gaps(problem)
    latency, interval = sum(gap.cycles for gap in least.own), max(shared_cycles(least.own))
    prefill = 0
    for members in gaps_of_phases(problem, least).values():
        prefill += sum(gap.cycles for gap in members) + (problem.model.tokens - 1) * max(shared_cycles(members))
    energy = sum(value for gap in least.own for value in gap.energy_pj.values())
    energy += hardware.array_kind.cell_pj * (problem.weight_cells * hardware.columns_per_weight)
    arrays = -(-problem.weight_cells // (problem.rows * problem.weights_per_row))
    energy += arrays * hardware.array.leakage_uw * latency * hardware.clock_ps * 1e-6
    return {
        "fixed_latency_ns": latency * clock_ns,
        "fixed_prefill_ns": prefill * clock_ns,
        "fixed_ii_cycles": interval,
        "fixed_ii_ns": interval * clock_ns,
        "fixed_energy_pj": energy,
    }


def _gap(problem: Problem, added: int, operations: tuple[Operation, ...], elements: int) -> Gap:
    hardware = problem.hardware
    most = max([added, *(operation.elements for operation in operations)])
    if most > ELEMENTS_MAX or elements > MOVED_MAX:
        raise _too_much_work(problem)
    energy_pj: dict[str, float] = {}
    partial_sum_cycles = 0
    if added:
        partial_sum_cycles = int(hardware.cycles(hardware.digital_ps("add", added)))
        energy_pj["partial_sums"] = float(hardware.digital_pj("add", added))
    digital_cycles = 0
    for operation in operations:
        digital_cycles += int(hardware.cycles(hardware.digital_ps(operation.name, operation.elements)))
        pj = float(hardware.digital_pj(operation.name, operation.elements))
        energy_pj[operation.name] = energy_pj.get(operation.name, 0.0) + pj
    transfer_cycles = 0
    if elements:
        bits = elements * hardware.input.bits
        transfer_cycles = int(hardware.cycles(hardware.transfer_ps(bits)))
        energy_pj["transfer"] = float(hardware.transfer_pj(bits))
    gap = Gap(partial_sum_cycles, digital_cycles, transfer_cycles, energy_pj)
    if gap.cycles > CYCLES_MAX:
        raise _too_much_work(problem)
    return gap


def _too_much_work(problem: Problem) -> InputError:
    return InputError(
        f"{problem.model.name}: more work between two stages than can be counted; expected at most "
        f"{ELEMENTS_MAX} elements an operation and {MOVED_MAX} a transfer"
    )
