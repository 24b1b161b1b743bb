"""Solutions by the question they answer: the order they are shown in, and the answer in words."""

from __future__ import annotations

import pytest

import cimsolve
from cimsolve import api
from cimsolve.model.structure import Structure
from cimsolve.show.page.html import render_page
from cimsolve.show.seen.judged import Judged, judge
from cimsolve.show.seen.questions import answers_of, by_question, describe_structure
from cimsolve.show.text.answer import answer_sentences
from cimsolve.study.ask import Asked, Outcome
from cimsolve.study.conclusion import conclude
from cimsolve.study.solving import solve_and_check
from makers.builders import answer, ask, chip, linears, pieces_of, step, with_header
from makers.drawn_solutions import ROWS, TINY

RULES = ("linear", "sparsemap", "spread")


@pytest.fixture(scope="module")
def problem() -> api.Problem:
    return api.make_problem("minilm-l6", "paper256")


@pytest.fixture(scope="module")
def solved(problem: api.Problem) -> list[tuple[str, cimsolve.Solution, api.CheckReport]]:
    return [(name, *solve_and_check(problem, name)) for name in RULES]


@pytest.fixture(scope="module")
def judged(solved: list[tuple[str, cimsolve.Solution, api.CheckReport]]) -> list[Judged]:
    return [judge(solution, f"{name}.json") for name, solution, _ in solved]


def strategies(groups: list[list[Judged]]) -> list[list[str]]:
    return [[each.header.strategy for each in group] for group in groups]


def test_the_best_comes_first_and_dense_weights_answer_the_same_question(judged: list[Judged]) -> None:
    assert strategies(by_question(judged)) == [["spread", "sparsemap", "linear"]]


def test_what_comes_first_is_the_objective_s_to_say(problem: api.Problem) -> None:
    fast = problem.asking(objective=("latency",))
    found = [judge(solve_and_check(fast, name)[0], name) for name in ("spread", "sparsemap")]
    assert strategies(by_question(found)) == [["sparsemap", "spread"]]


def test_the_page_says_what_the_run_says(
    problem: api.Problem, solved: list[tuple[str, cimsolve.Solution, api.CheckReport]], judged: list[Judged]
) -> None:
    outcomes = [Outcome(name, "solved", header=solution.header, check=report) for name, solution, report in solved]
    told = conclude(Asked(problem, RULES, ("arrays", "latency"), 0, [], "", ""), outcomes)
    ((asked, found),) = answers_of(by_question(judged)[0])
    assert found == told
    assert describe_structure(asked) == "16,16,1 in 36 linears"


def test_other_chips_and_structures_are_other_answers() -> None:
    rows = pieces_of(*ROWS)
    one, other = judge(answer(ask(TINY), rows), "one"), judge(answer(ask(TINY, hardware=chip(read_ns=4)), rows), "two")
    assert [len(group) for group in by_question([one, other, one])] == [2, 1]


def test_each_way_of_storing_the_weights_has_its_answer() -> None:
    problem = ask(linears(step("a", (4, 4))), structure="2,2,1")
    low = problem.asking(structures={"a0": Structure.monarch(1, 1)})
    found = [judge(solve_and_check(each, name)[0], name) for each in (problem, low) for name in ("spread", "linear")]
    (group,) = by_question(found)
    told = answers_of(group)
    assert {describe_structure(asked) for asked, _ in told} == {"2,2,1 in 1 linear", "1,1,1 in 1 linear"}
    for asked, answered in told:
        assert answered.dense.found == 1
        assert answered.best is not None
        assert answered.best.structure == asked.question.to_json()["structure"]


def test_the_page_begins_with_the_answer_and_has_the_best_first() -> None:
    slow = judge(answer(ask(TINY), pieces_of(*ROWS)), "two arrays")
    best = judge(answer(ask(TINY), pieces_of(ROWS[0], (1, 0, 0, 4, 0, 4, 0, 4, 4))), "one array")
    page = render_page([slow, best])
    ((asked, found),) = answers_of([slow, best])
    told = answer_sentences(asked, found)
    assert "1 array (proved least)" in told[1]
    places = [page.index(part) for part in (*told, "dense in 2 linears", "of costs assumed", ">one array <small>")]
    assert places == sorted(places)
    assert page.index(">one array <small>") < page.index(">two arrays <small>")


def test_no_more_is_said_to_be_proved_than_the_checker_shows() -> None:
    honest = answer(ask(TINY), pieces_of(*ROWS))
    claimed = honest.header.bounds["arrays"].model_copy(update={"lower": 2, "gap": 0.0, "proof": "search"})
    found = judge(with_header(honest, bounds={**honest.header.bounds, "arrays": claimed}, status="optimal"), "searched")
    ((asked, told),) = answers_of([found])
    assert not told.dense.is_proved
    assert not any("proved" in sentence.split(",")[0] for sentence in answer_sentences(asked, told))
