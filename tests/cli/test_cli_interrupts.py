"""Ctrl-C, SIGTERM, SIGHUP: what is finished is kept, the rest is skipped, nothing is half written."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.judge.simulate import SimulationReport
from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Answer, Effort, Event
from cimsolve.solve.strategies import RULES
from cimsolve.study import ask as study_ask
from makers.builders import chip
from makers.command_line import Cli, Result
from makers.short_chips import writing
from makers.tiny_configs import BERT
from makers.tiny_runs import ONE, TINY_RUN, answer_with, written

pytestmark = pytest.mark.usefixtures("tiny_folder")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(problem: Problem, search: Effort) -> Answer:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_finished_and_skips_the_rest(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "densemap", interrupt)
    result = cli(*TINY_RUN, "--json")
    states = {name: one["state"] for name, one in json.loads(result.out)["strategies"].items()}
    assert result.code == 130
    assert states == {
        "linear": "solved",
        "sparsemap": "solved",
        "densemap": "interrupted",
        "spread": "skipped",
        "dense-optimal": "skipped",
        "optimal": "skipped",
    }
    assert result.err == "cimsolve: interrupted; without an answer: densemap, spread, dense-optimal, optimal\n"
    assert written() == ["tiny--paper256--linear.json", "tiny--paper256--sparsemap.json"]


@pytest.mark.parametrize("way", ["rounds", "chips"])
def test_ctrl_c_keeps_the_answers_in_runs_of_earlier_strategies(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    answer_with(monkeypatch, "densemap", interrupt)
    Path("short.json").write_text(json.dumps(writing(chip(array__count=16))))
    Path("bert.json").write_text(json.dumps({**BERT, "num_hidden_layers": 1}))
    asked = ["--hw", "short.json", "--model", "bert.json", "--structure", "dense", "--when-short", way, "--json"]
    result = cli(*asked, "--strategy", "spread,densemap,linear")
    assert result.code == json.loads(result.out)["exit_code"] == 130
    assert [one["strategy"] for one in json.loads(result.out)["answers"]] == ["spread"]
    assert result.err.endswith("cimsolve: interrupted; without an answer: densemap, linear\n")
    assert f"bert-dense--rram256--spread-{way}.json" in written()


def test_ctrl_c_report_names_what_was_skipped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "densemap", interrupt)
    result = cli(*TINY_RUN)
    assert result.code == 130
    assert "densemap: interrupted" in result.out
    assert "optimal: skipped" in result.out


def test_an_interrupted_search_still_gives_its_best(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_early(problem: Problem, search: Effort) -> Answer:
        search.listen(Event("interrupted"))
        answer = RULES["spread"](problem, search)
        return dataclasses.replace(answer, stopped_by="interrupt")

    answer_with(monkeypatch, "optimal", stop_early)
    result = cli(*TINY_RUN, "--strategy", "optimal,spread", "--json")
    found = json.loads(result.out)["strategies"]
    assert result.code == 130
    assert (found["optimal"]["state"], found["spread"]["state"]) == ("solved", "skipped")
    assert found["optimal"]["stopped_by"] == "interrupt"
    assert found["optimal"]["check"]["passed"] is True
    assert written() == ["tiny--paper256--optimal.json"]


def test_ctrl_c_before_anything_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **options: Any) -> Problem:
        raise KeyboardInterrupt

    monkeypatch.setattr("cimsolve.problem.question.Question", stop)
    assert cli(*TINY_RUN) == Result(130, "", "cimsolve: interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_checking_waits_for_check_and_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def slow(*arguments: Any) -> CheckReport:
        os.kill(os.getpid(), number)
        return check_solution(*arguments)

    before = signal.getsignal(number)

    monkeypatch.setattr(study_ask, "check_solution", slow)
    result = cli(*TINY_RUN, "--strategy", "spread,linear", "--json")
    found = json.loads(result.out)["strategies"]
    assert result.code == json.loads(result.out)["exit_code"] == code
    assert signal.getsignal(number) is before
    assert found["spread"]["check"]["passed"] is True
    assert found["spread"]["simulation"] == {"passed": None, "reason": "interrupted"}
    assert found["linear"]["state"] == "skipped"
    assert written() == ["tiny--paper256--spread.json"]


def test_a_second_ctrl_c_is_obeyed_at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(*arguments: Any) -> CheckReport:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(study_ask, "check_solution", stuck)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 130
    assert written() == []
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_simulating_keeps_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **options: Any) -> SimulationReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(study_ask, "simulate", stop)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 130
    assert written() == ["tiny--paper256--spread.json"]


def test_a_signal_that_is_ignored_stays_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def under_nohup(*arguments: Any) -> CheckReport:
        os.kill(os.getpid(), signal.SIGHUP)
        return check_solution(*arguments)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(study_ask, "check_solution", under_nohup)
    assert cli(*TINY_RUN, *ONE).code == 0
    signal.signal(signal.SIGHUP, before)


def test_sigterm_while_the_line_of_an_error_is_written_is_no_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            if "error" in text:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    monkeypatch.setattr("sys.stderr", Slow())
    assert cli("check", "nowhere.json").code == 143
