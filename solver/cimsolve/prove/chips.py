"""What no answer on chips in a row can beat, and the best cut of a model once it is known what each chip would take.

docs/formulation.md, section "Chips in a row".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cimsolve.price.chips import ChipTimes, RowTimes, phase_goes_on, use_link
from cimsolve.problem.problem import Problem, found_once
from cimsolve.prove import Bound, least_times
from cimsolve.prove.runs import Cut, LeastRuns, Run


@found_once
def least_chips(problem: Problem, arrays: int) -> Mapping[Run, ChipTimes]:
    """What every run that may fit a chip takes at least."""
    return LeastRuns(problem, arrays, _least_times).all()


def _least_times(run: Problem, arrays: int) -> ChipTimes:
    least = least_times(run, arrays)
    return ChipTimes(latency=least.latency, ii=least.ii, phases=tuple(least.phases), later=run.later_tokens)


class _Way(NamedTuple):
    """A cut of the first steps, and what its chips take."""

    row: RowTimes
    cut: Cut

    def over(self, of: str) -> int:
        """What it takes with the last phase left out, which may go on."""
        return self.row.takes(of) - (self.row.open_later * self.row.open if of == "prefill" else 0)


def best_row(problem: Problem, runs: Mapping[Run, ChipTimes], chips: int | None, of: str) -> Cut | None:
    """The cut into at most `chips` of these runs that takes least; into as few as can be for None.

    By dynamic programming over steps and chips. In a prefill the slowest chip of a phase counts once for all of its
    chips: of two ways to a step, one is dropped where it takes no less without the phase that is open and the open
    phase is no faster. None where the runs do not join.
    """
    count = len(problem.model.steps)
    following: dict[int, list[int]] = {}
    for first, end in sorted(runs):
        following.setdefault(first, []).append(end)
    links = {end: (use_link(problem, end), phase_goes_on(problem, end)) for end in range(1, count)}
    reached: dict[int, list[_Way]] = {
        end: [_Way(RowTimes.of(runs[0, end]), ((0, end),))] for end in following.get(0, ())
    }
    best: _Way | None = None
    for _ in range(count if chips is None else chips):
        whole = reached.pop(count, [])
        ways = [*([best] if best else []), *whole]  # of equal ones the fewest chips
        best = min(ways, key=lambda way: (way.row.takes(of), way.row.latency), default=None)
        if (best is not None and chips is None) or not reached:
            break
        longer: dict[int, list[_Way]] = {}
        for first, ways in reached.items():
            for end in following.get(first, ()):
                longer.setdefault(end, []).extend(
                    _Way(row.then(links[first][0], runs[first, end], links[first][1]), (*cut, (first, end)))
                    for row, cut in ways
                )
        reached = {end: _not_worse(ways, of) for end, ways in longer.items()}
    return None if best is None else best.cut


def _not_worse(ways: list[_Way], of: str) -> list[_Way]:
    """The ways to a step of which none is worse than another in all that counts."""
    kept: list[_Way] = []
    for way in sorted(ways, key=lambda each: (each.over(of), each.row.open * (of == "prefill"), each.row.latency)):
        if not kept or (of == "prefill" and way.row.open < kept[-1].row.open):
            kept.append(way)
    return kept


def find_chips_bounds(problem: Problem, chips: int) -> dict[str, Bound]:
    """Metric -> what no answer on at most so many chips goes below, for any cut between steps and any mappings.

    The best cut of runs that each take their least on all arrays of a chip.
    """
    arrays = problem.array_limit
    assert arrays is not None
    runs = least_chips(problem, arrays)

    def least(of: str) -> int:
        cut = best_row(problem, runs, chips, of)
        if cut is None:
            return 0
        row = RowTimes.of(runs[cut[0]])
        for first, end in cut[1:]:
            row = row.then(use_link(problem, first), runs[first, end], phase_goes_on(problem, first))
        return row.takes(of)

    clock_ns = problem.hardware.clock_ps / 1000
    proof = f"best cut onto {chips} chips of {arrays} arrays"
    return {
        "latency_cycles": Bound(least("token"), proof),
        "prefill_ns": Bound(least("prefill") * clock_ns, proof),
        "ii_cycles": Bound(least("batch"), proof),
    }
