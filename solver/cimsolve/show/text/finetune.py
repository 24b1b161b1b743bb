"""The report of `cimsolve finetune`: answers on held-out text before and after, and how the training went."""

from __future__ import annotations

from typing import Any

from cimsolve.show.text.accuracy import agreement, cosine, perplexity
from cimsolve.show.text.console import heading, indented, print_table, verbatim
from cimsolve.show.units import number
from cimsolve.study.accuracy import Accuracy
from cimsolve.study.finetune import FinetuneFound

TUNING_FORMAT = "cimsolve-tuning/1"


def print_tuning(found: FinetuneFound, out: str, verbosity: int) -> None:
    """A row a kind of text: the float model, the factors as given and as tuned; unless quiet, the looks on the way."""
    fewer = number(found.weights / found.stored_weights)
    heading(
        f"{found.model}, {fewer} times fewer weights: tested in float32 on text that nothing was fitted to", first=True
    )
    embeds = found.kinds[0].exact.cosine is not None
    figures = ["cosine\nbefore", "tuned"] if embeds else ["perplexity\ndense", "before", "tuned", "next\ntokens, %"]
    rows = []
    for kind in found.kinds:
        before, after = kind.before, kind.after
        shown = (
            [cosine(before), cosine(after)]
            if embeds
            else [*map(perplexity, (kind.exact, before, after)), agreement(after)]
        )
        error = "-" if after.error is None else f"{after.error:.4f}"
        rows.append([kind.text, "yes" if kind.tuned_on else "no", str(kind.tokens), *shown, error])
    print_table(["text", "learnt\nfrom", "tokens\ntested", *figures, "standard\nerror"], rows)
    if not embeds:
        indented("The standard error is that of ln(perplexity / dense).")
    indented(
        f"{found.steps} steps, {found.tokens} tokens of {found.distinct_tokens} different ones, "
        f"{found.tokens_per_s:.0f} tokens/s; kept is step {found.best_step}."
    )
    if verbosity >= 0:
        heading("On the way")
        looks = [
            [str(look.step), "-" if look.loss is None else f"{look.loss:.4f}", f"{look.held_out:.4f}"]
            for look in found.looks
        ]
        apart = "1 - cosine" if embeds else "divergence"
        print_table(["step", "loss since", f"{apart},\nheld out"], looks)
    heading("Written")
    verbatim(out)


def describe_tuning(found: FinetuneFound, command: str) -> dict[str, Any]:
    """All of it as JSON."""

    def answers(each: Accuracy) -> dict[str, Any]:
        return dict(vars(each))

    return {
        "format": TUNING_FORMAT,
        "command": command,
        **vars(found),
        "kinds": [
            {**vars(kind), "exact": answers(kind.exact), "before": answers(kind.before), "after": answers(kind.after)}
            for kind in found.kinds
        ],
        "looks": [look.model_dump() for look in found.looks],
    }
