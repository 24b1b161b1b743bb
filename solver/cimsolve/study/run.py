"""From a question to checked solutions: the one path that every strategy takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from cimsolve.errors import InfeasibleError, Shortage
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.model.structure import Structure
from cimsolve.model.workload import build_workload
from cimsolve.price.claims import make_solution
from cimsolve.problem.problem import Cut, Problem
from cimsolve.problem.solution import Solution
from cimsolve.solve import STRATEGIES, Event, Search
from cimsolve.solve.incumbent import count_arrays


def whole_answers_only(listen: Callable[[Event], None] = lambda event: None) -> Callable[[Event], None]:
    """A listener by which Ctrl-C ends a search, where half an answer would pass for a whole one."""

    def tell(event: Event) -> None:
        if event.phase == "interrupted":
            raise KeyboardInterrupt
        listen(event)

    return tell


def question_for(strategy: str, problem: Problem) -> Problem:
    """The question that a strategy answers: `linear` stores every matrix dense, the others as asked."""
    if strategy != "linear":
        return problem
    dense = {name: Structure.dense() for name in problem.structures}
    # Tiles of the array's height, fired in row groups, can be more pieces than the fewest where the limit on
    # rows does not divide that height.
    cut: Cut = "both" if problem.rows % problem.rows_limit else problem.cut
    return replace(problem, structures=dense, workload=build_workload(problem.model, dense), cut=cut)


def solve(problem: Problem, strategy: str = "optimal", search: Search | None = None) -> Solution:
    """Map `problem` by `strategy`, schedule, cost and bound the result.

    Raises InfeasibleError where the mapping needs more arrays than allowed, KeyError for an unknown strategy.
    """
    search = search or Search()
    began = time.perf_counter()
    question = question_for(strategy, problem)
    answer = STRATEGIES[strategy](question, search)
    limit, used = question.array_limit, count_arrays(answer.mapping)
    if limit is not None and used > limit:
        raise _too_much(strategy, Shortage("arrays", limit, used), question.has_cost_limits)
    solution = make_solution(
        question,
        answer.mapping,
        strategy=strategy,
        objective=search.objective,
        seed=search.seed,
        runtime_s=round(time.perf_counter() - began, 3),
        proved=answer.lower,
    )
    for metric, most in question.cost_limits.items():
        value = solution.header.metrics[metric]
        if value > most:
            raise _too_much(strategy, Shortage(metric, most, value))
    return solution


def _too_much(strategy: str, short: Shortage, other_limits: bool = False) -> InfeasibleError:
    allow = "allow as much, or more where other limits ask for it" if other_limits else "allow as much"
    return InfeasibleError(f"{strategy}: {short.told}, this rule needs {short.needed}; {allow}", short)


def joined_reasons(failures: Sequence[tuple[str, str, Shortage | None]]) -> str:
    """Why no strategy has a mapping, in one line: (strategy, reason, shortage) each; what they share is said once."""
    if len(failures) == 1:
        return failures[0][1]
    needs: dict[str, list[str]] = {}
    others = []
    for strategy, reason, short in failures:
        if short is None:
            others.append(f"{strategy}: {reason.removeprefix(f'{strategy}: ')}")
            continue
        each = needs.setdefault(short.told, [])
        each.append(f"{strategy} {'' if each else 'needs '}{short.needed}")
    return "; ".join([*(", ".join([told, *each]) for told, each in needs.items()), *others])


def solve_and_check(
    problem: Problem, strategy: str = "optimal", search: Search | None = None
) -> tuple[Solution, CheckReport]:
    """`solve`, then the independent checker on what came out."""
    solution = solve(problem, strategy, search)
    return solution, check_solution(solution, question_for(strategy, problem))
