"""Arguments of all commands: defaults, refusals in one line, help that answers at once."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cimsolve.cli import COMMANDS, options_of, parse_command, solve, values
from cimsolve.cli.hw import ACTIONS
from cimsolve.cli.parser import Parser
from cimsolve.errors import InputError
from cimsolve.solve.names import DEFAULT_NAMES
from cimsolve.study.solving import library_versions
from makers.command_line import Cli
from makers.tiny_runs import refused

pytestmark = pytest.mark.usefixtures("tiny_folder")


def test_defaults_are_the_main_job() -> None:
    options = solve.Options.parse([])
    assert isinstance(options, solve.Options)
    assert (options.hardware, options.model, options.out) == ("rram256", "bert-large", "results")
    assert options.strategies == DEFAULT_NAMES
    assert (options.workers, options.simulate, options.cut) == (1, "layer", "columns")


def test_strategies_may_be_repeated_or_listed() -> None:
    options = solve.Options.parse(["--strategy", "optimal,linear", "--strategy", "linear", "--strategy", "spread"])
    assert isinstance(options, solve.Options)
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


PARSERS: dict[str, Callable[[], Parser]] = {
    "": solve.Options.make_parser,
    **{f"hw {name}": options.make_parser for name, (options, _, _) in ACTIONS.items()},
    **{name: options_of(name).make_parser for name in COMMANDS if name != "hw"},
}
"""What makes the parser of every command, by its words."""


SINGLE = [
    (words, action.option_strings[-1])
    for words, make in PARSERS.items()
    for action in make()._actions
    if action.option_strings and action.nargs is None and not isinstance(action, argparse._AppendAction)
]


@pytest.mark.parametrize(("words", "option"), SINGLE, ids=str)
def test_an_option_with_one_value_is_taken_once(words: str, option: str) -> None:
    parser = PARSERS[words]()
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


SOLVING = {"ortools", "scipy", "networkx", "joblib", "numba", "matplotlib", "distributed"}
HEAVY = SOLVING | {"numpy", "rich", "shtab"}


USAGE_ERRORS = (["--strategy", "spred"], ["check"], ["chek"], ["hw", "chek"], ["sweep", "--vary", "x"])
LIGHT: list[tuple[list[str], int, set[str]]] = [
    *((argv, 0, HEAVY) for argv in (["--help"], ["--version"], *([name, "--help"] for name in COMMANDS))),
    *((argv, 2, HEAVY) for argv in USAGE_ERRORS),
    (["--model", "nosuch"], 2, HEAVY),
    (["--hw", "nosuch", "--model", "minilm-l6"], 2, HEAVY),
    (["list"], 0, SOLVING | {"numpy"}),
    (["--structure", "3,x", "--model", "minilm-l6"], 2, SOLVING),
    (["hw", "check", "nosuch"], 2, SOLVING),
    (["hw", "schema"], 0, SOLVING),
]
"""Command line, its exit code, and modules that neither it nor those before it import."""


def test_help_and_usage_errors_import_nothing_heavy_and_what_is_shipped_no_solver() -> None:
    code = (
        "import sys; from cimsolve.__main__ import main\n"
        f"told = [(argv, main(argv), modules & set(sys.modules)) for argv, _, modules in {LIGHT}]\n"
        "print(told, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = ast.literal_eval(done.stderr.splitlines()[-1].replace("set()", "{}"))
    assert told == [(argv, code, {}) for argv, code, _ in LIGHT]


@pytest.mark.parametrize(
    ("text", "pj"),
    [("12", 12.0), ("0.1nJ", 100.0), ("12uJ", 12e6), ("1e3", 1e3), (" .5 mJ ", 5e8), ("1.5e-1J", 1.5e11)],
)
def test_quantities_may_have_a_unit(text: str, pj: float) -> None:
    assert values.quantity("energy", "12uJ")(text) == pj


@pytest.mark.parametrize(
    "words",
    [
        "--adcs 4 --converter sar --set array.rows=64 --structure dense --structure '*.q=sqrt' --tokens 9 --cut both",
        "--strategy spread,optimal --exact --start a.json --objective latency:0.7+energy:0.3 --workers 2 --out there",
        "pareto --hw paper256 --max-arrays +7.5% --max-latency 60us --max-energy 12.5uJ --time-limit 12",
        "compare --hw rram256 --hw paper256 --model a,b --reference spread --seed 4 --jobs 2 --cache kept",
        "sensitivity --strategy linear,spread --time-limit 0.5",
        "sweep --vary 'structure=32,32,1;sqrt' --vary 'structure+cut=4,4,1;' --front latency,energy --plot p.svg",
        "sweep study.json --jobs 2 --cluster tcp://head:8786",
        "accuracy --weights w --method als --compression 2,3.5 --bits 7 --text a --text b --set cell.bits=4",
    ],
)
def test_the_command_of_options_asks_the_same_again(words: str) -> None:
    options: Any = parse_command(shlex.split(words))[1]
    command = options.command()
    assert parse_command(shlex.split(command)[1:])[1] == options
    assert len(shlex.split(command)) < 30  # defaults are left out


def test_the_command_of_options_leaves_out_how_it_is_told() -> None:
    plain, told = (parse_command(["sweep", "--vary", "seed=1,2", *more])[1] for more in ([], ["--json", "--fresh"]))
    assert told.command() == plain.command()
