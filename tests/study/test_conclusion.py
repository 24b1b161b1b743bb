"""The answer of a run: does it fit, what is best, what is it better and worse than; and the words for it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cimsolve.columns import Floats
from cimsolve.problem.problem import Problem
from cimsolve.show.text.answer import answer_sentences
from cimsolve.show.text.solve import print_run
from cimsolve.solve.effort import Effort
from cimsolve.study.ask import Asked, Outcome, Run
from cimsolve.study.conclusion import Against, Conclusion, Need, conclude
from makers.builders import ask, chip, linears, step
from makers.command_line import Cli
from makers.tiny_problems import tiny_problem
from makers.tiny_runs import ONE, TINY_RUN

FACTORED = linears(step("a", (16, 16), (16, 16)), step("b", (16, 16)))
ALL = ("linear", "sparsemap", "densemap", "spread", "dense-optimal", "optimal")


def question(structure: str = "4,4,1", **terms: object) -> Problem:
    return ask(FACTORED, structure, hardware=chip(array__rows=8, array__cols=16), **terms)  # type: ignore[arg-type]


@cache
def outcomes_of(structure: str, strategies: tuple[str, ...], max_arrays: int | None) -> tuple[Problem, list[Outcome]]:
    problem = question(structure).asking(max_arrays=max_arrays)
    run = Run(problem, Effort(), simulated="none")
    return problem, list(run.outcomes(strategies))


def concluded(
    structure: str = "4,4,1", strategies: tuple[str, ...] = ALL, max_arrays: int | None = None
) -> tuple[Asked, Conclusion]:
    problem, outcomes = outcomes_of(structure, strategies, max_arrays)
    asked = Asked(problem, strategies, problem.objective, 0, (), "none", "cimsolve")
    return asked, conclude(asked, outcomes)


def test_both_ways_of_storing_are_counted() -> None:
    _, found = concluded()
    # 3 x 256 weights dense, 8 x 16 = 128 an array: 6 arrays; factors of 2 x 4 blocks of 4 x 4: 3 x 128 weights, 3.
    assert (found.dense, found.factored) == (Need(6, 6), Need(3, 3))
    assert found.times_fewer_weights == 2
    assert found.limit is None
    assert found.fits(found.dense) is True


def test_the_best_is_one_that_is_stored_as_asked() -> None:
    _, found = concluded()
    assert found.best is not None
    assert found.best.strategy == "optimal"
    assert found.against[0].strategy == "dense-optimal"
    assert found.against[1].strategy in ALL[:4]


def test_the_best_among_rules_is_compared_with_the_next_best() -> None:
    asked, found = concluded("4,4,1", ("densemap", "spread", "linear"))
    assert found.best is not None
    (rival,) = found.against
    assert {found.best.strategy, rival.strategy} == {"densemap", "spread"}
    assert "the next best rule" in " ".join(answer_sentences(asked.problem, found))


@pytest.mark.parametrize("strategies", [("linear", "spread", "optimal"), ("linear", "optimal"), ("densemap", "spread")])
def test_the_ratios_are_to_what_the_answer_is_compared_with(
    capsys: pytest.CaptureFixture[str], strategies: tuple[str, ...]
) -> None:
    asked, found = concluded("dense", strategies)
    print_run(asked, outcomes_of("dense", strategies, None)[1], verbosity=1)
    references = re.findall(r"^Times better than ([\w-]+)", capsys.readouterr().out, re.MULTILINE)
    assert set(references) - {"linear"} == {each.strategy for each in found.against} - {"linear"}


def test_ratios_are_those_of_the_metrics() -> None:
    _, outcomes = outcomes_of("4,4,1", ALL, None)
    _, found = concluded()
    metrics = {one.strategy: one.header.metrics for one in outcomes if one.header is not None}
    (dense, _) = found.against
    expected = metrics["optimal"]["energy_pj"] / metrics["dense-optimal"]["energy_pj"]
    assert dense.ratios["energy"] == pytest.approx(expected)
    assert dense.ratios["arrays"] == 0.5
    assert dense.better()["arrays"] == 2


def test_a_model_that_fits_only_factored() -> None:
    _, found = concluded(max_arrays=4)
    assert found.fits(found.dense) is False
    assert found.dense == Need(6, None)
    assert found.factored is not None
    assert found.fits(found.factored) is True


def test_dense_questions_have_one_need_and_one_search() -> None:
    _, outcomes = outcomes_of("dense", ALL, None)
    assert [one.strategy for one in outcomes] == [*ALL[:4], "optimal"]
    _, found = concluded("dense")
    assert found.factored is None


def test_nothing_found_is_said_to_be_nothing() -> None:
    _, found = concluded(max_arrays=1)
    assert found.best is None
    assert found.factored is not None
    assert (found.fits(found.dense), found.fits(found.factored)) == (False, False)


@pytest.mark.parametrize(
    ("ratio", "better", "worse"), [(0.5, True, False), (2.0, False, True), (0.995, False, False), (1.005, False, False)]
)
def test_less_than_a_percent_is_no_difference(ratio: float, better: bool, worse: bool) -> None:
    found = Against("spread", {"latency": ratio})
    assert (bool(found.better()), bool(found.worse())) == (better, worse)


# In words


def sentences(*args: object, **changes: object) -> str:
    asked, found = concluded(*args)  # type: ignore[arg-type]
    return " ".join(answer_sentences(asked.problem, replace(found, **changes)))  # type: ignore[arg-type]


def test_the_words_hold_the_figures() -> None:
    text = sentences()
    for part in ("takes 6 arrays", "takes 3 arrays", "2 times fewer", "dense-optimal", "best rule"):
        assert part in text, text


def test_the_words_say_what_does_not_fit() -> None:
    assert "does not fit: it needs at least 6 arrays" in sentences("4,4,1", ALL, 4)


def test_what_got_worse_names_the_objective_that_asks_for_it() -> None:
    against = [Against("spread", {"latency": 0.5, "throughput": 4.0, "energy": 1.002})]
    text = sentences("4,4,1", ALL, None, against=against)
    assert "2 times less token latency" in text
    assert "but 4 times the II" in text
    assert "--objective arrays,throughput" in text
    assert "the energy" not in text.partition("Against")[2]


@pytest.mark.parametrize(("error", "word"), [(None, "not known"), (0.9, "fine-tuning"), (0.01, "accuracy")])
def test_the_error_of_the_weights_is_said(error: float | None, word: str) -> None:
    assert word in sentences("4,4,1", ALL, None, weight_error=error)


def test_quiet_runs_print_the_answer_alone(tiny_folder: None, cli: Cli) -> None:
    quiet = cli(*TINY_RUN, *ONE, "-q")
    answer = quiet.out[quiet.out.index("Answer\n") :]
    assert len(answer.splitlines()) > len(quiet.out.splitlines()) / 2
    assert cli(*TINY_RUN, *ONE).out.endswith(answer)


def test_json_has_the_answer_too(tiny_folder: None, cli: Cli) -> None:
    found = json.loads(cli(*TINY_RUN, *ONE, "--json").out)["answer"]
    assert found["best"] == "spread"
    assert found["array_limit"] is None
    assert found["sentences"]


def weight_error(weight: Floats) -> float | None:
    problem = tiny_problem([[(16, 16, "4,4,1")]], 16, 16)
    (outcome,) = Run(problem, simulated="all", weights={"s0.0": weight}).outcomes(("spread",))
    assert outcome.simulation is not None
    return outcome.simulation.weight_error


def test_real_weights_give_their_error() -> None:
    # Each of the 16 slices (4 x 4) of an identity has one entry: rank 1 keeps it all.
    assert weight_error(np.eye(16)) == pytest.approx(0, abs=1e-12)
    # Slices take every fourth column; each of these is an identity, of whose four ones rank 1 keeps one.
    row, col = np.indices((16, 16))
    worst = (row % 4 == col // 4).astype(np.float32)
    for size in (1, 1e-30, 1e30):
        assert weight_error(np.float32(size) * worst) == pytest.approx(math.sqrt(3 / 4))
