"""What it costs to pass tokens through a row of like chips, each of which holds a part of the model.

docs/formulation.md, section "Chips in a row".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import NamedTuple

from cimsolve.chip.sections import ChipLinkSection, picoseconds
from cimsolve.chip.spec import Hardware
from cimsolve.columns import ceil_div
from cimsolve.errors import InputError
from cimsolve.price.memory import tokens_in_flight
from cimsolve.problem.plan import decoding_cycles, first_decoding, kept_between, run_problem
from cimsolve.problem.problem import Problem


@dataclass(frozen=True)
class ChipTimes:
    """One chip in cycles: a token passed through it, and its II as a whole and in each of its phases."""

    latency: int
    ii: int
    phases: tuple[int, ...]
    later: tuple[int, ...]
    """Tokens of a prefill after the first of each phase."""

    def slowed(self, times: float) -> ChipTimes:
        """All of it so many times as long."""
        latency, ii, *phases = (round(each * times) for each in (self.latency, self.ii, *self.phases))
        return ChipTimes(latency, ii, tuple(phases), self.later)


class LinkUse(NamedTuple):
    """What a token asks of the link behind a chip: its bits, how long they are under way, and how long it is busy."""

    bits: int
    latency: int
    busy: int


@dataclass(frozen=True)
class RowTimes:
    """The first chips of a row in cycles; the last phase may go on, on the next chip."""

    latency: int
    ii: int
    closed: int
    """What the tokens after the first take, in all phases that are over."""
    open: int
    """II of the phase that may go on."""
    open_later: int
    """Tokens after the first of that phase."""

    @classmethod
    def of(cls, chip: ChipTimes) -> RowTimes:
        """A row of one chip."""
        *closed, last = chip.phases
        return cls(chip.latency, chip.ii, _later_cycles(chip.later, closed), last, chip.later[-1])

    def then(self, link: LinkUse, chip: ChipTimes, goes_on: bool) -> RowTimes:
        """The row with one more chip, of which the first phase `goes_on` where it has cut the last one.

        Tokens of a phase pass the link behind a chip as they leave it, and then wait for the slowest.
        """
        first, *later = chip.phases
        last = max(self.open, link.busy)
        closed, last = (self.closed, max(last, first)) if goes_on else (self.closed + self.open_later * last, first)
        *between, last = last, *later
        return RowTimes(
            latency=self.latency + link.latency + chip.latency,
            ii=max(self.ii, link.busy, chip.ii),
            closed=closed + _later_cycles(chip.later, between),
            open=last,
            open_later=chip.later[-1],
        )

    @property
    def prefill(self) -> int:
        """Cycles of a prefill, phase after phase."""
        return self.latency + self.closed + self.open_later * self.open

    def takes(self, of: str) -> int:
        """Cycles of a `token`, of a `prefill`, or from token to token of a `batch` of many sequences."""
        return {"token": self.latency, "prefill": self.prefill, "batch": self.ii}[of]


def _later_cycles(later: Sequence[int], intervals: Sequence[int]) -> int:
    return sum(tokens * ii for tokens, ii in zip(later, intervals, strict=False))


def link_section(hardware: Hardware) -> ChipLinkSection:
    """How chips are joined. Raises InputError for one that does not say it."""
    link = hardware.chip_link
    if link is None:
        raise InputError(
            f"{hardware.name}: chip_link is missing; a spec of chips in a row says what joins them: add chip_link"
        )
    return link


def use_link(problem: Problem, end: int) -> LinkUse:
    """What a token moves from the chip of the steps before `end` to the next."""
    link, hardware = link_section(problem.hardware), problem.hardware
    bits = kept_between(problem)[end] * hardware.input.bits
    busy_ps = int(picoseconds(bits / link.bits_per_ns))
    latency = int(hardware.cycles(int(picoseconds(link.base_ns)) + busy_ps))
    return LinkUse(bits, latency, int(hardware.cycles(busy_ps)))


def phase_goes_on(problem: Problem, end: int) -> bool:
    """Whether the phase of the step before `end` is that of the step at `end` too."""
    before, after = problem.model.steps[end - 1 : end + 1]
    return before.phase == after.phase


def row_of(problem: Problem, ends: Sequence[int], chips: Sequence[ChipTimes]) -> RowTimes:
    """All chips of a row; `ends` are the steps before which each ends."""
    row = RowTimes.of(chips[0])
    for end, chip in zip(ends, chips[1:], strict=False):
        row = row.then(use_link(problem, end), chip, phase_goes_on(problem, end))
    return row


def chips_metrics(
    problem: Problem, ends: Sequence[int], chips: Sequence[tuple[ChipTimes, Mapping[str, int | float]]]
) -> dict[str, int | float]:
    """All figures of an answer on chips in a row; `ends` as in `row_of`, `chips` times and metrics of each."""
    clock_ns, tokens = problem.hardware.clock_ps / 1000, problem.model.tokens
    row = row_of(problem, ends, [times for times, _ in chips])
    first = first_decoding(problem, ends)
    decoding = [replace(times, latency=decoding_cycles(problem, times.latency, metrics)) for times, metrics in chips]
    links = [use_link(problem, end) for end in ends[:-1]]
    interval = max(row.ii, least_interval_of_row(problem, ends, row.latency))
    prefill, each = row.prefill, [metrics for _, metrics in chips]
    link_pj = sum(link.bits for link in links) * link_section(problem.hardware).pj_per_bit
    # A chip leaks while the others work.
    leakage_pj = problem.hardware.array.leakage_uw * clock_ns * 1e-3
    waiting_pj = fsum(int(metrics["arrays"]) * leakage_pj * (row.latency - times.latency) for times, metrics in chips)
    return {
        "chips": len(chips),
        "arrays": max(int(metrics["arrays"]) for metrics in each),
        "all_arrays": sum(int(metrics["arrays"]) for metrics in each),
        "latency_cycles": row.latency,
        "latency_ns": row.latency * clock_ns,
        "link_latency_ns": sum(link.latency for link in links) * clock_ns,
        "link_bits_max": max((link.bits for link in links), default=0),
        "ii_cycles": interval,
        "ii_ns": interval * clock_ns,
        "prefill_tokens": tokens,
        "prefill_cycles": prefill,
        "prefill_ns": prefill * clock_ns,
        "decode_tokens_per_s": 1e9 / (row_of(problem, ends[first:], decoding[first:]).latency * clock_ns),
        "prefill_tokens_per_s": tokens * 1e9 / (prefill * clock_ns),
        "throughput_tokens_per_s": 1e9 / (interval * clock_ns),
        "link_energy_pj": link_pj,
        "energy_pj": fsum(float(metrics["energy_pj"]) for metrics in each) + link_pj + waiting_pj,
        "area_mm2": fsum(float(metrics["area_mm2"]) for metrics in each),
    }


def least_interval_of_row(problem: Problem, ends: Sequence[int], latency_cycles: int) -> int:
    """Fewest cycles between tokens, as each chip's memory has room for the sequences under way in the whole row."""
    rooms = (tokens_in_flight(run_problem(problem, *run)) for run in zip((0, *ends), ends, strict=False))
    return max((ceil_div(latency_cycles, most) for most in rooms if most is not None), default=0)
