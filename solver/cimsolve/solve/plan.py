"""The solver's plan: the best of the rules and of column-cut spreading; small problems to a proof.

Every candidate is judged by the cost model and by the objective, in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from cimsolve.chip.read import without_distance
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE, names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import StoppedBy
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.prove.arrays import least_arrays, may_fit
from cimsolve.prove.search import why_not_searched
from cimsolve.solve.candidates import RULES, Candidate, candidates
from cimsolve.solve.deadline import TimeIsUp, ends_within, stopped_in_time
from cimsolve.solve.effort import Answer, Effort, Event
from cimsolve.solve.exact.items import why_not_exact
from cimsolve.solve.incumbent import Incumbent, Score, means_in_order
from cimsolve.solve.places.folded import folded
from cimsolve.solve.places.locate import located, located_again
from cimsolve.solve.polish.even_phases import even_out_phases
from cimsolve.solve.polish.experts import seat_experts
from cimsolve.solve.polish.order import order_stages
from cimsolve.solve.polish.pair import fire_pairs_together
from cimsolve.solve.polish.redeal import deal_again
from cimsolve.solve.polish.refill import refill
from cimsolve.solve.smaller import smaller_structure

if TYPE_CHECKING:
    from cimsolve.solve.exact.search import ExactResult

REFINED = 6
"""So many of the best candidates are tried again with more effort."""
PLACES = 3
"""So many ways of placing folded matrices are tried."""
EXACT_TIME = 20.0
"""Deterministic time of the exact search, in CP-SAT's units (about seconds)."""


def map_optimal(problem: Problem, effort: Effort) -> Answer:
    """The best mapping found for `problem.objective`, starting from `effort.start` if there is one.

    No rule's is better: all are tried first, whatever the limit of time. Raises InfeasibleError where all that was
    found is over a limit. An interrupt by the user returns the best so far, if there is one.
    """
    demand_exact(problem, effort)
    search = _Search(problem, effort, Incumbent(problem, effort), candidates(problem, effort))
    best = search.best
    stopped_by: StoppedBy | None = None
    try:
        with ends_within(effort.time_limit_s):
            search.rules()
            limit = problem.array_limit
            if best.mapping is None and limit is not None and not may_fit(problem, limit):
                raise _too_few_arrays(problem, best.fewest, 0)
            with stopped_in_time():
                search.run()
    except TimeIsUp:
        stopped_by = "time limit"
    except KeyboardInterrupt:
        if best.mapping is None:
            raise
        effort.listen(Event("interrupted"))
        stopped_by = "interrupt"
    if best.mapping is None:
        raise _too_few_arrays(problem, best.fewest, search.least_arrays)
    if best.is_over_limits and stopped_by != "interrupt":
        raise _over_limits(problem, best)
    return Answer(best.mapping, search.lower, stopped_by, best.priced)


@dataclass
class _Search:
    """The steps of the solver; each offers what it finds to `best`."""

    problem: Problem
    effort: Effort
    best: Incumbent
    tries: Iterator[Candidate]
    lower: dict[str, int] = field(default_factory=dict)
    """Bounds that the exact model proved for `best`, metric -> value."""
    least_arrays: int = 0
    """No mapping does with fewer, by the exact model; 0 where that did not say."""

    def rules(self) -> None:
        """The given start, and the rules of the field."""
        if self.effort.start is not None:
            self.best.offer("given start", self.effort.start)
        for candidate in islice(self.tries, RULES):
            self._try(candidate)

    def run(self) -> None:
        """All else, until every metric of the objective is at its bound."""
        if self.problem.hardware.interconnect is None:
            self._on_a_flat_chip()
        elif not self.best.will_do():
            self._with_distance()
        self._seat_experts()

    def _seat_experts(self) -> None:
        """Experts in the places of others of their stages, where it is said how often tokens choose each."""
        if self.problem.terms.routing is None or self.best.mapping is None:
            return
        for_latency = means_in_order(self.problem)[0] == "latency"
        self.effort.listen(Event("experts in each other's places"))
        seated = seat_experts(self.problem, self.best.mapping, for_latency)
        self.best.offer("experts in each other's places", seated)

    def _with_distance(self) -> None:
        """The best of the arrays alone; then places for them and, within stages, for what they hold."""
        if {"prefill", "throughput"} & set(names_of(self.problem.objective)):
            for mapping in folded(self.problem):
                for placed in islice(located(self.problem, mapping), PLACES):
                    self.best.offer("matrices folded", placed)
        flat = self.problem.asking(hardware=without_distance(self.problem.hardware))
        effort = replace(self.effort, start=None)
        # What is best without distance need not be with it: fewer arrays are nearer, a fast token moves evenly.
        fewest_first = self.problem.objective[0] == "arrays"
        others = (DEFAULT_OBJECTIVE,) if fewest_first else (("latency",), DEFAULT_OBJECTIVE)
        for objective in dict.fromkeys((self.problem.objective, *(() if self.effort.brief else others))):
            asked = flat.asking(objective=objective)
            inner = _Search(asked, effort, Incumbent(asked, effort), candidates(asked, effort))
            try:
                inner.rules()
                inner.run()
            finally:
                if inner.best.mapping is not None:
                    self.best.offer("as on a flat chip", inner.best.mapping)
            if inner.best.mapping is None:
                continue
            for mapping in located(self.problem, inner.best.mapping):
                self.best.offer("arrays in places", mapping)
                if self.best.will_do():
                    return
        best, metrics = self.best.mapping, self.best.metrics
        if best is not None and best.place is not None and not self.effort.brief:
            self.effort.listen(Event("stages in each other's arrays"))
            for mapping in located_again(self.problem, best, metrics["energy_pj"] / metrics["latency_ns"]):
                self.best.offer("stages in each other's arrays", mapping)

    def _on_a_flat_chip(self) -> None:
        best, problem, effort = self.best, self.problem, self.effort
        if not best.will_do():
            self._candidates()
        if best.mapping is None or best.is_over_limits:
            self._any_mapping()
        if best.mapping is None or effort.brief:
            return
        if not best.will_do():
            best.offer("pairs fired together", fire_pairs_together(problem, best.mapping))
        if "latency" in names_of(problem.objective) and not best.will_do():
            effort.listen(Event("activations in each other's places"))
            exchanged = deal_again(problem, best.mapping, effort.seed, effort.workers, best.will_do)
            best.offer("activations in each other's places", exchanged)
        if "prefill" in names_of(problem.objective) and not best.will_do():
            effort.listen(Event("activations of phases in each other's places"))
            evened = even_out_phases(problem, best.mapping, effort.seed, best.will_do)
            best.offer("activations of phases in each other's places", evened)
        if not best.will_do() and not problem.workload.is_chain:
            effort.listen(Event("order of the stages"))
            ordered = order_stages(problem, best.mapping, effort.seed, effort.workers)
            best.offer("stages in another order", ordered)
        if why_out_of_reach(problem) is None:
            if effort.exact or not best.will_do():
                self._exact()
        elif "latency" in names_of(problem.objective) and not best.will_do():
            effort.listen(Event("few arrays filled anew"))
            best.offer(
                "few arrays filled anew", refill(problem, best.mapping, effort.seed, effort.workers, best.will_do)
            )

    def _candidates(self) -> None:
        refinable: dict[Score, tuple[str, Callable[[], Mapping]]] = {}
        for candidate in self.tries:
            score = self._try(candidate)
            if score is not None and candidate.refine is not None:
                # Of those that came out alike one will do.
                refinable.setdefault(score, (candidate.name, candidate.refine))
            if self.best.will_do():
                return
        if self.effort.brief:
            return
        for name, refine in [refinable[score] for score in sorted(refinable)][:REFINED]:
            self.effort.listen(Event(f"{name}, refined"))
            self.best.offer(f"{name}, refined", refine())
            if self.best.will_do():
                return

    def _try(self, candidate: Candidate) -> Score | None:
        if self.best.beats(candidate.arrays):
            return None
        self.effort.listen(Event(candidate.name))
        mapping = candidate.find()
        return None if mapping is None else self.best.offer(candidate.name, mapping)

    def _any_mapping(self) -> None:
        """Where nothing found keeps the limits: what the exact model says, if the problem is small enough for it."""
        if why_not_exact(self.problem) is not None:
            return
        if self.best.mapping is None:
            found = self._solve_exactly(("arrays",))
            self.least_arrays = found.arrays_lower
        if self.best.is_over_limits and "latency_ns" in self.problem.cost_limits:
            self._solve_exactly(("latency",))

    def _exact(self) -> None:
        """Improve and prove by the monolithic model."""
        result = self._solve_exactly(self.problem.objective)
        self.lower = {"arrays": result.arrays_lower} if self.problem.objective[0] == "arrays" else {}
        if result.latency_lower_cycles is not None and result.arrays == self.best.metrics.get("arrays"):
            self.lower["latency_cycles"] = result.latency_lower_cycles

    def _solve_exactly(self, objective: tuple[str, ...]) -> ExactResult:
        # CP-SAT takes long to load and most problems are too large for it.
        from cimsolve.solve.exact.search import solve_exact

        result = solve_exact(
            self.problem,
            objective,
            hint=self.best.mapping,
            deterministic_time=EXACT_TIME,
            workers=self.effort.workers,
            seed=self.effort.seed,
            progress=lambda metric, value, lower: self.effort.listen(Event("exact search", metric, value, lower)),
        )
        if result.mapping is not None:
            self.best.offer("exact search", result.mapping)
        return result


def demand_exact(problem: Problem, effort: Effort) -> None:
    """Raise InputError where `effort` insists on the exact model and that is out of reach."""
    reason = why_out_of_reach(problem) if effort.exact else None
    if reason is not None:
        raise InputError(f"--exact: this problem is out of reach of the exact model: {reason}; leave --exact out")


def why_out_of_reach(problem: Problem) -> str | None:
    """Why the monolithic model cannot answer this question, or None."""
    return why_not_searched(problem) or why_not_exact(problem)


def _too_few_arrays(problem: Problem, fewest: int | None, searched: int) -> InfeasibleError:
    """`searched`: no mapping does with fewer, by exhaustive search; 0 where there was none."""
    needed, proof = max(least_arrays(problem, fewest or 0), (searched, "search"))
    more = ", more where other limits ask for it" if problem.has_cost_limits else ""
    proved = f"no mapping does with fewer than {needed} ({proof} bound)"
    limit = f"{problem.array_limit}{f', {problem.places_told}' if problem.places_told else ''}"
    allow = f"allow {fewest}{f' by {problem.hardware.keys_of_places}' if problem.places_told else ''}"
    structure = smaller_structure(problem)
    fewer = f", such as --structure {structure} by optimal" if structure else ""
    return InfeasibleError(
        f"arrays are short: {problem.model.name} on {problem.hardware.name} is limited to {limit}; "
        f"{proved}, the fewest found are {fewest}: {allow}{more}, or store fewer weights{fewer}"
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
