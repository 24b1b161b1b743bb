"""Limits, the exact model and a start given on the command line; questions without an answer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

from cimsolve.__main__ import main
from cimsolve.errors import InfeasibleError
from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Answer, Effort, Event
from cimsolve.solve.strategies import RULES, STRATEGIES
from makers.command_line import Cli
from makers.tiny_runs import NARROW, ONE, OPTIMAL, TINY, TINY_RUN, answer_with, header, refused, written

pytestmark = pytest.mark.usefixtures("tiny_folder")


# Limits, the exact model, a start


SHORT = (
    r"error: {}, linear needs [0-9]+{}, sparsemap [0-9]+{}, densemap [0-9]+{}, spread [0-9]+{}; "
    "dense-optimal: .*; optimal: "
)


@pytest.mark.parametrize(
    ("argv", "told", "unit"),
    [
        (["--max-arrays", "1", *NARROW], "arrays are short: the limit is 1", ""),
        (["--max-latency", "1", *NARROW], "latency_ns is short: the limit is 1 ns", " ns"),
    ],
)
def test_what_strategies_are_short_of_is_said_once(cli: Cli, argv: list[str], told: str, unit: str) -> None:
    result = cli(*TINY_RUN, *argv, "-q")
    refused(result, 1)
    assert re.search(SHORT.format(told, *[unit] * 4), result.err), result.err


def test_strategies_may_be_short_of_different_things(cli: Cli) -> None:
    """Under a limit between the rules' array counts, and one on latency that nothing keeps, each is told its own."""
    found = json.loads(cli(*TINY_RUN, *NARROW, "--simulate", "none", "--json").out)["strategies"]
    arrays = {name: one["metrics"]["arrays"] for name, one in found.items()}
    assert arrays["spread"] < arrays["linear"]
    error = cli(*TINY_RUN, *NARROW, "--max-arrays", str(arrays["spread"]), "--max-latency", "1", "-q").err
    assert f"arrays are short: the limit is {arrays['spread']}, linear needs {arrays['linear']}" in error
    assert re.search(
        r"latency_ns is short: the limit is 1 ns, .*spread (needs )?[0-9]+ ns; dense-optimal: .*; optimal: latency_ns",
        error,
    )


def test_what_would_do_under_one_limit_is_not_said_to_do_under_all(cli: Cli) -> None:
    for strategy in ("spread", "optimal"):
        run = [*TINY_RUN, *NARROW, "--max-arrays", "1", "--strategy", strategy, "-q"]
        assert "more where other limits ask for it" not in cli(*run).err
        assert "more where other limits ask for it" in cli(*run, "--max-latency", "1us").err


def test_a_rule_over_a_limit_is_a_row(cli: Cli) -> None:
    run = [*TINY_RUN, *NARROW, "--simulate", "none"]
    metrics = json.loads(cli(*run, "--json").out)["strategies"]
    slow, quick = (metrics[name]["metrics"]["latency_ns"] for name in ("densemap", "optimal"))
    assert quick < slow
    result = cli(*run, "--max-latency", str(quick), "--out", "limited", "--json")
    found = json.loads(result.out)
    assert result.code == 0
    assert found["question"]["max_latency_ns"] == quick
    assert found["strategies"]["densemap"]["state"] == "infeasible"
    assert f"this rule needs {slow:g}" in found["strategies"]["densemap"]["reason"]
    assert found["strategies"]["optimal"]["metrics"]["latency_ns"] == quick
    words = shlex.split(found["command"])
    again = json.loads(cli(*words[1:], "--json").out)
    assert again["command"] == found["command"]
    assert again["strategies"]["optimal"]["metrics"] == found["strategies"]["optimal"]["metrics"]


@pytest.mark.parametrize(("limit", "metric"), [("--max-latency", "latency_ns"), ("--max-energy", "energy_pj")])
def test_a_limit_that_nothing_keeps_names_what_is_short_and_what_would_do(cli: Cli, limit: str, metric: str) -> None:
    refused(
        cli(*TINY_RUN, *NARROW, *OPTIMAL, "-q", limit, "1"), 1, f"{metric} is short: the limit is 1 ", " would do; "
    )


def test_exact_solves_small_problems(cli: Cli) -> None:
    steps = [{"name": "up", "linears": [{"name": "up.w", "n_in": 8, "n_out": 8}]}]
    Path("tiny.json").write_text(json.dumps({**TINY, "steps": steps}))
    small = ["--set", "array.rows=8", "--set", "array.cols=16", "--cut", "none"]
    result = cli(*TINY_RUN, *OPTIMAL, *small, "--exact", "--json")
    assert result.code == 0
    name = "tiny--paper256-array.rows8-array.cols16--optimal-cut-none-exact.json"
    assert written() == [name]
    assert "--exact" in shlex.split(json.loads(result.out)["command"])
    assert header(name)["status"] == "optimal"


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--model", "minilm-l6"], "items are more than"),
        (["--cut", "both"], "rows may be cut"),
        (["--cut", "none", "--objective", "energy"], "its objectives are arrays and latency"),
        (["--cut", "none", "--objective", "arrays:1+latency:1"], "arrays and latency, one after the other"),
        (["--cut", "none", "--max-latency", "1ms"], "without other limits"),
    ],
)
def test_exact_is_refused_before_any_work(cli: Cli, argv: list[str], part: str) -> None:
    model = [] if "--model" in argv else ["--model", "tiny.json"]
    refused(cli("--hw", "paper256", *model, "--exact", *argv), 2, "--exact: this problem is out of reach", part)


def test_a_run_may_start_from_a_file_of_an_interrupted_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def stop_early(problem: Problem, search: Effort) -> Answer:
            search.listen(Event("interrupted"))
            return dataclasses.replace(RULES["densemap"](problem, search), stopped_by="interrupt")

        answer_with(patch, "optimal", stop_early)
        assert cli(*TINY_RUN, *OPTIMAL).code == 130
    (name,) = written()
    before = header(name)["metrics"]
    seen: list[Effort] = []

    with monkeypatch.context() as patch:
        original = STRATEGIES["optimal"]

        def remember(problem: Problem, search: Effort) -> Answer:
            seen.append(search)
            return original(problem, search)

        answer_with(patch, "optimal", remember)
        result = cli(*TINY_RUN, *OPTIMAL, "--start", f"results/{name}", "--json")
    assert result.code == 0
    assert seen[0].start is not None
    assert written() == [name]
    after = header(name)["metrics"]
    assert (after["arrays"], after["latency_ns"]) <= (before["arrays"], before["latency_ns"])
    assert f"--start results/{name}" in json.loads(result.out)["command"]


def test_a_start_is_kept_where_nothing_is_better(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli(*TINY_RUN, *OPTIMAL).code == 0
    (name,) = written()

    def keep(problem: Problem, search: Effort) -> Answer:
        assert search.start is not None
        return Answer(search.start)

    answer_with(monkeypatch, "optimal", keep)
    before = header(name)["metrics"]
    assert cli(*TINY_RUN, *OPTIMAL, "--start", f"results/{name}").code == 0
    assert header(name)["metrics"] == before


START = [*OPTIMAL, "--set", "array.rows=16", "--set", "array.cols=24"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an answer of the search on narrow arrays."""
    with contextlib.chdir(tmp_path_factory.mktemp("start")):
        Path("tiny.json").write_text(json.dumps(TINY))
        assert main([*TINY_RUN, *START, "--objective", "latency"]) == 0
        (path,) = Path("results").glob("*.json")
        return path.resolve()


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--adcs", "4"], "hw.adc.per_array is 8 there and 4 in the question"),
        (["--tokens", "8"], "options.tokens is 16 there and 8 in the question"),
        (["--structure", "dense"], 'structure.a.query is "4,4,1" there and "dense" in the question'),
        (["--model", "minilm-l6"], 'model.model_type is "linears" there and "bert" in the question'),
        (["--cut", "none"], "fails its check, cut: "),
        (["--max-arrays", "1"], " arrays, the limit is 1; expected as few or fewer"),
    ],
)
def test_a_start_of_another_question_is_refused(cli: Cli, start: Path, argv: list[str], part: str) -> None:
    model = [] if "--model" in argv else ["--model", "tiny.json"]
    result = cli("--hw", "paper256", *model, *START, *argv, "--start", str(start))
    refused(result, 2, f"--start {start}: ", part)


def test_a_start_may_differ_in_limits_and_in_cuts_that_it_does_not_use(cli: Cli) -> None:
    assert cli(*TINY_RUN, *ONE, "--max-arrays", "9", "--max-latency", "1ms", "--out", "before").code == 0
    (path,) = Path("before").glob("*.json")
    assert cli(*TINY_RUN, *OPTIMAL, "--cut", "none", "--start", str(path)).code == 0


def test_starts_that_are_none(cli: Cli) -> None:
    refused(cli(*TINY_RUN, "--start", "missing.json"), 2, "missing.json")
    refused(cli(*TINY_RUN, "--start", "tiny.json"), 2, "tiny.json: this is a model config; expected a solution")
    assert cli(*TINY_RUN, *ONE, "--out", "before").code == 0
    (path,) = Path("before").glob("*.json")
    content = json.loads(path.read_text())
    content["metrics"]["latency_ns"] = 1.0
    path.write_text(json.dumps(content))
    refused(cli(*TINY_RUN, "--start", str(path)), 2, "fails its check, metrics: ")


# What cannot be answered


def test_a_rule_that_does_not_fit_is_a_row_while_others_succeed(cli: Cli) -> None:
    argv = ["--model", "minilm-l6", "--hw", "paper256", "--max-arrays", "20", "--strategy", "linear,densemap"]
    result = cli(*argv)
    assert (result.code, result.err) == (0, "")
    assert "infeasible" in result.out
    assert "the limit is 20" in result.out
    assert written() == ["minilm-l6--paper256--densemap-max20.json"]
    found = json.loads(cli(*argv, "--json").out)
    assert found["strategies"]["linear"]["state"] == "infeasible"
    assert "240" in found["strategies"]["linear"]["reason"]


def test_optimal_without_an_answer_fails_the_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(problem: Problem, search: Effort) -> Answer:
        raise InfeasibleError("arrays are short")

    answer_with(monkeypatch, "optimal", fail)
    result = cli(*TINY_RUN, "--strategy", "spread,optimal")
    assert (result.code, result.err) == (1, "")
    assert "optimal: infeasible: arrays are short" in result.out


@pytest.mark.parametrize("limit", [["--max-arrays", "1"], ["--set", "array.count=1"]])
def test_a_model_that_does_not_fit_is_one_line_and_exit_1(cli: Cli, limit: list[str]) -> None:
    result = cli(*TINY_RUN, *NARROW, "--strategy", "linear,optimal", "-q", *limit)
    refused(result, 1, "linear needs 6", "fewer than 3", "limit")


def test_json_of_a_model_that_does_not_fit(cli: Cli) -> None:
    result = cli("--model", "minilm-l6", "--hw", "paper256", "--max-arrays", "1", *ONE, "--json")
    assert result.code == 1
    assert json.loads(result.out)["exit_code"] == 1
    assert result.err.count("\n") == 1


def huge(n_in: int, n_out: int) -> None:
    linears = [{"name": "a.w", "n_in": n_in, "n_out": n_out}]
    config = {"model_type": "linears", "context": 16, "steps": [{"name": "a", "linears": linears}]}
    Path("huge.json").write_text(json.dumps(config))


def test_more_pieces_than_can_be_handled_are_one_line(cli: Cli) -> None:
    huge(2**20, 2**20 - 1)
    for how in (["--strategy", "linear"], ["--structure", "dense"]):
        told = cli("--hw", "paper256", "--model", "huge.json", "-q", *how)
        refused(told, 2, "a.w makes 16777216 pieces")
        assert told.err.count("a.w") == 1


def test_what_is_too_large_for_one_strategy_is_a_row_while_others_succeed(cli: Cli) -> None:
    huge(2**20, 2**20)
    argv = ["--hw", "paper256", "--model", "huge.json", "--structure", "lowrank:1", "--simulate", "none"]
    found = json.loads(cli(*argv, "--strategy", "linear,spread", "--json").out)
    assert found["strategies"]["linear"]["state"] == "refused"
    assert found["strategies"]["spread"]["state"] == "solved"
    assert found["exit_code"] == 0
