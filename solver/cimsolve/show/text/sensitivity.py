"""The report of `cimsolve sensitivity`: ratios to the reference, what is left of each saving, rankings that flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cimsolve.show.as_json import picked
from cimsolve.show.text.console import bad, heading, indented, labelled, print_json, same_again
from cimsolve.show.text.question import print_not_modelled, question_fields
from cimsolve.show.text.sheet import DOCUMENTS, Column, Sheet, print_csv, print_document, print_sheet
from cimsolve.show.units import Kind
from cimsolve.study.ask import Asked
from cimsolve.study.changes import VariantAnswers, VariantComparison, compare

TITLES: dict[str, tuple[str, Kind]] = {
    "array_latency_ns": ("Token latency in arrays", "time"),
    "array_ii_ns": ("II of the arrays", "time"),
    "array_energy_pj": ("Energy in arrays", "energy"),
    "latency_ns": ("Token latency, total", "time"),
    "ii_ns": ("II, digital units and transfers included", "time"),
    "energy_pj": ("Energy, total", "energy"),
}
"""What strategies are compared by: in arrays, then in all."""

IN_ARRAYS = tuple(TITLES)[:3]
SENSITIVITY_FORMAT = "cimsolve-sensitivity/1"
FLIPPED = "!"


@dataclass(frozen=True)
class Compared:
    """The variants answered, the chip as given first, and the strategy that the others are set against."""

    variants: Sequence[VariantAnswers]
    reference: str

    def under(self, here: VariantAnswers, metric: str) -> VariantComparison:
        """Strategies under a variant, set against the reference."""
        return compare(self.variants[0].values(metric), here.values(metric), self.reference)


def print_compared(asked: Asked, compared: Compared, form: str, verbosity: int, exit_code: int) -> None:
    """In the form asked for; with `verbosity` below 0 the tables and nothing else, above it totals too."""
    metrics = tuple(TITLES) if verbosity > 0 else IN_ARRAYS
    titles = {each: f"{TITLES[each][0]}: {compared.reference}, the others as a multiple of it" for each in metrics}
    if form == "json":
        print_json(_describe(asked, compared, exit_code))
    elif form == "csv":
        print_csv(_full_sheet(compared))
    elif form in DOCUMENTS:
        print_document(form, {title: _ratios(compared, metric) for metric, title in titles.items()}, asked.command)
    else:
        for metric, title in titles.items():
            heading(title, first=verbosity < 0 and metric == metrics[0])
            print_sheet(_ratios(compared, metric), tight=True)
            _print_rankings(compared, metric)
        if verbosity >= 0:
            _print_how(compared)
        _print_failures(compared)
        if verbosity >= 0:
            print_not_modelled(asked.problem)
            same_again(asked.command)


def extrapolation_note(answers: VariantAnswers) -> str:
    """Which strategies convert at resolutions that the converter model does not cover."""
    used: dict[str, list[str]] = {}
    for strategy, bits in answers.extrapolated().items():
        used.setdefault(", ".join(map(str, bits)), []).append(strategy)
    texts = [f"{', '.join(names)} at {bits} bits" for bits, names in used.items()]
    notes = [f"extrapolated for {'; '.join(texts)}"] if texts else []
    hardware = answers.variant.hardware
    whole = hardware.sources.get("adc.table")
    if hardware.adc.table_from is not None and whole is not None and whole.mark == "extrapolated":
        notes.append(whole.origin.rpartition("; ")[2])
    return "; ".join(notes)


def ranking_text(ranking: Sequence[Sequence[str]]) -> str:
    """The ranking in one line: commas between, equals signs where values are equal."""
    return ", ".join(" = ".join(group) for group in ranking)


def _ratios(compared: Compared, metric: str) -> Sheet:
    """A row a variant; what is kept is shown of strategies that save something as given, in whole percent."""
    found = [compared.under(each, metric) for each in compared.variants]
    shown: list[tuple[Column, list[Any]]] = [
        (Column("chip"), [each.variant.name for each in compared.variants]),
        (
            Column(compared.reference, metric, TITLES[metric][1]),
            [each.values(metric)[compared.reference] for each in compared.variants],
        ),
    ]
    for name in found[0].ratio:
        if name != compared.reference:
            shown.append((Column(f"{name}\nratio", meaning="ratio"), [one.ratio[name] for one in found]))
        if found[0].kept[name] is not None:
            shares = [one.kept[name] for one in found]
            percent = [None if share is None else f"{round(100 * share)}%" for share in shares]
            shown.append((Column("\nkept", meaning="share"), percent))
    return Sheet([column for column, _ in shown], list(zip(*(values for _, values in shown), strict=True)))


def _full_sheet(compared: Compared) -> Sheet:
    """A row a variant and strategy, for programs."""
    keys = ["chip", "strategy", "state", *(f"{kind}{metric}" for metric in TITLES for kind in ("", "ratio_", "kept_"))]
    rows = []
    for each in compared.variants:
        found = [(each.values(metric), compared.under(each, metric)) for metric in TITLES]
        for name, answer in each.answers.items():
            figures = [each for values, one in found for each in (values[name], one.ratio[name], one.kept[name])]
            rows.append([each.variant.name, name, answer.state, *figures])
    return Sheet([Column(key, key) for key in keys], rows)


def _print_rankings(compared: Compared, metric: str) -> None:
    """Each ranking with the variants that have it, and the pairs that changed places."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in compared.variants:
        found = compared.under(each, metric)
        pairs = ", ".join(f"{a} and {b}" for a, b in found.flips)
        groups.setdefault((ranking_text(found.ranking), pairs), []).append(each.variant.name)
    for (ranking, pairs), names in groups.items():
        text = f"{ranking}: {', '.join(names)}"
        indented(Text(f"{FLIPPED} {text}; changed places: {pairs}", style="yellow") if pairs else text)


def _print_how(compared: Compared) -> None:
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


def _describe_change(answers: VariantAnswers) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in answers.variant.settings.items())
    adc = answers.variant.hardware.adc
    held = "with" if adc.sample_hold else "without"
    text = settings or f"converters of {adc.table_from or 'the spec'}, wiring {adc.wiring}, {held} sample and hold"
    note = extrapolation_note(answers)
    return f"{text}; {note}" if note else text


def _print_failures(compared: Compared) -> None:
    for each in compared.variants:
        for name, answer in each.answers.items():
            if answer.reason:
                text = f"{each.variant.name}: {name}: {answer.reason.removeprefix(f'{name}: ')}"
                indented(bad(text) if answer.state == "failed" else text)


def _describe(asked: Asked, compared: Compared, exit_code: int) -> dict[str, Any]:
    """The question, and of each variant every strategy's figures, ratios, savings kept, and the rankings."""
    return {
        "format": SENSITIVITY_FORMAT,
        "question": question_fields(asked),
        "reference": compared.reference,
        "variants": [
            {
                "name": each.variant.name,
                "changes": each.variant.settings,
                "extrapolated_bits": each.extrapolated(),
                "compare": {metric: compared.under(each, metric) for metric in TITLES},
                "strategies": {
                    name: picked(answer, "state", "metrics", "adc_bits", "violations", "reason")
                    for name, answer in each.answers.items()
                },
            }
            for each in compared.variants
        ],
        "command": asked.command,
        "exit_code": exit_code,
    }
