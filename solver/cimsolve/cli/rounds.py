"""What `cimsolve` does where arrays are short and an answer in rounds is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.errors import EXIT_DONE, EXIT_FAILED, CimsolveError, InfeasibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cimsolve.problem.problem import Problem
    from cimsolve.solve.effort import Effort


def answer_in_rounds(
    problem: Problem,
    strategies: Sequence[str],
    effort: Effort,
    batch: int | None,
    name: Callable[[str], Path],
    *,
    json: bool,
    verbosity: int,
) -> int:
    """Map a model in rounds by each strategy, check, write and print; returns the exit code.

    Raises InfeasibleError where no strategy has an answer.
    """
    from cimsolve.judge.check.rounds import check_rounds
    from cimsolve.problem.rounds import write_rounds
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.rounds import describe_rounds, print_rounds
    from cimsolve.study.rounds import solve_rounds
    from cimsolve.study.solving import problem_for

    found, failures, code = [], [], EXIT_DONE
    with Progress(verbosity >= 0, problem.hardware.clock_ps / 1000) as progress:
        for strategy in strategies:
            try:
                rounds = solve_rounds(problem, strategy, effort, batch, progress.begin)
            except InfeasibleError as error:
                failures.append(str(error))
                continue
            progress.begin(f"{strategy}: checking")
            report = check_rounds(rounds, problem_for(strategy, problem))
            path = name(f"{strategy}-rounds")
            path.parent.mkdir(parents=True, exist_ok=True)
            files = write_rounds(rounds, path) if report.passed else []
            code = code if report.passed else EXIT_FAILED
            found.append((rounds, report, files))
    if not found:
        raise InfeasibleError("; ".join(failures))
    if json:
        print_json({**describe_rounds(found), "failures": failures, "exit_code": code})
        return code
    print_rounds(found, verbosity)
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
