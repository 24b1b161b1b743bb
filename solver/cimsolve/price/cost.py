"""The analytical cost model: cycles, picojoules and square millimetres of a placed and scheduled model.

docs/formulation.md, section "Costs". Everything is computed from the tables of a solution; nothing a strategy
believes enters here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints, max_by, ranked, sum_by
from cimsolve.model.model import SOURCE
from cimsolve.price.breakdown import added_cover, split_energy, split_latency
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import (
    Gaps,
    fixed_metrics,
    gaps_of_phases,
    moves_of_phases,
    pass_begins,
    shared_cycles,
    spared_pj,
)
from cimsolve.price.mean import find_means
from cimsolve.price.memory import least_interval
from cimsolve.price.moves import bits_of
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping

Metrics = dict[str, int | float]


@dataclass(frozen=True)
class StageCosts:
    """One row per stage, shape (stages,): when it runs, in cycles of one token pass, and its activations."""

    start: Ints
    end: Ints
    activations: Ints
    begins: int
    """When the pass begins: before the first stage, where its inputs have to be moved to it."""


@dataclass(frozen=True)
class Costs:
    """What a mapping costs: the metrics, and what they are made of by stage, by phase and by component."""

    metrics: Metrics
    fired: Fired
    stages: StageCosts
    cycles: MappingABC[str, Ints]
    """`array`, `partial_sums`, `digital`, `transfer`, `wait` -> cycles by stage and, last, of the tail.

    Shape (stages + 1,); all entries sum to `latency_cycles`.
    """
    array_pj: MappingABC[str, Floats]
    """Component of the arrays -> pJ by stage and of the tail, shape (stages + 1,); sums to `array_energy_pj`."""
    outside_pj: MappingABC[str, Floats]
    """Component of gaps and leakage -> pJ, shape (stages + 1,); with `array_pj` it sums to `energy_pj` in any order."""
    phases: tuple[PhaseCosts, ...]

    @property
    def gaps(self) -> Gaps:
        """The gaps between the stages."""
        return self.fired.gaps

    @property
    def latency_components_cycles(self) -> dict[str, int]:
        """Component -> cycles; sums to `latency_cycles`."""
        return {name: int(values.sum()) for name, values in self.cycles.items()}

    @property
    def energy_components_pj(self) -> dict[str, float]:
        """Component -> pJ per token; sums to `energy_pj`."""
        return {name: float(values.sum()) for name, values in {**self.array_pj, **self.outside_pj}.items()}


@dataclass(frozen=True)
class PhaseCosts:
    """One stretch between attention barriers: `fill` for the first token, `ii` for each token after it.

    `ii` is the largest of what its busiest array, the digital units, the interconnect and the memory do per token.
    """

    phase: int
    fill_cycles: int
    ii_cycles: int
    array_fill_cycles: int
    array_ii_cycles: int
    digital_cycles: int
    transfer_cycles: int
    prefill_cycles: int
    """fill + (tokens of the pass - 1) * ii; sums to `prefill_ns` in cycles."""
    memory_cycles: int | None
    """None on a chip without a memory of keys and values."""


class Priced(NamedTuple):
    """A mapping once it is scheduled: its activations, in the order of `costs.fired`, and what it costs."""

    costs: Costs
    activations: Activations


def price(problem: Problem, mapping: Mapping) -> Priced:
    """The schedule of a mapping, as early as can be, and all that it costs."""
    fired, activations = schedule(problem, mapping)
    return Priced(evaluate(fired, activations), activations)


def evaluate(fired: Fired, activations: Activations) -> Costs:
    """All metrics of a solution's tables. The tables must be well formed; whether they are legal is not asked.

    `fired` are the mapping's activations in the order of the table, as `schedule` returns both.
    """
    problem, gaps = fired.problem, fired.gaps
    hardware, tokens, clock_ns = problem.hardware, problem.model.tokens, problem.hardware.clock_ps / 1000
    stages = stage_times(fired, activations)
    used, place = ranked(activations.array)
    arrays, lasts = len(used), activations.end - activations.start
    job_stage, job_array, job_cycles = fired.jobs(place, lasts)
    busy = sum_by(job_array, job_cycles, arrays)
    latency = int(stages.end.max()) - stages.begins + gaps.last_tail.cycles
    phases = _phases(fired, (job_stage, job_array, job_cycles), arrays, stages)
    prefill = sum(phase.prefill_cycles for phase in phases)
    prefill_array = sum(
        phase.array_fill_cycles + each * phase.array_ii_cycles
        for phase, each in zip(phases, problem.later_tokens, strict=True)
    )
    interval = max(int(busy.max()), *shared_cycles(problem, gaps.own), least_interval(problem, latency))
    cycles = split_latency(stages.begins, stages.start, stages.end, gaps)
    array_latency = int(cycles["array"].sum())
    leakage_pj = arrays * hardware.array.leakage_uw * clock_ns * 1e-3  # in a cycle
    bits = activations.adc_bits
    array_pj, outside_pj = split_energy(fired, bits, leakage_pj * np.sum(list(cycles.values()), axis=0))
    array_energy = _total(array_pj)
    energy = array_energy + _total(outside_pj)
    dynamic = energy - _total({"leakage": outside_pj["leakage"]})
    # A prefill has as many tokens of the source as there are, not as of the target.
    of_source, before_target = _source_pj(fired, array_pj), _source_cycles(problem, stages, gaps)
    decoding = latency - before_target
    array_cells = hardware.array.rows * hardware.array.cols
    active = float((fired.cells * lasts)[fired.in_worst_case].sum())
    metrics: Metrics = {
        "arrays": arrays,
        "occupancy": fired.cells_stored / (arrays * array_cells),
        "latency_cycles": latency,
        "latency_ns": latency * clock_ns,
        "array_latency_ns": array_latency * clock_ns,
        "prefill_tokens": tokens,
        "prefill_ns": prefill * clock_ns,
        "array_prefill_ns": prefill_array * clock_ns,
        "ii_cycles": interval,
        "ii_ns": interval * clock_ns,
        "array_ii_cycles": int(busy.max()),
        "array_ii_ns": int(busy.max()) * clock_ns,
        "decode_tokens_per_s": 1e9 / (decoding * clock_ns),
        "prefill_tokens_per_s": tokens * 1e9 / (prefill * clock_ns),
        "throughput_tokens_per_s": 1e9 / (interval * clock_ns),
        "energy_pj": energy,
        "array_energy_pj": array_energy,
        "prefill_energy_pj": (
            tokens * dynamic
            + (problem.model.tokens_of(SOURCE) - tokens) * of_source
            + leakage_pj * prefill
            - spared_pj(gaps)
        ),
        "throughput_energy_pj": dynamic + leakage_pj * interval,
        **fixed_metrics(problem, gaps),
        **_decoding_metrics(problem, decoding * clock_ns, dynamic - of_source + leakage_pj * decoding),
        # Converters of the widest resolution that any activation uses.
        "area_mm2": arrays * float(hardware.array_um2(bits.max())) * 1e-6 + _cores_mm2(fired, used),
        "adc_conversions": hardware.input_phases * int((fired.times * fired.columns)[fired.in_worst_case].sum()),
        "adc_bits_max": int(bits.max()),
        "lossy_activations": int((hardware.adc_bits_needed(fired.stacked) > bits).sum()),
        "array_busy_share": float(busy.sum() / (arrays * latency)),
        # Of all cells those in a product, averaged over the time in which any array works.
        "active_cell_share": active / (arrays * array_cells * array_latency),
        "pieces": len(fired.pieces),
        "activations": len(activations),
        **_mean_metrics(fired, activations, place, stages, (latency, array_energy, dynamic), leakage_pj),
        **_memory_metrics(fired, _total({name: pj for name, pj in outside_pj.items() if name == "memory"})),
        **_network_metrics(
            fired,
            used,
            int(cycles["transfer"].sum()) * clock_ns,
            _total({name: pj for name, pj in outside_pj.items() if name in ("network", "bus")}),
        ),
    }
    return Costs(metrics, fired, stages, cycles, array_pj, outside_pj, phases)


def stage_times(fired: Fired, activations: Activations) -> StageCosts:
    """When the first activation of each stage starts and the last one ends, and how many it has."""
    count = len(fired.problem.workload.stages)
    start = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(start, fired.stage, activations.start)
    end, firings = max_by(fired.stage, activations.end, count), np.bincount(fired.stage, minlength=count)
    return StageCosts(start, end, firings, pass_begins(fired.problem, fired.gaps, start))


def _decoding_metrics(problem: Problem, decoding_ns: float, decoding_pj: float) -> Metrics:
    """What is said of a model with a source alone: of a sequence that decodes, whose source has been there once."""
    if len(problem.workload.tails) == 1:
        return {}
    return {"decode_latency_ns": decoding_ns, "decode_energy_pj": decoding_pj}


def _source_cycles(problem: Problem, stages: StageCosts, gaps: Gaps) -> int:
    """Cycles of a token's pass before that of the target begins, in which alone a sequence decodes; 0 if it is all."""
    first = [stage.id for stage in problem.workload.stages if stage.pass_name != SOURCE and not gaps.within[stage.id]]
    if not first or SOURCE not in gaps.tails:
        return 0
    # What comes down to the target's first stages is moved for every token of it.
    down = sum(each.counted_cycles for each in gaps.tails[SOURCE].passing if each.way == "down")
    return int(stages.start[first].min()) - down - stages.begins


def _source_pj(fired: Fired, array_pj: MappingABC[str, Floats]) -> float:
    """Energy of a token of the source in arrays and gaps."""
    gaps, stages = fired.gaps, fired.problem.workload.stages
    own = [stage.id for stage in stages if stage.pass_name == SOURCE]
    if SOURCE not in gaps.tails or not own:
        return 0.0
    tail = gaps.tails[SOURCE]
    paid = [*(gaps.before[stage] for stage in own if gaps.within[stage]), tail]
    in_gaps = math.fsum(pj for gap in paid for pj in gap.energy_pj.values())
    in_gaps -= math.fsum(each.move.network_pj + each.move.bus_pj for each in tail.passing if each.way == "down")
    return in_gaps + float(sum(values[own].sum() for values in array_pj.values()))


def _mean_metrics(
    fired: Fired,
    activations: Activations,
    array: Ints,
    stages: StageCosts,
    worst: tuple[int, float, float],
    leakage_pj: float,
) -> Metrics:
    """What is said of a model with experts alone; `worst` are latency, energy of arrays and all but leakage."""
    problem = fired.problem
    if not problem.workload.has_experts:
        return {}
    latency, array_energy, dynamic = worst
    lasts, clock_ns = activations.end - activations.start, problem.hardware.clock_ps / 1000
    means = find_means(fired, lasts, stages.end - stages.start, latency)
    busy = np.bincount(array, weights=means.weight * lasts)
    interval = max(float(busy.max()), *shared_cycles(problem, fired.gaps.own), least_interval(problem, latency))
    energy = dynamic - array_energy + float(means.weight @ fired.cost_pj) + leakage_pj * means.latency_cycles
    return {
        "mean_latency_ns": means.latency_cycles * clock_ns,
        "mean_latency_error_ns": means.error_cycles * clock_ns,
        "mean_ii_ns": interval * clock_ns,
        "mean_array_ii_ns": float(busy.max()) * clock_ns,
        "mean_energy_pj": energy,
    }


def _memory_metrics(fired: Fired, memory_pj: float) -> Metrics:
    """What is said of a chip with a memory of keys and values alone."""
    if fired.problem.hardware.memory is None:
        return {}
    bits = sum(gap.memory.bits for gap in fired.gaps.own if gap.memory is not None)
    return {"memory_bits": bits, "memory_energy_pj": memory_pj}


def _network_metrics(fired: Fired, used: Ints, moved_ns: float, moved_pj: float) -> Metrics:
    """What is said of a chip with a network alone; `used` are the numbers of its arrays that hold weights."""
    interconnect = fired.problem.hardware.interconnect
    if interconnect is None or fired.place is None:
        return {}
    moves = [move for gap in fired.gaps.own for move in gap.moves]
    links = bits_of(moves)[: interconnect.links]
    return {
        "cores": len(np.unique(fired.place[used])),
        "network_latency_ns": moved_ns,
        "network_energy_pj": moved_pj,
        "link_bits_max": int(links.max()),
        "link_bits": int(links.sum()),
    }


def _cores_mm2(fired: Fired, used: Ints) -> float:
    """Area of the cores in use beside their arrays, of the routers that join them, and of the hub, mm2."""
    hardware = fired.problem.hardware
    if hardware.core is None or hardware.network is None or hardware.topology is None or fired.place is None:
        return 0.0
    places = np.unique(fired.place[used])
    routers = hardware.topology.count_routers(places)
    areas = len(places) * hardware.core.area_um2 + routers * hardware.network.area_um2 + hardware.network.hub.area_um2
    return areas * 1e-6


def _total(parts: MappingABC[str, Floats]) -> float:
    """The sum of all; exact, as `split_energy` rounds every part to a common grid."""
    return float(sum(values.sum() for values in parts.values()))


def _phases(fired: Fired, jobs: tuple[Ints, Ints, Ints], arrays: int, stages: StageCosts) -> tuple[PhaseCosts, ...]:
    problem, gaps = fired.problem, fired.gaps
    names, phase_of_stage = np.unique([node.phase for node in problem.workload.stages], return_inverse=True)
    job_stage, job_array, job_cycles = jobs
    busy = sum_by(phase_of_stage[job_stage] * arrays + job_array, job_cycles, len(names) * arrays)
    busiest = busy.reshape(len(names), arrays).max(axis=1).tolist()
    found: list[PhaseCosts] = []
    previous_end, moves = stages.begins, moves_of_phases(problem, gaps)
    for index, (name, work) in enumerate(gaps_of_phases(problem, gaps).items()):
        members = np.flatnonzero(phase_of_stage == index)
        # Phases of parallel branches may overlap: each is charged what it adds to the time so far.
        end = max(previous_end, int(stages.end[members].max()))
        end += sum(tail.cycles for tail in gaps.tails.values() if any(tail is gap for gap in work))
        digital, transfer, memory = shared_cycles(problem, work, moves[name])
        fill, interval = end - previous_end, max(busiest[index], digital, transfer, memory)
        found.append(
            PhaseCosts(
                phase=name,
                fill_cycles=fill,
                ii_cycles=interval,
                array_fill_cycles=int(added_cover(stages.start[members], stages.end[members]).sum()),
                array_ii_cycles=busiest[index],
                digital_cycles=digital,
                transfer_cycles=transfer,
                prefill_cycles=fill + (problem.phase_tokens[name] - 1) * interval,
                memory_cycles=None if problem.hardware.memory is None else memory,
            )
        )
        previous_end = end
    return tuple(found)
