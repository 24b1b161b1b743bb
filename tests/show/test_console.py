"""The terminal itself: what is written to it as it stands, and what moves on it while a run lasts."""

from __future__ import annotations

import io
import json
import math
import time

import pytest

from cimsolve.show.text import console, progress
from cimsolve.show.text.progress import Progress, describe_value
from cimsolve.show.text.sheet import Column, Sheet, markdown, print_csv, print_text
from cimsolve.solve.effort import Event


def test_numbers_that_json_lacks_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": math.inf, "b": [math.nan, 1, "x"], "c": {"d": -math.inf}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1, "x"], "c": {"d": None}}


def test_markup_in_names_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.heading("[bold]x[/bold] :smile:", first=True)
    console.print_table(["a"], [["[red]y"]])
    console.labelled([("[i]", "[/i]")])
    out = capsys.readouterr().out
    for part in ("[bold]x[/bold] :smile:", "[red]y", "[i]", "[/i]"):
        assert part in out


def test_controls_in_names_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[31mx\x9b\u202e\x07"
    console.heading(evil, first=True)
    console.print_table([""], [[evil], [console.bad(evil)]])
    console.labelled([(evil, evil)])
    console.indented(console.good(evil))
    console.verbatim(evil)
    console.say(evil)
    console.print_json({evil: evil})
    sheet = Sheet([Column("a", "a")], [[evil]])
    print_csv(sheet)
    print_text(markdown(sheet))
    said = "".join(capsys.readouterr())
    assert said.count("x1b[31mx") == 10
    assert [each for each in said if not each.isprintable() and each != "\n"] == []


@pytest.mark.parametrize("none", ["0", "00"])
def test_a_terminal_without_columns_is_one_that_does_not_say(
    none: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        console.print_table(["a", "b"], [["x" * 30, "1"]])
        console.indented("word " * 40)
        return capsys.readouterr().out

    monkeypatch.delenv("COLUMNS", raising=False)
    usual = shown()
    monkeypatch.setenv("COLUMNS", none)
    assert shown() == usual


def test_a_broken_pipe_is_raised_not_swallowed() -> None:
    with pytest.raises(BrokenPipeError):
        console.results().on_broken_pipe()


# Progress


def test_progress_remembers_values_and_shows_the_gap() -> None:
    event = Event("dealing", "latency_cycles", 75_020, 62_000)
    assert describe_value(event, 1.0) == "token latency 75.02 us (bound 62 us, gap 21.0%)"
    assert describe_value(event._replace(metric="latency"), 2.0).startswith("token latency 150.0 us")
    assert describe_value(Event("x", "arrays", 11), 1.0) == "arrays 11"
    assert describe_value(Event("x", "nodes", 7, 7), 1.0) == "nodes 7 (bound 7, gap 0%)"
    assert describe_value(Event("x"), 1.0) == ""


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(True) as silent:
        silent.begin("task")
        silent.listen(Event("phase", "arrays", 3))
        silent.count(1, 2)
        silent.finish("done")
    assert capsys.readouterr() == ("", "")


def test_long_work_tells_of_itself_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.01)
    monkeypatch.setattr(progress, "LINES_S", 0.01)
    for shown in (True, False):
        with Progress(shown) as running:
            running.begin("[1/1] spread: mapping")
            running.listen(Event("packing", "arrays", 11))
            time.sleep(0.2)
        said = capsys.readouterr()
        assert said.out == ""
        lines = said.err.splitlines()
        assert len(lines) > 2 if shown else not lines
        assert all(line.startswith("cimsolve: [1/1] spread: mapping") and line.endswith(" s)") for line in lines)


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "REFRESH_S", 0.0)
    with Progress(True) as live:
        assert live._status is not None
        live.begin("[1/1] spread: mapping")
        live.listen(Event("packing", "arrays", 11, 11))
        live.listen(Event("dealing"))
        assert live._status.status == "[1/1] spread: mapping: dealing, arrays 11 (bound 11, gap 0%) (0 s)"
        live.begin("[1/1] spread: simulating")
        live.count(3, 4)
        assert live._status.status == "[1/1] spread: simulating: 3 of 4 (0 s)"
        live.finish("spread: 11 arrays")
    assert "spread: 11 arrays" in terminal.getvalue()
