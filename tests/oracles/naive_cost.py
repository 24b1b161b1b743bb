"""What a mapping costs, cell by cell and cycle by cycle: every metric and the whole breakdown of a solution.

docs/formulation.md, sections "Gaps" and "Costs", in plain loops over sets of cells and of cycles. It reads a spec's
JSON, a model's steps, the texts of its structures and the tables of a solution; of the tables' figures it believes
only when activations start. Nothing of the package is imported, so that no error can be in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracles.naive_chip import Chip, Piece
from oracles.naive_dataflow import Dataflow
from oracles.naive_gaps import Gaps
from oracles.naive_means import means
from oracles.naive_moves import Moves

Number = int | float
ARRAY_PARTS = ("rows", "cells", "columns", "conversions", "shift_add")


@dataclass
class Firing:
    """One activation: what it drives and reads, and what follows from that."""

    array: int
    stage: int
    expert: int | None
    start: int
    rows: set[int]
    columns: set[int]
    cells: int
    bits_needed: int
    bits: int
    cycles: int
    times: int
    """At how many positions it fires, one after the other."""

    @property
    def end(self) -> int:
        return self.start + self.cycles


class NaiveCost:
    """The figures of a mapping: `metrics`, `breakdown`, `firings` and `gaps`."""

    def __init__(
        self,
        hw: dict[str, Any],
        model: Any,
        structure: Mapping[str, str],
        pieces: Any,
        acts: Any,
        place: Sequence[int] | None = None,
        routing: str | None = None,
    ) -> None:
        self.routing = routing
        """How tokens choose experts, as the question has it."""
        self.chip, self.flow, self.tokens = Chip(hw), Dataflow(model, structure), int(model.tokens)
        self.pieces = [
            Piece(*row) for row in zip(*(getattr(pieces, name).tolist() for name in Piece.__annotations__), strict=True)
        ]
        self.cell: set[tuple[int, int, int]] = set()
        for piece in self.pieces:
            for row in self.rows_of(piece):
                for column in self.columns_of(piece):
                    self.cell.add((piece.array, row, column))
        self.firings = [
            self.firing(int(acts.start[i]), acts.piece[acts.pieces_from[i] : acts.pieces_to[i]].tolist())
            for i in range(len(acts.array))
        ]
        self.stages = range(len(self.flow.stages))
        self.start = [min(each.start for each in self.firings if each.stage == stage) for stage in self.stages]
        self.end = [max(each.end for each in self.firings if each.stage == stage) for stage in self.stages]
        self.moves = None if place is None else Moves(self.chip, self.flow, self.pieces, place)
        sums = self.partial_sums() if self.moves is None else self.moves.hub_sums
        self.gaps = Gaps(self.chip, self.flow, sums, self.moves)
        used = {piece.array for piece in self.pieces}
        self.arrays, self.cores = len(used), set() if place is None else {place[array] for array in used}
        self.clock_ns = self.chip.clock_ps / 1000
        self.leak_pj = self.arrays * hw["array"]["leakage_uw"] * self.clock_ns / 1000
        """Of a cycle: 1 uW for 1 ns is 1e-3 pJ."""
        firsts = [number for number in self.stages if not self.flow.stages[number].reads]
        self.begin = min(self.start[number] - self.gaps.before[number].cycles for number in firsts)
        self.latency = max(self.end) - self.begin + self.gaps.tails[self.flow.passes[-1]].cycles
        self.work = self.find_work()
        self.fired = self.costliest()
        self.phases = self.find_phases()
        self.cycles_of_rows = self.find_cycles()
        self.array_pj, self.outside_pj = self.find_energy()
        self.metrics = self.find_metrics()
        self.breakdown = self.find_breakdown()

    # Cells

    def rows_of(self, piece: Piece) -> range:
        return range(piece.array_row, piece.array_row + piece.rows)

    def columns_of(self, piece: Piece) -> range:
        width = self.chip.width
        return range(piece.array_col * width, (piece.array_col + piece.cols) * width)

    def firing(self, start: int, numbers: Sequence[int]) -> Firing:
        fired = [self.pieces[number] for number in numbers]
        array, factor = fired[0].array, self.flow.factors[fired[0].factor]
        rows = {row for piece in fired for row in self.rows_of(piece)}
        columns = {column for piece in fired for column in self.columns_of(piece)}
        cells, n = 0, 0
        for column in columns:
            stacked = 0
            for row in rows:
                if (array, row, column) in self.cell:
                    stacked += 1
            cells, n = cells + stacked, max(n, stacked)
        needed = self.chip.bits_needed(n)
        bits = min(needed, self.chip.data["adc"]["bits_max"])
        times = self.flow.stages[factor.stage].positions
        cycles = sum(self.chip.duration(bits, self.chip.busiest(columns)) for _ in range(times))
        return Firing(array, factor.stage, factor.expert, start, rows, columns, cells, needed, bits, cycles, times)

    def partial_sums(self) -> list[int]:
        """By stage, the pieces beyond the first that feed each output element, in the worst choice of experts."""
        fed: dict[tuple[int, int, int], int] = defaultdict(int)
        for piece in self.pieces:
            for column in range(piece.col0, piece.col0 + piece.cols):
                fed[piece.factor, piece.block, column] += 1
        found = []
        for number, stage in enumerate(self.flow.stages):
            of_choices = []
            for choice in stage.choices:
                sums = 0
                for (of, _, _), pieces in fed.items():
                    factor = self.flow.factors[of]
                    if factor.stage == number and self.flow.fires(factor, choice):
                        sums += (pieces - 1) * stage.positions
                of_choices.append(sums)
            found.append(max(of_choices))
        return found

    # Time

    def earliest(self, order: Sequence[int]) -> tuple[list[int], list[int]]:
        """First starts and last ends of the stages if served in this order, each as early as S4 to S6 let it."""
        first, last = [0] * len(order), [0] * len(order)
        array_free: dict[int, int] = defaultdict(int)
        units_free = 0
        for stage in order:
            ready = max((last[read] for read in self.flow.stages[stage].reads), default=0)
            if self.gaps.before[stage].cycles:
                ready = units_free = max(ready, units_free) + self.gaps.before[stage].cycles
            work = {array: cycles for (of, array), cycles in self.work.items() if of == stage}
            first[stage] = min(max(ready, array_free[array]) for array in work)
            for array, cycles in work.items():
                array_free[array] = max(ready, array_free[array]) + cycles
                last[stage] = max(last[stage], array_free[array])
        return first, last

    def working(self, stages: Sequence[int]) -> int:
        """Cycles in which any of these stages is between its first start and its last end."""
        return len({cycle for stage in stages for cycle in range(self.start[stage], self.end[stage])})

    def busiest(self, phase: int | None = None) -> int:
        """Cycles that the busiest array works, in a phase or in all."""
        busy: dict[int, int] = defaultdict(int)
        for (stage, array), cycles in self.work.items():
            if phase in (None, self.flow.stages[stage].phase):
                busy[array] += cycles
        return max(busy.values())

    def find_work(self) -> dict[tuple[int, int], int]:
        """(stage, array) -> cycles that it works for a token, in the worst choice of experts for it."""
        work: dict[tuple[int, int], int] = {}
        for number, stage in enumerate(self.flow.stages):
            for choice in stage.choices:
                busy: dict[int, int] = defaultdict(int)
                for each in self.firings:
                    if each.stage == number:
                        busy[each.array] += each.cycles if self.fires(each, choice) else 0
                for array, cycles in busy.items():
                    work[number, array] = max(cycles, work.get((number, array), 0))
        return work

    def fires(self, firing: Firing, choice: tuple[int, ...]) -> bool:
        return firing.expert is None or firing.expert in choice

    def costliest(self) -> list[Firing]:
        """What a token fires that chooses in every stage the experts of most energy; of equal choices the first."""
        found: list[Firing] = []
        for number, stage in enumerate(self.flow.stages):
            most, fired = -1.0, list[Firing]()
            for choice in stage.choices:
                ours = [each for each in self.firings if each.stage == number and self.fires(each, choice)]
                pj = sum(sum(self.activation_pj(each).values()) for each in ours)
                if pj > most * (1 + 1e-12):
                    most, fired = pj, ours
            found += fired
        return found

    def find_phases(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        reached = self.begin
        for phase in sorted({stage.phase for stage in self.flow.stages}):
            members = [number for number in self.stages if self.flow.stages[number].phase == phase]
            end = max([reached, *(self.end[member] for member in members)])
            for name, tail in self.gaps.tails.items():
                if phase == max(stage.phase for stage in self.flow.stages if stage.of_pass == name):
                    end += tail.cycles
            digital, transfer, memory = self.gaps.units_cycles(self.gaps.of_phase(phase), in_prefill=True, phase=phase)
            interval = max(self.busiest(phase), digital, transfer, memory)
            found["phase"].append(phase)
            found["fill_cycles"].append(end - reached)
            found["ii_cycles"].append(interval)
            found["array_fill_cycles"].append(self.working(members))
            found["array_ii_cycles"].append(self.busiest(phase))
            found["digital_cycles"].append(digital)
            found["transfer_cycles"].append(transfer)
            found["prefill_cycles"].append(end - reached + (self.tokens_in(phase) - 1) * interval)
            if self.chip.data.get("memory"):
                found["memory_cycles"].append(memory)
            reached = end
        return dict(found)

    def tokens_in(self, phase: int) -> int:
        (count,) = {self.flow.tokens[stage.of_pass] for stage in self.flow.stages if stage.phase == phase}
        return int(count)

    def find_cycles(self) -> dict[str, list[int]]:
        """Component -> cycles by stage and, last, of the tail."""
        rows = self.gaps.of_rows()
        array = [0] * len(rows)
        seen: set[int] = set()
        for stage in sorted(self.stages, key=lambda number: self.start[number]):
            new = set(range(self.start[stage], self.end[stage])) - seen
            array[stage] = len(new)
            seen |= new
        wait, reached = [], self.begin
        for stage in self.stages:
            added = max(reached, self.end[stage]) - reached
            wait.append(added - array[stage] - rows[stage].cycles)
            reached += added
        return {
            "array": array,
            "partial_sums": [gap.partial_sums for gap in rows],
            "digital": [gap.digital for gap in rows],
            "transfer": [gap.transfer for gap in rows],
            **({"memory": [gap.memory for gap in rows]} if self.chip.data.get("memory") else {}),
            "wait": [*wait, 0],
        }

    # Energy

    def find_energy(self) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Component -> pJ by stage and, last, of the tail: in arrays, and outside of them."""
        rows = self.gaps.of_rows()
        inside: dict[str, list[float]] = {}
        for each in self.fired:
            for name, pj in self.activation_pj(each).items():
                inside.setdefault(name, [0.0] * len(rows))[each.stage] += pj * each.times
        outside: dict[str, list[float]] = {}
        for number, gap in enumerate(rows):
            for name, pj in gap.pj.items():
                outside.setdefault(name, [0.0] * len(rows))[number] += pj
        outside["leakage"] = [
            self.leak_pj * sum(cycles[number] for cycles in self.cycles_of_rows.values()) for number in range(len(rows))
        ]
        return inside, outside

    def activation_pj(self, firing: Firing) -> dict[str, float]:
        if self.chip.data.get("macro"):
            return {"macro": float(self.chip.data["macro"]["mvm_pj"])}
        price, conversion = self.chip.data["energy_pj"], self.chip.line(firing.bits)["pj"]
        found = dict.fromkeys(ARRAY_PARTS, 0.0)
        for _ in range(self.chip.phases):
            found["rows"] += len(firing.rows) * price["row"]
            found["cells"] += firing.cells * price["cell"]
            for _ in firing.columns:
                found["columns"] += price["column"]
                found["conversions"] += conversion
                found["shift_add"] += price["shift_add"]
        return found

    # Figures

    def fixed(self) -> dict[str, Number]:
        """What no mapping changes: gaps with the fewest partial sums, cells, leakage of the least arrays meanwhile."""
        on_network = self.moves is not None
        # Cores may add all parts, and nothing says how far anything must move.
        least = [0 for _ in self.stages] if on_network else self.flow.fewest_sums(self.chip)
        gaps = Gaps(self.chip, self.flow, least)
        whole = gaps.of_phase()
        latency, prefill = sum(gap.cycles for gap in whole), 0
        for phase in self.phases["phase"]:
            paid = gaps.of_phase(phase)
            units = gaps.units_cycles(paid, in_prefill=True)
            prefill += sum(gap.cycles for gap in paid) + (self.tokens_in(phase) - 1) * max(units)
        ii = max(*gaps.units_cycles(whole), self.turn(latency))
        energy = sum(pj for gap in whole for pj in gap.pj.values())
        weights, hw = self.flow.weights(), self.chip.data
        if not hw.get("macro"):
            energy += self.chip.phases * self.flow.weights_fired() * self.chip.width * hw["energy_pj"]["cell"]
        arrays = 0
        while arrays * self.chip.rows * (self.chip.cols // self.chip.width) < weights:
            arrays += 1
        energy += arrays * hw["array"]["leakage_uw"] * latency * self.clock_ns / 1000
        return {
            "fixed_latency_ns": latency * self.clock_ns,
            "fixed_prefill_ns": prefill * self.clock_ns,
            "fixed_ii_cycles": ii,
            "fixed_ii_ns": ii * self.clock_ns,
            "fixed_energy_pj": energy,
        }

    def turn(self, latency: int) -> int:
        """Cycles between tokens if each is under way for `latency`, and as many at once as the memory lets be."""
        memory, kept = self.chip.data.get("memory"), self.flow.kept_elements()
        if not memory or not kept:
            return 0
        at_once, room = 0, round(memory["mbit"] * 1e6)
        while room >= kept * memory["kv_bits"]:
            room -= kept * memory["kv_bits"]
            at_once += 1 if self.flow.is_causal() else self.tokens
        cycles = 0
        while cycles * at_once < latency:
            cycles += 1
        return cycles

    def memory_metrics(self) -> dict[str, Number]:
        if not self.chip.data.get("memory"):
            return {}
        gaps = self.gaps.of_phase()
        return {
            "memory_bits": sum(gap.memory_bits for gap in gaps),
            "memory_energy_pj": sum(gap.pj["memory"] for gap in gaps),
        }

    def area_mm2(self) -> float:
        um2 = self.arrays * self.chip.array_um2(max(each.bits for each in self.firings))
        if self.moves is not None:
            um2 += self.moves.network.area_um2(self.cores)
        return float(um2 / 1e6)

    def find_metrics(self) -> dict[str, Number]:
        ns, latency, tokens, phases = self.clock_ns, self.latency, self.tokens, self.phases
        array_latency, array_ii = self.working(self.stages), self.busiest()
        prefill = sum(phases["prefill_cycles"])
        array_prefill = 0
        of_phases = (phases[name] for name in ("phase", "array_fill_cycles", "array_ii_cycles"))
        for phase, fill, interval in zip(*of_phases, strict=True):
            array_prefill += fill + (self.tokens_in(phase) - 1) * interval
        ii = max(array_ii, *self.gaps.units_cycles(self.gaps.of_phase()), self.turn(latency))
        array_pj = sum(sum(values) for values in self.array_pj.values())
        every_token_pj = array_pj + sum(pj for gap in self.gaps.of_phase() for pj in gap.pj.values())
        prefill_pj = 0.0
        for name in self.flow.passes:
            prefill_pj += self.flow.tokens[name] * self.pass_pj(name, in_prefill=True)
        places = self.arrays * self.chip.rows * self.chip.cols
        return {
            "arrays": self.arrays,
            "occupancy": len(self.cell) / places,
            "latency_cycles": latency,
            "latency_ns": latency * ns,
            "array_latency_ns": array_latency * ns,
            "prefill_tokens": tokens,
            "prefill_ns": prefill * ns,
            "array_prefill_ns": array_prefill * ns,
            "ii_cycles": ii,
            "ii_ns": ii * ns,
            "array_ii_cycles": array_ii,
            "array_ii_ns": array_ii * ns,
            "decode_tokens_per_s": 1e9 / (self.decoding() * ns),
            "prefill_tokens_per_s": 1e9 * tokens / (prefill * ns),
            "throughput_tokens_per_s": 1e9 / (ii * ns),
            "energy_pj": every_token_pj + self.leak_pj * latency,
            "array_energy_pj": array_pj,
            "prefill_energy_pj": prefill_pj + self.leak_pj * prefill,
            "throughput_energy_pj": every_token_pj + self.leak_pj * ii,
            **self.fixed(),
            **self.decoding_metrics(),
            **self.memory_metrics(),
            **means(self),
            "area_mm2": self.area_mm2(),
            "adc_conversions": sum(self.chip.phases * len(each.columns) * each.times for each in self.fired),
            "adc_bits_max": max(each.bits for each in self.firings),
            "lossy_activations": sum(each.bits_needed > self.chip.data["adc"]["bits_max"] for each in self.firings),
            "array_busy_share": sum(self.work.values()) / (self.arrays * latency),
            "active_cell_share": sum(each.cells * each.cycles for each in self.fired) / (places * array_latency),
            "pieces": len(self.pieces),
            "activations": len(self.firings),
            **self.distances(),
        }

    def pass_pj(self, name: str, in_prefill: bool = False) -> float:
        """What arrays and gaps take for a token in a pass; what comes down before its first stages is its own."""
        flow, found = self.flow, 0.0
        paid = [self.gaps.tails[name]]
        for number, stage in enumerate(flow.stages):
            if stage.of_pass == name:
                found += sum(values[number] for values in self.array_pj.values())
                earlier = flow.pass_before(number)
                if earlier is None:
                    paid.append(self.gaps.before[number])
                else:
                    found += self.gaps.down_pj(number)
            elif flow.pass_before(number) == name:
                found -= self.gaps.down_pj(number)
        for gap in paid:
            found += sum(pj for part, pj in gap.pj.items() if part != "memory")
            found += gap.prefill_pj if in_prefill else gap.pj.get("memory", 0.0)
        return found

    def decoding(self) -> int:
        """Cycles of a token of a sequence whose source is there: those of the last pass."""
        firsts = [number for number in self.stages if self.flow.pass_before(number) is not None]
        if not firsts:
            return self.latency
        begins = min(self.start[number] for number in firsts)
        if self.moves is not None:
            begins -= sum(self.moves.network.cycles(self.moves.down[number]) for number in firsts)
        return max(self.end) - begins + self.gaps.tails[self.flow.passes[-1]].cycles

    def decoding_metrics(self) -> dict[str, Number]:
        if len(self.flow.passes) == 1:
            return {}
        cycles = self.decoding()
        pj = self.pass_pj(self.flow.passes[-1]) + self.leak_pj * cycles
        return {"decode_latency_ns": cycles * self.clock_ns, "decode_energy_pj": pj}

    def distances(self) -> dict[str, Number]:
        """What is said of a chip with a network alone."""
        if self.moves is None:
            return {}
        by_link: dict[Any, int] = defaultdict(int)
        for gap in self.gaps.of_phase():
            for channel, bits in gap.bits.items():
                if channel[0] == "link":
                    by_link[channel] += bits
        moved = [pj for gap in self.gaps.of_phase() for name, pj in gap.pj.items() if name in ("network", "bus")]
        return {
            "cores": len(self.cores),
            "network_latency_ns": sum(gap.transfer for gap in self.gaps.of_phase()) * self.clock_ns,
            "network_energy_pj": float(sum(moved)),
            "link_bits_max": max(by_link.values(), default=0),
            "link_bits": sum(by_link.values()),
        }

    def find_breakdown(self) -> dict[str, Any]:
        """The figures again by component, stage and phase, under the keys of a solution file."""
        gap_pj = {name: pj for name, pj in self.outside_pj.items() if name != "leakage"}
        rows: dict[str, list[Number]] = {
            **{f"{name}_cycles": list(cycles) for name, cycles in self.cycles_of_rows.items()},
            "array_pj": summed(self.array_pj, len(self.stages) + 1),
            "gap_pj": summed(gap_pj, len(self.stages) + 1),
            "leakage_pj": list(self.outside_pj["leakage"]),
        }
        fired = [len([each for each in self.firings if each.stage == stage]) for stage in self.stages]
        return {
            "latency_cycles": {name: sum(cycles) for name, cycles in self.cycles_of_rows.items()},
            "energy_pj": {name: sum(pj) for name, pj in {**self.array_pj, **self.outside_pj}.items()},
            "stages": {
                "start": self.start,
                "end": self.end,
                "activations": fired,
                **{name: values[:-1] for name, values in rows.items()},
            },
            "tail": {name: values[-1] for name, values in rows.items()},
            "phases": self.phases,
        }


def summed(parts: Mapping[str, Sequence[float]], rows: int) -> list[Number]:
    """By row, the sum over all components."""
    return [sum(values[row] for values in parts.values()) for row in range(rows)]
