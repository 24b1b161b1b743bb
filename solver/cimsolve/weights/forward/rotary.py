"""How far rotary positions turn each pair of a head, by the keys of a config: published bases and scalings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.model.families.config import Config, Context, read_config

Positive = Annotated[float, Field(gt=0)]
Base = Annotated[float, Field(gt=1)]

# Type of scaling -> the keys that it must have, and those that it may have.
_TYPES: Mapping[str, tuple[str, str]] = {
    "default": ("", ""),
    "linear": ("factor", ""),
    "dynamic": ("factor", ""),
    "llama3": ("factor low_freq_factor high_freq_factor", "original_max_position_embeddings"),
    "yarn": (
        "factor",
        "original_max_position_embeddings attention_factor beta_fast beta_slow mscale mscale_all_dim truncate",
    ),
    "longrope": ("short_factor long_factor", "original_max_position_embeddings attention_factor factor"),
}


@dataclass(frozen=True)
class Rotary:
    """Radians a position of each pair of a head; of sequences longer than `long_from` those of `long`."""

    turns: Floats
    scale: float = 1.0
    """Of the elements that are turned."""
    long: Floats | None = None
    long_from: int = 0

    def angles(self, spans: Sequence[slice], earlier: int = 0) -> Floats:
        """Angles (tokens, pairs) of sequences, each of which begins at position `earlier`."""
        return np.concatenate([self._angles(earlier + span.stop - span.start)[earlier:] for span in spans])

    def _angles(self, length: int) -> Floats:
        turns = self.turns if self.long is None or length <= self.long_from else self.long
        return np.arange(length)[:, None] * turns


class _Scaling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    rope_type: Literal["default", "linear", "dynamic", "llama3", "yarn", "longrope"] = "default"
    rope_theta: Base | None = None
    partial_rotary_factor: float | None = None
    """Says how wide the part is that turns, which is known."""
    factor: Annotated[float, Field(ge=1)] | None = None
    original_max_position_embeddings: Context | None = None
    low_freq_factor: Positive = 1.0
    high_freq_factor: Positive = 4.0
    attention_factor: Positive | None = None
    beta_fast: Positive = 32.0
    beta_slow: Positive = 1.0
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True
    short_factor: list[Positive] = []
    long_factor: list[Positive] = []

    @model_validator(mode="before")
    @classmethod
    def _of_older_files(cls, given: Any) -> Any:
        """`type` is what `rope_type` was called, `su` what `longrope` was; null is as absent."""
        if not isinstance(given, Mapping):
            return given
        known = {key: value for key, value in given.items() if value is not None}
        kind = known.pop("type", "default")
        return {**known, "rope_type": known.get("rope_type", "longrope" if kind == "su" else kind)}

    @model_validator(mode="after")
    def _has_the_keys_of_its_type(self) -> Self:
        must, may = (set(keys.split()) for keys in _TYPES[self.rope_type])
        given = self.model_fields_set - {"rope_type", "rope_theta", "partial_rotary_factor"}
        if missing := sorted(must - given):
            raise ValueError(f"{missing[0]} is missing, which rope_type {self.rope_type} needs; add it")
        if foreign := sorted(given - must - may):
            raise ValueError(
                f"{foreign[0]} says nothing with rope_type {self.rope_type}; remove it or correct the type"
            )
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor = {self.low_freq_factor}: expected less than high_freq_factor = "
                f"{self.high_freq_factor}; correct them"
            )
        return self


class RotaryKeys(Config):
    """Keys of rotary positions, old and new: `rope_theta` with `rope_scaling`, or `rope_parameters`."""

    max_position_embeddings: Context
    original_max_position_embeddings: Context | None = None
    rope_theta: Base = 10000.0
    rope_scaling: _Scaling | None = None
    rope_parameters: _Scaling | None = None


def read_rotary(config: Mapping[str, Any], origin: str, width: int) -> Rotary:
    """The rotary positions of `width` elements of a head that a config asks for.

    Raises InputError for keys that are wrong or not known.
    """
    read = read_config(RotaryKeys, config, origin)
    scaling = read.rope_scaling or read.rope_parameters or _Scaling()
    pairs, base = width // 2, scaling.rope_theta or read.rope_theta
    turns = base ** (-np.arange(pairs) / pairs)
    original = (
        read.original_max_position_embeddings
        or scaling.original_max_position_embeddings
        or read.max_position_embeddings
    )
    match scaling.rope_type:
        case "linear":
            return Rotary(turns / (scaling.factor or 1.0))
        case "llama3":
            return Rotary(_llama3(turns, scaling, original))
        case "yarn":
            return Rotary(_yarn(turns, scaling, base, original), _yarn_scale(scaling))
        case "longrope":
            return _longrope(turns, scaling, original, read.max_position_embeddings, origin)
        case _:  # dynamic turns otherwise beyond the context alone, where no sequence reaches
            return Rotary(turns)


def _llama3(turns: Floats, scaling: _Scaling, original: int) -> Floats:
    """Slow turns by the factor slower, fast ones as they are, those between by a share."""
    low, high, factor = scaling.low_freq_factor, scaling.high_freq_factor, scaling.factor or 1.0
    rounds = original * turns / (2 * np.pi)  # that a pair makes over the context of the training
    fast = np.clip((rounds - low) / (high - low), 0, 1)
    return np.asarray((1 - fast) * turns / factor + fast * turns)


def _yarn(turns: Floats, scaling: _Scaling, base: float, original: int) -> Floats:
    """The first pairs as they are, the last by the factor slower, a ramp between."""
    pairs = len(turns)

    def pair_of(rounds: float) -> float:
        return pairs * math.log(original / (rounds * 2 * math.pi)) / math.log(base)

    first, last = pair_of(scaling.beta_fast), pair_of(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    slow = np.clip((np.arange(pairs) - first) / (last - first or 0.001), 0, 1)
    return np.asarray(turns / (scaling.factor or 1.0) * slow + turns * (1 - slow))


def _yarn_scale(scaling: _Scaling) -> float:
    def of(weight: float) -> float:
        return 0.1 * weight * math.log(scaling.factor or 1.0) + 1.0

    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if scaling.mscale and scaling.mscale_all_dim:
        return of(scaling.mscale) / of(scaling.mscale_all_dim)
    return of(1.0)


def _longrope(turns: Floats, scaling: _Scaling, original: int, context: int, origin: str) -> Rotary:
    """Every pair has a divisor of its own, one for short sequences and one for long ones."""
    divisors = [np.array(each) for each in (scaling.short_factor, scaling.long_factor)]
    for key, each in zip(("short_factor", "long_factor"), divisors, strict=True):
        if len(each) != len(turns):
            raise InputError(f"{origin}: {key} has {len(each)} numbers; expected {len(turns)}, one a pair of a head")
    factor = scaling.factor or context / original
    scale = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(max(original, 2)))
    return Rotary(turns / divisors[0], scaling.attention_factor or scale, turns / divisors[1], original)
