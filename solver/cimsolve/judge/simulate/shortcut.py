"""What the arrays give where no conversion changes a sum: plain products of integers, proved equal.

If every sum that the programmed cells can give is a code of its converter, all that is left of phases, slices and
conversions is a sum of products, which does not depend on how it is taken apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.judge.simulate.operands import Operands
from cimsolve.judge.simulate.prepare import PreparedGroup
from cimsolve.judge.simulate.products import FLOAT32_BITS
from cimsolve.model.workload import Factor
from cimsolve.problem.problem import Problem

Float64s = npt.NDArray[np.float64]


def programmed_weights(problem: Problem, operands: Operands, factor: Factor, groups: list[PreparedGroup]) -> Floats:
    """The weights that the cells stand for, float64 of shape (blocks, block_rows, block_cols), read back from them."""
    found = np.zeros((factor.blocks, factor.block_rows, factor.block_cols))
    for group in groups:
        windows, operand = group.windows, group.operand
        shape = (len(windows), len(operand.factors), windows.output.shape[1], windows.elements.shape[1])
        weights = np.einsum("bqch,q->bhc", operand.cells.reshape(shape), operand.factors, dtype=np.float64)
        block, row = np.divmod(windows.elements, factor.block_rows)
        of_block, col = np.divmod(windows.output, factor.block_cols)
        # Other blocks' rows, driven with them, hold no cells here.
        own = block[:, :, None] == of_block[:, None, :]
        offset = operands.encoding.offset
        at = (of_block[:, None, :] + 0 * row[:, :, None], row[:, :, None] + 0 * of_block[:, None, :])
        columns = np.broadcast_to(col[:, None, :], own.shape)
        np.add.at(found, (at[0][own], at[1][own], columns[own]), (weights - offset)[own])
    return found


def multiply_integers(weights: Floats, values: Ints, largest_input: int) -> Float64s:
    """Exact block-diagonal product: (blocks, rows, cols) weights, (tokens, n) values to float64 (tokens, n_out).

    In float32 over as many rows at a time as keep every sum below 2^24, and those added in float64.
    """
    blocks, rows, cols = weights.shape
    largest = max(1.0, float(np.abs(weights).max(initial=0)) * largest_input)
    step = int(((1 << FLOAT32_BITS) - 1) // largest)
    kind: np.dtype[Any] = np.dtype(np.float32 if step >= min(rows, 32) else np.float64)
    step = rows if kind == np.float64 else min(rows, step)
    by_block = np.ascontiguousarray(values.reshape(len(values), blocks, rows).swapaxes(0, 1), dtype=kind)
    held = weights.astype(kind, copy=False)
    total: npt.NDArray[Any] | None = None
    for first in range(0, rows, step):
        product = by_block[:, :, first : first + step] @ held[:, first : first + step]
        if total is None:
            total = product.astype(np.float64)
        else:
            total += product
    return np.ascontiguousarray(np.asarray(total).swapaxes(0, 1).reshape(len(values), blocks * cols))
