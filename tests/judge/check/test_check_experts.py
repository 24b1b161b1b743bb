"""Lies about experts: in the times of a mapping, in which expert is which, and in how many a token fires."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cimsolve.judge.check import RULES, check_solution
from cimsolve.problem.solution import Solution, read_solution, write_solution
from makers.builders import (
    STILL,
    answer,
    ask,
    broken,
    chip,
    linears,
    pieces_of,
    step,
    with_experts,
    with_figures_that_fit,
    with_tables,
)

MIXTURE = linears(
    with_experts(step("a", (4, 4), (4, 4), (4, 4), (4, 4)), of=[None, 0, 1, 2], chosen=2),
    step("b", (4, 4), reads=["a"]),
    step("c", (4, 4), reads=[]),
)
"""What always fires and three experts, of which a token fires two; then a stage that waits for them, one that does not.

On the plain chip a matrix takes f * (read + v * t) = 2 * (3 + 2 * 2) = 14 cycles, half of its columns 10.
"""


def honest() -> Solution:
    """All experts on array 0, the first in two halves; `c` is there too, the others have arrays of their own.

    array 0   experts 0 (10 + 10), 1 and 2 (14 each): the longest two take 34; c takes 14
    array 1   what always fires, 14
    array 2   b, 14
    """
    pieces = pieces_of(
        (0, 0, 0, 4, 0, 4, 1, 0, 0),
        (1, 0, 0, 4, 0, 2, 0, 0, 0),
        (1, 0, 0, 4, 2, 2, 0, 0, 2),
        (2, 0, 0, 4, 0, 4, 0, 0, 4),
        (3, 0, 0, 4, 0, 4, 0, 4, 0),
        (4, 0, 0, 4, 0, 4, 2, 0, 0),
        (5, 0, 0, 4, 0, 4, 0, 4, 4),
    )
    return answer(ask(MIXTURE, hardware=chip(**STILL)), pieces)


Times = dict[tuple[int, int], int]
"""When the piece of a factor that begins at a column starts."""

TIMES: Times = {(0, 0): 0, (1, 0): 0, (1, 2): 10, (2, 0): 20, (3, 0): 20, (4, 0): 34, (5, 0): 34}


def starting(times: Times) -> Solution:
    """The answer with what begins at other times than `TIMES` says, and the figures of these."""
    solution = honest()
    lasts = (solution.activations.end - solution.activations.start).tolist()
    piece = solution.activations.piece.tolist()
    of = zip(solution.pieces.factor[piece].tolist(), solution.pieces.col0[piece].tolist(), strict=True)
    start = [{**TIMES, **times}[each] for each in of]
    end = [begin + cycles for begin, cycles in zip(start, lasts, strict=True)]
    return with_figures_that_fit(with_tables(solution, activations__start=start, activations__end=end))


def test_the_schedule_gives_time_to_as_many_experts_as_a_token_fires() -> None:
    solution = honest()
    assert check_solution(solution).passed
    assert solution.activations.start.tolist() == starting({}).activations.start.tolist()


@pytest.mark.parametrize(
    "times",
    [
        {(3, 0): 0},  # the short one with the long one: within the block, whoever comes second
        {(2, 0): 0, (1, 0): 14, (1, 2): 24, (3, 0): 14},  # another order
        {(2, 0): 6},  # at any time within the block
        {(1, 2): 24},  # an expert's parts apart
        {(4, 0): 40, (5, 0): 60},  # later than need be
    ],
)
def test_experts_may_start_whenever_the_block_has_room_for_the_longest(times: Times) -> None:
    assert check_solution(starting(times)).passed


LATE_C = {(5, 0): 60}
"""What comes after is out of the way."""


@pytest.mark.parametrize(
    "times",
    [
        {(2, 0): 19, (3, 0): 20 - 1, (4, 0): 33},  # a cycle is missing
        {(1, 0): 0, (1, 2): 10, (2, 0): 6, (3, 0): 6, (4, 0): 20},  # the experts as if a token fired one
        {(1, 0): 0, (1, 2): 9},  # the halves of one expert overlap
        {(1, 0): 0, (1, 2): 0},  # they begin at once
        {(5, 0): 33},  # the block reaches into another stage's
        {(5, 0): 0},  # another stage within it, over no activation of the longest
        {(2, 0): 34, (3, 0): 34, (4, 0): 48, (5, 0): 20},  # between two experts, in time that no activation has
    ],
)
def test_time_taken_from_experts_breaks_s4_alone(times: Times) -> None:
    lie = starting({**LATE_C, **times})
    assert broken(lie) == {"S4"}
    assert check_solution(lie, rules=[rule for rule in RULES if rule.name not in ("S4", "below bound")]).passed


def test_what_waits_for_experts_waits_for_the_worst_choice() -> None:
    assert broken(starting({(4, 0): 33})) == {"S5"}


def test_what_always_fires_does_not_fire_beside_experts() -> None:
    """On one array: always 14, then two experts of 14."""
    pieces = pieces_of(
        *((factor, 0, 0, 4, 0, 4, 0, 4 * (factor // 2), 4 * (factor % 2)) for factor in range(4)),
        *((factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in (4, 5)),
    )
    solution = answer(ask(MIXTURE, hardware=chip(**STILL)), pieces)
    of = solution.pieces.factor[solution.activations.piece].tolist()
    assert dict(zip(of, solution.activations.start.tolist(), strict=True)) == {0: 0, 1: 14, 2: 28, 3: 28, 4: 42, 5: 0}
    start = [{0: 1, 1: 14, 2: 28, 3: 28, 4: 42, 5: 0}[factor] for factor in of]
    lie = with_tables(solution, activations__start=start, activations__end=[begin + 14 for begin in start])
    assert broken(with_figures_that_fit(lie)) == {"S4"}


# Edits of the file


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of the honest answer."""
    path = tmp_path_factory.mktemp("told") / "honest.json"
    write_solution(honest(), path)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def of_model(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["model"]["steps"][0]
    return found


def one_fewer_is_chosen(content: dict[str, Any]) -> None:
    of_model(content)["experts"]["chosen"] = 1


def one_more_is_chosen(content: dict[str, Any]) -> None:
    of_model(content)["experts"]["chosen"] = 3


def none_is_said_to_be_chosen(content: dict[str, Any]) -> None:
    del content["stages"][0]["experts_chosen"]


def fewer_are_said_to_be_chosen(content: dict[str, Any]) -> None:
    content["stages"][0]["experts_chosen"] = 1


def another_stage_has_experts(content: dict[str, Any]) -> None:
    content["stages"][1]["experts_chosen"] = 1


def a_factor_is_of_another_expert(content: dict[str, Any]) -> None:
    content["factors"][1]["expert"] = 1


def a_factor_is_of_no_expert(content: dict[str, Any]) -> None:
    del content["factors"][1]["expert"]


def what_always_fires_is_an_expert(content: dict[str, Any]) -> None:
    content["factors"][0]["expert"] = 0


def the_model_has_no_experts(content: dict[str, Any]) -> None:
    del of_model(content)["experts"]
    for entry in of_model(content)["linears"]:
        entry.pop("expert", None)


def experts_have_their_own_inputs(content: dict[str, Any]) -> None:
    of_model(content)["experts"]["own_inputs"] = True


def two_experts_have_one_number(content: dict[str, Any]) -> None:
    of_model(content)["linears"][3]["expert"] = 1


def an_expert_is_stored_unlike_the_others(content: dict[str, Any]) -> None:
    content["structure"]["a2"] = "2,2,1"


def activations_of_two_experts_are_one(content: dict[str, Any]) -> None:
    """Experts 1 and 2, whose activations the file has one after the other."""
    activations = content["activations"]
    first = activations["start"].index(20)
    activations["pieces_to"][first] += 1
    for column in ("array", "start", "end", "adc_bits", "pieces_from", "pieces_to"):
        del activations[column][first + 1]


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (one_fewer_is_chosen, "stages"),
        (one_more_is_chosen, "S4"),
        (none_is_said_to_be_chosen, "stages"),
        (fewer_are_said_to_be_chosen, "stages"),
        (another_stage_has_experts, "stages"),
        (a_factor_is_of_another_expert, "factors"),
        (a_factor_is_of_no_expert, "factors"),
        (what_always_fires_is_an_expert, "factors"),
        (the_model_has_no_experts, "factors"),
        (experts_have_their_own_inputs, "factors"),
        (two_experts_have_one_number, "question"),
        (an_expert_is_stored_unlike_the_others, "question"),
        (activations_of_two_experts_are_one, "S7"),
    ],
)
def test_a_lie_about_experts_is_told(
    told: dict[str, Any], edit: Callable[[dict[str, Any]], None], rule: str, tmp_path: Path
) -> None:
    content = copy.deepcopy(told)
    edit(content)
    assert content != told
    (tmp_path / "lie.json").write_text(json.dumps(content))
    report = check_solution(read_solution(tmp_path / "lie.json"))
    assert rule in {violation.rule for violation in report.violations}
