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

ROWS, TOKENS_MIN, TOKENS_MAX = 32, 32, 512
"""Rows in a word; least and most tokens at once."""
LANES = 16384
"""Words of inputs that are held at once, of all phases and rows of some tokens: 64 KiB."""


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
def tokens_at_once(tokens: Any, words_a_token: Any) -> Any:
    return min(tokens, max(TOKENS_MIN, min(TOKENS_MAX, LANES // words_a_token)))


@njit
def differ(ours: Any, theirs: Any) -> Any:
    found = 0
    for row in range(len(ours)):
        found += ours[row] != theirs[row]
    return found > 0


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
def count_two(sums: Any, driven: Any, lower: Any, upper: Any, weight: Any) -> None:
    """sums += weight * popcount(driven AND lower) + 2 * weight * popcount(driven AND upper): two planes of cells."""
    words, lanes = driven.shape
    twos = words // 2 * 2
    for word in range(0, twos, 2):
        a, b, c, d = lower[word], lower[word + 1], upper[word], upper[word + 1]
        for lane in range(lanes):
            found = popcount(driven[word, lane] & a) + popcount(driven[word + 1, lane] & b)
            twice = popcount(driven[word, lane] & c) + popcount(driven[word + 1, lane] & d)
            sums[lane] += np.int32(found + twice + twice) * weight
    for word in range(twos, words):
        a, c = lower[word], upper[word]
        for lane in range(lanes):
            twice = popcount(driven[word, lane] & c)
            sums[lane] += np.int32(popcount(driven[word, lane] & a) + twice + twice) * weight


@njit
def count_three(sums: Any, driven: Any, cells: Any, weight: Any) -> None:
    """sums += weight * (popcounts of three planes of cells, shape (3, words), counted 1, 2 and 4 times)."""
    words, lanes = driven.shape
    twos = words // 2 * 2
    for word in range(0, twos, 2):
        a, b, c = cells[0, word], cells[1, word], cells[2, word]
        d, e, f = cells[0, word + 1], cells[1, word + 1], cells[2, word + 1]
        for lane in range(lanes):
            found = popcount(driven[word, lane] & a) + popcount(driven[word + 1, lane] & d)
            twice = popcount(driven[word, lane] & b) + popcount(driven[word + 1, lane] & e)
            fourfold = popcount(driven[word, lane] & c) + popcount(driven[word + 1, lane] & f)
            twice += fourfold + fourfold
            sums[lane] += np.int32(found + twice + twice) * weight
    for word in range(twos, words):
        a, b, c = cells[0, word], cells[1, word], cells[2, word]
        for lane in range(lanes):
            fourfold = popcount(driven[word, lane] & c)
            twice = popcount(driven[word, lane] & b) + fourfold + fourfold
            sums[lane] += np.int32(popcount(driven[word, lane] & a) + twice + twice) * weight


@njit
def pack(values: Any, first: Any, elements: Any, driven: Any, taken: Any) -> None:
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
    last = depth if depth % 2 == 0 else max(0, depth - 3)
    for bit in range(len(driven)):
        for plane in range(0, last, 2):
            count_two(sums, driven[bit], cells[plane], cells[plane + 1], np.int32(1 << (plane + bit)))
        if depth - last == 3:
            count_three(sums, driven[bit], cells[last:], np.int32(1 << (last + bit)))
        elif depth - last == 1:
            count_bits(sums, driven[bit], cells[last], np.int32(1 << (last + bit)))


@njit
def clip(sums: Any, low: Any, high: Any) -> None:
    for lane in range(len(sums)):
        sums[lane] = min(max(sums[lane], low), high)


@njit
def round_and_clip(sums: Any, inverse: Any, low: Any, high: Any) -> None:
    """Sums to codes, in float32, by the inverse of the step."""
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
def multiply(
    values: Any,
    elements: Any,
    words: Any,
    base: Any,
    depth: Any,
    dac_bits: Any,
    phases: Any,
    exact: Any,
    inverse: Any,
    low: Any,
    high: Any,
    factors: Any,
    units: Any,
    output: Any,
    out: Any,
) -> None:
    windows, columns, _, height = words.shape
    per_weight = len(factors)
    wide = columns // per_weight
    tokens = len(values)
    some = tokens_at_once(tokens, dac_bits * height * phases)
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
            if window == 0 or differ(elements[window], elements[window - 1]):
                pack(values, first, elements[window], driven, taken)
                sum_inputs(total, lanes)
            for column in range(wide):
                result[:] = 0
                for place in range(per_weight):
                    physical = place * wide + column
                    cells = words[window, physical]
                    sum_column(sums, total, lanes, cells, base[window, physical], depth[window, physical])
                    if exact:
                        clip(sums, np.int32(low), np.int32(high))
                    else:
                        round_and_clip(sums, inverse[place], low, high)
                    shift_add(codes, dac_bits, gathered)
                    factor, unit = factors[place], units[place]
                    for token in range(some):
                        result[token] += gathered[token] * factor * unit
                into = out[output[window, column]]
                for token in range(count):
                    into[first + token] += result[token]


@entry
def multiply_across(
    values: Any,
    elements: Any,
    words: Any,
    base: Any,
    depth: Any,
    dac_bits: Any,
    phases: Any,
    exact: Any,
    inverse: Any,
    low: Any,
    high: Any,
    factors: Any,
    units: Any,
    output: Any,
    out: Any,
) -> None:
    """`multiply` with columns side by side, for few tokens; words of shape (windows, planes, words, columns)."""
    windows, planes, height, columns = words.shape
    per_weight = len(factors)
    wide = columns // per_weight
    tokens = len(values)
    some = tokens_at_once(tokens, dac_bits * height * phases)
    driven = np.zeros((dac_bits, height, phases, some), np.uint32)
    lanes = driven.reshape(dac_bits, height, phases * some)
    total = np.zeros(phases * some, np.int32)
    taken = np.zeros(some, np.uint32)
    digits = np.zeros(height, np.uint32)
    sums = np.zeros(columns, np.int32)
    gathered = np.zeros(columns, np.int32)
    for first in range(0, tokens, some):
        count = min(some, tokens - first)
        for window in range(windows):
            if window == 0 or differ(elements[window], elements[window - 1]):
                pack(values, first, elements[window], driven, taken)
                sum_inputs(total, lanes)
            for token in range(count):
                gathered[:] = 0
                for phase in range(phases):
                    for column in range(columns):
                        sums[column] = total[phase * some + token] * base[window, column]
                    for bit in range(dac_bits):
                        for word in range(height):
                            digits[word] = driven[bit, word, phase, token]
                        for plane in range(planes):
                            count_bits(sums, words[window, plane], digits, np.int32(1 << (plane + bit)))
                    if exact:
                        clip(sums, np.int32(low), np.int32(high))
                    else:
                        for place in range(per_weight):
                            round_and_clip(sums[place * wide : (place + 1) * wide], inverse[place], low, high)
                    weight = np.int32(1 << (phase * dac_bits))
                    for column in range(columns):
                        gathered[column] += sums[column] * weight
                for column in range(wide):
                    result = 0.0
                    for place in range(per_weight):
                        result += gathered[place * wide + column] * factors[place] * units[place]
                    out[output[window, column], first + token] += result


@entry
def count_sums(
    values: Any,
    elements: Any,
    words: Any,
    base: Any,
    depth: Any,
    dac_bits: Any,
    phases: Any,
    least: Any,
    counts: Any,
) -> None:
    windows, columns, _, height = words.shape
    wide = columns // len(counts)
    tokens = len(values)
    some = tokens_at_once(tokens, dac_bits * height * phases)
    driven = np.zeros((dac_bits, height, phases, some), np.uint32)
    lanes = driven.reshape(dac_bits, height, phases * some)
    total = np.zeros(phases * some, np.int32)
    taken = np.zeros(some, np.uint32)
    codes = np.zeros((phases, some), np.int32)
    sums = codes.reshape(phases * some)
    for first in range(0, tokens, some):
        count = min(some, tokens - first)
        for window in range(windows):
            if window == 0 or differ(elements[window], elements[window - 1]):
                pack(values, first, elements[window], driven, taken)
                sum_inputs(total, lanes)
            for column in range(columns):
                sum_column(sums, total, lanes, words[window, column], base[window, column], depth[window, column])
                found = counts[column // wide]
                for phase in range(phases):
                    for token in range(count):
                        found[codes[phase, token] - least] += 1


@entry
def convert_floats(
    sums: Any,
    gain: Any,
    offset: Any,
    inverse: Any,
    rounds: Any,
    low: Any,
    high: Any,
    dac_bits: Any,
    factors: Any,
    units: Any,
    output: Any,
    out: Any,
) -> None:
    """Column sums (phases, windows, columns, tokens) of any size, float32, converted, shifted and added to `out`.

    `gain` and `offset` of shape (windows, columns), `inverse`, `low` and `high` (per_weight), all in what is rounded.
    """
    phases, windows, columns, tokens = sums.shape
    per_weight = len(factors)
    wide = columns // per_weight
    gathered = np.zeros(tokens, np.float32)
    result = np.zeros(tokens, np.float64)
    for window in range(windows):
        for column in range(wide):
            if phases == 1 and per_weight == 1 and rounds:  # nothing to gather: one pass
                row = sums[0, window, column]
                into = out[output[window, column]]
                amplified, shifted = gain[window, column], offset[window, column]
                scale, least, most, unit = inverse[0], low[0], high[0], units[0]
                for token in range(tokens):
                    code = np.rint(row[token] * amplified * scale + shifted)
                    into[token] += np.float64(min(max(code, least), most)) * unit
                continue
            result[:] = 0
            for place in range(per_weight):
                physical = place * wide + column
                amplified, shifted = gain[window, physical], offset[window, physical]
                scale, least, most = inverse[place], low[place], high[place]
                gathered[:] = 0
                for phase in range(phases):
                    weight = np.float32(1 << (phase * dac_bits))
                    row = sums[phase, window, physical]
                    for token in range(tokens):
                        code = row[token] * amplified * scale + shifted
                        code = np.rint(code) if rounds else code
                        gathered[token] += min(max(code, least), most) * weight
                factor, unit = factors[place], units[place]
                for token in range(tokens):
                    result[token] += np.float64(gathered[token]) * factor * unit
            into = out[output[window, column]]
            for token in range(tokens):
                into[token] += result[token]
