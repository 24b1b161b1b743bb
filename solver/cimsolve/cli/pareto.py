"""`cimsolve pareto`: the front of arrays against latency, prefill, II and energy; every point checked and written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.cli.parser import json_switch, verbosity
from cimsolve.cli.places import interrupts_held, without_tables, write_checked
from cimsolve.cli.question import QuestionOptions, answers_option, file_name, problem_of, time_limit_option
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, InfeasibleError
from cimsolve.solve.names import RULE_NAMES

if TYPE_CHECKING:
    from cimsolve.problem.problem import Problem
    from cimsolve.show.text.front import FrontFound, FrontRow, RuleRow
    from cimsolve.solve.search import Event

_EPILOG = """\
A point marked * in a column is proved: no mapping on as many arrays has less. Every point is written to --out as
a solution of its own.

examples:
  cimsolve pareto --hw paper256
  cimsolve pareto --hw rram256 --model minilm-l6 --adcs 16 --max-arrays 400
  cimsolve pareto --model gpt2-medium --max-latency 60us --time-limit 120 --json
"""


@dataclass(frozen=True, kw_only=True)
class Options(QuestionOptions):
    """`cimsolve pareto`: what each further array buys."""

    prog = "cimsolve pareto"
    usage = "cimsolve pareto [options]"
    about = (
        "Find the mappings that none found beats in arrays, token latency, prefill, II and energy at once; check and "
        "write each, and compare the rules with them. Exit codes as of cimsolve."
    )
    epilog = _EPILOG

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
    return _answer(options, problem_of(options))


def _answer(options: Options, problem: Problem) -> int:
    from cimsolve.show.as_json import describe_front
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.front import print_front
    from cimsolve.show.text.question import Asked
    from cimsolve.show.text.solve import print_asked

    asked = Asked(
        problem=problem,
        strategies=RULE_NAMES,
        objective=(),
        seed=0,
        changes=options.changes,
        simulated="none: every point is checked",
        command=options.command(),
    )
    if not options.json and options.verbosity >= 0:
        print_asked(asked, options.verbosity)
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

    def __init__(self, options: Options, problem: Problem) -> None:
        from cimsolve.api import make_search
        from cimsolve.show.text.progress import Progress

        self.interrupted = False
        self._options = options
        self._problem = problem
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
        self._search = make_search(time_limit_s=options.time_limit_s, listen=self._listen)

    def find(self) -> FrontFound:
        """The points, the rules beside them, and whether the search came to its end."""
        from cimsolve.api import search_front, solution_of_point
        from cimsolve.judge.check import check_solution
        from cimsolve.show.text.front import FrontFound, FrontRow

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
                rules = [] if self.interrupted else [self._rule(name) for name in RULE_NAMES]
            except KeyboardInterrupt:
                self.interrupted = True
                rules = []
        stopped = seconds >= self._options.time_limit_s
        return FrontFound(rows, rules, seconds, self._options.time_limit_s if stopped else None)

    def _rule(self, name: str) -> RuleRow:
        from cimsolve.show.text.front import RuleRow
        from cimsolve.study.run import solve_and_check

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
