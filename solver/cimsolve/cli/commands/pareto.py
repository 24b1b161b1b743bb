"""`cimsolve pareto`: the front of arrays against latency, prefill, II and energy; every point checked and written."""

from __future__ import annotations

import shlex
from pathlib import Path

from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from cimsolve.cli.options.pareto import FRONT_TIME_LIMIT_S, FrontOptions
from cimsolve.cli.question import changes_of, file_name, problem_of, question_words, words_unless_default
from cimsolve.cli.writing import write_checked
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.front import describe_front, print_front
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.question import print_question
from cimsolve.solve import RULES
from cimsolve.solve.effort import Effort
from cimsolve.study.ask import Asked
from cimsolve.study.front import FrontRun


def run(options: FrontOptions) -> int:
    """Find, check, write and show the front; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where the limits leave no mapping.
    """
    problem = problem_of(options)
    asked = Asked(
        problem=problem,
        strategies=tuple(RULES),
        objective=(),
        seed=0,
        changes=changes_of(options),
        simulated="none: every point is checked",
        command=command_line(options),
    )
    if not options.json and options.verbosity >= 0:
        print_question(asked, options.verbosity)
    progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
    run = FrontRun(
        problem,
        Effort(options.time_limit_s),
        lambda answer, report, label: write_checked(
            answer, report, Path(options.out), file_name(options, problem, ["pareto", label])
        ),
        progress,
    )
    with progress:
        found = run.found()
    code = EXIT_INTERRUPTED if run.interrupted else EXIT_FAILED if found.broken else EXIT_DONE
    if options.json:
        print_json(describe_front(asked, found, code))
    else:
        print_front(asked, found, options.verbosity)
    if run.interrupted:
        say("interrupted; the front may lack points")
    return code


def command_line(options: FrontOptions) -> str:
    """The command that asks the same again, to be pasted into a shell."""
    limit = words_unless_default(("--time-limit", options.time_limit_s, FRONT_TIME_LIMIT_S))
    return shlex.join(["cimsolve", "pareto", *question_words(options), *limit])
