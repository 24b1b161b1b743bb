"""Weighted sums as objectives: what they mean, what they choose, what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cimsolve.cli import solve as solve_command
from cimsolve.errors import InputError
from cimsolve.judge.check import check_solution
from cimsolve.problem.objective import Term, demand_objective, names_of, terms_of
from cimsolve.problem.problem import Problem
from cimsolve.prove import find_bounds, most_arrays, objective_units, objective_values
from cimsolve.solve import plan
from cimsolve.solve.candidates import candidates
from cimsolve.solve.effort import Effort
from cimsolve.solve.incumbent import Incumbent
from cimsolve.solve.plan import demand_exact
from cimsolve.study.solving import solve, solve_and_check
from makers.builders import answer, ask, broken, chip, linears, pieces_of, rules_of, step, with_header
from makers.medium_problems import MEDIUM

SUM = "latency:0.7+energy:0.3"


@pytest.fixture(autouse=True)
def no_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "why_out_of_reach", lambda problem: "left out here")


def test_a_sum_is_read_term_by_term() -> None:
    assert terms_of(SUM) == (Term("latency", 0.7), Term("energy", 0.3))
    assert terms_of("arrays") == (Term("arrays", 1.0),)
    assert names_of(["arrays", SUM, "energy", "area"]) == ("arrays", "latency", "energy", "area")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], "expected one or more names"),
        ([SUM, SUM], "each once"),
        (["latency:1+enrgy:2"], "'enrgy': there is no such objective; did you mean energy?"),
        (["latency+energy"], "latency has no weight"),
        (["latency:1+energy:"], "the weight of energy is ''"),
        (["latency:1+energy:0"], "the weight of energy is '0'"),
        (["latency:1+energy:0.0"], "the weight of energy is '0.0'"),
        (["latency:-1+energy:1"], "the weight of latency is '-1'"),
        (["latency:nan+energy:1"], "the weight of latency is 'nan'"),
        (["latency:1e3+energy:1"], "the weight of latency is '1e3'"),
        (["latency:1_0+energy:1"], "the weight of latency is '1_0'"),
        (["latency:1"], "expected two or more metrics, each once"),
        (["latency:1+latency:2"], "expected two or more metrics, each once"),
        (["latency:1+"], "'': there is no such objective"),
    ],
)
def test_what_is_no_objective_is_refused(items: list[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        demand_objective(items)
    assert expected in str(caught.value)


def test_a_sum_is_of_multiples_of_the_bounds() -> None:
    """0.7 * 30 / 20 + 0.3 * 8 / 4 = 1.05 + 0.6 = 1.65; a name alone stays in its own unit."""
    metrics = {"arrays": 5, "latency_cycles": 30, "energy_pj": 8.0}
    units = {"latency": 20.0, "energy": 4.0}
    assert objective_values(metrics, ("arrays", SUM, "energy"), units) == (5, pytest.approx(1.65), 8.0)


@pytest.mark.parametrize("number", range(0, len(MEDIUM), 4))
def test_units_are_the_bounds_on_all_arrays_allowed(number: int) -> None:
    problem = MEDIUM[number]
    units = objective_units(problem, ("arrays", "latency:1+prefill:1+energy:1+area:1+arrays:1+throughput:1"))
    solution = solve(problem.asking(objective=("latency",)), "spread")
    assert solution.header.metrics["arrays"] <= most_arrays(problem)
    lower = {name: entry.lower for name, entry in solution.header.bounds.items()}
    assert units["latency"] == lower["latency_cycles"]
    assert units["throughput"] == lower["ii_cycles"]
    assert units["prefill"] == lower["prefill_ns"]
    # The bound on arrays stops where it reaches the answer's own number, so these may be weaker there.
    assert units["arrays"] >= lower["arrays"]
    assert units["energy"] >= lower["energy_pj"] * (1 - 1e-12)
    assert objective_units(problem, ("arrays", "latency")) == {}


def test_a_metric_without_a_bound_has_no_unit() -> None:
    nothing = dict.fromkeys(("row", "cell", "column", "shift_add"), 0)
    table = [{"bits": 4, "ns": 1, "pj": 0, "um2": 5}]
    free = chip(energy_pj=nothing, adc__table=table, array__leakage_uw=0, transfer__pj_per_bit=0)
    with pytest.raises(InputError, match="objective energy: its bound is 0"):
        objective_units(ask(linears(step("a", (4, 4))), "dense", free), ("latency:1+energy:1",))


def dear_rows() -> Problem:
    """Rows cost so much that every cut, which saves time, costs energy."""
    hardware = chip(energy_pj={"row": 50, "cell": 0.25, "column": 0.125, "shift_add": 2})
    return ask(linears(step("a", (8, 24)), step("b", (24, 8))), "dense", hardware, max_arrays=24)


def test_more_weight_on_energy_never_takes_more_energy() -> None:
    """Of the same candidates: as the weight moves from latency to energy, the least sum moves along their hull."""
    problem = dear_rows()
    found = [each.find() for each in candidates(problem.asking(objective=("latency", "energy")), Effort())]
    tried = [mapping for mapping in found if mapping is not None]
    chosen = []
    for weight in (1, 30, 60, 99):
        best = Incumbent(problem.asking(objective=(f"latency:{(100 - weight) / 100}+energy:{weight / 100}",)), Effort())
        for mapping in tried:
            best.offer("", mapping)
        chosen.append((best.metrics["latency_cycles"], best.metrics["energy_pj"]))
    assert all(one[1] >= other[1] and one[0] <= other[0] for one, other in pairwise(chosen))
    assert len(set(chosen)) > 1


@pytest.mark.parametrize("objective", [(SUM,), ("arrays", "throughput:1+energy:2"), ("area:2+arrays:1", "latency")])
def test_answers_are_checked_and_claim_what_holds(objective: tuple[str, ...]) -> None:
    problem = dear_rows()
    solution, report = solve_and_check(problem.asking(objective=objective), "optimal")
    assert report.passed
    header = solution.header
    assert header.objective == list(objective)
    lower = find_bounds(problem, header.metrics, objective).lower
    metric = {"throughput": "ii_cycles", "latency": "latency_cycles", "energy": "energy_pj", "area": "area_mm2"}
    met = [
        header.metrics[metric.get(name, name)] <= lower[metric.get(name, name)].value for name in names_of(objective)
    ]
    assert (header.status == "optimal") == all(met)
    units = objective_units(problem, objective)
    mine = objective_values(header.metrics, objective, units)
    for rule in ("sparsemap", "densemap", "spread"):
        assert mine <= objective_values(solve(problem, rule).header.metrics, objective, units)


def test_optimal_needs_every_metric_of_a_sum() -> None:
    """4 x 4 weights on the one array allowed: fired at once they meet every bound, a column each time none of time."""
    problem = ask(linears(step("a", (4, 4))), "dense", max_arrays=1)
    whole = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0))
    columns = pieces_of(*((0, 0, 0, 4, col, 1, 0, 0, col) for col in range(4)))
    assert answer(problem, whole, objective="arrays:1+latency:1").header.status == "optimal"
    assert answer(problem, columns, objective="arrays:1+latency:1").header.status == "feasible"
    assert answer(problem, columns, objective="arrays:1+area:1").header.status == "optimal"


@pytest.mark.parametrize("item", ["latency:0.7+enrgy:0.3", "latency:1", "latency:x+energy:1", "latency:1,energy:1"])
def test_the_checker_refuses_a_sum_that_is_none(item: str) -> None:
    solution = solve(ask(linears(step("a", (4, 4))), "dense"))
    report = check_solution(with_header(solution, objective=[item]))
    assert rules_of(report) == {"question"}


def test_the_checker_refuses_optimal_where_a_term_is_open() -> None:
    problem = MEDIUM[4]
    solution = solve(problem.asking(objective=["latency:1+energy:1"]), "densemap")
    assert solution.header.status == "feasible"
    assert not broken(solution)
    assert broken(with_header(solution, status="optimal"))


def test_the_exact_model_refuses_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    question = ask(linears(step("a", (4, 4))), "dense").asking(objective=("arrays:1+latency:1",))
    with pytest.raises(InputError, match="its objectives are arrays and latency, one after the other"):
        demand_exact(question, Effort(exact=True))


def test_the_command_line_reads_sums() -> None:
    found = solve_command.Options.parse(["--objective", "arrays, latency:0.7 + energy:0.3"])
    assert isinstance(found, solve_command.Options)
    assert found.objective == ("arrays", SUM)
