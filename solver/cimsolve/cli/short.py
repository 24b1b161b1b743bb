"""What `cimsolve` does where arrays are short and an answer in runs is asked for: in rounds, or on chips in a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimsolve.cli.parser import search_option
from cimsolve.cli.values import OneOf, whole
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, CimsolveError, InfeasibleError, InputError
from cimsolve.study.names import REFUSE, WHEN_SHORT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cimsolve.cli.parser import Parser
    from cimsolve.problem.problem import Problem
    from cimsolve.solve.effort import Effort
    from cimsolve.study.ask import Simulated

CHIPS_MAX = 10_000


def when_short_option(**row: Any) -> Any:
    """What to do where arrays are short."""
    return search_option(
        "--when-short WHAT",
        "where the arrays allowed are too few: refuse; or rounds, whose weights are written one after the other; or "
        "chips, several of them in a row (default: {default})",
        OneOf(WHEN_SHORT),
        REFUSE,
        **row,
    )


def batch_option(**row: Any) -> Any:
    """Tokens of a batch in rounds."""
    return search_option(
        "--batch N",
        "tokens that pass one round before the next is written (default: those of a prefill)",
        whole(1),
        **row,
    )


def chips_option(**row: Any) -> Any:
    """Most chips in a row."""
    return search_option(
        "--chips N", "most chips in a row (default: as few as can be found)", whole(1, CHIPS_MAX), **row
    )


def demand_way(parser: Parser, when_short: str, batch: int | None, chips: int | None) -> None:
    """End with an error of usage where a batch or chips are given and no way that takes them."""
    for flag, number, way in (("--batch", batch, "rounds"), ("--chips", chips, "chips")):
        if number is not None and when_short != way:
            parser.error(f"{flag}: is of {way}; expected --when-short {way} with it")


def answer_in_runs(
    problem: Problem,
    way: Any,
    strategies: Sequence[str],
    effort: Effort,
    name: Callable[[str], Path],
    *,
    batch: int | None,
    chips: int | None,
    simulated: Simulated,
    json: bool,
    verbosity: int,
) -> int:
    """Map a model in runs by each strategy, check, write, simulate and print; returns the exit code.

    A signal ends the strategy at work; the answers of those before it are printed. Raises InfeasibleError where no
    strategy has an answer, and KeyboardInterrupt where a signal came before the first had one.
    """
    from cimsolve.judge.simulate.plan import simulate_plan
    from cimsolve.problem.plan import write_plan
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.plan import Answered, describe_plans, print_plans
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.interrupts import interrupted_exit_code
    from cimsolve.study.short import solve_short

    found: list[Answered] = []
    failures, without, interrupted = [], list(strategies), False
    with Progress(verbosity >= 0, problem.hardware.clock_ps / 1000) as progress:
        for strategy in strategies:
            try:
                plan, report = solve_short(
                    problem, way, strategy, effort, batch=batch, chips=chips, begin=progress.begin
                )
            except InfeasibleError as error:
                failures.append(str(error))
                continue
            except KeyboardInterrupt:
                if not found:
                    raise
                interrupted = True
                break
            path = name(f"{strategy}-{way}")
            path.parent.mkdir(parents=True, exist_ok=True)
            files = write_plan(plan, path) if report.passed else []
            simulation = None
            try:
                if report.passed and simulated != "none":
                    progress.begin(f"{strategy}: simulating")
                    layers = [problem.workload.factors[0].layer] if simulated == "layer" else None
                    simulation = simulate_plan(plan, layers=layers, seed=effort.seed)
            except InputError as error:
                failures.append(f"{strategy}: not simulated: {error}")
            except KeyboardInterrupt:
                interrupted = True
            found.append(Answered(plan, replace(report, costs=()), files, simulation))
            without.remove(strategy)
            if interrupted:
                break
    if not found:
        raise InfeasibleError("; ".join(failures))
    passed = all(each.passed for each in found)
    code = interrupted_exit_code() if interrupted else EXIT_DONE if passed else EXIT_FAILED
    if json:
        print_json({**describe_plans(found), "failures": failures, "exit_code": code})
    else:
        print_plans(found, verbosity)
        for failure in failures:
            say(f"note: {failure}")
    if interrupted:
        say(f"interrupted; without an answer: {', '.join(without) or 'none'}")
    return code


def told_ladder(problem: Problem) -> str:
    """What else could be done where arrays are short, as a last part of a refusal; empty where nothing is known."""
    from cimsolve.study.ladder import find_ladder

    try:
        found = find_ladder(problem)
    except CimsolveError:
        return ""
    return f"; {found.told}" if found is not None and found.told else ""
