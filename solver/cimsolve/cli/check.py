"""`cimsolve check`: judge solution files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.parser import CommandOptions, json_switch, option, solution_files, verbosity
from cimsolve.errors import InputError

if TYPE_CHECKING:
    from cimsolve.show.text.progress import Progress


class Options(CommandOptions):
    about = (
        "Verify solution files with an independent checker and recompute their figures. "
        "Exit codes: 0 all hold, 1 one fails, 2 one cannot be read."
    )
    epilog = """\
Taken as the question are the file's hardware, model, structure and limits; all else is a claim: placement, schedule,
durations, metrics, bounds and status are worked out again without any strategy or solver.

examples:
  cimsolve check results/*.json
  cimsolve check results/bert-large--rram256--optimal.json -v
  cimsolve check results/*.json --json
"""

    prove: bool = option("--prove", "search again where a bound rests on an exhaustive search")
    files: tuple[str, ...] = solution_files()
    json: bool = json_switch(group="")
    verbosity: int = verbosity("one line a file", "every violation, and the proofs of the bounds", group="")


def run(options: Options) -> int:
    """Judge every file; returns 2 where one cannot be read, else 1 where one fails, else 0."""
    from cimsolve.judge.check import check_solution
    from cimsolve.judge.check.plan import check_plan
    from cimsolve.problem.plan import is_plan, read_plan
    from cimsolve.problem.solution import read_solution
    from cimsolve.show.text.check import CHECK_FORMAT, describe_check, print_checked
    from cimsolve.show.text.plan import describe_checked_plan, print_checked_plan

    if options.prove:
        from cimsolve.study.searching import search_again  # the only part of checking that loads the solver

    def judge(name: str, progress: Progress) -> Found:
        if is_plan(Path(name)):
            if options.prove:
                raise InputError(f"{name}: --prove: is of a run's own file; expected one of those that this names")
            plan = read_plan(Path(name))
            verdict = check_plan(plan)
            return Found(
                not verdict.passed,
                lambda: describe_checked_plan(plan, verdict),
                lambda: print_checked_plan(name, plan, verdict, options.verbosity),
            )
        solution = read_solution(Path(name))
        report = check_solution(solution)
        if options.prove:
            report = search_again(solution, report, progress.listen)
        header, metrics = solution.header, None if report.costs is None else report.costs.metrics
        return Found(
            not report.passed,
            lambda: describe_check(report, header, metrics),
            lambda: print_checked(name, header, report, metrics, options.verbosity),
        )

    return each_file(options.files, judge, form=CHECK_FORMAT, json=options.json, progress=options.verbosity >= 0)
