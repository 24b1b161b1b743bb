"""The report of `cimsolve choose`: what is kept and what is squeezed, what that loses, and the front."""

from __future__ import annotations

from typing import Any

from cimsolve.files.text import shown_name
from cimsolve.show.figures import ENERGY, LATENCY
from cimsolve.show.text.accuracy import agreement, cosine, perplexity
from cimsolve.show.text.console import heading, indented, labelled, print_table, verbatim
from cimsolve.show.text.kept import describe_kept, print_exchanges, print_kinds
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import number, quantity, share
from cimsolve.study.accuracy import Accuracy
from cimsolve.study.choose import RULE, ChoiceFound, Chosen, MappedChoice

CHOICE_FORMAT = "cimsolve-choice/1"


def print_choice(found: ChoiceFound, out: str | None, plot: str | None, verbosity: int) -> None:
    """What was chosen by kind of linear and, unless quiet, linear by linear, what it does to answers, and the front."""
    model, chosen = found.model, found.chosen
    heading(f"{model.name} on {found.hardware.name}: what is stored of each kind, most kept first", first=True)
    print_kinds(found.kept)
    if verbosity >= 0:
        heading("Linear by linear")
        each = []
        for linear in model.linears:
            structure = chosen.structures[linear.name]
            fewer = linear.weights / structure.stored_weights(linear.n_in, linear.n_out)
            cells = [linear.name, f"{linear.n_in}x{linear.n_out}", str(structure), f"x{number(fewer)}"]
            each.append([*cells, f"{found.kept.losses[linear.name]:.3g}"])
        print_table(["linear", "in x out", "k,l,T", "fewer\nweights", "loss"], each, tight=True)
        print_exchanges(found.kept)
    heading("Chosen")
    labelled(_told(found))
    if found.front:
        heading(f"Front of loss against arrays, as the mapper finds them; time and energy of a token by {RULE}")
        columns = [Column("fewer\ncells"), Column("arrays", meaning="count"), Column("dense", meaning="count")]
        columns += [Column("loss"), Column("gap", meaning="share")]
        columns += [Column(each.head, meaning=each.kind) for each in (LATENCY, ENERGY)]
        print_sheet(Sheet(columns, [_front(found, each) for each in found.front]))
    if found.chosen_tested is not None:
        _print_tested(found)
    written = [] if out is None else [out, out.removesuffix(".json") + ".safetensors"]
    written += [] if plot is None else [plot]
    if written:
        heading("Written")
        for name in written:
            verbatim(name)


def describe_choice(found: ChoiceFound, command: str) -> dict[str, Any]:
    """All of it as JSON."""

    def choice(chosen: Chosen) -> dict[str, Any]:
        return {
            "arrays_max": chosen.arrays_max,
            "arrays": chosen.arrays,
            "loss": chosen.loss,
            "bound": chosen.bound,
            "gap": chosen.gap,
            "structures": {name: str(each) for name, each in chosen.structures.items()},
        }

    tested = (("chosen", found.chosen_tested), ("uniform", found.uniform_tested))
    return {
        "format": CHOICE_FORMAT,
        "command": command,
        "model": found.model.name,
        "hardware": found.hardware.name,
        "loss_method": found.loss,
        "weights": found.model.weight_count,
        "stored_weights": found.stored_weights,
        "chosen": choice(found.chosen) | ({} if found.metrics is None else {"metrics": found.metrics}),
        "front": [{**choice(each.chosen), "metrics": each.metrics} for each in found.front],
        "tokens": {"fitted": found.fitted_tokens, "measured": found.measured_tokens, "tested": found.tested_tokens},
        "float_model": None if found.exact is None else {**vars(found.exact.answers), "by_text": found.exact.by_text},
        "tested": {
            name: {"arrays": each.arrays, **vars(each.answers), "by_text": each.by_text}
            for name, each in tested
            if each is not None
        },
        "kept": describe_kept(found.kept),
        "losses": {
            name: {str(structure): loss for structure, loss in each.items()} for name, each in found.losses.items()
        },
    }


def _told(found: ChoiceFound) -> list[tuple[str, str]]:
    chosen, model = found.chosen, found.model
    fewer = f"{number(model.weight_count / found.stored_weights)} times fewer weights"
    bound = "no choice of the menu loses less" if chosen.gap == 0 else f"bound {chosen.bound:.4g}"
    mapped = [
        (figure.title, f"{quantity(found.metrics[figure.key], figure.kind)}, as {RULE} maps it, checked")
        for figure in (LATENCY, ENERGY)
        if found.metrics is not None
    ]
    return [
        ("arrays", f"{chosen.arrays} of at most {chosen.arrays_max}, {fewer} than dense"),
        *mapped,
        ("loss", f"{chosen.loss:.4g} by losses {found.loss}; gap {share(chosen.gap)}, {bound}"),
    ]


def _front(found: ChoiceFound, mapped: MappedChoice) -> list[Any]:
    chosen = mapped.chosen
    dense = sum(each.is_dense for each in chosen.structures.values())
    array = found.hardware.array.rows * found.hardware.weights_per_row
    fewer = found.model.weight_count / (chosen.arrays_max * array)
    figures = [mapped.metrics[figure.key] for figure in (LATENCY, ENERGY)]
    return [f"x{number(fewer)}", chosen.arrays, dense, f"{chosen.loss:.4g}", chosen.gap, *figures]


def _print_tested(found: ChoiceFound) -> None:
    heading("Tested in float32, on text that nothing was fitted to")
    rows = [("dense", found.exact), ("chosen", found.chosen_tested), ("uniform low rank", found.uniform_tested)]
    tested = [(name, each) for name, each in rows if each is not None]
    embeds = tested[0][1].answers.cosine is not None
    figure = cosine if embeds else perplexity

    def error(answers: Accuracy) -> str:
        return "-" if answers.error is None else f"{answers.error:.4f}"

    heads = ["stored", "arrays", "cosine" if embeds else "perplexity", "standard\nerror"]
    heads += [] if embeds else ["next\ntokens, %"]
    cells = []
    for name, each in tested:
        arrays = str(each.arrays) if each.arrays else ""
        agree = [] if embeds else [agreement(each.answers)]
        cells.append([name, arrays, figure(each.answers), error(each.answers), *agree])
    print_table(heads, cells)
    if len(tested[0][1].by_text) > 1:
        parts = [
            [shown_name(text), *(f"{figure(each.by_text[text])} ± {error(each.by_text[text])}" for _, each in tested)]
            for text in tested[0][1].by_text
        ]
        print_table(["text", *(name for name, _ in tested)], parts)
    measured = f", losses measured on {found.measured_tokens} others" if found.measured_tokens else ""
    indented(f"Tested on {found.tested_tokens} tokens; factors fitted to {found.fitted_tokens}{measured}.")
    if not embeds:
        indented("The standard error is that of ln(perplexity / dense).")
