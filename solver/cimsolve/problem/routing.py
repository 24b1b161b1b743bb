"""How tokens choose experts, as a question says it: the text of the term `routing`, and the file that it is read from.

`zipf:S:SEED` is drawn; `counts:` has of each choice how often every expert was chosen, `;` between choices, and may
have `|` and of each choice how often two were chosen together, `FIRST-SECOND=COUNT` between commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.files.json_file import read_json
from cimsolve.files.text import shown_name, shown_value
from cimsolve.model.model import Experts
from cimsolve.problem.terms import ROUTING, ROUTING_MAX

FORM = (
    "expected a list for each choice of experts, in the model's order, of how often each expert was chosen, or an "
    'object of such "counts", and of "pairs" with a list for each choice of [first, second, how often both were]'
)
COUNT_MAX = 10**12
PAIRS_OFF = 0.01
"""Counts of pairs may be rounded: by so much of the largest sum that is expected."""

Pair = tuple[int, int, float]
"""Two experts, and how often a token chose both."""


class Counted(NamedTuple):
    """What was counted, of each choice: how often every expert, shape (stored,), and each two, (stored, stored)."""

    counts: list[Floats]
    pairs: list[Floats | None]
    """None where pairs were not counted, or a token chooses one expert alone."""


def is_counted(routing: str | None) -> bool:
    """Whether a routing has counts, of the choices of one model."""
    return (routing or "").startswith("counts:")


def counted(routing: str, choices: Sequence[Experts], model: str) -> Counted:
    """The counts of a routing that has any. Raises InputError where they are not those of the model's choices."""
    singles, _, together = routing.removeprefix("counts:").partition("|")
    rows, pairs = singles.split(";"), together.split(";") if together else None
    for name, listed in {"counts": rows, "pairs": pairs}.items():
        if listed is not None and len(listed) != len(choices):
            raise InputError(f"routing: {len(listed)} lists of {name}; {model} chooses {len(choices)} times")
    counts: list[Floats] = [np.array(row.split(","), dtype=np.float64) for row in rows]
    for number, (row, experts) in enumerate(zip(counts, choices, strict=True)):
        if len(row) != experts.stored or int((row > 0).sum()) < experts.chosen:
            raise InputError(
                f"routing: choice {number} has {len(row)} counts, {int((row > 0).sum())} above 0; expected "
                f"{experts.stored}, of which a token fires {experts.chosen}"
            )
    if pairs is None:
        return Counted(counts, [None] * len(choices))
    of_choices = [[_pair(each) for each in row.split(",") if each] for row in pairs]
    tables = [_together(at, *known) for at, known in enumerate(zip(of_choices, counts, choices, strict=True))]
    return Counted(counts, [table if table.any() else None for table in tables])


def _pair(text: str) -> Pair:
    experts, _, count = text.partition("=")
    first, _, second = experts.partition("-")
    return int(first), int(second), float(count)


def _together(number: int, pairs: Sequence[Pair], counts: Floats, experts: Experts) -> Floats:
    """The pairs of a choice as a symmetric table. Raises InputError where they are not those of its tokens."""
    found = np.zeros((len(counts), len(counts)))
    for first, second, count in pairs:
        if first == second or max(first, second) >= len(counts) or found[first, second]:
            raise InputError(
                f"routing: choice {number} has the pair {first}, {second}; expected two of its {len(counts)} experts, "
                "numbered from 0, and each pair once"
            )
        found[first, second] = found[second, first] = count
    sums, wanted = found.sum(axis=1), (experts.chosen - 1) * counts
    off = np.where((sums > 0) == (wanted > 0), np.abs(sums - wanted), np.inf)
    if off.max() > PAIRS_OFF * wanted.max():
        worst = int(off.argmax())
        raise InputError(
            f"routing: choice {number}: the pairs of expert {worst} sum to {sums[worst]:.12g}; expected "
            f"{wanted[worst]:.12g}: each of the {counts[worst]:.12g} that chose it chose {experts.chosen - 1} more"
        )
    return found


def routing_term(text: str | None) -> str | None:
    """What `--routing` says as a term: itself, or the counts of the file that it names.

    Raises InputError for a file that has none.
    """
    if text is None or re.fullmatch(ROUTING, text):
        return text
    if text.startswith(("zipf:", "counts:")):
        raise InputError(
            f"--routing {shown_name(text)}: expected zipf:S:SEED, S below 100, such as zipf:1.0:3, or a JSON file"
        )
    return _term_of(read_json(text, ROUTING_MAX), shown_name(text))


def _term_of(content: object, origin: str) -> str:
    pairs: object = None
    counts = content
    if isinstance(content, dict):
        if unknown := sorted(map(str, content.keys() - {"counts", "pairs"})):
            raise InputError(f"{origin}: {unknown[0][:60]!r} is no key of a routing; {FORM}")
        counts, pairs = content.get("counts"), content.get("pairs")
    rows = _rows(counts, _is_count, f"{origin}{': counts' if counts is not content else ''}")
    term = "counts:" + ";".join(",".join(map(_number, row)) for row in rows)
    if pairs is not None:
        term += "|" + ";".join(
            ",".join(f"{first}-{second}={_number(count)}" for first, second, count in row)
            for row in _rows(pairs, _is_pair, f"{origin}: pairs", may_be_empty=True)
        )
    if len(term) > ROUTING_MAX:
        raise InputError(f"{origin}: its counts take {len(term)} characters; expected {ROUTING_MAX} or fewer")
    return term


def _rows(content: object, fits: Callable[[Any], bool], origin: str, may_be_empty: bool = False) -> list[list[Any]]:
    """A list of lists of what `fits`. Raises InputError for anything else."""
    if not isinstance(content, list) or not content:
        raise InputError(f"{origin}: {shown_value(content)}; {FORM}")
    for number, row in enumerate(content):
        if not isinstance(row, list) or not (row or may_be_empty):
            raise InputError(f"{origin}: choice {number} is {shown_value(row)}; {FORM}")
        for each in row:
            if not fits(each):
                raise InputError(f"{origin}: choice {number} has {shown_value(each)}; {FORM}")
    return content


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < COUNT_MAX


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3 or not _is_count(value[2]):
        return False
    return all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 10**6 for each in value[:2])


def _number(value: float) -> str:
    return f"{value:.12g}".replace("e+", "e")
