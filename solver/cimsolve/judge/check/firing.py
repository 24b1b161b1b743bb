"""S2 to S6, what activations must obey: what fires together, for how long, at how many bits, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cimsolve.columns import (
    Ints,
    departs_from_group,
    max_by,
    meets_intervals,
    merge_intervals,
    number_of,
    order_by,
    overlap_clusters,
    ranked,
)
from cimsolve.judge.check.case import Case, first
from cimsolve.price.cost import StageCosts, stage_times
from cimsolve.price.experts import sum_at_most

CHUNK_PAIRS = 4_000_000
"""Most pairs of an activation and a piece compared at once, unless one array holds more pieces."""


def an_activation_fires_pieces_of_its_own_array(case: Case) -> Iterator[str]:
    """The array that an activation names holds all it fires."""
    named, lies = case.activations.array[case.fires], case.pieces.array
    for at in first(lies != named):
        yield f"activation {case.fires[at]} of array {named[at]} fires piece {at}, which lies on array {lies[at]}"


def an_activation_serves_one_stage(case: Case) -> Iterator[str]:
    """A stage is all that may run at once; costs and bounds count activations by stage."""
    for at in _departing_together(case, case.problem.table.stage):
        yield f"activation {case.fires[at]} fires pieces of two stages"


def s7_an_activation_is_of_one_expert(case: Case) -> Iterator[str]:
    """S7: what fires together is of one expert, or of none: which of them a token fires is not known before."""
    for at in _departing_together(case, case.problem.table.expert):
        yield f"activation {case.fires[at]} fires pieces of two experts, or of one and of what every token fires"


def _departing_together(case: Case, of_factor: Ints) -> list[int]:
    """Which piece is the first that differs in a property of its factor from another that fires with it."""
    some = case.together
    found: list[int] = some[first(departs_from_group(case.fires[some], of_factor[case.pieces.factor[some]]))].tolist()
    return found


def s2_shared_rows_need_one_input(case: Case) -> Iterator[str]:
    """S2: pieces of one activation that share a driven row need the same element of the same vector there."""
    table, some = case.problem.table, case.pieces.take(case.together)
    # Row r of the array holds element `offset + r` of the input, for all rows of the piece.
    offset = some.block * table.block_rows[some.factor] + some.row0 - some.array_row
    for fired in _departing(case, some.array_row, some.rows, table.input[some.factor], offset):
        yield f"{fired} on a row that another of its pieces drives with another input element"


def s3_fired_pieces_share_columns_of_one_output(case: Case) -> Iterator[str]:
    """S3, among fired pieces: those that share a read column feed the same output element there."""
    some = case.pieces.take(case.together)
    offset = some.block * case.problem.table.block_cols[some.factor] + some.col0 - some.array_col
    for fired in _departing(case, some.array_col, some.cols, some.factor, offset):
        yield f"{fired} on a column in which another of its pieces feeds another output element"


def _departing(case: Case, start: Ints, size: Ints, *feeds: Ints) -> Iterator[str]:
    """Which of `case.together` is the first that overlaps another of its activation but differs in what it feeds."""
    chain = overlap_clusters(case.fires[case.together], start, start + size)
    for at in case.together[first(departs_from_group(chain, *feeds))].tolist():
        yield f"activation {case.fires[at]} fires piece {at}"


def s3_no_other_piece_lies_on_driven_rows_and_read_columns(case: Case) -> Iterator[str]:
    """S3, among the rest: a piece that is not fired has no cell on a driven row and a read column."""
    fired, pieces, fires = case.fired, case.pieces, case.fires
    # Where the fired pieces fill all driven rows of all read columns, no other can lie there (P3).
    open_ones = np.flatnonzero(fired.rows * fired.columns != fired.cells)
    if not len(open_ones):
        return
    rank = np.full(len(case.activations), -1, dtype=np.int64)
    rank[open_ones] = np.arange(len(open_ones))
    index = np.flatnonzero(rank[fires] >= 0)
    some, group = pieces.take(index), rank[fires[index]]
    driven = merge_intervals(group, some.array_row, some.array_row + some.rows)
    read = merge_intervals(group, some.array_col, some.array_col + some.cols)
    order = order_by(pieces.array)
    order = order[case.stored[order] == order]
    arrays = pieces.array[order]
    low = np.searchsorted(arrays, fired.array[open_ones])
    high = np.searchsorted(arrays, fired.array[open_ones], side="right")
    for begin, end in _chunks(high - low, CHUNK_PAIRS):
        activation = np.repeat(np.arange(begin, end), (high - low)[begin:end])
        piece = order[_ranges(low[begin:end], high[begin:end])]
        for merged, start, size in (driven, pieces.array_row, pieces.rows), (read, pieces.array_col, pieces.cols):
            here = start[piece]
            hit = np.flatnonzero(meets_intervals(merged, activation, here, here + size[piece]))
            activation, piece = activation[hit], piece[hit]
        # What fires again lies in cells of a stored piece.
        of_piece, of_fired = (each * len(pieces) for each in (open_ones[activation], fires[index]))
        for at in first(~np.isin(of_piece + piece, of_fired + case.stored[index])):
            which = open_ones[activation[at]]
            yield (
                f"activation {which} on array {fired.array[which]} reads a column in which piece {piece[at]} "
                "lies on a driven row and is not fired"
            )
            return


def _chunks(sizes: Ints, limit: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of entries whose sizes sum to `limit` at most, or of a single larger entry."""
    stops = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        done = int(stops[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(stops, done + limit, side="right")))
        yield begin, end
        begin = end


def _ranges(low: Ints, high: Ints) -> Ints:
    """The integers of all ranges low ... high-1, one after the other."""
    sizes = high - low
    offset = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(int(sizes.sum())) + np.repeat(low - offset, sizes))


def durations_follow_from_the_hardware(case: Case) -> Iterator[str]:
    """An activation lasts as long as its reads and conversions, in whole cycles."""
    lasts = case.activations.end - case.activations.start
    for at in first(lasts != case.fired.cycles):
        yield f"activation {at} lasts {lasts[at]} cycles; expected {case.fired.cycles[at]}"


def converter_bits_follow_from_the_stack(case: Case) -> Iterator[str]:
    """The converters run at the bits that the deepest read column needs, at most bits_max."""
    bits = case.problem.hardware.adc_bits_used(case.fired.stacked)
    for at in first(case.activations.adc_bits != bits):
        yield f"activation {at} has adc_bits {case.activations.adc_bits[at]}; expected {bits[at]}"


def s6_converters_lose_nothing_unless_allowed(case: Case) -> Iterator[str]:
    """S6: more bits than bits_max are needed only where `lossy_allowed`."""
    adc = case.problem.hardware.adc
    needed = case.problem.hardware.adc_bits_needed(case.fired.stacked)
    for at in [] if adc.lossy_allowed else first(needed > adc.bits_max):
        yield (
            f"activation {at} stacks {case.fired.stacked[at]} rows, which take {needed[at]} bits; "
            f"adc.bits_max is {adc.bits_max}"
        )


def s6_no_more_rows_are_driven_than_allowed(case: Case) -> Iterator[str]:
    """S6: an activation drives at most `rows_active_max` rows."""
    limit = case.problem.hardware.array.rows_active_max
    for at in [] if limit is None else first(case.fired.rows > limit):
        yield f"activation {at} drives {case.fired.rows[at]} rows; rows_active_max is {limit}"


def s6_no_more_arrays_are_used_than_there_are(case: Case) -> Iterator[str]:
    """S6: at most `array.count` arrays, with numbers below it, and at most `max_arrays`."""
    problem, pieces = case.problem, case.pieces
    used = len(ranked(pieces.array)[0])
    if problem.array_limit is not None and used > problem.array_limit:
        yield f"{used} arrays are used; the limit is {problem.array_limit}"
    count = problem.hardware.array.count
    for at in [] if count is None else first(pieces.array >= count):
        yield f"piece {at} lies on array {pieces.array[at]}; array.count is {count}"


def s4_an_array_does_one_thing_at_a_time(case: Case) -> Iterator[str]:
    """S4: activations of one array do not overlap in time, whichever experts a token chooses.

    All that experts of a stage do on an array is one thing, which lasts as long as the worst choice at least.
    """
    activations, expert, stage = case.activations, case.fired.expert, case.fired.stage
    array, start, end, named = activations.array, activations.start, activations.end, np.arange(len(activations))
    if (own := np.flatnonzero(expert >= 0)).size:
        of_one = number_of(array[own], stage[own], expert[own])
        yield from _overlaps("an expert's ", own, of_one, array[own], start[own], end[own])
        job = number_of(array[own], stage[own])
        named = np.concatenate([np.flatnonzero(expert < 0), own[np.unique(job, return_index=True)[1]]])
        begins = np.full(int(job.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(begins, job, start[own])
        ends = max_by(job, end[own], len(begins))
        of_jobs = named[-len(begins) :]
        chosen = case.problem.workload.chosen[stage[of_jobs]]
        needed = sum_at_most(job, expert[own], end[own] - start[own], chosen)
        for at in first(ends - begins < needed):
            yield (
                f"experts have {ends[at] - begins[at]} cycles on array {array[of_jobs[at]]}, from cycle {begins[at]}; "
                f"the {chosen[at]} that take longest need {needed[at]}"
            )
        alone = named[: -len(begins)]
        start, end = np.concatenate([start[alone], begins]), np.concatenate([end[alone], ends])
        array = array[named]
    yield from _overlaps("", named, array, array, start, end)


def _overlaps(whose: str, named: Ints, group: Ints, array: Ints, start: Ints, end: Ints) -> Iterator[str]:
    """The first two of a group that overlap in time; `named` are the activations, all have one shape."""
    order = order_by(group, start)
    group, array, start, end, named = group[order], array[order], start[order], end[order], named[order]
    for at in first((group[1:] == group[:-1]) & (start[1:] < end[:-1])):
        yield (
            f"{whose}activations {named[at]} and {named[at + 1]} of array {array[at]} overlap in time, "
            f"at cycle {start[at + 1]}"
        )


def s5_stages_follow_the_dataflow(case: Case) -> Iterator[str]:
    """S5: a stage starts when every stage it reads has ended plus the gap between them."""
    stages = case.problem.workload.stages
    times = stage_times(case.fired, case.activations)
    for stage in stages:
        for before in stage.after:
            earliest = times.end[before] + case.fired.gaps.before_cycles[stage.id]
            if times.start[stage.id] < earliest:
                yield (
                    f"stage {stage.name} starts at cycle {times.start[stage.id]}; {stages[before].name} and "
                    f"the gap after it end at {earliest}"
                )
                return


def s6_gaps_use_the_shared_units_one_at_a_time(case: Case) -> Iterator[str]:
    """S6: the digital units and the interconnect serve one gap at a time.

    A file does not say when a gap runs within the time it has: between the end of what the stage reads and
    its start. So the gaps are laid out as early as can be, in the order of the stages or of their starts, and
    one of the two must meet every start.
    """
    times = stage_times(case.fired, case.activations)
    held = np.flatnonzero(case.fired.gaps.before_cycles > 0).tolist()
    late = _first_late_gap(case, held, times)
    if late is not None and _first_late_gap(case, sorted(held, key=times.start.__getitem__), times) is not None:
        yield (
            f"two gaps need the digital units at once, before stage {case.problem.workload.stages[late].name} starts"
        )


def _first_late_gap(case: Case, order: Iterable[int], times: StageCosts) -> int | None:
    free = times.begins
    for number in order:
        after = case.problem.workload.stages[number].after
        ready = max((int(times.end[before]) for before in after), default=times.begins)
        cycles = case.fired.gaps.before[number].cycles
        free = max(ready, free) + cycles
        if free > max(int(times.start[number]), ready + cycles):  # a start too early for this gap alone is S5's
            return number
    return None
