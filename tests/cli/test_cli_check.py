"""`cimsolve check`: sound files, edits, files that are no solutions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from makers.command_line import Cli
from makers.tiny_runs import ONE, TINY_RUN

pytestmark = pytest.mark.usefixtures("tiny_folder")


@pytest.fixture
def solution(cli: Cli) -> Path:
    cli(*TINY_RUN, *ONE)
    return Path("results/tiny--paper256--spread.json")


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return str(path)


def test_check_of_a_sound_file(cli: Cli, solution: Path) -> None:
    result = cli("check", str(solution))
    assert (result.code, result.err) == (0, "")
    assert "ok (tiny on paper256 by spread" in result.out
    assert "recomputed" in result.out
    assert cli("check", "-q", str(solution)).out.count("\n") == 1
    assert "proof" in cli("check", "-v", str(solution)).out


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda c: c["metrics"].update(latency_cycles=1), "latency_cycles: 1 is claimed"),
        (lambda c: c["pieces"].update({key: [0] * 24 for key in ("array_row", "array_col")}), "P3"),
        (lambda c: c["pieces"]["rows"].__setitem__(0, 1), "P1"),
        (lambda c: c["activations"]["adc_bits"].__setitem__(0, 1), "adc_bits"),
        (lambda c: c["structure"].update({"a.query": "3,3,1"}), "does not divide"),
    ],
)
def test_check_catches_edits(cli: Cli, solution: Path, change: Callable[[Any], object], part: str) -> None:
    result = cli("check", edited(solution, change))
    assert (result.code, result.err) == (1, "")
    assert "FAILED" in result.out
    assert part in result.out


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda c: c.update(format="cimsolve-solution/9"), "/9\": expected 'cimsolve-solution/1'"),
        (lambda c: c.pop("pieces"), "pieces"),
        (lambda c: c["pieces"]["row0"].pop(), "differ in length"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c.pop("hw"), "hw"),
    ],
)
def test_check_of_files_that_are_no_solutions(
    cli: Cli, solution: Path, change: Callable[[Any], object], part: str
) -> None:
    result = cli("check", edited(solution, change))
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert part in result.err


def test_check_judges_every_file(cli: Cli, solution: Path) -> None:
    broken = Path("broken.json")
    broken.write_text(solution.read_text())
    edited(broken, lambda content: content["metrics"].update(arrays=9))
    Path("cut.json").write_text(solution.read_text()[:500])
    result = cli("check", "missing.json", "cut.json", str(broken), str(solution))
    assert result.code == 2
    assert result.err.count("\n") == 2
    assert "FAILED" in result.out
    assert ": ok" in result.out
    assert cli("check", str(broken), str(solution)).code == 1


def test_check_json(cli: Cli, solution: Path) -> None:
    result = cli("check", "--json", str(solution), "missing.json")
    found = json.loads(result.out)
    assert result.code == found["exit_code"] == 2
    good, missing = found["files"].values()
    assert good["passed"] is True
    assert good["claimed"] == good["recomputed"]
    assert missing["passed"] is None
    assert "there is no such file" in missing["error"]
