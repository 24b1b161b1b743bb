"""A file of one kind in the place of another is called by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cimsolve.errors import InputError
from cimsolve.files.kinds import demand_kind, kind_of
from makers.builders import linears, step
from makers.command_line import Cli
from makers.hardware_specs import spec

CONTENTS = {
    "solution.json": {"format": "cimsolve-solution/1", "model_name": "tiny", "hw": {}},
    "spec.json": spec("paper256"),
    "model.json": linears(step("a", (16, 16))),
    "study.json": {"format": "cimsolve-study/1", "vary": {"seed": [1, 2]}},
    "kept.json": {"format": "cimsolve-infeasible/1", "digest": "0"},
    "sweep.json": {"format": "cimsolve-sweep/1", "points": []},
    "trace.json": {"traceEvents": []},
}
KINDS = {
    "solution.json": "a solution",
    "spec.json": "a hardware spec",
    "model.json": "a model config",
    "study.json": "a study",
    "kept.json": "what `cimsolve sweep` keeps of a question without an answer",
    "sweep.json": "what `cimsolve ... --json` prints",
    "trace.json": "a trace of a schedule",
}
COMMANDS = [
    (["--model", "model.json", "--hw"], "a hardware spec"),
    (["--hw", "spec.json", "--model"], "a model config"),
    (["--hw", "spec.json", "--model", "model.json", "--start"], "a solution"),
    (["sweep"], "a study"),
    (["hw", "check"], "a hardware spec"),
    (["hw", "new", "--out", "new.json", "--like"], "a hardware spec"),
    *(([command], "a solution") for command in ("check", "replay", "simulate", "report", "explain")),
]


@pytest.fixture(autouse=True)
def _in_a_folder_with_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in CONTENTS.items():
        Path(name).write_text(json.dumps(content))


@pytest.mark.parametrize(("argv", "expected"), COMMANDS, ids=str)
def test_a_file_of_another_kind_is_called_by_its_kind(cli: Cli, argv: list[str], expected: str) -> None:
    for name, kind in KINDS.items():
        if kind == expected:
            continue
        result = cli(*argv, name)
        assert (result.code, result.out) == (2, "")
        assert f"error: {name}: this is {kind}; expected {expected}" in result.err.replace("--start ", "")
        assert result.err.count("\n") == 1


def test_what_is_of_no_kind_is_left_to_its_reader() -> None:
    for data in ([], 3, None, {}, {"format": "other/1"}, {"format": 3}, {"model_type": 3}):
        assert kind_of(data) is None
        demand_kind(data, "a study", "x.json")


def test_versions_are_left_to_the_reader_too() -> None:
    demand_kind({"format": "cimsolve-study/9"}, "a study", "x.json")
    with pytest.raises(InputError, match=r"x.json: this is a solution; expected a study"):
        demand_kind({"format": "cimsolve-solution/9"}, "a study", "x.json")
