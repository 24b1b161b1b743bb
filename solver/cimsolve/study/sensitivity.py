"""Does a comparison of strategies hold on another converter? The same question with one thing changed at a time.

docs/hardware.md, section "Converter models".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cimsolve.chip.converters import CONVERTER_MODELS
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InfeasibleError, InputError, Shortage
from cimsolve.problem.problem import Problem
from cimsolve.solve.effort import Effort
from cimsolve.study.solving import solve_and_check

AS_GIVEN = "as given"
WIRINGS = {"any": "any wiring", "interleaved": "interleaved", "adjacent": "adjacent"}
SAME = 1e-9
"""Values that differ by less, as a share, rank alike: they are sums of floats."""

LEAST_SAVING = 0.01
"""Smaller savings as given are none to be kept: they are within what any figure is worth."""

COMPARED_METRICS = ("array_latency_ns", "array_ii_ns", "array_energy_pj", "latency_ns", "ii_ns", "energy_pj")
"""What strategies are compared by: in arrays, then in all."""


@dataclass(frozen=True)
class Variant:
    """One change of the chip: keys of its spec with their new values, as of `--set`; none: the chip as given."""

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class VariantAnswer:
    """What a strategy gives under a variant; without metrics there is no mapping, and `reason` says why."""

    strategy: str
    metrics: Mapping[str, int | float] = field(default_factory=dict)
    adc_bits: tuple[int, ...] = ()
    """Resolutions that its conversions run at."""
    violations: tuple[str, ...] = ()
    """What the checker found; empty: passed."""
    reason: str = ""
    shortage: Shortage | None = None
    """The reason in numbers, where it has such."""


@dataclass(frozen=True)
class VariantAnswers:
    """All strategies under one variant, on the chip it makes; strategy -> answer."""

    variant: Variant
    hardware: Hardware
    answers: Mapping[str, VariantAnswer]

    @property
    def broken(self) -> bool:
        return any(answer.violations for answer in self.answers.values())

    def values(self, metric: str) -> dict[str, float]:
        """Strategy -> value, of those that have a mapping."""
        return {name: float(answer.metrics[metric]) for name, answer in self.answers.items() if answer.metrics}

    def extrapolated(self) -> dict[str, tuple[int, ...]]:
        """Strategy -> the extrapolated resolutions that it converts at, of those that use any."""
        lines = set(self.hardware.extrapolated_lines)
        used = {name: tuple(bits for bits in answer.adc_bits if bits in lines) for name, answer in self.answers.items()}
        return {name: bits for name, bits in used.items() if bits}


def find_variants(hardware: Hardware) -> tuple[Variant, ...]:
    """The chip as given, each other converter model and wiring, and sample-and-hold turned over.

    Raises InputError for a measured core, which has no converters to change.
    """
    if hardware.array_kind.holds_converters:
        raise InputError(
            f"{hardware.name}: a measured core holds its converters; expected a spec with adc.table, such as rram256"
        )
    converters = [name for name in CONVERTER_MODELS if name != hardware.adc.table_from]
    wirings = [name for name in WIRINGS if name != hardware.adc.wiring]
    held = hardware.adc.sample_hold
    return (
        Variant(AS_GIVEN, {}),
        *(Variant(name, {"adc.model": name}) for name in converters),
        *(Variant(WIRINGS[name], {"adc.wiring": name}) for name in wirings),
        Variant("no sample hold" if held else "sample hold", {"adc.sample_hold": "false" if held else "true"}),
    )


def answer_variants(
    problem: Problem,
    effort: Effort,
    strategies: Sequence[str],
    begin: Callable[[str, str], None] = lambda variant, strategy: None,
) -> Iterator[VariantAnswers]:
    """Every strategy under every variant, a variant at a time; `begin` is told which pair runs next.

    Raises as `find_variants` does.
    """
    for variant in find_variants(problem.hardware):
        hardware = with_settings(problem.hardware, variant.settings)
        question = problem.asking(hardware=hardware)
        answers: dict[str, VariantAnswer] = {}
        for strategy in strategies:
            begin(variant.name, strategy)
            answers[strategy] = _answer(question, strategy, effort)
        yield VariantAnswers(variant, hardware, answers)


def _answer(question: Problem, strategy: str, effort: Effort) -> VariantAnswer:
    try:
        solution, report = solve_and_check(question, strategy, effort)
    except InfeasibleError as error:
        return VariantAnswer(strategy, reason=str(error), shortage=error.shortage)
    return VariantAnswer(
        strategy,
        dict(solution.header.metrics),
        tuple(np.unique(solution.activations.adc_bits).tolist()),
        tuple(map(str, report.violations)),
    )


# Comparing


def ratio(values: Mapping[str, float], strategy: str, reference: str) -> float | None:
    """A strategy's value over the reference's; None where one has none or the reference is 0."""
    if strategy not in values or not values.get(reference):
        return None
    return values[strategy] / values[reference]


def kept(given: float | None, here: float | None) -> float | None:
    """The share of a saving that remains, (1 - ratio here) / (1 - ratio as given); None where none was made."""
    if given is None or here is None or given > 1 - LEAST_SAVING:
        return None
    return (1 - here) / (1 - given)


def rank(values: Mapping[str, float]) -> tuple[tuple[str, ...], ...]:
    """Strategies from the least value up; those of equal value stand together."""
    groups: list[list[str]] = []
    for name in sorted(values, key=lambda each: values[each]):
        if groups and math.isclose(values[groups[-1][0]], values[name], rel_tol=SAME):
            groups[-1].append(name)
        else:
            groups.append([name])
    order = list(values)
    return tuple(tuple(sorted(group, key=order.index)) for group in groups)


def flips(given: Mapping[str, float], here: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Pairs (a, b) where a had the lesser value as given and has the greater one here."""
    place = {name: index for index, group in enumerate(rank(given)) for name in group}
    now = {name: index for index, group in enumerate(rank(here)) for name in group}
    both = [name for name in given if name in here]
    return tuple((a, b) for a in both for b in both if place[a] < place[b] and now[a] > now[b])
