"""A structure that stores a model in fewer arrays, for those whose question has too few."""

from __future__ import annotations

from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.prove.arrays import may_fit


def smaller_structure(problem: Problem) -> str | None:
    """The largest `lowrank:T`, T a power of two, that may fit the arrays allowed; None where none may.

    It stores fewer weights than the question does, and its bound on arrays is within the limit.
    """
    limit, linears = problem.array_limit, [linear for linear in problem.model.linears if linear.groups == 1]
    if not linears:
        return None
    kept = {linear.name: problem.structures[linear.name] for linear in problem.model.linears if linear.groups > 1}
    rank = 1 << min(min(linear.n_in, linear.n_out) for linear in linears).bit_length() - 1
    weights = problem.workload.weight_count
    while limit is not None and rank:
        if rank * sum(linear.n_in + linear.n_out for linear in linears) < weights:
            structure = Structure.monarch(1, 1, rank)
            smaller = problem.asking(structures={**dict.fromkeys(problem.structures, structure), **kept})
            if may_fit(smaller, limit):
                return f"lowrank:{rank}"
        rank //= 2
    return None
