"""What a search minimises: a list, first things first, of metrics and of weighted sums of metrics.

An item is a name, `latency`, or a sum, `latency:0.7+energy:0.3`. In a sum every metric counts in units of its bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cimsolve.errors import InputError
from cimsolve.files.text import near_name

OBJECTIVES = ("arrays", "latency", "prefill", "throughput", "energy", "area")
DEFAULT_OBJECTIVE = ("arrays", "latency")
EXAMPLE = "latency:0.7+energy:0.3"
WEIGHT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Term(NamedTuple):
    """One metric of a sum, by the name of its objective."""

    name: str
    weight: float


def terms_of(item: str) -> tuple[Term, ...]:
    """The terms of an item, one of weight 1 for a plain name. Raises InputError for what is neither."""
    if not is_weighted(item):
        return (Term(_known(item), 1.0),)
    terms: list[Term] = []
    for text in item.split("+"):
        name, colon, weight = (part.strip() for part in text.partition(":"))
        _known(name)
        if not WEIGHT.fullmatch(weight) or not float(weight) > 0:
            found = f"the weight of {name} is {weight!r}" if colon else f"{name} has no weight"
            raise InputError(f"{item!r}: {found}; expected a number above 0, as in {EXAMPLE}")
        terms.append(Term(name, float(weight)))
    if len({term.name for term in terms}) < max(2, len(terms)):
        raise InputError(f"{item!r}: expected two or more metrics, each once, as in {EXAMPLE}")
    return tuple(terms)


def is_weighted(item: str) -> bool:
    """Whether an item is meant as a weighted sum."""
    return ":" in item or "+" in item


def demand_objective(items: Sequence[str]) -> None:
    """Raise InputError where `items` are no objective."""
    if not items or len(set(items)) < len(items):
        raise InputError(f"{','.join(items)!r}: expected one or more names, or sums such as {EXAMPLE}, each once")
    for item in items:
        terms_of(item)


def names_of(items: Sequence[str]) -> tuple[str, ...]:
    """The names in all items in their order, each once. Raises InputError as `terms_of` does."""
    return tuple(dict.fromkeys(term.name for item in items for term in terms_of(item)))


def _known(name: str) -> str:
    if name not in OBJECTIVES:
        hint = near_name(name.lower(), OBJECTIVES, "; did you mean {}?")
        raise InputError(f"{name!r}: there is no such objective{hint}; known: {', '.join(OBJECTIVES)}")
    return name
