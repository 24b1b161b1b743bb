"""What of a stage is dealt within one time: all of it, or one expert after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from cimsolve.problem.problem import Problem
from cimsolve.prove.time import least_cycles_of
from cimsolve.solve.columns.strips import StripKind


@dataclass(frozen=True)
class Batch:
    """Strips that are dealt over the arrays within one time, at least `least_cycles`.

    `fired` is the share of them that a token fires: of a batch that is one of a stage's experts, chosen of stored.
    """

    stage: int
    kinds: list[StripKind]
    least_cycles: int
    fired: Fraction = Fraction(1)
    positions: int = 1
    """How many times all of it fires in a pass; `least_cycles` are those of once."""


def batches_of(problem: Problem, stages: list[list[StripKind]], arrays: int) -> list[Batch]:
    """The strips in batches, each kind with the number of its own.

    A stage is one batch, as if a token fired all its experts: an array has much of few of them, in few activations. Or
    each expert is one: an array has some of every expert, of which a token fires a few. The faster way is taken.
    """
    found: list[Batch] = []
    for stage, kinds in enumerate(stages):
        found += [
            replace(
                batch,
                kinds=[replace(kind, batch=number) for kind in batch.kinds],
                positions=problem.workload.stages[stage].positions,
            )
            for number, batch in enumerate(_batches(problem, stage, kinds, arrays), start=len(found))
        ]
    return found


def _batches(problem: Problem, stage: int, kinds: list[StripKind], arrays: int) -> list[Batch]:
    experts = problem.workload.stages[stage].experts
    together = Batch(stage, kinds, _least(problem, stage, None, True, arrays))
    if experts is None:
        return [together]
    alone = _least(problem, stage, 1, False, arrays)
    always, of_each = _apart(problem, kinds)
    first = [Batch(stage, always, _least(problem, stage, 0, True, arrays))] if always else []
    if sum(batch.least_cycles for batch in first) + experts.chosen * alone >= together.least_cycles:
        return [together]
    share = Fraction(experts.chosen, experts.stored)
    return [*first, *(Batch(stage, own, alone, share) for own in of_each)]


def lots_of(problem: Problem, stages: list[list[StripKind]]) -> list[list[StripKind]]:
    """What of each stage may fire together: what always fires, and what each of its experts has (S7)."""
    apart = [_apart(problem, kinds) for kinds in stages]
    return [lot for always, of_each in apart for lot in (always, *of_each) if lot]


def _apart(problem: Problem, kinds: list[StripKind]) -> tuple[list[StripKind], list[list[StripKind]]]:
    """The strips of a stage that always fire, and those of each expert."""
    always = [kind for kind in kinds if problem.table.expert[kind.factors[0][0]] < 0]
    of_each: dict[int, list[StripKind]] = {}
    for kind in kinds:
        if kind not in always:
            for member, factors in enumerate(kind.factors):
                part = _of_member(kind, member)
                of_each.setdefault(int(problem.table.expert[factors[0]]), []).extend(part)
    return always, [own for own in of_each.values() if own]


def _least(problem: Problem, stage: int, experts: int | None, always: bool, arrays: int) -> int:
    """Least time in which `arrays` fire so many experts of a stage (None: all), and what `always` fires."""
    return least_cycles_of(problem, problem.groups_of(stage, experts, always), arrays)


def _of_member(kind: StripKind, member: int) -> list[StripKind]:
    """The strips of one member, none or some."""
    first = member * kind.blocks
    begin, end = (min(max(at, first), first + kind.blocks) for at in (kind.block0, kind.block0 + kind.count))
    one = replace(kind, factors=(kind.factors[member],), block0=begin - first, count=end - begin)
    return [one] if begin < end else []
