"""Commands killed at random moments leave nothing damaged and nothing running; many more by `python tests/kills.py`."""

from __future__ import annotations

import sys

import pytest

import kills


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("name", ["solve with a table", "sweep"])
def test_what_is_killed_leaves_nothing_damaged_and_nothing_running(name: str) -> None:
    told: list[str] = []
    kills.run(3, seed=2, names=[name], tell=told.append)
    assert len(told) == 3
