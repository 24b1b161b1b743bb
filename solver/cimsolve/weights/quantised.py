"""Weights that a model's own files hold in fewer bits, as `quantization_config` says: FP8 with scales, and MXFP4.

Read are formats whose numbers times their scales are the weights: FP8 (e4m3) with a scale for a whole tensor, for each
row or for each block, and MXFP4, numbers of 4 bits of which 32 along a row share a power of two. Others are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError, UnreadFormatError
from cimsolve.files.text import shown_value
from cimsolve.model.model import Model
from cimsolve.weights.tensors import Floats32, Tensors

_METHODS = ("fp8", "fbgemm_fp8", "compressed-tensors", "mxfp4")
_SCALES = ("weight_scale_inv", "weight_scale")
_GROUP = 32
_BIAS = 127

Bytes = npt.NDArray[np.uint8]


def _unread(said: Any) -> str | None:
    """What a `quantization_config` says of a format that is not read; None for one that is."""
    if not isinstance(said, Mapping):
        return f"quantization_config = {shown_value(said)}"
    if (method := said.get("quant_method")) not in _METHODS:
        return f"quantization_config.quant_method = {shown_value(method)}"
    for weights in _groups(said):
        if (weights.get("type"), weights.get("num_bits")) != ("float", 8):
            return f"quantization_config of compressed-tensors with weights {shown_value(weights)}"
    if said.get("sparsity_config"):
        return f"quantization_config.sparsity_config = {shown_value(said['sparsity_config'])}"
    return None


class QuantisedTensors(Tensors):
    """Tensors of which some are stored in fewer bits, by the names and shapes that they have whole."""

    def __init__(self, stored: Tensors, model: Model) -> None:
        """Raises UnreadFormatError for a format that is not read, InputError for scales that do not fit."""
        if unread := _unread(model.config["quantization_config"]):
            raise UnreadFormatError(
                f"{stored.path}: {unread}: weights of this kind are not read; expected plain ones, as they were "
                f"before, or one of {', '.join(_METHODS)} (of compressed-tensors FP8 alone)"
            )
        super().__init__(stored.path, stored.entries)
        self._blocks = _block_of(model.config["quantization_config"], model.name)
        for name, entry in stored.entries.items():
            scales = stored.entries.get(f"{name.removesuffix('_blocks')}_scales")
            if entry.dtype == "U8" and name.endswith("_blocks") and scales is not None:
                *outer, rows, groups, size = entry.shape if len(entry.shape) >= 3 else (0, 0, 0)
                if size * 2 != _GROUP or scales.shape != (*outer, rows, groups) or scales.dtype != "U8":
                    raise InputError(
                        f"{self.where(name)} has shape {entry.shape}, its scales {scales.shape}; expected "
                        f"(..., rows, groups, {_GROUP // 2}) and (..., rows, groups) of MXFP4"
                    )
                # Inputs along the rows, as the model that is published in this format has them.
                whole = replace(entry, dtype="MXFP4", shape=(*outer, groups * _GROUP, rows))
                self._entries[name.removesuffix("_blocks")] = whole

    def tensor(self, name: str) -> Floats32:
        """One tensor as float32, times its scales. Raises as `Tensors.tensor` does."""
        stored = self.find(name)
        match self._entries[stored].dtype:
            case "F8_E4M3":
                with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused
                    found = _E4M3[self.raw(stored, "u1")] * self._scales_of(stored)
                return self._demand_finite(stored, found)
            case "MXFP4":
                return self._demand_finite(
                    stored, _mxfp4(self.raw(f"{stored}_blocks", "u1"), self.raw(f"{stored}_scales", "u1"))
                )
            case _:
                return super().tensor(stored)

    def rows(self, name: str, index: Ints) -> Floats32:
        """What lies at those places of the first axis, as float32; of MXFP4 read alone."""
        stored = self.find(name)
        match self._entries[stored].dtype:
            case "F8_E4M3":
                return self.tensor(stored)[index]
            case "MXFP4":
                blocks, scales = (self.raw(f"{stored}_{part}", "u1", index) for part in ("blocks", "scales"))
                return self._demand_finite(stored, _mxfp4(blocks, scales), index)
            case _:
                return super().rows(stored, index)

    def _scales_of(self, stored: str) -> Floats32:
        """Scales of an FP8 tensor, of a shape that it can be multiplied by."""
        shape = self._entries[stored].shape
        stem = stored.removesuffix(".weight")
        beside = next((name for each in _SCALES if (name := f"{stem}.{each}") in self._entries), None)
        if beside is None:
            raise InputError(f"{self.where(stored)} is FP8, and has no {' or '.join(_SCALES)} beside it")
        scales = super().tensor(beside)
        grid = tuple(math.ceil(n / size) for n, size in zip(shape, self._blocks, strict=False))
        if scales.size == 1:
            return scales.reshape(())
        if len(shape) == 2 and scales.shape == grid:
            rows, columns = (min(size, n) for size, n in zip(self._blocks, shape, strict=True))
            return scales.repeat(rows, axis=0)[: shape[0]].repeat(columns, axis=1)[:, : shape[1]]
        if len(shape) == 2 and scales.shape in ((shape[0],), (shape[0], 1)):
            return scales.reshape(-1, 1)
        raise InputError(
            f"{self.where(beside)} has shape {scales.shape}, and {stored} {shape}; expected one scale, one a row"
            + (f", or {grid} of blocks of {self._blocks}" if self._blocks else "")
        )


def _block_of(said: Mapping[str, Any], origin: str) -> tuple[int, ...]:
    """Rows and columns that share a scale; empty: larger parts do."""
    groups = [weights.get("block_structure") for weights in _groups(said)]
    found: Any = next((each for each in (said.get("weight_block_size"), *groups) if each), [])
    if not isinstance(found, list) or len(found) not in (0, 2) or any(type(n) is not int or n < 1 for n in found):
        raise InputError(f"{origin}: quantization_config: blocks of {shown_value(found)}: expected rows and columns")
    return tuple(found)


def _groups(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What compressed-tensors says of the weights of each group of modules; nothing where that is not an object."""
    groups = said.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        yield weights if isinstance(weights, Mapping) else {}


def _mxfp4(blocks: Bytes, scales: Bytes) -> Floats32:
    """(..., rows, groups, 16) bytes of two numbers and (..., rows, groups) scales -> (..., columns, rows)."""
    values = _FP4_PAIRS[blocks].reshape(*scales.shape, _GROUP)
    with np.errstate(over="ignore", invalid="ignore"):  # refused by who reads it
        found = np.ldexp(values, scales.astype(np.int32)[..., None] - _BIAS)
    return np.ascontiguousarray(found.reshape(*scales.shape[:-1], -1).swapaxes(-1, -2))


def _e4m3() -> Floats32:
    """Byte -> number: a sign, four bits of exponent, three of fraction; all ones is no number."""
    code = np.arange(128)
    exponent, fraction = code >> 3, (code & 7) / 8
    found: Floats = np.where(exponent == 0, fraction * 2.0**-6, (1 + fraction) * 2.0 ** (exponent - 7.0))
    found[127] = np.nan
    return np.concatenate([found, -found]).astype(np.float32)


def _fp4_pairs() -> Floats32:
    """Byte -> the two numbers of 4 bits in it, that of its lower bits first."""
    positive = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    number = np.array(positive + [-each for each in positive], dtype=np.float32)
    code = np.arange(256)
    return np.stack([number[code & 15], number[code >> 4]], axis=-1)


_E4M3, _FP4_PAIRS = _e4m3(), _fp4_pairs()
