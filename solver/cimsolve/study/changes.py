"""Does a comparison of strategies hold on another converter? The same question with one thing changed at a time.

docs/hardware.md, section "Converter models".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cimsolve.chip.converters import CONVERTER_MODELS
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.problem.problem import Problem
from cimsolve.study.sweep.point import Point, Record
from cimsolve.study.sweep.run import Progressed

Values: TypeAlias = Mapping[str, float | None]
"""Strategy -> value of one metric; None without a mapping."""

WIRINGS = {"any": "any wiring", "interleaved": "interleaved", "adjacent": "adjacent"}
SAME = 1e-9
"""Values that differ by less, as a share, rank alike: they are sums of floats."""

LEAST_SAVING = 0.01
"""Smaller savings as given are none to be kept: they are within what any figure is worth."""


@dataclass(frozen=True)
class Variant:
    """One change of the chip: keys of its spec with their new values, as of `--set`, and the chip that they make."""

    name: str
    settings: Mapping[str, str]
    """None: the chip as given."""
    hardware: Hardware


@dataclass(frozen=True)
class VariantAnswers:
    """All strategies under one variant; strategy -> record."""

    variant: Variant
    answers: Mapping[str, Record]

    def values(self, metric: str) -> dict[str, float | None]:
        """Strategy -> value; None without a mapping."""
        return {name: answer.metrics.get(metric) for name, answer in self.answers.items()}

    def extrapolated(self) -> dict[str, list[int]]:
        """Strategy -> the extrapolated resolutions that it converts at, of those that use any."""
        lines = self.variant.hardware.extrapolated_lines
        used = {name: [bits for bits in answer.adc_bits if bits in lines] for name, answer in self.answers.items()}
        return {name: bits for name, bits in used.items() if bits}


def find_variants(hardware: Hardware) -> list[Variant]:
    """The chip as given, each other converter model and wiring, and sample-and-hold turned over.

    Raises InputError for a measured core, which has no converters to change.
    """
    if hardware.array_kind.holds_converters:
        raise InputError(
            f"{hardware.name}: a measured core holds its converters; expected a spec with adc.table, such as rram256"
        )
    held = hardware.adc.sample_hold
    changes: dict[str, dict[str, str]] = {
        "as given": {},
        **{name: {"adc.model": name} for name in CONVERTER_MODELS if name != hardware.adc.table_from},
        **{title: {"adc.wiring": name} for name, title in WIRINGS.items() if name != hardware.adc.wiring},
        "no sample hold" if held else "sample hold": {"adc.sample_hold": "false" if held else "true"},
    }
    return [Variant(name, settings, with_settings(hardware, settings)) for name, settings in changes.items()]


def answer_variants(
    problem: Problem,
    variants: Sequence[Variant],
    strategies: Sequence[str],
    solve: Callable[[Sequence[Point]], Progressed],
    **search: Any,
) -> tuple[list[VariantAnswers], Progressed]:
    """Every strategy under every variant, as far as `solve` comes, and what it gives; `search` are fields of Point.

    Variants are left out from the first on that lacks an answer. Raises InputError for a variant that cannot be asked.
    """
    asked = []
    for variant in variants:
        question = problem.asking(hardware=variant.hardware).question.to_json()
        asked.append({name: Point(question=question, strategy=name, **search) for name in strategies})
    done = solve([point for points in asked for point in points.values()])
    found = []
    for variant, points in zip(variants, asked, strict=True):
        answers = {name: done.records.get(point.digest()) for name, point in points.items()}
        if None in answers.values():
            break
        found.append(VariantAnswers(variant, {name: each for name, each in answers.items() if each}))
    return found, done


@dataclass(frozen=True)
class VariantComparison:
    """How strategies stand to one of them in one metric, less being better, and to each other."""

    ratio: Mapping[str, float | None]
    """Value over the reference's; None where one has none or the reference is 0."""
    kept: Mapping[str, float | None]
    """Share of the saving that remains, (1 - ratio here) / (1 - ratio as given); None where none was made."""
    ranking: Sequence[Sequence[str]]
    """From the least value up; those of equal value stand together."""
    flips: Sequence[tuple[str, str]]
    """Pairs (a, b) where a had the lesser value as given and has the greater one here."""


def compare(given: Values, here: Values, reference: str) -> VariantComparison:
    """Values of strategies set against the reference's, and against those as given."""
    before, now = _ratios(given, reference), _ratios(here, reference)
    ranking = _rank(here)
    places = [{name: place for place, group in enumerate(each) for name in group} for each in (_rank(given), ranking)]
    both = [name for name in given if all(name in each for each in places)]
    flipped = [(a, b) for a in both for b in both if places[0][a] < places[0][b] and places[1][a] > places[1][b]]
    kept = {
        name: None
        if ratio is None or (given_ratio := before[name]) is None or given_ratio > 1 - LEAST_SAVING
        else (1 - ratio) / (1 - given_ratio)
        for name, ratio in now.items()
    }
    return VariantComparison(now, kept, ranking, flipped)


def _ratios(values: Values, reference: str) -> dict[str, float | None]:
    whole = values[reference]
    return {name: value / whole if value is not None and whole else None for name, value in values.items()}


def _rank(values: Values) -> list[list[str]]:
    known = {name: value for name, value in values.items() if value is not None}
    groups: list[list[str]] = []
    for name in sorted(known, key=lambda each: known[each]):
        if groups and math.isclose(known[groups[-1][0]], known[name], rel_tol=SAME):
            groups[-1].append(name)
        else:
            groups.append([name])
    return [sorted(group, key=list(known).index) for group in groups]
