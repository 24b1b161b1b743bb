"""What lies between stages, one gap after the other, on a flat chip and on one with a network.

docs/formulation.md, sections "Gaps" and "Moves", in plain loops; nothing of the package is imported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from oracles.naive_chip import Chip
from oracles.naive_dataflow import Dataflow
from oracles.naive_memory import Kept
from oracles.naive_moves import Moves
from oracles.naive_network import Channel


@dataclass
class Gap:
    """Cycles of each part, pJ of each component, and what it puts on each channel of a network.

    `memory` is beyond what runs beside it.
    """

    partial_sums: int = 0
    digital: int = 0
    transfer: int = 0
    pj: dict[str, float] = field(default_factory=dict)
    bits: Counter[Channel] = field(default_factory=Counter)
    memory: int = 0
    memory_bits: int = 0
    memory_busy: int = 0
    prefill_busy: int = 0
    prefill_pj: float = 0.0

    @property
    def cycles(self) -> int:
        return self.partial_sums + self.digital + self.transfer + self.memory

    def charge(self, name: str, pj: float) -> None:
        if pj:
            self.pj[name] = self.pj.get(name, 0.0) + pj


class Gaps:
    """All gaps of one token where stages make `sums` partial sums to add; on a chip with a network, with its moves."""

    def __init__(self, chip: Chip, flow: Dataflow, sums: list[int], moves: Moves | None = None) -> None:
        self.chip, self.flow, self.sums, self.moves = chip, flow, sums, moves
        self.bits_of_phase: dict[int, Counter[Channel]] = defaultdict(Counter)
        self.risen: set[int] = set()
        """Stages whose outputs have been counted on their way to the hub."""
        firsts = {number: flow.pass_before(number) for number in range(len(flow.stages))}
        self.tails: dict[str, Gap] = {}
        for name, tail in flow.tails.items():
            gap = self.tails[name] = self.work(tail.after, tail.operations, tail.kept)
            self.carry(gap, tail.after, [number for number, earlier in firsts.items() if earlier == name], tail.moved)
        self.before: list[Gap] = []
        for number, stage in enumerate(flow.stages):
            if firsts[number] is not None:
                self.before.append(self.tails[firsts[number]])
                continue
            waits = self.waits_for(number)
            self.before.append(self.work(waits, stage.operations, stage.kept))
            self.carry(self.before[-1], waits, [number], stage.moved)

    def waits_for(self, number: int) -> list[int]:
        """Stages whose outputs and sums come before this one: on a network what one before it read is at the hub."""
        reads = self.flow.stages[number].reads
        if not self.chip.data.get("network"):
            return reads
        there = {read for earlier in self.flow.follows(number) for read in self.flow.stages[earlier].reads}
        return [read for read in reads if read not in there]

    def work(self, reads: Sequence[int], operations: list[tuple[str, int]], kept: Kept | None) -> Gap:
        found = Gap()
        added = sum(self.sums[read] for read in reads)
        if added:
            found.partial_sums = self.chip.operation_cycles("add", added)
            found.pj["partial_sums"] = self.chip.operation_pj("add", added)
        for name, elements in operations:
            found.digital += self.chip.operation_cycles(name, elements)
            found.pj[name] = found.pj.get(name, 0.0) + self.chip.operation_pj(name, elements)
        if self.chip.data.get("memory"):
            self.remember(found, operations, kept or Kept())
        return found

    def remember(self, gap: Gap, operations: list[tuple[str, int]], kept: Kept) -> None:
        """What keys and values take in a gap, in which attention and softmax run meanwhile."""
        chip, memory = self.chip, self.chip.data["memory"]
        read, written = (elements * memory["kv_bits"] for elements in (kept.read(), kept.written))
        gap.memory_bits = read + written
        gap.pj["memory"] = read * memory["read_pj_per_bit"] + written * memory["write_pj_per_bit"]
        if not gap.memory_bits:
            return
        meanwhile = 0
        for name, elements in operations:
            if name in ("attention_mac", "softmax"):
                meanwhile += chip.operation_cycles(name, elements)
        gap.memory = max(0, chip.memory_cycles(1, read or written) - meanwhile)
        gap.memory_busy = chip.memory_cycles(1, read + written)
        times, elements = kept.prefill(memory.get("queries_per_read", 1))
        bits = elements * memory["kv_bits"] / kept.tokens
        gap.prefill_busy = chip.memory_cycles(times / kept.tokens if read else 1, bits + written)
        gap.prefill_pj = bits * memory["read_pj_per_bit"] + written * memory["write_pj_per_bit"]

    def carry(self, gap: Gap, reads: Sequence[int], stages: Sequence[int], moved: int) -> None:
        if not self.chip.data.get("network"):
            if moved:
                gap.transfer = self.chip.transfer_cycles(moved)
                gap.pj["transfer"] = self.chip.transfer_pj(moved)
        elif self.moves is not None:
            self.move(gap, self.moves, reads, stages)

    def move(self, gap: Gap, moves: Moves, reads: Sequence[int], stages: Sequence[int]) -> None:
        network, chain, across = moves.network, 0, 0
        counted = [(stage, of[stage]) for of in (moves.down, moves.over) for stage in stages]
        for read in reads:
            chain += network.cycles(moves.up[read])
            if read not in self.risen:
                counted.append((read, moves.up[read]))
                for _ in range(moves.core_sums[read]):
                    gap.charge("partial_sums", self.core_sum_pj())
            self.risen.add(read)
        for stage in stages:
            chain += network.cycles(moves.down[stage])
            across += network.cycles(moves.over[stage])
        # What goes over does so while parts of z go up, are added and come down.
        gap.transfer = chain
        while gap.partial_sums + gap.transfer < across:
            gap.transfer += 1
        for stage, move in counted:
            if move is not None:
                # What goes up runs before the barrier after its stage, whatever gap waits for it.
                self.bits_of_phase[self.flow.stages[stage].phase].update(move.bits)
                gap.charge("network", network.energy_pj(move, "link"))
                gap.charge("bus", network.energy_pj(move, "bus"))
                gap.bits.update(move.bits)

    def down_pj(self, stage: int) -> float:
        """Energy of what comes down to a stage."""
        move = None if self.moves is None else self.moves.down[stage]
        if move is None:
            return 0.0
        network = self.moves.network
        return float(network.energy_pj(move, "link") + network.energy_pj(move, "bus"))

    def core_sum_pj(self) -> float:
        if self.chip.data.get("macro"):
            return float(self.chip.data["digital"]["ops"]["add"]["per_element_pj"])
        return float(self.chip.data["energy_pj"]["shift_add"])

    def units_cycles(
        self, gaps: Sequence[Gap], in_prefill: bool = False, phase: int | None = None
    ) -> tuple[int, int, int]:
        """How long gaps hold the digital units, the interconnect, of a network its busiest channel, and the memory."""
        memory = sum(gap.prefill_busy if in_prefill else gap.memory_busy for gap in gaps)
        digital = sum(gap.partial_sums + gap.digital for gap in gaps)
        if self.moves is None:
            return digital, sum(gap.transfer for gap in gaps), memory
        bits: Counter[Channel] = Counter()
        for each in (gap.bits for gap in gaps) if phase is None else [self.bits_of_phase[phase]]:
            bits.update(each)
        return digital, self.chip.cycles(self.moves.network.streaming_ps(bits)), memory

    def of_phase(self, phase: int | None = None) -> list[Gap]:
        """What a phase pays for a token, or the whole token: gaps inside passes, and tails in their last phase."""
        flow, found = self.flow, []
        for number, stage in enumerate(flow.stages):
            if phase in (None, stage.phase) and flow.pass_before(number) is None:
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
