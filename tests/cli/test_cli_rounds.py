"""`--when-short rounds` and `chips` by the command line: answers, their files, refusals and what they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from makers.builders import chip
from makers.command_line import Cli, assert_refused
from makers.short_chips import writing
from makers.tiny_configs import BERT

RUN = ["--hw", "chip.json", "--model", "tiny.json", "--structure", "dense", "--strategy", "linear"]
ROUNDS = [*RUN, "--when-short", "rounds"]
CHIPS = [*RUN, "--when-short", "chips"]


@pytest.fixture(autouse=True)
def _a_short_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    Path("tiny.json").write_text(json.dumps({**BERT, "num_hidden_layers": 1}))
    Path("chip.json").write_text(json.dumps(writing(chip(array__count=16))))
    Path("mute.json").write_text(json.dumps(chip(array__count=16)))


def _file(way: str = "rounds") -> Path:
    return next(path for path in Path("results").iterdir() if path.name.endswith(f"-{way}.json"))


def test_an_answer_is_printed_written_and_judged(cli: Cli) -> None:
    result = cli(*ROUNDS)
    assert result.code == 0
    assert "in rounds" in result.out
    assert "tokens/s one by one" in " ".join(result.out.split())
    content = json.loads(_file().read_text())
    assert len(content["runs"]) > 1
    judged = cli(
        "check",
        str(_file()),
        *(str(Path("results", run["file"])) for run in content["runs"] if "file" in run),
        "--json",
    )
    assert judged.code == 0
    assert all(each["passed"] for each in json.loads(judged.out)["files"].values())


def test_chips_in_a_row_are_printed_written_and_judged(cli: Cli) -> None:
    result = cli(*CHIPS)
    assert result.code == 0
    assert "on chips in a row" in result.out
    content = json.loads(_file("chips").read_text())
    assert content["metrics"]["chips"] == len(content["runs"]) > 1
    judged = cli("check", str(_file("chips")), "--json")
    assert judged.code == 0
    assert next(iter(json.loads(judged.out)["files"].values()))["chips"] == len(content["runs"])


def test_more_chips_than_needed_are_used_where_they_gain(cli: Cli) -> None:
    fewest = json.loads(cli(*CHIPS, "--json").out)["answers"][0]
    more = ["--chips", "7", "--strategy", "optimal", "--objective", "throughput", "--json"]
    many = json.loads(cli(*CHIPS[:6], *CHIPS[8:], *more).out)["answers"][0]
    assert many["chips"] == 7
    chips, intervals = ([each["metrics"][name] for each in (fewest, many)] for name in ("chips", "ii_cycles"))
    assert (chips[0] < chips[1] <= 7) == (intervals[1] < intervals[0])


def test_json_has_all_figures(cli: Cli) -> None:
    result = cli(*ROUNDS, "--json", "--batch", "3")
    answer = json.loads(result.out)["answers"][0]
    assert answer["passed"]
    assert answer["batch"] == answer["metrics"]["batch"] == 3
    assert answer["files"][0] == str(_file())


def test_a_lie_fails_the_check(cli: Cli) -> None:
    cli(*ROUNDS)
    content = json.loads(_file().read_text())
    content["metrics"]["latency_ns"] *= 0.5
    _file().write_text(json.dumps(content))
    result = cli("check", str(_file()))
    assert result.code == 1
    assert "latency_ns" in result.out


@pytest.mark.parametrize("way", ["rounds", "chips"])
def test_figures_of_a_broken_answer_are_not_repeated(cli: Cli, way: str) -> None:
    cli(*RUN, "--when-short", way)
    content = json.loads(_file(way).read_text())
    content["runs"] = content["runs"][:-1]
    content["metrics"] = {"latency_ns": 7654321.0}
    _file(way).write_text(json.dumps(content))
    result = cli("check", str(_file(way)), "--json")
    verdict = next(iter(json.loads(result.out)["files"].values()))
    assert (result.code, verdict["passed"], verdict["metrics"], verdict["bounds"]) == (1, False, None, None)
    assert "tokens/s" not in cli("check", str(_file(way))).out


def test_quiet_has_the_answer_alone(cli: Cli) -> None:
    lines = cli(*ROUNDS, "-q").out.splitlines()
    assert "tokens/s" in " ".join(lines)
    assert len(lines) < 10


def test_a_missing_run_is_named(cli: Cli) -> None:
    cli(*ROUNDS)
    run = json.loads(_file().read_text())["runs"][0]["file"]
    Path("results", run).unlink()
    assert_refused(cli("check", str(_file())), 2, run)


def test_a_refusal_names_what_may_do(cli: Cli) -> None:
    assert_refused(cli(*RUN, "-q"), 1, "arrays are short", "rounds", "such chips", "--structure lowrank:")


def test_a_model_that_fits_is_mapped_as_ever(cli: Cli) -> None:
    result = cli(*ROUNDS, "--set", "array.count=64")
    assert result.code == 0
    assert "in rounds" not in result.out


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        ([*RUN, "--batch", "3"], 2, ["--batch", "--when-short rounds"]),
        ([*RUN, "--chips", "3"], 2, ["--chips", "--when-short chips"]),
        ([*ROUNDS, "--chips", "3"], 2, ["--chips", "--when-short chips"]),
        ([*CHIPS, "--chips", "1"], 1, ["at most 1 runs", "fewer than 2"]),
        ([*CHIPS, "--max-latency", "60us"], 2, ["--max-latency", "chips"]),
        ([*CHIPS, "--hw", "mute.json"], 2, ["chip_link is missing"]),
        ([*ROUNDS, "--max-latency", "60us"], 2, ["--max-latency", "rounds"]),
        ([*RUN, "--when-short", "later"], 2, ["--when-short"]),
        ([*ROUNDS, "--hw", "mute.json"], 2, ["write is missing"]),
        ([*RUN, "--steps", "3:2"], 2, ["steps = 3:2"]),
        ([*RUN, "--steps", "x"], 2, ["steps"]),
        ([*ROUNDS, "--set", "array.count=2"], 1, ["layer0.feed_forward_down.0 alone on 2 arrays", "--structure"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(cli: Cli, words: list[str], code: int, parts: list[str]) -> None:
    if "mute.json" in words:
        words = [word for word in words if word != "chip.json"]
        words.remove("--hw")
    assert_refused(cli(*words), code, *parts)


def test_a_part_of_a_model_is_mapped(cli: Cli) -> None:
    result = cli(*RUN, "--steps", "1:3")
    assert result.code == 0
    header = json.loads(next(Path("results").glob("*steps*")).read_text())
    assert header["options"]["steps"] == "1:3"
    assert cli("check", *map(str, Path("results").glob("*steps*"))).code == 0


def test_an_explanation_names_what_may_do(cli: Cli) -> None:
    result = cli("explain", *RUN)
    assert result.code == 1
    words = " ".join(result.out.split())
    assert "such chips" in words
    assert "--when-short rounds" in words
