"""`cimsolve pareto`: every point checked, written and beaten by none; marks where bound and value meet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import cimsolve
from cimsolve import api
from cimsolve.__main__ import main
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InfeasibleError
from cimsolve.judge.check import CheckReport, Violation, check_solution
from cimsolve.problem.problem import Problem
from cimsolve.show.text.front import found_by, stand
from cimsolve.show.text.scatter import drawing_of_front
from cimsolve.show.text.sheet import rounded
from cimsolve.solve.effort import Effort, Event
from cimsolve.solve.front import FRONT_METRICS, FrontPoint, find_front
from cimsolve.solve.names import DENSE, DENSE_RULE
from cimsolve.solve.strategies import RULES
from cimsolve.study import front as study_front
from cimsolve.study.front import FrontFound, FrontRow, FrontRun
from cimsolve.study.solving import solve_and_check
from makers.command_line import Cli, Result
from makers.tiny_runs import TINY, written

RUN = ["pareto", "--model", "tiny.json", "--hw", "paper256", "--set", "array.rows=16", "--set", "array.cols=32"]
STEM = "tiny--paper256-array.rows16-array.cols32--pareto"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tiny_folder: None) -> None:
    """Every test has a folder of its own."""


@pytest.fixture(scope="module", autouse=True)
def _searched_once() -> Iterator[None]:
    """Commands that ask the same share the front that is found, and the rules beside it."""
    known: dict[str, Any] = {}

    def once(function: Callable[..., Any]) -> Callable[..., Any]:
        def found(problem: Problem, *how: Any) -> Any:
            question = repr((function, problem.question, *(getattr(each, "time_limit_s", each) for each in how)))
            if question not in known:
                known[question] = function(problem, *how)
            return known[question]

        return found

    shared = {name: once(vars(study_front)[name]) for name in ("find_front", "solve_and_check")}
    with mock.patch.multiple(study_front, **shared):
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The front as JSON."""
    folder = tmp_path_factory.mktemp("front")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(folder)
        Path("tiny.json").write_text(json.dumps(TINY))
        assert main([*RUN, "--json"]) == 0
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def small_chip() -> Hardware:
    """That of RUN."""
    return with_settings(api.load_hardware("paper256"), {"array.rows": "16", "array.cols": "32"})


def front(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def key(metrics: dict[str, Any]) -> tuple[float, ...]:
    return tuple(metrics[name] for name in FRONT_METRICS)


def test_every_point_is_checked_and_written(cli: Cli) -> None:
    result = cli(*RUN)
    assert (result.code, result.err) == (0, "")
    assert "FAILED" not in result.out
    names = written()
    assert len(names) >= 3
    assert names == [f"{STEM}-{number:02d}.json" for number in range(1, len(names) + 1)]
    assert cli("check", *(f"results/{name}" for name in names)).code == 0
    header = json.loads(Path("results", names[0]).read_text())
    assert (header["strategy"], header["objective"]) == ("optimal", ["arrays", "latency"])


def test_no_point_beats_another_and_they_are_sorted(found: dict[str, Any]) -> None:
    keys = [key(point["metrics"]) for point in found["points"]]
    assert keys == sorted(keys)
    for one, other in permutations(keys, 2):
        assert any(a < b for a, b in zip(one, other, strict=True))


def test_json_is_one_object_that_says_what_is_proved(cli: Cli) -> None:
    result = cli(*RUN, "--json")
    found = front(result)
    assert (result.code, result.err) == (0, "")
    assert (found["format"], found["exit_code"], found["stopped_by"]) == ("cimsolve-front/1", 0, None)
    for point in found["points"]:
        assert point["check"]["passed"] is True
        assert all(Path(path).is_file() for path in point["files"])
        for name, bound in point["bounds"].items():
            assert bound["lower"] <= bound["value"]
            assert (name in point["proved"]) == (bound["gap"] == 0)
    assert "arrays" in found["points"][0]["proved"]
    assert list(found["rules"]) == [*RULES, DENSE]


def test_the_front_repeats(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_front, "find_front", find_front)  # both search
    monkeypatch.setattr(study_front, "solve_and_check", solve_and_check)
    first = front(cli(*RUN, "--json"))
    words = shlex.split(first["command"])
    again = front(cli(*words[1:], "--out", "again", "--json"))
    for found in (first, again):
        for name in ("runtime_s", "command"):
            found.pop(name)
        for point in found["points"]:
            point.pop("files")
    assert again == first


def test_no_rule_beats_a_point(found: dict[str, Any]) -> None:
    keys = {point["point"]: key(point["metrics"]) for point in found["points"]}
    for name, rule in found["rules"].items():
        mine = key(rule["metrics"])
        assert rule["check"]["passed"] is True
        if name not in (DENSE_RULE, DENSE):  # which store other matrices
            assert rule["is_point"] is not None or rule["beaten_by"] is not None
        if rule["is_point"]:
            assert keys[rule["is_point"]] == mine
        if rule["beaten_by"]:
            worse = [b for a, b in zip(keys[rule["beaten_by"]], mine, strict=True) if a > b]
            assert len(worse) == (1 if rule["but_for"] else 0)


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = cli(*RUN, "-q").out
    assert max(len(line) for line in out.splitlines()) <= width
    assert "\u2026" not in out
    assert not [line for line in out.splitlines() if line.startswith(" " * 40)]  # no cell goes on below itself
    for part in ("token", "prefill", "II", "energy", "* proved: no mapping on as many arrays has less"):
        assert part in out
    for name in RULES:
        assert any(line.startswith(f"{name} ") for line in out.splitlines())


def test_marks_stand_where_bound_and_value_meet(cli: Cli, found: dict[str, Any]) -> None:
    lines = cli(*RUN, "-q").out.splitlines()
    for point in found["points"]:
        (line,) = (line for line in lines if line.startswith(f"{point['point']} "))
        assert line.count("*") == len(
            {"arrays", "latency_cycles", "prefill_ns", "ii_cycles", "energy_pj"} & {*point["proved"]}
        )


def test_forms_agree(cli: Cli, found: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(cli(*RUN, "--format", "csv").out)))
    named = {point["point"]: point for point in found["points"]} | found["rules"]
    assert [row["mapping"] for row in rows] == list(named)
    for row in rows:
        metrics = named[row["mapping"]]["metrics"]
        assert (row["state"], row["passed"], int(row["arrays"])) == ("solved", "true", metrics["arrays"])
        assert float(row["energy_pj"]) == rounded(metrics["energy_pj"])
        assert (row["on_front"] == "*") == (row["mapping"] not in found["rules"] or bool(metrics_of(found, metrics)))
    for form, parts in {"markdown": ["| 01 |", "| spread "], "latex": ["  01 & ", "  spread & "]}.items():
        out = cli(*RUN, "--format", form).out
        assert all(part in out for part in parts)


def metrics_of(found: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    """The points that have these metrics."""
    return [point["point"] for point in found["points"] if key(point["metrics"]) == key(metrics)]


def test_what_found_a_point_is_for_experts(cli: Cli) -> None:
    assert "found by" not in cli(*RUN).out
    assert "found by" in cli(*RUN, "-v").out


def test_the_front_is_drawn_as_a_staircase(cli: Cli) -> None:
    said = cli(*RUN, "--plot", "front.svg", "--width", "3.5in")
    assert said.code == 0
    again = said.out.partition("The same again")[2]
    assert "--plot front.svg" in again
    assert "--width 3.5in" in again
    drawn = Path("front.svg").read_text()
    assert all(f">{name}<" in drawn for name in ("arrays", "front", "spread", "dense-optimal"))
    assert re.search(r'<svg [^>]*width="252pt"', drawn)
    first = front(cli(*RUN, "--plot", "again.svg", "--width", "88.9mm", "--json"))
    assert first["plot"] == "again.svg"
    assert Path("again.svg").read_text() == drawn


def test_the_staircase_has_the_points_that_none_beats_in_its_two_figures() -> None:
    def row(label: str, arrays: int, latency: int, prefill: int) -> Any:
        metrics = {"arrays": arrays, "latency_cycles": latency, "prefill_ns": prefill, "energy_pj": 1.0}
        return SimpleNamespace(label=label, header=SimpleNamespace(metrics=metrics, hw={"clock_ns": 1.0}))

    points: Any = [row("1", 1, 9, 1), row("2", 2, 9, 0), row("3", 2, 5, 9), row("4", 3, 7, 0), row("5", 4, 4, 9)]
    found = FrontFound(points, [], 0.0)
    (group,) = drawing_of_front(found, ("arrays", "latency")).groups
    assert (group.front, group.others) == ([(1, 9), (2, 5), (4, 4)], [(2, 9), (3, 7)])
    (group,) = drawing_of_front(found, ("latency", "prefill")).groups
    assert group.front == [(4, 9), (7, 0)]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("--axes arrays,energy", "--axes: is of a drawing; expected --plot FILE with it"),
        ("--plot a.svg --axes arrays", "--axes arrays: expected two names"),
        ("--plot a.bmp", "--plot a.bmp: expected a name that ends in one of .svg, .png, .pdf"),
        ("--width 3in", "--width: is of drawings; expected --plot FILE with it"),
        ("--plot a.svg --width 3", "--width: '3': expected a width in in, cm or mm"),
        ("--plot a.svg --width 1in", "from 3in to 20in"),
        ("--plot a.svg --dpi 5", "expected a whole number from 50 to 1200"),
    ],
)
def test_drawings_that_make_no_sense_are_refused(cli: Cli, words: str, part: str) -> None:
    said = cli(*RUN, *words.split())
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert part in said.err


def test_limits_hold_for_every_point_and_stand_in_the_names(cli: Cli, found: dict[str, Any]) -> None:
    points = found["points"]
    latency = points[1]["metrics"]["latency_ns"]
    energy = max(point["metrics"]["energy_pj"] for point in points)
    arrays = points[-1]["metrics"]["arrays"]
    limits = ["--max-arrays", str(arrays), "--max-latency", str(latency), "--max-energy", str(energy)]
    limited = front(cli(*RUN, *limits, "--cut", "columns", "--out", "limited", "--json"))
    assert limited["points"]
    for point in limited["points"]:
        assert point["metrics"]["latency_ns"] <= latency
        (path,) = point["files"]
        assert f"-max{arrays}-latency" in path
        assert "pJ.json" in path
    assert shlex.split(limited["command"])[1] == "pareto"


@pytest.mark.parametrize(
    ("limit", "part"),
    [("--max-arrays", "arrays are short"), ("--max-latency", "latency_ns is short"), ("--max-energy", "energy_pj is")],
)
def test_limits_that_leave_nothing_are_one_line(cli: Cli, limit: str, part: str) -> None:
    result = cli(*RUN, "--cut", "none", "-q", limit, "1")
    assert (result.code, result.out, written()) == (1, "", [])
    assert result.err.startswith("cimsolve: error: ")
    assert result.err.count("\n") == 1
    assert part in result.err


def test_what_only_the_solver_finds_is_the_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_front, "find_front", lambda problem, search: [])
    problem = api.make_problem("tiny.json", "paper256")
    (point,) = FrontRun(problem).points()
    assert point.name == "solver"
    assert check_solution(study_front.solution_of_point(problem, point), problem).passed


def test_a_time_limit_that_strikes_is_told(cli: Cli) -> None:
    result = cli(*RUN, "--time-limit", "0.0001")
    assert result.code == 0
    assert "caution: --time-limit stopped the search" in result.out
    assert written()
    assert "--time-limit 0.0001" in result.out
    assert front(cli(*RUN, "--time-limit", "0.0001", "--json"))["stopped_by"] == "time limit"


def test_ctrl_c_keeps_the_points_found(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_early(problem: Problem, search: Effort) -> list[FrontPoint]:
        points = find_front(problem, search)[:2]
        search.listen(Event("interrupted"))
        return points

    monkeypatch.setattr(study_front, "find_front", stop_early)
    result = cli(*RUN, "--json")
    assert result.code == 130
    assert result.err == "cimsolve: interrupted; the front may lack points\n"
    assert len(front(result)["points"]) == len(written()) == 2
    assert front(result)["rules"] == {}
    assert front(result)["stopped_by"] == "interrupt"


def test_ctrl_c_before_any_point_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(problem: Problem, search: Effort) -> list[FrontPoint]:
        search.listen(Event("interrupted"))
        return []

    monkeypatch.setattr(study_front, "find_front", stop)
    assert cli(*RUN, "--json") == Result(130, "", "cimsolve: interrupted\n")


def test_a_point_that_fails_its_check_is_not_written(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> CheckReport:
        return CheckReport((Violation("P3", "two pieces share a cell"),))

    monkeypatch.setattr(study_front, "check_solution", fail)
    result = cli(*RUN)
    assert result.code == 1
    assert "point 01 breaks P3" in result.out
    assert "not written" in result.out
    assert written() == []


def test_the_api_gives_the_same_points(cli: Cli) -> None:
    points = front(cli(*RUN, "--json"))["points"]
    found = cimsolve.map_front("tiny.json", small_chip())
    assert [key(dict(one.header.metrics)) for one in found] == [key(point["metrics"]) for point in points]
    assert all(cimsolve.check_solution(one).passed for one in found)
    with pytest.raises(InfeasibleError, match="arrays are short"):
        cimsolve.map_front("tiny.json", small_chip(), cut="none", max_arrays=1)


def test_standings() -> None:
    problem = api.make_problem("tiny.json", "paper256")
    header = cimsolve.map_model("tiny.json", "paper256", strategy="spread").header
    passed = CheckReport((), problem)

    def row(label: str, **changes: float) -> FrontRow:
        metrics = {**header.metrics, **changes}
        return FrontRow(label, "", header.model_copy(update={"metrics": metrics}), passed, ())

    less = header.metrics["latency_ns"] - 1
    more = header.metrics["energy_pj"] * 1.5
    assert stand(header, [row("1")]).is_point == "1"
    assert stand(header, [row("1", latency_ns=less)]).beaten_by == "1"
    assert stand(header, [row("1", energy_pj=more, arrays=99)]).beaten_by is None
    nearly = stand(header, [row("1", energy_pj=2 * more, latency_ns=less), row("2", energy_pj=more, latency_ns=less)])
    assert (nearly.beaten_by, nearly.but_for, nearly.excess) == ("2", "energy", pytest.approx(0.5))


def test_names_are_short() -> None:
    name = "columns cut for balanced latency, spread over 216 arrays by array, few wide shelves"
    assert found_by(name) == "balanced, array, few wide"
    assert found_by("dense diagonals") == "dense diagonals"
    assert found_by(f"{name}, activations exchanged") == "balanced, array, few wide, activations exchanged"


def test_cut_names_are_those_of_the_solver() -> None:
    points = FrontRun(api.make_problem("tiny.json", small_chip())).points()
    assert any("columns" in point.name for point in points)
    assert all("columns" not in found_by(point.name) for point in points)
