"""The report of `cimsolve sensitivity`: ratios to the reference, what is left of each saving, rankings that flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cimsolve.show.as_json import picked
from cimsolve.show.text.console import Cell, bad, heading, indented, labelled, print_table, same_again
from cimsolve.show.text.question import print_not_modelled, question_fields
from cimsolve.show.units import Kind, choose_unit, in_unit
from cimsolve.show.units import ratio as ratio_text
from cimsolve.study.ask import Asked
from cimsolve.study.sensitivity import COMPARED_METRICS, VariantAnswers, flips, kept, rank, ratio

TITLES: dict[str, tuple[str, Kind]] = {
    "array_latency_ns": ("Token latency in arrays", "time"),
    "array_ii_ns": ("II of the arrays", "time"),
    "array_energy_pj": ("Energy in arrays", "energy"),
    "latency_ns": ("Token latency, total", "time"),
    "ii_ns": ("II, digital units and transfers included", "time"),
    "energy_pj": ("Energy, total", "energy"),
}
IN_ARRAYS = COMPARED_METRICS[:3]
SENSITIVITY_FORMAT = "cimsolve-sensitivity/1"
FLIPPED = "!"
VIOLATIONS_SHOWN = 3


@dataclass(frozen=True)
class Compared:
    """The variants answered, the chip as given first, and the strategy that the others are set against."""

    variants: Sequence[VariantAnswers]
    reference: str


def print_sensitivity(asked: Asked, compared: Compared, verbosity: int) -> None:
    """The end of a run; with `verbosity` below 0 the tables and nothing else, above it totals too."""
    for number, metric in enumerate(COMPARED_METRICS if verbosity > 0 else IN_ARRAYS):
        title, _ = TITLES[metric]
        heading(f"{title}: {compared.reference}, the others as a multiple of it", verbosity < 0 and not number)
        _print_ratios(compared, metric)
        _print_rankings(compared, metric)
    if verbosity < 0:
        _print_failures(compared)
        return
    heading("How to read it")
    indented(
        "kept: share of the saving over the reference as given that remains, (1 - ratio here) / (1 - ratio as "
        "given); below 0 it has become a loss. Strategies that saved less than 1% have no such column."
    )
    indented(
        f"Rankings that differ from the one as given are marked {FLIPPED}, with the pairs that changed places. One "
        "thing is changed at a time, and every strategy answers anew. Figures are those that the checker recomputed."
    )
    heading("Changes")
    labelled([(each.variant.name, _describe_change(each)) for each in compared.variants])
    _print_failures(compared)
    print_not_modelled(asked.problem)
    same_again(asked.command)


def extrapolation_note(answers: VariantAnswers) -> str:
    """Which strategies convert at resolutions that the converter model does not cover."""
    used: dict[tuple[int, ...], list[str]] = {}
    for strategy, bits in answers.extrapolated().items():
        used.setdefault(bits, []).append(strategy)
    texts = [f"{', '.join(names)} at {', '.join(map(str, bits))} bits" for bits, names in used.items()]
    notes = [f"extrapolated for {'; '.join(texts)}"] if texts else []
    whole = answers.hardware.sources.get("adc.table")
    if answers.hardware.adc.table_from is not None and whole is not None and whole.mark == "extrapolated":
        notes.append(whole.origin.rpartition("; ")[2])
    return "; ".join(notes)


def savers(compared: Compared, metric: str) -> list[str]:
    """Strategies that save something over the reference as given, so that a share of it can be kept."""
    given = compared.variants[0].values(metric)
    ratios = {name: ratio(given, name, compared.reference) for name in compared.variants[0].answers}
    return [name for name, found in ratios.items() if kept(found, found) is not None]


def percent(share: float) -> str:
    """Whole percent, without a minus before nothing."""
    return f"{round(100 * share)}%"


def groups_text(values: dict[str, float]) -> str:
    """The ranking in one line: commas between, equals signs where values are equal."""
    return ", ".join(" = ".join(group) for group in rank(values))


def _print_ratios(compared: Compared, metric: str) -> None:
    given = compared.variants[0].values(metric)
    rows = [each.values(metric) for each in compared.variants]
    unit = choose_unit(TITLES[metric][1], [row.get(compared.reference, 0.0) for row in rows])
    others = [name for name in compared.variants[0].answers if name != compared.reference]
    saving = savers(compared, metric)
    columns = ["chip", f"{compared.reference}\n{unit.name}"]
    for name in others:
        columns += [f"{name}\nratio", *(["\nkept"] if name in saving else [])]
    cells: list[list[Cell]] = []
    for each, row in zip(compared.variants, rows, strict=True):
        line: list[Cell] = [each.variant.name]
        line.append(in_unit(row[compared.reference], unit) if compared.reference in row else "-")
        for name in others:
            here = ratio(row, name, compared.reference)
            line.append("-" if here is None else ratio_text(here))
            if name in saving:
                left = kept(ratio(given, name, compared.reference), here)
                line.append("-" if left is None else percent(left))
        cells.append(line)
    print_table(columns, cells, tight=True)


def _print_rankings(compared: Compared, metric: str) -> None:
    given = compared.variants[0].values(metric)
    groups: dict[str, list[VariantAnswers]] = {}
    for each in compared.variants:
        groups.setdefault(groups_text(each.values(metric)), []).append(each)
    for text, members in groups.items():
        changed = flips(given, members[0].values(metric))
        names = ", ".join(each.variant.name for each in members)
        pairs = f"; changed places: {', '.join(f'{a} and {b}' for a, b in changed)}" if changed else ""
        line = f"{FLIPPED if changed else ' '} {text}: {names}{pairs}"
        indented(Text(line.strip(), style="yellow") if changed else line.strip())


def _describe_change(answers: VariantAnswers) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in answers.variant.settings.items())
    adc = answers.hardware.adc
    held = "with" if adc.sample_hold else "without"
    text = settings or f"converters of {adc.table_from or 'the spec'}, wiring {adc.wiring}, {held} sample and hold"
    note = extrapolation_note(answers)
    return f"{text}; {note}" if note else text


def _print_failures(compared: Compared) -> None:
    for each in compared.variants:
        for answer in each.answers.values():
            if answer.reason:
                indented(f"{each.variant.name}: {answer.reason}")
            for violation in answer.violations[:VIOLATIONS_SHOWN]:
                indented(bad(f"{each.variant.name}: {answer.strategy} breaks {violation}"))


def describe_sensitivity(asked: Asked, compared: Compared, exit_code: int) -> dict[str, Any]:
    """The question, and of each variant every strategy's figures, ratios, savings kept, and the rankings."""
    return {
        "format": SENSITIVITY_FORMAT,
        "question": question_fields(asked),
        "reference": compared.reference,
        "variants": [_describe(each, compared) for each in compared.variants],
        "command": asked.command,
        "exit_code": exit_code,
    }


def _describe(answers: VariantAnswers, compared: Compared) -> dict[str, Any]:
    compare: dict[str, Any] = {}
    for metric in COMPARED_METRICS:
        given, here = compared.variants[0].values(metric), answers.values(metric)
        ratios = {name: ratio(here, name, compared.reference) for name in answers.answers}
        as_given = {name: ratio(given, name, compared.reference) for name in answers.answers}
        compare[metric] = {
            "ratio": ratios,
            "kept": {name: kept(as_given[name], ratios[name]) for name in ratios},
            "ranking": rank(here),
            "flips": flips(given, here),
        }
    return {
        "name": answers.variant.name,
        "changes": answers.variant.settings,
        "extrapolated_bits": answers.extrapolated(),
        "compare": compare,
        "strategies": {
            name: {
                "state": "solved" if answer.metrics else "infeasible",
                **picked(answer, "metrics", "adc_bits", "violations", "reason"),
            }
            for name, answer in answers.answers.items()
        },
    }
