"""What lies between stages: partial sums, digital operations, transfers; and what of it every mapping pays alike.

Equations: docs/formulation.md, section "Gaps".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, sum_by
from cimsolve.errors import InputError
from cimsolve.model.model import CacheUse, Operation
from cimsolve.model.workload import Workload
from cimsolve.price.experts import sum_at_most
from cimsolve.price.memory import BESIDE, BITS_MAX, MemoryUse, least_interval, use_memory
from cimsolve.price.moves import Move, TokenMoves, busiest_ps
from cimsolve.problem.problem import Problem, found_once
from cimsolve.problem.tables import Pieces

ELEMENTS_MAX = 2**40
MOVED_MAX = 2**36
CYCLES_MAX = 2**60
"""Most elements of one digital operation, of one transfer, and most cycles of a gap.

At the slowest that a hardware spec can say, their picoseconds fit int64.
"""


@dataclass(frozen=True)
class Passing:
    """A move that a gap waits for."""

    way: str
    """`up`, `over` or `down`."""
    stage: int
    """The stage that makes what goes up, or reads what comes over or down."""
    move: Move
    cycles: int
    """All that it takes."""
    counted_cycles: int
    """What of it the gap's `transfer_cycles` count: nothing of what passes beside longer moves."""


@dataclass(frozen=True)
class Gap:
    """One gap, once per token. Every operation starts on a clock edge, so the parts add up exactly."""

    partial_sum_cycles: int = 0
    digital_cycles: int = 0
    transfer_cycles: int = 0
    energy_pj: MappingABC[str, float] = field(default_factory=dict)
    """Component -> energy: `partial_sums`, `transfer` (or `network` and `bus`), `memory`, and each digital operation by
    name."""
    moves: tuple[Move, ...] = ()
    """What is moved in it, on a chip with a network."""
    passing: tuple[Passing, ...] = ()
    """What `transfer_cycles` are of, in the order of time: `moves`, and those that an earlier gap waited for too."""
    memory: MemoryUse | None = None
    """What keys and values take, on a chip with a memory for them."""

    @property
    def parts_cycles(self) -> dict[str, int]:
        """`partial_sums`, `digital`, `transfer`, and `memory` where there is one -> cycles; they sum to `cycles`."""
        parts = {
            "partial_sums": self.partial_sum_cycles,
            "digital": self.digital_cycles,
            "transfer": self.transfer_cycles,
        }
        return parts if self.memory is None else {**parts, "memory": self.memory_cycles}

    @property
    def memory_cycles(self) -> int:
        """Cycles that keys and values take beyond the operations beside them."""
        return 0 if self.memory is None else self.memory.beyond_cycles

    @property
    def units_cycles(self) -> int:
        """Cycles of the digital units."""
        return self.partial_sum_cycles + self.digital_cycles

    @property
    def cycles(self) -> int:
        """Cycles of the whole gap."""
        return self.units_cycles + self.transfer_cycles + self.memory_cycles


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
    """Digital additions per stage of a flat chip: each piece beyond the first that feeds an output; shape (stages,).

    Of experts those that need most. The pieces of a block tile it (P1), so the columns of all pieces less those of all
    blocks count them.
    """
    table, workload = problem.table, problem.workload
    made = sum_by(pieces.factor, pieces.cols, len(table.blocks))
    added = sum_at_most(table.stage, table.expert, made - table.blocks * table.block_cols, workload.chosen)
    return added * workload.positions


def least_partial_sum_elements(problem: Problem) -> Ints:
    """Digital additions per stage with the fewest row cuts that the limits allow: no mapping adds less; (stages,).

    None on a chip with cores.
    """
    if problem.hardware.interconnect is not None:
        return np.zeros(len(problem.workload.stages), dtype=np.int64)  # cores may add them all
    return problem.workload.sum_fired(problem.forced_additions)


def find_gaps(problem: Problem, added: Ints, moves: TokenMoves | None = None) -> Gaps:
    """All gaps of a mapping whose partial sums per stage are `added`, shape (stages,), beyond those within cores.

    On a chip with a network, transfers are `moves`; without them there are none. Raises InputError for more work than
    int64 picoseconds can count.
    """
    workload = problem.workload
    passes, adds = list(workload.tails), added.tolist()
    carried = _flat_transfer if problem.hardware.transfer is not None else _Carrier(moves)
    gap = cache(partial(_gap, problem))  # layers repeat each other
    tails: dict[str, Gap] = {}
    for name, tail in workload.tails.items():
        last = workload.last_stages[name]
        later = [stage.id for stage in workload.stages if stage.after == last and not workload.continues_pass(stage.id)]
        moved = carried(problem, last, later, tail.transfer_elements)
        summed = sum(adds[stage] for stage in last)
        tails[name] = _gap(problem, summed, tail.operations, moved, tail.cache, problem.model.tokens_of(name))
    before: list[Gap] = []
    for stage in workload.stages:
        if stage.after and not workload.continues_pass(stage.id):
            # A later pass starts once the earlier one has ended, its tail included.
            before.append(tails[passes[passes.index(stage.pass_name) - 1]])
        else:
            read = stage.after if problem.hardware.transfer is not None else arriving(workload, stage.id)
            summed = sum(adds[earlier] for earlier in read)
            moved = carried(problem, read, [stage.id], stage.transfer_elements)
            tokens = problem.model.tokens_of(stage.pass_name)
            before.append(gap(summed, stage.operations, moved, stage.cache, tokens))
    within = tuple(not stage.after or workload.continues_pass(stage.id) for stage in workload.stages)
    return Gaps(tuple(before), within, tails, added)


def arriving(workload: Workload, stage: int) -> Sequence[int]:
    """Of the stages that one reads, those whose outputs are not at the hub yet: no stage before it has read them."""
    found = workload.stages[stage].after
    if len(found) < 2:  # what alone is read was read by no stage before
        return found
    there: set[int] = set()
    before, seen = [*found], set(found)
    while before:
        read = workload.stages[before.pop()].after
        there.update(read)
        fresh = {each for each in read if each > min(found)} - seen
        before += fresh
        seen |= fresh
    return [each for each in found if each not in there]


def pass_begins(problem: Problem, gaps: Gaps, start: Ints) -> int:
    """When a token's pass begins, in cycles: a gap before its first stages, which start at `start`, shape (stages,)."""
    first = [stage.id for stage in problem.workload.stages if not stage.after]
    return min(int(start[stage]) - gaps.before[stage].cycles for stage in first)


@dataclass(frozen=True)
class _Carried:
    """What a gap moves: `together` are cycles that pass beside the partial sums, `cycles` all others."""

    cycles: int = 0
    together: int = 0
    energy_pj: tuple[tuple[str, float], ...] = ()
    moves: tuple[Move, ...] = ()
    passing: tuple[Passing, ...] = ()

    def counted(self, transfer_cycles: int) -> tuple[Passing, ...]:
        """Its moves where a gap counts so many cycles: of those between cores, or else of those beside them."""
        if transfer_cycles > self.cycles:
            return tuple(
                replace(each, counted_cycles=transfer_cycles if each.way == "over" else 0) for each in self.passing
            )
        return tuple(replace(each, counted_cycles=0 if each.way == "over" else each.cycles) for each in self.passing)


def _flat_transfer(problem: Problem, read: Sequence[int], stages: Sequence[int], elements: int) -> _Carried:
    if elements > MOVED_MAX:
        raise _too_much_work(problem)
    if not elements:
        return _Carried()
    hardware, bits = problem.hardware, elements * problem.hardware.input.bits
    cycles = int(hardware.cycles(hardware.transfer_ps(bits)))
    return _Carried(cycles, energy_pj=(("transfer", float(hardware.transfer_pj(bits))),))


class _Carrier:
    """The moves of gaps, called in the order of the stages.

    What several stages read goes up once, in the gap before the first. Others that may start as early wait as long.
    """

    def __init__(self, moves: TokenMoves | None) -> None:
        self.moves = moves
        self.risen: set[int] = set()

    def __call__(self, problem: Problem, read: Sequence[int], stages: Sequence[int], elements: int) -> _Carried:
        if self.moves is None:
            return _Carried()
        hardware, moves = problem.hardware, self.moves
        passing = tuple(
            Passing(way, stage, move, cycles_of_move(hardware, move), 0)
            for way, at, of in (("up", read, moves.up), ("over", stages, moves.over), ("down", stages, moves.down))
            for stage in at
            if (move := of[stage]) is not None
        )
        fresh = [each for each in read if each not in self.risen]
        charged = [each.move for each in passing if each.way != "up" or each.stage in fresh]
        self.risen.update(fresh)
        core_pj = hardware.core_add_pj * sum(int(moves.core_added[each]) for each in fresh)
        energy = {
            "network": math.fsum(move.network_pj for move in charged),
            "bus": math.fsum(move.bus_pj for move in charged),
            "partial_sums": core_pj,
        }
        return _Carried(
            sum(each.cycles for each in passing if each.way != "over"),
            sum(each.cycles for each in passing if each.way == "over"),
            tuple((name, pj) for name, pj in energy.items() if pj),
            tuple(charged),
            passing,
        )


def cycles_of_move(hardware: Hardware, move: Move) -> int:
    """Cycles of a move: its latency, then as long as its busiest channel carries its bits."""
    return int(hardware.cycles(move.fixed_ps)) + int(hardware.cycles(move.streaming_ps))


@found_once
def least_gaps(problem: Problem) -> Gaps:
    """The gaps of a mapping with the fewest partial sums that the limits allow; no mapping has shorter ones."""
    return find_gaps(problem, least_partial_sum_elements(problem))


def gaps_of_phases(problem: Problem, gaps: Gaps) -> dict[int, list[Gap]]:
    """Phase -> the gaps that it pays per token, phases in order; the tail of a pass belongs to its last phase."""
    stages = problem.workload.stages
    found: dict[int, list[Gap]] = {name: [] for name in sorted({stage.phase for stage in stages})}
    for stage in stages:
        if gaps.within[stage.id]:
            found[stage.phase].append(gaps.before[stage.id])
    for name, tail in gaps.tails.items():
        found[max(stage.phase for stage in stages if stage.pass_name == name)].append(tail)
    return found


def moves_of_phases(problem: Problem, gaps: Gaps) -> dict[int, list[Move]]:
    """Phase -> the moves of a token in it: what goes up is of the phase that made it, whichever gap waits for it."""
    stages = problem.workload.stages
    found: dict[int, list[Move]] = {name: [] for name in sorted({stage.phase for stage in stages})}
    for gap in gaps.own:
        counted = {id(move) for move in gap.moves}
        for each in gap.passing:
            if id(each.move) in counted:
                found[stages[each.stage].phase].append(each.move)
    return found


def shared_cycles(problem: Problem, gaps: Iterable[Gap], moves: Sequence[Move] | None = None) -> tuple[int, int, int]:
    """Cycles that gaps hold the digital units, the interconnect (of a network its busiest channel), and the memory.

    `moves`: those of a phase of a prefill, a token's part of which is meant: there queries share reads of the memory.
    None: those of the gaps.
    """
    held, in_prefill = list(gaps), moves is not None
    transfer = sum(gap.transfer_cycles for gap in held)
    if problem.hardware.interconnect is not None:
        counted = [move for gap in held for move in gap.moves] if moves is None else moves
        transfer = int(problem.hardware.cycles(busiest_ps(counted)))
    uses = [gap.memory for gap in held if gap.memory is not None]
    memory = sum(use.prefill_cycles if in_prefill else use.busy_cycles for use in uses)
    return sum(gap.units_cycles for gap in held), transfer, memory


def spared_pj(gaps: Gaps) -> float:
    """What a prefill saves of its tokens' energy, as their queries share reads of the memory, pJ."""
    spared: dict[int, list[float]] = {}
    for gap in gaps.own:
        if gap.memory is not None:
            spared.setdefault(gap.memory.tokens, []).append(gap.energy_pj["memory"] - gap.memory.prefill_pj)
    return math.fsum(tokens * math.fsum(each) for tokens, each in spared.items())


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
    least = least_gaps(problem)
    latency = sum(gap.cycles for gap in least.own)
    interval = max(*shared_cycles(problem, least.own), least_interval(problem, latency))
    prefill = 0
    moves = moves_of_phases(problem, least)
    for phase, members in gaps_of_phases(problem, least).items():
        shared = shared_cycles(problem, members, moves[phase])
        prefill += sum(gap.cycles for gap in members) + (problem.phase_tokens[phase] - 1) * max(shared)
    energy = sum(value for gap in least.own for value in gap.energy_pj.values())
    energy += hardware.array_kind.cell_pj * (problem.weight_cells_fired * hardware.columns_per_weight)
    arrays = -(-problem.weight_cells // (problem.rows * problem.weights_per_row))
    energy += arrays * hardware.array.leakage_uw * latency * hardware.clock_ps * 1e-6
    return {
        "fixed_latency_ns": latency * clock_ns,
        "fixed_prefill_ns": prefill * clock_ns,
        "fixed_ii_cycles": interval,
        "fixed_ii_ns": interval * clock_ns,
        "fixed_energy_pj": energy,
    }


def _gap(
    problem: Problem,
    added: int,
    operations: tuple[Operation, ...],
    carried: _Carried,
    cache: CacheUse | None,
    tokens: int,
) -> Gap:
    hardware = problem.hardware
    if max([added, *(operation.elements for operation in operations)]) > ELEMENTS_MAX:
        raise _too_much_work(problem)
    energy_pj: dict[str, float] = {}
    partial_sum_cycles = 0
    if added:
        partial_sum_cycles = int(hardware.cycles(hardware.digital_ps("add", added)))
        energy_pj["partial_sums"] = float(hardware.digital_pj("add", added))
    digital_cycles = beside_cycles = 0
    for operation in operations:
        cycles = int(hardware.cycles(hardware.digital_ps(operation.name, operation.elements)))
        digital_cycles += cycles
        beside_cycles += cycles if operation.name in BESIDE else 0
        pj = float(hardware.digital_pj(operation.name, operation.elements))
        energy_pj[operation.name] = energy_pj.get(operation.name, 0.0) + pj
    for name, pj in carried.energy_pj:
        energy_pj[name] = energy_pj.get(name, 0.0) + pj
    transfer_cycles = max(carried.cycles, carried.together - partial_sum_cycles)
    passing = carried.counted(transfer_cycles)
    memory = None
    if hardware.memory is not None:
        cache = cache or CacheUse(0, 0, 0, False)
        if (cache.read * cache.tokens + cache.written) * hardware.memory.kv_bits > BITS_MAX:
            raise _too_much_work(problem)
        memory, energy_pj["memory"] = use_memory(problem, cache, beside_cycles, tokens)
    gap = Gap(partial_sum_cycles, digital_cycles, transfer_cycles, energy_pj, carried.moves, passing, memory)
    if gap.cycles > CYCLES_MAX:
        raise _too_much_work(problem)
    return gap


def _too_much_work(problem: Problem) -> InputError:
    return InputError(
        f"{problem.model.name}: more work between two stages than can be counted; expected at most "
        f"{ELEMENTS_MAX} elements an operation and {MOVED_MAX} a transfer"
    )
