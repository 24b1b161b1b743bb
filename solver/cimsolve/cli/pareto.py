"""`cimsolve pareto`: the front of arrays against latency, prefill, II and energy; every point checked and written."""

from __future__ import annotations

from pathlib import Path

from cimsolve.cli.parser import json_switch, verbosity
from cimsolve.cli.question import QuestionOptions, answers_option, file_name, problem_of, time_limit_option
from cimsolve.errors import EXIT_DONE, EXIT_FAILED
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.interrupts import interrupted_exit_code


class Options(QuestionOptions):
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
"""

    time_limit_s: float = time_limit_option(
        "brake of the search; where it strikes, two runs may differ (default: {default})", default=600.0
    )
    out: str = answers_option()
    json: bool = json_switch()
    verbosity: int = verbosity("only the tables")


def run(options: Options) -> int:
    """Find, check, write and show the front; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where the limits leave no mapping.
    """
    problem = problem_of(options)

    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.front import describe_front, print_front
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.question import print_question
    from cimsolve.solve.effort import Effort
    from cimsolve.study.ask import Asked, write_checked
    from cimsolve.study.front import FrontRun

    asked = Asked(
        problem=problem,
        strategies=RULE_NAMES,
        objective=(),
        seed=0,
        changes=options.changes,
        simulated="none: every point is checked",
        command=options.command(),
        time_limit_s=options.time_limit_s,
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
    code = interrupted_exit_code() if run.interrupted else EXIT_FAILED if found.broken else EXIT_DONE
    if options.json:
        print_json(describe_front(asked, found, code))
    else:
        print_front(asked, found, options.verbosity)
    if run.interrupted:
        say("interrupted; the front may lack points")
    return code
