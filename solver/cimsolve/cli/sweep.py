"""`cimsolve sweep`: a grid of questions, each solved once, and the front among them."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Self

from cimsolve.cli.drawing import SizeOptions, plot_option
from cimsolve.cli.parser import Parser, option, output_option, verbosity
from cimsolve.cli.question import QuestionOptions, objective_option, seed_option, time_limit_option
from cimsolve.cli.short import batch_option, chips_option, when_short_option
from cimsolve.cli.studying import (
    TableOptions,
    exit_code,
    read_value,
    solve_study,
    study_of,
    tell_interrupted,
)
from cimsolve.cli.values import Names, axis, axis_text
from cimsolve.errors import InputError
from cimsolve.problem.objective import OBJECTIVES
from cimsolve.solve.names import STRATEGY_NAMES

if TYPE_CHECKING:
    from cimsolve.study.sweep.grid import SweepStudy, Value


class Options(SizeOptions, TableOptions, QuestionOptions):
    """`cimsolve sweep`: a grid of questions. With a `study` file the question is in it and not here."""

    usage = "cimsolve sweep [STUDY.json | --vary KEY=V1,V2,... ...] [options]"
    about = (
        "Solve every combination of the values given, check each answer, and mark those that no other beats. Results "
        "are kept by content: a second run solves only what changed, a stopped one goes on."
    )
    epilog = """\
keys of --vary:
  any key of the hardware spec (adc.per_array, array.rows, cell.bits, ...), and of the question: hw, model,
  structure, strategy, objective, cut, tokens, source_tokens, max_arrays, max_latency_ns, max_energy_pj, seed,
  when_short, batch, chips
  array.rows+array.cols=128,256   gives both keys the same value in every point
  max_latency_ns=30us,1ms         limits may have a unit, as those of --max-latency and --max-energy
  structure=32,32,1;sqrt          values with commas of their own are set apart by semicolons

exit codes:
  0    every point is solved, infeasible or refused with a reason, and all answers passed the checker
  1    an answer failed its check, or no point is solved
  2    a wrong option, key or file
  130  interrupted (by SIGTERM: 143); what is finished is kept, and the same command goes on from there

examples:
  cimsolve sweep --vary adc.per_array=4,8,16,32 --vary array.rows+array.cols=128,256,512
  cimsolve sweep --when-short rounds --vary array.count=8,32,128 --plot curve.svg --along array.count
  cimsolve sweep --model minilm-l6 --hw paper256 --vary strategy=spread,optimal --vary adc.per_array=4,8 --format csv
  cimsolve sweep study.json --jobs 2 --plot front.svg
  cimsolve sweep study.json --cluster tcp://head:8786
"""

    study: str | None = option("STUDY.json", "the whole question and its axes, as a file", nargs="?", complete="file")
    vary: tuple[tuple[str, tuple[str, ...]], ...] = option(
        "--vary KEY=V1,V2,...",
        "values of a key; repeatable, every combination is a point",
        axis,
        (),
        repeat=tuple,
        shown=axis_text,
        group="grid",
    )
    strategies: tuple[str, ...] = option(
        "--strategy NAME[,NAME]",
        f"of {', '.join(STRATEGY_NAMES)} (default: {{default}})",
        Names("strategy", STRATEGY_NAMES),
        ("optimal",),
        group="grid",
    )
    objective: tuple[str, ...] = objective_option(group="grid")
    seed: int = seed_option("default: {default}", group="grid")
    time_limit_s: float | None = time_limit_option("brake of each point's search", group="grid")
    when_short: str = when_short_option(group="grid")
    batch: int | None = batch_option(group="grid")
    chips: int | None = chips_option(group="grid")
    verbosity: int = verbosity("only the table")
    front: tuple[str, ...] = output_option(
        "--front NAME[,NAME]",
        "mark the points that no other of the same model beats in these (default: {default})",
        Names("objective", OBJECTIVES),
        ("latency", "area", "energy"),
    )
    """Objectives in which points of the front are not beaten."""
    plot: str | None = plot_option(
        help="draw the points by the first two names of --front, as .svg, .png or .pdf; needs cimsolve[plot]"
    )
    along: str | None = output_option(
        "--along KEY", "draw in --plot the first name of --front and its bounds along the values of this varied key"
    )

    def command(self, without: Collection[str] = ()) -> str:
        return super().command(without if self.study is None else (*without, "question"))

    def settled(self, parser: Parser) -> Self:
        self.demand_drawing(parser, self.plot, "--plot FILE")
        if self.plot is None:
            parser.demand_absent(["--along"], "is of a drawing; expected --plot FILE with it")
        elif self.along is None and len(self.front) < 2:
            parser.error(f"--plot {self.plot}: needs two names in --front, for the two axes; add one")
        keys = [key for key, _ in self.vary]
        if self.study is not None:
            parser.demand_absent(("question", "grid"), f"{self.study} states the whole question; change it there")
        elif not keys and len(self.strategies) == 1:
            parser.error(
                "--vary: nothing is varied; expected KEY=V1,V2,... such as adc.per_array=4,8,16 or a study file"
            )
        for key in keys:
            if keys.count(key) > 1 or (key == "strategy" and len(self.strategies) > 1):
                parser.error(f"--vary {key}: is given twice; expected all its values in one")
        return self


def run(options: Options) -> int:
    """Solve all points that are not kept, show them; returns the exit code.

    Raises InputError where the study is none, FailedError where processes die.
    """
    from cimsolve.show.text.scatter import demand_drawable, draw, drawing_along, drawing_of_study
    from cimsolve.show.text.sweep import Swept, print_swept
    from cimsolve.study.sweep.grid import read_study

    if options.plot is not None:
        demand_drawable(options.plot)
    study = read_study(options.study) if options.study is not None else _study(options)
    if options.along is not None and options.along not in study.vary:
        raise InputError(f"--along {options.along}: expected one of the keys varied: {', '.join(study.vary)}")
    began = time.monotonic()
    solved, done = solve_study(study, options)
    swept = Swept(
        axes=list(study.vary),
        rows=solved,
        front=options.front,
        seconds=time.monotonic() - began,
        command=options.command(),
        plot=options.plot if any(one.has_figures for one in solved) else None,
        along=options.along,
    )
    code = exit_code(done, [one.state for one in solved])
    if swept.plot is not None:
        drawing = drawing_of_study(swept) if options.along is None else drawing_along(swept, options.along)
        draw(drawing, swept.plot, options.width_in, options.dpi)
    print_swept(swept, options.format, options.verbosity, code)
    tell_interrupted(done, options)
    return code


def _study(options: Options) -> SweepStudy:
    # Keys joined by + are read alike: they take one value.
    vary: dict[str, list[Value]] = {
        key: [read_value(key.split("+")[0], value) for value in values] for key, values in options.vary
    }
    if len(options.strategies) > 1:
        vary["strategy"] = list(options.strategies)
    return study_of(
        options,
        vary,
        hw=options.hardware,
        model=options.model,
        strategy=options.strategies[0],
        objective=list(options.objective),
        seed=options.seed,
        time_limit_s=options.time_limit_s,
        when_short=options.when_short,
        batch=options.batch,
        chips=options.chips,
    )
