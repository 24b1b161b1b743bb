"""One structure for each matrix under a budget of arrays, beside uniform low rank of as many weights.

For each model losses are found once; then structures are chosen at each compression, fitted, and run in float32 on
paragraphs that nothing was fitted to. Then the choice alone is timed, at the size of large models, on losses that are
drawn: each falls with T as that of a matrix whose singular values fall as a power of their number.

The weights come by `make weights` and `make weights-smollm2`. Other texts than the shipped sample: --text.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.chip.read import load_hardware
from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure
from cimsolve.study.accuracy import Accuracy
from cimsolve.study.choose import Chooser, choose_each
from cimsolve.study.choose.menu import menu_of

COLUMNS = ("fewer", "stored", "arrays", "answers", "standard error", "each text", "gap", "processor s")
TIMED = ("fewer", "arrays allowed", "arrays", "gap", "choosing, processor s")


def answers(found: Accuracy) -> str:
    """The cosine, or the perplexity with the share of next tokens that are the float model's."""
    if found.cosine is not None:
        return f"{found.cosine:.3f}"
    if found.perplexity is None:
        return "-"
    return f"{found.perplexity:.4g} ({100 * (found.agreement or 0):.1f} %)"


def measured(folder: Path, compressions: Sequence[float], text: Sequence[str], samples: int, hardware: str) -> str:
    """The section of one model."""
    rows = []
    told: list[str] = []
    each_found = choose_each(folder, hardware, compressions, text, samples, told.append)
    for compression in compressions:
        began = time.process_time()
        log(f"{folder.name} {compression:g}x")
        found = next(each_found)
        spent = time.process_time() - began
        pairs = (("chosen", found.chosen_tested), ("uniform low rank", found.uniform_tested))
        for stored, tested in pairs:
            assert tested is not None
            gap, seconds = (f"{found.chosen.gap:.4f}", f"{spent:.0f}") if stored == "chosen" else ("", "")
            error = "-" if tested.answers.error is None else f"{tested.answers.error:.4f}"
            texts = "; ".join(f"{Path(name).stem} {answers(each)}" for name, each in tested.by_text.items())
            cells = (str(tested.arrays), answers(tested.answers), error, texts, gap, seconds)
            rows.append([f"{compression:g}x", stored, *cells])
    dense = answers(found.exact.answers if found.exact else Accuracy())
    lines = [
        f"## {folder.name}",
        f"Losses {found.loss}, measured on {found.measured_tokens} tokens; factors fitted to {found.fitted_tokens}, "
        f"tested on {found.tested_tokens} others of the same kinds; dense: {dense}. Processor time of the first row "
        "includes finding the losses; of each, both tests. "
        f"Memory of this process at its most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB.",
        *sorted(set(told)),
        markdown_table(COLUMNS, rows),
    ]
    return "\n\n".join(lines)


def timed(name: str, compressions: Sequence[float], hardware: str) -> str:
    """The choice alone, on drawn losses."""
    model, chip = load_model(name), load_hardware(hardware)
    menu = menu_of(model, chip)
    random = np.random.default_rng(0)
    losses: dict[str, dict[Structure, float]] = {}
    for linear in model.linears:
        scale, power = random.uniform(0.1, 10), random.uniform(0.5, 2)
        of_rank = np.cumsum(np.arange(1, min(linear.n_in, linear.n_out) + 1, dtype=float)[::-1] ** -power)[::-1]
        of_rank = np.append(of_rank, 0.0) * scale
        losses[linear.name] = {each: 0.0 if each.is_dense else float(of_rank[each.rank]) for each in menu[linear.name]}
    chooser = Chooser(model, chip, menu, losses)
    rows = []
    for compression in compressions:
        log(f"{name} {compression:g}x, drawn losses")
        began = time.process_time()
        found = chooser.choose(chooser.arrays_for(compression))
        cells = (str(found.arrays_max), str(found.arrays), f"{found.gap:.1e}", f"{time.process_time() - began:.1f}")
        rows.append([f"{compression:g}x", *cells])
    choices = sum(map(len, menu.values()))
    return f"## {name}, drawn losses\n\n{len(menu)} linears, {choices} choices.\n\n{markdown_table(TIMED, rows)}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "choose.md")
    parser.add_argument("--models", nargs="*", type=Path, default=[Path("weights/minilm"), Path("weights/smollm2")])
    parser.add_argument("--drawn", nargs="*", default=["llama-3-8b"], help="models of which the choice alone is timed")
    parser.add_argument("--compressions", nargs="+", type=float, default=[1.5, 2, 3, 7])
    parser.add_argument("--text", nargs="+", default=["sample"])
    parser.add_argument("--samples", type=int, default=32768)
    parser.add_argument("--hw", default="rram256")
    options = parser.parse_args(argv)
    sections = ["# One structure for each matrix", provenance(__file__, argv)]
    for folder in options.models:
        if folder.is_dir():
            sections.append(measured(folder, options.compressions, options.text, options.samples, options.hw))
        else:
            sections.append(f"## {folder.name}\n\nNot run: there is no {folder}.")
    sections += [timed(name, options.compressions, options.hw) for name in options.drawn]
    write_report(options.out, *sections)
    return 0


if __name__ == "__main__":
    sys.exit(main())
