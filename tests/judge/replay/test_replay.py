"""Replay: exact for one token, equal to a simulation event by event, and near the equations for many."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsolve
from cimsolve import api
from cimsolve.__main__ import main
from cimsolve.errors import CheckError, InputError
from cimsolve.judge.check import check_solution, rebuild_problem
from cimsolve.judge.names import GAPS
from cimsolve.judge.replay.stream import Rules, replay_stream
from cimsolve.judge.replay.token import replay_token
from cimsolve.judge.replay.work import find_work
from cimsolve.price.firings import Fired
from cimsolve.problem.solution import Solution
from cimsolve.solve.effort import Effort
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import make_solution, solve
from makers.builders import (
    STILL,
    activations_of,
    answer,
    ask,
    chip,
    linears,
    pieces_of,
    step,
    with_figures_that_fit,
)
from makers.folders import ROOT
from makers.hardware_specs import FLAT
from makers.model_configs import config_of, parse
from makers.replay_cases import PRICED, assert_same_times, random_case, replayed, work_of
from makers.tiny_configs import NARROW_BART
from oracles import naive_replay

MODELS = ["minilm-l6", "smollm2-135m", "gpt2-medium", "bert-large", "bart-large", "llama-3-8b", "llama-3-70b"]
A = (0, 0, 0, 4, 0, 4, 0, 0, 0)
B = (1, 0, 0, 4, 0, 2, 1, 0, 0)


def two_stages(barrier: bool = False, context: int = 4) -> dict[str, Any]:
    return linears(
        step("a", (4, 4)),
        step("b", (4, 2), operations=[{"name": "activation", "elements": 4}], barrier=barrier),
        context=context,
    )


# By hand


def test_two_stages_by_hand() -> None:
    """a takes 14 cycles on array 0, the activation 3, its transfer 2, b 10 on array 1, the result's transfer 2."""
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    found = replayed(solution, stream=0)
    assert found.agrees
    assert found.token.replayed_ns == 14 + 3 + 2 + 10 + 2
    # Tokens follow at array 0's 14; nothing else is as busy, so nobody waits: the last of four leaves at 3 * 14 + 31.
    assert found.prefill.replayed_ns == found.prefill.analytical_ns == 73
    assert found.busiest == "array 0"
    assert found.utilisation == pytest.approx(4 * 14 / 73)
    assert found.stream is None


def test_tokens_that_meet_on_an_array_wait() -> None:
    """Both stages on one array: 14 + 10 a token. Token 1 is let in after 24, while token 0 still fires b until 29."""
    shared = (1, 0, 0, 4, 0, 2, 0, 4, 0)
    solution = answer(ask(two_stages(context=2), hardware=chip(**PRICED)), pieces_of(A, shared))
    found = replayed(solution, stream=0)
    # Token 0: a 0-14, gap to 19, b 19-29, out 31. Token 1: a 29-43, gap to 48, b 48-58, out 60.
    assert found.prefill.replayed_ns == 60
    assert found.prefill.analytical_ns == 31 + 24
    # All at once: a 14-28 follows at once, b of token 0 comes at 19 and fires 28-38, that of token 1 38-48.
    assert replayed(solution, stream=0, controller="burst").prefill.replayed_ns == 50


def test_a_barrier_waits_for_the_last_token() -> None:
    solution = answer(ask(two_stages(barrier=True), hardware=chip(**PRICED)), pieces_of(A, B))
    found = replayed(solution, stream=0)
    # All four have left a at 56. Then gaps of 5, b every 10, out 2: the first at 73, the last 30 later.
    assert found.prefill.replayed_ns == 56 + 17 + 30 == found.prefill.analytical_ns
    # Without attention between them sequences know no barrier.
    problem = rebuild_problem(solution)
    finished = replay_stream(work_of(problem, solution), 4, Rules({0: 14, 1: 14}, barriers=False))
    assert finished.tolist() == [31, 45, 59, 73]


def test_a_gap_that_holds_both_units_slows_the_stream() -> None:
    """Digital 63 and transfers 2 + 2 a token, arrays 14."""
    slow = {"base_ns": 62, "per_element_ns": 1, "base_pj": 0, "per_element_pj": 0}
    solution = answer(ask(two_stages(), hardware=chip(digital__ops__activation=slow)), pieces_of(A, B))
    apart, together = (replayed(solution, stream=600, gaps=gaps).stream for gaps in GAPS)
    assert apart is not None
    assert together is not None
    assert apart.interval.replayed_ns == apart.interval.analytical_ns == 63
    # The gap before b and the transfer of the result share one unit now; two tokens take turns in it.
    assert together.interval.replayed_ns == pytest.approx(63 + 2 + 2, rel=1e-3)


def test_the_oldest_token_goes_first_where_asked() -> None:
    """Token 1 reaches the digital units at its first gap just before token 0 comes back to them for its second."""
    work = [{"name": "activation", "elements": 4}]
    config = linears(step("a", (4, 4)), step("b", (4, 4), operations=work), step("c", (4, 4), operations=work))
    pieces = pieces_of(*((factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)))
    slow = {"base_ns": 20, "per_element_ns": 1, "base_pj": 0, "per_element_pj": 0}
    solution = answer(ask(config, hardware=chip(digital__ops__activation=slow, **STILL)), pieces)
    used = work_of(rebuild_problem(solution), solution)
    # Gaps take 21 each, a stage 14, transfers nothing. Tokens come all at once and reach their first gap at 14, 28
    # and 42, which the first two have from 14 to 35 and from 35 to 56.
    first, oldest = (
        replay_stream(used, 3, Rules({0: 0}, barriers=True, oldest_first=which)).tolist() for which in (False, True)
    )
    # First come: token 2 until 77, then all second gaps, which came at 49, 70 and 91; c 14 after each.
    assert first == [98 + 14, 119 + 14, 140 + 14]
    # Oldest first: token 0 is back at 49 and goes until 77, token 1 is back at 70 and goes until 98; only then
    # token 2 has its first gap until 119, b until 133, its second until 154.
    assert oldest == [77 + 14, 98 + 14, 154 + 14]


# Against a simulation of every activation


def random_chip(draw: random.Random) -> dict[str, Any]:
    return chip(**PRICED, **(STILL if draw.random() < 0.2 else {}), clock_ns=draw.choice([1, 1.5]))


@pytest.mark.parametrize("experts", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_times_are_those_of_an_event_for_every_activation(seed: int, experts: bool) -> None:
    draw = random.Random(seed)
    problem, solution = random_case(draw, random_chip(draw), experts)
    for _ in range(3):
        assert_same_times(problem, solution, draw)


def test_two_passes_are_replayed_alike() -> None:
    draw = random.Random(1)
    for rule in ("sparsemap", "densemap", "spread"):
        problem = ask(NARROW_BART, "2,2,1", chip(**PRICED))
        mapping = RULES[rule](problem, Effort()).mapping
        solution = make_solution(problem.asking(objective=("arrays",)), mapping, strategy=rule)
        for _ in range(4):
            assert_same_times(problem, solution, draw)
        assert replayed(solution, stream=0).agrees


def test_whole_models_are_replayed_alike() -> None:
    problem = api.make_problem("minilm-l6", "paper256")
    solution = solve(problem, "sparsemap")
    small = rebuild_problem(solution)
    pace = {stage.phase: 1000 for stage in small.workload.stages}
    work = work_of(small, solution)
    assert len(work.array_of_group) < solution.header.metrics["arrays"]  # some arrays do the same
    assert replay_stream(work, 3, Rules(pace, barriers=True)).tolist() == naive_replay.run(
        small, solution, 3, pace, barriers=True
    )


# One token


@pytest.mark.parametrize("experts", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_one_token_takes_as_long_as_the_equations_say(seed: int, experts: bool) -> None:
    """Also with branches, where gaps queue."""
    draw = random.Random(seed)
    _, solution = random_case(draw, random_chip(draw), experts)
    assert replayed(solution, tokens=1, stream=0).agrees


def test_an_idle_schedule_is_replayed_as_early_as_it_may_be() -> None:
    """A legal file whose second stage starts 5 cycles late: the replay does not wait, so the two differ."""
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    acts = solution.activations
    late = Solution(
        solution.header,
        solution.pieces,
        activations_of(*((i, int(acts.start[i]) + 5 * i, int(acts.end[i]) + 5 * i, 2, [i]) for i in range(2))),
    )
    late = with_figures_that_fit(late)
    assert check_solution(late).passed
    found = replayed(late, stream=0)
    assert not found.agrees
    assert (found.token.analytical_ns, found.token.replayed_ns) == (36, 31)


def test_gaps_in_the_order_of_the_starts_are_replayed_too() -> None:
    """b and c read a; the file runs c's gap first, which is as legal as the order of the stages."""
    work = [{"name": "activation", "elements": 4}]
    config = linears(
        step("a", (4, 4)), step("b", (4, 4), operations=work), step("c", (4, 2), reads=["a"], operations=work)
    )
    pieces = pieces_of(*((factor, 0, 0, 4, 0, width, factor, 0, 0) for factor, width in ((0, 4), (1, 4), (2, 2))))
    problem = ask(config, hardware=chip(**PRICED))
    solution = answer(problem, pieces)
    # a ends at 14; a gap is 3 + 2. In dataflow order b starts at 19 and c at 24; swapped c at 19 and b at 24.
    assert solution.activations.start.tolist() == [0, 19, 24]
    swapped = with_figures_that_fit(
        Solution(
            solution.header,
            pieces,
            activations_of((0, 0, 14, 2, [0]), (2, 19, 29, 2, [2]), (1, 24, 38, 2, [1])),
        )
    )
    assert check_solution(swapped).passed
    assert replayed(swapped, stream=0).agrees
    assert swapped.header.metrics["latency_cycles"] != solution.header.metrics["latency_cycles"]


def test_a_file_that_contradicts_the_dataflow_is_not_replayed() -> None:
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    problem = rebuild_problem(solution)
    wrong = activations_of((1, 0, 10, 2, [1]), (0, 20, 34, 2, [0]))
    fired = Fired.of(problem, solution.pieces, wrong.of_piece(2))
    with pytest.raises(ValueError, match="contradicts the dataflow"):
        replay_token(find_work(fired, wrong), fired, wrong, 0)


# Shipped models


@pytest.mark.parametrize("spec", FLAT)
@pytest.mark.parametrize("rule", list(RULES))
def test_a_small_model_on_every_chip(rule: str, spec: str) -> None:
    solution = solve(api.make_problem("minilm-l6", spec), rule)
    found = replayed(solution, tokens=64, stream=0)
    assert found.agrees
    # With few tokens, those that meet on an array at the end of a phase weigh more: 512 are within 1 %.
    assert -0.01 < found.prefill.difference < 0.03


def test_the_solvers_answer_agrees_too() -> None:
    model = parse(config_of("gpt2-medium", n_layer=1, n_embd=256, n_head=4))
    found = replayed(solve(api.make_problem(model, "paper256"), "optimal"))
    assert found.agrees
    assert abs(found.prefill.difference) < 0.01
    assert found.stream is not None
    assert found.stream.settled
    assert abs(found.stream.interval.difference) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("spec", FLAT)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_on_every_chip(model: str, spec: str) -> None:
    """One token exactly; 512 within 1 % of the equations."""
    solution = solve(api.make_problem(model, spec), "spread")
    few = model == "llama-3-70b"
    found = replayed(solution, tokens=8 if few else None, stream=0)
    assert found.agrees
    assert -0.01 < found.prefill.difference < (0.2 if few else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("spec", FLAT)
def test_the_solver_on_every_chip(spec: str) -> None:
    found = replayed(solve(api.make_problem("minilm-l6", spec), "optimal"))
    assert found.agrees
    assert abs(found.prefill.difference) < 0.01


# Command and API


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_command(in_a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    cimsolve.write_solution(solution, "good.json")
    assert main(["replay", "good.json", "--stream", "30"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("good.json: one token agrees (tiny on rram256 by by hand; prefill 0%, II 0%)")
    assert "token latency, ns" in out
    assert "array 0, at work 76.7% of the time" in out
    assert main(["replay", "good.json", "-q", "--stream", "0"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main(["replay", "good.json", "--json", "--tokens", "2", "--stream", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == "cimsolve-replay/1"
    assert told["files"]["good.json"]["passed"]
    assert told["files"]["good.json"]["replay"]["prefill"]["replayed_ns"] == 31 + 14
    assert told["files"]["good.json"]["replay"]["stream"] is None


def test_command_fails_where_one_token_differs(in_a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    late = with_figures_that_fit(
        Solution(solution.header, solution.pieces, activations_of((0, 0, 14, 2, [0]), (1, 24, 34, 2, [1])))
    )
    cimsolve.write_solution(late, "late.json")
    assert main(["replay", "late.json"]) == 1
    assert "one token DIFFERS" in capsys.readouterr().out


def test_command_fails_where_the_check_does(in_a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solution = answer(ask(two_stages(), hardware=chip(**PRICED)), pieces_of(A, B))
    overlapping = Solution(solution.header, solution.pieces, activations_of((0, 0, 14, 2, [0]), (1, 0, 10, 2, [1])))
    cimsolve.write_solution(overlapping, "wrong.json")
    cimsolve.write_solution(solution, "good.json")
    assert main(["replay", "wrong.json", "good.json", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["files"]
    assert told["wrong.json"]["replay"] is None
    assert not told["wrong.json"]["passed"]
    assert told["good.json"]["passed"]
    assert main(["replay", "wrong.json"]) == 1
    assert "FAILED its check" in capsys.readouterr().out
    with pytest.raises(CheckError, match="fails its check"):
        cimsolve.replay_solution(overlapping)


def test_command_goes_on_after_a_file_that_is_none(in_a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cimsolve.write_solution(answer(ask(two_stages()), pieces_of(A, B)), "good.json")
    assert main(["replay", "none.json", "good.json", "-q"]) == 2
    out, err = capsys.readouterr()
    assert "good.json: one token agrees" in out
    assert err.startswith("cimsolve: error: none.json")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tokens": 0}, "--tokens: 0 cannot be replayed"),
        ({"tokens": 10**6}, "expected 1 to 65536"),
        ({"stream": 2}, "--stream: 2 cannot be replayed"),
    ],
)
def test_numbers_of_tokens_that_are_none(settings: dict[str, int], words: str) -> None:
    solution = answer(ask(two_stages()), pieces_of(A, B))
    with pytest.raises(InputError, match=words):
        cimsolve.replay_solution(solution, **settings)


def test_replay_shares_no_equation_with_the_cost_model() -> None:
    """Only the comparison reads the cost model; what finds times does not import it."""
    for name in ("work", "token", "stream"):
        text = (ROOT / "solver" / "cimsolve" / "judge" / "replay" / f"{name}.py").read_text(encoding="utf-8")
        assert "cimsolve.price.cost" not in text
        assert "cimsolve.price.schedule" not in text


def test_groups_hold_arrays_that_do_the_same() -> None:
    """Arrays 0 and 1 each hold half of a and of b; array 2 half of c, array 3 the other half and nothing else."""
    halves = [(f, 0, 0, 4, c, 2, a, 0 if f != 1 else 4, 0) for f in (0, 1) for c, a in ((0, 0), (2, 1))]
    halves += [(2, 0, 0, 4, c, 2, a, 0, 0) for c, a in ((0, 2), (2, 3))]
    config = linears(step("a", (4, 4)), step("b", (4, 4)), step("c", (4, 4)))
    solution = answer(ask(config), pieces_of(*halves))
    work = work_of(rebuild_problem(solution), solution)
    assert sorted(work.array_of_group.tolist()) == [0, 2]
    assert [len(node.users) for node in work.nodes] == [1, 1, 1, 0]
    assert np.concatenate([node.cycles for node in work.nodes]).tolist() == [10, 10, 10]
