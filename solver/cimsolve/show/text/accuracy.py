"""The report of `cimsolve accuracy`: a model's answers from step to step, and what each way of storing costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cimsolve.show.as_json import picked
from cimsolve.show.text.console import heading, indented, labelled, print_table
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import Kind, number, plural
from cimsolve.study.accuracy import Accuracy, AccuracyStep, AccuracyTable

ACCURACY_FORMAT = "cimsolve-accuracy/1"


def print_accuracy(found: AccuracyTable, verbosity: int) -> None:
    """The figures, step by step; unless quiet, what the steps are, what was tested, and what the mappings cost."""
    where = f"{found.model} on {found.hardware}"
    for index, (title, shown) in enumerate(figures_of(found)):
        heading(f"{where}: {title}", first=index == 0)
        shown_of = [[shown(row.figures.get(step.name)) for step in found.steps] for row in found.rows]
        rows = [
            [str(row.storage), f"{found.compression(row):.2f}", *figures]
            for row, figures in zip(found.rows, shown_of, strict=True)
        ]
        print_table(["stored", "fewer\nweights", *map(column_title, found.steps)], rows, unbroken=True)
    if verbosity < 0:
        return
    heading("Steps, from left to right")
    labelled(explained_steps(found))
    heading("Tested")
    for line in conditions(found):
        indented(line)
    if found.rows:
        heading("Cost of the mappings, a token, with the converters that they claim")
        costs: dict[str, tuple[str, Kind]] = {
            "arrays": ("arrays", "count"),
            "adc_bits_max": ("converter\nbits", "count"),
            "latency_ns": ("latency", "time"),
            "energy_pj": ("energy", "energy"),
        }
        columns = [Column("stored"), *(Column(title, meaning=kind) for title, kind in costs.values())]
        cells = [[str(row.storage), *(row.metrics[name] for name in costs)] for row in found.rows]
        print_sheet(Sheet(columns, cells), unbroken=True)


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
    """A cosine as text, three digits after the point."""
    return "-" if of is None or of.cosine is None else f"{of.cosine:.3f}"


def perplexity(of: Accuracy | None) -> str:
    """A perplexity as text: four digits, or a power of ten from 100,000 on."""
    if of is None or of.perplexity is None:
        return "-"
    value = of.perplexity
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e") if value >= 1e5 else number(value)


def agreement(of: Accuracy | None) -> str:
    """A share of tokens as text: in percent, one digit after the point."""
    return "-" if of is None or of.agreement is None else f"{100 * of.agreement:.1f}"


def column_title(step: AccuracyStep) -> str:
    """A step in short lines."""
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
    given = any(row.storage.file for row in found.rows)
    tuned = "Tuned factors bring norms and biases of their own; " if given else "Nothing is fine-tuned, and "
    return [
        f"{tested}, none of them used for anything else. Factors are fitted to {found.fitted_tokens} tokens of others, "
        f"ranges of converters set on {found.calibration_tokens} of these.",
        *errors(found),
        *left_dense(found),
        f"All {found.linears} linears run on the arrays of a checked mapping. Biases, norms, embeddings, attention and "
        f"the language-model head stay float32. {tuned}cells and converters have no noise.",
    ]


def left_dense(found: AccuracyTable) -> list[str]:
    """Which linears no row factors."""
    names = found.left_dense
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"Dense in every row, as the blocks do not divide a side: {names[0]}{more}."]


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
    rows = [
        {
            "method": row.storage.method,
            "compression_asked": row.storage.compression,
            **({} if row.storage.file is None else {"file": row.storage.file}),
            "compression": found.compression(row),
            **picked(row, "stored_weights", "metrics", "processor_s"),
            "figures": {step.name: _present(row.figures[step.name], found) for step in found.steps},
        }
        for row in found.rows
    ]
    sizes = ("linears", "weights", "vocabulary", "test_sequences", "test_tokens", "fitted_tokens", "calibration_tokens")
    return {
        "format": ACCURACY_FORMAT,
        **picked(found, "model", "hardware", *sizes),
        "command": command,
        "exit_code": exit_code,
        "steps": [step.name for step in found.steps],
        "left_dense": list(found.left_dense),
        "float_model": _present(found.float_model, found),
        "rows": rows,
    }


def _present(figures: Accuracy, found: AccuracyTable) -> dict[str, float | None]:
    return picked(figures, *(("cosine", "error") if found.embeds else ("perplexity", "agreement", "error")))
