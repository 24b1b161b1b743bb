"""The solver's plan: the best of the rules and of column-cut spreading; small problems to a proof.

Every candidate is judged by the cost model and by the objective, in lexicographic order.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cimsolve.errors import InfeasibleError, InputError
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve.candidates import candidates
from cimsolve.solve.effort import Answer, Effort, Event
from cimsolve.solve.exact.items import why_not_exact
from cimsolve.solve.incumbent import Incumbent, Score
from cimsolve.solve.polish.order import order_stages
from cimsolve.solve.polish.pair import fire_pairs_together
from cimsolve.solve.polish.redeal import deal_again

REFINED = 6
"""So many of the best candidates are tried again with more effort."""
EXACT_TIME = 20.0
"""Deterministic time of the exact search, in CP-SAT's units (about seconds)."""


def map_optimal(problem: Problem, effort: Effort) -> Answer:
    """The best mapping found for `problem.objective`, starting from `effort.start` if there is one.

    Raises InfeasibleError where all that was found is over a limit. An interrupt by the user returns the best so
    far, if there is one.
    """
    demand_exact(problem, effort)
    best = Incumbent(problem, effort)
    began = time.monotonic()
    lower: dict[str, int] = {}
    refinable: dict[Score, tuple[str, Callable[[], Mapping]]] = {}

    def is_over() -> bool:
        return best.is_proved() or time.monotonic() - began > effort.time_limit_s

    try:
        if effort.start is not None:
            best.offer("given start", effort.start)
        for candidate in candidates(problem, effort):
            if best.beats(candidate.arrays):
                continue
            effort.listen(Event(candidate.name))
            mapping = candidate.find()
            score = None if mapping is None else best.offer(candidate.name, mapping)
            if score is not None and candidate.refine is not None:
                # Of those that came out alike one will do.
                refinable.setdefault(score, (candidate.name, candidate.refine))
            if is_over():
                break
        for name, refine in [refinable[score] for score in sorted(refinable)][:REFINED]:
            if is_over():
                break
            effort.listen(Event(f"{name}, refined"))
            best.offer(f"{name}, refined", refine())
        if best.mapping is not None and not best.is_proved():
            best.offer("pairs fired together", fire_pairs_together(problem, best.mapping))
        if best.mapping is not None and "latency" in names_of(problem.objective) and not is_over():
            effort.listen(Event("activations in each other's places"))
            exchanged = deal_again(problem, best.mapping, effort.seed, effort.workers, is_over)
            best.offer("activations in each other's places", exchanged)
        if best.mapping is not None and not best.is_proved() and not problem.workload.is_chain:
            effort.listen(Event("order of the stages"))
            ordered = order_stages(problem, best.mapping, effort.seed, effort.workers)
            best.offer("stages in another order", ordered)
        if effort.exact or not best.is_proved():
            lower = _search_exactly(problem, effort, best)
    except KeyboardInterrupt:
        if best.mapping is None:
            raise
        effort.listen(Event("interrupted"))
        return Answer(best.mapping, lower, interrupted=True)
    if best.mapping is None:
        raise _too_few_arrays(problem, best.fewest)
    if best.is_over_limits:
        raise _over_limits(problem, best)
    return Answer(best.mapping, lower)


def demand_exact(problem: Problem, effort: Effort) -> None:
    """Raise InputError where `effort` insists on the exact model and that is out of reach."""
    reason = why_out_of_reach(problem) if effort.exact else None
    if reason is not None:
        raise InputError(f"--exact: this problem is out of reach of the exact model: {reason}; leave --exact out")


def why_out_of_reach(problem: Problem) -> str | None:
    """Why the monolithic model cannot answer this question, or None."""
    if set(problem.objective) <= {"arrays", "latency"} and not problem.has_cost_limits:
        return why_not_exact(problem)
    return "its objectives are arrays and latency, one after the other, without other limits"


def _search_exactly(problem: Problem, effort: Effort, best: Incumbent) -> dict[str, int]:
    """Improve and prove by the monolithic model where the problem is small; gives the bounds proved."""
    # CP-SAT takes long to load and most problems are too large for it.
    from cimsolve.solve.exact.search import solve_exact

    if why_out_of_reach(problem) is not None:
        return {}
    result = solve_exact(
        problem,
        problem.objective,
        hint=best.mapping,
        deterministic_time=EXACT_TIME,
        workers=effort.workers,
        seed=effort.seed,
        progress=lambda metric, value, lower: effort.listen(Event("exact search", metric, value, lower)),
    )
    if result.mapping is not None:
        best.offer("exact search", result.mapping)
    lower = {"arrays": result.arrays_lower} if problem.objective[0] == "arrays" else {}
    if result.latency_lower_cycles is not None and result.arrays == best.metrics.get("arrays"):
        lower["latency_cycles"] = result.latency_lower_cycles
    return lower


def _too_few_arrays(problem: Problem, fewest: int | None) -> InfeasibleError:
    needed, proof = least_arrays(problem, fewest or 0)
    more = ", more where other limits ask for it" if problem.has_cost_limits else ""
    proved = f"no mapping does with fewer than {needed} ({proof} bound)"
    return InfeasibleError(
        f"arrays are short: {problem.model.name} on {problem.hardware.name} is limited to {problem.array_limit}; "
        f"{proved}, the fewest found are {fewest}: allow {fewest}{more}, or store fewer weights"
    )


def _over_limits(problem: Problem, best: Incumbent) -> InfeasibleError:
    lower = find_bounds(problem, best.metrics, ("latency",)).lower
    least_ns = lower["latency_cycles"].value * problem.hardware.clock_ps / 1000
    texts = []
    for metric, limit in problem.cost_limits.items():
        if best.metrics[metric] > limit:
            unit, bound = ("ns", least_ns) if metric == "latency_ns" else ("pJ", lower["energy_pj"].value)
            verdict = "that is the least found, not a proof"
            if bound > limit:
                verdict = f"no mapping on the arrays allowed is below {bound:g} {unit}"
            texts.append(
                f"{metric} is short: the limit is {limit:g} {unit}, {best.metrics[metric]:g} {unit} would do; {verdict}"
            )
    return InfeasibleError("; ".join(texts))
