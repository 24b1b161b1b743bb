"""The arrays bit by bit, compiled by numba: one pass from inputs to outputs, with no table of sums in between.

Digits of inputs and cells are small whole numbers, so a column's sum is a count of bits,

    sum over rows of d * g  =  sum over planes b of d and p of g of  2^(b + p) * popcount(d's plane b AND g's plane p)

with 32 rows in a word. All phases of some tokens lie side by side: the inner loops run over them, and compilers make
vector instructions of such loops, with one for popcount where the machine has it. No other module knows numba;
`bitplanes` says what the arguments are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.extending import intrinsic

ROWS = 32
"""Rows in a word."""

LANES = 16384
"""Words of inputs that are held at once, of all phases and rows of some tokens: 64 KiB."""

TOKENS_MIN, TOKENS_MAX = 32, 512


def entry(function: Callable[..., None]) -> Callable[..., None]:
    """`function` compiled, and kept on disk for later runs where there is a place for it."""
    try:
        compiled = njit(cache=True)(function)
    except RuntimeError:  # numba found no directory that can be written
        return njit(function)  # type: ignore[no-any-return]

    def call(*arguments: Any) -> None:
        try:
            compiled(*arguments)
        except OSError:  # it is compiled, but could not be kept: a full disk
            compiled(*arguments)

    return call


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """How many bits of a word are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), generate


@njit
def count_bits(sums: Any, driven: Any, cells: Any, weight: Any) -> None:
    """sums += weight * popcount(driven AND cells): (lanes), (words, lanes), (words); four words at a time."""
    words, lanes = driven.shape
    fours = words // 4 * 4
    for word in range(0, fours, 4):
        a, b, c, d = cells[word], cells[word + 1], cells[word + 2], cells[word + 3]
        for lane in range(lanes):
            found = popcount(driven[word, lane] & a) + popcount(driven[word + 1, lane] & b)
            found += popcount(driven[word + 2, lane] & c) + popcount(driven[word + 3, lane] & d)
            sums[lane] += np.int32(found) * weight
    for word in range(fours, words):
        a = cells[word]
        for lane in range(lanes):
            sums[lane] += np.int32(popcount(driven[word, lane] & a)) * weight


@njit
def pack_digits(values: Any, first: Any, elements: Any, driven: Any, taken: Any) -> None:
    """The digits of one window's inputs: values (tokens, n) to words `driven` (dac_bits, words, phases, tokens)."""
    dac_bits, _, phases, _ = driven.shape
    count = min(driven.shape[3], len(values) - first)
    driven[:] = 0
    for row in range(len(elements)):
        for token in range(count):
            taken[token] = values[first + token, elements[row]]
        place = np.uint32(row % ROWS)
        for phase in range(phases):
            for bit in range(dac_bits):
                shift = np.uint32(phase * dac_bits + bit)
                into = driven[bit, row // ROWS, phase]
                for token in range(count):
                    into[token] |= ((taken[token] >> shift) & np.uint32(1)) << place


@njit
def sum_inputs(total: Any, driven: Any) -> None:
    """The sum of the inputs, what a column of ones would give: `driven` (dac_bits, words, lanes)."""
    total[:] = 0
    all_rows = np.full(driven.shape[1], 0xFFFFFFFF, np.uint32)
    for bit in range(len(driven)):
        count_bits(total, driven[bit], all_rows, np.int32(1 << bit))


@njit
def sum_column(sums: Any, total: Any, driven: Any, cells: Any, base: Any, depth: Any) -> None:
    """The sums of one column in all lanes: `driven` (dac_bits, words, lanes), `cells` (planes, words).

    The column's cells are `base`, times the inputs' `total`, and what its first `depth` planes hold.
    """
    for lane in range(len(sums)):
        sums[lane] = total[lane] * base
    for bit in range(len(driven)):
        for plane in range(depth):
            count_bits(sums, driven[bit], cells[plane], np.int32(1 << (plane + bit)))


@njit
def convert(sums: Any, idle: Any, inverse: Any, low: Any, high: Any) -> None:
    """Sums to codes, in float32, by the inverse of the step; where they are codes already, `idle`, clipped alone."""
    if idle:
        for lane in range(len(sums)):
            sums[lane] = min(max(sums[lane], np.int32(low)), np.int32(high))
    else:
        for lane in range(len(sums)):
            code = np.rint(np.float32(sums[lane]) * inverse)
            sums[lane] = np.int32(min(max(code, np.float32(low)), np.float32(high)))


@njit
def shift_add(codes: Any, dac_bits: Any, gathered: Any) -> None:
    """Codes (phases, tokens) of one column to what they stand for together, (tokens)."""
    gathered[:] = 0
    for phase in range(len(codes)):
        weight = np.int32(1 << (phase * dac_bits))
        part = codes[phase]
        for token in range(len(gathered)):
            gathered[token] += part[token] * weight


@entry
def multiply_planes(
    values: Any,
    elements: Any,
    words: Any,
    base: Any,
    depth: Any,
    dac_bits: Any,
    phases: Any,
    idle: Any,
    inverse: Any,
    low: Any,
    high: Any,
    weights: Any,
    output: Any,
    out: Any,
    counts: Any,
    least: Any,
) -> None:
    """Add to `out` what all windows give; or, where `counts` (q, s) has room, count their sums from `least` up."""
    windows, columns, _, height = words.shape
    wide = columns // len(weights)
    tokens = len(values)
    some = min(tokens, max(TOKENS_MIN, min(TOKENS_MAX, LANES // (dac_bits * height * phases))))
    driven = np.zeros((dac_bits, height, phases, some), np.uint32)
    lanes = driven.reshape(dac_bits, height, phases * some)
    total = np.zeros(phases * some, np.int32)
    taken = np.zeros(some, np.uint32)
    codes = np.zeros((phases, some), np.int32)
    sums = codes.reshape(phases * some)
    gathered = np.zeros(some, np.int32)
    result = np.zeros(some, np.float64)
    for first in range(0, tokens, some):
        count = min(some, tokens - first)
        for window in range(windows):
            if window == 0 or (elements[window] != elements[window - 1]).any():
                pack_digits(values, first, elements[window], driven, taken)
                sum_inputs(total, lanes)
            for column in range(wide):
                result[:] = 0
                for place in range(len(weights)):
                    physical = place * wide + column
                    cells = words[window, physical]
                    sum_column(sums, total, lanes, cells, base[window, physical], depth[window, physical])
                    if counts.shape[1]:
                        found = counts[place]
                        for phase in range(phases):
                            for token in range(count):
                                found[codes[phase, token] - least] += 1
                        continue
                    convert(sums, idle, inverse[place], low, high)
                    shift_add(codes, dac_bits, gathered)
                    weight = weights[place]
                    for token in range(some):
                        result[token] += gathered[token] * weight
                into = out[output[window, column]]
                for token in range(count):
                    into[first + token] += result[token]
