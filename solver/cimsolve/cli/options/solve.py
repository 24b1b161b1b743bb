"""`cimsolve`: map a model by some strategies."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cimsolve import __version__
from cimsolve.cli import COMMANDS
from cimsolve.cli.options.parser import Parser, add_output, flat
from cimsolve.cli.options.question import QuestionOptions, add_question, question_options
from cimsolve.cli.options.search import STRATEGY_NAMES, add_objective, add_seed, add_strategies
from cimsolve.cli.places import Place
from cimsolve.cli.values import one_of, seconds, whole

# Names of the heavy modules, repeated so that help and refusals need not import those; a test compares them.

SIMULATE_NAMES = ("layer", "all", "none")

WORKERS_MAX = 1024

_EPILOG = """\
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


class _Version(argparse._VersionAction):
    """Prints the versions on which results depend; they are looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *where: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        libraries = [f"python {platform.python_version()}"]
        for name in ("numpy", "scipy", "ortools"):
            try:
                libraries.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                libraries.append(f"{name} missing")
        self.version = f"cimsolve {__version__} ({', '.join(libraries)})"
        super().__call__(parser, *where)


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
    weights: str | None
    """A file of factors to simulate."""

    @property
    def places(self) -> tuple[Place, ...]:
        return (Place("--out", self.out, folder=True),)


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve",
        commands=tuple(COMMANDS),
        usage="cimsolve [options] | cimsolve COMMAND ...",
        description="Place and schedule a language model on compute-in-memory arrays, with a proof or a gap.",
        epilog=f"{_commands()}\n{_EPILOG}",
    )
    parser.add_argument("--version", action=_Version, help="show the versions of cimsolve and its libraries and exit")
    add_question(parser)
    search = parser.add_argument_group("search")
    add_strategies(search)
    add_objective(search)
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
    add_seed(search)
    search.add_argument(
        "--workers",
        type=whole(1, WORKERS_MAX),
        default=1,
        metavar="N",
        help="search threads (default: %(default)s)",
    )
    output = add_output(parser, "only the table of strategies", "also breakdowns, proofs and sources")
    output.add_argument(
        "--simulate",
        type=one_of(SIMULATE_NAMES),
        default="layer",
        metavar="WHAT",
        help="of each answer the first layer, all layers or none: layer, all, none (default: %(default)s)",
    )
    output.add_argument(
        "--weights",
        metavar="FILE",
        help="factors that `cimsolve project --out` wrote: simulated as stored, and the structure is theirs",
    )
    return parser


def parse(arguments: Sequence[str]) -> SolveOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    strategies = flat(found.strategy) or STRATEGY_NAMES
    for option, given in (("--exact", found.exact), ("--start", found.start is not None)):
        if given and "optimal" not in strategies:
            parser.error(f"{option}: of the strategies only optimal searches; expected it in --strategy")
    return SolveOptions(
        **question_options(found),
        strategies=strategies,
        objective=tuple(found.objective),
        exact=found.exact,
        start=found.start,
        time_limit_s=found.time_limit,
        seed=found.seed,
        workers=found.workers,
        simulate=found.simulate,
        weights=found.weights,
    )


def _commands() -> str:
    """What the first word may be; each has a --help of its own."""
    listed = {"[options]": "map a model and compare strategies: the options above"}
    listed |= {f"{name} {words}".strip(): does for name, (words, does) in COMMANDS.items()}
    width = max(map(len, listed)) + 2
    return "".join(["commands:\n", *(f"  cimsolve {words:<{width}}{does}\n" for words, does in listed.items())])
