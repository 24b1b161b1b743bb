"""What a solution says about itself: factors, stages, metrics, breakdown, bounds and status."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from cimsolve.judge.check.case import Case
from cimsolve.price.claims import describe_breakdown, describe_factors, describe_stages
from cimsolve.problem.objective import names_of
from cimsolve.problem.solution import BoundEntry, FactorEntry, StageEntry
from cimsolve.prove import BOUND_OF_OBJECTIVE, ROUNDED, relative_gap
from cimsolve.prove.search import SEARCH, SEARCHED_METRICS, why_not_searched

RELATIVE_TOLERANCE = 1e-9
"""Sums of floats differ by this much between machines, which add in different orders."""


def factors_are_those_of_the_model(case: Case) -> Iterator[str]:
    """`factors` lists what the model and the structures give."""
    yield from _unlike("factors", case.header.factors, describe_factors(case.problem))


def stages_are_those_of_the_model(case: Case) -> Iterator[str]:
    """`stages` lists the model's stages and edges, with the gaps that the pieces give."""
    yield from _unlike("stages", case.header.stages, describe_stages(case.problem, case.fired.gaps))


def _unlike(
    name: str, claimed: Sequence[FactorEntry | StageEntry], expected: Sequence[FactorEntry | StageEntry]
) -> Iterator[str]:
    if len(claimed) != len(expected):
        yield f"{name}: {len(claimed)} are listed; the model has {len(expected)}"
        return
    for index, (theirs, ours) in enumerate(zip(claimed, expected, strict=True)):
        for key in type(ours).model_fields:
            found, wanted = getattr(theirs, key), getattr(ours, key)
            if found != wanted:
                yield f"{name}.{index}.{key}: {found!r} is claimed; expected {wanted!r}"
                return


def metrics_follow_from_the_tables(case: Case) -> Iterator[str]:
    """Every metric is there and has the value that the tables give."""
    yield from _unequal("metrics", case.header.metrics, case.costs.metrics)


def breakdown_follows_from_the_tables(case: Case) -> Iterator[str]:
    """Every figure by component, stage and phase is there and has the value that the tables give."""
    claimed = case.header.breakdown.model_dump()
    for part, figures in describe_breakdown(case.costs).model_dump().items():
        yield from _unequal(f"breakdown.{part}", claimed[part], figures)


def _unequal(name: str, claimed: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[str]:
    for key in sorted(claimed.keys() | expected.keys()):
        if key not in expected:
            yield f"{name}.{key}: there is no such figure; remove it"
        elif key not in claimed:
            yield f"{name}.{key}: missing"
        elif not _same(claimed[key], expected[key]):
            yield f"{name}.{key}: {_shown(claimed[key])} is claimed; the tables give {_shown(expected[key])}"


def _same(claimed: object, expected: object) -> bool:
    """Whole numbers must be equal and whole, others equal up to the order of a sum."""
    if isinstance(expected, list):
        return isinstance(claimed, list) and len(claimed) == len(expected) and all(map(_same, claimed, expected))
    if isinstance(expected, int):
        return isinstance(claimed, int) and claimed == expected
    return (
        isinstance(expected, float)
        and isinstance(claimed, int | float)
        and math.isclose(claimed, expected, rel_tol=RELATIVE_TOLERANCE)
    )


def _same_figure(name: str, claimed: float, expected: float) -> bool:
    """Whether two figures agree: sums of floats as `_same` says, counts of cycles and arrays exactly."""
    return _same(claimed, expected) if name in ROUNDED else claimed == expected


def _shown(value: object) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else repr(value)


def no_cost_is_over_its_limit(case: Case) -> Iterator[str]:
    """The latency and energy that the user allows at most."""
    for name, limit in case.problem.cost_limits.items():
        value = case.costs.metrics[name]
        if value > limit and not math.isclose(value, limit, rel_tol=RELATIVE_TOLERANCE):
            yield f"{name}: {value!r} is over the limit of {limit!r}"


def bounds_are_those_that_hold(case: Case) -> Iterator[str]:
    """Every bound is the one that the question gives, or one of a search, between that and the value."""
    claimed, metrics = case.header.bounds, case.costs.metrics
    for name, bound in case.bounds.lower.items():
        if name not in claimed:
            yield f"bounds.{name}: missing"
            continue
        entry = claimed[name]
        if not _same_figure(name, entry.value, metrics[name]):
            yield f"bounds.{name}.value: {entry.value!r} is claimed; the tables give {metrics[name]!r}"
        if _rests_on_search(entry, bound.value):
            reason = why_not_searched(case.problem) if name in SEARCHED_METRICS else "no search bounds this metric"
            if reason is not None:
                yield f"bounds.{name}.proof: a search is claimed, which there cannot have been: {reason}"
        else:
            if not _same_figure(name, entry.lower, bound.value):
                yield f"bounds.{name}.lower: {entry.lower!r} is claimed; the bound is {bound.value!r}"
            if entry.proof != bound.proof:
                yield f"bounds.{name}.proof: {entry.proof!r} is claimed; expected {bound.proof!r}"
        gap = relative_gap(name, entry.value, entry.lower)
        near = math.isclose(entry.gap, gap, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE)
        if not near or (entry.gap == 0) != (gap == 0):
            yield f"bounds.{name}.gap: {entry.gap!r} is claimed; value and lower give {gap!r}"
    for name in sorted(claimed.keys() - case.bounds.lower.keys()):
        yield f"bounds.{name}: no bound is known for it; expected one of {', '.join(case.bounds.lower)}"


def no_value_lies_below_its_bound(case: Case) -> Iterator[str]:
    """A legal mapping cannot beat a proof: if one does, the proof or a rule is wrong."""
    for name, bound in case.bounds.lower.items():
        value = case.costs.metrics[name]
        if value < bound.value and not _same_figure(name, value, bound.value):
            yield f"{name}: the tables give {value!r}, below the bound {bound.value!r}; report this bug"


def optimal_means_that_value_and_bound_meet(case: Case) -> Iterator[str]:
    """The status `optimal` needs for every metric of the objective a bound equal to its value."""
    if case.header.status == "optimal":
        for name in _metrics_of_objective(case):
            entry, value = case.header.bounds.get(name), case.costs.metrics[name]
            if entry is None or relative_gap(name, value, entry.lower) > 0:
                yield f"status: 'optimal' is claimed; value and bound of {name} differ"


def unverified_claims(case: Case) -> tuple[str, ...]:
    """Metrics whose claimed bound is more than can be recomputed, and `status` if it rests on one of them."""
    names = [
        name
        for name, entry in case.header.bounds.items()
        if name in case.bounds.lower and _rests_on_search(entry, case.bounds.lower[name].value)
    ]
    if case.header.status == "optimal" and any(name in names for name in _metrics_of_objective(case)):
        names.append("status")
    return tuple(names)


def _metrics_of_objective(case: Case) -> list[str]:
    return [BOUND_OF_OBJECTIVE[name] for name in names_of(case.problem.objective)]


def _rests_on_search(entry: BoundEntry, recomputed: float) -> bool:
    return entry.proof == SEARCH and recomputed < entry.lower <= entry.value
