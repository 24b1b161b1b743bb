"""Strategies where a token fires some of the experts."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, step, with_experts
from makers.cost_cases import random_case

METRICS = {"arrays": "arrays", "latency": "latency_cycles", "prefill": "prefill_ns", "throughput": "ii_cycles"}


def feed_forward(structure: str = "2,2,1", **changes: Any) -> Problem:
    """Four experts of 8 -> 8 -> 8, two of which a token fires, beside one that it always fires."""
    of: list[int | None] = [0, 1, 2, 3, None]
    config = linears(
        step("router", (8, 4)),
        with_experts(step("up", *[(8, 8)] * 5), of, chosen=2),
        with_experts(step("down", *[(8, 8)] * 5), of, chosen=2, own=True),
    )
    return ask(config, structure, chip(array__rows=32, array__cols=32, **changes))


@pytest.mark.parametrize(
    ("seed", "objective"),
    [(14, ("arrays", "latency")), (14, ("prefill",)), (29, ("latency",)), (29, ("throughput",))],
)
def test_no_rule_is_better_than_the_search(seed: int, objective: tuple[str, ...]) -> None:
    problem = random_case(seed).problem.asking(objective=objective)
    assert problem.workload.has_experts
    found = solve(problem, "optimal").header.metrics
    for rule in ("sparsemap", "densemap", "spread"):
        metrics = solve(problem, rule).header.metrics
        assert [found[METRICS[name]] for name in objective] <= [metrics[METRICS[name]] for name in objective]


@pytest.mark.parametrize("strategy", [name for name in RULES if name != "linear"])
def test_every_rule_keeps_experts_apart(strategy: str) -> None:
    report = check_solution(solve(feed_forward(), strategy))
    assert report.passed, report.violations


def test_blocks_of_one_expert_fire_together_where_cells_are_to_spare() -> None:
    """On one array: a read takes ten times a conversion, so blocks of an expert are fired by the diagonal."""
    problem = feed_forward(read_ns=40).asking(objective=("latency",), max_arrays=1)
    solution = solve(problem, "optimal")
    activations, table = solution.activations, problem.table
    together = []
    for first, stop in zip(activations.pieces_from.tolist(), activations.pieces_to.tolist(), strict=True):
        factor = solution.pieces.factor[activations.piece[first:stop]]
        assert len(set(table.expert[factor].tolist())) == 1
        if table.expert[factor[0]] >= 0 and len(set(solution.pieces.block[activations.piece[first:stop]])) > 1:
            together.append(first)
    assert together
    assert check_solution(solution).passed
