"""`cimsolve pareto`: the front of arrays against latency, prefill, II and energy; every point checked and written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from cimsolve.cli.drawing import SizeOptions, plot_option
from cimsolve.cli.limits import settle_limits
from cimsolve.cli.parser import Parser, output_option, verbosity
from cimsolve.cli.question import GraphOptions, answers_option, file_name, problem_of, time_limit_option
from cimsolve.cli.studying import format_option
from cimsolve.cli.values import Names
from cimsolve.errors import EXIT_DONE, EXIT_FAILED
from cimsolve.problem.objective import OBJECTIVES
from cimsolve.solve.names import DEFAULT_RULES
from cimsolve.study.interrupts import interrupted_exit_code


class Options(SizeOptions, GraphOptions):
    usage = "cimsolve pareto [options]"
    about = (
        "Find the mappings that none found beats in arrays, token latency, prefill, II and energy at once; check and "
        "write each, and compare the rules with them. Exit codes as of cimsolve."
    )
    epilog = """\
A point marked * in a column is proved: no mapping on as many arrays has less. Every point is written to --out as
a solution of its own.

examples:
  cimsolve pareto --hw paper256
  cimsolve pareto --hw rram256 --model minilm-l6 --adcs 16 --max-arrays 400
  cimsolve pareto --model gpt2-medium --max-latency 60us --time-limit 120 --json
  cimsolve pareto --model minilm-l6 --plot front.pdf --width 3.5in
"""

    time_limit_s: float = time_limit_option(
        "brake of the search; where it strikes, two runs may differ (default: {default})", default=600.0
    )
    out: str = answers_option()
    format: str = format_option()
    plot: str | None = plot_option(
        help="draw the points, joined in the figures of --axes, and the rules beside them, as .svg, .png or .pdf; "
        "needs cimsolve[plot]"
    )
    axes: tuple[str, ...] = output_option(
        "--axes NAME,NAME",
        f"the two figures of --plot, of {', '.join(OBJECTIVES)} (default: {{default}})",
        Names("figure", OBJECTIVES),
        ("arrays", "latency"),
    )
    verbosity: int = verbosity("only the tables", "what each point was found by")

    def settled(self, parser: Parser) -> Self:
        self.demand_drawing(parser, self.plot, "--plot FILE")
        if self.plot is None:
            parser.demand_absent(["--axes"], "is of a drawing; expected --plot FILE with it")
        if len(self.axes) != 2:
            parser.error(f"--axes {','.join(self.axes)}: expected two names, such as arrays,energy")
        return self


def run(options: Options) -> int:
    """Find, check, write and show the front; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where the limits leave no mapping.
    """
    from cimsolve.solve.effort import Effort

    command, effort = options.command(), Effort(options.time_limit_s)
    settled = settle_limits(options, problem_of, lambda: effort, options.verbosity >= 0)
    options, problem = settled.options, settled.problem

    from cimsolve.show.text.console import say
    from cimsolve.show.text.front import print_front
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.question import print_question
    from cimsolve.show.text.scatter import demand_drawable, draw, drawing_of_front
    from cimsolve.study.ask import Asked, write_checked
    from cimsolve.study.front import FrontRun

    if options.plot is not None:
        demand_drawable(options.plot)
    asked = Asked(
        problem=problem,
        strategies=DEFAULT_RULES,
        objective=(),
        seed=0,
        changes=options.changes,
        simulated="none: every point is checked",
        command=command,
        limits=settled.told,
        time_limit_s=options.time_limit_s,
    )
    if options.format == "table" and options.verbosity >= 0:
        print_question(asked, options.verbosity)
    progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
    run = FrontRun(
        problem,
        replace(effort, start=settled.start),
        lambda answer, report, label: write_checked(
            answer, report, Path(options.out), file_name(options, problem, ["pareto", label])
        ),
        progress,
    )
    with progress:
        found = run.found()
    code = interrupted_exit_code() if run.interrupted else EXIT_FAILED if found.broken else EXIT_DONE
    if options.plot is not None:
        draw(drawing_of_front(found, options.axes), options.plot, options.width_in, options.dpi)
    print_front(asked, found, options.plot, options.format, options.verbosity, code)
    if run.interrupted:
        say("interrupted; the front may lack points")
    return code
