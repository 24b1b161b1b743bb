"""The report of `cimsolve accuracy`: a model's answers from step to step, and what each way of storing costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from cimsolve.show.text.console import heading, indented, labelled, results, show, table
from cimsolve.show.units import choose_unit, in_unit, number, plural
from cimsolve.study.accuracy import Accuracy, AccuracyTable, Step

ACCURACY_FORMAT = "cimsolve-accuracy/1"


def print_accuracy(found: AccuracyTable, verbosity: int) -> None:
    """The figures, step by step; unless quiet, what the steps are, what was tested, and what the mappings cost."""
    console = results()
    where = f"{found.model} on {found.hardware}"
    for number_of_table, (title, shown) in enumerate(figures_of(found)):
        heading(console, f"{where}: {title}", first=number_of_table == 0)
        rows = [
            [
                str(row.storage),
                f"{found.compression(row):.2f}",
                *(shown(row.figures.get(step.name)) for step in found.steps),
            ]
            for row in found.rows
        ]
        _show_rows(["stored", "fewer\nweights", *map(column_title, found.steps)], rows)
    if verbosity < 0:
        return
    heading(console, "Steps, from left to right")
    labelled(console, explained_steps(found))
    heading(console, "Tested")
    for line in conditions(found):
        indented(console, line)
    if found.rows:
        heading(console, "Cost of the mappings, a token, with the converters that they claim")
        latency = choose_unit("time", [row.metrics["latency_ns"] for row in found.rows])
        energy = choose_unit("energy", [row.metrics["energy_pj"] for row in found.rows])
        cells = [
            [
                str(row.storage),
                str(row.metrics["arrays"]),
                f"{row.metrics['adc_bits_max']:.0f}",
                in_unit(row.metrics["latency_ns"], latency),
                in_unit(row.metrics["energy_pj"], energy),
            ]
            for row in found.rows
        ]
        heads = ["stored", "arrays", "converter\nbits", f"latency\n{latency.name}", f"energy\n{energy.name}"]
        _show_rows(heads, cells)


def _show_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is not broken between a method and its compression."""
    made = table(heads, rows)
    made.columns[0].min_width = max((len(row[0]) for row in rows), default=0)
    show(results(), made)


Shown = Callable[[Accuracy | None], str]


def figures_of(found: AccuracyTable) -> list[tuple[str, Shown]]:
    """The figures that this kind of model has: what each is, and how it is written."""
    if found.embeds:
        return [("cosine to the float model's embeddings (1: the same)", cosine)]
    exact = found.float_model
    return [
        (f"perplexity (float model: {perplexity(exact)}; knowing nothing: {found.vocabulary})", perplexity),
        ("next tokens that are the float model's, %", agreement),
    ]


def cosine(of: Accuracy | None) -> str:
    return "-" if of is None or of.cosine is None else f"{of.cosine:.3f}"


def perplexity(of: Accuracy | None) -> str:
    """Four digits, or a power of ten from 100,000 on."""
    if of is None or of.perplexity is None:
        return "-"
    value = of.perplexity
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e") if value >= 1e5 else number(value)


def agreement(of: Accuracy | None) -> str:
    return "-" if of is None or of.agreement is None else f"{100 * of.agreement:.1f}"


def column_title(step: Step) -> str:
    if step.kind in ("float", "lossless"):
        return step.kind
    kind = "calib." if step.kind == "calibrated" else step.kind
    return f"{kind}\n{'rule' if step.bits is None else f'{step.bits}-bit'}"


def explained_steps(found: AccuracyTable) -> list[tuple[str, str]]:
    """Name and meaning of each step."""
    quantised = f"{found.weight_bits}-bit weights and {found.input_bits}-bit inputs"
    lines = [
        ("float", "as stored, in float32, without arrays: what projection alone leaves"),
        ("lossless", f"{quantised} on arrays whose converters lose nothing"),
        ("full", "converters of at most so many bits, over every sum there can be"),
        ("calibrated", "the same bits over the sums that other paragraphs cause; larger sums are clipped"),
    ]
    if any(step.kind in ("full", "calibrated") and step.bits is None for step in found.steps):
        lines.append(("rule", f"the bits that the rule of {found.hardware} gives, too few to lose nothing"))
    return lines


def conditions(found: AccuracyTable) -> list[str]:
    """What the figures rest on."""
    tested = f"{plural(found.test_sequences, 'paragraph')} with {plural(found.test_tokens, 'token')}"
    return [
        f"{tested}, none of them used for anything else. Factors are fitted to {found.fitted_tokens} tokens of others, "
        f"ranges of converters set on {found.calibration_tokens} of these.",
        *errors(found),
        f"All {found.linears} linears run on the arrays of a checked mapping. Biases, norms, embeddings, attention and "
        "the language-model head stay float32. Nothing is fine-tuned, and cells and converters have no noise.",
    ]


def errors(found: AccuracyTable) -> list[str]:
    """How far the figures may be off as the test is small: the standard errors of the table, from least to most."""
    of_rows = [each for row in found.rows for each in row.figures.values() if each != found.float_model]
    known = [each.error for each in of_rows if each.error is not None]
    if not known:
        return []
    least, most = min(known), max(known)
    if found.embeds:
        return [f"Standard errors, over paragraphs: {least:.4f} to {most:.4f}. Smaller differences say nothing."]
    shares = [each.agreement for each in of_rows if each.agreement is not None]
    points = [100 * (value * (1 - value) / found.test_tokens) ** 0.5 for value in shares]
    return [
        f"Standard errors, over tokens: {100 * least:.1f} to {100 * most:.1f} % of a perplexity beside the float "
        f"model's, {min(points):.1f} to {max(points):.1f} points of a share. Smaller differences say nothing."
    ]


def describe_accuracy(found: AccuracyTable, command: str, exit_code: int) -> dict[str, Any]:
    """The whole table as JSON; figures that are no numbers are null."""
    rows: Sequence[dict[str, Any]] = [
        {
            "method": row.storage.method,
            "compression_asked": row.storage.compression,
            "compression": found.compression(row),
            "stored_weights": row.stored_weights,
            "metrics": dict(row.metrics),
            "figures": {step.name: _present(row.figures[step.name], found) for step in found.steps},
            "processor_s": row.processor_s,
        }
        for row in found.rows
    ]
    return {
        "format": ACCURACY_FORMAT,
        "model": found.model,
        "hardware": found.hardware,
        "command": command,
        "exit_code": exit_code,
        "linears": found.linears,
        "weights": found.weights,
        "vocabulary": found.vocabulary,
        "test_sequences": found.test_sequences,
        "test_tokens": found.test_tokens,
        "fitted_tokens": found.fitted_tokens,
        "calibration_tokens": found.calibration_tokens,
        "steps": [step.name for step in found.steps],
        "float_model": _present(found.float_model, found),
        "rows": list(rows),
    }


def _present(figures: Accuracy, found: AccuracyTable) -> dict[str, float | None]:
    wanted = ("cosine", "error") if found.embeds else ("perplexity", "agreement", "error")
    return {name: value for name, value in asdict(figures).items() if name in wanted}
