"""All that explains one answer, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.files.text import one_line
from cimsolve.judge.check import check_solution
from cimsolve.price.cost import Costs
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header, Solution, solution_of
from cimsolve.solve.effort import Event, ignore
from cimsolve.solve.strategies import STRATEGIES
from cimsolve.study.choose.kept import Kept, kept_in
from cimsolve.study.explain.chain import Chain, Load, find_chain, find_load
from cimsolve.study.explain.change import ChangeOutcome, usual_what_ifs, what_if
from cimsolve.study.explain.moved import Moved, find_moved


@dataclass(frozen=True)
class Explanation:
    """An answer that passed the checker, and why it is as it is."""

    name: str
    problem: Problem
    header: Header
    costs: Costs
    chain: Chain
    load: Load
    moved: Moved | None
    """None of a flat chip."""
    outcomes: Sequence[ChangeOutcome]
    kept: Kept | None = None
    """Which linears are kept, where losses are given."""


def explain_solution(
    answer: Solution | Path | str,
    what_ifs: Sequence[str] | None = (),
    *,
    losses: Path | str | None = None,
    name: str | None = None,
    begin: Callable[[str], None] = lambda task: None,
    listen: Callable[[Event], None] = ignore,
) -> Explanation:
    """The critical chain, the busiest array, and what each of some changes would buy, solved again.

    Changes are names of `study.names.WHAT_IFS`, or KEY=VALUE of the hardware spec; None: those usual on its chip.
    `losses` is a file of structures, by whose losses it is told which linears are kept and what one more array buys.
    `begin` is told what runs now and `listen` of each search.

    Raises InputError for a file that holds no solution or no losses of its structures, a strategy that cimsolve does
    not have and an unknown change, CheckError where the answer breaks a rule.
    """
    solution = solution_of(answer)
    title = name or ("the solution" if isinstance(answer, Solution) else one_line(str(answer)))
    if solution.header.strategy not in STRATEGIES:
        raise InputError(
            f"{title}: strategy {one_line(solution.header.strategy)!r}: expected one of {', '.join(STRATEGIES)}"
        )
    begin(f"checking {title}")
    problem, costs, _ = check_solution(solution).demand_passed(
        lambda violation: f"{title}: fails its check, {violation}; only what passes is explained"
    )
    found = None if losses is None else kept_in(problem, losses)
    outcomes = []
    what_ifs = usual_what_ifs(problem.hardware) if what_ifs is None else what_ifs
    for number, change in enumerate(what_ifs, 1):
        begin(f"[{number}/{len(what_ifs)}] what if {change}")
        outcomes.append(what_if(change, problem, solution, listen))
    chain, load = find_chain(problem, solution, costs), find_load(problem, solution, costs)
    return Explanation(title, problem, solution.header, costs, chain, load, find_moved(costs, chain), outcomes, found)
