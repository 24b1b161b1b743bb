"""Records as plain data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsolve.judge.check import Violation
from cimsolve.model.structure import Structure
from cimsolve.problem.solution import BoundEntry
from cimsolve.show.as_json import as_json, picked
from cimsolve.show.units import Unit
from cimsolve.study.two import Moves, StageTimes


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (BoundEntry(value=2, lower=1, gap=1.0, proof="area"), {"value": 2, "lower": 1, "gap": 1.0, "proof": "area"}),
        ({"a": (1, [math.inf, math.nan])}, {"a": [1, [None, None]]}),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (Path("a/b"), "a/b"),
        (Structure.monarch(2, 2, 1), "2,2,1"),
        (Violation("P1", "a hole"), str(Violation("P1", "a hole"))),
        (True, True),
        (None, None),
    ],
)
def test_values_are_as_json_has_them(value: Any, plain: Any) -> None:
    assert as_json(value) == plain


def test_records_are_objects_of_their_fields() -> None:
    times = StageTimes(("a",), (np.array([1.0]), np.array([math.inf])), (np.array([0.5]), np.array([2.0])))
    assert as_json(times) == {"names": ["a"], "arrays_ns": [[1.0], [None]], "gaps_ns": [[0.5], [2.0]]}
    moves = Moves((1, 2), 1, 1, 0, 0, 0, 3, 0, 9, 9, (1, 1), 1, 1)
    assert as_json({"moves": moves})["moves"]["pieces"] == [1, 2]


def test_fields_and_properties_are_picked_by_name() -> None:
    assert picked(Unit("ns", 1.0), "name", "size") == {"name": "ns", "size": 1.0}
