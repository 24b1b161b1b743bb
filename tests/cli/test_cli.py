"""The command line as a user meets it: in process, on small models; runs, wrong answers, streams."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cimsolve.cli.list import found_catalogue
from cimsolve.errors import InputError
from cimsolve.files.library import shipped_catalogue
from cimsolve.files.text import plain_name
from cimsolve.judge.check import CheckReport, Violation
from cimsolve.judge.simulate import SimulationReport
from cimsolve.problem.objective import OBJECTIVES
from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Answer, Effort
from cimsolve.solve.names import DEFAULT_NAMES
from cimsolve.solve.strategies import RULES, STRATEGIES
from cimsolve.study import ask as study_ask
from makers.command_line import Cli
from makers.tiny_configs import LLAMA
from makers.tiny_runs import ONE, TINY, TINY_RUN, answer_with, hardware_file, header, written

pytestmark = pytest.mark.usefixtures("tiny_folder")


# A run


def test_all_strategies_are_checked_simulated_and_written(cli: Cli) -> None:
    result = cli(*TINY_RUN)
    assert (result.code, result.err) == (0, "")
    assert written() == sorted(f"tiny--paper256--{name}.json" for name in DEFAULT_NAMES)
    for name in DEFAULT_NAMES:
        assert name in result.out
    assert "FAILED" not in result.out
    assert cli("check", *(str(path) for path in Path("results").glob("*.json"))).code == 0


def test_json_is_one_object_and_nothing_else(cli: Cli) -> None:
    result = cli(*TINY_RUN, "--json")
    assert result.err == ""
    found = json.loads(result.out)
    assert found["format"] == "cimsolve-run/1"
    assert found["exit_code"] == result.code == 0
    assert found["question"]["model"] == "tiny"
    assert list(found["strategies"]) == list(DEFAULT_NAMES)
    for name, one in found["strategies"].items():
        assert one["state"] == "solved"
        assert one["check"] == {"passed": True, "violations": [], "unverified_bounds": []} or "optimal" in name
        assert one["simulation"]["passed"] is True
        assert one["metrics"]["arrays"] >= one["bounds"]["arrays"]["lower"]
        assert one["status"] in {"optimal", "feasible"}
        assert all(Path(path).exists() for path in one["files"])
    # The search is never worse than the best rule.
    keys = {
        name: (one["metrics"]["arrays"], one["metrics"]["latency_cycles"]) for name, one in found["strategies"].items()
    }
    assert keys["optimal"] <= min(keys[name] for name in RULES if name != "linear")
    assert keys["dense-optimal"] <= keys["linear"]


def test_the_printed_command_gives_the_same_again(cli: Cli) -> None:
    first = json.loads(cli(*TINY_RUN, *ONE, "--adcs", "4", "--structure", "*.out=dense", "--json").out)
    words = shlex.split(first["command"])
    assert words[0] == "cimsolve"
    again = json.loads(cli(*words[1:], "--json").out)
    assert again["strategies"]["spread"]["metrics"] == first["strategies"]["spread"]["metrics"]
    assert again["command"] == first["command"]


@pytest.mark.parametrize(
    ("argv", "name", "key", "value"),
    [
        (["--adcs", "4"], "tiny--paper256-adcs4--spread.json", "hw.adc.per_array", 4),
        (
            ["--set", "array.rows=64", "--set", "array.cols=64"],
            "tiny--paper256-array.rows64-array.cols64--spread.json",
            "hw.array.rows",
            64,
        ),
        (["--tokens", "8"], "tiny-tokens8--paper256--spread.json", "options.tokens", 8),
        (["--max-arrays", "9"], "tiny--paper256--spread-max9.json", "options.max_arrays", 9),
        (["--max-latency", "60us"], "tiny--paper256--spread-latency60000ns.json", "options.max_latency_ns", 60000.0),
        (["--max-energy", "1.5uJ"], "tiny--paper256--spread-energy1500000pJ.json", "options.max_energy_pj", 1.5e6),
        (["--cut", "none"], "tiny--paper256--spread-cut-none.json", "options.cut", "none"),
        (
            ["--objective", "latency"],
            "tiny--paper256--spread-latency.json",
            "objective",
            ["latency"],
        ),
        (["--structure", "dense"], "tiny-dense--paper256--spread.json", "structure", {"a.query": "dense"}),
        (["--structure", "2,2,1"], "tiny-2,2,1--paper256--spread.json", "structure", {"b.out": "2,2,1"}),
        (["--seed", "7"], "tiny--paper256--spread-seed7.json", "seed", 7),
        (["--workers", "2", "--time-limit", "5.5"], "tiny--paper256--spread.json", "seed", 0),
        (["-v"], "tiny--paper256--spread.json", "strategy", "spread"),
    ],
)
def test_options_reach_the_question_and_the_file_name(
    cli: Cli, argv: list[str], name: str, key: str, value: Any
) -> None:
    result = cli(*TINY_RUN, *ONE, *argv)
    assert (result.code, result.err) == (0, "")
    assert written() == [name]
    found: Any = header(name)
    for part in key.split("."):
        found = found[part]
    if isinstance(value, dict):
        found = {name: found[name] for name in value}
    assert found == value


def test_keys_of_a_config_that_are_not_known_are_named(cli: Cli) -> None:
    Path("odd.json").write_text(json.dumps({**TINY, "sparkle": 3}))
    argv = ["--hw", "paper256", "--model", "odd.json", "--strategy", "spread", "--simulate", "none"]
    for quiet in ([], ["-q"]):
        told = cli(*argv, *quiet)
        assert told.code == 0
        assert "sparkle" in told.err
        assert told.err.count("\n") == 1
    assert json.loads(cli(*argv, "--json").out)["question"]["unknown_keys"] == ["sparkle"]
    swept = cli("compare", "--hw", "paper256", "--model", "odd.json", "--strategy", "spread", "--jobs", "1")
    assert "sparkle" in swept.err


def test_windows_are_told(cli: Cli) -> None:
    narrow = {**LLAMA, "model_type": "mistral", "max_position_embeddings": 1024, "sliding_window": 64}
    Path("narrow.json").write_text(json.dumps(narrow))
    argv = ["--hw", "paper256", "--model", "narrow.json", "--strategy", "spread", "--simulate", "none"]
    told = " ".join(cli(*argv).out.split())
    assert "attention reads 64 of 512 tokens in 2 of 2 layers (sliding_window)" in told
    assert json.loads(cli(*argv, "--json").out)["question"]["windows"] == [64, 64]
    assert "sliding_window" not in cli(*argv, "--tokens", "64").out


def test_per_linear_structures(cli: Cli) -> None:
    argv = ["--structure", "dense", "--structure", "*.query=lowrank:2"]
    assert cli(*TINY_RUN, *ONE, *argv).code == 0
    (name,) = written()
    assert header(name)["structure"] == {"a.query": "1,1,2", "a.key": "dense", "b.out": "dense"}


def test_search_options_reach_the_search(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Effort, Problem]] = []

    def look(problem: Problem, search: Effort) -> Answer:
        seen.append((search, problem))
        return RULES["spread"](problem, search)

    answer_with(monkeypatch, "spread", look)
    argv = ["--time-limit", "5.5", "--workers", "2", "--seed", "3", "--objective", "energy,area"]
    assert cli(*TINY_RUN, *ONE, *argv).code == 0
    effort, problem = seen[0]
    assert (effort.time_limit_s, effort.workers, effort.seed) == (5.5, 2, 3)
    assert problem.objective == ("energy", "area")


def test_a_weighted_sum_is_told_and_named(cli: Cli) -> None:
    """Its value, in the table and in --json, is that of the metrics in multiples of their bounds on all arrays."""
    item = "latency:0.5+energy:2"
    result = cli(*TINY_RUN, *ONE, "--objective", item)
    assert (result.code, written()) == (0, ["tiny--paper256--spread-latency=0.5+energy=2.json"])
    assert "no mapping below" in result.out
    assert f"--objective {item}" in result.out
    found = json.loads(cli(*TINY_RUN, *ONE, "--objective", item, "--json").out)
    one = found["strategies"]["spread"]
    latency, energy = (one["bounds"][name] for name in ("latency_cycles", "energy_pj"))
    expected = 0.5 * latency["value"] / latency["lower"] + 2 * energy["value"] / energy["lower"]
    assert found["question"]["objective"] == [item]
    assert one["weighted"] == {item: pytest.approx(expected)}
    assert cli("check", "results/tiny--paper256--spread-latency=0.5+energy=2.json").code == 0


def test_out_is_made_and_used(cli: Cli, tmp_path: Path) -> None:
    assert cli(*TINY_RUN, *ONE, "--out", "deep/er").code == 0
    assert (tmp_path / "deep/er/tiny--paper256--spread.json").is_file()
    assert not Path("results").exists()


@pytest.mark.parametrize(("what", "layers"), [("layer", [0]), ("all", [0, 1])])
def test_simulated_layers(cli: Cli, what: str, layers: list[int]) -> None:
    found = json.loads(cli(*TINY_RUN, *ONE, "--simulate", what, "--json").out)
    assert found["strategies"]["spread"]["simulation"]["layers"] == layers


def test_simulate_none(cli: Cli) -> None:
    found = json.loads(cli(*TINY_RUN, *ONE, "--simulate", "none", "--json").out)
    assert found["strategies"]["spread"]["simulation"] == {"passed": None, "reason": "not asked"}
    assert "not asked" in cli(*TINY_RUN, *ONE, "--simulate", "none").out


def test_sums_that_no_float_holds_are_reported_as_not_simulated(cli: Cli) -> None:
    wide = ["--set", "input.bits=32", "--set", "weight.bits=32"]
    result = cli(*TINY_RUN, *ONE, *wide)
    assert result.code == 0
    assert "not possible" in result.out
    assert "not exact" in result.out


def test_real_model_by_name(cli: Cli) -> None:
    result = cli("--model", "minilm-l6", "--hw", "paper256.json", "--strategy", "linear,spread")
    assert result.code == 0
    assert written() == ["minilm-l6--paper256--linear.json", "minilm-l6--paper256--spread.json"]


def test_names_that_no_file_can_bear(cli: Cli, tmp_path: Path) -> None:
    odd = hardware_file(name="a/b -- c")
    assert cli("--model", "tiny.json", "--hw", odd, *ONE).code == 0
    (name,) = written()
    assert name.startswith("tiny--a_b_-_c~")


def test_file_names_of_different_questions_differ() -> None:
    texts = ["*.query=dense", "?.query=dense", "x" * 100, "x" * 101, "a--b", "a-b", ""]
    names = [plain_name(text) for text in texts]
    assert len(set(names)) == len(names)
    assert all("/" not in name and "--" not in name and 0 < len(name) < 80 for name in names)


def test_many_settings_and_structures_have_a_file_that_can_be_written(cli: Cli) -> None:
    linears = [{"name": f"a.very_long_name_of_linear_{n}", "n_in": 16, "n_out": 16} for n in range(12)]
    content = {"model_type": "linears", "context": 16, "steps": [{"name": "a", "linears": linears}]}
    Path("many.json").write_text(json.dumps(content))
    asked = ["--model", "many.json", "--hw", "paper256", *ONE]
    for linear in linears:
        asked += ["--structure", f"{linear['name']}=2,2,2"]
    for key in ("array.rows", "array.cols", "adc.per_array", "cell.bits", "weight.bits", "input.bits"):
        asked += ["--set", f"{key}=8"]
    for tokens in ("7", "8"):
        assert cli(*asked, "--tokens", tokens).code == 0
    assert cli(*asked, "--structure", "2,2,1").code == 0
    assert len(written()) == 3
    assert all(len(name) < 210 for name in written())


# Answers that are wrong


def test_an_answer_that_fails_its_check_is_not_written(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> CheckReport:
        return CheckReport((Violation("P3", "two pieces share a cell of array 0"),))

    monkeypatch.setattr(study_ask, "check_solution", fail)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 1
    assert "spread breaks P3: two pieces share a cell of array 0" in result.out
    assert "FAILED" in result.out
    assert "check failed" in result.out  # and so not simulated
    assert written() == []


def test_a_simulation_that_fails_is_exit_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate = study_ask.simulate

    def wrong(*arguments: Any, **options: Any) -> SimulationReport:
        report = simulate(*arguments, **options)
        return dataclasses.replace(
            report, ideal=dataclasses.replace(report.ideal, mismatches=1), first_mismatch="a.query R, block 0"
        )

    monkeypatch.setattr(study_ask, "simulate", wrong)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 1
    assert "spread computes wrong numbers: a.query R, block 0" in result.out


# cimsolve list


def test_list_shows_everything_shipped(cli: Cli) -> None:
    result = cli("list")
    assert (result.code, result.err) == (0, "")
    for name in ("bert-large", "llama-3-70b", "rram128-isaac", "pcm256", *STRATEGIES, *OBJECTIVES):
        assert name in result.out


def test_list_shows_what_models_take(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli("list").out.splitlines()
    assert max(map(len, lines)) <= 80
    (minilm,) = [line.split() for line in lines if line.startswith("minilm-l6 ")]
    # 36 linears of 10.62 M weights, a weight in 8 columns of 256, 256 rows: per layer 4 of 2 x 12, 2 x 48 and 6 x 12
    assert minilm == ["minilm-l6", "bert", "36", "10.62", "M", "10.62", "M", str(6 * (4 * 24 + 96 + 72)), "512"]


def test_the_catalogue_is_what_the_shipped_files_say() -> None:
    assert shipped_catalogue() == found_catalogue(), (
        "run python -m cimsolve.cli.list > solver/cimsolve/files/catalogue.json"
    )


# As a process


@pytest.mark.parametrize("argv", [["list"], ["completion", "bash"], [*TINY_RUN, *ONE, "--json"]])
def test_a_closed_stdout_is_no_error(cli: Cli, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert cli(*argv).code == 0
    sys.stdout.close()


def test_too_few_open_files_are_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files", "a/file")

    monkeypatch.setattr(study_ask, "solve", fail)
    told = cli(*TINY_RUN, *ONE, "-q")
    assert told.code == 1
    assert told.err == "cimsolve: error: no more files can be opened; allow more (ulimit -n) or use fewer --jobs\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cimsolve", "list"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    model = {**TINY, "steps": [{**TINY["steps"][0], "name": "ü"}]}  # type: ignore[dict-item,index]
    Path("modèle.json").write_text(json.dumps(model))
    command = [sys.executable, "-m", "cimsolve", "--model", "modèle.json", "--hw", "paper256", "-q", *ONE]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*command, "--out", "é"], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_input_errors_of_a_process_are_one_line() -> None:
    command = [sys.executable, "-m", "cimsolve", "--hw", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == InputError.exit_code
    assert done.stderr.count("\n") == 1


# Where the output cannot be written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_device_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cimsolve", "hw", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
