"""The command line as a user meets it: in process, on small models, with every option and every exit code."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Cli, Result
from hardware_specs import spec
from safetensors.numpy import save_file

from cimsolve import run as run_module
from cimsolve.check import CheckReport, Violation
from cimsolve.cli import COMMANDS, parse_command, question, values
from cimsolve.cli.commands import solve as solve_command
from cimsolve.cli.options import hw, project, solve
from cimsolve.cli.options.parser import Parser
from cimsolve.cli.options.question import CUT_NAMES
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.problem import CUTS, Problem
from cimsolve.projection import METHODS
from cimsolve.records import library_versions
from cimsolve.simulate import SimulationReport
from cimsolve.strategies import OBJECTIVES, RULES, STRATEGIES, Answer, Event, Search

TINY = {
    "model_type": "linears",
    "context": 16,
    "steps": [
        {"name": "a", "linears": [{"name": n, "n_in": 16, "n_out": 16} for n in ("a.query", "a.key")]},
        {"name": "b", "linears": [{"name": "b.out", "n_in": 16, "n_out": 64}]},
    ],
}
TINY_RUN = ["--model", "tiny.json", "--hw", "paper256"]
ONE = ["--strategy", "spread"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("tiny.json").write_text(json.dumps(TINY))


def written() -> list[str]:
    return sorted(path.name for path in Path("results").glob("*")) if Path("results").exists() else []


def header(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("results", name).read_text())
    return found


def refused(result: Result, code: int, *parts: str) -> None:
    """One line on stderr, no traceback, nothing on stdout, nothing written."""
    assert result.code == code, result
    assert result.err.startswith("cimsolve: error: ")
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    for part in parts:
        assert part in result.err
    assert result.out == ""
    assert not Path("results").exists()


def hardware_file(**changes: Any) -> str:
    Path("chip.json").write_text(json.dumps(spec("paper256", **changes)))
    return "chip.json"


def answer_with(monkeypatch: pytest.MonkeyPatch, name: str, strategy: Callable[..., Answer]) -> None:
    monkeypatch.setitem(run_module.STRATEGIES, name, strategy)  # type: ignore[arg-type]


# Arguments


def test_names_are_those_of_the_modules_that_help_must_not_import() -> None:
    assert tuple(STRATEGIES) == solve.STRATEGY_NAMES
    assert CUTS == CUT_NAMES


def test_defaults_are_the_main_job() -> None:
    options = solve.parse([])
    assert isinstance(options, solve.SolveOptions)
    assert (options.hardware, options.model, options.out) == ("rram256", "bert-large", "results")
    assert options.strategies == tuple(STRATEGIES)
    assert (options.workers, options.simulate, options.cut) == (1, "layer", "columns")


def test_strategies_may_be_repeated_or_listed() -> None:
    options = solve.parse(["--strategy", "optimal,linear", "--strategy", "linear", "--strategy", "spread"])
    assert isinstance(options, solve.SolveOptions)
    assert options.strategies == ("optimal", "linear", "spread")


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--sed", "3"], ["--sed: there is no such option; did you mean --seed?"]),
        (["chek", "x.json"], ["chek: there is no such command; did you mean check?"]),
        (["rram256.json"], ["rram256.json: there is no such command"]),
        (["--hw"], ["--hw: expected one argument"]),
        (["--strategy", "spred"], ["'spred': there is no such strategy; did you mean spread?", "densemap"]),
        (["--strategy", "spread,"], ["'': there is no such strategy"]),
        (["--strategy", "spread,spread"], ["expected each strategy once"]),
        (["--objective", "latnecy"], ["'latnecy': there is no such objective; did you mean latency?"]),
        (["--objective", "latency:1+enrgy:2"], ["'enrgy': there is no such objective; did you mean energy?"]),
        (["--objective", "latency+energy"], ["latency has no weight; expected a number above 0, as in latency:0.7"]),
        (["--cut", "rows"], ["'rows': expected one of none, columns, both"]),
        (["--simulate", "al"], ["'al': expected one of layer, all, none; did you mean all?"]),
        (["--max-latency", "0"], ["--max-latency: '0': expected a number above 0", "ns, us, ms, s", "such as 60us"]),
        (["--max-latency", "60uJ"], ["'60uJ'", "ns, us, ms, s"]),
        (["--max-latency", "inf"], ["'inf'"]),
        (["--max-latency=-3"], ["'-3'"]),
        (["--max-energy", "nan"], ["'nan'", "pJ, nJ, uJ, mJ, J", "such as 12uJ"]),
        (["--max-energy", "1_0"], ["'1_0'"]),
        (["--exact", "--strategy", "spread"], ["--exact: of the strategies only optimal searches"]),
        (["--start", "x.json", "--strategy", "spread"], ["--start: of the strategies only optimal searches"]),
        (["pareto", "--seed", "3"], ["--seed: there is no such option", "see cimsolve pareto --help"]),
        (["pareto", "x"], ["x: is one word too many; expected an option"]),
        (["-q", "list"], ["list: is a command; expected it before all options"]),
        (["explain", "a.json", "b.json"], ["b.json: is one word too many"]),
        (["--hw", "a", "--hw", "a"], ["--hw: is given twice; expected it once"]),
        (["--seed=1", "--adcs", "2", "--seed", "2"], ["--seed: is given twice"]),
        (["--max-arrays", "0"], ["--max-arrays: '0': expected a whole number from 1"]),
        (["--max-arrays", "-3"], ["'-3': expected a whole number"]),
        (["--max-arrays", "1e3"], ["'1e3': expected a whole number"]),
        (["--max-arrays", "9" * 30], ["expected a whole number"]),
        (["--tokens", "0"], ["--tokens: '0'"]),
        (["--tokens", "1_0"], ["'1_0'"]),
        (["--adcs", "0"], ["--adcs: '0'"]),
        (["--adcs", "four"], ["'four'"]),
        (["--seed", "-1"], ["--seed: '-1'"]),
        (["--seed", str(2**31)], ["--seed"]),
        (["--workers", "0"], ["--workers: '0'"]),
        (["--workers", "٣"], ["expected a whole number"]),
        (["--time-limit", "0"], ["--time-limit: '0': expected a number of seconds"]),
        (["--time-limit", "nan"], ["'nan'"]),
        (["--time-limit", "inf"], ["'inf'"]),
        (["--time-limit", "-1"], ["'-1'"]),
        (["--time-limit", "soon"], ["'soon'"]),
        (["--set", "array.rows"], ["'array.rows': expected KEY=VALUE"]),
        (["--set", "=3"], ["expected KEY=VALUE"]),
        (["--set", "a=1", "--set", "a=2"], ["a is set to 1 and to 2: expected one value"]),
        (["--adcs", "4", "--set", "adc.per_array=8"], ["adc.per_array is set to 4 and to 8"]),
        (["-q", "-v"], ["not allowed with"]),
        (["--sed\n3"], ["--sed\\n3"]),
        (["check"], ["FILE", "see cimsolve check --help"]),
        (["check", "--strategy", "x"], ["--strategy: there is no such option"]),
        (["list", "--all"], ["--all", "see cimsolve list --help"]),
        (["project"], ["--model", "see cimsolve project --help"]),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(cli: Cli, argv: list[str], parts: list[str]) -> None:
    refused(cli(*argv), 2, *parts)


def parsers() -> dict[str, Parser]:
    """The parser of every command, by its words."""
    found = {name: import_module(f"cimsolve.cli.options.{name}").make_parser() for name in COMMANDS if name != "hw"}
    return {
        "": solve.make_parser(),
        "hw new": hw.make_new_parser(),
        "hw check": hw.make_check_parser(),
        **found,
    }


SINGLE = [
    (words, action.option_strings[-1])
    for words, parser in parsers().items()
    for action in parser._actions
    if action.option_strings and action.nargs is None and not isinstance(action, argparse._AppendAction)
]


@pytest.mark.parametrize(("words", "option"), SINGLE, ids=str)
def test_an_option_with_one_value_is_taken_once(words: str, option: str) -> None:
    parser = parsers()[words]
    next(action for action in parser._actions if option in action.option_strings).type = None  # any word will do
    with pytest.raises(InputError, match=f"{option}: is given twice; expected it once; see cimsolve.*--help"):
        parser.parse_known([option, "x", f"{option}=x"])


def test_options_that_take_one_value_are_most_of_all() -> None:
    assert len(SINGLE) > 80
    assert {"--hw", "--out", "--reference", "--plot", "--rows"} <= {option for _, option in SINGLE}


def test_files_may_stand_on_both_sides_of_an_option(cli: Cli) -> None:
    result = cli("check", "a.json", "-q", "b.json")
    assert result.code == 2
    assert [line.split(":")[2] for line in result.err.splitlines()] == [" a.json", " b.json"]


HELPS = [
    ["--help"],
    *([name, "--help"] for name in COMMANDS),
    *(["hw", name, "-h"] for name in ("new", "check", "schema")),
]


@pytest.mark.parametrize("argv", HELPS, ids=" ".join)
def test_help_exits_0(cli: Cli, argv: list[str]) -> None:
    result = cli(*argv)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("usage: cimsolve")


@pytest.mark.parametrize("argv", HELPS[:-1], ids=" ".join)
def test_help_has_examples_that_parse(cli: Cli, argv: list[str]) -> None:
    out = cli(*argv).out
    examples = re.split(r"^examples?:$", out, flags=re.MULTILINE)[1]
    lines = [line.split("  >")[0].split(" > ")[0] for line in examples.splitlines() if line.startswith("  cimsolve")]
    assert lines
    for line in lines:
        parse_command(shlex.split(line)[1:])


def test_help_tells_the_exit_codes(cli: Cli) -> None:
    out = cli("--help").out
    assert "exit codes:" in out
    assert "130" in out


def test_version(cli: Cli) -> None:
    import cimsolve

    result = cli("--version")
    assert (result.code, result.err) == (0, "")
    for name, version in library_versions().items():
        assert f"{name} {version}" in result.out
    assert result.out.startswith(f"cimsolve {cimsolve.__version__} (python ")
    assert result.out.count("\n") == 1


HEAVY = {"numpy", "pydantic", "ortools", "rich", "scipy", "networkx", "joblib", "shtab", "matplotlib", "distributed"}


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["--strategy", "spred"], ["check"], ["chek"], ["hw", "chek"], ["sweep", "--vary", "x"]]
    + [[name, "--help"] for name in COMMANDS],
    ids=" ".join,
)
def test_help_and_usage_errors_import_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys; from cimsolve.__main__ import main; code = main(sys.argv[1:]); "
        f"heavy = {HEAVY} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if argv[-1] in ("--help", "--version") else 2), done.stderr
    assert "imported" not in done.stderr


@pytest.mark.parametrize(
    ("text", "pj"),
    [("12", 12.0), ("0.1nJ", 100.0), ("12uJ", 12e6), ("1e3", 1e3), (" .5 mJ ", 5e8), ("1.5e-1J", 1.5e11)],
)
def test_quantities_may_have_a_unit(text: str, pj: float) -> None:
    assert values.quantity("energy", "12uJ")(text) == pj


# A run


def test_all_strategies_are_checked_simulated_and_written(cli: Cli) -> None:
    result = cli(*TINY_RUN)
    assert (result.code, result.err) == (0, "")
    assert written() == sorted(f"tiny--paper256--{name}.json" for name in STRATEGIES)
    for name in STRATEGIES:
        assert name in result.out
    assert "FAILED" not in result.out
    assert "whatever is not listed" in result.out
    assert cli("check", *(str(path) for path in Path("results").glob("*.json"))).code == 0


def test_optimal_is_never_worse_than_the_best_rule(cli: Cli) -> None:
    found = json.loads(cli(*TINY_RUN, "--json").out)["strategies"]
    keys = {name: (one["metrics"]["arrays"], one["metrics"]["latency_cycles"]) for name, one in found.items()}
    assert keys["optimal"] <= min(keys[name] for name in RULES if name != "linear")


def test_json_is_one_object_and_nothing_else(cli: Cli) -> None:
    result = cli(*TINY_RUN, "--json")
    assert result.err == ""
    found = json.loads(result.out)
    assert found["format"] == "cimsolve-run/1"
    assert found["exit_code"] == result.code == 0
    assert found["question"]["model"] == "tiny"
    assert list(found["strategies"]) == list(STRATEGIES)
    for name, one in found["strategies"].items():
        assert one["state"] == "solved"
        assert one["check"] == {"passed": True, "violations": [], "unverified_bounds": []} or name == "optimal"
        assert one["simulation"]["passed"] is True
        assert one["metrics"]["arrays"] >= one["bounds"]["arrays"]["lower"]
        assert one["status"] in {"optimal", "feasible"}
        assert all(Path(path).exists() for path in one["files"])


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


def test_per_linear_structures(cli: Cli) -> None:
    argv = ["--structure", "dense", "--structure", "*.query=lowrank:2"]
    assert cli(*TINY_RUN, *ONE, *argv).code == 0
    (name,) = written()
    assert header(name)["structure"] == {"a.query": "1,1,2", "a.key": "dense", "b.out": "dense"}


def test_search_options_reach_the_search(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Search] = []

    def look(problem: Problem, search: Search) -> Answer:
        seen.append(search)
        return RULES["spread"](problem, search)

    answer_with(monkeypatch, "spread", look)
    argv = ["--time-limit", "5.5", "--workers", "2", "--seed", "3", "--objective", "energy,area"]
    assert cli(*TINY_RUN, *ONE, *argv).code == 0
    assert (seen[0].time_limit_s, seen[0].workers, seen[0].seed) == (5.5, 2, 3)
    assert seen[0].objective == ("energy", "area")


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
    names = [question.plain_name(text) for text in texts]
    assert len(set(names)) == len(names)
    assert all("/" not in name and "--" not in name and 0 < len(name) < 80 for name in names)


# Limits, the exact model, a start

OPTIMAL = ["--strategy", "optimal", "--simulate", "none"]
NARROW = ["--set", "array.rows=16", "--set", "array.cols=16"]


SHORT = r"error: {}, linear needs [0-9]+{}, sparsemap [0-9]+{}, densemap [0-9]+{}, spread [0-9]+{}; optimal: "


@pytest.mark.parametrize(
    ("argv", "told", "unit"),
    [
        (["--max-arrays", "1", *NARROW], "arrays are short: the limit is 1", ""),
        (["--max-latency", "1"], "latency_ns is short: the limit is 1 ns", " ns"),
    ],
)
def test_what_strategies_are_short_of_is_said_once(cli: Cli, argv: list[str], told: str, unit: str) -> None:
    result = cli(*TINY_RUN, *argv, "-q")
    refused(result, 1)
    assert re.search(SHORT.format(told, *[unit] * 4), result.err), result.err


def test_strategies_may_be_short_of_different_things(cli: Cli) -> None:
    """Under a limit between the rules' array counts, and one on latency that nothing keeps, each is told its own."""
    found = json.loads(cli(*TINY_RUN, *NARROW, "--simulate", "none", "--json").out)["strategies"]
    arrays = {name: one["metrics"]["arrays"] for name, one in found.items()}
    assert arrays["spread"] < arrays["linear"]
    error = cli(*TINY_RUN, *NARROW, "--max-arrays", str(arrays["spread"]), "--max-latency", "1", "-q").err
    assert f"arrays are short: the limit is {arrays['spread']}, linear needs {arrays['linear']}" in error
    assert re.search(r"latency_ns is short: the limit is 1 ns, .*spread (needs )?[0-9]+ ns; optimal: latency_ns", error)


def test_what_would_do_under_one_limit_is_not_said_to_do_under_all(cli: Cli) -> None:
    for strategy in ("spread", "optimal"):
        run = [*TINY_RUN, *NARROW, "--max-arrays", "1", "--strategy", strategy, "-q"]
        assert "more where other limits ask for it" not in cli(*run).err
        assert "more where other limits ask for it" in cli(*run, "--max-latency", "1us").err


def test_a_rule_over_a_limit_is_a_row(cli: Cli) -> None:
    metrics = json.loads(cli(*TINY_RUN, "--simulate", "none", "--json").out)["strategies"]
    slow, quick = (metrics[name]["metrics"]["latency_ns"] for name in ("densemap", "optimal"))
    assert quick < slow
    result = cli(*TINY_RUN, "--max-latency", str(quick), "--out", "limited", "--json")
    found = json.loads(result.out)
    assert result.code == 0
    assert found["question"]["max_latency_ns"] == quick
    assert found["strategies"]["densemap"]["state"] == "infeasible"
    assert f"this rule needs {slow:g}" in found["strategies"]["densemap"]["reason"]
    assert found["strategies"]["optimal"]["metrics"]["latency_ns"] == quick
    words = shlex.split(found["command"])
    again = json.loads(cli(*words[1:], "--json").out)
    assert again["command"] == found["command"]
    assert again["strategies"]["optimal"]["metrics"] == found["strategies"]["optimal"]["metrics"]


@pytest.mark.parametrize(("limit", "metric"), [("--max-latency", "latency_ns"), ("--max-energy", "energy_pj")])
def test_a_limit_that_nothing_keeps_names_what_is_short_and_what_would_do(cli: Cli, limit: str, metric: str) -> None:
    refused(cli(*TINY_RUN, *OPTIMAL, "-q", limit, "1"), 1, f"{metric} is short: the limit is 1 ", " would do; ")


def test_exact_solves_small_problems(cli: Cli) -> None:
    steps = [{"name": "up", "linears": [{"name": "up.w", "n_in": 8, "n_out": 8}]}]
    Path("tiny.json").write_text(json.dumps({**TINY, "steps": steps}))
    small = ["--set", "array.rows=8", "--set", "array.cols=16", "--cut", "none"]
    result = cli(*TINY_RUN, *OPTIMAL, *small, "--exact", "--json")
    assert result.code == 0
    name = "tiny--paper256-array.rows8-array.cols16--optimal-cut-none-exact.json"
    assert written() == [name]
    assert "--exact" in shlex.split(json.loads(result.out)["command"])
    assert header(name)["status"] == "optimal"


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--model", "minilm-l6"], "items are more than"),
        (["--cut", "both"], "rows may be cut"),
        (["--cut", "none", "--objective", "energy"], "its objectives are arrays and latency"),
        (["--cut", "none", "--objective", "arrays:1+latency:1"], "arrays and latency, one after the other"),
        (["--cut", "none", "--max-latency", "1ms"], "without other limits"),
    ],
)
def test_exact_is_refused_before_any_work(cli: Cli, argv: list[str], part: str) -> None:
    model = [] if "--model" in argv else ["--model", "tiny.json"]
    refused(cli("--hw", "paper256", *model, "--exact", *argv), 2, "--exact: this problem is out of reach", part)


def test_a_run_may_start_from_a_file_of_an_interrupted_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def stop_early(problem: Problem, search: Search) -> Answer:
            search.listen(Event("interrupted"))
            return dataclasses.replace(RULES["densemap"](problem, search), interrupted=True)

        answer_with(patch, "optimal", stop_early)
        assert cli(*TINY_RUN, *OPTIMAL).code == 130
    (name,) = written()
    before = header(name)["metrics"]
    seen: list[Search] = []

    with monkeypatch.context() as patch:
        original = STRATEGIES["optimal"]

        def remember(problem: Problem, search: Search) -> Answer:
            seen.append(search)
            return original(problem, search)

        answer_with(patch, "optimal", remember)
        result = cli(*TINY_RUN, *OPTIMAL, "--start", f"results/{name}", "--json")
    assert result.code == 0
    assert seen[0].start is not None
    assert written() == [name]
    after = header(name)["metrics"]
    assert (after["arrays"], after["latency_ns"]) <= (before["arrays"], before["latency_ns"])
    assert f"--start results/{name}" in json.loads(result.out)["command"]


def test_a_start_is_kept_where_nothing_is_better(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli(*TINY_RUN, *OPTIMAL).code == 0
    (name,) = written()

    def keep(problem: Problem, search: Search) -> Answer:
        assert search.start is not None
        return Answer(search.start)

    answer_with(monkeypatch, "optimal", keep)
    before = header(name)["metrics"]
    assert cli(*TINY_RUN, *OPTIMAL, "--start", f"results/{name}").code == 0
    assert header(name)["metrics"] == before


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--adcs", "4"], "hw.adc.per_array is 8 there and 4 in the question"),
        (["--tokens", "8"], "options.tokens is 16 there and 8 in the question"),
        (["--structure", "dense"], 'structure.a.query is "4,4,1" there and "dense" in the question'),
        (["--model", "minilm-l6"], 'model.model_type is "linears" there and "bert" in the question'),
        (["--cut", "none"], "fails its check, cut: "),
        (["--max-arrays", "1"], " arrays, the limit is 1; expected as few or fewer"),
    ],
)
def test_a_start_of_another_question_is_refused(cli: Cli, argv: list[str], part: str) -> None:
    narrow = ["--set", "array.rows=16", "--set", "array.cols=24"]
    assert cli(*TINY_RUN, *OPTIMAL, *narrow, "--objective", "latency", "--out", "before").code == 0
    (path,) = Path("before").glob("*.json")
    model = [] if "--model" in argv else ["--model", "tiny.json"]
    result = cli("--hw", "paper256", *model, *OPTIMAL, *narrow, *argv, "--start", str(path))
    refused(result, 2, f"--start {path}: ", part)


def test_a_start_may_differ_in_limits_and_in_cuts_that_it_does_not_use(cli: Cli) -> None:
    assert cli(*TINY_RUN, *ONE, "--max-arrays", "9", "--max-latency", "1ms", "--out", "before").code == 0
    (path,) = Path("before").glob("*.json")
    assert cli(*TINY_RUN, *OPTIMAL, "--cut", "none", "--start", str(path)).code == 0


def test_starts_that_are_none(cli: Cli) -> None:
    refused(cli(*TINY_RUN, "--start", "missing.json"), 2, "missing.json")
    refused(cli(*TINY_RUN, "--start", "tiny.json"), 2, "tiny.json: this is a model config; expected a solution")
    assert cli(*TINY_RUN, *ONE, "--out", "before").code == 0
    (path,) = Path("before").glob("*.json")
    content = json.loads(path.read_text())
    content["metrics"]["latency_ns"] = 1.0
    path.write_text(json.dumps(content))
    refused(cli(*TINY_RUN, "--start", str(path)), 2, "fails its check, metrics: ")


# What cannot be answered


def test_a_rule_that_does_not_fit_is_a_row_while_others_succeed(cli: Cli) -> None:
    argv = ["--model", "minilm-l6", "--hw", "paper256", "--max-arrays", "20", "--strategy", "linear,densemap"]
    result = cli(*argv)
    assert (result.code, result.err) == (0, "")
    assert "infeasible" in result.out
    assert "the limit is 20" in result.out
    assert written() == ["minilm-l6--paper256--densemap-max20.json"]
    found = json.loads(cli(*argv, "--json").out)
    assert found["strategies"]["linear"]["state"] == "infeasible"
    assert "240" in found["strategies"]["linear"]["reason"]


def test_optimal_without_an_answer_fails_the_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(problem: Problem, search: Search) -> Answer:
        raise InfeasibleError("arrays are short")

    answer_with(monkeypatch, "optimal", fail)
    result = cli(*TINY_RUN, "--strategy", "spread,optimal")
    assert (result.code, result.err) == (1, "")
    assert "optimal: infeasible: arrays are short" in result.out


@pytest.mark.parametrize("limit", [["--max-arrays", "1"], ["--set", "array.count=1"]])
def test_a_model_that_does_not_fit_is_one_line_and_exit_1(cli: Cli, limit: list[str]) -> None:
    result = cli("--model", "minilm-l6", "--hw", "paper256", "--strategy", "linear,optimal", "-q", *limit)
    refused(result, 1, "240", "11", "limit")


def test_json_of_a_model_that_does_not_fit(cli: Cli) -> None:
    result = cli("--model", "minilm-l6", "--hw", "paper256", "--max-arrays", "1", *ONE, "--json")
    assert result.code == 1
    assert json.loads(result.out)["exit_code"] == 1
    assert result.err.count("\n") == 1


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
        (b'{"model_type": "mamba"}', "unknown architecture 'mamba'"),
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
        (["--structure", "sqr"], ["'sqr' is not one of"]),
        (["--structure", "nothing*=dense"], ["matches no linear"]),
        (["--tokens", "17"], ["17 is more than the model's context of 16"]),
        (["--out", "tiny.json"], ["--out tiny.json", "is no folder"]),
        (["--out", "tiny.json/deeper"], ["is no folder"]),
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
    def fail(problem: Problem, search: Search) -> Answer:
        raise MemoryError

    answer_with(monkeypatch, "spread", fail)
    refused(cli(*TINY_RUN, *ONE, "-q"), 1, "out of memory")


# Ctrl-C


def interrupt(problem: Problem, search: Search) -> Answer:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_finished_and_skips_the_rest(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "densemap", interrupt)
    result = cli(*TINY_RUN, "--json")
    states = {name: one["state"] for name, one in json.loads(result.out)["strategies"].items()}
    assert result.code == 130
    assert states == {
        "linear": "solved",
        "sparsemap": "solved",
        "densemap": "interrupted",
        "spread": "skipped",
        "optimal": "skipped",
    }
    assert result.err == "cimsolve: interrupted; without an answer: densemap, spread, optimal\n"
    assert written() == ["tiny--paper256--linear.json", "tiny--paper256--sparsemap.json"]


def test_ctrl_c_report_names_what_was_skipped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "densemap", interrupt)
    result = cli(*TINY_RUN)
    assert result.code == 130
    assert "densemap: interrupted" in result.out
    assert "optimal: skipped" in result.out


def test_an_interrupted_search_still_gives_its_best(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_early(problem: Problem, search: Search) -> Answer:
        search.listen(Event("interrupted"))
        answer = RULES["spread"](problem, search)
        return dataclasses.replace(answer, interrupted=True)

    answer_with(monkeypatch, "optimal", stop_early)
    result = cli(*TINY_RUN, "--strategy", "optimal,spread", "--json")
    found = json.loads(result.out)["strategies"]
    assert result.code == 130
    assert (found["optimal"]["state"], found["spread"]["state"]) == ("solved", "skipped")
    assert found["optimal"]["check"]["passed"] is True
    assert written() == ["tiny--paper256--optimal.json"]


def test_ctrl_c_before_anything_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **options: Any) -> Problem:
        raise KeyboardInterrupt

    monkeypatch.setattr(question, "make_problem", stop)
    assert cli(*TINY_RUN) == Result(130, "", "cimsolve: interrupted\n")


def test_ctrl_c_while_checking_waits_for_check_and_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    check = solve_command.check_solution

    def slow(*arguments: Any) -> CheckReport:
        os.kill(os.getpid(), signal.SIGINT)
        return check(*arguments)

    monkeypatch.setattr(solve_command, "check_solution", slow)
    result = cli(*TINY_RUN, "--strategy", "spread,linear", "--json")
    found = json.loads(result.out)["strategies"]
    assert result.code == 130
    assert found["spread"]["check"]["passed"] is True
    assert found["spread"]["simulation"] == {"passed": None, "reason": "interrupted"}
    assert found["linear"]["state"] == "skipped"
    assert written() == ["tiny--paper256--spread.json"]


def test_a_second_ctrl_c_is_obeyed_at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(*arguments: Any) -> CheckReport:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(solve_command, "check_solution", stuck)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 130
    assert written() == []
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_simulating_keeps_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **options: Any) -> SimulationReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(solve_command, "simulate", stop)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 130
    assert written() == ["tiny--paper256--spread.json"]


# Answers that are wrong


def test_an_answer_that_fails_its_check_is_not_written(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> CheckReport:
        return CheckReport((Violation("P3", "two pieces share a cell of array 0"),))

    monkeypatch.setattr(solve_command, "check_solution", fail)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 1
    assert "spread breaks P3: two pieces share a cell of array 0" in result.out
    assert "FAILED" in result.out
    assert "check failed" in result.out  # and so not simulated
    assert written() == []


def test_a_simulation_that_fails_is_exit_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate = solve_command.simulate

    def wrong(*arguments: Any, **options: Any) -> SimulationReport:
        report = simulate(*arguments, **options)
        return dataclasses.replace(
            report, ideal=dataclasses.replace(report.ideal, mismatches=1), first_mismatch="a.query R, block 0"
        )

    monkeypatch.setattr(solve_command, "simulate", wrong)
    result = cli(*TINY_RUN, *ONE)
    assert result.code == 1
    assert "spread computes wrong numbers: a.query R, block 0" in result.out


# cimsolve check


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
        (lambda c: c.update(format="cimsolve-solution/9"), "is not known; expected 'cimsolve-solution/1'"),
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


# cimsolve list


def test_list_shows_everything_shipped(cli: Cli) -> None:
    result = cli("list")
    assert (result.code, result.err) == (0, "")
    for name in ("bert-large", "llama-3-70b", "rram128-isaac", "pcm256", *STRATEGIES, *OBJECTIVES):
        assert name in result.out


# Real weights


@pytest.fixture
def folder() -> str:
    """The tiny model with weights."""
    Path("real").mkdir()
    Path("real/config.json").write_text(json.dumps(TINY))
    random = np.random.default_rng(0)
    sizes = {"a.query": (16, 16), "a.key": (16, 16), "b.out": (64, 16)}
    tensors = {f"{name}.weight": random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    save_file(tensors, "real/model.safetensors")
    return "real"


def test_a_folder_with_weights_is_simulated_on_them(cli: Cli, folder: str) -> None:
    result = cli("--model", folder, "--hw", "rram256", "--simulate", "all")
    assert result.code == 0
    assert "the folder's weights" in result.out
    assert result.out.count("exact") >= len(STRATEGIES)


@pytest.mark.parametrize("command", [[], ["project"]])
def test_weights_that_do_not_fit_the_config(cli: Cli, folder: str, command: list[str]) -> None:
    save_file({"a.query.weight": np.zeros((16, 8), dtype=np.float32)}, "real/model.safetensors")
    refused(cli(*command, "--model", folder), 2, "has shape (16, 8)")


@pytest.mark.parametrize("command", [[], ["project"]])
def test_weights_cut_short(cli: Cli, folder: str, command: list[str]) -> None:
    file = Path("real/model.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    refused(cli(*command, "--model", folder), 2, "cut short")


def test_weights_that_are_no_numbers(cli: Cli, folder: str) -> None:
    save_file(
        {
            "a.query.weight": np.full((16, 16), np.nan, dtype=np.float32),
            "a.key.weight": np.zeros((16, 16), dtype=np.float32),
            "b.out.weight": np.zeros((64, 16), dtype=np.float32),
        },
        "real/model.safetensors",
    )
    result = cli("--model", folder, *ONE, "-q")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_project_compares_with_low_rank(cli: Cli, folder: str) -> None:
    result = cli("project", "--model", folder, "--structure", "b.*=2,2,1", "--structure", "a.key=dense")
    assert (result.code, result.err) == (0, "")
    for part in ("a.query", "b.out", "4,4,1", "2,2,1", "dense", "low-rank", "by kind, plain means", "all"):
        assert part in result.out
    quiet = cli("project", "--model", folder, "-q").out
    assert "plain means" in quiet
    assert "4,4,1" not in quiet


@pytest.mark.parametrize("model", ["bert-large", "nowhere", "tiny.json"])
def test_project_needs_a_folder(cli: Cli, model: str) -> None:
    refused(cli("project", "--model", model), 2, "expected a folder")


def test_project_needs_weights(cli: Cli) -> None:
    Path("bare").mkdir()
    Path("bare/config.json").write_text(json.dumps(TINY))
    refused(cli("project", "--model", "bare"), 2, "no *.safetensors")


def test_project_options() -> None:
    words = ["--model", "x", "--structure", "dense", "--method", "als", "--text", "a", "--text", "b"]
    found = project.parse([*words, "--samples", "9", "--seed", "3", "--out", "f.safetensors", "-q"])
    assert found == project.ProjectOptions(
        model="x",
        structures=("dense",),
        method="als",
        inputs=None,
        texts=("a", "b"),
        samples=9,
        seed=3,
        out="f.safetensors",
        verbosity=-1,
    )
    assert project.METHOD_NAMES == METHODS


# As a process


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
            [sys.executable, "-m", "cimsolve", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
