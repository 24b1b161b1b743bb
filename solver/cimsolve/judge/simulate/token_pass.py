"""One token pass over the arrays: fire, convert, shift, add, in order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cimsolve.columns import Bools, Ints
from cimsolve.judge.simulate.converters import Converters
from cimsolve.judge.simulate.crossbar import (
    BATCH_NUMBERS,
    Cells,
    Crossbars,
    Float64s,
    first_writers,
    sum_columns,
)
from cimsolve.judge.simulate.expected import ExpectedOutputs, shuffled
from cimsolve.judge.simulate.firing import FINAL, NOTHING, FiringOrder, ragged, split_by
from cimsolve.judge.simulate.operands import Operands
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

Progress = Callable[[int, int], None]

FLOAT32_EXACT = 1 << 24


@dataclass(frozen=True)
class _LevelInputs:
    """What the pairs of one level read; the first elements, as many as an array has rows, are a constant 0."""

    digits: npt.NDArray[Any]
    """Phases of the values, least significant first, shape (elements, phases * vectors)."""
    sums: Ints
    """Sums of all values before each element, and last of all; shape (elements + 1, vectors)."""
    first: Ints
    """Where each snapshot begins, shape (snapshots,)."""
    length: Ints
    """Length of each snapshot; 0 for NOTHING and for snapshots of other levels."""


class TokenPass:
    """The state of one simulated pass: what every output element has gathered so far."""

    def __init__(
        self,
        problem: Problem,
        operands: Operands,
        firings: FiringOrder,
        crossbars: Crossbars,
        reference: ExpectedOutputs,
        converters: Converters,
        *,
        ideal: bool,
        progress: Progress | None,
    ) -> None:
        self._problem, self._operands, self._firings = problem, operands, firings
        self._crossbars, self._reference, self._converters = crossbars, reference, converters
        self._ideal, self._progress = ideal, progress
        self._done = 0
        table = operands.workload.table
        sizes = table.blocks * table.block_cols
        self._first_output = np.cumsum(sizes) - sizes
        kept = np.where(operands.simulated, sizes, 0)
        self._gathered: Float64s = np.zeros((int(kept.sum()), operands.vectors))
        self._first_kept = np.where(operands.simulated, np.cumsum(kept) - kept, -1)
        self._early: list[tuple[Ints, Float64s, Ints]] = []
        self._fires = _fires_by_activation(operands, firings)
        self.fired = len(firings) if self._fires is None else int(self._fires.any(axis=1).sum())
        """How many activations any vector's token fires."""
        hardware = problem.hardware
        phase = np.arange(hardware.input_phases) * hardware.input.dac_bits
        self._phase_factors: Float64s = np.ldexp(1.0, phase)
        self._column_factors = operands.encoding.column_factors()
        largest = problem.rows * (2**hardware.input.dac_bits - 1) * (2**hardware.cell.bits - 1)
        # Lossy conversions divide, which wants float64.
        exact = ideal or bool(converters.exact.all())
        self._dtype = np.dtype(np.float32 if exact and largest < FLOAT32_EXACT else np.float64)

    def run(self) -> dict[int, Ints]:
        """Outputs of all simulated factors, shape (vectors, length), rounded to whole numbers."""
        firings = self._firings
        for level in range(int(firings.level.max(initial=-1)) + 1):
            inputs = self._inputs_of_level(level)
            for number, chunk in enumerate(self._crossbars.chunks):
                chosen = (firings.level == level) & np.isin(firings.array, chunk)
                if self._fires is not None:
                    chosen &= self._fires.any(axis=1)
                which = np.flatnonzero(chosen)
                if len(which) == 0:
                    continue
                cells = self._crossbars.cells(number)
                for batch in _batches(which, firings):
                    self._fire(cells, chunk, inputs, batch)
        return {
            factor.id: self._output(factor.id)
            for factor in self._operands.workload.factors
            if self._operands.simulated[factor.id]
        }

    def _output(self, factor: int) -> Ints:
        read = self._gathered_by(factor, FINAL)
        made = self._operands.workload.factors[factor]
        if made.kind == "L":
            # The inputs carried a zero point: known offline, subtracted digitally.
            offset = self._reference.requantisers[made.linear].zero_point * self._operands.column_sums(made)
            read = read - offset * self._operands.fired(factor)[:, None]
        return np.asarray(np.rint(read), dtype=np.int64)

    def _gathered_by(self, factor: int, time: int) -> Float64s:
        """The output as far as activations had made it at `time`, shape (vectors, length)."""
        made = self._operands.workload.factors[factor]
        size = made.blocks * made.block_cols
        first = int(self._first_kept[factor])
        if time == FINAL:
            return self._gathered[first : first + size].T
        part = np.zeros((size, self._operands.vectors))
        for element, value, end in self._early:
            ended = (end <= time) & (element >= first) & (element < first + size)
            np.add.at(part, element[ended] - first, value[ended])
        return part.T

    def _inputs_of_level(self, level: int) -> _LevelInputs:
        firings, operands = self._firings, self._operands
        needed = np.unique(firings.reads[firings.level[firings.activation] == level])
        first = np.zeros(len(firings.snapshots), dtype=np.int64)
        length = np.zeros(len(firings.snapshots), dtype=np.int64)
        total = self._problem.rows
        parts: list[Ints] = [np.zeros((total, operands.vectors), dtype=np.int64)]
        for index in needed.tolist():
            snapshot = firings.snapshots[index]
            if snapshot is NOTHING:
                continue
            maker = operands.made_by.get(snapshot.vector)
            if maker is None:
                content = operands.draw(snapshot.vector)
            else:
                z = self._reference.requantisers[maker.linear].apply(self._gathered_by(maker.id, snapshot.time))
                content = shuffled(self._problem.structures[maker.linear], z)
            parts.append(content.T)
            first[index], length[index] = total, content.shape[1]
            total += content.shape[1]
        values = np.concatenate(parts)
        dac_bits = self._problem.hardware.input.dac_bits
        phases = [(values >> (phase * dac_bits)) & ((1 << dac_bits) - 1) for phase in range(len(self._phase_factors))]
        digits = np.concatenate(phases, axis=1).astype(self._dtype)
        return _LevelInputs(digits, np.cumsum(np.insert(values, 0, 0, axis=0), axis=0), first, length)

    def _fire(self, cells: Cells, arrays: Ints, inputs: _LevelInputs, batch: Ints) -> None:
        """Fire the activations `batch`, which lie on `arrays`, whose `cells` are given."""
        firings = self._firings
        counts = firings.first_pair[batch + 1] - firings.first_pair[batch]
        local, within = ragged(counts)
        pairs = firings.first_pair[batch][local] + within
        pieces = firings.pieces.take(firings.piece[pairs])
        element = self._first_elements(inputs, pieces, firings.reads[pairs])
        span = firings.span[batch]
        window = np.cumsum(span) - span
        driven = np.zeros((int(span.sum()), inputs.digits.shape[1]), self._dtype)
        top = (window - firings.row_low[batch])[local] + pieces.array_row
        # Where two pieces want different elements on one row, the last one gets its own.
        for group in split_by(np.arange(len(pairs)), within * (self._problem.rows + 1) + pieces.rows):
            rows = int(pieces.rows[group[0]])
            _runs(driven, rows)[top[group]] = _runs(inputs.digits, rows)[element[group]]
        corrections = self._offset_corrections(inputs, element, pieces.rows)
        counted, first_counted = self._counted_columns(pairs, pieces)
        slot = np.searchsorted(arrays, firings.array[batch])
        column = self._crossbars.columns_of(firings.array[batch][local], pieces.array_col)
        key = span[local] * (int(pieces.cols.max()) + 1) + pieces.cols
        for group in split_by(np.arange(len(pairs)), key):
            height, cols = int(span[local[group[0]]]), int(pieces.cols[group[0]])
            width = cols * self._operands.encoding.columns
            numbers = max(height * width, (height + width) * inputs.digits.shape[1])
            step = max(1, BATCH_NUMBERS // numbers)
            for first in range(0, len(group), step):
                some = group[first : first + step]
                of = local[some]
                sums = sum_columns(
                    cells,
                    slot[of],
                    firings.row_low[batch[of]],
                    column[some] * self._operands.encoding.columns,
                    width,
                    _runs(driven, height)[window[of]].reshape(len(of), height, -1),
                )
                read = self._shift_add(self._converters.convert(sums, batch[of], self._ideal), cols)
                read *= counted[first_counted[some][:, None] + np.arange(cols)][:, :, None]
                read -= corrections[some][:, None, :]
                if self._fires is not None:
                    read *= self._fires[batch[of]][:, None, :]
                self._gather(pieces.take(some), read, firings.end[batch[of]])
        self._done += len(batch)
        if self._progress is not None:
            self._progress(self._done, self.fired)

    def _first_elements(self, inputs: _LevelInputs, pieces: Pieces, reads: Ints) -> Ints:
        """The input element that the first row of each piece wants; 0, the constants, where its vector is not there."""
        element = pieces.block * self._operands.workload.table.block_rows[pieces.factor] + pieces.row0
        return np.where(element + pieces.rows <= inputs.length[reads], inputs.first[reads] + element, 0)

    def _offset_corrections(self, inputs: _LevelInputs, element: Ints, rows: Ints) -> Float64s:
        """What a column of each piece holds too much, offset * the sum of its inputs: (pieces, vectors)."""
        return np.asarray((inputs.sums[element + rows] - inputs.sums[element]) * float(self._operands.encoding.offset))

    def _counted_columns(self, pairs: Ints, pieces: Pieces) -> tuple[Bools, Ints]:
        """Whether each column of each piece counts, flat, and where each piece begins in that list."""
        first = np.cumsum(pieces.cols) - pieces.cols
        counted = np.ones(int(pieces.cols.sum()), dtype=np.bool_)
        several = np.flatnonzero(self._firings.may_share[pairs])
        if len(several):
            some = pieces.take(several)
            width = self._operands.workload.table.block_cols[some.factor]
            output = self._first_output[some.factor] + some.block * width + some.col0
            owner, within = ragged(some.cols)
            counted[first[several][owner] + within] = first_writers(
                self._firings.activation[pairs[several]], some.array_col, some.cols, output
            )
        return counted, first

    def _shift_add(self, converted: npt.NDArray[Any], cols: int) -> Float64s:
        """(windows, physical columns, phases * vectors) to (windows, logical columns, vectors)."""
        shape = (
            len(converted),
            cols,
            len(self._column_factors),
            len(self._phase_factors),
            self._operands.vectors,
        )
        by_weight = np.einsum("gcwfv,w->gcfv", converted.reshape(shape).astype(np.float64), self._column_factors)
        return np.asarray(np.einsum("gcfv,f->gcv", by_weight, self._phase_factors))

    def _gather(self, pieces: Pieces, read: Float64s, end: Ints) -> None:
        """Add what pieces of one width read, (pieces, cols, vectors), to the outputs that they claim."""
        own = np.flatnonzero(self._operands.simulated[pieces.factor])
        pieces, read, end = pieces.take(own), read[own], end[own]
        width = self._operands.workload.table.block_cols[pieces.factor]
        corner = self._first_kept[pieces.factor] + pieces.block * width + pieces.col0
        element = corner[:, None] + np.arange(read.shape[1])
        flat = element[:, :, None] * self._operands.vectors + np.arange(self._operands.vectors)
        np.add.at(self._gathered.reshape(-1), flat.reshape(-1), read.reshape(-1))
        early = np.flatnonzero(self._firings.early[pieces.factor])
        if len(early):
            value = read[early].reshape(-1, self._operands.vectors)
            self._early.append((element[early].reshape(-1), value, np.repeat(end[early], read.shape[1])))


def _runs(table: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """All runs of so many rows of a table, each as one row: a view."""
    columns = table.shape[1]
    return sliding_window_view(table.reshape(-1), rows * columns, writeable=True)[::columns]


def _batches(which: Ints, firings: FiringOrder) -> list[Ints]:
    """Activations in runs that drive at most about BATCH_NUMBERS rows, and at least one."""
    pairs = firings.first_pair[which + 1] - firings.first_pair[which]
    load = np.cumsum(firings.span[which] * pairs)
    cuts = np.searchsorted(load, np.arange(BATCH_NUMBERS, int(load[-1]), BATCH_NUMBERS))
    return [part for part in np.split(which, np.unique(cuts)) if len(part)]


def _fires_by_activation(operands: Operands, firings: FiringOrder) -> Bools | None:
    """Whether each vector's token fires each activation, shape (activations, vectors): the expert of its first piece.

    None where every token fires all.
    """
    if not operands.workload.has_experts:
        return None
    factor = firings.pieces.factor[firings.piece[firings.first_pair[:-1]]]
    known, which = np.unique(factor, return_inverse=True)
    return np.stack([operands.fired(each) for each in known.tolist()])[which]
