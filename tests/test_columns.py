"""Tools of the checker on columns of integers: overlaps of rectangles and of intervals, by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve.columns import (
    ceil_div,
    deepest_stack,
    departs_from_group,
    meets_intervals,
    merge_intervals,
    order_by,
    overlap_clusters,
    overlapping_pair,
    ranked,
)
from cimsolve.problem.tables import Pieces
from makers.builders import (
    pieces_of,
)


@st.composite
def rectangles(draw: st.DrawFn) -> list[tuple[int, int, int, int, int]]:
    """(group, top, bottom, left, right)."""
    side = draw(st.sampled_from([4, 9, 40]))
    found = []
    for _ in range(draw(st.integers(0, 12))):
        top, left = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
        rows, cols = draw(st.integers(1, side - top)), draw(st.integers(1, min(5, side - left)))
        found.append((draw(st.integers(0, 2)), top, top + min(rows, 6), left, left + cols))
    return found


def columns_of(rows: list[tuple[int, ...]], width: int) -> list[Any]:
    return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)


def share_a_cell(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2] and one[3] < other[4] and other[3] < one[4]


@given(rectangles())
@settings(max_examples=100, derandomize=True)
def test_overlapping_rectangles_are_found(rows: list[tuple[int, ...]]) -> None:
    pairs = {(i, j) for j, other in enumerate(rows) for i, one in enumerate(rows[:j]) if share_a_cell(one, other)}
    found = overlapping_pair(*columns_of(rows, 5))
    assert (found is None) == (not pairs)
    assert found is None or tuple(sorted(found)) in pairs


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    size = st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 5))
    return [(group, start, start + length) for group, start, length in draw(st.lists(size, max_size=10))]


def covered(rows: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    return ((group, at) for group, start, end in rows for at in range(start, end))


@given(intervals(), intervals())
@settings(max_examples=80, derandomize=True)
def test_intervals_are_merged_and_met(rows: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]) -> None:
    merged = merge_intervals(*columns_of(rows, 3))
    listed = [tuple(map(int, row)) for row in zip(*merged, strict=True)]
    assert sorted(covered(listed)) == sorted(set(covered(rows)))
    assert all(one[0] < other[0] or one[2] < other[1] for one, other in pairwise(listed))
    met = meets_intervals(merged, *columns_of(asked, 3))
    assert met.tolist() == [bool(set(covered([row])) & set(covered(rows))) for row in asked]


@given(intervals(), st.randoms(use_true_random=False))
@settings(max_examples=80, derandomize=True)
def test_stacks_are_counted(rows: list[tuple[int, int, int]], random: Any) -> None:
    weight = [random.randint(1, 9) for _ in rows]
    depth = dict.fromkeys(range(3), 0)
    for group, at in covered(rows):
        depth[group] = max(
            depth[group], sum(w for w, row in zip(weight, rows, strict=True) if (group, at) in set(covered([row])))
        )
    found = deepest_stack(*columns_of(rows, 3), np.array(weight, dtype=np.int64), 3)
    assert found.tolist() == [depth[group] for group in range(3)]


@given(intervals())
@settings(max_examples=80, derandomize=True)
def test_chains_join_what_overlaps(rows: list[tuple[int, int, int]]) -> None:
    chain = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if set(covered([one])) & set(covered([other])):
                    chain[i] = chain[j] = min(chain[i], chain[j])
    found = overlap_clusters(*columns_of(rows, 3)).tolist()
    same = {(i, j) for i in range(len(rows)) for j in range(len(rows)) if chain[i] == chain[j]}
    assert {(i, j) for i in range(len(rows)) for j in range(len(rows)) if found[i] == found[j]} == same


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.sampled_from([1, 2**40, 2**61]))
@settings(max_examples=100, derandomize=True)
def test_order_is_by_the_first_key_then_the_next_and_keeps_what_is_equal(rows: list[tuple[int, int]], far: int) -> None:
    first, second = columns_of(rows, 2)
    expected = sorted(range(len(rows)), key=lambda row: rows[row])
    assert order_by(first * far, second).tolist() == expected
    assert order_by(first, second * far).tolist() == expected
    for most in (0, len(expected) // 2, len(expected), len(expected) + 3):
        assert order_by(first, second * far, most=most).tolist() == expected[:most]


@given(values=st.lists(st.integers(-3, 9), max_size=20), far=st.sampled_from([1, 2**40]))
@settings(max_examples=100, derandomize=True)
def test_entries_are_ranked_among_the_distinct(values: list[int], far: int) -> None:
    distinct, number = ranked(np.array(values, dtype=np.int64) * far)
    assert distinct.tolist() == sorted({value * far for value in values})
    assert distinct[number].tolist() == [value * far for value in values]


def test_departures_are_those_from_the_entry_before() -> None:
    group, value = np.array([1, 0, 1, 0, 1]), np.array([5, 7, 5, 8, 6])
    assert departs_from_group(group, value).tolist() == [False, False, False, True, True]
    assert departs_from_group(group[:0], value[:0]).tolist() == []
    assert isinstance(pieces_of((0,) * 9), Pieces)


def test_division_rounded_up() -> None:
    assert [ceil_div(value, 4) for value in (0, 1, 4, 5, 10**30)] == [0, 1, 1, 2, 10**30 // 4]
    assert ceil_div(np.array([0, 1, 4, 5]), 4).tolist() == [0, 1, 1, 2]
