"""`cimsolve sweep`: a grid of questions, each solved once, and the front among them."""

from __future__ import annotations

import time
from pathlib import Path

from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from cimsolve.cli.options.sweep import SweepOptions
from cimsolve.cli.question import question_words
from cimsolve.cli.studying import Execution, read_value, row_command, solve_all, study_of, sweep_command
from cimsolve.show.text.console import say
from cimsolve.show.text.scatter import demand_drawable, draw_swept
from cimsolve.show.text.sweep import Swept, print_swept
from cimsolve.study.sweep.grid import Study, expand, read_study
from cimsolve.study.sweep.run import SolvedRow


def run(options: SweepOptions) -> int:
    """Solve all points that are not kept, show them; returns the exit code.

    Raises InputError where the study is none, FailedError where processes die.
    """
    if options.plot is not None:
        demand_drawable(options.plot, options.front)
    study = read_study(options.study) if options.study is not None else _study(options)
    began = time.monotonic()
    rows = expand(study)
    shown = options.format == "table" and options.verbosity >= 0
    cache = Path(options.cache_folder)
    done = solve_all(rows, Execution(options.jobs, options.cluster, cache, options.fresh, shown))
    solved = []
    for row in rows:
        digest = "" if row.point is None else row.point.digest()
        solved.append(SolvedRow(row, done.records.get(digest), digest in done.kept, row_command(row)))
    swept = Swept(
        axes=list(study.vary),
        rows=solved,
        front=options.front,
        seconds=time.monotonic() - began,
        command=sweep_command(options, question_words(options)),
        plot=options.plot if any(one.has_figures for one in solved) else None,
    )
    broken = any(one.state == "failed" for one in solved) or not any(one.has_figures for one in solved)
    code = EXIT_INTERRUPTED if done.interrupted else EXIT_FAILED if broken else EXIT_DONE
    if swept.plot is not None:
        draw_swept(swept, swept.plot)
    print_swept(swept, options.format, options.verbosity, code)
    if done.interrupted:
        say(f"interrupted; {len(done.records)} results are kept in {cache}: the same command goes on from there")
    return code


def _study(options: SweepOptions) -> Study:
    # Keys joined by + are read alike: they take one value.
    vary = {key: [read_value(key.split("+")[0], value) for value in values] for key, values in options.vary}
    if len(options.strategies) > 1:
        vary["strategy"] = list(options.strategies)
    return study_of(
        options,
        vary,
        strategy=options.strategies[0],
        objective=list(options.objective),
        seed=options.seed,
        time_limit_s=options.time_limit_s,
    )
