"""Weights and inputs as arrays will round them, and gradients as if they did not (straight through).

The same integers as of `judge.simulate` with a scale a column of weights and a token of inputs.
"""

from __future__ import annotations

from typing import Any

import torch

from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError


class Rounding:
    """How a chip rounds; None rounds nothing."""

    def __init__(self, hardware: Hardware | None) -> None:
        """Raises InputError for a chip that stores no negative weights."""
        self._hardware = hardware
        if hardware is not None and hardware.weight.signed == "none":
            raise InputError(f"{hardware.name}: weight.signed = 'none' stores no negative weights, which factors have")

    def weights(self, blocks: Any) -> Any:
        """Blocks (..., rows, columns) as their cells have them."""
        if self._hardware is None:
            return blocks
        top = max(1, 2 ** (self._hardware.weight.bits - 1) - 1)
        with torch.no_grad():
            scale = _nonzero(blocks.abs().amax(-2, keepdim=True) / top)
            moved = torch.round(blocks / scale) * scale - blocks
        return blocks + moved

    def inputs(self, vectors: Any) -> Any:
        """Vectors (tokens, n) as rows are driven with them."""
        if self._hardware is None:
            return vectors
        if vectors.dtype == torch.bfloat16:
            vectors = vectors.float()  # whose 8 bits would be rounded twice
        top = 2**self._hardware.input.bits - 1
        with torch.no_grad():
            low, high = vectors.amin(1, keepdim=True).clamp(max=0), vectors.amax(1, keepdim=True).clamp(min=0)
            scale = _nonzero((high - low) / top)
            zero = torch.round(-low / scale)
            moved = (torch.round(vectors / scale + zero).clamp(0, top) - zero) * scale - vectors
        return vectors + moved


def _nonzero(scale: Any) -> Any:
    return torch.where(scale == 0, torch.ones_like(scale), scale)
