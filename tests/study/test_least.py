"""Limits that are a share above the least: the least that is found, the amount that follows, and where it is kept."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from cimsolve.errors import InfeasibleError
from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Effort, Listener
from cimsolve.study.least import amount_above, limit_above
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, step
from makers.command_line import Cli

CONFIG = linears(step("a", (8, 8)), step("b", (8, 8)), context=4)
RUN = ["--model", "small.json", "--hw", "paper256", "--set", "array.rows=8", "--set", "array.cols=8", "--adcs", "2"]
OPTIMAL = ["--strategy", "optimal", "--simulate", "none"]


@pytest.fixture
def problem() -> Problem:
    return ask(CONFIG, hardware=chip(array__rows=8, array__cols=8))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.json").write_text(json.dumps(CONFIG))


@pytest.mark.parametrize(
    ("least", "share", "amount"),
    [(429.0, "0.2", 514.8), (3, "0.5", 4), (3, "0", 3), (892975.123456, "0", 892976.0), (1e9, "0.05", 1.05e9)],
)
def test_amounts_by_hand(least: float, share: str, amount: float) -> None:
    assert amount_above(least, Decimal(share)) == amount
    assert type(amount_above(least, Decimal(share))) is type(least)


def test_the_least_is_what_optimal_finds_for_that_alone(problem: Problem) -> None:
    limited = limit_above(problem, {"max_latency_ns": Decimal("0.5")}, Effort(), Listener())
    alone = solve(problem.asking(objective=("latency",)), "optimal").header.metrics["latency_ns"]
    assert limited.least == {"max_latency_ns": alone}
    assert limited.problem.terms.max_latency_ns == amount_above(alone, Decimal("0.5"))
    assert limited.problem.objective == problem.objective


def test_nothing_above_the_least_can_still_be_kept_all_together(problem: Problem) -> None:
    shares = dict.fromkeys(("max_arrays", "max_latency_ns", "max_energy_pj"), Decimal(0))
    limited = limit_above(problem, shares, Effort(), Listener())
    found = solve(limited.problem, "optimal", Effort(start=limited.start)).header.metrics
    assert found["arrays"] == limited.least["max_arrays"]
    assert found["latency_ns"] == limited.least["max_latency_ns"]
    free = limit_above(problem, {"max_latency_ns": Decimal(0)}, Effort(), Listener())
    assert free.least["max_latency_ns"] <= limited.least["max_latency_ns"]  # which is of the least arrays


def test_other_limits_that_leave_nothing_are_said(problem: Problem) -> None:
    with pytest.raises(InfeasibleError, match="latency_ns is short"):
        limit_above(problem.asking(max_latency_ns=1), {"max_energy_pj": Decimal(1)}, Effort(), Listener())


def test_the_file_has_the_amount_and_the_report_says_of_what(cli: Cli) -> None:
    result = cli(*RUN, *OPTIMAL, "--max-latency", "+20%", "--json")
    assert result.code == 0
    said = json.loads(result.out)
    limit = said["question"]["max_latency_ns"]
    (told,) = said["question"]["limits"]
    assert told.startswith("--max-latency +20%: ")
    (file,) = Path("results").glob("*.json")
    assert f"-latency{limit:g}ns" in file.name
    assert json.loads(file.read_text())["options"]["max_latency_ns"] == limit
    assert cli("check", str(file)).code == 0
    assert "--max-latency +20%" in said["command"]
    assert told in " ".join(cli(*RUN, *OPTIMAL, "--max-latency", "+20%").out.split())


@pytest.mark.parametrize("command", ["pareto", "explain"])
def test_other_commands_of_one_question_know_it(cli: Cli, command: str) -> None:
    more = ["--what-if", "none"] if command == "explain" else []
    result = cli(command, *RUN, *more, "--max-latency", "+10%", "--max-arrays", "+100%")
    assert result.code == 0
    shown = " ".join(result.out.split())
    for told in ("--max-arrays +100%: ", "--max-latency +10%: ", "the least that optimal finds"):
        assert told in shown


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("compare --max-latency +20%", "--max-latency +20%: a share above the least is of one question"),
        ("sweep --vary seed=1,2 --max-energy +20%", "--max-energy +20%: a share above the least is of one question"),
        ("sensitivity --max-arrays +20%", "--max-arrays +20%: a share above the least is of one question"),
        ("sweep --vary max_latency_ns=+20%", "--vary max_latency_ns: '+20%': expected a number above 0"),
        ("--max-latency 20%", "'20%': expected a number above 0"),
        ("--max-latency=-20%", "or a share above the least, such as +20%"),
        ("--max-latency +1e9%", "or a share above the least, such as +20%"),
        ("--max-arrays +%", "expected a whole number from 1 to 1000000000, or a share above the least"),
        ("--tokens +20%", "expected a whole number"),
    ],
)
def test_what_is_no_share_is_refused(cli: Cli, words: str, part: str) -> None:
    command, *rest = words.split()
    argv = [command, *RUN, *rest] if not command.startswith("-") else [*RUN, command, *rest]
    if command == "compare":
        argv = ["compare", *rest]
    said = cli(*argv)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert part in said.err


@pytest.mark.parametrize("words", [["--strategy", "spread"], OPTIMAL, ["pareto"]])
def test_a_question_without_an_answer_ends_with_what_to_do(cli: Cli, words: list[str]) -> None:
    argv = ["pareto", *RUN] if words == ["pareto"] else [*RUN, *words]
    said = cli(*argv, "-q", "--max-latency", "1")
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith("`cimsolve explain` with the same question says what would do\n")


def test_what_explains_does_not_send_to_itself(cli: Cli) -> None:
    assert "cimsolve explain" not in cli("explain", *RUN, "--max-latency", "1").err
