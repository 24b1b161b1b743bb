"""The arrays as a machine: programmed once, then fed with batches of real inputs, linear by linear.

`ArraySimulator.linear` is y = x W as the arrays compute it. Inputs are quantised to unsigned integers of
`input.bits` with a scale and a zero point; a linear stored as Monarch quantises its z again between R and L. What
is fired together, stacked in one column and converted at how many bits is that of the solution's tables, which
are taken to be legal: let the checker judge them first. Times are not: whatever a linear reads has been made.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.judge.names import CONVERTER_BITS_MAX, Kernel, Pairs, Range, Scale, WeightScale
from cimsolve.judge.simulate.bitplanes import (
    BitPlanes,
    demand_kernel,
    is_worth_loading,
    multiply_bits,
    suits,
    why_not_loaded,
)
from cimsolve.judge.simulate.converters import Converters, WindowConverters, full_scale
from cimsolve.judge.simulate.expected import shuffled
from cimsolve.judge.simulate.firing import collect_firings
from cimsolve.judge.simulate.noise import READ_STREAM, Noise
from cimsolve.judge.simulate.operands import Operands, RealFactors, RealWeights, prepare_operands
from cimsolve.judge.simulate.prepare import PreparedGroup, prepare_groups
from cimsolve.judge.simulate.products import DrivenPhases, ReadNoise, multiply
from cimsolve.judge.simulate.quantise import quantise_inputs
from cimsolve.model.workload import Factor
from cimsolve.problem.laps import first_lap
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

Float64s: TypeAlias = npt.NDArray[np.float64]

RANGE_BINS = 4096

TOKENS = 256
"""Most tokens of one product; twice as many where inputs have a single phase."""

SUMS = 1 << 16
"""About as many sums of one phase are held at once; suits the cache."""


class ArraySimulator:
    """A placed and scheduled model whose linears can be run on batches of inputs.

    Its state is what was programmed, the ranges set by `calibrate`, and the stream of read noise: equal calls in
    equal order give equal numbers.
    """

    def __init__(
        self,
        problem: Problem,
        pieces: Pieces,
        activations: Activations,
        *,
        weights: RealWeights | None = None,
        factors: RealFactors | None = None,
        layers: Sequence[int] | None = None,
        operands: Operands | None = None,
        noise: Noise | None = None,
        seed: int = 0,
        pairs: Pairs = "converted",
        adc_bits_max: int | None = None,
        adc_range: Range = "full",
        input_scale: Scale = "tensor",
        weight_scale: WeightScale = "tensor",
        rounds: bool = True,
        clips: bool = True,
        kernel: Kernel = "auto",
    ) -> None:
        """Programme the arrays that hold linears of `layers` (None: all).

        `weights` maps names of linears to the dense matrix (n_in, n_out), projected if stored as Monarch, or to
        its Monarch factors; `factors` to (R, L), which take its place. Linears without either get random weights.
        `operands`, already quantised, stand for all three.

        `pairs`: the two columns of a differential pair are "converted" apart, as the schedule counts, or
        "subtracted" before one converter of as many bits and a sign. `adc_bits_max` lowers the resolution of all
        converters. `adc_range`: the "full" range F of an activation, or, "calibrated", the share of it that
        `calibrate` found. `input_scale`: one scale for a call's inputs, or one for each token.
        `weight_scale`: one for each factor, or for each of its columns; it is applied to the outputs.

        `rounds` and `clips` off: converters without that loss.

        `kernel`: "numba" is compiled and needs `cimsolve[fast]`; it counts bits where sums and codes are whole
        numbers, and leaves the rest (noise, converters that clip without rounding) to "numpy". "auto" takes numba
        where it is installed and there is enough to be converted to pay for loading it. All give the same numbers,
        to the last bit.

        Raises InputError for layers or linears the model lacks and weights or options that do not fit.
        """
        self._set_converters(adc_bits_max, adc_range, rounds, clips)
        if pairs == "subtracted" and problem.hardware.weight.signed != "differential":
            raise InputError(
                f"pairs = 'subtracted' with weight.signed = {problem.hardware.weight.signed!r}: expected differential"
            )
        demand_kernel(kernel)
        problem, pieces, activations = first_lap(problem, pieces, activations)
        self.problem = problem
        self.kernels: set[str] = set()
        """Names of the kernels that have run."""
        self.noise = Noise() if noise is None else noise
        self._pairs, self._input_scale, self._seed = pairs, input_scale, seed
        self.operands = operands or prepare_operands(
            problem, layers, 1, seed, weights or {}, factors, scale_columns=weight_scale == "column"
        )
        firings = collect_firings(problem, self.operands, pieces, activations)
        self._groups = prepare_groups(problem, self.operands, firings, self.noise, seed, pairs)
        simulated = [each for each in self.operands.workload.factors if self.operands.simulated[each.id]]
        self._factors = {(factor.linear, factor.kind): factor for factor in simulated}
        self._kernel = kernel
        self._planes: dict[int, list[BitPlanes]] = {}
        self._conversions_done = 0
        self._column_sums = {each.id: self.operands.column_sums(each) for each in self._factors.values()}
        self._shares: dict[int, tuple[float, ...]] = {}
        self._observed: Ints | None = None
        self._read = np.random.default_rng([seed, READ_STREAM])

    def with_converters(
        self, *, adc_bits_max: int | None = None, adc_range: Range = "full", rounds: bool = True, clips: bool = True
    ) -> ArraySimulator:
        """A simulator of these programmed arrays behind other converters; ranges that were calibrated are kept.

        Raises InputError as the constructor does.
        """
        made = copy.copy(self)
        made._set_converters(adc_bits_max, adc_range, rounds, clips)
        made._shares, made.kernels = dict(self._shares), set()
        made._read = np.random.default_rng([self._seed, READ_STREAM])
        return made

    def _set_converters(self, adc_bits_max: int | None, adc_range: Range, rounds: bool, clips: bool) -> None:
        if adc_bits_max is not None and not 1 <= adc_bits_max <= CONVERTER_BITS_MAX:
            raise InputError(f"adc_bits_max = {adc_bits_max}: expected a whole number from 1 to {CONVERTER_BITS_MAX}")
        self._adc_bits_max = CONVERTER_BITS_MAX if adc_bits_max is None else adc_bits_max
        self._adc_range, self._rounds, self._clips = adc_range, rounds, clips
        self._converters: dict[tuple[int, int, tuple[float, ...]], WindowConverters] = {}
        self._whole: dict[tuple[int, tuple[float, ...]], bool] = {}

    @property
    def linears(self) -> tuple[str, ...]:
        """Names of the linears that can be run."""
        return tuple(dict.fromkeys(name for name, _ in self._factors))

    def linear(self, name: str, inputs: Floats) -> Float64s:
        """y = x W by the arrays: `inputs` (tokens, n_in), any real numbers, to (tokens, n_out).

        Raises InputError for a linear that was not programmed or not calibrated, and inputs that do not fit.
        """
        first, *second = self.factors_of(name)
        z = self._real_product(first, _checked(first, inputs))
        if not second:
            return z
        left = second[0]
        y = self._real_product(left, shuffled(self.problem.structures[name], z))
        # Block b, column s of L makes element s * l + b.
        return y.reshape(len(y), left.blocks, left.block_cols).swapaxes(1, 2).reshape(len(y), -1)

    def factors_of(self, name: str) -> tuple[Factor, ...]:
        """The dense factor of a linear, or its R and L. Raises InputError for one that was not programmed."""
        found = tuple(self._factors[name, kind] for kind in ("dense", "R", "L") if (name, kind) in self._factors)
        if not found:
            raise InputError(f"linear {name!r} is not programmed; expected one of {', '.join(self.linears)}")
        return found

    def calibrate(self, name: str, inputs: Floats, quantile: float = 0.9999) -> None:
        """Set the converters' range of a linear's factors from the sums that `inputs` (tokens, n_in) cause.

        Each of the q physical columns of a weight (slices, signs) has its own range in a factor: the least share of
        F that holds `quantile` of its sums, over all phases, in steps of F / 4096. The last calibration counts.
        """
        factors = self.factors_of(name)
        vectors = _checked(factors[0], inputs)
        for factor in factors:
            quantised = quantise_inputs(vectors, self.problem.hardware.input.bits, self._input_scale)
            self.calibrate_factor(factor.id, quantised.values, quantile)
            if factor.kind == "R":
                vectors = shuffled(self.problem.structures[name], self._real_product(factor, vectors))

    def calibrate_factor(self, factor: int, values: Ints, quantile: float = 0.9999) -> None:
        """Set the converters' ranges of one factor from integer inputs (tokens, n)."""
        if not 0 < quantile <= 1:
            raise InputError(f"quantile = {quantile:g}: expected a number above 0, at most 1")
        self._observed = np.zeros((self._columns, RANGE_BINS + 1), dtype=np.int64)
        try:
            self.integers(factor, values)
            seen = np.cumsum(self._observed, axis=1)
        finally:
            self._observed = None
        enough = [int(np.searchsorted(column, quantile * column[-1])) for column in seen]
        self._shares[factor] = tuple(min(max(each, 1), RANGE_BINS) / RANGE_BINS for each in enough)

    def range_shares(self, factor: int) -> tuple[float, ...]:
        """The share of F that the converters of a factor cover, for each of the q physical columns of a weight."""
        whole = (1.0,) * self._columns
        return self._shares.get(factor, whole) if self._adc_range == "calibrated" else whole

    @property
    def _columns(self) -> int:
        """q: physical columns of a weight that are converted apart."""
        encoding = self.operands.encoding
        return encoding.slices if self._pairs == "subtracted" else encoding.columns

    @property
    def calibrates(self) -> bool:
        """Whether linears must be calibrated before they are run."""
        return self._adc_range == "calibrated"

    @property
    def lossy(self) -> bool:
        """Whether any converter lacks a code for some sum that its full range F has."""
        hardware = self.problem.hardware
        for groups in self._groups.values():
            for group in groups:
                converters = self._converters_of(group)
                if (converters.steps != 1).any() or converters.high < full_scale(hardware, group.windows.stacked):
                    return True
        return False

    def integers(self, factor: int, values: Ints) -> Float64s:
        """Sums over the integer `values` (tokens, n) with the factor's integer weights, (tokens, n_out).

        What leaves the shift-add: whole numbers, unless converters or cells make them others. Raises InputError for
        another shape.
        """
        made = self.operands.workload.factors[factor]
        _checked(made, values)
        tokens = len(values)
        out = np.zeros((made.blocks * made.block_cols, tokens))
        if self._takes_numba(factor, tokens) and self._is_whole(factor):
            self.kernels.add("numba")
            self._run_bits(factor, np.ascontiguousarray(values, dtype=np.int64), out)
        else:
            self.kernels.add("numpy")
            self._run_products(factor, values, out)
        if offset := self.operands.encoding.offset:
            # Every cell of a block holds the offset too, and each row meets every column of its block once.
            of_block = values.reshape(tokens, made.blocks, made.block_rows).sum(axis=2)
            by_block = out.reshape(made.blocks, made.block_cols, tokens)
            by_block -= offset * of_block.T[:, None]
        return out.T

    def _takes_numba(self, factor: int, tokens: int) -> bool:
        """Whether compiled code is taken for the conversions that are asked for now."""
        groups = self._groups.get(factor, [])
        sums = sum(group.operand.cells.shape[0] * group.operand.cells.shape[1] for group in groups)
        self._conversions_done += sums * self.problem.hardware.input_phases * tokens
        if self._kernel == "auto" and is_worth_loading(self._conversions_done):
            self._kernel = "numpy" if why_not_loaded() else "numba"
        return self._kernel == "numba"

    def _is_whole(self, factor: int) -> bool:
        """Whether a factor's sums and codes are whole numbers, to be computed bit by bit."""
        hardware, key = self.problem.hardware, (factor, self.range_shares(factor))
        if key not in self._whole:
            self._whole[key] = not self.noise.read and all(
                suits(group.operand, self._converters_of(group), hardware.input_phases, hardware.input.dac_bits)
                for group in self._groups.get(factor, [])
            )
        return self._whole[key]

    def _run_bits(self, factor: int, values: Ints, out: Float64s) -> None:
        """Add what a factor's groups give to `out` (n_out, tokens), by the compiled kernel."""
        digits = (self.problem.hardware.input_phases, self.problem.hardware.input.dac_bits)
        groups = self._groups.get(factor, [])
        if factor not in self._planes:
            self._planes[factor] = [BitPlanes.of(group.operand.cells) for group in groups]
        for group, planes in zip(groups, self._planes[factor], strict=True):
            operand, counts = group.operand, None
            if self._observed is not None:
                counts = np.zeros((self._columns, operand.low + operand.high + 1), dtype=np.int64)
            multiply_bits(planes, operand, group.windows, values, self._converters_of(group), *digits, out, counts)
            if self._observed is not None and counts is not None:
                bins = self._bins(group, np.arange(-operand.low, operand.high + 1, dtype=operand.cells.dtype))
                for seen, count in zip(self._observed, counts, strict=True):
                    np.add.at(seen, bins, count)

    def _run_products(self, factor: int, values: Ints, out: Float64s) -> None:
        """Add what a factor's groups give to `out` (n_out, tokens), by matrix products."""
        hardware = self.problem.hardware
        read = None
        if self.noise.read:
            cells = 2 if self._pairs == "subtracted" else 1
            read = ReadNoise(self.noise.read * ((1 << hardware.cell.bits) - 1) * cells**0.5, self._read)
        most = TOKENS if hardware.input_phases > 1 else 2 * TOKENS
        for first in range(0, len(values), most):
            part = slice(first, first + most)
            inputs = DrivenPhases(values[part], hardware.input_phases, hardware.input.dac_bits)
            for group in self._groups.get(factor, ()):
                windows, converters = group.windows, self._converters_of(group)
                observe = None if self._observed is None else self._observer(group, self._observed)
                step = max(1, SUMS // (group.operand.cells.shape[1] * inputs.tokens))
                for start in range(0, len(windows), step):
                    some = slice(start, start + step)
                    elements = windows.elements[some]
                    made = multiply(group.operand, some, elements, inputs, converters, read=read, observe=observe)
                    for outputs, numbers in zip(windows.output[some], made, strict=True):
                        out[outputs, part] += numbers

    def _converters_of(self, group: PreparedGroup) -> WindowConverters:
        stacked, claimed = group.windows.stacked, group.windows.claimed_bits
        shares = self.range_shares(group.windows.factor)
        found = self._converters.get((stacked, claimed, shares))
        if found is None:
            rows, bits = np.array([stacked]), np.array([claimed])
            settings = [Converters.of(self.problem.hardware, rows, bits, self._adc_bits_max, share) for share in shares]
            high = float(settings[0].code_max[0])
            low = -high if self._pairs == "subtracted" else 0.0
            steps = np.concatenate([each.step for each in settings])
            found = WindowConverters(steps, low, high, self._rounds, self._clips)
            self._converters[stacked, claimed, shares] = found
        return found

    def _bins(self, group: PreparedGroup, sums: Floats) -> Ints:
        """Sums by their share of F, from 0 to RANGE_BINS."""
        share = np.abs(sums) * (RANGE_BINS / full_scale(self.problem.hardware, group.windows.stacked))
        return np.minimum(np.ceil(share), RANGE_BINS).astype(np.int64)

    def _observer(self, group: PreparedGroup, counts: Ints) -> Callable[[Floats], None]:
        """Counts sums by their bins, in `counts`."""

        def observe(sums: Floats) -> None:
            for count, bins in zip(counts, self._bins(group, sums).swapaxes(0, 1), strict=True):
                count += np.bincount(bins.reshape(-1), minlength=RANGE_BINS + 1)

        return observe

    def _real_product(self, factor: Factor, inputs: Floats) -> Float64s:
        """Real inputs quantised, multiplied, and back: (tokens, n) to (tokens, n_out)."""
        if self._adc_range == "calibrated" and factor.id not in self._shares:
            raise InputError(f"linear {factor.linear!r}: its converters have no range yet; expected calibrate() first")
        quantised = quantise_inputs(inputs, self.problem.hardware.input.bits, self._input_scale)
        sums = self.integers(factor.id, quantised.values)
        sums -= quantised.zero_point * self._column_sums[factor.id]
        sums *= quantised.scale * self.operands.scales.get(factor.id, 1.0)
        return sums


def _checked(factor: Factor, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    expected = factor.blocks * factor.block_rows
    if inputs.ndim != 2 or inputs.shape[1] != expected or not len(inputs):
        raise InputError(f"inputs of {factor.linear}: shape {inputs.shape}; expected (tokens, {expected})")
    if not np.isfinite(inputs).all():
        raise InputError(f"inputs of {factor.linear}: some are NaN or infinite")
    return inputs
