"""What `cimsolve` does where arrays are short and an answer in runs is asked for: in rounds, or on chips in a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.errors import EXIT_DONE, EXIT_FAILED, CimsolveError, InfeasibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cimsolve.problem.plan import AnyPlan
    from cimsolve.problem.problem import Problem
    from cimsolve.solve.effort import Effort

WAYS = ("refuse", "rounds", "chips")
"""What can be done where arrays are short."""


def answer_in_runs(
    problem: Problem,
    way: str,
    strategies: Sequence[str],
    effort: Effort,
    number: int | None,
    name: Callable[[str], Path],
    *,
    json: bool,
    verbosity: int,
) -> int:
    """Map a model in runs by each strategy, check, write and print; returns the exit code.

    `number` are the tokens of a batch in rounds, or the most chips. Raises InfeasibleError where no strategy has an
    answer.
    """
    from cimsolve.judge.check.plan import check_plan
    from cimsolve.problem.plan import write_plan
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.plan import describe_plans, print_plans
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.chips import solve_chips
    from cimsolve.study.rounds import solve_rounds
    from cimsolve.study.solving import problem_for

    solvers: dict[str, Callable[..., AnyPlan]] = {"rounds": solve_rounds, "chips": solve_chips}
    found, failures, code = [], [], EXIT_DONE
    with Progress(verbosity >= 0, problem.hardware.clock_ps / 1000) as progress:
        for strategy in strategies:
            try:
                plan = solvers[way](problem, strategy, effort, number, progress.begin)
            except InfeasibleError as error:
                failures.append(str(error))
                continue
            progress.begin(f"{strategy}: checking")
            report = check_plan(plan, problem_for(strategy, problem))
            path = name(f"{strategy}-{way}")
            path.parent.mkdir(parents=True, exist_ok=True)
            files = write_plan(plan, path) if report.passed else []
            code = code if report.passed else EXIT_FAILED
            found.append((plan, report, files))
    if not found:
        raise InfeasibleError("; ".join(failures))
    if json:
        print_json({**describe_plans(found), "failures": failures, "exit_code": code})
        return code
    print_plans(found, verbosity)
    for failure in failures:
        say(f"note: {failure}")
    return code


def told_ladder(problem: Problem) -> str:
    """What else could be done where arrays are short, as a last part of a refusal; empty where nothing is known."""
    from cimsolve.study.ladder import find_ladder

    try:
        found = find_ladder(problem)
    except CimsolveError:
        return ""
    return f"; {found.told}" if found is not None and found.told else ""
