"""What the moves between hub and cores take at least. docs/formulation.md, section "Bounds", "Moves".

A weight needs its element at its core, and its output needs the sum of its weights: so every weight, wherever it lies,
answers for its share of the bits of both. Links and buses carry the shares of the weights behind them, and where a
stage is short, few weights of it can be behind a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, gcd

import numpy as np

from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Floats, Ints
from cimsolve.model.workload import Factor
from cimsolve.price import gaps as priced
from cimsolve.price.gaps import Gap, Gaps
from cimsolve.price.moves import Move, TokenMoves
from cimsolve.problem.problem import Problem
from cimsolve.prove.work import converter_floor, group_part_ps

ROUNDING = 1e-9
"""Share by which sums of shares may come out too large."""


def least_gaps(problem: Problem, arrays: int) -> Gaps:
    """Gaps with the fewest partial sums and the least moves: no mapping on `arrays` arrays has shorter ones."""
    network = _Network.of(problem, arrays)
    if network is None:
        return priced.least_gaps(problem)
    return priced.find_gaps(problem, priced.least_partial_sum_elements(problem), network.least_moves())


def least_shared_cycles(problem: Problem, arrays: int, gaps: Iterable[Gap]) -> tuple[int, int]:
    """The least cycles that some of `least_gaps` hold the digital units, and the network's busiest channel."""
    held = list(gaps)
    network = _Network.of(problem, arrays)
    units, transfer = priced.shared_cycles(problem, held)
    if network is not None:
        transfer = network.busiest_cycles([move for gap in held for move in gap.moves if isinstance(move, _LeastMove)])
    return units, transfer


def stretched_cycles(problem: Problem, arrays: int, stage_cycles: Sequence[int]) -> list[int]:
    """Least cycles of every stage together with what its moves take beyond those of `least_gaps`.

    `stage_cycles` are the least of the stages alone. In a longer stage an array reads more columns, so fewer cores
    suffice, and they may be nearer to the hub and better spread over its sides: the least of both together is taken.
    """
    network = _Network.of(problem, arrays)
    if network is None:
        return list(stage_cycles)
    known: dict[object, int] = {}
    found: list[int] = []
    for stage, (least, groups) in enumerate(zip(stage_cycles, problem.stage_groups, strict=True)):
        key = least, groups, network.kind_of(stage)
        if key not in known:
            known[key] = network.stretched(stage, least)
        found.append(known[key])
    return found


def least_moves_pj(problem: Problem) -> float:
    """The least energy of links and buses, and of adding parts, pJ: a transport of all weights to the nearest cores.

    The links that carry an element or an output are at least as long as the way to the farthest core that has weights
    of it, and that is at least the mean over its weights. A core has room for so many weights, so the sum is least
    where those that answer for most bits lie nearest to the hub.
    """
    network = _Network.of(problem, 1)
    return 0.0 if network is None else network.energy_pj()


@dataclass(frozen=True)
class _Load:
    """What the weights of one factor answer for in one move."""

    cells: int
    height: int
    """Most of them that a column holds which one activation reads."""
    step: int
    """All channels carry multiples of so many bits."""
    link_bits: float
    """Bits of a weight on a link."""
    bits: int
    """Bits of the element that a weight reads, 0 of outputs."""
    feeds: int
    """Weights that read this element."""
    bus_bits: float
    """Bits of a weight on the buses, of an output."""


@dataclass(frozen=True, eq=False)
class _LeastMove(Move):
    """A move of which only the least is known: its latency, its time, and what weights answer for."""

    least_ps: int
    loads: tuple[_Load, ...]
    is_up: bool
    core_bits: int
    """Bits on buses, whatever cores they belong to, of what goes from core to core."""

    @cached_property
    def streaming_ps(self) -> int:
        """Time in which the busiest channel carries its bits at least, ps."""
        return self.least_ps


Kind = tuple[tuple[Factor, ...], tuple[Factor, ...], tuple[Factor, ...]]
"""Factors of a stage, those of them and of the stage before whose outputs go up after it, those it has z from."""


class _Network:
    """The network of a chip, as far as it bounds what goes over it."""

    def __init__(self, problem: Problem, arrays: int) -> None:
        hardware = problem.hardware
        interconnect, core = hardware.interconnect, hardware.core
        assert interconnect is not None
        assert core is not None
        self.problem, self.hardware, self.interconnect = problem, hardware, interconnect
        self.arrays_of_core = core.arrays
        self.core_cells = core.arrays * problem.rows * problem.weights_per_row
        topology = interconnect.topology
        self.cores = min(topology.places, arrays)
        self.cuts = [(cut.bits_per_ns, _widest(cut.sides, self.cores), cut.beside) for cut in topology.cuts]
        hops_ps, self.way_pj = topology.ways_to_hub()
        self.hops_ps = np.sort(hops_ps)
        self.free_rows = problem.cut == "both"

    @staticmethod
    def of(problem: Problem, arrays: int) -> _Network | None:
        return None if problem.hardware.interconnect is None else _Network(problem, arrays)

    # What is moved

    def factors_of(self, stage: int) -> Kind:
        """The factors that a stage's moves are of."""
        workload = self.problem.workload
        members = tuple(workload.factors[number] for number in workload.factors_of_stage[stage])
        kinds = {factor.kind for factor in members}
        if "R" in kinds:
            return members, (), ()
        if "L" not in kinds:
            return members, members, ()
        (before,) = workload.stages[stage].after
        earlier = [workload.factors[number] for number in workload.factors_of_stage[before]]
        dense = tuple(factor for factor in earlier if factor.kind == "dense")
        return members, (*dense, *members), tuple(factor for factor in earlier if factor.kind == "R")

    def kind_of(self, stage: int) -> object:
        """What is equal for stages of equal moves."""
        return tuple(
            tuple((each.kind, each.blocks, each.block_rows, each.block_cols) for each in factors)
            for factors in self.factors_of(stage)
        )

    def down(self, members: Sequence[Factor]) -> tuple[_Load, ...]:
        """What a stage reads from the hub: an element's bits, shared by all weights that it feeds."""
        feeds, bits = sum(factor.block_cols for factor in members), self.interconnect.input_bits
        found = []
        for factor in members:
            height = self._height(factor)
            # Where no cut of rows is free, a column needs all elements of its height.
            step = bits if self.free_rows or factor.block_rows % height else bits * height
            found.append(_Load(factor.weights, height, step, bits / feeds, bits, feeds, 0.0))
        return tuple(found)

    def up(self, members: Sequence[Factor]) -> tuple[_Load, ...]:
        """What goes up to the hub: an output's bits, shared by the weights that it sums."""
        whole, part = self.interconnect.out_bits, self.interconnect.sum_bits
        found = []
        for factor in members:
            height, rows = self._height(factor), factor.block_rows
            cut = self.free_rows or height < rows
            bits = min(whole, part) if cut else whole
            # A bus carries every part.
            bus_bits = (part if height < rows else bits) / height
            found.append(_Load(factor.weights, height, gcd(whole, part), bits / rows, 0, 1, bus_bits))
        return tuple(found)

    def over_bits(self, shuffled: Sequence[Factor]) -> int:
        """Bits that z puts on buses before an L stage: as it is made, and as it is read.

        What has parts in several cores is read from the hub instead.
        """
        total, read, part = 0, self.interconnect.input_bits, self.interconnect.sum_bits
        for factor in shuffled:
            parts = -(-factor.block_rows // self._height(factor))
            each = parts * part if parts > 1 else 2 * min(read, part) if self.free_rows else 2 * read
            total += factor.blocks * factor.block_cols * each
        return total

    def _height(self, factor: Factor) -> int:
        return min(factor.block_rows, self.problem.rows_limit)

    # Least moves

    def least_moves(self) -> TokenMoves:
        """The moves of a token pass as if every stage had all the time there is."""
        stages = len(self.problem.workload.stages)
        down: list[Move | None] = [None] * stages
        up: list[Move | None] = [None] * stages
        over: list[Move | None] = [None] * stages
        known: dict[object, tuple[Move | None, Move | None, Move | None]] = {}
        for stage in range(stages):
            kind = self.kind_of(stage)
            if kind not in known:
                members, rising, shuffled = self.factors_of(stage)
                known[kind] = (
                    None if shuffled else self._least_move(self.down(members), False),
                    self._least_move(self.up(rising), True) if rising else None,
                    self._over(self.over_bits(shuffled)) if shuffled else None,
                )
            down[stage], up[stage], over[stage] = known[kind]
        none = np.zeros(stages, dtype=np.int64)
        return TokenMoves(tuple(down), tuple(up), tuple(over), none, none)

    def _least_move(self, loads: tuple[_Load, ...], is_up: bool) -> _LeastMove:
        hops_ps, least_ps = self.least_ps(loads, is_up, None)
        return _LeastMove(self.interconnect, self._no_bits, hops_ps, least_ps, loads, is_up, 0)

    def _over(self, bits: int) -> _LeastMove:
        least_ps = self._ps(bits / self.cores, 1, self.interconnect.bus_bits_per_ns)
        return _LeastMove(self.interconnect, self._no_bits, 0, least_ps, (), False, bits)

    @cached_property
    def _no_bits(self) -> Ints:
        return np.zeros(len(self.interconnect.bits_per_ns), dtype=np.int64)

    def least_ps(self, loads: Sequence[_Load], is_up: bool, columns: int | None) -> tuple[int, int]:
        """Least latency of the longest route of a move, and least time of its busiest channel, ps.

        `columns`: most that an array reads in the stage; None: as many as it holds.
        """
        weights = _Weights.of(loads, None if columns is None else columns * self.arrays_of_core, self.core_cells)
        channel, tree = self.interconnect, self.interconnect.is_tree or is_up
        on_links = weights.link_bits if tree else weights.core_bits
        step = gcd(*(load.step for load in loads))
        most = [self._ps(float(weights.amount @ on_links), step, channel.hub_bits_per_ns)]
        for bits_per_ns, sides, beside in self.cuts:
            most.append(self._ps(weights.least_most(on_links, sides, beside), step, bits_per_ns))
        bits = weights.least_most(weights.core_bits, ((self.cores, 1),), 0)
        most.append(self._ps(bits, step, channel.bus_bits_per_ns))
        cores = max(1, ceil(weights.amount.sum() / weights.of_core * (1 - ROUNDING)))
        return int(self.hops_ps[min(cores, len(self.hops_ps)) - 1]), max(most)

    def _ps(self, bits: float, step: int, bits_per_ns: float) -> int:
        """Time of at least so many bits on a channel that carries whole multiples of `step`."""
        return int(picoseconds(step * ceil(bits / step * (1 - ROUNDING)) / bits_per_ns))

    # Moves and arrays together

    def stretched(self, stage: int, least: int) -> int:
        """The least of a stage's cycles, `least` at least, and what its moves take beyond their least."""
        members, rising, shuffled = self.factors_of(stage)
        # What goes up after an earlier stage's end, too, is not spread as this stage's columns are.
        own = tuple(factor for factor in rising if factor in members)
        moves = [(self.up(own), True, self.up(rising))] if rising else []
        if not shuffled:
            moves.append((self.down(members), False, self.down(members)))
        floors = [self.least_ps(loads, is_up, None) for _, is_up, loads in moves]
        cycles = self.hardware.cycles

        def beyond(columns: int) -> int:
            extra = 0
            for (loads, is_up, _), (least_hops, least_ps) in zip(moves, floors, strict=True):
                hops_ps, ps = self.least_ps(loads, is_up, columns)
                base = self.interconnect.base_ps
                extra += int(cycles(max(hops_ps, least_hops) + base) - cycles(least_hops + base))
                extra += int(cycles(max(ps, least_ps)) - cycles(least_ps))
            return extra

        at, columns = self._columns_in(stage, least)
        return _least_sum(at, columns, beyond)

    def _columns_in(self, stage: int, least: int) -> tuple[Ints, Ints]:
        """Times from `least` cycles on at which an array can read more columns of a stage, and how many then."""
        problem, hardware = self.problem, self.hardware
        table = converter_floor(problem)
        groups = problem.stage_groups[stage]
        fastest_ps = min(group_part_ps(problem, table, group) for group in groups)
        reads = sum(group.all_columns * group.parts for group in groups)
        columns = np.arange(1, -(-reads // self.arrays_of_core) + 1)
        firings = -(-columns // problem.weights_per_row)
        conversions = -(-columns * hardware.columns_per_weight // hardware.adc.per_array)
        lines = hardware.array_kind.duration_lines
        ps = np.max([firings * fixed + repeats * fastest_ps * conversions for fixed, repeats in lines], axis=0)
        at = np.maximum(hardware.cycles(ps), least)
        last = np.append(at[1:] != at[:-1], True)
        at = at[last]
        at[0] = least
        return at, columns[last]

    # A whole pass

    def busiest_cycles(self, moves: Sequence[_LeastMove]) -> int:
        """Cycles in which the busiest channel carries all of some moves at least.

        A core holds so many weights, of any stages; those that answer for most bits are taken to lie where a side has
        room for few.
        """
        channel = self.interconnect
        ways = [[load for move in moves if move.is_up == is_up for load in move.loads] for is_up in (False, True)]
        bus_bits, most = float(sum(move.core_bits for move in moves)), [0]
        for loads, is_up in zip(ways, (False, True), strict=True):
            if loads:
                weights = _Weights.of(loads, None, self.core_cells)
                on_links = weights.link_bits if channel.is_tree or is_up else weights.core_bits
                bus_bits += float(weights.amount @ weights.core_bits)
                most.append(self._ps(float(weights.amount @ on_links), 1, channel.hub_bits_per_ns))
                for bits_per_ns, sides, beside in self.cuts:
                    most.append(self._ps(weights.least_most(on_links, sides, beside), 1, bits_per_ns))
        most.append(self._ps(bus_bits / self.cores, 1, channel.bus_bits_per_ns))
        return int(self.hardware.cycles(max(most)))

    def energy_pj(self) -> float:
        """See `least_moves_pj`."""
        channel, add = self.interconnect, self.hardware.digital.ops.add.per_element_pj
        link_bits: dict[Factor, float] = {}
        bus_bits = added = 0.0
        for stage in range(len(self.problem.workload.stages)):
            members, rising, shuffled = self.factors_of(stage)
            loads = [*zip(members, self.down(members), strict=True)] if not shuffled else []
            loads += zip(rising, self.up(rising), strict=True)
            for factor, load in loads:
                link_bits[factor] = link_bits.get(factor, 0.0) + load.link_bits
                bus_bits += load.cells * load.bus_bits
            if not shuffled:
                bus_bits += channel.input_bits * members[0].blocks * members[0].block_rows
            bus_bits += self.over_bits(shuffled)
        for factor in self.problem.workload.factors:
            parts = -(-factor.block_rows // self._height(factor))
            added += (parts - 1) * factor.blocks * factor.block_cols
        cells = np.array([factor.weights for factor in link_bits], dtype=np.float64)
        bits = np.array(list(link_bits.values()))
        heaviest = np.argsort(-bits, kind="stable")
        ends, reached = np.cumsum(cells[heaviest]), np.cumsum((cells * bits)[heaviest])
        filled = self.core_cells * np.arange(len(self.way_pj) + 1)
        of_place = np.diff(np.interp(filled, np.append(0.0, ends), np.append(0.0, reached)))
        network_pj = float(of_place @ np.sort(self.way_pj))
        return (network_pj + bus_bits * channel.bus_pj_per_bit + added * min(add, self.hardware.core_add_pj)) * (
            1 - ROUNDING
        )


@dataclass(frozen=True)
class _Weights:
    """Weights by factor, those that answer for most bits on links first; columns of shape (factors,).

    They are counted in weights, or, where it is columns read that are scarce, in columns full to their height.
    """

    amount: Floats
    link_bits: Floats
    """Bits that one answers for on a link."""
    core_bits: Floats
    """Bits that one answers for where every core is sent what it needs."""
    of_core: float
    """Most of them in a core."""

    @staticmethod
    def of(loads: Sequence[_Load], columns_of_core: int | None, core_cells: int) -> _Weights:
        """`columns_of_core`: most columns that a core reads; None: as many as its `core_cells` weights have."""
        each = np.array([1 if columns_of_core is None else load.height for load in loads], dtype=np.float64)
        of_core = core_cells if columns_of_core is None else columns_of_core
        # A core holds no more weights of one element than it holds, or reads, columns.
        core_bits = [load.bits / min(load.feeds, of_core) + load.bus_bits for load in loads]
        return _Weights(
            np.array([load.cells for load in loads]) / each,
            np.array([load.link_bits for load in loads]) * each,
            np.array(core_bits) * each,
            of_core,
        )

    def least_most(self, bits: Floats, sides: Sequence[tuple[int, int]], beside: int) -> float:
        """Least bits of the busiest of some sides, each of which so many cores are behind.

        `sides` are (how many, cores of each); the weights of `beside` further cores count on none.
        """
        heaviest = np.argsort(-bits, kind="stable")
        ends = np.append(0.0, np.cumsum(self.amount[heaviest]))
        reached = np.append(0.0, np.cumsum((self.amount * bits)[heaviest]))

        def most(cores: int) -> float:
            return float(np.interp(cores * self.of_core, ends, reached))

        left = float(reached[-1]) - most(beside)
        limits = sorted((most(cores), count) for count, cores in sides)
        number = sum(count for count, _ in sides)
        for limit, count in limits:
            if limit * number >= left:
                return left / number
            left -= limit * count
            number -= count
        return limits[-1][0] if limits else 0.0


def _widest(sides: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
    """The `number` sides with most cores behind them, as (how many, cores of each): more are not in use."""
    found: list[tuple[int, int]] = []
    for count, cores in sorted(sides, key=lambda side: -side[1]):
        if number:
            found.append((min(count, number), cores))
            number -= found[-1][0]
    return found


def _least_sum(at: Ints, columns: Ints, beyond: Callable[[int], int]) -> int:
    """The least of at[i] + beyond(columns[i]); `at` and `columns` rise, `beyond` falls."""
    known: dict[int, int] = {}

    def extra(index: int) -> int:
        if index not in known:
            known[index] = beyond(int(columns[index]))
        return known[index]

    best = int(at[0]) + extra(0)
    ranges = [(0, len(at) - 1)]
    while ranges:
        low, high = ranges.pop()
        best = min(best, int(at[low]) + extra(low))
        if low < high and int(at[low]) + extra(high) < best:
            middle = (low + high) // 2
            ranges += [(middle + 1, high), (low, middle)]
    return best
