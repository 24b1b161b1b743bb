"""Real models on mapped arrays, end to end: what `cimsolve accuracy` prints for each, and what follows from it.

For each model the table of the command, two comparisons on dense weights (scales of the quantisation, tokens that set
the converters' ranges), and the same model on a chip whose own rule gives converters too few bits. All figures of the
report, those in its sentences too, are measured in the run that writes it, or come from `--cache`, where an
interrupted run goes on; kept rows are of the same code, weights and libraries only.

The weights come by `make weights` and `make weights-smollm2`; a model whose weights are absent is said to be.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.chip.read import load_hardware
from cimsolve.cli import accuracy
from cimsolve.show.text.accuracy import agreement, cosine, errors, figures_of, perplexity
from cimsolve.study.accuracy import AccuracyQuestion, AccuracyTable, rows_measured
from cimsolve.weights.names import METHODS

MODELS = ("weights/minilm", "weights/smollm2")
COMPRESSIONS = (1.5, 3.0, 7.0)
MORE_TOKENS = 512
"""To set the ranges of converters, in place of the default."""


class Measured:
    """One model's tables."""

    def __init__(self, folder: Path, hardware: str, lossy: str, options: dict[str, Any], cache: Path | None) -> None:
        """`options` are fields of AccuracyQuestion; the lossy chip has the last of their compressions, no `als`."""
        self._folder, self._cache, self._options = folder, cache, options
        self.chip, self.lossy_chip = load_hardware(hardware), load_hardware(lossy)
        dense = {"methods": ("dense",)}
        self.main = self._table(self.chip)
        self.one_scale_a_call = self._table(self.chip, **dense, bits=(), input_scale="tensor")
        self.one_scale_a_factor = self._table(self.chip, **dense, bits=(), weight_scale="tensor")
        self.more_tokens = self._table(self.chip, **dense, calibration_tokens=MORE_TOKENS)
        quick = tuple(method for method in options["methods"] if method != "als")
        self.by_rule = self._table(self.lossy_chip, methods=quick, bits=(), compressions=options["compressions"][-1:])

    def _table(self, chip: object, **changes: object) -> AccuracyTable:
        asked = AccuracyQuestion(folder=self._folder, hardware=chip, **{**self._options, **changes})
        for table in rows_measured(asked, self._cache):
            if table.rows:
                row = table.rows[-1]
                log(f"{table.model}, {table.hardware}, {row.storage}: {row.processor_s:.0f} s of one processor")
        return table

    @property
    def processor_s(self) -> float:
        tables = (self.main, self.one_scale_a_call, self.one_scale_a_factor, self.more_tokens, self.by_rule)
        return sum(row.processor_s for table in tables for row in table.rows)


def section(found: Measured, command: str) -> list[str]:
    """The report of one model."""
    main = found.main
    parts = [
        f"## {main.model}",
        f"`{command}`",
        f"{main.test_sequences} paragraphs with {main.test_tokens} tokens are tested; factors are fitted to "
        f"{main.fitted_tokens} tokens of others, ranges of converters set on {main.calibration_tokens} of these. "
        f"Processor time of all tables of this section: {found.processor_s:.0f} s.",
        *errors(main),
    ]
    for title, shown in figures_of(main):
        heads = ["stored", "fewer weights", *(step.name for step in main.steps)]
        rows = [
            [
                str(row.storage),
                f"{main.compression(row):.2f}",
                *(shown(row.figures[step.name]) for step in main.steps),
            ]
            for row in main.rows
        ]
        parts += [f"{title[0].upper()}{title[1:]}:", markdown_table(heads, rows)]
    parts += ["### What the figures say", sentences(found), "### What it costs", costs(main)]
    parts += [f"### {main.model} on {found.by_rule.hardware}", by_rule(found)]
    return parts


def sentences(found: Measured) -> str:
    main = found.main
    dense = main.rows[0].figures
    bits = sorted({step.bits for step in main.steps if step.bits is not None}, reverse=True)
    named = ", ".join(map(str, bits))

    def over(kind: str, table: AccuracyTable = main) -> str:
        return ", ".join(both(table.rows[0].figures[f"{kind} {each}"]) for each in bits)

    lines = [
        f"- Dense on lossless arrays: {both(dense['lossless'])}, in float {both(dense['float'])}. What is lost is "
        f"quantisation. With one scale a factor in place of one a column of weights: "
        f"{both(found.one_scale_a_factor.rows[0].figures['lossless'])}; with one scale a call in place of one a token "
        f"of inputs: {both(found.one_scale_a_call.rows[0].figures['lossless'])}.",
        f"- Dense, converters of {named} bits over the full range: {over('full')}. Over ranges calibrated on "
        f"{main.calibration_tokens} tokens: {over('calibrated')}. On {found.more_tokens.calibration_tokens} tokens: "
        f"{over('calibrated', found.more_tokens)}.",
    ]
    compressions = list(dict.fromkeys(row.storage.compression for row in main.rows[1:]))
    for compression in compressions:
        rows = [row for row in main.rows if row.storage.compression == compression]
        best = sorted(rows, key=lambda row: nearness(row.figures["float"]), reverse=True)
        names = "; ".join(f"`{row.storage.method}` {both(row.figures['float'])}" for row in best)
        lines.append(f"- Projection alone, {compression:g} times fewer weights, the nearest first: {names}.")
    return "\n".join(lines)


def nearness(of) -> float:
    """By which rows are put in order: a larger cosine, a smaller perplexity."""
    if of.cosine is not None:
        return of.cosine
    return float("-inf") if of.perplexity is None else -of.perplexity


def both(of) -> str:
    """All figures of one run, for a sentence, with their standard error."""
    if of.agreement is None:
        return cosine(of) + (f" ± {of.error:.1g}" if (of.error or 0) > 1e-6 else "")
    return f"{perplexity(of)}{f' ± {100 * of.error:.0f} %' if of.error else ''} ({agreement(of)} %)"


def costs(main: AccuracyTable) -> str:
    heads = ["stored", "arrays", "most converter bits", "latency, us", "energy, uJ"]
    rows = [
        [
            str(row.storage),
            f"{row.metrics['arrays']:,}",
            f"{row.metrics['adc_bits_max']:.0f}",
            f"{row.metrics['latency_ns'] / 1e3:.4g}",
            f"{row.metrics['energy_pj'] / 1e6:.4g}",
        ]
        for row in main.rows
    ]
    return "A token by the equations; attention and other digital work are in it.\n\n" + markdown_table(heads, rows)


def by_rule(found: Measured) -> str:
    table = found.by_rule
    heads = ["stored", "most converter bits", *(step.name for step in table.steps)]
    rows = [
        [
            str(row.storage),
            f"{row.metrics['adc_bits_max']:.0f}",
            *(both(row.figures[step.name]) for step in table.steps),
        ]
        for row in table.rows
    ]
    text = (
        f"{table.hardware} gives its converters the bits of its own rule, which are fewer than lossless. Its times and "
        "energies are those of converters that lose this much. `als` was left out, for time."
    )
    return f"{text}\n\n{markdown_table(heads, rows)}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "accuracy.md")
    parser.add_argument("--models", nargs="+", type=Path, default=[Path(each) for each in MODELS], metavar="FOLDER")
    parser.add_argument("--hw", default="rram256", metavar="SPEC", help="default: %(default)s")
    parser.add_argument("--lossy-hw", default="paper256", metavar="SPEC", help="default: %(default)s")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="beside dense")
    parser.add_argument("--compressions", nargs="+", type=float, default=list(COMPRESSIONS), metavar="R")
    parser.add_argument("--blocks", default="4,4", metavar="K,L", help="default: %(default)s")
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 6, 5], metavar="N", help="default: 8 6 5")
    parser.add_argument("--samples", type=int, default=4096, metavar="N", help="most tokens of the text")
    parser.add_argument("--test-tokens", type=int, default=200, metavar="N", help="about the most tested")
    parser.add_argument("--calibration-tokens", type=int, default=64, metavar="N", help="to set converters' ranges")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep rows there and go on from them")
    options = parser.parse_args(argv)
    k, across = map(int, options.blocks.split(","))
    asked: dict[str, Any] = {
        "methods": ("dense", *options.methods),
        "compressions": tuple(options.compressions),
        "blocks": (k, across),
        "bits": tuple(options.bits),
        "samples": options.samples,
        "test_tokens": options.test_tokens,
        "calibration_tokens": options.calibration_tokens,
    }
    listed = ",".join(f"{each:g}" for each in options.compressions)
    sections: list[str] = []
    for folder in options.models:
        if not folder.is_dir():
            sections += [f"## {folder.name}", f"Not run: {folder} is absent; `make weights` or `make weights-smollm2`."]
            continue
        words = ["--weights", str(folder), "--hw", options.hw, "--method", ",".join(asked["methods"])]
        words += ["--compression", listed, "--blocks", options.blocks, "--bits", ",".join(map(str, options.bits))]
        for name in ("samples", "test_tokens", "calibration_tokens"):
            words += [f"--{name.replace('_', '-')}", str(asked[name])]
        command = accuracy.Options.parse(words).command()
        sections += section(Measured(folder, options.hw, options.lossy_hw, asked, options.cache), command)
    chip = load_hardware(options.hw)
    write_report(
        options.out,
        "# Real models on mapped arrays",
        provenance(__file__, argv, ("numba", "tokenizers")),
        "Each model reads paragraphs of the text that comes with cimsolve, every linear run by the arrays of a mapping "
        "that has passed the checker (dense: strategy `linear`; factors: `spread`). Every figure below, those in "
        "sentences too, was measured by the command above, in one run or in several that its cache joins; the "
        "command at the head of each section prints its first table. [How to read it](../docs/accuracy.md).",
        f"The chip is {chip.name}: {chip.array.rows} x {chip.array.cols} cells of {chip.cell.bits} bits, "
        f"{chip.weight.bits}-bit weights with a scale a column, {chip.input.bits}-bit inputs with a scale a token. "
        "`float`: as stored, without arrays. `lossless`: quantised, converters that lose nothing. `full N` and "
        "`calibrated N`: converters of at most N bits, over every sum there can be or over those that other text "
        f"causes; `rule`: the bits that the spec's rule gives. Factors have k = {k} and l = {across} blocks, and for "
        "each linear the rank that comes nearest to the compression asked for; low-rank has no more parameters. Of a "
        "language model the figures in sentences are its perplexity and, in brackets, the share of most probable next "
        "tokens that are the float model's. What stands after ± is the standard error over the paragraphs tested, of a "
        "perplexity over their tokens and as a share of it, beside the float model's.",
        "Nothing is fine-tuned; cells and converters have no noise; biases, norms, embeddings, attention and the "
        "language-model head stay float32. The order of models that are broken means nothing: few-bit converters "
        "amplify the last bit of a float there.",
        *sections,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
