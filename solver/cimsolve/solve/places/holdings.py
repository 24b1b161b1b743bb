"""What may change places without a change on any array: activations of one stage that have the same outline.

An activation drives rows and reads columns of an array; where its pieces lie relative to each other is its outline.
Two activations of a stage with one outline may trade all their blocks: every array is as full as before, fires as long
as before, and obeys the rules as before. What it drives and where its sums go is another matter: that is dealt here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces

FAR = 2**40


class Holdings:
    """The activations of a mapping as slots, and what they hold as contents that may be dealt to other slots."""

    def __init__(self, problem: Problem, mapping: Mapping) -> None:
        self.mapping, self.pieces = mapping, mapping.pieces
        self.table, self.kinds = problem.table, problem.workload.kinds
        self.fires = mapping.activation_of_piece()
        count = int(self.fires.max()) + 1
        self.row, self.col = np.full((2, count), FAR, dtype=np.int64)
        np.minimum.at(self.row, self.fires, self.pieces.array_row)
        np.minimum.at(self.col, self.fires, self.pieces.array_col)
        self.stage, self.array = np.zeros((2, count), dtype=np.int64)
        self.stage[self.fires] = self.table.stage[self.pieces.factor]
        self.array[self.fires] = self.pieces.array
        self.outline, self._leading = self._outlines(count)

    def _outlines(self, count: int) -> tuple[Ints, Ints]:
        """Number of each activation's outline, and its first piece, by rows, then columns; shape (activations,)."""
        pieces, fires = self.pieces, self.fires
        row, col = pieces.array_row - self.row[fires], pieces.array_col - self.col[fires]
        order = np.lexsort((col, row, fires))
        members = np.bincount(fires, minlength=count)
        first = np.cumsum(members) - members
        outline = np.zeros(count, dtype=np.int64)
        known = 0
        for size in np.unique(members).tolist():
            same = np.flatnonzero(members == size)
            index = order[first[same][:, None] + np.arange(size)]
            number = np.zeros(len(same), dtype=np.int64)
            for side, piece in product((row, col, pieces.rows, pieces.cols), range(size)):
                values = side[index[:, piece]]
                if (values != values[0]).any():
                    number = np.unique(number * (int(values.max()) + 1) + values, return_inverse=True)[1]
            outline[same] = known + number
            known = int(outline[same].max()) + 1
        return outline, order[first]

    @cached_property
    def inputs(self) -> Ints:
        """A key of what each activation drives: factors on one vector share it; shape (activations,)."""
        piece = self._leading
        factor = self.pieces.factor[piece]
        element = self.pieces.block[piece] * self.table.block_rows[factor] + self.pieces.row0[piece]
        return np.asarray(self.table.input[factor] * FAR + element)

    @cached_property
    def outputs(self) -> Ints:
        """A key of what each activation makes, in the order of factors; shape (activations,)."""
        piece = self._leading
        factor = self.pieces.factor[piece]
        element = self.pieces.block[piece] * self.table.block_cols[factor] + self.pieces.col0[piece]
        return np.asarray(factor * FAR + element)

    @cached_property
    def readers(self) -> Ints:
        """A key of what reads that which each activation of R factors makes, block after block; any of others.

        Element j of z is read in block j mod l of the L factor; shape (activations,).
        """
        kinds, piece = self.kinds, self._leading
        blocks = self.table.blocks.copy()
        blocks[kinds == "R"] = self.table.blocks[kinds == "L"]
        factor = self.pieces.factor[piece]
        element = self.pieces.block[piece] * self.table.block_cols[factor] + self.pieces.col0[piece]
        return np.asarray(factor * FAR + element % blocks[factor])

    def dealt(self, keys: Sequence[Ints], *along: Ints) -> Ints:
        """The slot for each activation's contents, dealt in the order of `keys`, the first of them first.

        Slots are taken in the order of `along`, likewise, within each stage and outline; all have shape (activations,).
        """
        found = np.empty_like(self.stage)
        contents = np.lexsort((*reversed(keys), self.outline, self.stage))
        found[contents] = np.lexsort((self.array, *reversed(along), self.outline, self.stage))
        return found

    def crossed(self, keys: Sequence[Ints], line: Ints, others: Sequence[Ints], across: Ints) -> Ints:
        """As `dealt`, by `keys` to the slots of one `line` after the other, and within each by `others` `across` it."""
        of_contents = line[self.dealt(keys, line, across)]
        return self.dealt((of_contents, *others), line, across)

    def moved(self, slots: Ints) -> Pieces:
        """The pieces where they lie once the activations' contents have taken `slots`, shape (activations,)."""
        own = self.fires
        to = slots[own]
        return replace(
            self.pieces,
            array=self.array[to],
            array_row=self.pieces.array_row - self.row[own] + self.row[to],
            array_col=self.pieces.array_col - self.col[own] + self.col[to],
        )
