"""The trace of a schedule, and `cimsolve report`: what is written, and what is refused."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

import cimsolve
from cimsolve.__main__ import main
from cimsolve.errors import CheckError, InputError
from cimsolve.problem.solution import Solution, write_solution
from cimsolve.show import page
from cimsolve.show.seen.judged import Judged
from cimsolve.show.text.drawn import print_drawn
from makers.builders import with_header
from makers.drawn_solutions import minilm_spread, tiny_solution


@pytest.fixture
def solution() -> Solution:
    return tiny_solution()


@pytest.fixture(scope="module")
def minilm() -> Judged:
    return minilm_spread()


# The trace


def test_a_trace_by_hand(solution: Solution, tmp_path: Path) -> None:
    assert page.write_trace(solution, tmp_path / "trace.json") == []
    trace = json.loads((tmp_path / "trace.json").read_text())
    told = [
        (event["pid"], event["tid"], event["name"], event["ts"], event["dur"])
        for event in trace["traceEvents"]
        if event["ph"] == "X"
    ]
    assert told == [
        (1, 1, "a", 0, 0.014),
        (1, 0, "gap before b", 0.014, 0.002),
        (1, 1, "b", 0.016, 0.01),
        (1, 0, "end of pass", 0.026, 0.002),
        (2, 0, "a", 0, 0.014),
        (2, 0, "b", 0.016, 0.01),
        (2, 1, "b", 0.016, 0.01),
    ]
    names = [(e["pid"], e["tid"], e["args"]["name"]) for e in trace["traceEvents"] if e["name"] == "thread_name"]
    assert names == [
        (1, 0, "gaps: digital units and interconnect"),
        (1, 1, "stages"),
        (2, 0, "array 0"),
        (2, 1, "array 1"),
    ]


def test_events_of_one_track_never_overlap(tmp_path: Path) -> None:
    # The encoder-decoder: two passes, and a branch that runs beside others.
    found = cimsolve.map_model("bart-large", "paper256", strategy="spread")
    cimsolve.write_trace(found, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "X":
            tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    assert len(tracks) > 2
    for track in tracks.values():
        track.sort()
        assert track[0][0] >= 0
        assert all(end <= start + 1e-9 for (_, end), (start, _) in itertools.pairwise(track))
    firings = sum(event["args"]["firings"] for event in events if event.get("cat") == "array")
    assert firings == found.header.metrics["activations"]


def test_a_trace_says_what_it_leaves_out(minilm: Judged, tmp_path: Path) -> None:
    (note,) = page.write_trace(minilm, tmp_path / "trace.json", events_max=100)
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert re.fullmatch(
        r"spread: \d+ of 11 arrays are in the trace, evenly spaced, as it is limited to 100 events", note
    )
    assert trace["otherData"]["limits"] == [note]
    assert sum(event.get("cat") == "array" for event in trace["traceEvents"]) <= 100


# The command


@pytest.fixture
def file(solution: Solution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_solution(solution, Path("tiny.json"))
    return "tiny.json"


def test_the_page_is_the_default(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", file]) == 0
    assert re.fullmatch(r"written:\n  report\.html \(\d+ kB\)\n", capsys.readouterr().out)
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_many_files_of_a_folder_are_told_by_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path(f"pictures/{number}.svg") for number in range(13)]
    Path("pictures").mkdir()
    for path in (*files, Path("t.json")):
        path.write_bytes(bytes(2000))
    print_drawn([*files, Path("t.json")], [])
    assert capsys.readouterr().out == "written:\n  pictures/: 13 files (26 kB)\n  t.json (2 kB)\n"
    print_drawn(files[1:], [])
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {path} (2 kB)" for path in files[1:]]


def test_only_what_is_asked_for_is_written(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", file, "--trace", "t.json", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert {path.name for path in Path().iterdir()} == {"tiny.json", "t.json"}


def test_nothing_is_written_where_one_fails_its_check(
    file: str, solution: Solution, capsys: pytest.CaptureFixture[str]
) -> None:
    liar = with_header(solution, metrics={**solution.header.metrics, "energy_pj": 1.0})
    write_solution(liar, Path("liar.json"))
    assert main(["report", file, "liar.json", "--figures", "f", "--out", "page.html"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("cimsolve: error: liar.json: fails its check, nothing was drawn: metrics: ")
    assert said.err.count("\n") == 1
    assert {path.name for path in Path().iterdir()} == {"tiny.json", "liar.json"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.json"], "missing.json: there is no such file"),
        (["tiny.json", "--format", "gif"], "'gif': there is no such format"),
        (["tiny.json", "--format", "svg"], "--format: is of the charts; expected --figures FOLDER with it"),
        (["tiny.json", "--out", "no/where.html"], "no/where.html: there is no folder no"),
        (["tiny.json", "--width", "3.5in"], "--width: is of drawings; expected --figures FOLDER with it"),
        (["tiny.json", "--figures", "f", "--width", "3.5"], "--width: '3.5': expected a width in in, cm or mm, from"),
        (["tiny.json", "--figures", "f", "--width", "1m"], "such as 3.5in or 89mm"),
        (["tiny.json", "--figures", "f", "--dpi", "0"], "--dpi: '0': expected a whole number from 50 to 1200"),
        (["tiny.json", "--figures", "tiny.json"], "--figures tiny.json: is a file: expected a folder"),
        ([], "the following arguments are required: FILE"),
    ],
)
@pytest.mark.usefixtures("file")
def test_what_cannot_be_used_is_told_in_one_line(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr()
    assert part in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_without_the_libraries_the_extra_is_named(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else object())
    with pytest.raises(InputError, match=r"drawing needs matplotlib; install it by: pip install 'cimsolve\[plot\]'"):
        cimsolve.write_report(file, "page.html")
    cimsolve.write_trace(file, "trace.json")  # needs none of them


def test_the_api_refuses_what_it_cannot_draw(solution: Solution, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no solution to show"):
        cimsolve.write_report([], tmp_path / "x.html")
    with pytest.raises(InputError, match="format 'gif'"):
        cimsolve.write_figures(solution, tmp_path, ("gif",))
    with pytest.raises(CheckError, match="by hand: fails its check"):
        cimsolve.write_trace(with_header(solution, status="optimal"), tmp_path / "x.json")
