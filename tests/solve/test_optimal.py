"""The solver's answers: legal, never worse than a rule, honest about what is proved, the same every time."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest

from cimsolve.api import load_hardware, make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.errors import InfeasibleError
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.model.load import load_model
from cimsolve.price.cost import Metrics, evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve import plan
from cimsolve.solve.effort import Effort, Event
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import solve, solve_and_check
from makers.medium_problems import MEDIUM
from makers.tiny_problems import random_problems
from oracles import brute_force

SMALL_RULES = ("sparsemap", "densemap", "spread")


@pytest.fixture
def no_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decomposition alone, which is all that larger problems get."""
    monkeypatch.setattr(plan, "why_out_of_reach", lambda problem: "left out here")


@cache
def solved(number: int) -> tuple[Solution, CheckReport]:
    """The answer to one of MEDIUM, without the exact search."""
    return solve_and_check(MEDIUM[number])


def fewest_arrays(number: int) -> int:
    return int(solved(number)[0].header.metrics["arrays"])


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    return evaluate(*schedule(problem, mapping)).metrics


# Whole answers


@pytest.mark.parametrize("number", range(len(MEDIUM)))
def test_answers_are_legal_and_no_rule_beats_them(number: int, no_exact_search: None) -> None:
    problem = MEDIUM[number]
    solution, report = solved(number)
    assert not report.violations
    assert_honest(solution)
    mine = solution.header.metrics
    for name in SMALL_RULES:
        rule = measure(problem, RULES[name](problem, Effort()).mapping)
        assert (mine["arrays"], mine["latency_cycles"]) <= (rule["arrays"], rule["latency_cycles"]), name


OTHERS = [("latency",), ("prefill", "arrays"), ("throughput",), ("energy",), ("area",)]


ASKED = [*product((0,), OTHERS), (4, ("latency",)), (4, ("energy",)), (3, ("prefill", "arrays")), (8, ("throughput",))]


@pytest.mark.parametrize(("number", "objective"), ASKED)
def test_other_objectives_too(number: int, objective: tuple[str, ...], no_exact_search: None) -> None:
    problem = MEDIUM[number]
    solution, report = solve_and_check(problem.asking(objective=objective), "optimal")
    assert not report.violations
    assert_honest(solution)
    names = {"latency": "latency_cycles", "prefill": "prefill_ns", "throughput": "ii_cycles"}
    metric = names.get(objective[0], {"energy": "energy_pj", "area": "area_mm2"}.get(objective[0], ""))
    for rule_name in SMALL_RULES:
        rule = measure(problem, RULES[rule_name](problem, Effort()).mapping)
        assert solution.header.metrics[metric] <= rule[metric] * (1 + 1e-12), rule_name


def assert_honest(solution: Solution) -> None:
    """`optimal` only where value and bound meet in every metric of the objective."""
    header = solution.header
    names = {
        "arrays": "arrays",
        "latency": "latency_cycles",
        "prefill": "prefill_ns",
        "throughput": "ii_cycles",
        "energy": "energy_pj",
        "area": "area_mm2",
    }
    for bound in header.bounds.values():
        assert bound.value >= bound.lower * (1 - 1e-12)
    met = all(header.bounds[names[name]].value == header.bounds[names[name]].lower for name in header.objective)
    assert (header.status == "optimal") == met


@pytest.mark.parametrize("number", range(12))
def test_tiny_answers_are_those_of_exhaustion(number: int) -> None:
    problem = random_problems(seed=77, count=24)[number]
    solution, report = solve_and_check(problem)
    assert not report.violations
    assert_honest(solution)
    found = solution.header.metrics["arrays"], solution.header.metrics["latency_cycles"]
    expected = brute_force.best(problem, max_arrays=4)
    assert solution.header.status == "optimal"
    assert found == expected if expected is not None else found[0] > 4


@pytest.mark.parametrize("number", range(12))
def test_the_decomposition_claims_no_optimum_that_is_none(number: int, no_exact_search: None) -> None:
    problem = random_problems(seed=78, count=24)[number]
    solution = solve(problem)
    found = solution.header.metrics["arrays"], solution.header.metrics["latency_cycles"]
    expected = brute_force.best(problem, max_arrays=4)
    if expected is not None:
        assert found >= expected
        assert solution.header.status == "feasible" or found == expected


@pytest.mark.parametrize("number", [0, 3, 6, 8, 12])
def test_equal_seeds_give_equal_tables(number: int, no_exact_search: None) -> None:
    assert_same(solved(number)[0], solve(MEDIUM[number]))


def test_the_exact_search_repeats_too() -> None:
    for problem in random_problems(seed=79, count=4):
        first, second = (solve(problem, "optimal", Effort(seed=5)) for _ in range(2))
        assert_same(first, second)


def assert_same(first: Solution, second: Solution) -> None:
    for table in ("pieces", "activations"):
        for name, column in vars(getattr(first, table)).items():
            assert column.tolist() == getattr(getattr(second, table), name).tolist(), (table, name)
    assert first.header.metrics == second.header.metrics


@pytest.mark.parametrize("number", range(0, len(MEDIUM), 2))
def test_blocks_stay_whole_where_cutting_is_not_allowed(number: int, no_exact_search: None) -> None:
    problem = MEDIUM[number].asking(cut="none")
    solution = solve(problem)
    widest = int(problem.table.block_cols.max())
    if problem.must_cut_rows or widest > problem.weights_per_row:
        assert not check_solution(solution).violations
    else:
        assert len(solution.pieces) == problem.workload.block_count


def test_the_limit_on_arrays_is_kept(no_exact_search: None) -> None:
    for number in (3, 7):
        problem, free = MEDIUM[number].asking(objective=("latency",)), fewest_arrays(number)
        for limit in (free, free + 1):
            solution, report = solve_and_check(problem.asking(max_arrays=limit), "optimal")
            assert not report.violations
            assert solution.header.metrics["arrays"] <= limit


def test_too_few_arrays_are_refused_with_the_least_that_do(no_exact_search: None) -> None:
    problem, fewest = MEDIUM[3], fewest_arrays(3)
    lower, _ = least_arrays(problem, fewest)
    with pytest.raises(InfeasibleError, match=rf"no mapping does with fewer than {lower} \(.* allow {fewest}"):
        solve(problem.asking(max_arrays=lower - 1))


def test_more_arrays_never_cost_latency(no_exact_search: None) -> None:
    problem, fewest = MEDIUM[7], fewest_arrays(7)
    times = [
        solve(problem.asking(max_arrays=fewest * factor, objective=("latency",)), "optimal").header.metrics[
            "latency_cycles"
        ]
        for factor in (1, 2)
    ]
    assert times == sorted(times, reverse=True)


class _Interrupt:
    """Interrupts at the n-th event."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupt_returns_the_best_so_far(no_exact_search: None) -> None:
    problem = next(p for p in MEDIUM if p.cut == "columns" and not p.must_cut_rows)
    whole = measure(problem, RULES["spread"](problem, Effort()).mapping)
    for after in (3, 6, 9):
        listener = _Interrupt(after)
        answer = plan.map_optimal(problem, Effort(listen=listener))
        assert (answer.stopped_by == "interrupt") == (listener.left <= 0)
        found = measure(problem, answer.mapping)
        assert (found["arrays"], found["latency_cycles"]) <= (whole["arrays"], whole["latency_cycles"])


def test_an_interrupt_before_any_answer_is_one() -> None:
    with pytest.raises(KeyboardInterrupt):
        plan.map_optimal(MEDIUM[0], Effort(listen=_Interrupt(1)))


def test_the_search_tells_of_its_progress(no_exact_search: None) -> None:
    listener = _Interrupt(0)
    solve(next(p for p in MEDIUM if p.cut == "columns"), "optimal", Effort(listen=listener))
    values = [event.value for event in listener.seen if event.metric == "latency_cycles" and event.lower is not None]
    assert values
    assert all(event.lower is None or event.value is None or event.lower <= event.value for event in listener.seen)


# The headline


def test_bert_large_on_the_papers_chip_is_optimal() -> None:
    """8 converters: the least arrays, and the least latency on them, both proved."""
    problem = make_problem("bert-large", with_settings(load_hardware("paper256"), {"adc.per_array": "8"}))
    solution = solve(problem)
    assert solution.header.status == "optimal"
    assert solution.header.metrics["arrays"] == 216
    assert solution.header.metrics["array_latency_ns"] == pytest.approx(27_300, rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("adcs", "array_us"), [(4, 38.2), (16, 24.4), (32, 23.4)])
def test_bert_large_is_optimal_with_other_converters(adcs: int, array_us: float) -> None:
    chip_ = with_settings(load_hardware("paper256"), {"adc.per_array": str(adcs)})
    solution, report = solve_and_check(make_problem(load_model("bert-large"), chip_))
    assert not report.violations
    assert (solution.header.status, solution.header.metrics["arrays"]) == ("optimal", 216)
    assert solution.header.metrics["array_latency_ns"] == pytest.approx(array_us * 1e3, rel=0.005)
