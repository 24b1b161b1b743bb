"""`cimsolve pareto`: the front of arrays against latency, prefill, II and energy; every point checked and written."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from cimsolve.api import make_search, search_front, solution_of_point
from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from cimsolve.cli.options.pareto import FRONT_TIME_LIMIT_S, FrontOptions
from cimsolve.cli.question import changes_of, file_name, problem_of, question_words, words_unless_default
from cimsolve.cli.writing import interrupts_held, without_tables, write_checked
from cimsolve.errors import InfeasibleError
from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.front import FrontFound, FrontRow, RuleRow, describe_front, print_front
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.question import Asked, print_question
from cimsolve.solve import RULES, Event
from cimsolve.study.run import solve_and_check


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
    run = _Run(options, problem)
    found = run.find()
    broken = any(not row.check.passed for row in found.points) or any(
        row.check is not None and not row.check.passed for row in found.rules
    )
    code = EXIT_INTERRUPTED if run.interrupted else EXIT_FAILED if broken else EXIT_DONE
    if options.json:
        print_json(describe_front(asked, found, code))
    else:
        print_front(asked, found, options.verbosity)
    if run.interrupted:
        say("interrupted; the front may lack points")
    return code


class _Run:
    """One search of the front. After Ctrl-C `interrupted` is set and what has been found is checked and written."""

    def __init__(self, options: FrontOptions, problem: Problem) -> None:
        self.interrupted = False
        self._options = options
        self._problem = problem
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
        self._search = make_search(time_limit_s=options.time_limit_s, listen=self._listen)

    def find(self) -> FrontFound:
        """The points, the rules beside them, and whether the search came to its end."""
        with self._progress:
            self._progress.begin("front")
            began = time.monotonic()
            points = search_front(self._problem, self._search)
            seconds = time.monotonic() - began
            rows: list[FrontRow] = []
            try:
                for number, point in enumerate(points, 1):
                    label = f"{number:0{len(str(max(10, len(points))))}d}"
                    with interrupts_held():
                        self._progress.begin(f"checking point {number} of {len(points)}")
                        solution = solution_of_point(self._problem, point, runtime_s=seconds)
                        report = check_solution(solution, self._problem)
                        name = file_name(self._options, self._problem, ["pareto", label])
                        files = write_checked(solution, report, Path(self._options.out), name)
                        rows.append(FrontRow(label, point.name, solution.header, without_tables(report), files))
                rules = [] if self.interrupted else [self._rule(name) for name in RULES]
            except KeyboardInterrupt:
                self.interrupted = True
                rules = []
        stopped = seconds >= self._options.time_limit_s
        return FrontFound(rows, rules, seconds, self._options.time_limit_s if stopped else None)

    def _rule(self, name: str) -> RuleRow:
        self._progress.begin(f"rule {name}")
        try:
            solution, report = solve_and_check(self._problem, name, self._search)
        except InfeasibleError as error:
            return RuleRow(name, str(error))
        return RuleRow(name, "", solution.header, without_tables(report))

    def _listen(self, event: Event) -> None:
        if event.phase == "interrupted":
            self.interrupted = True
        self._progress.listen(event)


def command_line(options: FrontOptions) -> str:
    """The command that asks the same again, to be pasted into a shell."""
    limit = words_unless_default(("--time-limit", options.time_limit_s, FRONT_TIME_LIMIT_S))
    return shlex.join(["cimsolve", "pareto", *question_words(options), *limit])
