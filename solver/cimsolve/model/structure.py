"""How a linear is stored, and the rules by which a user says so.

A linear `y = x W` with W of shape (n_in, n_out) is stored dense, or as `monarch(k, l, T)`: two block-diagonal
factors R (applied first) and L. With `P = n_in / k` and `S = n_out / l`::

    R: k blocks, each P rows x T*l columns
    L: l blocks, each T*k rows x S columns

`k = l = 1` is plain low-rank of rank T. This module knows shapes only; `monarch` holds the numbers.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from cimsolve.errors import InputError

_NUMBER = r"([1-9][0-9]{0,8})"
_MONARCH = re.compile(rf"{_NUMBER},{_NUMBER},{_NUMBER}")
_LOWRANK = re.compile(rf"lowrank:{_NUMBER}")
_SPECS = "dense, sqrt, k,l,T (three whole numbers from 1), lowrank:T or, for all linears, chosen:FILE"


class FactorShape(NamedTuple):
    """`blocks` diagonal blocks of `rows x cols` weights each."""

    blocks: int
    rows: int
    cols: int


@dataclass(frozen=True)
class Structure:
    """Dense, or Monarch with `k` input blocks, `l` output blocks and rank `rank` per slice.

    A dense structure has k = l = rank = 0. Build with `dense()`, `monarch()` or `parse()`; `str()` gives the
    canonical text that `parse()` reads back.
    """

    k: int
    l: int  # noqa: E741  the equations' own letter
    rank: int

    @classmethod
    def dense(cls) -> Structure:
        """The structure of a linear that is stored as it is."""
        return cls(0, 0, 0)

    @classmethod
    def monarch(cls, k: int, l: int, rank: int = 1) -> Structure:  # noqa: E741  the equations' own letter
        """`monarch(k, l, T)`. Raises InputError for a number below 1."""
        if min(k, l, rank) < 1:
            raise InputError(f"structure {k},{l},{rank}: k, l and T must be 1 or more")
        return cls(k, l, rank)

    @classmethod
    def parse(cls, text: str) -> Structure:
        """Read the canonical form, `dense` or `k,l,T`. Raises InputError for anything else."""
        if text == "dense":
            return cls.dense()
        match = _MONARCH.fullmatch(text)
        if match is None:
            raise InputError(f"structure {text[:60]!r}: expected dense or k,l,T (three whole numbers from 1)")
        return cls.monarch(*map(int, match.groups()))

    def __str__(self) -> str:
        return "dense" if self.is_dense else f"{self.k},{self.l},{self.rank}"

    @property
    def is_dense(self) -> bool:
        return self.k == 0

    def validate(self, n_in: int, n_out: int, name: str) -> None:
        """Raise InputError unless this structure fits a linear `name` of n_in x n_out.

        `k` must divide n_in, `l` must divide n_out, and T may not exceed min(P, S), the rank of a slice.
        """
        if self.is_dense:
            return
        where = f"linear {name} ({n_in} x {n_out}), structure {self}"
        for letter, value, side, size in (("k", self.k, "n_in", n_in), ("l", self.l, "n_out", n_out)):
            if size % value:
                divisors = _divisors(size)
                below, above = [d for d in divisors if d < value], [d for d in divisors if d > value]
                near = " and ".join(map(str, below[-1:] + above[:1]))
                raise InputError(
                    f"{where}: {letter} = {value} does not divide {side} = {size}; nearest divisors: {near}"
                )
        rows, cols = n_in // self.k, n_out // self.l
        if self.rank > min(rows, cols):
            raise InputError(
                f"{where}: T = {self.rank} is more than the rank of a {rows} x {cols} slice; "
                f"T can be 1 to {min(rows, cols)}"
            )

    def stored_weights(self, n_in: int, n_out: int) -> int:
        """Weights kept, also the multiply-accumulates per vector: T*(l*n_in + k*n_out) for Monarch."""
        if self.is_dense:
            return n_in * n_out
        return self.rank * (self.l * n_in + self.k * n_out)

    def factors(self, n_in: int, n_out: int) -> tuple[FactorShape, FactorShape]:
        """Shapes of R and L. Raises ValueError for a dense structure, which has no factors."""
        if self.is_dense:
            raise ValueError("a dense linear has no R and L")
        return (
            FactorShape(self.k, n_in // self.k, self.rank * self.l),
            FactorShape(self.l, self.rank * self.k, n_out // self.l),
        )


def _divisors(number: int) -> list[int]:
    """All divisors of `number`, ascending."""
    low = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return low + [number // d for d in reversed(low) if d * d != number]


def sqrt_blocks(n_in: int, n_out: int) -> int:
    """The divisor of gcd(n_in, n_out) nearest sqrt(min(n_in, n_out)), the larger on ties.

    Decided in integers: with m = min(n_in, n_out) and divisors lo <= sqrt(m) <= hi, hi is at least as near
    iff hi + lo <= 2 sqrt(m), that is (hi + lo)^2 <= 4 m.
    """
    least = min(n_in, n_out)
    divisors = _divisors(math.gcd(n_in, n_out))
    low = max(d for d in divisors if d * d <= least)
    high = next((d for d in divisors if d * d >= least), None)
    return low if high is None or (high + low) ** 2 > 4 * least else high


@dataclass(frozen=True)
class _Rule:
    """One user text: linears whose name matches `pattern` (None: every linear) are stored as `spec` says."""

    pattern: str | None
    spec: str

    def matches(self, name: str) -> bool:
        """Whether the rule is for the linear of this name."""
        return self.pattern is None or fnmatchcase(name, self.pattern)


@dataclass(frozen=True)
class StructurePolicy:
    """Which linear is stored how: rules in order, the last that matches a linear's name wins."""

    rules: tuple[_Rule, ...]

    @classmethod
    def parse(cls, texts: Sequence[str], default: str = "sqrt") -> StructurePolicy:
        """Build from user texts `SPEC` (for every linear) or `PATTERN=SPEC` (fnmatch glob over linear names).

        SPEC is `dense`, `sqrt`, `k,l,T` or `lowrank:T`; `default` is the SPEC of linears that no text
        matches. Raises InputError for a text that is none of these.
        """
        return cls((_rule(default), *map(_rule, texts)))

    def choose(self, name: str, n_in: int, n_out: int, otherwise: Structure | None = None) -> Structure:
        """The structure of one linear. Raises InputError where the winning rule does not fit its shape.

        `otherwise` stands for the default.
        """
        rule = next(rule for rule in reversed(self.rules) if rule.matches(name))
        if rule is self.rules[0] and otherwise is not None:
            return otherwise
        structure = _structure(rule.spec, n_in, n_out)
        structure.validate(n_in, n_out, name)
        return structure

    def resolve(
        self,
        linears: Iterable[tuple[str, int, int]],
        chosen: Mapping[str, Structure] | None = None,
        as_it_is: Mapping[str, Structure] | None = None,
    ) -> dict[str, Structure]:
        """Linear name -> structure for `linears` of (name, n_in, n_out), in their order.

        `chosen` says how those are stored that no text matches, `as_it_is` those that no text names by a pattern.
        Raises InputError where a rule does not fit, or where a pattern matches no linear at all.
        """
        items = list(linears)
        names = [name for name, _, _ in items]
        for rule in self.rules:
            if rule.pattern is not None and not any(map(rule.matches, names)):
                raise InputError(f"structure {rule.pattern}={rule.spec}: {_no_match(rule.pattern, names)}")
        kept = {name: structure for name, structure in (as_it_is or {}).items() if not self._names(name)}
        return {
            name: kept[name] if name in kept else self.choose(name, n_in, n_out, (chosen or {}).get(name))
            for name, n_in, n_out in items
        }

    def _names(self, name: str) -> bool:
        """Whether a pattern is for this linear."""
        return any(rule.pattern is not None and rule.matches(name) for rule in self.rules)


def _rule(text: str) -> _Rule:
    pattern, equals, spec = text.rpartition("=")
    pattern, spec = pattern.strip(), re.sub(r"\s", "", spec)
    if equals and not pattern:
        raise InputError(f"structure {text!r}: no pattern before the =; write PATTERN=SPEC, or SPEC alone")
    if spec not in ("dense", "sqrt") and not _MONARCH.fullmatch(spec) and not _LOWRANK.fullmatch(spec):
        raise InputError(f"structure {text!r}: expected {_SPECS}")
    return _Rule(pattern if equals else None, spec)


def _structure(spec: str, n_in: int, n_out: int) -> Structure:
    if spec == "sqrt":
        blocks = sqrt_blocks(n_in, n_out)
        return Structure.monarch(blocks, blocks, 1)
    lowrank = _LOWRANK.fullmatch(spec)
    return Structure.monarch(1, 1, int(lowrank[1])) if lowrank else Structure.parse(spec)


def _no_match(pattern: str, names: Sequence[str]) -> str:
    """Why `pattern` matched nothing, with the nearest linear names."""
    if not names:
        return "the model has no linears"
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or list(names[:3])
    return f"{pattern!r} matches no linear; near names: {', '.join(near)}"
