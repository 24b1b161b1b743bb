"""Lengths cut into pieces that fill bins, against all ways."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from cimsolve.pack.lengths import Filling, cannot_fit, fill_bins


def cut_as_told(counts: dict[tuple[int, int], int], filling: Filling) -> Counter[tuple[int, int]]:
    pieces = Counter(counts)
    for (kind, length, part), times in sorted(filling.cuts.items(), key=lambda cut: -cut[0][1]):
        done = min(times, pieces[kind, length])
        pieces[kind, length] -= done
        pieces[kind, part] += done
        pieces[kind, length - part] += done
    return +pieces


def fits(left: list[tuple[int, int]], bins: list[int], size_of: dict[int, list[int]]) -> bool:
    """Whether all lengths, cut in any way, fit into what is left of some bins: all ways tried."""
    if not left:
        return True
    kind, length = left[0]
    for part in range(length, 0, -1):
        rest = [(kind, length - part)] if part < length else []
        for room in set(bins):
            if size_of[kind][part] <= room:
                others = list(bins)
                others.remove(room)
                if fits([*rest, *left[1:]], [*others, room - size_of[kind][part]], size_of):
                    return True
    return False


@pytest.mark.parametrize("seed", range(60))
def test_what_is_filled_is_all_and_fits(seed: int) -> None:
    draw = Random(seed)
    size_of = {kind: [0, *np.cumsum([draw.randint(1, 4), *(draw.randint(0, 3) for _ in range(3))])] for kind in (0, 1)}
    counts = {(draw.randint(0, 1), draw.randint(1, 4)): draw.randint(1, 2) for _ in range(2)}
    capacity, bins = draw.randint(4, 12), draw.randint(1, 3)
    sizes = {kind: np.array(taken) for kind, taken in size_of.items()}
    found = fill_bins(counts, sizes, capacity, bins)
    lengths = [piece for piece, times in counts.items() for _ in range(times)]
    possible = fits(lengths, [capacity] * bins, {kind: list(map(int, taken)) for kind, taken in size_of.items()})
    assert possible or found is None
    assert not (possible and cannot_fit(counts, sizes, capacity, bins))
    if found is None:
        return
    held = Counter[tuple[int, int]]()
    for pattern, times in found.bins:
        assert sum(size_of[kind][length] * count for (kind, length), count in pattern.items()) <= capacity
        held.update({piece: count * times for piece, count in pattern.items()})
    assert sum(times for _, times in found.bins) <= bins
    assert cut_as_told(counts, found) <= held


def test_a_cut_is_made_where_whole_lengths_leave_time() -> None:
    """Two of 3 and one of 4 take 4, 4 and 5 of bins of 7; the long one is cut, and takes 1 more."""
    size = {0: np.array([0, 2, 3, 4, 5])}
    assert fill_bins({(0, 3): 2, (0, 4): 1}, size, 6, 2) is None
    found = fill_bins({(0, 3): 2, (0, 4): 1}, size, 7, 2)
    assert found is not None
    assert found.cuts == {(0, 4, 2): 1}


def test_what_cannot_fit_is_proved_so() -> None:
    """Two of 3 and one of 4 do not go into two bins of 6; the long one is cut, and takes 5 and 1 more. Nor if 1 is."""
    size = {0: np.array([0, 2, 3, 4, 5])}
    counts = {(0, 3): 2, (0, 4): 1}
    assert cannot_fit(counts, size, 6, 2)
    assert not cannot_fit(counts, size, 7, 2)
    assert not cannot_fit(counts, size, 6, 2, beside=1)


def test_no_piece_goes_into_bins_that_are_too_small() -> None:
    counts, size = {(0, 2): 1, (1, 1): 1}, {0: np.array([0, 5, 6]), 1: np.array([0, 1])}
    assert fill_bins(counts, size, 4, 9) is None
    assert cannot_fit(counts, size, 4, 9)
    assert fill_bins({(0, 2): 1}, size, 4, 9) is None
    assert cannot_fit({(0, 2): 1}, size, 4, 9)
