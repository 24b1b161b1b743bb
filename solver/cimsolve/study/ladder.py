"""What can be done about a model that a chip has too few arrays for: rounds, more chips, or less stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from cimsolve.errors import CimsolveError, InfeasibleError
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.prove.arrays import may_fit
from cimsolve.prove.rounds import least_writing_cycles
from cimsolve.prove.runs import fewest_runs
from cimsolve.study.runs import fitting


@dataclass(frozen=True)
class Ladder:
    """Three ways, each as bounds show it; None where there is none."""

    limit: int
    runs: int | None
    """Fewest runs: rounds, or chips in a row, each of which holds some of the steps; 1: all may lie on the chip."""
    most_tokens_per_s: float | None
    """What one token after the other reaches at most in rounds, by their writing alone; None where the chip says none.

    The bounds of rounds count computing too; they take as long as a search.
    """
    rank: int | None
    """Largest rank at which all matrices, stored as low rank, may fit."""

    @property
    def told(self) -> str:
        """The ways in one line."""
        if self.runs == 1:
            return f"{self.limit} arrays may do where blocks share them (--strategy optimal)"
        ways = []
        if self.runs is not None and self.most_tokens_per_s is not None:
            ways.append(
                f"in at least {self.runs} rounds, at most {self.most_tokens_per_s:.4g} tokens/s one by one "
                "(--when-short rounds)"
            )
        if self.runs is not None:
            ways.append(f"on at least {self.runs} such chips in a row (--when-short chips)")
        if self.rank is not None:
            ways.append(f"stored with rank {self.rank} at most (--structure lowrank:{self.rank})")
        return f"{self.limit} arrays may do {', or '.join(ways)}" if ways else ""


def find_ladder(problem: Problem) -> Ladder | None:
    """The ways for a question whose arrays are short; None where its arrays are not limited."""
    limit = problem.array_limit
    if limit is None:
        return None
    try:
        if may_fit(problem, limit):  # what was asked for needs more than the question does
            return Ladder(limit, 1, None, None)
        cut = next(_cuts(problem, limit), None)
        tokens, runs = None, None if cut is None else fewest_runs(cut, limit)
        if runs is not None and problem.hardware.write is not None:
            tokens = 1e12 / (least_writing_cycles(problem, limit) * problem.hardware.clock_ps)
        return Ladder(limit, runs, tokens, _largest_rank(problem, limit))
    except CimsolveError:
        return None


def _cuts(problem: Problem, limit: int) -> Iterator[Problem]:
    with contextlib.suppress(InfeasibleError):
        yield from fitting(problem, limit, "")


def _largest_rank(problem: Problem, limit: int) -> int | None:
    """By bisection: what is stored grows with the rank. Matrices too small for a rank stay dense."""
    low, high = 0, max(min(each.block[1:]) for each in problem.model.linears) // 2
    while low < high:
        rank = (low + high + 1) // 2
        structures = {
            each.name: Structure(1, 1, rank)
            if each.groups == 1 and 2 * rank <= min(each.n_in, each.n_out)
            else Structure.dense()
            for each in problem.model.linears
        }
        if may_fit(problem.asking(structures=structures), limit):
            low = rank
        else:
            high = rank - 1
    return low or None
