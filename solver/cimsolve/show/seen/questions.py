"""Which questions solutions answer, and what the answer to each is: the best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cimsolve.problem.problem import Problem
from cimsolve.prove import objective_units, objective_values
from cimsolve.show.seen.judged import Judged
from cimsolve.show.units import plural
from cimsolve.study.conclusion import Conclusion, conclude_answers

APART = ("structure", "cut")
"""What may differ within a question: some strategies store all weights dense, and cut them otherwise."""
STRUCTURES_TOLD = 3


def by_question(judged: Sequence[Judged]) -> list[list[Judged]]:
    """The solutions of each question, in the order of its first, each question's best first by its objective."""
    groups: list[list[Judged]] = []
    for each in judged:
        question = each.problem.question
        same = [group for group in groups if group[0].problem.question.difference(question, APART) is None]
        if same:
            same[0].append(each)
        else:
            groups.append([each])
    return [_best_first(group) for group in groups]


def answers_of(group: Sequence[Judged]) -> list[tuple[Problem, Conclusion]]:
    """What solutions of one question show, once for each way of storing the weights beside dense."""
    found = []
    asked: list[Problem] = []
    for problem in (each.problem for each in group if not _is_dense(each.problem)):
        if all(problem.structures != other.structures for other in asked):
            asked.append(problem)
    for problem in asked or [group[0].problem]:
        headers = [
            each.shown_header
            for each in group
            if each.problem.structures == problem.structures or _is_dense(each.problem)
        ]
        found.append((problem, conclude_answers(problem, headers)))
    return found


def describe_structure(problem: Problem) -> str:
    """How the weights are stored, in words: the most frequent structures, k,l,T, and how many linears have them."""
    counts = Counter(map(str, problem.structures.values())).most_common()
    told = [f"{text} in {plural(count, 'linear')}" for text, count in counts[:STRUCTURES_TOLD]]
    others = sum(count for _, count in counts[STRUCTURES_TOLD:])
    return ", ".join([*told, f"others in {others}"] if others else told)


def _best_first(group: Sequence[Judged]) -> list[Judged]:
    problem = next((each.problem for each in group if not _is_dense(each.problem)), group[0].problem)
    units = objective_units(problem, problem.objective)
    return sorted(group, key=lambda each: objective_values(each.costs.metrics, problem.objective, units))


def _is_dense(problem: Problem) -> bool:
    return all(structure.is_dense for structure in problem.structures.values())
