"""`cimsolve sweep`: every combination once, results kept by content, failures as rows, the front of the rest."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import cimsolve
from cimsolve.__main__ import main
from cimsolve.errors import InputError
from cimsolve.study.sweep import execute
from cimsolve.study.sweep.grid import expand, parse_study
from cimsolve.study.sweep.point import Point, Record, solve_point
from cimsolve.study.sweep.run import on_front
from makers.command_line import Cli, Result
from makers.tiny_runs import TINY
from makers.tiny_sweeps import ADCS, GRID, RUN, points, study


@pytest.fixture(autouse=True)
def _on_a_wide_terminal(tiny_folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """The points that are really solved, as they are."""
    found: list[Point] = []

    def note(point: Point, digest: str) -> Record:
        found.append(point)
        return solve_point(point, digest)

    monkeypatch.setattr(execute, "solve_point", note)
    return found


def test_every_combination_is_a_row_with_the_figures_of_a_run_of_its_own(cli: Cli) -> None:
    result = cli(*RUN, *ADCS, "--vary", "array.rows+array.cols=32,64", "--json")
    assert (result.code, result.err) == (0, "")
    rows = points(result)
    assert [tuple(row["values"].values()) for row in rows] == list(product((2, 4), (32, 64)))
    for row in rows:
        assert main([*shlex.split(row["command"])[1:], "--out", "alone", "--simulate", "none", "-q"]) == 0
        adcs, size = row["values"].values()
        (file,) = [
            path for path in Path("alone").glob("*.json") if f"rows{size}" in path.name and f"adcs{adcs}" in path.name
        ]
        header = json.loads(file.read_text())
        assert (header["metrics"], header["bounds"]) == (row["metrics"], row["bounds"])


def test_a_second_run_solves_only_what_is_new(cli: Cli, solved: list[Point]) -> None:
    def figures(result: Result) -> list[dict[str, str]]:
        return [{**row, "runtime_s": ""} for row in csv.DictReader(io.StringIO(result.out))]

    first = cli(*RUN, *ADCS, "--format", "csv")
    assert len(solved) == 2
    again = cli(*RUN, *ADCS, "--format", "csv")
    assert len(solved) == 2
    assert figures(again) == figures(first)
    cli(*RUN, "--vary", "adc.per_array=4,8,2")
    assert [point.question["hw"]["adc"]["per_array"] for point in solved] == [2, 4, 8]
    cli(*RUN, *ADCS, "--fresh")
    assert len(solved) == 5


def test_the_same_question_in_other_words_is_not_solved_again(cli: Cli, solved: list[Point]) -> None:
    cli(*RUN, "--vary", "structure=sqrt,4,4,1;")
    cli(*RUN, "--structure", "4,4,1", "--vary", "structure=*.out=4,4,1;*.query=4,4,1")
    # sqrt is 4,4,1 for 16 x 16 and, as divisor of 16 nearest to 4, for 16 x 64 too.
    assert len(solved) == 1


def test_what_decides_a_result_is_in_its_digest() -> None:
    base = expand(study(vary={"seed": [0]}))[0].point
    assert base is not None
    changes: dict[str, list[Any]] = {
        "seed": [1],
        "strategy": ["spread"],
        "objective": ["latency"],
        "cut": ["none"],
        "tokens": [8],
        "max_arrays": [9],
        "max_latency_ns": [1e9],
        "max_energy_pj": [1e9],
        "structure": ["dense"],
        "adc.per_array": [4],
        "hw": ["pcm256"],
        "model": ["minilm-l6"],
    }
    digests = {
        row.point.digest() for key, values in changes.items() for row in expand(study(vary={key: values})) if row.point
    }
    assert len(digests | {base.digest()}) == len(changes) + 1


def changed(**changes: Any) -> Callable[[Path], object]:
    """What writes other values into the objects of a JSON file."""

    def change(file: Path) -> None:
        content = json.loads(file.read_text())
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(value, dict) else value
        file.write_text(json.dumps(content))

    return change


def looped(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def in_the_way(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def put(file: Path) -> None:
        file.unlink()
        make(file)

    return put


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_text(""),
    "no solution": lambda file: file.write_text("{}"),
    "cut short": lambda file: file.write_text(file.read_text()[:-40]),
    "better figures": changed(metrics={"energy_pj": -5, "latency_ns": -5}),
    "other seed": changed(seed=7),
    "other strategy": changed(strategy="linear"),
    "other type": changed(metrics={"energy_pj": "5"}),
    "missing": changed(metrics={}, bounds={"latency": {}}),
    "loop": looped,
    "folder": in_the_way(Path.mkdir),
    "pipe": in_the_way(os.mkfifo),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_told_and_solved_again(cli: Cli, solved: list[Point], damage: str) -> None:
    first = points(cli(*RUN, *ADCS, "--json"))
    files = list(Path("results/cache").glob("*.json"))
    for file in files:
        DAMAGES[damage](file)
    result = cli(*RUN, *ADCS, "--json")
    assert result.code == 0
    assert [row["metrics"] for row in points(result)] == [row["metrics"] for row in first]
    assert not any(row["kept"] for row in points(result))
    assert len(solved) == 4
    told = [line for line in result.err.splitlines() if "done again" in line]
    assert sorted(name.name for name in files) == sorted(re.findall(r"\w+\.json", "".join(told)))
    if damage not in ("folder", "pipe"):  # nothing of the user's is removed
        assert cli(*RUN, *ADCS, "--json").err == ""
        assert len(solved) == 4


def test_a_changed_reason_is_told_and_solved_again(cli: Cli, solved: list[Point]) -> None:
    words = [*RUN, "--vary", "max_latency_ns=1,null"]
    cli(*words)
    (file,) = Path("results/cache").glob("infeasible-*.json")
    changed(reason="there is none")(file)
    assert file.name in cli(*words).err
    assert len(solved) == 3


def test_a_result_under_a_wrong_name_is_solved_again(cli: Cli, solved: list[Point]) -> None:
    cli(*RUN, *ADCS)
    one, other = sorted(Path("results/cache").glob("*.json"))
    one.write_bytes(other.read_bytes())
    cli(*RUN, *ADCS)
    assert len(solved) == 3


def test_points_that_fail_are_rows_with_a_reason(cli: Cli) -> None:
    result = cli(
        *RUN, "--vary", "adc.per_array=4,512", "--vary", "max_arrays=1,null", "--set", "array.rows=16", "--json"
    )
    assert result.code == 0
    states = [(row["state"], row["values"]["adc.per_array"], row["values"]["max_arrays"]) for row in points(result)]
    assert states == [("solved", 4, 1), ("solved", 4, None), ("refused", 512, 1), ("refused", 512, None)]
    assert "expected at most array.cols = 256" in points(result)[2]["reason"]
    small = cli(*RUN, "--vary", "max_arrays=1,null", "--set", "array.rows=16", "--set", "array.cols=16", "--json")
    assert [row["state"] for row in points(small)] == ["infeasible", "solved"]
    assert "arrays are short" in points(small)[0]["reason"]


def test_from_python(solved: list[Point]) -> None:
    study = {
        "format": "cimsolve-study/1",
        "hw": "paper256",
        "model": "tiny.json",
        "strategy": "spread",
        "vary": {"adc.per_array": [4, 512], "max_latency_ns": [None, 1]},
    }
    found = cimsolve.sweep_study(study, cache="kept")
    assert [point.state for point in found] == ["solved", "infeasible", "refused", "refused"]
    own = cimsolve.map_model("tiny.json", "paper256", strategy="spread").header
    assert found[0].values == {"adc.per_array": 4, "max_latency_ns": None}
    assert found[0].metrics["arrays"] == own.metrics["arrays"]
    assert found[0].bounds["arrays"] == own.bounds["arrays"].lower
    assert found[1].reason.startswith("spread: latency_ns is short")
    Path("study.json").write_text(json.dumps(study))
    assert cimsolve.sweep_study("study.json", cache="kept") == found
    assert len(solved) == 2


def test_infeasible_points_are_kept_too(cli: Cli, solved: list[Point]) -> None:
    words = [*RUN, "--vary", "max_arrays=1,null", "--set", "array.rows=16", "--set", "array.cols=16"]
    for _ in range(2):
        assert cli(*words).code == 0
    assert len(solved) == 2


def test_no_solved_point_is_exit_1(cli: Cli) -> None:
    result = cli(*RUN, "--vary", "max_latency_ns=1,2", "--json")
    assert result.code == 1
    assert {row["state"] for row in points(result)} == {"infeasible"}


def test_limits_may_have_a_unit_as_the_options_have(cli: Cli) -> None:
    varied = ["--vary", "max_latency_ns=2e-3us,2,1ms,null", "--vary", "max_energy_pj=0.5uJ,0.25"]
    rows = points(cli(*RUN, *varied, "--json"))
    limits = [tuple(row["values"].values()) for row in rows]
    assert limits == [(time, energy) for time in (2, 2, 1000000, None) for energy in (500000, 0.25)]
    assert rows[0]["digest"] == rows[2]["digest"]
    assert [row["state"] for row in rows][4:6] == ["solved", "infeasible"]


def test_a_bad_answer_is_a_failed_row_and_not_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from cimsolve.judge.check import CheckReport, Violation
    from cimsolve.study.sweep import point

    def wrong(problem: Any, strategy: str, search: Any) -> Any:
        return None, CheckReport((Violation("P1", "a hole"),))

    monkeypatch.setattr(point, "solve_and_check", wrong)
    result = cli(*RUN, *ADCS, "--json")
    assert result.code == 1
    assert [row["reason"] for row in points(result)] == ["breaks P1: a hole"] * 2
    assert not list(Path("results").rglob("*.json"))


def test_the_front_is_what_no_other_beats(cli: Cli) -> None:
    axes = ["--strategy", "linear,sparsemap,densemap,spread", "--vary", "adc.per_array=2,4,8"]
    result = cli(*GRID, "--jobs", "1", *axes, "--front", "latency,area", "--json")
    rows = points(result)
    key = [(row["metrics"]["latency_ns"], row["metrics"]["area_mm2"]) for row in rows]
    for row, mine in zip(rows, key, strict=True):
        beaten = any(other[0] <= mine[0] and other[1] <= mine[1] and other != mine for other in key)
        assert row["on_front"] == (not beaten)
    assert 1 < sum(row["on_front"] for row in rows) < len(rows)


def test_groups_have_fronts_of_their_own() -> None:
    assert on_front(["a", "a", "b", "b", "b"], [(1, 2), (2, 2), (9, 9), None, (9, 9)]) == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_models_are_not_compared_with_each_other(cli: Cli) -> None:
    Path("other.json").write_text(json.dumps({**TINY, "steps": TINY["steps"][:1]}))  # type: ignore[index]
    rows = points(cli(*RUN, "--vary", "model=tiny.json,other.json", "--json"))
    assert [row["on_front"] for row in rows] == [True, True]


def test_a_study_file_says_the_same_as_options(cli: Cli) -> None:
    Path("study.json").write_text(
        json.dumps(
            {
                "format": "cimsolve-study/1",
                "hw": "paper256",
                "model": "tiny.json",
                "strategy": "spread",
                "set": {"array.rows": 32},
                "vary": {"adc.per_array": [2, 4], "structure": ["dense", "4,4,1"]},
            }
        )
    )
    by_file = points(cli("sweep", "study.json", "--jobs", "1", "--json"))
    options = [*ADCS, "--set", "array.rows=32", "--vary", "structure=dense;4,4,1"]
    by_options = points(cli(*RUN, *options, "--json"))
    assert [row["digest"] for row in by_file] == [row["digest"] for row in by_options]
    assert all(row["kept"] for row in by_options)


def test_forms_of_the_table_agree(cli: Cli) -> None:
    rows = points(cli(*RUN, *ADCS, "--json"))
    table = list(csv.DictReader(io.StringIO(cli(*RUN, *ADCS, "--format", "csv").out)))
    exact = [row["metrics"]["latency_ns"] for row in rows]
    assert [float(row["latency_ns"]) for row in table] == pytest.approx(exact, rel=5e-4)
    assert [row["digest"] for row in table] == [row["digest"] for row in rows]
    lines = cli(*RUN, *ADCS, "--format", "markdown").out.splitlines()
    assert lines[0].startswith("| adc.per_array | arrays | token us |")
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1
    shown = cli(*RUN, *ADCS).out
    assert "Sweep: 2 points, 2 solved" in shown
    assert shlex.join(["cimsolve", *RUN[:1]]) in shown


def test_a_narrow_terminal_crops_no_number(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    words = [*RUN, *ADCS, "--vary", "cut=none,columns", "--vary", "array.rows=32,64"]
    lines = [line.split() for line in cli(*words).out.splitlines()]
    cells = [line.split("|")[1:-1] for line in cli(*words, "--format", "markdown").out.splitlines()[2:]]
    for row in cells:
        assert [cell.strip() for cell in row if cell.strip()] in lines


def test_the_printed_command_gives_the_same_again(cli: Cli, solved: list[Point]) -> None:
    words = [*RUN, "--vary", "structure=4,4,1;", *ADCS, "--max-latency", "1ms", "--front", "area,latency"]
    said = json.loads(cli(*words, "--json").out)
    again = json.loads(cli(*shlex.split(said["command"])[1:], "--json").out)
    assert [row["digest"] for row in again["points"]] == [row["digest"] for row in said["points"]]
    assert again["command"] == said["command"]
    assert len(solved) == 2


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_front_is_drawn(cli: Cli, ending: str) -> None:
    name = f"front.{ending}"
    said = cli(*RUN, *ADCS, "--plot", name)
    assert said.code == 0
    assert f"those on the front filled: {name}" in said.out
    assert f"--plot {name}" in said.out.partition("The same again")[2]
    first = Path(name).read_bytes()
    assert first.startswith({"svg": b"<?xml", "png": b"\x89PNG"}[ending])
    assert cli(*RUN, *ADCS, "--plot", name).code == 0
    assert Path(name).read_bytes() == first
    assert not list(Path().glob(".*.tmp"))
    assert "filled" not in cli(*RUN, *ADCS).out
    assert json.loads(cli(*RUN, *ADCS, "--plot", name, "--json").out)["plot"] == name


def test_a_figure_is_drawn_along_a_key_with_its_bounds(cli: Cli) -> None:
    asked = [*RUN, *ADCS, "--plot", "curve.svg", "--along", "adc.per_array", "--front", "latency"]
    said = cli(*asked)
    assert said.code == 0
    assert "drawn by latency along adc.per_array, its bounds hollow: curve.svg" in said.out
    drawn = Path("curve.svg").read_text()
    for text in ("adc.per_array", "token latency", "no answer is below"):
        assert text in drawn
    refused = cli(*RUN, "--vary", "structure=dense;sqrt", "--plot", "curve.svg", "--along", "structure")
    assert refused.code == 2
    assert "--along structure: 'dense' is no number" in refused.err


MANY = "array.rows=" + ",".join(map(str, range(1, 10_002)))


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["sweep"], ["--vary: nothing is varied", "adc.per_array=4,8,16"]),
        (["sweep", "--vary", "adc.per_aray=4"], ["no such key; did you mean adc.per_array?"]),
        (["sweep", "--vary", "strateg=spread"], ["vary strateg: there is no such key; did you mean strategy?"]),
        (["sweep", "--vary", "strategy=spred"], ['"spred": there is none of that name; did you mean spread?']),
        (["sweep", "--vary", "objective=latnecy"], ["did you mean latency?"]),
        (["sweep", "--vary", "cut=rows"], ["cut", '"rows"', "'none', 'columns' or 'both'"]),
        (["sweep", "--vary", "tokens=4,x"], ["tokens", '"x"', "whole number"]),
        (["sweep", "--vary", "max_latency_ns=30uJ"], ["--vary max_latency_ns: '30uJ': expected a number", "60us"]),
        (["sweep", "--vary", "max_energy_pj=0"], ["--vary max_energy_pj: '0': expected a number above 0"]),
        (["sweep", "--vary", "structure=sqr"], ["structure 'sqr'"]),
        (["sweep", "--vary", "hw=rram257"], ["rram257: there is no such hardware spec; did you mean rram256?"]),
        (["sweep", "--vary", "model=tiny.json,bert"], ["bert: there is no such model"]),
        (["sweep", "--vary", "adc.per_array"], ["expected KEY=V1,V2,..."]),
        (["sweep", "--vary", "adc.per_array=4,,8"], ["expected KEY=V1,V2,..."]),
        (["sweep", "--vary", "adc.per_array=4,4"], ["expected each value once"]),
        (["sweep", "--vary", "adc.per_array=4", "--vary", "adc.per_array=8"], ["is given twice"]),
        (["sweep", "--vary", "array.rows+array.rows=4"], ["array.rows is given twice"]),
        (["sweep", "--vary", "array.rows=4", "--set", "array.rows=8"], ["array.rows is given twice"]),
        (["sweep", "--vary", "array.rows=0"], ["array.rows = 0", "at least 1"]),
        (["sweep", "--vary", MANY, "--vary", "seed=1,2"], ["20002 points: expected at most 20000"]),
        (["sweep", "nosuch.json"], ["nosuch.json: there is no such file"]),
        (["sweep", "study.json", "--hw", "pcm256"], ["--hw: study.json states the whole question"]),
        (["sweep", "study.json", "--vary", "seed=1"], ["--vary: study.json states the whole question"]),
        (["sweep", "--vary", "seed=1", "--plot", "a.bmp"], ["--plot a.bmp", ".svg, .png, .pdf"]),
        (["sweep", "--vary", "seed=1", "--plot", "a.svg", "--front", "latency"], ["needs two names in --front"]),
        (["sweep", "--vary", "seed=1", "--along", "seed"], ["--along: is of a drawing"]),
        (["sweep", "--vary", "seed=1", "--plot", "a.svg", "--along", "tokens"], ["--along tokens: expected one of"]),
        (["sweep", "--vary", "seed=1", "--cache", "tiny.json"], ["--cache tiny.json: is a file: expected a folder"]),
        (["sweep", "--vary", "seed=1", "--jobs", "0"], ["--jobs: '0'"]),
        (["sweep", "--vary", "seed=1", "--format", "cvs"], ["expected one of table, markdown", "did you mean csv?"]),
    ],
)  # fmt: skip
def test_usage_errors_are_one_line_and_exit_2(cli: Cli, argv: list[str], parts: list[str]) -> None:
    result = cli(*argv)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ({"vary": {}, "modle": "x"}, ["modle", "did you mean model?"]),
        ({"format": "cimsolve-study/2"}, ["format", "cimsolve-study/1"]),
        ({"vary": {"tokens": []}}, ["vary.tokens", "at least 1"]),
        ({"vary": {"tokens": 5}}, ["vary.tokens", "a list"]),
        ({"max_arrays": 0}, ["max_arrays = 0", "at least 1"]),
        ({"max_latency_ns": "60us"}, ["max_latency_ns", "a number"]),
    ],
)
def test_bad_study_files(data: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_study({"format": "cimsolve-study/1", **data}, "study.json")
    for part in ("study.json: ", *parts):
        assert part in str(caught.value)
