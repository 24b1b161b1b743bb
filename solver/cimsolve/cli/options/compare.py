"""`cimsolve compare`: strategies, specs and models side by side, or two solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, flat
from cimsolve.cli.options.question import DEFAULT_HARDWARE, DEFAULT_MODEL, QUESTION_NAMES, add_question
from cimsolve.cli.options.search import (
    STRATEGY_NAMES,
    add_objective,
    add_reference,
    add_seed,
    add_strategies,
    reference_of,
)
from cimsolve.cli.options.table import TableOptions, add_execution, add_table_output, table_options
from cimsolve.cli.places import Place
from cimsolve.cli.values import seconds, whole

DEFAULT_STAGES = 8
GRID_NAMES = ("strategy", "reference", "objective", "seed", "time_limit", "jobs", "cluster", "cache", "fresh", "out")
"""Where options are kept that two files leave nothing to do."""

_EPILOG = """\
With two files: both are checked again; then what moved (arrays matched up to their numbers), what it bought, and
which stages take longer or shorter.

exit codes:
  0    done, and every answer passed the checker
  1    an answer failed its check, or no question has an answer
  2    a wrong option or a file that cannot be used
  130  interrupted; what is finished is kept, and the same command goes on from there

examples:
  cimsolve compare --hw rram256,paper256 --model bert-large,minilm-l6 --strategy spread,optimal
  cimsolve compare --hw pcm256 --model minilm-l6 --reference spread --format markdown
  cimsolve compare results/minilm-l6--paper256--spread.json results/minilm-l6--paper256--optimal.json
"""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(TableOptions):
    """`cimsolve compare`: a grid, or two `files` and nothing of the question."""

    files: tuple[str, ...]
    specs: tuple[str, ...]
    models: tuple[str, ...]
    strategies: tuple[str, ...]
    reference: str
    stages: int
    """Most kinds of stages shown of two files."""

    @property
    def places(self) -> tuple[Place, ...]:
        return () if self.files else super().places


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve compare",
        usage="cimsolve compare [options] | cimsolve compare A.json B.json [options]",
        description="Set strategies side by side on every spec and model given, with ratios to one of them and gaps "
        "to the bounds; or set one solution file against another.",
        epilog=_EPILOG,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="two solutions, as written to results/")
    add_question(parser, several=True)
    search = parser.add_argument_group("search")
    add_strategies(search)
    add_reference(search)
    add_objective(search)
    add_seed(search)
    search.add_argument("--time-limit", type=seconds, metavar="SECONDS", help="brake of each search")
    add_execution(parser)
    output = add_table_output(parser, "only the tables")
    output.add_argument(
        "--stages",
        type=whole(0, 10_000),
        default=DEFAULT_STAGES,
        metavar="N",
        help="of two files: kinds of stages shown, those that differ most first (default: %(default)s)",
    )
    return parser


def parse(arguments: Sequence[str]) -> CompareOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    strategies = flat(found.strategy) or STRATEGY_NAMES
    if len(found.files) not in (0, 2):
        parser.error(f"FILE: got {len(found.files)}, expected two solution files, or none and options")
    if found.files:
        parser.demand_absent(arguments, QUESTION_NAMES, "two files state their own questions; leave it out")
        parser.demand_absent(arguments, GRID_NAMES, "is of a comparison that is solved; leave it out")
    else:
        parser.demand_absent(arguments, ("stages",), "is of two files; give them, or leave it out")
    specs, models = flat(found.hw) or (DEFAULT_HARDWARE,), flat(found.model) or (DEFAULT_MODEL,)
    return CompareOptions(
        **{**table_options(found), "hardware": specs[0], "model": models[0]},
        files=tuple(found.files),
        specs=specs,
        models=models,
        strategies=strategies,
        reference=reference_of(parser, found.reference, strategies),
        stages=found.stages,
    )
