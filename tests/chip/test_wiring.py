"""Which converter reads a column: the counts agree with reading column by column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.chip.wiring import (
    busiest_of_run,
    busiest_of_runs,
    converter_of,
    fewest_conversions,
    weights_per_conversion,
)
from makers.builders import chip

COLUMNS = 24


@st.composite
def chips(draw: st.DrawFn, *wirings: str) -> Hardware:
    wiring = draw(st.sampled_from(wirings))
    converters = draw(st.integers(1, COLUMNS))
    return parse_hardware(chip(array__cols=COLUMNS, adc__per_array=converters, adc__wiring=wiring), "hw")


def busiest_by_column(hardware: Hardware, columns: list[int]) -> int:
    """v where each column goes to its converter, one by one."""
    return int(np.bincount(converter_of(hardware, np.array(columns))).max())


@given(hardware=chips("interleaved", "adjacent"), start=st.integers(0, COLUMNS - 1), data=st.data())
def test_a_run_keeps_its_busiest_converter_for_as_long_as_its_columns_say(
    hardware: Hardware, start: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, COLUMNS - start))
    v = int(busiest_of_run(hardware, start, length))
    assert v == busiest_by_column(hardware, [*range(start, start + length)])
    # A run lies worst where a converter's columns begin, and cannot do better than evenly.
    assert fewest_conversions(hardware, length) <= v <= int(busiest_of_run(hardware, 0, length))


@given(
    hardware=chips("interleaved", "adjacent"),
    groups=st.lists(st.sets(st.integers(0, COLUMNS - 1), min_size=1), min_size=1, max_size=5),
)
def test_several_runs_count_column_by_column(hardware: Hardware, groups: list[set[int]]) -> None:
    runs = [(number, column) for number, columns in enumerate(groups) for column in sorted(columns)]
    group, start = np.array(runs).T
    found = busiest_of_runs(hardware, group, start, start + 1, len(groups))
    assert found.tolist() == [busiest_by_column(hardware, sorted(columns)) for columns in groups]


@given(hardware=chips("any"), lengths=st.lists(st.integers(1, COLUMNS // 3), min_size=1, max_size=3))
def test_free_converters_share_all_columns(hardware: Hardware, lengths: list[int]) -> None:
    end = np.cumsum(lengths)
    found = busiest_of_runs(hardware, np.zeros(len(end), dtype=np.int64), end - lengths, end, 1)
    assert found.tolist() == [-(-sum(lengths) // hardware.adc.per_array)]


@pytest.mark.parametrize(("width", "converters", "weights"), [(1, 4, 4), (2, 4, 2), (4, 4, 1), (8, 4, 1), (2, 5, 2)])
def test_one_conversion_reads_whole_weights(width: int, converters: int, weights: int) -> None:
    data = chip(array__cols=16, weight__bits=width, adc__per_array=converters)
    assert weights_per_conversion(parse_hardware(data, "hw")) == weights
