"""Answers in rounds: cut, mapped, judged; and claims that do not hold, which are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cimsolve.errors import InfeasibleError, InputError
from cimsolve.judge.check.plan import check_plan
from cimsolve.price.rounds import times_of_run
from cimsolve.problem.plan import Rounds, read_plan, write_plan
from cimsolve.study.ladder import find_ladder
from cimsolve.study.rounds import solve_rounds
from cimsolve.study.short import is_short_of_arrays
from makers.builders import TWO, ask, chip, linears, remembering, step
from makers.family_configs import FAMILY_CONFIGS
from makers.short_chips import short, writing
from makers.tiny_configs import BERT

LAYER = {**BERT, "num_hidden_layers": 1}
CHAIN = linears(*(step(name, (8, 8)) for name in "abcd"))


@pytest.fixture(scope="module")
def answer() -> Rounds:
    return solve_rounds(short(CHAIN, 2), "optimal", batch=4)


@pytest.mark.parametrize(
    ("strategy", "objective"), [("linear", "latency"), ("spread", "prefill"), ("optimal", "throughput")]
)
def test_every_answer_passes(strategy: str, objective: str) -> None:
    problem = short(LAYER, 16, objective)
    rounds = solve_rounds(problem, strategy)
    assert check_plan(rounds, problem).violations == ()
    assert len(rounds.runs) > 1
    assert rounds.header.metrics["arrays"] <= 16


def test_a_search_is_no_slower_than_the_rule_that_fills_the_chip() -> None:
    problem = short(LAYER, 16, "prefill")
    rule, search = (solve_rounds(problem, name).header.metrics for name in ("linear", "optimal"))
    assert search["prefill_ns"] <= rule["prefill_ns"]


def test_the_weights_are_written_once_in_all() -> None:
    problem = short(CHAIN, 2)
    assert is_short_of_arrays(problem)
    rounds = solve_rounds(problem, "linear")
    written = sum(int((run.pieces.rows * run.pieces.cols).sum()) for run in rounds.runs)
    assert written == problem.weight_cells


@pytest.mark.parametrize("arrays", [40, 60])  # one of five runs, and of three, has some of both passes
def test_a_source_has_been_there_when_a_sequence_decodes(arrays: int) -> None:
    problem = short({**FAMILY_CONFIGS["t5"], "num_decoder_layers": 1}, arrays)
    rounds = solve_rounds(problem, "spread")
    assert check_plan(rounds, problem).violations == ()
    assert not rounds.header.double
    decoding_ns = 0.0
    for entry, run in zip(rounds.header.runs, rounds.runs, strict=True):
        if problem.model.steps[entry.end - 1].pass_name == "target":
            metrics = run.header.metrics
            write = times_of_run(problem.hardware, run.pieces, metrics).write
            decoding_ns += write * problem.hardware.clock_ps / 1000
            decoding_ns += metrics.get("decode_latency_ns", metrics["latency_ns"])
    assert decoding_ns < rounds.header.metrics["latency_ns"]
    assert rounds.header.metrics["decode_tokens_per_s"] == pytest.approx(1e9 / decoding_ns)
    ladder = find_ladder(problem)
    assert ladder is not None
    assert ladder.most_tokens_per_s is not None
    assert rounds.header.metrics["decode_tokens_per_s"] <= ladder.most_tokens_per_s


def test_a_file_comes_back_and_old_runs_go(tmp_path: Path, answer: Rounds) -> None:
    path = tmp_path / "a.json"
    write_plan(solve_rounds(short(CHAIN, 2), "linear"), path)
    files = write_plan(answer, path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    again = read_plan(path)
    assert check_plan(again).passed
    assert again.header.metrics == answer.header.metrics


def test_a_run_that_was_changed_is_not_read(tmp_path: Path, answer: Rounds) -> None:
    files = write_plan(answer, tmp_path / "a.json")
    files[1].write_text(files[1].read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match="SHA-256 differs"):
        read_plan(files[0])


def _claiming(rounds: Rounds, **metrics: float) -> Rounds:
    changed = {**rounds.header.metrics, **metrics}
    return replace(rounds, header=rounds.header.model_copy(update={"metrics": changed}))


def _entries(rounds: Rounds, **changes: int) -> Rounds:
    first, *others = rounds.header.runs
    return replace(
        rounds, header=rounds.header.model_copy(update={"runs": [first.model_copy(update=changes), *others]})
    )


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        (lambda it: _claiming(it, latency_ns=it.header.metrics["latency_ns"] / 2), "metrics"),
        (lambda it: _claiming(it, energy_pj=1.0), "metrics"),
        (lambda it: _entries(it, write_cycles=1), "writing"),
        (lambda it: _entries(it, first=1), "runs"),
        (lambda it: replace(it, runs=[*it.runs[1:], it.runs[0]]), "runs"),
        (lambda it: replace(it, header=it.header.model_copy(update={"batch": 5})), "metrics"),
        (lambda it: replace(it, header=it.header.model_copy(update={"double": not it.header.double})), ""),
    ],
)
def test_lies_are_refused(answer: Rounds, lie: Callable[[Rounds], Rounds], rule: str) -> None:
    report = check_plan(lie(answer))
    assert not report.passed
    assert not rule or rule in {violation.rule for violation in report.violations}


def test_two_runs_must_fit_side_by_side_where_one_is_written_beside_the_other() -> None:
    rounds = solve_rounds(short(CHAIN, 2), "spread")
    assert not rounds.header.double
    assert rounds.header.metrics["arrays"] == 2
    report = check_plan(replace(rounds, header=rounds.header.model_copy(update={"double": True})))
    assert {violation.rule for violation in report.violations} == {"arrays"}


def test_a_step_that_no_run_holds_is_named() -> None:
    with pytest.raises(InfeasibleError, match=r"tall\.\d+ alone needs at least 3 arrays"):
        solve_rounds(short(linears(step("a", (8, 8)), step("tall", (136, 8))), 2), "linear")


def test_a_chip_that_does_not_say_how_it_writes_is_refused() -> None:
    with pytest.raises(InputError, match="write is missing"):
        solve_rounds(ask(TWO, hardware=chip(), max_arrays=1), "linear")
    assert find_ladder(ask(TWO, hardware=chip(), max_arrays=1)) is not None


def test_memory_must_hold_what_lies_between_runs() -> None:
    data = remembering(writing(chip(array__count=2)), mbit=0.0001)
    problem = ask(CHAIN, hardware=data)
    with pytest.raises(InfeasibleError, match=r"memory\.mbit is short"):
        solve_rounds(problem, "linear", batch=1000)


def test_the_ladder_names_three_ways() -> None:
    found = find_ladder(short(CHAIN, 2))
    assert found is not None
    rounds = solve_rounds(short(CHAIN, 2), "optimal")
    assert found.runs is not None
    assert found.runs <= len(rounds.runs)
    assert found.rank is not None
    assert found.most_tokens_per_s is not None
    assert found.most_tokens_per_s >= rounds.header.metrics["decode_tokens_per_s"]
    assert found.most_tokens_per_s <= 1e9 / rounds.header.metrics["write_ns"] * 1.001
    assert "--when-short rounds" in found.told
    assert "--when-short chips" in found.told


@pytest.mark.parametrize("arrays", [1, 2, 3])
def test_a_step_larger_than_the_chip_is_cut(arrays: int) -> None:
    problem = short(LAYER, arrays)
    rounds = solve_rounds(problem, "optimal")
    assert check_plan(rounds, problem).violations == ()
    assert rounds.header.options.cut_steps is not None
    cells = arrays * problem.rows * problem.weights_per_row
    assert all((run.pieces.rows * run.pieces.cols).sum() <= cells for run in rounds.runs)


def test_runs_of_equal_steps_share_a_mapping_and_its_file(tmp_path: Path) -> None:
    rounds = solve_rounds(short({**BERT, "num_hidden_layers": 4}, 16), "spread")
    like = [run.like for run in rounds.header.runs]
    assert any(each is not None for each in like)
    files = write_plan(rounds, tmp_path / "a.json")
    assert len(files) == 1 + like.count(None)
    again = read_plan(files[0])
    assert check_plan(again).passed
    first, last = like.index(None), len(like) - 1
    lied = [
        run.model_copy(update={"like": first if number == last else run.like})
        for number, run in enumerate(rounds.header.runs)
    ]
    report = check_plan(replace(rounds, header=rounds.header.model_copy(update={"runs": lied})))
    assert not report.passed
