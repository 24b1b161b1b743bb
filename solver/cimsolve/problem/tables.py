"""Placement and schedule as columns of integers: the tables of a solution.

Every array has one entry per piece or per activation; ids count from 0 in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from cimsolve.columns import Ints, ranked


@dataclass(frozen=True)
class Parts:
    """Rectangles of blocks that have no place yet; shape (parts,), in logical weights.

    They are rows `row0 ... row0 + rows - 1` and columns `col0 ... col0 + cols - 1` of the block.
    """

    factor: Ints
    block: Ints
    row0: Ints
    rows: Ints
    col0: Ints
    cols: Ints

    def __len__(self) -> int:
        return len(self.factor)

    def take(self, index: Ints) -> Self:
        """The parts or pieces at `index`, in its order."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All of the `parts`, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def place(self, array: Ints, array_row: Ints, array_col: Ints) -> Pieces:
        """The parts with a place each; arrays of shape (parts,)."""
        return Pieces(self.factor, self.block, self.row0, self.rows, self.col0, self.cols, array, array_row, array_col)


@dataclass(frozen=True)
class Pieces(Parts):
    """Parts and where they lie; shape (pieces,).

    A piece lies on `array` from row `array_row` and logical column `array_col`. On the chip it begins at physical
    column `array_col * w` and is `cols * w` columns wide.
    """

    array: Ints
    array_row: Ints
    array_col: Ints


@dataclass(frozen=True)
class Activations:
    """Firings of arrays; shape (activations,) except `piece`, shape (pieces,).

    Activation i runs from cycle `start` to `end`, reads its columns at `adc_bits`, and fires
    `piece[pieces_from[i]:pieces_to[i]]`.
    """

    array: Ints
    start: Ints
    end: Ints
    adc_bits: Ints
    pieces_from: Ints
    pieces_to: Ints
    piece: Ints

    def __len__(self) -> int:
        return len(self.array)

    def of_piece(self, pieces: int) -> Ints:
        """Number of the activation that fires each piece; shape (pieces,)."""
        owner = np.empty(pieces, dtype=np.int64)
        owner[self.piece] = np.repeat(np.arange(len(self)), self.pieces_to - self.pieces_from)
        return owner


@dataclass(frozen=True)
class Sites:
    """Where arrays are on a chip with a network; shape (arrays,).

    `place` is that of the core which holds the array: of a mesh row * cols + column, of an H-tree the leaf. Arrays at
    one place are of one core.
    """

    place: Ints


@dataclass(frozen=True)
class Mapping:
    """What a strategy returns: pieces, and for each the number of the activation that fires it.

    `fires` has shape (pieces,); its values are any integers, equal for pieces that fire together. When each
    activation runs follows from this, the order of the stages and the rules, see `price/schedule.py`. `order`: the
    numbers of all stages, each after those that it reads, shape (stages,); None is the order of the workload.
    `place`: on a chip with a network the place of each array's core, shape (arrays,); None: arrays in order fill the
    cores, cores the places.
    """

    pieces: Pieces
    fires: Ints
    order: Ints | None = None
    place: Ints | None = None

    def activation_of_piece(self) -> Ints:
        """`fires` with the activations numbered from 0, none left out; shape (pieces,)."""
        return ranked(self.fires)[1]
