"""Two answers side by side: what moved between them, where both are solutions, and what it bought.

Array numbers mean nothing, so arrays of one are matched to those of the other first: a pair is worth the weights that
lie on both in the same pieces, and once more those that lie in the same place. Pieces are compared as rectangles of
blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize as _optimize

from cimsolve.columns import Bools, Floats, Ints
from cimsolve.errors import CheckError
from cimsolve.files.text import one_line
from cimsolve.judge.check import check_solution
from cimsolve.judge.check.plan import check_plan
from cimsolve.price.cost import Costs
from cimsolve.price.schedule import number_arrays
from cimsolve.problem.plan import AnyPlan, RoundsHeader, answer_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Pieces

optimize: Any = _optimize  # scipy ships no types

PAIRS_MAX = 4_000_000
"""Most pairs of arrays that are matched to the optimum; more are matched greedily, heaviest pair first."""
COMPARED = (
    "arrays",
    "latency_ns",
    "array_latency_ns",
    "prefill_ns",
    "array_prefill_ns",
    "ii_ns",
    "array_ii_ns",
    "energy_pj",
    "array_energy_pj",
    "area_mm2",
    "occupancy",
    "adc_conversions",
    "adc_bits_max",
    "pieces",
    "activations",
    "cores",
    "network_latency_ns",
    "network_energy_pj",
    "link_bits",
    "link_bits_max",
    "runs",
    "chips",
    "all_arrays",
    "write_ns",
    "batch",
    "batch_ns",
    "write_energy_pj",
    "batch_energy_pj",
    "cell_writes_per_day",
    "link_latency_ns",
    "link_energy_pj",
)
"""Metrics that are set side by side where both have them; times in ns, as clocks may differ."""


LABELS = ("hw.name", "hw.sources", "model_name", "objective")
"""Parts of a question that change no figure of a mapping."""


@dataclass(frozen=True)
class Moves:
    """Pieces and arrays of the second solution as they stand to the first; counts, and logical weights."""

    pieces: tuple[int, int]
    """Number of pieces of the first solution and of the second."""
    common: int
    """Rectangles of blocks that are a piece in both."""
    in_place: int
    """Common pieces on matched arrays at equal rows and columns."""
    shifted: int
    """Common pieces on matched arrays at another row or column."""
    to_another_array: int
    fired_with_others: int
    """Common pieces that fire in other company."""
    blocks: int
    blocks_cut_otherwise: int
    weights: int
    weights_in_place: int
    arrays: tuple[int, int]
    arrays_matched: int
    arrays_equal: int
    """Matched arrays that hold the same pieces in the same places."""


@dataclass(frozen=True)
class StageTimes:
    """A row a stage, shape (stages,): ns in arrays, and in the gap before it, in either solution."""

    names: tuple[str, ...]
    arrays_ns: tuple[Floats, Floats]
    gaps_ns: tuple[Floats, Floats]


@dataclass(frozen=True)
class Comparison:
    """`moves` and `stages` are there where both are solutions that map the same blocks; else `unlike` says why not."""

    metrics: Mapping[str, tuple[float, float]]
    differences: tuple[str, ...]
    """How the questions differ, by part."""
    moves: Moves | None
    stages: StageTimes | None
    unlike: str = ""


def compare_solutions(first: Solution | AnyPlan | Path | str, second: Solution | AnyPlan | Path | str) -> Comparison:
    """Compare two answers or their files, the first with the second; both are judged by the checker before.

    Either may be a solution or an answer in runs. Raises InputError for a file that is none, CheckError where one of
    them breaks a rule.
    """
    judged = [_judged(answer) for answer in (first, second)]
    one, other = (each.metrics for each in judged)
    metrics = {name: (one[name], other[name]) for name in COMPARED if name in one and name in other}
    ours, theirs = (each.problem.question for each in judged)
    differences = tuple(
        found._replace(path=found.path.removeprefix("options.")).told("in the first", "in the second")
        for found in ours.differences(theirs, apart=LABELS)
    )
    solutions = [each.answer for each in judged if isinstance(each.answer, Solution)]
    costs = [each.costs for each in judged if each.costs is not None]
    if len(solutions) < len(judged):
        held = " and ".join(
            f"the {place} is {_kept(each.answer)}" for place, each in zip(("first", "second"), judged, strict=True)
        )
        return Comparison(metrics, differences, None, None, f"{held}; the files of runs compare one by one")
    problems = [each.problem for each in judged]
    if problems[0].workload.factors != problems[1].workload.factors:
        unlike = f"the two do not store the same blocks: {differences[0]}"
        return Comparison(metrics, differences, None, None, unlike)
    return Comparison(metrics, differences, find_moves(solutions, problems[0]), _stage_times(problems, costs))


class _Judged(NamedTuple):
    """An answer that passed, with what the checker computed of it; `costs` of a solution."""

    answer: Solution | AnyPlan
    problem: Problem
    metrics: Mapping[str, int | float]
    costs: Costs | None


def _judged(given: Solution | AnyPlan | Path | str) -> _Judged:
    name = one_line(str(given)) if isinstance(given, (Path, str)) else "an answer"
    answer = answer_of(given)
    told = f"{name}: fails its check, {{}}; only answers that pass are compared"
    if isinstance(answer, Solution):
        problem, costs, _ = check_solution(answer).demand_passed(lambda violation: told.format(violation))
        return _Judged(answer, problem, costs.metrics, costs)
    report = check_plan(answer)
    if report.metrics is None or not report.passed:
        raise CheckError(told.format(report.violations[0]))
    return _Judged(answer, Problem(answer.question()), report.metrics, None)


def _kept(answer: Solution | AnyPlan) -> str:
    """How the weights of an answer lie, in words."""
    if isinstance(answer, Solution):
        return "all on one chip"
    runs = len(answer.runs)
    return (
        f"in rounds, {runs} of them"
        if isinstance(answer.header, RoundsHeader)
        else f"on chips in a row, {runs} of them"
    )


def find_moves(solutions: Sequence[Solution], problem: Problem) -> Moves:
    """What became of the pieces of the first solution in the second; both map the blocks of `problem`."""
    first, second = (number_arrays(solution.pieces) for solution in solutions)
    at_first, at_second = _common(first, second)
    a, b = first.take(at_first), second.take(at_second)
    weights = a.rows.astype(np.int64) * a.cols
    used = len(np.unique(first.array)), len(np.unique(second.array))
    same_spot = (a.array_row == b.array_row) & (a.array_col == b.array_col)
    partner = match_arrays(a.array, b.array, weights * (1 + same_spot), used)
    together = partner[a.array] == b.array if len(a) else np.zeros(0, dtype=bool)
    in_place = together & same_spot
    fires = [solution.activations.of_piece(len(solution.pieces)) for solution in solutions]
    blocks = int(problem.table.blocks.sum())
    return Moves(
        pieces=(len(first), len(second)),
        common=len(a),
        in_place=int(in_place.sum()),
        shifted=int((together & ~same_spot).sum()),
        to_another_array=int((~together).sum()),
        fired_with_others=int((~_same_company(fires[0], at_first, fires[1], at_second)).sum()),
        blocks=blocks,
        blocks_cut_otherwise=blocks - _blocks_cut_alike(problem, first, second, at_first),
        weights=problem.weight_cells,
        weights_in_place=int(weights[in_place].sum()),
        arrays=used,
        arrays_matched=int((partner >= 0).sum()),
        arrays_equal=_equal_arrays(first, second, a.array[in_place], partner),
    )


def match_arrays(first: Ints, second: Ints, worth: Ints, used: tuple[int, int]) -> Ints:
    """Array of the first solution -> its partner in the second or -1; shape (highest number + 1,).

    `first`, `second` and `worth` have an entry for each common piece. Pairs share at least one piece; the worth of
    all pairs together is the most possible, or, with more than PAIRS_MAX possible pairs, that of a greedy choice.
    """
    partner = np.full(int(first.max(initial=-1)) + 1, -1, dtype=np.int64)
    if not len(first):
        return partner
    width = int(second.max()) + 1
    pairs, inverse = np.unique(first.astype(np.int64) * width + second, return_inverse=True)
    sums = np.bincount(inverse.reshape(-1), weights=worth).astype(np.int64)
    one, other = pairs // width, pairs % width
    if used[0] * used[1] <= PAIRS_MAX:
        rows, row = np.unique(one, return_inverse=True)
        columns, column = np.unique(other, return_inverse=True)
        table = np.zeros((len(rows), len(columns)), dtype=np.int64)
        table[row, column] = sums
        chosen = optimize.linear_sum_assignment(table, maximize=True)
        shares = table[chosen] > 0
        partner[rows[chosen[0][shares]]] = columns[chosen[1][shares]]
        return partner
    taken = np.zeros(width, dtype=bool)
    for index in np.lexsort((other, one, -sums)).tolist():
        if partner[one[index]] < 0 and not taken[other[index]]:
            partner[one[index]] = other[index]
            taken[other[index]] = True
    return partner


def _common(first: Pieces, second: Pieces) -> tuple[Ints, Ints]:
    """Indices of the pieces that are the same rectangle of the same block in both, pair by pair."""
    size = len(first)
    keys = [
        np.concatenate([getattr(first, name), getattr(second, name)]).astype(np.int64)
        for name in ("factor", "block", "row0", "rows", "col0", "cols")
    ]
    order = np.lexsort(keys)
    # A rectangle occurs once in either at most, as pieces tile their blocks; ties keep the first solution's first.
    at = np.flatnonzero(np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0))
    return order[at], order[at + 1] - size


def _same_company(first: Ints, at_first: Ints, second: Ints, at_second: Ints) -> Bools:
    """Whether each common piece fires with the same pieces in both; `first` and `second`: activation of a piece."""
    sizes = [np.bincount(fires) for fires in (first, second)]
    a, b = first[at_first].astype(np.int64), second[at_second].astype(np.int64)
    _, inverse, count = np.unique(a * len(sizes[1]) + b, return_inverse=True, return_counts=True)
    shared = count[inverse.reshape(-1)] if len(a) else np.zeros(0, dtype=np.int64)
    return np.asarray((shared == sizes[0][a]) & (shared == sizes[1][b]))


def _blocks_cut_alike(problem: Problem, first: Pieces, second: Pieces, at_first: Ints) -> int:
    """Blocks all of whose pieces are common."""
    start = problem.table.first_block
    count = int(problem.table.blocks.sum())
    whole = [np.bincount(start[pieces.factor] + pieces.block, minlength=count) for pieces in (first, second)]
    common = first.take(at_first)
    shared = np.bincount(start[common.factor] + common.block, minlength=count)
    return int(((shared == whole[0]) & (shared == whole[1])).sum())


def _equal_arrays(first: Pieces, second: Pieces, in_place: Ints, partner: Ints) -> int:
    """Matched arrays of which every piece is in place, on either side; `in_place`: array of each such piece."""
    matched = np.flatnonzero(partner >= 0)
    if not len(matched):
        return 0
    sizes = np.bincount(first.array, minlength=len(partner)), np.bincount(second.array)
    kept = np.bincount(in_place, minlength=len(partner))
    return int(((kept[matched] == sizes[0][matched]) & (kept[matched] == sizes[1][partner[matched]])).sum())


def _stage_times(problems: Sequence[Problem], costs: Sequence[Costs]) -> StageTimes:
    clocks = [problem.hardware.clock_ps / 1000 for problem in problems]
    first, second = ((cost.stages.end - cost.stages.start) * clock for cost, clock in zip(costs, clocks, strict=True))
    before, after = (cost.gaps.before_cycles * clock for cost, clock in zip(costs, clocks, strict=True))
    names = tuple(stage.name for stage in problems[0].workload.stages)
    return StageTimes(names, (first, second), (before, after))
