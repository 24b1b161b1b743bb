"""The non-idealities of cells and converters, by name. docs/simulation.md has the equations and their sources.

Conductances are in units of one cell level, L = 2^cell.bits - 1 being the largest. Every cell and converter has
its own draw, which depends on the seed, the effect and the number of its array alone: not on what else is
simulated, nor in which order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Bools, Ints
from cimsolve.errors import InputError
from cimsolve.files.text import near_name

Float32s = npt.NDArray[np.float32]

READ_STREAM = 16
"""First word of the stream that draws read noise, after the seed; those of cells and converters are below."""
_PROGRAMMING, _RELATIVE, _DRIFT, _STUCK, _OFFSET, _GAIN = range(10, 16)

SIGMA_MAX = 10.0
RATIO_MAX = 1e12


@dataclass(frozen=True)
class Noise:
    """Which non-idealities are on, and how large; as built, none is. Raises InputError for a value out of range."""

    programming: float = 0.0
    """Standard deviation of a programmed cell, as a share of L."""
    programming_relative: float = 0.0
    """Standard deviation of a programmed cell, as a share of its own level."""
    read: float = 0.0
    """Standard deviation of a driven cell at each read, as a share of L."""
    drift: float = 1.0
    """Age t / t0: a level falls by (t / t0)^-nu."""
    drift_nu: float = 0.0
    """Mean of nu."""
    drift_nu_sigma: float = 0.0
    """Standard deviation of nu over the cells; no nu is below 0."""
    stuck_off: float = 0.0
    """Share of all cells that are 0 whatever is written."""
    stuck_on: float = 0.0
    """Share of all cells, empty ones too, that are L."""
    adc_offset: float = 0.0
    """Standard deviation of a converter's offset, in codes."""
    adc_gain: float = 0.0
    """Standard deviation of a converter's gain, whose mean is 1."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = 0.0, SIGMA_MAX
            if field.name == "drift":
                low, high = 1.0, RATIO_MAX
            elif field.name.startswith("stuck"):
                high = 1.0
            if not low <= value <= high:  # also refuses NaN
                raise InputError(f"noise: {field.name} = {value:g}: expected a number from {low:g} to {high:g}")
        if self.stuck_off + self.stuck_on > 1:
            raise InputError(
                f"noise: stuck_off + stuck_on = {self.stuck_off + self.stuck_on:g}: expected 1 or less in all"
            )
        if (self.drift > 1) != (self.drift_nu + self.drift_nu_sigma > 0):
            raise InputError(
                f"noise: drift = {self.drift:g} with drift_nu = {self.drift_nu:g}: expected both, as one has no effect "
                "without the other, such as drift=1000,drift_nu=0.05"
            )

    @property
    def of_cells(self) -> bool:
        """Whether cells differ from what was written."""
        return self.alone_of("programming", "programming_relative", "drift", "stuck") != _NONE

    @property
    def of_converters(self) -> bool:
        return bool(self.adc_offset or self.adc_gain)

    def alone(self) -> Iterator[tuple[str, Noise]]:
        """Each effect that is on, by name, with the others off."""
        for name in EFFECTS:
            one = self.alone_of(name)
            if one != _NONE:
                yield name, one

    def alone_of(self, *names: str) -> Noise:
        kept = {field: getattr(self, field) for name in names for field in EFFECTS[name]}
        return replace(_NONE, **kept)


EFFECTS: dict[str, tuple[str, ...]] = {
    "programming": ("programming",),
    "programming_relative": ("programming_relative",),
    "read": ("read",),
    "drift": ("drift", "drift_nu", "drift_nu_sigma"),
    "stuck": ("stuck_off", "stuck_on"),
    "adc_offset": ("adc_offset",),
    "adc_gain": ("adc_gain",),
}
"""Effect -> the fields of Noise that say how large it is."""

_NONE = Noise()


def noise_from(values: dict[str, float]) -> Noise:
    """Noise by field names; `stuck` is a share of which half is off and half on. Raises InputError."""
    known = (*(field.name for field in fields(Noise)), "stuck")
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        near = near_name(unknown, known)
        hint = f"; did you mean {near}?" if near else ""
        raise InputError(f"--noise: {unknown!r}: there is no such noise{hint}; known: {', '.join(known)}")
    given = dict(values)
    if "stuck" in given:
        both = given.pop("stuck")
        for name in ("stuck_off", "stuck_on"):
            if name in given:
                raise InputError(f"noise: stuck and {name}: expected stuck alone, or stuck_off and stuck_on")
            given[name] = both / 2
    return Noise(**given)


def disturb(noise: Noise, seed: int, arrays: Ints, levels: npt.NDArray[Any], occupied: Bools, largest: int) -> Float32s:
    """Conductances of cells in which `levels` were written, all of shape (arrays, rows, columns).

    Programming noise, then drift, act on `occupied` cells; a conductance is not negative. Stuck cells are drawn
    over all cells and nothing else acts on them.
    """
    conductance = levels.astype(np.float32)
    if not noise.of_cells:
        return conductance
    shape = levels.shape[1:]
    for slot, array in enumerate(arrays.tolist()):
        cells = conductance[slot]
        if noise.programming:
            cells += _normal(seed, _PROGRAMMING, array, shape) * np.float32(noise.programming * largest)
        if noise.programming_relative:
            spread = _normal(seed, _RELATIVE, array, shape) * np.float32(noise.programming_relative)
            cells += spread * levels[slot]
        np.maximum(cells, 0, out=cells)
        if noise.drift > 1:
            nu = np.full(shape, noise.drift_nu, dtype=np.float32)
            if noise.drift_nu_sigma:
                nu += _normal(seed, _DRIFT, array, shape) * np.float32(noise.drift_nu_sigma)
                np.maximum(nu, 0, out=nu)
            cells *= np.exp(nu * np.float32(-math.log(noise.drift)))
        cells[~occupied[slot]] = 0
        if noise.stuck_off or noise.stuck_on:
            lot = _uniform(seed, _STUCK, array, shape)
            cells[lot < noise.stuck_off + noise.stuck_on] = largest
            cells[lot < noise.stuck_off] = 0
    return conductance


def converter_errors(noise: Noise, seed: int, arrays: Ints, converters: int) -> tuple[Float32s, Float32s]:
    """Gain (about 1) and offset in codes (about 0) of every converter, each of shape (arrays, converters)."""
    gain = np.ones((len(arrays), converters), dtype=np.float32)
    offset = np.zeros((len(arrays), converters), dtype=np.float32)
    for slot, array in enumerate(arrays.tolist()):
        if noise.adc_gain:
            gain[slot] += _normal(seed, _GAIN, array, (converters,)) * np.float32(noise.adc_gain)
        if noise.adc_offset:
            offset[slot] = _normal(seed, _OFFSET, array, (converters,)) * np.float32(noise.adc_offset)
    return gain, offset


def _normal(seed: int, stream: int, array: int, shape: tuple[int, ...]) -> Float32s:
    return np.random.default_rng([seed, stream, array]).standard_normal(shape, dtype=np.float32)


def _uniform(seed: int, stream: int, array: int, shape: tuple[int, ...]) -> Float32s:
    return np.random.default_rng([seed, stream, array]).random(shape, dtype=np.float32)
