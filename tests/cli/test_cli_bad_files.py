"""Files and questions that cannot be used: one line, exit code 2, nothing written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Answer, Effort
from makers.command_line import Cli
from makers.tiny_runs import ONE, TINY_RUN, answer_with, hardware_file, refused

pytestmark = pytest.mark.usefixtures("tiny_folder")


@pytest.mark.parametrize("model", ["missing.json", "bert-lage", "", "a\nb", "x" * 5000])
def test_unknown_models(cli: Cli, model: str) -> None:
    refused(cli("--model", model), 2, "there is no such model")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b'{"model_type": "linears"', "cut short"),
        (b"not json", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[1]", "expected a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"model_type": "rwkv"}', "'rwkv': expected a family"),
        (b'{"model_type": "bert"}', "hidden_size is missing"),
        (b'{"model_type": "bert", "hidden_size": NaN}', "NaN"),
        (b"{}", "model_type"),
    ],
)
def test_bad_model_files(cli: Cli, content: bytes, part: str) -> None:
    Path("bad.json").write_bytes(content)
    refused(cli("--model", "bad.json"), 2, "bad.json", part)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"array__rows": 0}, "array.rows = 0"),
        ({"array__rows": -1}, "array.rows = -1"),
        ({"array__rows": 2**40}, "array.rows"),
        ({"array__rows": "256"}, "array.rows"),
        ({"adc__tabel": 1}, "adc.tabel"),
        ({"clock_ns": 0}, "clock_ns"),
    ],
)
def test_bad_hardware_files(cli: Cli, changes: dict[str, Any], part: str) -> None:
    refused(cli("--model", "tiny.json", "--hw", hardware_file(**changes)), 2, "chip.json", part)


@pytest.mark.parametrize(
    ("content", "part"), [(b"", "empty"), (b'{"format": 1', "cut short"), (b"{}", "missing"), (b"3", "3")]
)
def test_broken_hardware_files(cli: Cli, content: bytes, part: str) -> None:
    Path("bad.json").write_bytes(content)
    refused(cli("--hw", "bad.json"), 2, "bad.json", part)


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--hw", "rram265"], ["rram265", "did you mean rram256?"]),
        (["--set", "array.row=3"], ["array.row: the spec has no such key", "did you mean"]),
        (["--set", "array.rows=-3"], ["array.rows", "-3"]),
        (["--set", "array.rows=big"], ["array.rows", "big"]),
        (["--adcs", "100000"], ["adc.per_array"]),
        (["--structure", "3,3,1"], ["k = 3 does not divide n_in = 16", "2 and 4"]),
        (["--structure", "sqr"], ["'sqr': expected dense"]),
        (["--structure", "nothing*=dense"], ["matches no linear"]),
        (["--tokens", "17"], ["17 is more than the model's context of 16"]),
        (["--out", "tiny.json"], ["--out tiny.json", "is a file: expected a folder"]),
        (["--out", "tiny.json/deeper"], ["is a file: expected a folder"]),
        (["--out", "a\0b"], ["--out"]),
    ],
)
def test_bad_questions(cli: Cli, argv: list[str], parts: list[str]) -> None:
    refused(cli("--model", "tiny.json", *argv), 2, *parts)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(cli: Cli) -> None:
    Path("locked").mkdir(mode=0o500)
    refused(cli("--model", "tiny.json", "--out", "locked/in"), 2, "cannot be written to")


def test_out_of_memory_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(problem: Problem, search: Effort) -> Answer:
        raise MemoryError

    answer_with(monkeypatch, "spread", fail)
    refused(cli(*TINY_RUN, *ONE, "-q"), 1, "out of memory")
