"""What the user asks on the command line, as plain data. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from cimsolve import __version__
from cimsolve.cli.values import names, near, one_of, quantity, seconds, setting, whole
from cimsolve.errors import InputError

# Names of the heavy modules, repeated so that help and refusals need not import those; a test compares them.
STRATEGY_NAMES = ("linear", "sparsemap", "densemap", "spread", "optimal")
OBJECTIVE_NAMES = ("arrays", "latency", "prefill", "throughput", "energy", "area")
CUT_NAMES = ("none", "columns", "both")

SIMULATE_NAMES = ("layer", "all", "none")

DEFAULT_HARDWARE = "rram256"
DEFAULT_MODEL = "bert-large"
DEFAULT_OBJECTIVE = ("arrays", "latency")
DEFAULT_OUT = "results"
WORKERS_MAX = 1024
SEED_MAX = 2**31 - 1
FRONT_TIME_LIMIT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """What is asked, and where answers go; limits and `tokens`: None for none and for the default."""

    hardware: str
    model: str
    structures: tuple[str, ...]
    tokens: int | None
    max_arrays: int | None
    max_latency_ns: float | None
    max_energy_pj: float | None
    cut: str
    settings: tuple[tuple[str, str], ...]
    """Keys of the hardware spec that are changed, with their new values; --adcs among them."""
    out: str
    json: bool
    verbosity: int
    """-1: quiet, 0: the report, 1: with breakdowns."""


@dataclass(frozen=True, kw_only=True)
class SolveOptions(QuestionOptions):
    """`cimsolve`: map a model by some strategies. `time_limit_s`: None for the default."""

    strategies: tuple[str, ...]
    objective: tuple[str, ...]
    exact: bool
    start: str | None
    """A solution file to start from."""
    time_limit_s: float | None
    seed: int
    workers: int
    simulate: str


@dataclass(frozen=True, kw_only=True)
class FrontOptions(QuestionOptions):
    """`cimsolve pareto`: what each further array buys."""

    time_limit_s: float


@dataclass(frozen=True)
class CheckOptions:
    """`cimsolve check`: judge solution files."""

    files: tuple[str, ...]
    json: bool
    verbosity: int


@dataclass(frozen=True)
class ListOptions:
    """`cimsolve list`: what is shipped."""


@dataclass(frozen=True)
class ProjectOptions:
    """`cimsolve project`: what block-diagonal storage loses on real weights."""

    model: str
    structures: tuple[str, ...]
    verbosity: int


Options = SolveOptions | FrontOptions | CheckOptions | ListOptions | ProjectOptions

COMMANDS = ("pareto", "check", "list", "project")

_EPILOG = """\
commands:
  cimsolve [options]               map a model and compare strategies: the options above
  cimsolve pareto [options]        the front of arrays against latency, prefill, II and energy
  cimsolve check FILE...           verify solution files and recompute their figures
  cimsolve list                    shipped models and hardware specs, strategies, objectives
  cimsolve project --model FOLDER  error of block-diagonal storage on the model's real weights

limits:
  --max-latency and --max-energy take a number in ns and pJ, or one with a unit: 60us, 1.5ms, 12uJ, 0.5mJ

exit codes:
  0    done, and every answer passed the checker and the simulation
  1    an answer failed its check or simulation, or no mapping was found under the limits by `optimal`, or by
       any strategy (a rule that finds none is reported and does not fail the run while others succeed)
  2    a wrong option or a file that cannot be used
  130  interrupted; what was found until then is checked and written

examples:
  cimsolve --hw rram256.json
  cimsolve --hw paper256 --model llama-3-8b --strategy spread,optimal --adcs 4
  cimsolve --model weights/minilm --structure dense --structure '*.query=lowrank:32' --set array.rows=128
"""


def parse_arguments(argv: Sequence[str]) -> Options:
    """What `argv` asks for. Raises InputError; SystemExit once --help or --version is printed."""
    arguments = list(argv)
    if arguments and arguments[0] in COMMANDS:
        return _PARSE[arguments[0]](arguments[1:])
    return _parse_solve(arguments)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose refusals are one line, raised as InputError."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
            **settings,
        )
        self.add_argument("-h", "--help", action="help", help="show this help and exit")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{_one_line(message.removeprefix('argument '))}; see {self.prog} --help")

    def parse_known(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse all of `arguments`; what is left over is refused with the nearest option."""
        found, unknown = self.parse_known_args(list(arguments))
        if unknown:
            word = unknown[0].partition("=")[0]
            options = [text for action in self._actions for text in action.option_strings]
            hint = near(word, options if word.startswith("-") else COMMANDS)
            kind = "option" if word.startswith("-") else "command"
            self.error(f"{word}: there is no such {kind}{hint}")
        return found


def _parse_solve(arguments: Sequence[str]) -> SolveOptions:
    parser = _Parser(
        prog="cimsolve",
        usage="cimsolve [options] | cimsolve pareto [options] | cimsolve check FILE... | cimsolve list\n"
        "       cimsolve project --model FOLDER",
        description="Place and schedule a language model on compute-in-memory arrays, with a proof or a gap.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"cimsolve {__version__}")
    _add_question(parser)
    search = parser.add_argument_group("search")
    search.add_argument(
        "--strategy",
        action="append",
        type=names("strategy", STRATEGY_NAMES),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(STRATEGY_NAMES)}; repeatable (default: all)",
    )
    search.add_argument(
        "--objective",
        type=names("objective", OBJECTIVE_NAMES),
        default=DEFAULT_OBJECTIVE,
        metavar="NAME[,NAME]",
        help="what `optimal` minimises, first things first (default: arrays,latency)",
    )
    search.add_argument(
        "--exact",
        action="store_true",
        help="solve `optimal` by one exact model to the end; refused where the problem is too large for it",
    )
    search.add_argument(
        "--start",
        metavar="FILE",
        help="a solution of the same question, limits apart, that `optimal` starts from and does not get worse than",
    )
    search.add_argument(
        "--time-limit",
        type=seconds,
        metavar="SECONDS",
        help="brake of the search; without it results repeat",
    )
    search.add_argument("--seed", type=whole(0, SEED_MAX), default=0, metavar="N", help="default: %(default)s")
    search.add_argument(
        "--workers",
        type=whole(1, WORKERS_MAX),
        default=1,
        metavar="N",
        help="search threads (default: %(default)s)",
    )
    output = _add_output(parser, "only the table of strategies", "also breakdowns, proofs and sources")
    output.add_argument(
        "--simulate",
        type=one_of(SIMULATE_NAMES),
        default="layer",
        metavar="WHAT",
        help="of each answer the first layer, all layers or none: layer, all, none (default: %(default)s)",
    )
    found = parser.parse_known(arguments)
    strategies = _flat(found.strategy) or STRATEGY_NAMES
    for option, given in (("--exact", found.exact), ("--start", found.start is not None)):
        if given and "optimal" not in strategies:
            parser.error(f"{option}: of the strategies only optimal searches; expected it in --strategy")
    return SolveOptions(
        **_question_options(found),
        strategies=strategies,
        objective=tuple(found.objective),
        exact=found.exact,
        start=found.start,
        time_limit_s=found.time_limit,
        seed=found.seed,
        workers=found.workers,
        simulate=found.simulate,
    )


def _parse_pareto(arguments: Sequence[str]) -> FrontOptions:
    parser = _Parser(
        prog="cimsolve pareto",
        usage="cimsolve pareto [options]",
        description="Find the mappings that none found beats in arrays, token latency, prefill, II and energy at "
        "once; check and write each, and compare the rules with them. Exit codes as of cimsolve.",
    )
    _add_question(parser)
    search = parser.add_argument_group("search")
    search.add_argument(
        "--time-limit",
        type=seconds,
        default=FRONT_TIME_LIMIT_S,
        metavar="SECONDS",
        help="brake of the search; where it strikes, two runs may differ (default: %(default)g)",
    )
    _add_output(parser, "only the tables", "")
    found = parser.parse_known(arguments)
    return FrontOptions(**_question_options(found), time_limit_s=found.time_limit)


def _parse_check(arguments: Sequence[str]) -> CheckOptions:
    parser = _Parser(
        prog="cimsolve check",
        description="Verify solution files with an independent checker and recompute their figures. "
        "Exit codes: 0 all hold, 1 one fails, 2 one cannot be read.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    _add_verbosity(parser, "one line a file", "every violation, and the proofs of the bounds")
    found = parser.parse_known(arguments)
    return CheckOptions(tuple(found.files), found.json, found.verbosity)


def _parse_list(arguments: Sequence[str]) -> ListOptions:
    _Parser(prog="cimsolve list", description="Show shipped models, hardware specs, strategies.").parse_known(arguments)
    return ListOptions()


def _parse_project(arguments: Sequence[str]) -> ProjectOptions:
    parser = _Parser(
        prog="cimsolve project",
        description="Project a model's real weights onto block-diagonal factors; show the relative error "
        "of each linear beside that of a plain low-rank product of equal size.",
    )
    parser.add_argument(
        "--model", required=True, metavar="FOLDER", help="a folder with a config.json and *.safetensors"
    )
    parser.add_argument(
        "--structure",
        action="append",
        default=[],
        metavar="[PATTERN=]HOW",
        help="as of cimsolve (default: sqrt)",
    )
    _add_verbosity(parser, "only the means", "")
    found = parser.parse_known(arguments)
    return ProjectOptions(found.model, tuple(found.structure), found.verbosity)


_PARSE: dict[str, Callable[[Sequence[str]], Options]] = {
    "pareto": _parse_pareto,
    "check": _parse_check,
    "list": _parse_list,
    "project": _parse_project,
}


def _add_question(parser: argparse.ArgumentParser) -> None:
    """The options of QuestionOptions, all but those of the output."""
    question = parser.add_argument_group("question")
    question.add_argument(
        "--hw",
        default=DEFAULT_HARDWARE,
        metavar="SPEC",
        help="shipped name or JSON file (default: %(default)s)",
    )
    question.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="shipped name, Hugging Face config.json, or a folder that holds one; with *.safetensors beside "
        "it the simulation uses the real weights (default: %(default)s)",
    )
    question.add_argument(
        "--structure",
        action="append",
        default=[],
        metavar="[PATTERN=]HOW",
        help="how linears are stored: dense, sqrt, k,l,T or lowrank:T, all or those whose name matches; "
        "repeatable, the last that matches counts (default: sqrt)",
    )
    question.add_argument(
        "--tokens",
        type=whole(1),
        metavar="N",
        help="context and prefill length (default: the model's, at most 512)",
    )
    question.add_argument("--max-arrays", type=whole(1), metavar="N", help="use no more arrays than this")
    question.add_argument(
        "--max-latency",
        type=quantity("time", "60us"),
        metavar="NS",
        help="a token takes no longer than this; a number in ns, or 60us",
    )
    question.add_argument(
        "--max-energy",
        type=quantity("energy", "12uJ"),
        metavar="PJ",
        help="a token takes no more energy than this; a number in pJ, or 12uJ",
    )
    question.add_argument(
        "--cut",
        type=one_of(CUT_NAMES),
        default="columns",
        metavar="WHAT",
        help="what `optimal` may cut beyond what it must: none, columns or both (default: %(default)s)",
    )
    question.add_argument(
        "--adcs", type=whole(1), metavar="N", help="converters of one array, short for --set adc.per_array=N"
    )
    question.add_argument(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the hardware spec, such as array.rows=128; repeatable",
    )


def _add_output(parser: argparse.ArgumentParser, quiet: str, verbose: str) -> argparse._ArgumentGroup:
    """Where answers go and how much is said."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        default=DEFAULT_OUT,
        metavar="FOLDER",
        help="where solutions are written (default: %(default)s/)",
    )
    output.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    _add_verbosity(output, quiet, verbose)
    return output


def _question_options(found: argparse.Namespace) -> dict[str, Any]:
    """The fields of QuestionOptions."""
    return {
        "hardware": found.hw,
        "model": found.model,
        "structures": tuple(found.structure),
        "tokens": found.tokens,
        "max_arrays": found.max_arrays,
        "max_latency_ns": found.max_latency,
        "max_energy_pj": found.max_energy,
        "cut": found.cut,
        "settings": _settings(found.adcs, found.set),
        "out": found.out,
        "json": found.json,
        "verbosity": found.verbosity,
    }


def _add_verbosity(parser: argparse._ActionsContainer, quiet: str, verbose: str) -> None:
    parser.set_defaults(verbosity=0)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", dest="verbosity", action="store_const", const=-1, default=0, help=quiet)
    if verbose:
        group.add_argument("-v", "--verbose", dest="verbosity", action="store_const", const=1, help=verbose)


def _flat(groups: Sequence[Sequence[str]] | None) -> tuple[str, ...]:
    """All names of a repeatable option, each once, in the order given."""
    return tuple(dict.fromkeys(name for group in groups or () for name in group))


def _settings(adcs: int | None, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Changed keys, each once, --adcs among them. Raises InputError where one gets two values."""
    found = {"adc.per_array": str(adcs)} if adcs is not None else {}
    for key, value in pairs:
        if found.get(key, value) != value:
            shown = _one_line(f"{key} is set to {found[key]} and to {value}")
            raise InputError(f"{shown}: expected one value")
        found[key] = value
    return tuple(found.items())


def _one_line(text: str) -> str:
    """`text` with unprintable characters escaped; jsonfile has the same, but imports pydantic."""
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode("ascii")
