"""Pictures of answers in runs: runs over time add up to the figures, and page, files and trace have them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import cimsolve
from cimsolve.errors import CheckError, InputError
from cimsolve.price.chips import use_link
from cimsolve.problem.plan import AnyPlan
from cimsolve.show.page import write_figures, write_report, write_trace
from cimsolve.show.seen.runs import ROWS_MAX, JudgedPlan, judge_plan, over_time
from cimsolve.study.chips import solve_chips
from cimsolve.study.rounds import solve_rounds
from makers.builders import linears, step
from makers.command_line import Cli, assert_refused
from makers.short_chips import short

CHAIN = linears(*(step(name, (8, 8)) for name in "abcd"), context=5)


@pytest.fixture(scope="module")
def doubled() -> JudgedPlan:
    plan = solve_rounds(short(CHAIN, 2, "throughput", row_ns=20), "optimal", batch=4)
    assert plan.header.double
    return judge_plan(plan, "doubled")


@pytest.fixture(scope="module")
def row() -> JudgedPlan:
    return judge_plan(solve_chips(short(CHAIN, 2), "linear"), "row")


@pytest.fixture(scope="module")
def plain() -> JudgedPlan:
    return judge_plan(solve_rounds(short(CHAIN, 2), "linear", batch=3), "plain")


@pytest.mark.parametrize("which", ["doubled", "plain"])
def test_runs_over_time_end_when_the_figures_say(which: str, request: pytest.FixtureRequest) -> None:
    judged: JudgedPlan = request.getfixturevalue(which)
    metrics = judged.plan.header.metrics
    tables = {table.name: table for table in over_time(judged)}
    assert tables["token"].end_ns == pytest.approx(metrics["latency_ns"])
    assert tables["prefill"].end_ns == pytest.approx(metrics["prefill_ns"])
    for table in tables.values():
        roles = {spell.role for spell in table.spells}
        assert roles <= {"write", "wait", "compute"}
        computing = [spell for spell in table.spells if spell.role == "compute"]
        assert [spell.run for spell in computing] == list(range(len(judged.plan.runs)))
        # One run computes at a time, after the one before it.
        assert all(first.end_ns <= then.begin_ns for first, then in pairwise(computing))
        written = sum(spell.end_ns - spell.begin_ns for spell in table.spells if spell.role == "write")
        assert written == pytest.approx(metrics["write_ns"])


def test_what_is_written_beside_the_run_before_overlaps_it(doubled: JudgedPlan) -> None:
    spells = over_time(doubled)[0].spells
    writes, computes = ({each.run: each for each in spells if each.role == role} for role in ("write", "compute"))
    assert all(writes[run].begin_ns == computes[run - 1].begin_ns for run in range(1, len(doubled.plan.runs)))


def test_a_token_on_chips_takes_turns_of_chips_and_links(row: JudgedPlan) -> None:
    (table,) = over_time(row)
    assert table.end_ns == pytest.approx(row.plan.header.metrics["latency_ns"])
    assert [spell.role for spell in table.spells] == ["compute", "link", "compute"]
    bits = use_link(row.problem, row.plan.header.runs[0].end).bits
    assert f"{bits} bits" in table.tips[0]
    assert "2 chips" in table.says


def test_more_runs_than_can_be_read_share_lines(plain: JudgedPlan) -> None:
    count = 3 * ROWS_MAX - 1
    problem = short(linears(*(step(f"s{number}", (8, 8)) for number in range(count))), 1)
    plan = solve_rounds(problem, "linear")
    assert len(plan.runs) == count
    (table, *_) = over_time(judge_plan(plan, "many"))
    assert table.runs_a_line == 3
    assert len(table.labels) == len(table.tips) == ROWS_MAX
    assert {spell.run for spell in table.spells} == set(range(count))


def test_many_runs_of_a_line_are_told_in_sums() -> None:
    count = 4 * ROWS_MAX
    problem = short(linears(*(step(f"s{number}", (8, 8)) for number in range(count))), 1)
    table = over_time(judge_plan(solve_rounds(problem, "linear"), "many"))[0]
    assert table.runs_a_line == 4
    assert table.tips[1].startswith("5 to 8, in all: written in ")
    taken = sum(spell.end_ns - spell.begin_ns for spell in table.spells if spell.role == "compute" and spell.run < 4)
    assert f"compute {taken:.0f} ns" in table.tips[0]


def test_bounds_stand_beside_values(plain: JudgedPlan, row: JudgedPlan) -> None:
    for judged, titles in ((plain, ["token latency", "prefill", "batch"]), (row, ["token latency", "prefill", "II"])):
        rows = judged.bounds
        assert [each.title for each in rows] == titles
        assert all(each.lower <= each.value * (1 + 1e-9) for each in rows)
        assert all(
            each.value == judged.plan.header.metrics[f"{name}_ns"]
            for each, name in zip(rows, ("latency", "prefill", "ii" if judged is row else "batch"), strict=True)
        )


def test_the_page_files_and_trace(plain: JudgedPlan, row: JudgedPlan, tmp_path: Path) -> None:
    write_report(row, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "--when-short chips" in page
    assert "chip 1, " in page  # what is said of a line that is pointed at
    files = write_figures([row], tmp_path / "figures", ("svg",), width_in=3.5)
    assert sorted(path.name for path in files) == ["row--bounds.svg", "row--runs-token.svg"]
    assert write_trace([plain], tmp_path / "t.json") == []
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spells = [spell for table in over_time(plain) for spell in table.spells]
    assert len([each for each in events if each["ph"] == "X"]) == len(spells)


def _lying(plan: AnyPlan) -> AnyPlan:
    metrics: dict[str, Any] = {**plan.header.metrics, "latency_ns": 1.0}
    return replace(plan, header=plan.header.model_copy(update={"metrics": metrics}))


def test_what_fails_its_check_is_not_drawn(plain: JudgedPlan, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="lie: fails its check, nothing was drawn: metrics"):
        judge_plan(_lying(plain.plan), "lie")
    with pytest.raises(InputError, match=r"is an answer in runs, and .* a solution"):
        write_trace([plain, plain.plan.runs[0]], tmp_path / "t.json")


def test_the_command_reports_files_of_runs(plain: JudgedPlan, cli: Cli, tmp_path: Path) -> None:
    file = cimsolve.write_plan(plain.plan, tmp_path / "a.json")
    assert cli("report", str(file[0]), "--trace", str(tmp_path / "t.json"), "-q").code == 0
    assert (tmp_path / "t.json").exists()
    refused = cli("report", str(file[0]), str(file[1]), "--trace", str(tmp_path / "u.json"))
    assert_refused(refused, 2, "is an answer in runs")
    assert not (tmp_path / "u.json").exists()
