"""Quantities, shares and ratios as people read them."""

from __future__ import annotations

import math

import pytest

from cimsolve.show import units


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0, "time", "0 ns"),
        (0.5, "time", "0.5000 ns"),
        (999, "time", "999 ns"),
        (1000, "time", "1 us"),
        (592_776, "time", "592.8 us"),
        (2.5e7, "time", "25 ms"),
        (3.2e9, "time", "3.200 s"),
        (12, "energy", "12 pJ"),
        (3.624e8, "energy", "362.4 uJ"),
        (2.1e13, "energy", "21 J"),
        (0.0123, "area", "0.01230 mm2"),
        (36864, "count", "36864"),
        (math.inf, "time", "inf ns"),
    ],
)
def test_quantities_get_the_unit_that_fits(value: float, kind: units.Kind, text: str) -> None:
    assert units.quantity(value, kind) == text


def test_a_column_has_one_unit_set_by_its_least_value() -> None:
    unit = units.choose_unit("time", [5.9e6, 75_020, 0])
    assert unit.name == "us"
    assert units.in_unit(5.957e6, unit) == "5957"
    assert units.choose_unit("time", []).name == "ns"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0%"),
        (0.0001, "0.01%"),
        (0.00001, "1e-03%"),
        (0.0469, "4.69%"),
        (0.675, "67.5%"),
        (12.98, "1298%"),
    ],
)
def test_shares(value: float, text: str) -> None:
    assert units.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1.00"), (21.33, "21.3"), (0.0995, "0.100"), (0.0469, "0.047"), (1234, "1234"), (1e-5, "1e-05")],
)
def test_ratios_stay_narrow(value: float, text: str) -> None:
    assert units.ratio(value) == text


def test_ratios_of_nothing() -> None:
    assert {units.ratio(value) for value in (0.0, math.inf, math.nan)} == {"-"}


def test_components_and_counts() -> None:
    unit = units.choose_unit("energy", [2e6])
    assert units.component(1e6, 2e6, unit) == "1.00  50%"
    assert units.component(1e3, 2e6, unit) == "0.001  <1%"
    assert units.component(0, 2e6, unit) == "0.000   0%"
    assert units.component(0, 0, unit) == "-"
    assert [units.millions(value) for value in (1536, 25_000, 301_989_888)] == ["1536", "25 k", "302 M"]
    assert [units.plural(value, "phase") for value in (1, 2)] == ["1 phase", "2 phases"]
