"""The best mapping so far, judged by the cost model, the user's limits and the objective."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field

import numpy as np

from cimsolve.price.cost import Metrics, Priced, price
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import BOUND_OF_OBJECTIVE, Bound, find_bounds, objective_units, objective_values, relative_gap
from cimsolve.solve.effort import Effort, Event

TIE_BREAKERS = ("latency", "prefill", "energy", "throughput", "arrays", "area")
"""What the user did not ask for breaks ties, in this order."""
MEANS: MappingABC[str, str] = {
    "latency": "mean_latency_ns",
    "throughput": "mean_array_ii_ns",
    "energy": "mean_energy_pj",
}
"""Objective -> its mean over the routes of a model with experts, which breaks the ties that are left."""

DIGITS = 12
"""Digits of sums of floats in which scores are compared."""

LARGE, CLOSE = 1_000_000, 0.005
"""Of mappings of so many pieces one so near to its bound will do: another try takes as long as all before."""

Score = tuple[float, ...]


@dataclass
class Incumbent:
    """The best mapping so far: least over the user's limits first, then by the objective in its order."""

    problem: Problem
    effort: Effort
    mapping: Mapping | None = None
    priced: Priced | None = None
    """`mapping` scheduled, with its costs: whoever answers with it need not find them again."""
    metrics: Metrics = field(default_factory=dict)
    lower: MappingABC[str, Bound] = field(default_factory=dict)
    """The bounds of `metrics`."""
    fewest: int | None = None
    """Fewest arrays of any candidate, also of those that are over the limit of arrays."""

    def __post_init__(self) -> None:
        self._units: MappingABC[str, float] = objective_units(self.problem, self.problem.objective)

    def offer(self, name: str, mapping: Mapping) -> Score | None:
        """Keep `mapping` if it is better; gives its score, less is better, or None where it is out of question."""
        used = count_arrays(mapping)
        self.fewest = used if self.fewest is None else min(self.fewest, used)
        limit = self.problem.array_limit
        if (limit is not None and used > limit) or self.beats(used):
            return None
        priced = price(self.problem, mapping)
        metrics = priced.costs.metrics
        score = self._score(metrics)
        if self.mapping is None or score < self._score(self.metrics):
            self.mapping, self.priced, self.metrics = mapping, priced, metrics
            first, *others = names_of(self.problem.objective)
            shown = BOUND_OF_OBJECTIVE[others[0] if first == "arrays" and others else first]
            self.lower = find_bounds(self.problem, metrics, self.problem.objective).lower
            self.effort.listen(Event(name, shown, metrics[shown], self.lower[shown].value))
        return score

    def beats(self, arrays: int) -> bool:
        """Whether a mapping on so many arrays cannot be better, whatever else it is."""
        if not self.metrics or self.problem.objective[0] != "arrays" or self.is_over_limits:
            return False
        return arrays > self.metrics["arrays"]

    @property
    def is_over_limits(self) -> bool:
        """Whether the best mapping so far breaks a limit of the user."""
        return self.problem.excess(self.metrics) > 0

    def is_proved(self) -> bool:
        """Whether no mapping can be better: every metric of the objective stands at its bound."""
        if self.mapping is None or self.is_over_limits:
            return False
        return self._is_within(0.0)

    def will_do(self) -> bool:
        """Whether the search may end: no mapping can be better, or none of so many pieces by more than CLOSE."""
        return self.is_proved() or (
            self.mapping is not None
            and not self.is_over_limits
            and len(self.mapping.pieces) >= LARGE
            and self._is_within(CLOSE)
        )

    def _is_within(self, gap: float) -> bool:
        names = [BOUND_OF_OBJECTIVE[name] for name in names_of(self.problem.objective)]
        return all(relative_gap(name, self.metrics[name], self.lower[name].value) <= gap for name in names)

    def _score(self, metrics: Metrics) -> Score:
        values = objective_values(metrics, (*self.problem.objective, *TIE_BREAKERS), self._units)
        means = (metrics[MEANS[name]] for name in means_in_order(self.problem))
        return (self.problem.excess(metrics), *map(_rounded, (*values, *means)))


def _rounded(value: float) -> float:
    """Sums of floats in another order are no gain and no loss; whole numbers stand."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def means_in_order(problem: Problem) -> list[str]:
    """The objectives that have a mean over a model's routes, those of the question first; none without experts."""
    if not problem.workload.has_experts:
        return []
    return [name for name in dict.fromkeys((*names_of(problem.objective), *TIE_BREAKERS)) if name in MEANS]


def count_arrays(mapping: Mapping) -> int:
    """Arrays that hold a piece."""
    return int((np.bincount(mapping.pieces.array) > 0).sum())


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    """What the cost model says of a mapping once it is scheduled."""
    return price(problem, mapping).costs.metrics
