"""What storing a real model as factors loses: weights, outputs of each linear, and the model's own answers.

Every linear is projected by every method, beside low-rank of no more parameters. Then all of them at once take the
place of the dense weights in the reference forward pass, over paragraphs that nothing was fitted to: MiniLM's
embeddings are compared with those of the dense model, and a language model's loss with that of the dense model.

The weights come by `make weights` and `make weights-smollm2`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.model.load import load_model
from cimsolve.model.model import Linear
from cimsolve.model.structure import Structure, StructurePolicy
from cimsolve.weights.fitting import fit_alternating, fit_whitened, output_error
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.forward import Reference, load_reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.inputs import LinearInputs, heard_in, read_sequences
from cimsolve.weights.monarch import Monarch, apply, lowrank_of_equal_size, project, relative_error
from cimsolve.weights.projection import structures_of_size

METHODS = ("plain", "whitened", "als", "low-rank plain", "low-rank whitened")
HELD_OUT = 4  # of every five sequences, as `calibration` splits them


@dataclass
class Found:
    """One method on all linears: its factors and errors, by linear."""

    factors: dict[str, Monarch] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    fitted: dict[str, float] = field(default_factory=dict)
    held_out: dict[str, float] = field(default_factory=dict)


def structures_of(text: str, linears: Sequence[Linear]) -> dict[str, Structure]:
    """`k,l,T` for all, `sqrt`, or `k,l/R`: for each linear the T that comes nearest to R times fewer weights."""
    if "/" not in text:
        return StructurePolicy.parse([text]).resolve((each.name, each.n_in, each.n_out) for each in linears)
    blocks, fewer = text.split("/")
    k, blocks_out = map(int, blocks.split(","))
    return structures_of_size(linears, (k, blocks_out), float(fewer))


def fit_all(weight: npt.NDArray[np.float32], structure: Structure, inputs: LinearInputs) -> dict[str, Monarch]:
    lowrank = Structure.monarch(1, 1, lowrank_of_equal_size(*weight.shape, structure))
    return {
        "plain": project(weight, structure),
        "whitened": fit_whitened(weight, structure, inputs.calibration),
        "als": fit_alternating(weight, structure, inputs.fit, inputs.stop).factors,
        "low-rank plain": project(weight, lowrank),
        "low-rank whitened": fit_whitened(weight, lowrank, inputs.calibration),
    }


def measure(
    reference: Reference, sequences: Sequence[npt.NDArray[np.int64]], structures: Mapping[str, Structure]
) -> dict[str, Found]:
    found = {method: Found() for method in METHODS}

    def visit(name: str, inputs: LinearInputs) -> None:
        linear = reference.linears[name]
        weight = linear_weight(reference._source, linear.tensor, linear.n_in, linear.n_out)
        for method, factors in fit_all(weight, structures[name], inputs).items():
            here = found[method]
            here.factors[name] = factors
            here.weights[name] = relative_error(weight, factors)
            here.fitted[name] = output_error(weight, factors, inputs.calibration)
            here.held_out[name] = output_error(weight, factors, inputs.held_out)
        log(f"  {name}")

    heard_in(reference, sequences)(visit)
    return found


def answers(
    reference: Reference, sequences: Sequence[npt.NDArray[np.int64]], factors: Mapping[str, Monarch] | None
) -> npt.NDArray[np.float64]:
    """Embeddings of the sequences, or the loss as one number; the dense model's without `factors`."""
    product = None if factors is None else (lambda name, x: apply(factors[name], x).astype(np.float32))
    hidden = reference.run(sequences, product)
    if isinstance(reference, BertReference):
        return reference.embed(hidden, sequences).astype(np.float64)
    assert isinstance(reference, LanguageModel)
    return np.array([reference.loss(hidden, sequences)])


def quality(reference: Reference, dense: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> str:
    if isinstance(reference, BertReference):
        return f"{float(np.einsum('sd,sd->s', dense, other).mean()):.3f}"
    return f"{float(other[0]):.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "projection-minilm.md")
    parser.add_argument("--model", type=Path, default=Path("weights/minilm"), metavar="FOLDER")
    parser.add_argument("--structures", nargs="+", default=["sqrt", "4,4/7"], metavar="HOW")
    parser.add_argument("--text", nargs="+", default=["sample"], metavar="FILE")
    parser.add_argument("--samples", type=int, default=4096, metavar="N")
    options = parser.parse_args(argv)
    model, source = load_model(options.model), open_weights(options.model)
    reference = load_reference(model, source)
    sequences = read_sequences(options.text, options.model, source, reference.context, options.samples)
    held_out = [ids for number, ids in enumerate(sequences) if number % 5 == HELD_OUT]
    dense = answers(reference, held_out, None)
    square = {each.name for each in model.linears if each.n_in == each.n_out}
    rows = []
    for text in options.structures:
        log(f"{options.model.name}, {text}")
        structures = structures_of(text, model.linears)
        stored = sum(structures[each.name].stored_weights(each.n_in, each.n_out) for each in model.linears)
        for method, found in measure(reference, sequences, structures).items():
            low = "low-rank" in method
            kept = stored if not low else sum(each.R.size + each.L.size for each in found.factors.values())
            other = answers(reference, held_out, found.factors)
            row = [text, method, f"{model.weight_count / kept:.2f}"]
            row.append(f"{mean(found.weights[name] for name in square):.3f}" if square else "")
            row += [f"{mean(each.values()):.3f}" for each in (found.weights, found.fitted, found.held_out)]
            rows.append([*row, quality(reference, dense, other)])
    embeds = isinstance(reference, BertReference)
    last = "mean cosine of embeddings" if embeds else "loss"
    plain = "1" if embeds else f"{dense[0]:.2f}"
    rows.append(["dense", "", "1.00", "0", "0", "0", "0", plain])
    what = (
        "Last column: mean cosine between the embeddings of held-out paragraphs by the dense model and by the model "
        "with all mapped linears replaced by their factors."
        if embeds
        else "Last column: mean -ln p(next token) on held-out paragraphs with all mapped linears replaced by their "
        f"factors; knowing nothing is ln({reference.vocabulary}) = {np.log(reference.vocabulary):.2f}."
    )
    columns = ["structure", "method", "fewer weights", "weights, square", "weights", "outputs, fitted"]
    write_report(
        options.out,
        f"# {options.model.name}: what projection loses",
        provenance(__file__, argv),
        f"{len(sequences)} sequences with {sum(map(len, sequences))} tokens of {', '.join(options.text)}, "
        f"{len(held_out)} of them held out. Relative errors, plain means over the model's {len(model.linears)} "
        f"linears: ||W - M|| / ||W|| of the weights (of the {len(square)} square ones, of all) and "
        "||X (W - M)|| / ||X W|| of the outputs, on what was fitted and on what was held out. Low-rank has no more "
        "parameters than the structure; `k,l/R` takes for each linear the T that comes nearest to R times fewer "
        f"weights. No fine-tuning. {what}",
        markdown_table([*columns, "outputs, held out", last], rows),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
