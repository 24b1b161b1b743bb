"""Sweeps of a tiny model, as the tests of `cimsolve sweep` run them."""

from __future__ import annotations

import json
from typing import Any

from cimsolve.study.sweep.grid import parse_study
from makers.command_line import Result

GRID = ["sweep", "--model", "tiny.json", "--hw", "paper256"]
RUN = [*GRID, "--jobs", "1", "--strategy", "spread"]
ADCS = ["--vary", "adc.per_array=2,4"]


def points(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.out)["points"]
    return found


def study(**fields: Any) -> Any:
    return parse_study({"format": "cimsolve-study/1", "model": "tiny.json", **fields}, "study.json")
