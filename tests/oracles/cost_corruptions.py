"""Each equation of a price made wrong: where the package looks it up, and how it is changed there.

`CORRUPTIONS` has (object, attribute) -> what is then wrong -> wrapper, which makes the wrong one of the right one. A
function that moves changes its key here and nothing else.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from cimsolve.chip.spec import Hardware
from cimsolve.columns import max_by
from cimsolve.price import breakdown, cost, firings, fixed, gaps, schedule

Wrapper = Callable[[Any], Any]


def edited(old: str, new: str) -> Wrapper:
    """A wrapper that gives the function, or the property, with one place of its source written differently."""

    def rewrite(real: Any) -> Any:
        function = real.fget if isinstance(real, property) else real
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(old) == 1, f"{function.__qualname__} has {old!r} {source.count(old)} times"
        names = dict(vars(sys.modules[function.__module__]))
        exec("from __future__ import annotations\n" + source.replace(old, new), names)
        return names[function.__name__]

    return rewrite


CORRUPTIONS: dict[tuple[Any, str], dict[str, Wrapper]] = {
    # What a chip says
    (Hardware, "input_phases"): {
        "phases are rounded down": edited("-(-self.input.bits // ", "(self.input.bits // "),
    },
    (Hardware, "columns_per_weight"): {
        "a weight has one sign": edited("slices * (2 if", "slices * (1 if"),
    },
    (Hardware, "adc_bits_needed"): {
        "lossless counts a row more": edited("rows * self._levels_per_row", "(rows + 1) * self._levels_per_row"),
        "log2_rows is one short": edited("else rows - 1", "else rows // 2"),
    },
    (Hardware, "_levels_per_row"): {
        "a cell holds a level more": edited("(1 << self.cell.bits) - 1", "1 << self.cell.bits"),
    },
    (Hardware, "_from_table"): {
        "a conversion takes the line above": edited(
            'np.searchsorted(self._table_bits, wanted, side="left")',
            'np.minimum(np.searchsorted(self._table_bits, wanted, side="right"), len(column) - 1)',
        ),
    },
    (Hardware, "rows_limit"): {
        "rows driven are not limited": edited(
            "self.array.rows if self.array.rows_active_max is None else self.array.rows_active_max", "self.array.rows"
        ),
    },
    # Time of an activation
    (Hardware, "activation_ps"): {
        "one phase reads": edited("phases * (self.read_ps + converting)", "(self.read_ps + phases * converting)"),
        "one phase converts": edited("phases * (self.read_ps + converting)", "(phases * self.read_ps + converting)"),
        "a read is held to its phase": edited("np.maximum(self.read_ps, converting)", "converting"),
        "the last phase is hidden": edited("converting) + converting", "converting)"),
        "the first read is hidden": edited("return self.read_ps + (phases", "return (phases"),
        "v is left out": edited("reads * self.conversion_ps", "self.conversion_ps"),
    },
    (Hardware, "cycles"): {
        "cycles are rounded down": edited("-(-np.asarray(ps, dtype=np.int64) //", "(np.asarray(ps) //"),
    },
    (Hardware, "activation_cycles"): {
        "an activation takes a cycle more": lambda real: lambda *a: real(*a) + 1,
    },
    (firings, "_busiest_of_single"): {
        "v of one piece is rounded down": edited(
            "ceil_div(length, hardware.adc.per_array)", "np.maximum(1, length // hardware.adc.per_array)"
        ),
        "a run has one converter's share": edited("np.where(inner, share, ", "np.where(inner, 1, "),
    },
    (firings, "_columns_per_converter"): {
        "neighbours share too few": edited(
            "-(-hardware.array.cols // hardware.adc.per_array)", "hardware.array.cols // hardware.adc.per_array"
        ),
    },
    (firings, "_busiest"): {
        "v of pieces is rounded down": edited(
            "ceil_div(sum_by(group, end - start, groups), converters)",
            "np.maximum(1, sum_by(group, end - start, groups) // converters)",
        ),
    },
    (firings, "_count_interleaved"): {
        "interleaving does not wrap": edited("wraps = stop > converters", "wraps = stop < 0"),
        "interleaving starts at 0": edited("first = start % converters", "first = start * 0"),
    },
    (firings, "_count_adjacent"): {
        "adjacent runs begin on a converter": edited("first * share - start", "0"),
    },
    (firings, "deepest_stack"): {
        "n is the tallest piece": lambda real: lambda g, left, right, rows, n: max_by(g, rows, n),
    },
    # Energy of an activation
    (cost, "measure_activations"): {
        "rows are driven for each piece": edited("sum_by(row_group, row_end - row_start,", "sum_by(group, some.rows,"),
        "columns are read for each piece": edited(
            "sum_by(col_group, col_end - col_start,", "sum_by(group, right - left,"
        ),
        "cells count weights": edited("* pieces.cols * width", "* pieces.cols"),
    },
    (breakdown, "_array_energy"): {
        "rows are driven once": edited('"rows": phases *', '"rows":'),
        "cells are driven once": edited('"cells": phases *', '"cells":'),
        "columns are read once": edited('"columns": phases *', '"columns":'),
        "conversions are made once": edited('"conversions": phases *', '"conversions":'),
        "sums are shifted once": edited('"shift_add": phases *', '"shift_add":'),
        "all convert at the most bits": edited("np.array([bits])", "activations.adc_bits.max(keepdims=True)"),
        "a macro is paid by the stage": edited(
            "np.bincount(stage, minlength=rows)", "(np.bincount(stage, minlength=rows) > 0)"
        ),
    },
    # Gaps
    (Hardware, "digital_ps"): {
        "an operation has no base time": edited("_picoseconds(costs.base_ns) + rounds", "rounds"),
        "an operation has one lane": edited("// self.digital.units", "// 1"),
        "a round is not begun": edited("-(-np.asarray(elements, dtype=np.int64) //", "(np.asarray(elements) //"),
    },
    (Hardware, "digital_pj"): {
        "an operation has no base energy": edited("costs.base_pj + ", ""),
        "elements cost no energy": edited(" + np.asarray(elements, dtype=np.float64) * costs.per_element_pj", ""),
    },
    (Hardware, "transfer_ps"): {
        "a transfer has no base time": edited("_picoseconds(self.transfer.base_ns) + ", ""),
        "a transfer takes no time for its bits": edited(" + _picoseconds(streaming)", ""),
    },
    (Hardware, "transfer_pj"): {
        "bits move at no energy": edited("* self.transfer.pj_per_bit", "* 0"),
    },
    (gaps, "_gap"): {
        "an element moves as a bit": edited("elements * hardware.input.bits", "elements"),
        "a transfer takes a cycle more": edited(
            "hardware.cycles(hardware.transfer_ps(bits))", "hardware.cycles(hardware.transfer_ps(bits)) + 1"
        ),
        "only the last operation takes time": edited("digital_cycles +=", "digital_cycles ="),
        "only the last of a name costs energy": edited("energy_pj.get(operation.name, 0.0) + pj", "pj"),
        "partial sums take no time": edited("partial_sum_cycles = int(", "partial_sum_cycles = 0 * int("),
        "partial sums cost no energy": edited('float(hardware.digital_pj("add", added))', "0.0"),
    },
    (cost, "find_gaps"): {
        "a stage pays one stage's sums": edited("for earlier in stage.after", "for earlier in stage.after[:1]"),
        "the tail has no sums": edited("for stage in workload.last_stages[name])", "for stage in ())"),
    },
    (cost, "partial_sum_elements"): {
        "a block's first piece is added": edited("table.blocks * table.block_cols", "0 * table.blocks"),
    },
    (breakdown, "owns_gap"): {
        "the passes' tail is paid by nobody": edited("bool(first.after) and first.id == stage", "False"),
    },
    (cost, "own_gaps"): {
        "tails hold no unit": edited("[*within, *gaps.tails.values()]", "within"),
    },
    (cost, "gaps_of_phases"): {
        "the tail is in the first phase": edited("found[max(", "found[min("),
    },
    # The schedule
    (schedule, "_start_cycles"): {
        "gaps overlap": edited("max(ready, gap_free) + int", "ready + int"),
        "a gap waits a cycle": edited("ready = gap_free", "ready = gap_free = gap_free + 1"),
        "an array fires for two": edited("np.maximum(array_free[users], ready)", "ready"),
        "the next token waits for one stage": edited("max((int(ended[before])", "min((int(ended[before])"),
    },
    # Latency, II, prefill
    (cost, "evaluate"): {
        "no tail in the latency": edited("stages.start.min()) + tail_cycles", "stages.start.min())"),
        "II adds the shared units": edited(
            "int(busy.max()), digital_busy, transfer_busy)", "int(busy.max()), digital_busy + transfer_busy)"
        ),
        "II is that of arrays": edited("int(busy.max()), digital_busy, transfer_busy)", "int(busy.max()), 0)"),
        "II knows no sums": edited("sum(gap.partial_sum_cycles + gap.digital_cycles for", "sum(gap.digital_cycles for"),
        "throughput is that of arrays": edited("1e9 / (interval * clock_ns)", "1e9 / (int(busy.max()) * clock_ns)"),
        "prefill's rate is of one token": edited("tokens * 1e9 / (prefill", "1e9 / (prefill"),
        "arrays have a token more": edited("(tokens - 1) * phase.array_ii_cycles", "tokens * phase.array_ii_cycles"),
        "one array leaks": edited("leakage_pj = arrays * hardware", "leakage_pj = hardware"),
        "cycles leak, not ns": edited("leakage_uw * clock_ns * 1e-3", "leakage_uw * 1e-3"),
        "arrays leak while they work": edited("np.sum(list(cycles.values()), axis=0)", 'cycles["array"]'),
        "a prefill leaks for a token": edited("leakage_pj * prefill", "leakage_pj * latency"),
        "a prefill leaks for each token": edited("dynamic = energy - _total(", "dynamic = energy - 0 * _total("),
        "a prefill pays one token": edited("tokens * dynamic", "dynamic"),
        "a stream leaks for a latency": edited("leakage_pj * interval", "leakage_pj * latency"),
        "spare columns are not there": edited(
            "hardware.array.rows * hardware.array.cols)",
            "hardware.array.rows * hardware.weights_per_row * hardware.columns_per_weight)",
        ),
        "a phase converts for all": edited("hardware.input_phases * int(", "int("),
        "bits that suffice are lossy": edited("(shapes.stacked) > bits_used", "(shapes.stacked) >= bits_used"),
        "the busy share is of array time": edited("(arrays * latency)", "(arrays * array_latency)"),
        "cuts that are chosen are fixed": edited(
            "gaps if (added == least).all() else find_gaps(problem, least)", "gaps"
        ),
    },
    (cost, "_stage_times"): {
        "a stage ends with its last start": edited("activations.end", "activations.start"),
    },
    (cost, "_covered"): {
        "idle time is array time": edited("int((high - low).sum())", "int(high.max() - low.min())"),
    },
    (cost, "_phases"): {
        "a token more follows": edited("(problem.model.tokens - 1) * interval", "problem.model.tokens * interval"),
        "the fill is an interval": edited("prefill_cycles=fill +", "prefill_cycles=interval +"),
        "every token fills": edited("(problem.model.tokens - 1) * interval", "(problem.model.tokens - 1) * fill"),
        "phases know no digital units": edited(
            "max(int(busiest[index]), digital, transfer)", "max(int(busiest[index]), transfer)"
        ),
        "phases know no interconnect": edited(
            "max(int(busiest[index]), digital, transfer)", "max(int(busiest[index]), digital)"
        ),
        "a phase fills from the start": edited("previous_end = end", "previous_end = previous_end"),
        "a phase has no tail": edited(
            "tail.cycles for tail in gaps.tails.values()", "0 for tail in gaps.tails.values()"
        ),
        "arrays fill as all else": edited("_covered(stages.start[members], stages.end[members])", "fill"),
    },
    # Area and shares
    (cost, "_area_mm2"): {
        "arrays have no converters": edited("hardware.adc.per_array * converter_um2", "0"),
        "arrays have one converter": edited("hardware.adc.per_array * converter_um2", "converter_um2"),
        "converters are the narrowest": edited("bits.max()", "bits.min()"),
        "one array has an area": edited("return arrays * (", "return ("),
    },
    (cost, "_active_cell_share"): {
        "activations weigh alike": edited("(activations.end - activations.start)", "array_latency / len(shapes.cells)"),
    },
    # What no mapping changes
    (cost, "least_partial_sum_elements"): {
        "a forced cut has a part less": edited("(problem.row_parts - 1)", "np.maximum(0, problem.row_parts - 2)"),
    },
    (cost, "find_fixed"): {
        "fixed cells are driven once": edited("hardware.input_phases * hardware", "hardware"),
        "fixed cells are weights": edited("problem.weight_cells * hardware.columns_per_weight", "problem.weight_cells"),
        "fixed leakage is of one array": edited("energy += arrays * hardware", "energy += hardware"),
        "fixed leakage has no time": edited("leakage_uw * latency *", "leakage_uw *"),
        "fixed II adds both units": edited("max(digital, transfer)", "digital + transfer"),
        "a fixed token more follows": edited("(problem.model.tokens - 1)", "problem.model.tokens"),
    },
    (fixed, "own_gaps"): {
        "fixed time has no tails": edited("[*within, *gaps.tails.values()]", "within"),
    },
    (fixed, "gaps_of_phases"): {
        "fixed phases have no tails": edited(".append(tail)", ".copy()"),
    },
    # The breakdown
    (breakdown, "_added_cover"): {
        "array time is told by number": edited('np.argsort(start, kind="stable")', "np.arange(len(start))"),
        "array time is told twice": edited("np.maximum(start[order], before)", "start[order]"),
    },
    (cost, "split_latency"): {
        "the tail is no row": edited("rows[-1].cycles)", "0)"),
        "no stage waits": edited('"wait": added -', '"wait": 0 * added -'),
    },
}
