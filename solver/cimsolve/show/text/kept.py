"""Which linears are kept and which squeezed, kind by kind, and what one more array buys: as tables, words and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cimsolve.show.text.console import heading, indented, print_table
from cimsolve.show.text.question import kind_of
from cimsolve.show.units import number, plural, share
from cimsolve.study.choose.kept import Kept, Swap

SHOWN = 5
"""Exchanges that are shown, the best first."""


def print_kinds(kept: Kept) -> None:
    """How linears of each kind are stored, most kept first."""
    heads = ["kind", "linears", "dense", "T of the\nothers", "fewer\nweights", "of the\nloss"]
    print_table(heads, [row for _, row in _kinds(kept)])


def print_exchanges(kept: Kept) -> None:
    """What one more array buys, and what one less costs, linear by linear, the best first."""
    for title, found in (("One more array", kept.larger), ("One array less", kept.smaller)):
        if found:
            heading(f"{title}: by how much the loss would change, linear by linear")
            rows = [
                [
                    *(_named(each), str(each.before), str(each.after), f"{each.arrays:+.3g}"),
                    *(f"{_by(each):+.2g}", f"{_by(each) / kept.loss:+.2%}" if kept.loss else "-"),
                ]
                for each in found[:SHOWN]
            ]
            heads = ["linear", "stored", "would be", "arrays", "loss for\none array", "of all"]
            print_table(heads, rows, text_columns=3, tight=True)
    indented("Arrays by their cells here; how many the mapper needs, a choice on that many tells.")


def kept_in_words(kept: Kept) -> list[tuple[str, str]]:
    """The same as pairs of a label and words."""
    kinds = [f"{row[0]} (x{number(1 / left)} fewer, {row[5]} of the loss)" for left, row in _kinds(kept)]
    told = [("kept", f"most kept first: {', '.join(kinds)}")]
    for label, found in (("one more array", kept.larger), ("one array less", kept.smaller)):
        if found:
            best = found[0]
            changed = f"{_by(best):+.2g}" + (f", {_by(best) / kept.loss:+.2%} of it" if kept.loss else "")
            how = f"{_named(best)} {best.after} in place of {best.before}"
            told.append((label, f"changes the loss of {kept.loss:.4g} by {changed}: {how}"))
    return told


def describe_kept(kept: Kept) -> dict[str, Any]:
    """The same as JSON, with every exchange."""

    def described(found: Sequence[Swap]) -> list[dict[str, Any]]:
        return [
            {
                "linears": each.linears,
                "stored": str(each.before),
                "would_be": str(each.after),
                "arrays": each.arrays,
                "loss": -each.saved,
                "loss_of_one_array": _by(each),
            }
            for each in found
        ]

    return {
        "loss": kept.loss,
        "losses": kept.losses,
        "one_more_array": described(kept.larger),
        "one_array_less": described(kept.smaller),
    }


def _by(each: Swap) -> float:
    """By how much the loss changes with one array of cells more, or one less."""
    return -each.saved / abs(each.arrays)


def _named(each: Swap) -> str:
    return (
        each.linears[0]
        if len(each.linears) == 1
        else f"{each.linears[0]} and {plural(len(each.linears) - 1, 'expert')}"
    )


def _kinds(kept: Kept) -> list[tuple[float, list[str]]]:
    """Rows by kind with the share of its weights that is stored, most kept first."""
    kinds: dict[str, list[str]] = {}
    of = {linear.name: linear for linear in kept.model.linears}
    for name in of:
        kinds.setdefault(kind_of(name), []).append(name)
    rows = []
    for kind, names in kinds.items():
        stored = sum(kept.structures[name].stored_weights(of[name].n_in, of[name].n_out) for name in names)
        whole = sum(of[name].weights for name in names)
        dense = sum(kept.structures[name].is_dense for name in names)
        ranks = [kept.structures[name].rank for name in names if not kept.structures[name].is_dense]
        span = "-" if not ranks else str(ranks[0]) if min(ranks) == max(ranks) else f"{min(ranks)}-{max(ranks)}"
        lost = share(sum(kept.losses[name] for name in names) / kept.loss) if kept.loss else "-"
        rows.append((stored / whole, [kind, str(len(names)), str(dense), span, f"x{number(whole / stored)}", lost]))
    return sorted(rows, key=lambda row: -row[0])
