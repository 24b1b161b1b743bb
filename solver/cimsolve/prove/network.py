"""What the moves between hub and cores take at least. docs/formulation.md, section "Bounds", "Moves".

Every weight answers for its share of the bits of the element that it reads and of the output that it feeds: the cores
behind a link hold a share of an element's weights, and the link carries all of its bits. So a link carries what the
weights behind it answer for, at least, and there is room and time for so many of them behind each link only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Floats, Ints
from cimsolve.price import gaps as priced
from cimsolve.price.gaps import Gap, Gaps
from cimsolve.price.moves import Move, TokenMoves
from cimsolve.problem.problem import InputGroup, Problem, found_once
from cimsolve.prove.shares import BitShare, StageMoves, Weights, moves_of_stages
from cimsolve.prove.transport import Goods, least_transport_pj
from cimsolve.prove.work import converter_floor, group_part_ps

ROUNDING = 1e-9
"""Share by which sums of floats may come out too large."""


@found_once
def least_gaps(problem: Problem, arrays: int) -> Gaps:
    """Gaps with the fewest partial sums and the least moves: no mapping on `arrays` arrays has shorter ones."""
    network = _Network.of(problem, arrays)
    if network is None:
        return priced.least_gaps(problem)
    return priced.find_gaps(problem, priced.least_partial_sum_elements(problem), network.least_moves())


def least_shared_cycles(
    problem: Problem, arrays: int, gaps: Iterable[Gap], moves: Sequence[Move] | None = None
) -> tuple[int, int, int]:
    """The least cycles that some of `least_gaps` hold digital units, the network's busiest channel, and the memory.

    `moves`: as of `shared_cycles` in `price/gaps.py`.
    """
    held = list(gaps)
    network = _Network.of(problem, arrays)
    units, transfer, memory = priced.shared_cycles(problem, held, moves)
    if network is not None:
        counted = [move for gap in held for move in gap.moves] if moves is None else moves
        transfer = network.busiest_cycles([move for move in counted if isinstance(move, _LeastMove)])
    return units, transfer, memory


def stretched_cycles(problem: Problem, arrays: int, stage_cycles: Sequence[int]) -> list[int]:
    """Least cycles of every stage together with what its moves take beyond those of `least_gaps`.

    `stage_cycles` are the least of the stages alone. In a longer stage an array reads more columns, so fewer cores
    suffice, and they may be nearer to the hub and better spread over its sides: the least of both together is taken.
    """
    network = _Network.of(problem, arrays)
    if network is None:
        return list(stage_cycles)
    stages = list(zip(network.moves, problem.stage_groups, stage_cycles, strict=True))
    known = {stage: network.stretched(*stage) for stage in set(stages)}
    return [known[stage] for stage in stages]


class MovesEnergy(NamedTuple):
    """Energy of moves, pJ: on links, on buses, and of adding parts."""

    links_pj: float
    buses_pj: float
    added_pj: float


def least_moves_pj(problem: Problem, stage_cycles: Sequence[int] | None = None) -> MovesEnergy:
    """The least energy of moves: a transport of all weights to the nearest cores, all buses, and all additions.

    The links that carry an element or an output are at least as long as the way to the farthest core that has weights
    of it, and that is at least the mean over its weights. A core has room for so many weights, so the sum is least
    where those that answer for most bits lie nearest to the hub.

    `stage_cycles`: of mappings no stage of which takes longer. Then a core has time for so many columns of a stage
    only. So each stage lies on many cores; and an element that more than one core must read passes one more link for
    each further core: the last into it, which the way to a core no farther does not have.
    """
    network = _Network.of(problem, 1)
    return MovesEnergy(0.0, 0.0, 0.0) if network is None else network.energy(stage_cycles)


@dataclass(frozen=True, eq=False)
class _LeastMove(Move):
    """A move of which only the least is known: its latency, its time, and what weights answer for."""

    least_ps: int
    shares: tuple[BitShare, ...] = ()
    is_up: bool = False
    over_bits: int = 0
    """Bits on buses of what goes from core to core."""

    @cached_property
    def streaming_ps(self) -> int:
        """Time in which the busiest channel carries its bits at least, ps."""
        return self.least_ps


class _Network:
    """The network of a chip, as far as it bounds what mappings on so many arrays move."""

    def __init__(self, problem: Problem, arrays: int) -> None:
        hardware = problem.hardware
        interconnect, core = hardware.interconnect, hardware.core
        assert interconnect is not None
        assert core is not None
        self.problem, self.hardware, self.channels = problem, hardware, interconnect
        self.arrays_of_core = core.arrays
        self.room = core.arrays * problem.rows * problem.weights_per_row
        topology = interconnect.topology
        self.cores = min(topology.places, arrays)
        self.cuts = [(cut.bits_per_ns, _widest(cut.sides, self.cores), cut.beside) for cut in topology.cuts]

    @staticmethod
    def of(problem: Problem, arrays: int) -> _Network | None:
        return None if problem.hardware.interconnect is None else _Network(problem, arrays)

    @cached_property
    def moves(self) -> list[StageMoves]:
        """What each stage moves."""
        return moves_of_stages(self.problem)

    @cached_property
    def ways(self) -> tuple[Ints, Floats]:
        """Latency, ps, and energy of a bit, pJ, from the hub to each place, ascending."""
        hops_ps, way_pj = self.channels.topology.ways_to_hub()
        return np.sort(hops_ps), np.sort(way_pj)

    def least_moves(self) -> TokenMoves:
        """The moves of a token pass as if every stage had all the time there is."""
        known = {moves: self._least_moves_of(moves) for moves in set(self.moves)}
        down, up, over = zip(*(known[moves] for moves in self.moves), strict=True)
        none = np.zeros(len(self.moves), dtype=np.int64)
        return TokenMoves(down, up, over, none, none)

    def _least_moves_of(self, moves: StageMoves) -> tuple[Move | None, Move | None, Move | None]:
        no_bits = np.zeros(len(self.channels.bits_per_ns), dtype=np.int64)

        def hub(shares: tuple[BitShare, ...], is_up: bool) -> _LeastMove | None:
            return _LeastMove(self.channels, no_bits, *self.by_room(shares, is_up), shares, is_up) if shares else None

        over_ps = self._ps(moves.over_bits / self.cores, 1, self.channels.bus_bits_per_ns)
        over = _LeastMove(self.channels, no_bits, 0, over_ps, over_bits=moves.over_bits) if moves.over_bits else None
        return hub(moves.down, False), hub(moves.up, True), over

    # A move

    def by_room(self, shares: Sequence[BitShare], is_up: bool) -> tuple[int, int]:
        """Least latency of the longest route of a move, and least time of its busiest channel, ps, in any time."""
        return self._least_ps(Weights.by_room(shares, self.room), is_up, gcd(*(share.step for share in shares)))

    def by_time(self, shares: Sequence[BitShare], is_up: bool, columns: int) -> tuple[int, int]:
        """The same where no array reads more columns of these factors."""
        weights = Weights.by_time(shares, columns * self.arrays_of_core)
        return self._least_ps(weights, is_up, gcd(*(share.step for share in shares)))

    def _least_ps(self, weights: Weights, is_up: bool, step: int) -> tuple[int, int]:
        cores = max(1, ceil(float(weights.amount.sum()) / weights.of_core * (1 - ROUNDING)))
        bus = self._ps(weights.least_most(weights.core_bits, [(self.cores, 1)]), step, self.channels.bus_bits_per_ns)
        return int(self.ways[0][:cores][-1]), max(bus, self._shared_ps(weights, is_up, step))

    def _shared_ps(self, weights: Weights, is_up: bool, step: int) -> int:
        """Least time of the hub's port and of the links beside it, ps."""
        bits = weights.link_bits if is_up or self.channels.is_tree else weights.core_bits
        times_ps = [self._ps(float(weights.amount @ bits), step, self.channels.hub_bits_per_ns)]
        for bits_per_ns, sides, beside in self.cuts:
            times_ps.append(self._ps(weights.least_most(bits, sides, beside), step, bits_per_ns))
        return max(times_ps)

    def _ps(self, bits: float, step: int, bits_per_ns: float) -> int:
        """Time of at least so many bits on a channel that carries whole multiples of `step`."""
        return int(picoseconds(step * ceil(bits / step * (1 - ROUNDING)) / bits_per_ns))

    # Moves and arrays together

    def stretched(self, moves: StageMoves, groups: Sequence[InputGroup], least: int) -> int:
        """The least of a stage's cycles, `least` at least, and what its moves take beyond their least."""
        # What an earlier stage has made is not spread as this stage's columns are.
        own = tuple(share for share in moves.up if share.is_own)
        apart = [(own, True, self.by_room(moves.up, True))] if own else []
        apart += [(moves.down, False, self.by_room(moves.down, False))] if moves.down else []
        base_ps, cycles = self.channels.base_ps, self.hardware.cycles

        def beyond(columns: int) -> int:
            extra = 0
            for shares, is_up, (least_hops, least_ps) in apart:
                hops_ps, ps = self.by_time(shares, is_up, columns)
                extra += int(cycles(base_ps + max(hops_ps, least_hops)) - cycles(base_ps + least_hops))
                extra += int(cycles(max(ps, least_ps)) - cycles(least_ps))
            return extra

        return _least_sum(*self._columns_in(groups, least), beyond)

    def _columns_in(self, groups: Sequence[InputGroup], least: int) -> tuple[Ints, Ints]:
        """Times from `least` cycles on at which an array can read more columns of a stage, and how many then.

        v conversions of every converter, at the least time of one, read v * A / w columns, and C columns take a firing.
        """
        problem, hardware = self.problem, self.hardware
        floor = converter_floor(problem)
        fastest_ps = min(group_part_ps(problem, floor, group) for group in groups)
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
        """Cycles in which the busiest channel carries all of some moves at least; a core has room for so many weights.

        Buses are taken to share their bits evenly.
        """
        bus_bits, most_ps = float(sum(move.over_bits for move in moves)), 0
        for is_up in (False, True):
            weights = Weights.by_room(
                [share for move in moves if move.is_up == is_up for share in move.shares], self.room
            )
            bus_bits += float(weights.amount @ weights.core_bits)
            most_ps = max(most_ps, self._shared_ps(weights, is_up, 1))
        bus_ps = self._ps(bus_bits / self.cores, 1, self.channels.bus_bits_per_ns)
        return int(self.hardware.cycles(max(most_ps, bus_ps)))

    def energy(self, stage_cycles: Sequence[int] | None) -> MovesEnergy:
        """See `least_moves_pj`."""
        factors, (_, way_pj) = self.problem.workload.factors, self.ways
        link_bits, bus_bits = np.zeros(len(factors)), float(sum(moves.over_bits for moves in self.moves))
        for moves in self.moves:
            for share in (*moves.down, *moves.up):
                link_bits[share.factor] += share.link_bits
                bus_bits += share.cells * share.core_bits / share.shared_by
        if stage_cycles is None:
            amount = np.array([factor.weights for factor in factors], dtype=np.float64)
            filled = Weights(amount, link_bits, link_bits, self.room).heaviest(
                link_bits, np.arange(len(way_pj) + 1) * float(self.room)
            )
            links_pj = float(np.diff(filled) @ way_pj)
        else:
            links_pj = self._fast_links_pj(link_bits, stage_cycles)
        added = int(self.problem.forced_additions.sum())
        add_pj = min(self.hardware.digital.ops.add.per_element_pj, self.hardware.core_add_pj)
        parts = (links_pj, bus_bits * self.channels.bus_pj_per_bit, added * add_pj)
        return MovesEnergy(*(part * (1 - ROUNDING) for part in parts))

    def _fast_links_pj(self, link_bits: Floats, stage_cycles: Sequence[int]) -> float:
        """The least energy of links where no stage takes longer; `link_bits` of a weight, by factor."""
        workload, rows_limit = self.problem.workload, self.problem.rows_limit
        stages: Counter[tuple[int, tuple[tuple[int, float, int], ...]]] = Counter()
        further_bits = 0.0
        for stage, (moves, groups, cycles) in enumerate(
            zip(self.moves, self.problem.stage_groups, stage_cycles, strict=True)
        ):
            members = [workload.factors[number] for number in workload.factors_of_stage[stage]]
            columns = int(self._columns_in(groups, cycles)[1][0]) * self.arrays_of_core
            if workload.stages[stage].experts is not None:  # A token does not read all of their columns.
                columns = self.room
            weights = ((one.weights, float(link_bits[one.id]), min(one.block_rows, rows_limit)) for one in members)
            stages[columns, tuple(weights)] += 1
            for share in moves.down:
                further_bits += share.cells * share.link_bits * _mean_number(share.shared_by, columns)
            for one in members:
                if one.kind == "L":  # From core to core the way to the nearest may be none.
                    bits = one.blocks * one.block_rows * self.channels.input_bits
                    further_bits += bits * (-(-one.block_cols // columns) - 1)
        amount, bits, height = np.array([one for _, each in stages for one in each], dtype=np.float64).T
        goods = Goods(
            amount,
            bits,
            height,
            np.repeat(np.arange(len(stages)), [len(each) for _, each in stages]),
            np.array(list(stages.values()), dtype=np.float64),
            np.array([columns for columns, _ in stages], dtype=np.float64),
        )
        links = self.channels.topology.link_pj_per_bit
        return least_transport_pj(goods, self.ways[1], self.room) + further_bits * float(links.min())


def _mean_number(columns: int, most: int) -> float:
    """Mean over `columns` of the number, from 0, of the core that each is in; a core takes up to `most`."""
    full, rest = divmod(columns, most)
    return (most * full * (full - 1) / 2 + rest * full) / columns


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
