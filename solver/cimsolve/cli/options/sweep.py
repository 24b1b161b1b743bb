"""`cimsolve sweep`: a grid of questions, each solved once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser
from cimsolve.cli.options.question import QUESTION_NAMES, add_question
from cimsolve.cli.options.search import STRATEGY_NAMES, add_objective, add_seed
from cimsolve.cli.options.table import TableOptions, add_execution, add_table_output, table_options
from cimsolve.cli.places import Place
from cimsolve.cli.values import axis, names, seconds
from cimsolve.problem.objective import OBJECTIVES

DEFAULT_FRONT = ("latency", "area", "energy")

_EPILOG = """\
keys of --vary:
  any key of the hardware spec (adc.per_array, array.rows, cell.bits, ...), and of the question: hw, model,
  structure, strategy, objective, cut, tokens, max_arrays, max_latency_ns, max_energy_pj, seed
  array.rows+array.cols=128,256   gives both keys the same value in every point
  max_latency_ns=30us,1ms         limits may have a unit, as those of --max-latency and --max-energy
  structure=32,32,1;sqrt          values with commas of their own are set apart by semicolons

exit codes:
  0    every point is solved, infeasible or refused with a reason, and all answers passed the checker
  1    an answer failed its check, or no point is solved
  2    a wrong option, key or file
  130  interrupted; what is finished is kept, and the same command goes on from there

examples:
  cimsolve sweep --vary adc.per_array=4,8,16,32 --vary array.rows+array.cols=128,256,512
  cimsolve sweep --model minilm-l6 --hw paper256 --vary strategy=spread,optimal --vary adc.per_array=4,8 --format csv
  cimsolve sweep study.json --jobs 2 --plot front.svg
  cimsolve sweep study.json --cluster tcp://head:8786
"""


@dataclass(frozen=True, kw_only=True)
class SweepOptions(TableOptions):
    """`cimsolve sweep`: a grid of questions. With a `study` file the question is in it and not here."""

    study: str | None
    vary: tuple[tuple[str, tuple[str, ...]], ...]
    strategies: tuple[str, ...]
    front: tuple[str, ...]
    """Objectives in which points of the front are not beaten."""
    plot: str | None

    @property
    def places(self) -> tuple[Place, ...]:
        return (*super().places, *([] if self.plot is None else [Place("--plot", self.plot)]))


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve sweep",
        usage="cimsolve sweep [STUDY.json | --vary KEY=V1,V2,... ...] [options]",
        description="Solve every combination of the values given, check each answer, and mark those that no other "
        "beats. Results are kept by content: a second run solves only what changed, a stopped one goes on.",
        epilog=_EPILOG,
    )
    parser.add_argument("study", nargs="?", metavar="STUDY.json", help="the whole question and its axes, as a file")
    add_question(parser)
    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--vary",
        action="append",
        type=axis,
        default=[],
        metavar="KEY=V1,V2,...",
        help="values of a key; repeatable, every combination is a point",
    )
    grid.add_argument(
        "--strategy",
        type=names("strategy", STRATEGY_NAMES),
        default=("optimal",),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(STRATEGY_NAMES)} (default: optimal)",
    )
    add_objective(grid)
    add_seed(grid)
    grid.add_argument("--time-limit", type=seconds, metavar="SECONDS", help="brake of each point's search")
    add_execution(parser)
    output = add_table_output(parser, "only the table")
    output.add_argument(
        "--front",
        type=names("objective", OBJECTIVES),
        default=DEFAULT_FRONT,
        metavar="NAME[,NAME]",
        help="mark the points that no other of the same model beats in these (default: latency,area,energy)",
    )
    output.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the points by the first two names of --front, as .svg, .png or .pdf; needs cimsolve[plot]",
    )
    return parser


def parse(arguments: Sequence[str]) -> SweepOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    keys = [key for key, _ in found.vary]
    if found.study is not None:
        why = f"{found.study} states the whole question; change it there"
        parser.demand_absent(arguments, (*QUESTION_NAMES, "vary", "strategy", "objective", "seed", "time_limit"), why)
    elif not keys and len(found.strategy) == 1:
        parser.error("--vary: nothing is varied; expected KEY=V1,V2,... such as adc.per_array=4,8,16 or a study file")
    for key in keys:
        if keys.count(key) > 1 or (key == "strategy" and len(found.strategy) > 1):
            parser.error(f"--vary {key}: is given twice; expected all its values in one")
    return SweepOptions(
        **table_options(found),
        study=found.study,
        vary=tuple(found.vary),
        strategies=tuple(found.strategy),
        front=tuple(found.front),
        plot=found.plot,
    )
