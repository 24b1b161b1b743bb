"""`cimsolve explain`: why an answer is as it is; of a question without one, what would do."""

from __future__ import annotations

import math
import time

from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED
from cimsolve.cli.options.explain import ExplainOptions
from cimsolve.cli.question import problem_of
from cimsolve.errors import InfeasibleError
from cimsolve.problem.solution import Solution
from cimsolve.show.text.explain import print_explained
from cimsolve.show.text.limits import print_short
from cimsolve.show.text.progress import Progress
from cimsolve.solve.effort import Effort
from cimsolve.study.explain.answer import explain_solution
from cimsolve.study.explain.limits import Short, find_relief, limits_of, relax_all
from cimsolve.study.solving import problem_for, solve, whole_answers_only


def run(options: ExplainOptions) -> int:
    """Explain; returns the exit code.

    Raises InputError where there is no question or the file is none, CheckError where it fails its check,
    InfeasibleError for a question that has no answer although it has no limits.
    """
    shown = not options.json and options.verbosity >= 0
    with Progress(shown) as progress:
        name, answer = options.file, None
        if name is None:
            name = f"{options.model} on {options.hardware} by {options.strategy}"
            progress.begin(f"solving {name}")
            answer = _solve(options, progress)
        if not isinstance(answer, Short):
            given = options.file or answer
            assert given is not None
            explained = explain_solution(
                given, options.what_ifs, name=name, begin=progress.begin, listen=progress.listen
            )
    if isinstance(answer, Short):
        print_short(answer, options.json)
        return EXIT_FAILED
    print_explained(explained, options.json, options.verbosity, options.kinds)
    return EXIT_DONE


def _solve(options: ExplainOptions, progress: Progress) -> Solution | Short:
    """The answer to the question, or what is short in it."""
    problem = problem_of(options, objective=options.objective)
    effort = Effort(options.time_limit_s or math.inf, options.seed, listen=whole_answers_only(progress.listen))
    try:
        return solve(problem, options.strategy, effort)
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
    question = problem_for(options.strategy, problem)
    return Short(question, options.strategy, reason, relief, together, time.monotonic() - began)
