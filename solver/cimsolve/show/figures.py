"""The figures by which mappings are compared, read off a solution's header or a point's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cimsolve.problem.plan import AnyHeader
from cimsolve.problem.solution import Header
from cimsolve.prove import BOUND_OF_OBJECTIVE
from cimsolve.show.units import Kind

if TYPE_CHECKING:
    from cimsolve.study.sweep.point import Record

Answered: TypeAlias = "Header | Record"
"""What figures are read off: a solution's header, or the record of a point of a study."""


@dataclass(frozen=True)
class CostFigure:
    """One compared quantity: less is better. `array_metric` is its part spent in arrays, where it has one."""

    objective: str
    title: str
    head: str
    """The title of a narrow column."""
    key: str
    """What programs call it, with the unit that `units` starts from."""
    kind: Kind
    array_metric: str = ""

    @property
    def metric(self) -> str:
        """The metric that carries this figure and its bound."""
        return BOUND_OF_OBJECTIVE[self.objective]

    def base(self, header: Answered, value: float) -> float:
        """A value of this figure's metric in the unit that `units` starts from: ns, pJ, mm2."""
        return _base(header, self.metric, value)

    def total(self, header: Answered) -> float:
        """The value of this figure in the unit that `units` starts from."""
        return self.base(header, header.metrics[self.metric])

    def in_arrays(self, header: Answered) -> float:
        """The part of this figure that is spent in arrays; raises KeyError where there is none."""
        return _base(header, self.array_metric, header.metrics[self.array_metric])

    def lower(self, header: Answered) -> float:
        """The bound on this figure: what no mapping can beat."""
        return self.base(header, header.bounds[self.metric].lower)

    def gap(self, header: Answered) -> float:
        """How far this figure lies above its bound, as a share of the bound."""
        return header.bounds[self.metric].gap


ARRAYS = CostFigure("arrays", "arrays", "arrays", "arrays", "count")
LATENCY = CostFigure("latency", "token latency", "token", "latency_ns", "time", "array_latency_ns")
PREFILL = CostFigure("prefill", "prefill", "prefill", "prefill_ns", "time", "array_prefill_ns")
INTERVAL = CostFigure("throughput", "II", "II", "ii_ns", "time", "array_ii_cycles")
ENERGY = CostFigure("energy", "energy", "energy", "energy_pj", "energy", "array_energy_pj")
AREA = CostFigure("area", "area", "area", "area_mm2", "area")
FIGURES = (ARRAYS, LATENCY, PREFILL, INTERVAL, ENERGY, AREA)


def figure_of_metric(metric: str) -> CostFigure | None:
    """The figure that an objective or a metric means, as searches report either."""
    return next((figure for figure in FIGURES if metric in (figure.objective, figure.metric)), None)


def subject(header: Answered | AnyHeader) -> dict[str, Any]:
    """What a solution answers, and by what, for programs."""
    return {"strategy": header.strategy, "model": header.model_name, "hardware": header.hw.get("name")}


def subject_text(header: Answered | AnyHeader) -> str:
    """What a solution answers, and by what, in words."""
    return f"{header.model_name} on {header.hw.get('name')} by {header.strategy}"


def clock_ns(header: Answered) -> float:
    """The clock period of a solution's chip."""
    return float(header.hw["clock_ns"])


def _base(header: Answered, metric: str, value: float) -> float:
    """Cycles become ns; all else stays in its metric's unit."""
    return value * clock_ns(header) if metric.endswith("_cycles") else float(value)
