"""The report of `cimsolve choose`: what is kept and what is squeezed, what that loses, and the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cimsolve.show.text.accuracy import agreement, cosine, perplexity
from cimsolve.show.text.console import heading, indented, labelled, print_table, verbatim
from cimsolve.show.text.question import kind_of
from cimsolve.show.units import number, share
from cimsolve.study.accuracy import Accuracy
from cimsolve.study.choose import ChoiceFound, Chosen

CHOICE_FORMAT = "cimsolve-choice/1"


def print_choice(found: ChoiceFound, out: str | None, verbosity: int) -> None:
    """What was chosen by kind of linear and, unless quiet, linear by linear, what it does to answers, and the front."""
    model, chosen = found.model, found.chosen
    heading(f"{model.name} on {found.hardware.name}: what is stored of each kind, most kept first", first=True)
    kinds: dict[str, list[str]] = {}
    for linear in model.linears:
        kinds.setdefault(kind_of(linear.name), []).append(linear.name)
    of = {linear.name: linear for linear in model.linears}
    stored = {name: each.stored_weights(of[name].n_in, of[name].n_out) for name, each in chosen.structures.items()}
    loss = {name: found.losses[name][each] for name, each in chosen.structures.items()}
    rows = []
    for kind, names in kinds.items():
        kept, whole = sum(stored[name] for name in names), sum(of[name].weights for name in names)
        dense = sum(chosen.structures[name].is_dense for name in names)
        ranks = [chosen.structures[name].rank for name in names if not chosen.structures[name].is_dense]
        span = "-" if not ranks else str(ranks[0]) if min(ranks) == max(ranks) else f"{min(ranks)}-{max(ranks)}"
        lost = share(sum(loss[name] for name in names) / chosen.loss) if chosen.loss else "-"
        rows.append((kept / whole, [kind, str(len(names)), str(dense), span, f"x{number(whole / kept)}", lost]))
    rows.sort(key=lambda row: -row[0])
    heads = ["kind", "linears", "dense", "T of the\nothers", "fewer\nweights", "of the\nloss"]
    print_table(heads, [row for _, row in rows])
    if verbosity >= 0:
        heading("Linear by linear")
        each = [
            [
                *(linear.name, f"{linear.n_in}x{linear.n_out}", str(chosen.structures[linear.name])),
                *(f"x{number(linear.weights / stored[linear.name])}", f"{loss[linear.name]:.3g}"),
            ]
            for linear in model.linears
        ]
        print_table(["linear", "in x out", "k,l,T", "fewer\nweights", "loss"], each, tight=True)
    heading("Chosen")
    labelled(_told(found))
    if found.front:
        heading("Front of loss against arrays, as the mapper finds them")
        print_table(["fewer\ncells", "arrays", "dense", "loss", "gap"], [_front(found, each) for each in found.front])
    if found.chosen_tested is not None:
        _print_tested(found)
    if out is not None:
        heading("Written")
        verbatim(out)
        verbatim(out.removesuffix(".json") + ".safetensors")


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
        "chosen": choice(found.chosen),
        "front": [choice(each) for each in found.front],
        "tokens": {"fitted": found.fitted_tokens, "measured": found.measured_tokens, "tested": found.tested_tokens},
        "float_model": found.exact,
        "tested": {name: {"arrays": each.arrays, **vars(each.answers)} for name, each in tested if each is not None},
        "losses": {
            name: {str(structure): loss for structure, loss in each.items()} for name, each in found.losses.items()
        },
    }


def _told(found: ChoiceFound) -> list[tuple[str, str]]:
    chosen, model = found.chosen, found.model
    fewer = f"{number(model.weight_count / found.stored_weights)} times fewer weights"
    bound = "no choice of the menu loses less" if chosen.gap == 0 else f"bound {chosen.bound:.4g}"
    return [
        ("arrays", f"{chosen.arrays} of at most {chosen.arrays_max}, {fewer} than dense"),
        ("loss", f"{chosen.loss:.4g} by losses {found.loss}; gap {share(chosen.gap)}, {bound}"),
    ]


def _front(found: ChoiceFound, chosen: Chosen) -> Sequence[str]:
    dense = sum(each.is_dense for each in chosen.structures.values())
    array = found.hardware.array.rows * found.hardware.weights_per_row
    fewer = found.model.weight_count / (chosen.arrays_max * array)
    return [f"x{number(fewer)}", str(chosen.arrays), str(dense), f"{chosen.loss:.4g}", share(chosen.gap)]


def _print_tested(found: ChoiceFound) -> None:
    heading("Tested in float32, on text that nothing was fitted to")
    tested = (("chosen", found.chosen_tested), ("uniform low rank", found.uniform_tested))
    embeds = found.exact is not None and found.exact.cosine is not None
    heads = ["stored", "arrays", *(["cosine"] if embeds else ["perplexity", "next\ntokens, %"]), "standard\nerror"]

    def cells(answers: Accuracy) -> list[str]:
        error = "-" if answers.error is None else f"{answers.error:.4f}"
        return [*([cosine(answers)] if embeds else [perplexity(answers), agreement(answers)]), error]

    rows = [[name, str(each.arrays), *cells(each.answers)] for name, each in tested if each is not None]
    print_table(heads, [["dense", "", *cells(found.exact or Accuracy())], *rows])
    measured = f", losses measured on {found.measured_tokens} others" if found.measured_tokens else ""
    indented(f"Tested on {found.tested_tokens} tokens; factors fitted to {found.fitted_tokens}{measured}.")
    if not embeds:
        indented("The standard error is that of ln(perplexity / dense).")
