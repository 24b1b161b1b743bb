"""The script that measures the decomposition against proved optima, and what it switches off, are of today."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from makers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs a checkout")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bench_truth")


def test_the_decomposition_is_not_better_than_the_optimum(script: ModuleType) -> None:
    found, unproved = script.find_truth(1, seed=4)
    assert len(found) == 1
    assert not unproved
    for truth in found:
        assert truth.bounds <= truth.best <= truth.found
    assert "1 instances with a proved optimum" in script.truth_summary(found, unproved)


def test_every_step_that_is_switched_off_is_there(script: ModuleType) -> None:
    steps = [(owner, name) for owner, name, _ in (*script.STEPS.values(), *script._bound_conditions().values())]
    assert [(owner, name) for owner, name in steps if not hasattr(owner, name)] == []
