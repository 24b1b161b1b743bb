"""Experts in the simulator: each token fires those of its route, and what they make is summed by gates, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.judge.simulate import SimulationReport, simulate, study
from cimsolve.judge.simulate.expected import compute_reference
from cimsolve.judge.simulate.operands import prepare_operands
from cimsolve.judge.simulate.routes import Mixer
from cimsolve.model.families import parse_model
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping
from cimsolve.study.solving import make_solution, solve
from makers.builders import ask, linears, pieces_of, step, with_experts
from makers.family_configs import DECODER
from makers.hardware_specs import spec

MIXTRAL = {**DECODER, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
MIXTURE = linears(
    step("router", (4, 3)),
    with_experts(step("up", *[(4, 4)] * 3), of=[0, 1, 2], chosen=1, own=False),
    with_experts(step("down", *[(4, 2)] * 3), of=[0, 1, 2], chosen=1, own=True),
)


def mixture(routing: str | None = None) -> Problem:
    return ask(MIXTURE, hardware=spec("rram256")).asking(routing=routing)


def run(solution: Solution, **options: int) -> SimulationReport:
    return simulate(Problem(solution.question()), solution.pieces, solution.activations, **options)


@pytest.mark.parametrize("strategy", ["spread", "greedy-top2"])
@pytest.mark.parametrize("structure", ["sqrt", "dense"])
def test_a_small_mixtral_is_simulated_whole(strategy: str, structure: str) -> None:
    model = parse_model(MIXTRAL, "config", "tiny-mixtral")
    problem = make_problem(model, "rram256", structure=structure, routing="zipf:1.0:2")
    report = run(solve(problem, strategy), vectors=5, seed=3)
    assert (report.exact, report.passed, report.lossless_expected) == (True, True, True)
    names = [stage.name for stage in report.stages]
    assert sum(name.endswith(".sum") for name in names) == len(problem.workload.choices)


def test_activations_that_no_token_fires_are_not_run() -> None:
    solution = solve(mixture("counts:1,0,0"), "spread")
    assert run(solution, vectors=9).activations == 3  # the router, and of up and down those of expert 0
    assert run(solve(mixture(), "spread"), vectors=50).activations == 7


def test_two_experts_that_fire_together_show() -> None:
    """S7: what every activation of `up` fires is two experts' at once, side by side on the same rows."""
    problem = mixture("counts:1,1,1")
    rows = [(0, 0, 0, 4, 0, 3, 0, 0, 0)]
    rows += [(1 + each, 0, 0, 4, 0, 4, 1, 0, 4 * each) for each in range(3)]
    rows += [(4 + each, 0, 0, 4, 0, 2, 2, 4 * each, 2 * each) for each in range(3)]
    apart = make_solution(problem, Mapping(pieces_of(*rows), np.arange(7)), strategy="by hand")
    assert run(apart, vectors=6).exact
    together = Mapping(pieces_of(*rows), np.array([0, 1, 1, 1, 4, 5, 6]))
    report = run(make_solution(problem, together, strategy="by hand"), vectors=6)
    assert not report.exact
    assert "up" in str(report.first_mismatch)


@pytest.mark.parametrize(
    ("factor", "vector_fires", "sums_differ"),
    [(0, True, False), (4, True, True), (4, False, False)],
    ids=["of one expert the router says nothing", "an expert that is fired", "one that is not"],
)
def test_sums_are_of_the_experts_that_are_fired(factor: int, vector_fires: bool, sums_differ: bool) -> None:
    problem = mixture()
    operands = prepare_operands(problem, None, 8, 1, {})
    outputs = dict(compute_reference(problem, operands).outputs)
    mixer = Mixer(problem, operands, dict(outputs))
    (at, *_) = np.flatnonzero(operands.fired(factor) == vector_fires)
    outputs[factor] = outputs[factor].copy()
    outputs[factor][at] += 1
    (found,) = mixer.compare(outputs)
    assert (found.name, found.deviation.outputs) == ("down.sum", 8 * 2)
    assert (found.deviation.mismatches > 0) is sums_differ


def test_gates_follow_the_router() -> None:
    """Two of three: a score that changes changes the shares, and so the sum."""
    config = linears(
        step("router", (4, 3)),
        with_experts(step("up", *[(4, 4)] * 3), of=[0, 1, 2], chosen=2),
        with_experts(step("down", *[(4, 2)] * 3), of=[0, 1, 2], chosen=2, own=True),
    )
    problem = ask(config, hardware=spec("rram256"))
    operands = prepare_operands(problem, None, 4, 1, {})
    outputs = dict(compute_reference(problem, operands).outputs)
    mixer = Mixer(problem, operands, dict(outputs))
    outputs[0] = outputs[0][:, ::-1]
    assert mixer.compare(outputs)[0].deviation.mismatches > 0


SHARED = linears(
    step("router", (4, 3), (4, 1)),
    with_experts(step("up", *[(4, 4)] * 4), of=[0, 1, 2, None], chosen=2),
    with_experts(step("down", *[(4, 2)] * 4), of=[0, 1, 2, None], chosen=2, own=True),
)
FACTOR_OF = {"router": 0, "shared gate": 1, "shared": 9}


def differs(gates: str, factor: str, change: int, fired: bool | None = None) -> bool:
    """Whether sums differ where outputs of a factor do, of the router for experts that are fired, or not, or all."""
    down = {**SHARED["steps"][2], "experts": {**SHARED["steps"][2]["experts"], "gates": gates}}
    problem = ask({**SHARED, "steps": [*SHARED["steps"][:2], down]}, hardware=spec("rram256"))
    operands = prepare_operands(problem, None, 6, 1, {})
    outputs = dict(compute_reference(problem, operands).outputs)
    mixer = Mixer(problem, operands, dict(outputs))
    number = FACTOR_OF[factor]
    changed = np.ones(outputs[number].shape, dtype=bool) if fired is None else operands.fires[0] == fired
    outputs[number] = outputs[number] + change * changed
    return mixer.compare(outputs)[0].deviation.mismatches > 0


@pytest.mark.parametrize(
    ("gates", "of_all_alike", "of_one_not_fired", "of_those_fired"),
    [
        ("softmax", False, False, False),  # both gain as much
        ("softmax of all", False, True, True),
        ("sigmoid", True, False, True),
        ("normalised sigmoid", True, False, True),
        ("none", False, False, False),
    ],
)
def test_gates_are_those_of_the_model(
    gates: str, of_all_alike: bool, of_one_not_fired: bool, of_those_fired: bool
) -> None:
    found = [differs(gates, "router", 20_000, fired) for fired in (None, False, True)]
    assert found == [of_all_alike, of_one_not_fired, of_those_fired]


def test_what_every_token_fires_is_added_by_a_gate_of_its_own() -> None:
    assert differs("sigmoid", "shared", 2)
    assert differs("softmax", "shared gate", 20_000)


def test_a_study_has_the_sums_and_no_noise_leaves_them_exact() -> None:
    solution = solve(mixture("counts:5,3,1"), "spread")
    found = study(Problem(solution.question()), solution.pieces, solution.activations, vectors=7)
    assert [stage.name for stage in found.stages["all together"]] == ["router", "up", "down", "down.sum"]
    assert found.lossless
    assert found.overall().mismatches == 0
