"""`cimsolve explain`: why an answer is as it is; of a question without one, what would do."""

from __future__ import annotations

import time
from pathlib import Path

from cimsolve.api import make_search
from cimsolve.check import check_solution
from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED
from cimsolve.cli.options.explain import ExplainOptions
from cimsolve.cli.question import problem_of
from cimsolve.errors import CheckError, InfeasibleError, InputError
from cimsolve.explain.chain import find_chain
from cimsolve.explain.change import what_if
from cimsolve.explain.limits import find_relief, limits_of, relax_all
from cimsolve.explain.load import find_load
from cimsolve.jsonfile import one_line
from cimsolve.report.explain import Explained, Short, print_explained, print_short
from cimsolve.report.progress import Progress
from cimsolve.run import question_for, solve
from cimsolve.solution import Solution, read_solution
from cimsolve.strategies import STRATEGIES


def run(options: ExplainOptions) -> int:
    """Explain; returns the exit code.

    Raises InputError where there is no question or the file is none, CheckError where it fails its check,
    InfeasibleError for a question that has no answer although it has no limits.
    """
    shown = not options.json and options.verbosity >= 0
    with Progress(shown) as progress:
        if options.file is not None:
            name = options.file
            solution = read_solution(Path(name))
            if solution.header.strategy not in STRATEGIES:
                raise InputError(f"{name}: strategy {one_line(solution.header.strategy)!r} is none of cimsolve's own")
        else:
            name = f"{options.model} on {options.hardware} by {options.strategy}"
            progress.begin(f"solving {name}")
            answer = _solve(options, progress)
            if isinstance(answer, Short):
                print_short(answer, options.json)
                return EXIT_FAILED
            solution = answer
        progress.begin(f"checking {name}")
        report = check_solution(solution)
        if not report.passed or report.problem is None or report.costs is None:
            raise CheckError(f"{name}: fails its check, {report.violations[0]}; only what passes is explained")
        problem, costs = report.problem, report.costs
        outcomes = []
        for number, change in enumerate(options.what_ifs, 1):
            progress.begin(f"[{number}/{len(options.what_ifs)}] what if {change}")
            outcomes.append(what_if(change, problem, solution, progress.listen))
        explained = Explained(
            name=name,
            problem=problem,
            header=solution.header,
            costs=costs,
            chain=find_chain(problem, solution, costs),
            load=find_load(problem, solution, costs),
            outcomes=outcomes,
        )
    print_explained(explained, options.json, options.verbosity, options.kinds)
    return EXIT_DONE


def _solve(options: ExplainOptions, progress: Progress) -> Solution | Short:
    """The answer to the question, or what is short in it."""
    problem = problem_of(options)
    search = make_search(
        options.objective, time_limit_s=options.time_limit_s, seed=options.seed, listen=progress.listen
    )
    try:
        return solve(problem, options.strategy, search)
    except InfeasibleError as error:
        if not limits_of(problem):
            raise
        reason = str(error)
    began = time.monotonic()
    progress.begin("searching for limits that would do")
    relief = find_relief(problem, options.strategy, options.seed, progress.listen)
    together = None
    if all(one.least is None for one in relief):
        together = relax_all(problem, options.strategy, options.seed, progress.listen)
    question = question_for(options.strategy, problem)
    return Short(question, options.strategy, reason, relief, together, time.monotonic() - began)
