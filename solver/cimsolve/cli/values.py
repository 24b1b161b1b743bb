"""Readers of values on the command line, which raise ArgumentTypeError with what was expected; and values as text."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from cimsolve.errors import InputError
from cimsolve.files.text import near_name
from cimsolve.problem.objective import demand_objective
from cimsolve.show.units import UNITS, Kind

NUMBER_MAX = 10**9
TIME_LIMIT_MAX_S = 1e7
T = TypeVar("T")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})? ?([A-Za-z]*)")


def whole(least: int, most: int = NUMBER_MAX) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def read(text: str) -> int:
        # int() also takes 1_000, spaces and digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least} to {most}")
        return int(text)

    return read


def quantity(kind: Kind, example: str) -> Callable[[str], float]:
    """An amount above zero in the first unit of its kind (ns, pJ); a suffix names another one: 60us, 12uJ."""
    units = {unit.name: unit.size for unit in UNITS[kind]}

    def read(text: str) -> float:
        found = QUANTITY.fullmatch(text.strip()) if text.isascii() and len(text) <= 40 else None
        size = units.get(found[3] or UNITS[kind][0].name) if found else None
        # Decimal: 0.1us is 100 ns and not a bit more.
        value = float(Decimal(found[1] + (found[2] or "")) * Decimal(size)) if found and size else 0.0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(
                f"{text!r}: expected a number above 0, alone or with one of {', '.join(units)}, such as {example}"
            )
        return value

    return read


@dataclass(frozen=True)
class Above:
    """A limit that lies a share above the least that is found, such as +20%."""

    share: Decimal

    def __str__(self) -> str:
        return f"+{(100 * self.share).normalize():f}%"


def above_or(read: Callable[[str], T]) -> Callable[[str], T | Above]:
    """What `read` takes, or a share above the least."""

    def read_either(text: str) -> T | Above:
        found = re.fullmatch(r"\+([0-9]{1,4}(?:\.[0-9]{1,4})?)%", text.strip(), re.ASCII)
        if found:
            return Above(Decimal(found[1]) / 100)
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, or a share above the least, such as +20%") from None

    return read_either


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """A number that `fits`; what is none is tried as NaN."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r}: expected a number {expected}")
        return value

    return read


seconds = number("of seconds, more than 0", lambda value: 0 < value <= TIME_LIMIT_MAX_S)


def setting(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: expected KEY=VALUE, such as array.rows=128")
    return key.strip(), value.strip()


def size(text: str) -> tuple[str, int]:
    """NAME=N, a size of at least 1; names may have `=` in them."""
    name, equals, number = text.rpartition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=N, such as height=224")
    return name.strip(), whole(1)(number.strip())


def words(text: str) -> tuple[str, ...]:
    """Some words between commas."""
    found = tuple(word.strip() for word in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r}: expected names between commas, none of them empty")
    return found


def axis(text: str) -> tuple[str, tuple[str, ...]]:
    """KEY=V1,V2,... or, for values that have commas of their own, KEY=V1;V2."""
    key, equals, listed = text.partition("=")
    values = tuple(value.strip() for value in listed.split(";" if ";" in listed else ","))
    if values and ";" in listed and not values[-1]:
        values = values[:-1]  # a single value with commas: KEY=32,32,1;
    if not equals or not key.strip() or not all(values) or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: expected KEY=V1,V2,... such as adc.per_array=4,8,16")
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected each value once")
    return key.strip(), values


def several(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Values between commas, each once."""

    def read_all(text: str) -> tuple[T, ...]:
        found = tuple(read(part.strip()) for part in text.split(","))
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"{text!r}: expected each value once")
        return found

    return read_all


@dataclass(frozen=True)
class OneOf:
    """Reads one of the `known` words."""

    known: Sequence[str]

    def __call__(self, text: str) -> str:
        if text not in self.known:
            raise argparse.ArgumentTypeError(
                f"{text!r}: expected one of {', '.join(self.known)}{near(text, self.known)}"
            )
        return text


@dataclass(frozen=True)
class Names:
    """Reads some of the `known` names, between commas, each once; `what` they are names of."""

    what: str
    known: Sequence[str]

    def __call__(self, text: str) -> tuple[str, ...]:
        found = tuple(name.strip() for name in text.split(","))
        for name in found:
            if name not in self.known:
                raise argparse.ArgumentTypeError(
                    f"{name!r}: there is no such {self.what}{near(name, self.known)}; known: {', '.join(self.known)}"
                )
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"{text!r}: expected each {self.what} once")
        return found


def each_key_once(what: str) -> Callable[[Sequence[tuple[str, T]]], tuple[tuple[str, T], ...]]:
    """Pairs as they are, refused where a key, called `what`, is among them twice."""

    def demand(pairs: Sequence[tuple[str, T]]) -> tuple[tuple[str, T], ...]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise argparse.ArgumentTypeError(f"{key} is given twice; expected each {what} once")
        return tuple(pairs)

    return demand


def axis_text(axis: tuple[str, Sequence[str]]) -> str:
    """The text that `axis` reads as this key with its values."""
    key, values = axis
    joined = (";" if any("," in value for value in values) else ",").join(values)
    return f"{key}={joined}{';' if len(values) == 1 and ',' in joined else ''}"


def objective(text: str) -> tuple[str, ...]:
    """Names of metrics and weighted sums of them, between commas, each once."""
    items = tuple("".join(item.split()) for item in text.split(","))
    try:
        demand_objective(items)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return items


def near(word: str, known: Sequence[str]) -> str:
    """A question after the nearest of the `known` words, or nothing."""
    return near_name(word.lower(), known, "; did you mean {}?")


def plain(value: object) -> str:
    """Text that reads as the value: several between commas, whole floats without `.0`."""
    if isinstance(value, tuple):
        return ",".join(map(plain, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() and value < 1e15 else str(value)
