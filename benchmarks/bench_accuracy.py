"""A real model on mapped arrays, end to end: real text through arrays that hold its dense weights or its factors.

Every linear is run by the array simulator of a checked solution, converters lossless or with fewer bits; the rest of
the model is its float32 forward pass. MiniLM: cosine of sentence embeddings with the float model's. A language model:
perplexity, and how often the most probable next token is the float model's. Factors and ranges of converters are
fitted to paragraphs of the text that are not among those tested.

The weights come by `make weights` and `make weights-smollm2`. One model a run:

    python benchmarks/bench_accuracy.py --out results/accuracy-minilm.md
    python benchmarks/bench_accuracy.py --model weights/smollm2 --fewer --lossy-hw --no-scales \\
        --samples 800 --calibration-tokens 32 --bits 8 6 --full-bits 8 --out results/accuracy-smollm2.md
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from bench_projection_model import structures_of
from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.accuracy import Accuracy, ArrayProduct, compare
from cimsolve.api import load_hardware, load_model, make_problem, map_model
from cimsolve.api.folder_weights import FolderWeights
from cimsolve.calibration import Inputs, heard_in, read_sequences
from cimsolve.fitted import fit_alternating, fit_whitened
from cimsolve.monarch import Monarch, apply, lowrank_of_equal_size, project
from cimsolve.problem import Problem
from cimsolve.reference import Product, Reference, load_reference
from cimsolve.reference.bert import BertReference
from cimsolve.solution import Solution
from cimsolve.structure import Structure
from cimsolve.weights import linear_weight, open_weights

Sequences: TypeAlias = list[npt.NDArray[np.int64]]
Weights: TypeAlias = Mapping[str, Any]

HELD_OUT, OF = 4, 5  # of every five sequences, as `calibration` splits them
METHODS = ("plain", "whitened", "als", "lowrank")
QUANTISED = {"weight_scale": "column", "input_scale": "token"}
LOSSLESS = {**QUANTISED, "shortcut": True}
BITS = (8, 6, 5)


@dataclass(frozen=True)
class Variant:
    """How the linears are stored: dense, or by one method's factors."""

    name: str
    weights: Weights
    structures: Mapping[str, Structure]
    strategy: str
    fewer: float
    """Dense weights per stored weight."""


@dataclass(frozen=True)
class Mapped:
    """A variant on a chip."""

    problem: Problem
    solution: Solution

    def product(self, weights: Weights, calibration: Weights, **options: Any) -> ArrayProduct:
        return ArrayProduct(
            self.problem, self.solution.pieces, self.solution.activations, weights, calibration, **options
        )


class Text:
    """The sequences, and what the model makes of those held out."""

    def __init__(self, folder: Path, samples: int, test_tokens: int) -> None:
        source, self.model = open_weights(folder), load_model(folder)
        self.dense = FolderWeights(source, self.model)
        self.reference: Reference = load_reference(self.model, source)
        self.sequences = read_sequences(["sample"], folder, source, self.reference.context, samples)
        held_out = [ids for number, ids in enumerate(self.sequences) if number % OF == HELD_OUT]
        lengths = np.cumsum([len(ids) for ids in held_out])
        self.test: Sequences = held_out[: int(np.searchsorted(lengths, test_tokens)) + 1]
        self.exact = self.reference.run(self.test)
        self.source = source

    def judge(self, product: Product | None) -> Accuracy:
        hidden = self.exact if product is None else self.reference.run(self.test, product)
        return compare(self.reference, self.test, self.exact, hidden)


def fit(weight: npt.NDArray[np.float32], structure: Structure, inputs: Inputs, method: str) -> Monarch:
    if method == "plain":
        return project(weight, structure)
    if method == "als":
        return fit_alternating(weight, structure, inputs.fit, inputs.stop).factors
    return fit_whitened(weight, structure, inputs.calibration)


def variants(
    text: Text, blocks: str, compressions: Sequence[float], methods: Sequence[str], tokens: int, heard: dict[str, Any]
) -> Iterator[Variant]:
    """Dense, then each method at each compression. `heard` gets `tokens` inputs of each linear, for calibration."""
    linears = text.model.linears
    dense = {each.name: Structure.dense() for each in linears}

    def hear(name: str, inputs: Inputs) -> None:
        heard[name] = inputs.fit[:tokens].copy()

    heard_in(text.reference, text.sequences)(hear)
    yield Variant("dense", text.dense, dense, "linear", 1.0)
    for fewer in compressions:
        structures = structures_of(f"{blocks}/{fewer}", linears)
        low = {
            each.name: Structure.monarch(1, 1, lowrank_of_equal_size(each.n_in, each.n_out, structures[each.name]))
            for each in linears
        }
        found: dict[str, dict[str, Monarch]] = {method: {} for method in methods}

        def visit(
            name: str, inputs: Inputs, of: Any = structures, low: Any = low, found: dict[str, Any] = found
        ) -> None:
            linear = text.reference.linears[name]
            weight = linear_weight(text.source, linear.tensor, linear.n_in, linear.n_out)
            for method in methods:
                made = fit(weight, (low if method == "lowrank" else of)[name], inputs, method)
                found[method][name] = Monarch(made.R.astype(np.float32), made.L.astype(np.float32))

        began = time.process_time()
        heard_in(text.reference, text.sequences)(visit)
        log(f"fitted {fewer}: {time.process_time() - began:.0f} s")
        for method in methods:
            used = low if method == "lowrank" else structures
            stored = sum(used[each.name].stored_weights(each.n_in, each.n_out) for each in linears)
            ratio = text.model.weight_count / stored
            yield Variant(f"{method}, {ratio:.2f} x fewer", found[method], used, "spread", ratio)


def map_on(variant: Variant, text: Text, hardware: str) -> Mapped:
    problem = make_problem(text.model, hardware, structure=variant.structures)
    solution = map_model(text.model, hardware, strategy=variant.strategy, structure=variant.structures)
    return Mapped(problem, solution)


def multiplied(variant: Variant) -> Product | None:
    """The variant in float32, without arrays; None for the dense model itself."""
    if variant.name == "dense":
        return None
    return lambda name, x: apply(variant.weights[name], x).astype(np.float32)


def shown(found: Accuracy) -> str:
    if found.cosine is not None:
        return f"{found.cosine:.3f}"
    return f"{found.perplexity:.4g} ({100 * (found.agreement or 0):.0f} %)"


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "accuracy-minilm.md")
    parser.add_argument("--model", type=Path, default=Path("weights/minilm"), metavar="FOLDER")
    parser.add_argument("--hw", default="rram256", metavar="SPEC", help="default: %(default)s")
    parser.add_argument("--lossy-hw", nargs="*", default=["paper256"], metavar="SPEC", help="default: paper256")
    parser.add_argument("--blocks", default="4,4", metavar="K,L", help="of all factors (default: %(default)s)")
    parser.add_argument("--fewer", nargs="*", type=float, default=[3, 6.94], metavar="R", help="times fewer weights")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--bits", nargs="*", type=int, default=list(BITS), metavar="N", help="calibrated; default: 8 6 5"
    )
    parser.add_argument("--full-bits", nargs="*", type=int, metavar="N", help="over the full range; default: as --bits")
    parser.add_argument("--bits-of", nargs="+", choices=("dense", *METHODS), default=["dense", *METHODS])
    parser.add_argument("--no-scales", action="store_true", help="leave out the comparison of scales")
    parser.add_argument("--samples", type=int, default=4096, metavar="N", help="most tokens of the text")
    parser.add_argument("--test-tokens", type=int, default=200, metavar="N", help="most of those held out, about")
    parser.add_argument("--calibration-tokens", type=int, default=64, metavar="N", help="to set converters' ranges")
    options = parser.parse_args(argv)
    began = time.process_time()
    text = Text(options.model, options.samples, options.test_tokens)
    heard: dict[str, Any] = {}
    full_bits = options.bits if options.full_bits is None else options.full_bits
    limited = [*((bits, "full") for bits in full_bits), *((bits, "calibrated") for bits in options.bits)]
    rows, mappings, choices, lossy = [], [], [], []
    for variant in variants(text, options.blocks, options.fewer, options.methods, options.calibration_tokens, heard):
        mapped = map_on(variant, text, options.hw)
        metrics = mapped.solution.header.metrics
        mappings.append(
            [
                variant.name,
                f"{metrics['arrays']:,}",
                f"{metrics['adc_bits_max']:.0f}",
                f"{metrics['latency_ns'] / 1e3:.4g}",
                f"{metrics['energy_pj'] / 1e6:.4g}",
            ]
        )
        lossless = mapped.product(variant.weights, heard, **LOSSLESS)
        row = [variant.name, shown(text.judge(multiplied(variant))), shown(text.judge(lossless))]
        assert not lossless.lossy
        for bits, wide in limited:
            if variant.name.split(",")[0] in options.bits_of:
                product = mapped.product(variant.weights, heard, **QUANTISED, adc_bits_max=bits, adc_range=wide)
                row.append(shown(text.judge(product)))
            else:
                row.append("")
        rows.append(row)
        log(f"{time.process_time() - began:.0f} s: {' | '.join(row)}")
        if variant.name == "dense" and not options.no_scales:
            choices.append(["a scale a column", "a scale a token", row[2]])
            for label, inputs, change in (
                ("a scale a column", "one scale a call", {"input_scale": "tensor"}),
                ("one scale a factor", "a scale a token", {"weight_scale": "tensor"}),
            ):
                found = text.judge(mapped.product(variant.weights, heard, **{**LOSSLESS, **change}))
                choices.append([label, inputs, shown(found)])
        for hardware in options.lossy_hw:
            other = map_on(variant, text, hardware)
            found = [
                shown(text.judge(other.product(variant.weights, heard, **QUANTISED, adc_range=wide)))
                for wide in ("full", "calibrated")
            ]
            bits_used = f"{other.solution.header.metrics['adc_bits_max']:.0f}"
            lossy.append([f"{hardware}, {variant.name}", bits_used, *found])
            log(f"{time.process_time() - began:.0f} s: {' | '.join(lossy[-1])}")
    embeds = isinstance(text.reference, BertReference)
    unit = "mean cosine of sentence embeddings with those of the float model, which would be 1"
    if not embeds:
        unit = "perplexity and, in brackets, the share of most probable next tokens that are the float model's"
    others = [ids for number, ids in enumerate(text.sequences) if number % OF != HELD_OUT]
    fitted = f"factors are fitted to {sum(map(len, others))} tokens of other paragraphs, " if options.fewer else ""
    chip = load_hardware(options.hw)
    write_report(
        options.out,
        f"# {options.model.name} on mapped arrays",
        provenance(__file__, argv),
        f"Processor time: {time.process_time() - began:.0f} s. Text: the sample that comes with cimsolve. Tested on "
        f"{len(text.test)} paragraphs with {sum(map(len, text.test))} tokens; {fitted}ranges of "
        f"converters are calibrated on the first {options.calibration_tokens} tokens of others. "
        f"Nothing is fine-tuned. Figures are the {unit}.",
        f"## {options.hw}",
        f"All {len(text.model.linears)} linears run by the arrays of a solution that has passed the checker (dense: "
        f"strategy `linear`; factors: `spread`), {chip.weight.bits}-bit weights with a scale a column, "
        f"{chip.input.bits}-bit inputs with a scale a token. `float`: the same weights or factors in "
        "float32, without arrays. `lossless`: converters as the "
        "solution claims them. `N full` and `N calibrated`: no converter has more than N bits, over the full or the "
        "calibrated range.",
        markdown_table(["stored", "float", "lossless", *(f"{bits} {wide}" for bits, wide in limited)], rows),
        "What lossless costs, per token by the equations; attention and other digital work are in it:",
        markdown_table(["stored", "arrays", "most converter bits", "latency, us", "energy, uJ"], mappings),
        "## Scales\n\nDense weights, lossless converters." if choices else "",
        markdown_table(["weights", "inputs", "figure"], choices) if choices else "",
        "" if not lossy else "## Lossy by their own rule\n\nConverters with the bits that the spec's rule gives.",
        "" if not lossy else markdown_table(["chip, stored", "most converter bits", "full", "calibrated"], lossy),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
