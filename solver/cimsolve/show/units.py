"""Numbers and names as people read them: four digits, a unit that fits, ASCII only; a prefix said once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

Kind = Literal["count", "time", "energy", "area", "share"]


class Unit(NamedTuple):
    """A unit of one kind of amount."""

    name: str
    size: float
    """How much one such unit is, in the unit that metrics are kept in: ns, pJ, mm2."""


UNITS: Mapping[Kind, tuple[Unit, ...]] = {
    "count": (Unit("", 1.0),),
    "time": (Unit("ns", 1.0), Unit("us", 1e3), Unit("ms", 1e6), Unit("s", 1e9)),
    "energy": (Unit("pJ", 1.0), Unit("nJ", 1e3), Unit("uJ", 1e6), Unit("mJ", 1e9), Unit("J", 1e12)),
    "area": (Unit("mm2", 1.0),),
    "share": (Unit("%", 0.01),),
}
ENDINGS: Mapping[str, Kind] = {"_ns": "time", "_pj": "energy", "_mm2": "area"}
"""Ending of the name of a metric or term -> what it counts, in the first unit of that kind."""


def kind_of_amount(name: str) -> Kind:
    """What a metric or a term of this name counts."""
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), "count")


def flag_of(term: str) -> str:
    """The option of a term of the question: its name without the unit."""
    unit = next((ending for ending in ENDINGS if term.endswith(ending)), "")
    return f"--{term.removesuffix(unit).replace('_', '-')}"


def choose_unit(kind: Kind, values: Iterable[float]) -> Unit:
    """The largest unit in which the least of the values above zero is 1 or more; one for a whole column."""
    least = min((value for value in values if 0 < value < math.inf), default=0.0)
    fitting = [unit for unit in UNITS[kind] if unit.size <= least]
    return fitting[-1] if fitting else UNITS[kind][0]


def in_unit(value: float, unit: Unit) -> str:
    """The number without its unit."""
    return number(value / unit.size)


def titled(title: str, unit: Unit) -> str:
    """A title with the unit of the values below it, if that has a name."""
    return f"{title}, {unit.name}" if unit.name else title


def quantity(value: float, kind: Kind) -> str:
    """The number with the unit that fits it."""
    unit = choose_unit(kind, [abs(value)])
    return f"{in_unit(value, unit)} {unit.name}".rstrip()


def number(value: float) -> str:
    """Four significant digits, whole numbers whole."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) or abs(value) >= 1000:
        return str(round(value))
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 9)}f}" if digits <= 9 else f"{value:.3g}"


def share(value: float) -> str:
    """A share as percent, three digits."""
    percent = 100 * value
    if not math.isfinite(percent):
        return str(percent)
    if percent and abs(percent) < 0.01:
        return f"{percent:.0e}%"
    decimals = 0 if abs(percent) >= 100 or percent == 0 else 1 if abs(percent) >= 10 else 2
    return f"{percent:.{decimals}f}%"


def change(before: float, after: float) -> str:
    """The change in percent, with its sign; 0% only where there is none."""
    if not before:
        return "-"
    part = after / before - 1
    if 0 < abs(part) < 5e-5:
        return f"{'+' if part > 0 else '-'}0.00%"
    return f"{'+' if part > 0 else ''}{share(part)}"


def ratio(value: float) -> str:
    """How many times, in five characters: three digits, fewer below 0.1."""
    if not math.isfinite(value) or value == 0:
        return "-"
    if value < 0.001:
        return f"{value:.0e}"
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{min(decimals, 3)}f}"


def component(value: float, whole: float, unit: Unit) -> str:
    """A component of a total: three digits, at most three decimals, and its share in whole percent; - of nothing."""
    if not whole:
        return "-"
    shown = value / unit.size
    decimals = 3 if abs(shown) < 1 else max(0, 2 - math.floor(math.log10(abs(shown))))
    percent = 100 * value / whole
    return f"{shown:.{decimals}f} {'<1' if 0 < percent < 0.5 else f'{percent:.0f}':>3}%"


def plural(count: int, noun: str) -> str:
    """The count with its noun: 1 stage, 2 stages."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def millions(value: float) -> str:
    """A large count, shortened: 301.99 M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size and size > 1e3):
            return f"{value / size:.4g} {letter}"
    return number(value)


def bits_in_words(bits: int) -> str:
    """An amount of bits, shortened: 393.2 kbit."""
    text = millions(bits)
    return f"{text}bit" if text[-1].isalpha() else f"{text} bit"


def common_prefix(names: Sequence[str]) -> str:
    """What all names begin with, whole parts between dots; nothing for a single name."""
    parts = [name.split(".")[:-1] for name in names] if len(names) > 1 else []
    common = takewhile(lambda heads: len(set(heads)) == 1, zip(*parts, strict=False))
    return "".join(f"{heads[0]}." for heads in common)
