"""The rules again, with no solver: judges any solution and recomputes its figures.

`hw`, `model`, `structure` and `options` of a solution are the question; all else is a claim. The checker rebuilds
factors, stages and gaps from the question and tests every claim against them. One function a rule; each returns
what it found wrong, in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cimsolve.activation import ActivationShapes, measure_activations
from cimsolve.arrays import Bools, Ints, overlap_clusters, sum_by
from cimsolve.bounds import Bounds, find_bounds, relative_gap
from cimsolve.cost import Costs, evaluate
from cimsolve.errors import CimsolveError
from cimsolve.gaps import Gaps, find_gaps, partial_sum_elements
from cimsolve.mapping import Activations, Pieces
from cimsolve.model import parse_model
from cimsolve.problem import Problem, build_problem
from cimsolve.records import describe_breakdown, describe_factors, describe_stages, proved_metrics
from cimsolve.solution import Solution
from cimsolve.structure import Structure

RELATIVE_TOLERANCE = 1e-9
PAINT_CELLS = 8_000_000
"""Most cells painted at once; bounds the memory of the geometric rules."""


@dataclass(frozen=True)
class Violation:
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


@dataclass(frozen=True)
class CheckReport:
    """The verdict. `costs` and `bounds` are recomputed ones, None where the tables are too broken for them."""

    violations: tuple[Violation, ...]
    problem: Problem | None = None
    costs: Costs | None = None
    bounds: Bounds | None = None
    unverified: tuple[str, ...] = field(default=())
    """Claims of an exhaustive search, which only another search can confirm."""

    @property
    def passed(self) -> bool:
        return not self.violations


@dataclass(frozen=True)
class _Case:
    """A claim beside what the question says; the tables are known to be well formed."""

    problem: Problem
    solution: Solution
    pieces: Pieces
    activations: Activations
    fires: Ints
    gaps: Gaps
    shapes: ActivationShapes


def rebuild_problem(solution: Solution) -> Problem:
    """The question that a solution claims to answer. Raises InputError where it is none."""
    header = solution.header
    model = parse_model(header.model, "model", header.model_name, header.options.tokens)
    structures = {name: Structure.parse(text) for name, text in header.structure.items()}
    return build_problem(solution.hardware, model, structures, header.options.cut, header.options.max_arrays)


def check_solution(solution: Solution, problem: Problem | None = None) -> CheckReport:
    """Judge every claim of `solution`; `problem` saves rebuilding a question that the caller just asked."""
    try:
        problem = problem or rebuild_problem(solution)
    except CimsolveError as error:
        return CheckReport((Violation("question", str(error)),))
    broken = [Violation("tables", text) for text in _malformed(problem, solution)]
    if broken:
        return CheckReport(tuple(broken), problem)
    pieces, activations = solution.pieces, solution.activations
    fires = activations.of_piece(len(pieces))
    case = _Case(
        problem,
        solution,
        pieces,
        activations,
        fires,
        find_gaps(problem, partial_sum_elements(problem, pieces)),
        measure_activations(problem.hardware, pieces, fires, len(activations)),
    )
    violations = [
        Violation(name, text)
        for name, rule in RULES
        for text in rule(case)
    ]
    if violations:
        return CheckReport(tuple(violations), problem)
    costs = evaluate(problem, pieces, activations)
    bounds = find_bounds(problem, costs.metrics)
    unverified: list[str] = []
    violations += [Violation("metrics", text) for text in _wrong_metrics(solution, costs)]
    violations += [Violation("bounds", text) for text in _wrong_bounds(solution, costs, bounds, unverified)]
    return CheckReport(tuple(violations), problem, costs, bounds, tuple(unverified))


def _malformed(problem: Problem, solution: Solution) -> Iterator[str]:
    """Ranges and lengths, before anything is computed from the tables."""
    pieces, activations = solution.pieces, solution.activations
    table = problem.table
    if _outside(pieces.factor, 0, len(table.blocks)):
        yield f"pieces.factor: {_worst(pieces.factor, 0, len(table.blocks))} is no factor of the model"
        return
    if (pieces.block < 0).any() or (pieces.block >= table.blocks[pieces.factor]).any():
        yield "pieces.block: a piece names a block that its factor does not have"
        return
    for name in ("row0", "col0", "array", "array_row", "array_col"):
        if _outside(getattr(pieces, name), 0, 2**31):
            yield f"pieces.{name}: {_worst(getattr(pieces, name), 0, 2**31)} is out of range"
    for name in ("rows", "cols"):
        if _outside(getattr(pieces, name), 1, 2**31):
            yield f"pieces.{name}: {_worst(getattr(pieces, name), 1, 2**31)} is no size"
    if _outside(activations.array, 0, 2**31):
        yield f"activations.array: {_worst(activations.array, 0, 2**31)} is out of range"
    if (activations.start < 0).any() or (activations.end <= activations.start).any():
        yield "activations: one starts before cycle 0 or ends before it has begun"
    if _outside(activations.end, 0, 2**61):
        yield "activations.end: out of range"
    yield from _s1_every_piece_fires_once(pieces, activations)


def _s1_every_piece_fires_once(pieces: Pieces, activations: Activations) -> Iterator[str]:
    """S1: the activations' ranges partition `piece`, and `piece` holds every piece once."""
    if len(activations.piece) != len(pieces) or (np.bincount(
        np.clip(activations.piece, 0, len(pieces)), minlength=len(pieces) + 1
    )[: len(pieces)] != 1).any():
        yield "S1: activations.piece does not hold every piece exactly once"
        return
    order = np.argsort(activations.pieces_from, kind="stable")
    starts, stops = activations.pieces_from[order], activations.pieces_to[order]
    if (
        starts[0] != 0
        or stops[-1] != len(pieces)
        or (starts[1:] != stops[:-1]).any()
        or (stops <= starts).any()
    ):
        yield "S1: the ranges pieces_from ... pieces_to do not partition activations.piece"


def _p1_pieces_tile_every_block(case: _Case) -> Iterator[str]:
    """P1: the pieces of a block cover it, each weight exactly once.

    A sum of rectangles is determined by its second differences, which live on the rectangles' corners: the
    corners of the pieces, signed, must cancel against those of the blocks.
    """
    table, pieces = case.problem.table, case.pieces
    height, width = table.block_rows[pieces.factor], table.block_cols[pieces.factor]
    if (pieces.row0 + pieces.rows > height).any() or (pieces.col0 + pieces.cols > width).any():
        yield f"piece {int(np.argmax((pieces.row0 + pieces.rows > height) | (pieces.col0 + pieces.cols > width)))} reaches beyond its block"
        return
    factor = np.repeat(np.arange(len(table.blocks)), table.blocks)
    blocks = case.problem.workload.block_count
    zero = np.zeros(blocks, dtype=np.int64)
    block = np.concatenate([table.first_block[pieces.factor] + pieces.block, np.arange(blocks)])
    row = np.concatenate([pieces.row0, zero])
    col = np.concatenate([pieces.col0, zero])
    rows = np.concatenate([pieces.rows, table.block_rows[factor]])
    cols = np.concatenate([pieces.cols, table.block_cols[factor]])
    sign = np.concatenate([np.ones(len(pieces), dtype=np.int64), np.full(blocks, -1)])
    pitch_row = int(table.block_rows.max()) + 1
    pitch_col = int(table.block_cols.max()) + 1
    key = (block * pitch_row + row) * pitch_col + col
    keys = np.concatenate([key, key + rows * pitch_col, key + cols, key + rows * pitch_col + cols])
    signs = np.concatenate([sign, -sign, -sign, sign])
    corners, first = np.unique(keys, return_inverse=True)
    left = np.flatnonzero(sum_by(first, signs, len(corners)))
    if len(left):
        wrong = int(corners[left[0]] // (pitch_row * pitch_col))
        owner = case.problem.workload.factors[int(factor[wrong])]
        yield (
            f"the pieces of block {wrong - int(table.first_block[owner.id])} of {owner.linear} ({owner.kind}) "
            "do not cover it exactly once"
        )


def _p2_pieces_lie_inside_their_array(case: _Case) -> Iterator[str]:
    """P2: every piece lies inside the `rows x floor(cols / w)` weights of an array."""
    pieces, problem = case.pieces, case.problem
    outside = (pieces.array_row + pieces.rows > problem.rows) | (
        pieces.array_col + pieces.cols > problem.weights_per_row
    )
    if outside.any():
        yield f"piece {int(np.argmax(outside))} reaches beyond array {int(pieces.array[np.argmax(outside)])}"


def _p3_pieces_share_no_cell(case: _Case) -> Iterator[str]:
    """P3: no cell holds two weights. Arrays with one piece cannot break it."""
    if next(_p2_pieces_lie_inside_their_array(case), None):
        return
    pieces = case.pieces
    _, array, members = np.unique(pieces.array, return_inverse=True, return_counts=True)
    for _, arrays, image in _painted(case, np.flatnonzero(members > 1), array):
        if image.max() > 1:
            at = int(np.argmax(image.reshape(len(arrays), -1).max(axis=1) > 1))
            name = int(pieces.array[np.argmax(array == arrays[at])])
            yield f"two pieces share a cell of array {name}"
            return


def _painted(case: _Case, wanted: Ints, array: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Images of the `wanted` arrays, some at a time: (piece numbers, arrays, image (arrays, rows, weights)).

    `array` is the compact array number of each piece, shape (pieces,). A cell counts the pieces on it.
    """
    pieces, rows, cols = case.pieces, case.problem.rows, case.problem.weights_per_row
    order = np.argsort(array, kind="stable")
    sorted_array = array[order]
    step = max(1, PAINT_CELLS // ((rows + 1) * (cols + 1)))
    for low in range(0, len(wanted), step):
        arrays = wanted[low : low + step]
        first = np.searchsorted(sorted_array, arrays)
        last = np.searchsorted(sorted_array, arrays, side="right")
        index = np.concatenate([order[a:b] for a, b in zip(first, last, strict=True)])
        local = np.repeat(np.arange(len(arrays)), last - first)
        image = np.zeros((len(arrays), rows + 1, cols + 1), dtype=np.int32)
        top, left = pieces.array_row[index], pieces.array_col[index]
        bottom, right = top + pieces.rows[index], left + pieces.cols[index]
        for row, col, change in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
            np.add.at(image, (local, row, col), change)
        np.cumsum(image, axis=1, out=image)
        np.cumsum(image, axis=2, out=image)
        yield index, arrays, image[:, :rows, :cols]


def _pieces_of_an_activation_lie_on_its_array(case: _Case) -> Iterator[str]:
    wrong = case.pieces.array != case.activations.array[case.fires]
    if wrong.any():
        yield f"piece {int(np.argmax(wrong))} is fired by an activation of another array"


def _together(case: _Case) -> Bools:
    """Pieces that do not fire alone; shape (pieces,)."""
    sizes = case.activations.pieces_to - case.activations.pieces_from
    return np.asarray(sizes[case.fires] > 1)


def _s2_shared_rows_need_one_input(case: _Case) -> Iterator[str]:
    """S2: pieces of one activation that share a driven row need the same element of the same vector there."""
    table = case.problem.table
    index = np.flatnonzero(_together(case))
    some = case.pieces.take(index)
    element = some.block * table.block_rows[some.factor] + some.row0 - some.array_row
    cluster = overlap_clusters(case.fires[index], some.array_row, some.array_row + some.rows)
    if _differs(cluster, table.input[some.factor]) or _differs(cluster, element):
        yield "pieces fire together on a shared row but need different input elements there"


def _s3_read_columns_are_clean(case: _Case) -> Iterator[str]:
    """S3: occupied driven cells of a read column belong to fired pieces that feed the same output element."""
    if next(_p2_pieces_lie_inside_their_array(case), None):
        return
    table = case.problem.table
    together = _together(case)
    index = np.flatnonzero(together)
    if not len(index):
        return
    some = case.pieces.take(index)
    cluster = overlap_clusters(case.fires[index], some.array_col, some.array_col + some.cols)
    element = some.block * table.block_cols[some.factor] + some.col0 - some.array_col
    if _differs(cluster, some.factor) or _differs(cluster, element):
        yield "pieces fire together on a shared column but feed different output elements"
        return
    _, array = np.unique(case.pieces.array, return_inverse=True)
    rows, cols = case.problem.rows, case.problem.weights_per_row
    fired_cells = sum_by(case.fires, case.pieces.rows * case.pieces.cols, len(case.activations))
    for numbers, arrays, image in _painted(case, np.unique(array[index]), array):
        numbers = numbers[together[numbers]]
        firing, local = np.unique(case.fires[numbers], return_inverse=True)
        some = case.pieces.take(numbers)
        driven = _marks(local, some.array_row, some.rows, len(firing), rows)
        read = _marks(local, some.array_col, some.cols, len(firing), cols)
        owner = np.zeros(len(firing), dtype=np.int64)
        owner[local] = np.searchsorted(arrays, array[numbers])
        occupied = _occupied(driven, read, owner, image)
        wrong = occupied != fired_cells[firing]
        if wrong.any():
            which = int(firing[np.argmax(wrong)])
            yield (
                f"activation {which} on array {int(case.activations.array[which])} reads a column in which "
                "another piece lies on a driven row"
            )
            return


def _occupied(driven: Bools, read: Bools, owner: Ints, image: Ints) -> Ints:
    """Occupied cells on driven rows and read columns per activation; image is (arrays, rows, cols)."""
    # Sums stay below 2^24, where float32 is exact, as an array has at most rows * cols <= 2^24 weights per
    # column sum; the last sum is taken in integers.
    count = np.zeros(len(owner), dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(len(image) + 1))
    for number in range(len(image)):
        members = order[edges[number] : edges[number + 1]]
        if len(members):
            per_column = driven[members].astype(np.float32) @ (image[number] > 0).astype(np.float32)
            count[members] = (per_column * read[members]).astype(np.int64).sum(axis=1)
    return count


def _marks(group: Ints, start: Ints, length: Ints, groups: int, size: int) -> Bools:
    """Which of `size` positions each group's intervals cover; shape (groups, size)."""
    change = np.zeros((groups, size + 1), dtype=np.int32)
    np.add.at(change, (group, start), 1)
    np.add.at(change, (group, start + length), -1)
    return np.asarray(np.cumsum(change, axis=1)[:, :size] > 0)


def _s4_an_array_does_one_thing_at_a_time(case: _Case) -> Iterator[str]:
    """S4: activations of one array do not overlap in time."""
    activations = case.activations
    order = np.lexsort((activations.start, activations.array))
    same = activations.array[order][1:] == activations.array[order][:-1]
    clash = same & (activations.start[order][1:] < activations.end[order][:-1])
    if clash.any():
        yield f"two activations of array {int(activations.array[order][1:][np.argmax(clash)])} overlap in time"


def _durations_and_bits_follow_from_the_hardware(case: _Case) -> Iterator[str]:
    hardware, shapes, activations = case.problem.hardware, case.shapes, case.activations
    cycles = hardware.activation_cycles(shapes.stacked, shapes.conversions)
    wrong = activations.end - activations.start != cycles
    if wrong.any():
        which = int(np.argmax(wrong))
        lasts = int(activations.end[which] - activations.start[which])
        yield f"activation {which} lasts {lasts} cycles; expected {int(cycles[which])}"
    bits = hardware.adc_bits_used(shapes.stacked)
    if (activations.adc_bits != bits).any():
        which = int(np.argmax(activations.adc_bits != bits))
        yield f"activation {which} has adc_bits {int(activations.adc_bits[which])}; expected {int(bits[which])}"
    lossy = hardware.adc_bits_needed(shapes.stacked) > bits
    if lossy.any() and not hardware.adc.lossy_allowed:
        yield f"activation {int(np.argmax(lossy))} needs more bits than the converters have"


def _s5_stages_follow_the_dataflow(case: _Case) -> Iterator[str]:
    """S5: a stage starts when every stage it reads has ended plus the gap between them."""
    stages = case.problem.workload.stages
    owner = case.problem.table.stage[case.pieces.factor]
    start = np.full(len(stages), np.iinfo(np.int64).max)
    end = np.zeros(len(stages), dtype=np.int64)
    np.minimum.at(start, owner, case.activations.start[case.fires])
    np.maximum.at(end, owner, case.activations.end[case.fires])
    gap_cycles = case.gaps.before_cycles
    for stage in stages:
        for before in stage.after:
            earliest = int(end[before] + gap_cycles[stage.id])
            if start[stage.id] < earliest:
                yield (
                    f"stage {stage.name} starts at cycle {int(start[stage.id])}; {stages[before].name} and the gap "
                    f"after it end at {earliest}"
                )
                return
    # S6, shared units: the gap before a stage holds the digital units and the interconnect.
    held = np.flatnonzero(gap_cycles > 0)
    held = held[np.argsort(start[held], kind="stable")]
    clash = start[held][1:] - gap_cycles[held][1:] < start[held][:-1]
    if clash.any():
        yield f"S6: two gaps use the digital units at once, before stage {stages[int(held[1:][np.argmax(clash)])].name}"


def _s6_limits_are_kept(case: _Case) -> Iterator[str]:
    """S6: rows driven at once and the number of arrays."""
    problem = case.problem
    limit = problem.hardware.array.rows_active_max
    if limit is not None and (case.shapes.rows > limit).any():
        which = int(np.argmax(case.shapes.rows > limit))
        yield f"activation {which} drives {int(case.shapes.rows[which])} rows; rows_active_max is {limit}"
    used = len(np.unique(case.pieces.array))
    if problem.array_limit is not None and used > problem.array_limit:
        yield f"{used} arrays are used; the limit is {problem.array_limit}"
    if problem.hardware.array.count is not None and case.pieces.array.max() >= problem.hardware.array.count:
        yield f"array {int(case.pieces.array.max())} is named; array.count is {problem.hardware.array.count}"


def _header_repeats_the_question(case: _Case) -> Iterator[str]:
    """The stages and factors that the file lists are those of the model."""
    header = case.solution.header
    for name, claimed, expected in (
        ("factors", header.factors, describe_factors(case.problem)),
        ("stages", header.stages, describe_stages(case.problem, case.gaps)),
    ):
        if len(claimed) != len(expected):
            yield f"{name}: {len(claimed)} are listed; the model has {len(expected)}"
            continue
        for index, (mine, theirs) in enumerate(zip(expected, claimed, strict=True)):
            if mine != theirs:
                key = next(key for key in type(mine).model_fields if getattr(mine, key) != getattr(theirs, key))
                yield f"{name}.{index}.{key}: {getattr(theirs, key)!r} is not what the model gives: {getattr(mine, key)!r}"
                break


RULES: tuple[tuple[str, Callable[[_Case], Iterator[str]]], ...] = (
    ("header", _header_repeats_the_question),
    ("P1", _p1_pieces_tile_every_block),
    ("P2", _p2_pieces_lie_inside_their_array),
    ("P3", _p3_pieces_share_no_cell),
    ("S1", _pieces_of_an_activation_lie_on_its_array),
    ("S2", _s2_shared_rows_need_one_input),
    ("S3", _s3_read_columns_are_clean),
    ("S4", _s4_an_array_does_one_thing_at_a_time),
    ("durations", _durations_and_bits_follow_from_the_hardware),
    ("S5", _s5_stages_follow_the_dataflow),
    ("S6", _s6_limits_are_kept),
)


def _wrong_metrics(solution: Solution, costs: Costs) -> Iterator[str]:
    claimed = solution.header.metrics
    for name in claimed.keys() | costs.metrics.keys():
        if name not in claimed or name not in costs.metrics:
            yield f"{name}: {'missing' if name not in claimed else 'no such metric'}"
        elif not _equal(claimed[name], costs.metrics[name]):
            yield f"{name}: {claimed[name]!r} is claimed, the tables give {costs.metrics[name]!r}"
    if solution.header.breakdown != describe_breakdown(costs):
        yield "breakdown: it is not the one that the tables give"


def _wrong_bounds(solution: Solution, costs: Costs, bounds: Bounds, unverified: list[str]) -> Iterator[str]:
    header = solution.header
    for name, entry in header.bounds.items():
        if name not in bounds.lower:
            yield f"{name}: no bound is known for it; expected one of {', '.join(bounds.lower)}"
            continue
        if not _equal(entry.value, costs.metrics[name]):
            yield f"{name}.value: {entry.value!r} is claimed, the tables give {costs.metrics[name]!r}"
        lower = bounds.lower[name].value
        if entry.proof == "search" and lower < entry.lower <= entry.value:
            unverified.append(name)
        elif not _equal(entry.lower, lower):
            yield f"{name}.lower: {entry.lower!r} is claimed, the bound is {lower!r}"
        expected_gap = relative_gap(entry.value, entry.lower)
        if not math.isclose(entry.gap, expected_gap, rel_tol=1e-6, abs_tol=1e-12):
            yield f"{name}.gap: {entry.gap!r} is claimed; value and lower give {expected_gap!r}"
    for name in bounds.lower.keys() - header.bounds.keys():
        yield f"{name}: the bound is missing"
    if header.status == "optimal":
        open_gaps = [name for name in proved_metrics(header.objective) if name in header.bounds and header.bounds[name].gap > 0]
        if open_gaps:
            yield f"status: 'optimal' is claimed; value and bound differ in {', '.join(open_gaps)}"


def _equal(claimed: float, expected: float) -> bool:
    if isinstance(claimed, int) and isinstance(expected, int):
        return claimed == expected
    return math.isclose(claimed, expected, rel_tol=RELATIVE_TOLERANCE)


def _differs(group: Ints, values: Ints) -> bool:
    """Whether any group holds two different values."""
    order = np.argsort(group, kind="stable")
    return bool(((group[order][1:] == group[order][:-1]) & (values[order][1:] != values[order][:-1])).any())


def _outside(values: Ints, low: int, high: int) -> bool:
    return bool((values < low).any() or (values >= high).any())


def _worst(values: Ints, low: int, high: int) -> int:
    return int(values[np.argmax((values < low) | (values >= high))])
