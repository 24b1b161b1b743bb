"""The figures by which mappings are compared, read off a solution's header or a point's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cimsolve.problem.solution import BoundEntry
from cimsolve.prove import BOUND_OF_OBJECTIVE
from cimsolve.show.units import Kind


class Header(Protocol):
    """What figures are read off: a solution's header, or the record of a point of a study."""

    @property
    def hw(self) -> Mapping[str, Any]: ...

    @property
    def metrics(self) -> Mapping[str, int | float]: ...

    @property
    def bounds(self) -> Mapping[str, BoundEntry]: ...


@dataclass(frozen=True)
class Figure:
    """One compared quantity: less is better. `array_metric` is its part spent in arrays, where it has one."""

    objective: str
    title: str
    kind: Kind
    array_metric: str | None = None

    @property
    def metric(self) -> str:
        """The metric that carries it, and its bound."""
        return BOUND_OF_OBJECTIVE[self.objective]

    def base(self, header: Header, value: float) -> float:
        """A value of its metric in the unit that `units` starts from."""
        return _base(header, self.metric, value)

    def total(self, header: Header) -> float:
        return self.base(header, header.metrics[self.metric])

    def in_arrays(self, header: Header) -> float:
        """Its part spent in arrays; raises KeyError where it has none."""
        name = self.array_metric or ""
        return _base(header, name, header.metrics[name])

    def lower(self, header: Header) -> float:
        """What no mapping can beat."""
        return self.base(header, header.bounds[self.metric].lower)

    def gap(self, header: Header) -> float:
        return header.bounds[self.metric].gap


ARRAYS = Figure("arrays", "arrays", "count")
LATENCY = Figure("latency", "token latency", "time", "array_latency_ns")
PREFILL = Figure("prefill", "prefill", "time", "array_prefill_ns")
INTERVAL = Figure("throughput", "II", "time", "array_ii_cycles")
ENERGY = Figure("energy", "energy", "energy", "array_energy_pj")
AREA = Figure("area", "area", "area")
FIGURES = (ARRAYS, LATENCY, PREFILL, INTERVAL, ENERGY, AREA)


def figure_of_metric(metric: str) -> Figure | None:
    """The figure that an objective or a metric means, as searches report either."""
    return next((figure for figure in FIGURES if metric in (figure.objective, figure.metric)), None)


def clock_ns(header: Header) -> float:
    return float(header.hw["clock_ns"])


def _base(header: Header, metric: str, value: float) -> float:
    """Cycles become ns; all else stays in its metric's unit."""
    return value * clock_ns(header) if metric.endswith("_cycles") else float(value)
