"""Each equation of a price made wrong: where the package says it, and how it is changed there.

`CORRUPTIONS` has (object, attribute) -> what is then wrong -> wrapper, which makes the wrong one of the right one. A
function that moves changes its key here and nothing else.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from functools import cached_property
from typing import Any

from cimsolve import columns
from cimsolve.chip import wiring
from cimsolve.chip.array_kinds import ModelledArray
from cimsolve.chip.spec import Hardware
from cimsolve.model import workload
from cimsolve.model.model import Model, Step
from cimsolve.model.workload import Workload
from cimsolve.price import breakdown, cost, experts, firings, gaps, mean, memory, schedule
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap, Gaps
from cimsolve.price.memory import MemoryUse
from cimsolve.problem.problem import Problem

Wrapper = Callable[[Any], Any]


def edited(old: str, new: str) -> Wrapper:
    """A wrapper that gives the function, method or property with one place of its source written differently."""

    def rewrite(real: Any) -> Any:
        function = getattr(real, "fget", None) or getattr(real, "func", None) or inspect.unwrap(real)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(old) == 1, f"{function.__qualname__} has {old!r} {source.count(old)} times"
        names = dict(vars(sys.modules[function.__module__]))
        exec("from __future__ import annotations\n" + source.replace(old, new), names)
        made = names[function.__name__]
        if isinstance(made, cached_property):
            made.__set_name__(object, function.__name__)
        return made

    return rewrite


WITH_SAMPLE_HOLD = "(self.phases * self.read_ps, 1), (self.read_ps, self.phases)"
WITHOUT_SAMPLE_HOLD = "((self.phases * self.read_ps, self.phases),)"
READ_UP_TO = "_columns_before(hardware, end[part]) - _columns_before(hardware, start[part])"


def begin_at_0(way: str) -> Wrapper:
    """A wrapper that counts the columns of several runs with wiring `way` as if each began at column 0."""
    wrong = "_columns_before(hardware, end[part] - start[part])"
    return edited(READ_UP_TO, f"{wrong} if hardware.adc.wiring == {way!r} else {READ_UP_TO}")


CORRUPTIONS: dict[tuple[Any, str], dict[str, Wrapper]] = {
    # What a chip says
    (Hardware, "input_phases"): {
        "phases are rounded down": edited("-(-self.input.bits // ", "(self.input.bits // "),
    },
    (Hardware, "columns_per_weight"): {
        "a weight has one sign": edited("slices * (2 if", "slices * (1 if"),
    },
    (Hardware, "adc_bits_needed"): {
        "lossless counts a row more": edited("rows * self.levels_per_row", "(rows + 1) * self.levels_per_row"),
        "log2_rows is one short": edited("else rows - 1", "else rows // 2"),
    },
    (Hardware, "levels_per_row"): {
        "a cell holds a level more": edited("(1 << self.cell.bits) - 1", "1 << self.cell.bits"),
    },
    (Hardware, "_from_table"): {
        "a conversion takes the line above": edited(
            'np.searchsorted(known, wanted, side="left")',
            'np.minimum(np.searchsorted(known, wanted, side="right"), len(known) - 1)',
        ),
    },
    (Hardware, "rows_limit"): {
        "rows driven are not limited": edited(
            "self.array.rows if self.array.rows_active_max is None else self.array.rows_active_max", "self.array.rows"
        ),
    },
    # Time of an activation
    (ModelledArray, "duration_lines"): {
        "one phase reads": edited(WITHOUT_SAMPLE_HOLD, "((self.read_ps, self.phases),)"),
        "one phase converts": edited(WITHOUT_SAMPLE_HOLD, "((self.phases * self.read_ps, 1),)"),
        "a read is held to its phase": edited(WITH_SAMPLE_HOLD, "((self.read_ps, self.phases),)"),
        "the last phase is hidden": edited(
            WITH_SAMPLE_HOLD, "(self.phases * self.read_ps, 0), (self.read_ps, self.phases - 1)"
        ),
        "the first read is hidden": edited(WITH_SAMPLE_HOLD, "((self.phases - 1) * self.read_ps, 1), (0, self.phases)"),
    },
    (Hardware, "activation_parts_ps"): {
        "v is left out": edited("np.asarray(conversions, dtype=np.int64) * self.conversion_ps", "self.conversion_ps"),
        "the shorter of what overlaps counts": edited("durations.max(axis=0)", "durations.min(axis=0)"),
    },
    (Hardware, "cycles"): {
        "cycles are rounded down": edited("-(-np.asarray(ps, dtype=np.int64) //", "(np.asarray(ps) //"),
    },
    (Hardware, "activation_cycles"): {
        "an activation takes a cycle more": lambda real: lambda *a: real(*a) + 1,
    },
    (wiring, "fewest_conversions"): {
        "v is rounded down": edited(
            "-(-columns // hardware.adc.per_array)", "np.maximum(1, columns // hardware.adc.per_array)"
        ),
    },
    (wiring, "busiest_of_run"): {
        "v of one piece is rounded down": edited(
            "fewest_conversions(hardware, count)", "np.maximum(1, count // hardware.adc.per_array)"
        ),
        "a run has one converter's share": edited("np.where(inner, share, ", "np.where(inner, 1, "),
        "an adjacent run begins on a converter": edited("np.asarray(start)", "0 * np.asarray(start)"),
    },
    (wiring, "columns_per_converter"): {
        "neighbours share too few": edited(
            "-(-hardware.array.cols // hardware.adc.per_array)", "hardware.array.cols // hardware.adc.per_array"
        ),
    },
    (wiring, "busiest_of_runs"): {
        "v of pieces is rounded down": edited(
            "fewest_conversions(hardware, sum_by(group, end - start, groups))",
            "np.maximum(1, sum_by(group, end - start, groups) // converters)",
        ),
        "interleaving starts at 0": begin_at_0("interleaved"),
        "adjacent runs begin on a converter": begin_at_0("adjacent"),
    },
    (wiring, "_columns_before"): {
        "interleaving does not wrap": edited(
            "ceil_div(below - converter, hardware.adc.per_array)", "np.clip(below - converter, 0, 1)"
        ),
        "a converter reads its neighbours' columns": edited("* share, 0, share)", "* share, 0, None)"),
    },
    (columns, "deepest_stack"): {
        "n is the tallest piece": lambda real: lambda g, left, right, rows, n: columns.max_by(g, rows, n),
    },
    # Energy of an activation
    (firings, "_shapes"): {
        "rows are driven for each piece": edited("sum_by(row_group, row_end - row_start,", "sum_by(group, some.rows,"),
        "columns are read for each piece": edited(
            "columns[several] = sum_by(col_group, col_end - col_start,",
            "columns[several] = sum_by(group, right - left,",
        ),
    },
    (Fired, "of"): {
        "cells count weights": edited("* pieces.cols * hardware.columns_per_weight", "* pieces.cols"),
        "an activation lasts as at one position": edited("* problem.workload.positions[stage]", ""),
    },
    (Fired, "is_stored"): {
        "weights that fire again take cells of their own": lambda real: property(lambda fired: fired.pieces.rows > 0),
    },
    (ModelledArray, "cell_pj"): {
        "cells are driven once": edited("self.phases * ", ""),
    },
    (ModelledArray, "energy_pj"): {
        "rows are driven once": edited('"rows": self.phases *', '"rows":'),
        "columns are read once": edited('"columns": self.phases *', '"columns":'),
        "conversions are made once": edited('"conversions": self.phases *', '"conversions":'),
        "sums are shifted once": edited('"shift_add": self.phases *', '"shift_add":'),
    },
    (Fired, "times"): {
        "energy is that of one position": lambda real: property(lambda fired: 1 + 0 * real.fget(fired)),
    },
    (breakdown, "_array_energy"): {
        "all experts cost energy": edited("fired.in_worst_case", "slice(None)"),
        "all convert at the most bits": edited(
            "hardware.conversion_pj(each)", "hardware.conversion_pj(int(bits.max()))"
        ),
        "a macro is paid by the stage": edited(
            "firings = sum_by(stage, times, rows)", "firings = sum_by(stage, times, rows) > 0"
        ),
    },
    # Gaps
    (Hardware, "digital_ps"): {
        "an operation has no base time": edited("picoseconds(costs.base_ns) + rounds", "rounds"),
        "an operation has one lane": edited("// self.digital.units", "// 1"),
        "a round is not begun": edited("-(-np.asarray(elements, dtype=np.int64) //", "(np.asarray(elements) //"),
    },
    (Hardware, "digital_pj"): {
        "an operation has no base energy": edited("costs.base_pj + ", ""),
        "elements cost no energy": edited(" + np.asarray(elements, dtype=np.float64) * costs.per_element_pj", ""),
    },
    (Hardware, "transfer_ps"): {
        "a transfer has no base time": edited("picoseconds(self.transfer.base_ns) + ", ""),
        "a transfer takes no time for its bits": edited(" + picoseconds(streaming)", ""),
    },
    (Hardware, "transfer_pj"): {
        "bits move at no energy": edited("* self.transfer.pj_per_bit", "* 0"),
    },
    (gaps, "_flat_transfer"): {
        "an element moves as a bit": edited("elements * problem.hardware.input.bits", "elements"),
        "a transfer takes a cycle more": edited(
            "hardware.cycles(hardware.transfer_ps(bits))", "hardware.cycles(hardware.transfer_ps(bits)) + 1"
        ),
    },
    (gaps, "_gap"): {
        "only the last operation takes time": edited("digital_cycles += cycles\n", "digital_cycles = cycles\n"),
        "all operations run beside reads": edited("cycles if operation.name in BESIDE else 0", "cycles"),
        "only the last of a name costs energy": edited("energy_pj.get(operation.name, 0.0) + pj", "pj"),
        "partial sums take no time": edited("partial_sum_cycles = int(", "partial_sum_cycles = 0 * int("),
        "partial sums cost no energy": edited('float(hardware.digital_pj("add", added))', "0.0"),
    },
    # Keys and values
    (memory, "use_memory"): {
        "reads take an element for a bit": edited("cache.tokens * memory.kv_bits", "cache.tokens"),
        "written elements are bits": edited("cache.written * memory.kv_bits", "cache.written"),
        "a read waits for the write": edited("read or written", "read + written"),
        "a write keeps no bank busy": edited("_access_ps(memory, read + written)", "_access_ps(memory, read)"),
        "a prefill writes at no time": edited("shared_bits + written, times", "shared_bits, times"),
        "every query of a prefill accesses": edited("times / tokens if read else 1.0", "1.0"),
        "a prefill writes at no energy": edited(
            "prefill_pj=shared_bits * memory.read_pj_per_bit + written",
            "prefill_pj=shared_bits * memory.read_pj_per_bit + 0",
        ),
        "writes cost as reads": edited(
            "return use, read * memory.read_pj_per_bit + written * memory.write_pj_per_bit",
            "return use, (read + written) * memory.read_pj_per_bit",
        ),
    },
    (memory, "prefill_reads"): {
        "every query reads for itself": edited("ceil_div(tokens, queries)", "tokens"),
        "all see all": edited("if not cache.is_causal", "if True"),
        "windows are not there": edited("last - left_out", "last"),
        "the last read is not there": edited("(tokens if tokens % queries else 0)", "0"),
    },
    (memory, "tokens_in_flight"): {
        "one token of each sequence": edited("problem.model.is_causal", "True"),
        "all tokens of each sequence": edited("problem.model.is_causal", "False"),
    },
    (memory, "_access_ps"): {
        "an access has no base time": edited("accesses * memory.base_ns", "0.0"),
        "there is one bank": edited("memory.all_bits_per_ns", "memory.bits_per_ns"),
    },
    (MemoryUse, "beyond_cycles"): {
        "reads wait for attention": edited("self.waited_cycles - self.beside_cycles", "self.waited_cycles"),
    },
    (Model, "cached_elements"): {
        "a layer is kept for one token": edited("step.cache.read * step.cache.tokens", "step.cache.read"),
    },
    (gaps, "spared_pj"): {
        "one token spares": edited("tokens * math.fsum(each)", "math.fsum(each)"),
        "all tokens are of one pass": edited("gap.memory.tokens, []", "0, []"),
    },
    (Gap, "memory_cycles"): {
        "no gap waits for keys": edited("self.memory.beyond_cycles", "0"),
    },
    (Gap, "units_cycles"): {
        "a gap knows no sums": edited("self.partial_sum_cycles + ", ""),
    },
    (Gap, "cycles"): {
        "a gap knows no transfer": edited(" + self.transfer_cycles", ""),
        "a gap knows no memory": edited(" + self.memory_cycles", ""),
    },
    (gaps, "find_gaps"): {
        "a stage pays one stage's sums": edited("for earlier in read)", "for earlier in read[:1])"),
        "the tail has no sums": edited("for stage in last)", "for stage in ())"),
        "a tail between passes is within": edited("not stage.after or workload.continues_pass(stage.id)", "True"),
    },
    (gaps, "partial_sum_elements"): {
        "all experts' sums are added": edited(
            "sum_at_most(table.stage, table.expert,", "sum_at_most(table.stage, table.expert * 0 - 1,"
        ),
        "a block's first piece is added": edited("table.blocks * table.block_cols", "0 * table.blocks"),
        "sums of one position are added": edited("added * workload.positions", "added"),
    },
    (breakdown, "_gaps_of_rows"): {
        "the passes' tail is paid by nobody": edited("if within or first[id(gap)] == stage", "if within"),
    },
    (Gaps, "own"): {
        "tails hold no unit": edited(", *self.tails.values()]", "]"),
    },
    (Gaps, "last_tail"): {
        "the first pass's tail ends the token": edited("[-1]", "[0]"),
    },
    (gaps, "gaps_of_phases"): {
        "the tail is in the first phase": edited("found[max(", "found[min("),
        "phases have no tails": edited(".append(tail)", ".copy()"),
    },
    (gaps, "shared_cycles"): {
        "II knows no sums": edited("gap.units_cycles", "gap.digital_cycles"),
        "II knows no memory": edited("transfer, memory", "transfer, 0"),
        "a prefill is busy as a token": edited(
            "use.prefill_cycles if in_prefill else use.busy_cycles", "use.busy_cycles"
        ),
    },
    # The schedule
    (schedule, "_start_cycles"): {
        "gaps overlap": edited("max(ready, gap_free) + int", "ready + int"),
        "a gap waits a cycle": edited("ready = gap_free", "ready = gap_free = gap_free + 1"),
        "an array fires for two": edited("np.maximum(array_free[array[part]], ready)", "ready"),
        "the next token waits for one stage": edited("max((int(ended[before])", "min((int(ended[before])"),
    },
    # Experts
    (experts, "sum_at_most"): {
        "a token fires an expert less": edited("chosen[ranked.job]", "chosen[ranked.job] - 1"),
        "a token fires every expert": edited("ranked.rank < chosen[ranked.job]", "ranked.rank >= 0"),
        "experts alone take time": edited("return total + ", "return 0 * total + "),
    },
    (experts, "_rank"): {
        "the shortest experts are the worst choice": edited("taken.max() - taken", "taken"),
    },
    (experts, "offsets_at_most"): {
        "experts begin at once": edited("chosen[ranked.job] - 1", "0"),
        "experts follow each other, chosen or not": edited("ranked.rank < chosen[ranked.job] - 1", "ranked.rank >= 0"),
        "experts begin beside what always fires": edited("before[ranked.job] + ", ""),
    },
    (experts, "costliest"): {
        "the cheapest experts are the worst choice": edited("-total", "total"),
        "an expert less costs": edited("rank < chosen[:, None]", "rank < chosen[:, None] - 1"),
    },
    (Fired, "whole_jobs"): {
        "arrays work for every expert": edited("self.expert, cycles", "0 * self.expert - 1, cycles"),
    },
    (Fired, "in_worst_case"): {
        "the experts that convert most cost most": edited("self.cost_pj", "self.columns.astype(float)"),
    },
    (mean, "_shares"): {
        "all experts fire": edited("left / rest.sum()", "len(weights) / weights.sum()"),
    },
    (mean, "shares_of"): {
        "counts are not read": edited("problem.counted is not None", "kind == 'none'"),
        "Zipf's law is not read": edited("weights: list[Floats] = [rank", "weights = [rank**0 * 1.0 + 0 * rank"),
    },
    (mean, "_drawn_alone"): {
        "tokens fire the first experts": edited("order[np.minimum", "np.arange(len(order))[np.minimum"),
    },
    (mean, "_drawn_with_partners"): {
        "the next is any": edited("(pairs[drawn] / of_each[drawn, None]).sum(axis=0)", "np.ones(len(pairs))"),
        "the first is any": edited("weight, route = of_each,", "weight, route = 1.0 * (of_each > 0),"),
    },
    (mean, "find_means"): {
        "no expert is spared": edited("saved += stage_cycles[each.id] - drawn", "pass"),
        "what always fires has a share": edited("np.where(own < 0, 1.0, shares", "np.where(own < 0, 0.5, shares"),
        "the error is that of one token": edited("/ ROUTES**0.5", ""),
    },
    (mean, "cycles_of_routes"): {
        "what always fires is not beside experts": edited("least = int(busy", "busy[:] = 0\n    least = int(busy"),
    },
    (cost, "_mean_metrics"): {
        "arrays cost the worst": edited("float(means.weight @ fired.cost_pj)", "array_energy"),
        "nothing leaks in the mean": edited(" + leakage_pj * means.latency_cycles", ""),
        "the worst array works": edited("means.weight * lasts", "lasts"),
        "shared units do not count in the mean": edited("*shared_cycles(problem, fired.gaps.own), ", ""),
    },
    (Workload, "sum_fired"): {
        "every expert is fixed": edited("of_experts // stored * self.chosen", "of_experts"),
        "cells are driven at one position": edited("return fired * self.positions", "return fired"),
    },
    (Step, "moved_elements"): {
        "one expert's input is brought": edited("self.experts.chosen * of_expert", "of_expert"),
        "one position's input is brought": edited("self.positions * (", "1 * ("),
        "the input of what always fires is not brought": edited("(shared + ", "("),
        "one of several inputs is brought": edited("else None, linear.input)", "else None, 0)"),
        "experts' own inputs are one": edited("self.experts is not None and self.experts.own_inputs", "False"),
    },
    (workload, "_shuffled_elements"): {
        "z of every expert moves": edited("experts * step.experts.chosen // step.experts.stored", "experts"),
        "z of one position moves": edited("step.positions * ", ""),
        "z of no expert moves": edited("experts * step.experts.chosen // step.experts.stored", "0"),
    },
    # Latency, II, prefill
    (cost, "evaluate"): {
        "no tail in the latency": edited(" + gaps.last_tail.cycles", ""),
        "II adds the shared units": edited(
            "*shared_cycles(problem, gaps.own)", "sum(shared_cycles(problem, gaps.own))"
        ),
        "II is that of arrays": edited("*shared_cycles(problem, gaps.own)", "0"),
        "II knows no room": edited(", least_interval(problem, latency)", ""),
        "a prefill spares no reads": edited("- spared_pj(gaps)", ""),
        "throughput is that of arrays": edited("1e9 / (interval * clock_ns)", "1e9 / (int(busy.max()) * clock_ns)"),
        "prefill's rate is of one token": edited("tokens * 1e9 / (prefill", "1e9 / (prefill"),
        "arrays have a token more": edited("each * phase.array_ii_cycles", "(each + 1) * phase.array_ii_cycles"),
        "one array leaks": edited("leakage_pj = arrays * hardware", "leakage_pj = hardware"),
        "cycles leak, not ns": edited("leakage_uw * clock_ns * 1e-3", "leakage_uw * 1e-3"),
        "arrays leak while they work": edited("np.sum(list(cycles.values()), axis=0)", 'cycles["array"]'),
        "a prefill leaks for a token": edited("leakage_pj * prefill", "leakage_pj * latency"),
        "a prefill leaks for each token": edited("dynamic = energy - _total(", "dynamic = energy - 0 * _total("),
        "a prefill pays one token": edited("tokens * dynamic", "dynamic"),
        "the source costs as many tokens": edited("problem.model.tokens_of(SOURCE) - tokens", "0"),
        "decoding takes the source too": edited("latency - before_target", "latency"),
        "decoding costs the source too": edited("dynamic - of_source", "dynamic"),
        "decoding leaks for all": edited("leakage_pj * decoding", "leakage_pj * latency"),
        "a stream leaks for a latency": edited("leakage_pj * interval", "leakage_pj * latency"),
        "spare columns are not there": edited(
            "hardware.array.rows * hardware.array.cols",
            "hardware.array.rows * hardware.weights_per_row * hardware.columns_per_weight",
        ),
        "all experts convert": edited("fired.columns)[fired.in_worst_case]", "fired.columns)"),
        "all experts' cells are active": edited("(fired.cells * lasts)[fired.in_worst_case]", "(fired.cells * lasts)"),
        "a phase converts for all": edited("hardware.input_phases * int(", "int("),
        "bits that suffice are lossy": edited("(fired.stacked) > bits", "(fired.stacked) >= bits"),
        "the busy share is of array time": edited("(arrays * latency)", "(arrays * array_latency)"),
        "activations weigh alike": edited("fired.cells * lasts", "fired.cells * array_latency / len(fired)"),
        "converters are the narrowest": edited("array_um2(bits.max())", "array_um2(bits.min())"),
        "one array has an area": edited("arrays * float(hardware", "float(hardware"),
    },
    (cost, "stage_times"): {
        "a stage ends with its last start": edited("activations.end", "activations.start"),
    },
    (cost, "_source_cycles"): {"what comes down is the source's": edited("- down", "")},
    (cost, "_source_pj"): {
        "the source has no tail": edited("if gaps.within[stage]), tail]", "if gaps.within[stage])]"),
        "the source has no arrays": edited("in_gaps + float", "in_gaps + 0 * float"),
        "coming down is paid by the source": edited('each.way == "down"', "False"),
    },
    (cost, "_phases"): {
        "a token more follows": edited(
            "(problem.phase_tokens[name] - 1) * interval", "problem.phase_tokens[name] * interval"
        ),
        "the source has as many tokens": edited("problem.phase_tokens[name] - 1", "problem.model.tokens - 1"),
        "the fill is an interval": edited("prefill_cycles=fill +", "prefill_cycles=interval +"),
        "every token fills": edited(
            "(problem.phase_tokens[name] - 1) * interval", "(problem.phase_tokens[name] - 1) * fill"
        ),
        "phases know no digital units": edited(
            "max(busiest[index], digital, transfer, memory)", "max(busiest[index], transfer, memory)"
        ),
        "phases know no interconnect": edited("digital, transfer, memory)", "digital, memory)"),
        "phases know no memory": edited("digital, transfer, memory)", "digital, transfer)"),
        "a phase fills from the start": edited("previous_end = end", "previous_end = previous_end"),
        "a phase has no tail": edited(
            "tail.cycles for tail in gaps.tails.values()", "0 for tail in gaps.tails.values()"
        ),
        "arrays fill as all else": edited("int(added_cover(stages.start[members], stages.end[members]).sum())", "fill"),
    },
    # Area
    (Hardware, "array_um2"): {
        "arrays have no converters": edited("self.adc.per_array * ", "0 * "),
        "arrays have one converter": edited("self.adc.per_array * ", ""),
    },
    # What no mapping changes
    (Problem, "forced_additions"): {
        "a forced cut has a part less": edited("(self.row_parts - 1)", "np.maximum(0, self.row_parts - 2)"),
    },
    (gaps, "fixed_metrics"): {
        "cuts that are chosen are fixed": edited("least_gaps(problem)", "gaps"),
        "fixed cells are driven once": edited("array_kind.cell_pj", "array_kind.cell_pj / hardware.input_phases"),
        "fixed cells are weights": edited(
            "problem.weight_cells_fired * hardware.columns_per_weight", "problem.weight_cells_fired"
        ),
        "fixed leakage is of one array": edited("energy += arrays * hardware", "energy += hardware"),
        "fixed leakage has no time": edited("leakage_uw * latency *", "leakage_uw *"),
        "fixed time has no tails": edited("gap.cycles for gap in least.own", "gap.cycles for gap in least.before"),
        "fixed II adds all units": edited(
            "max(*shared_cycles(problem, least.own),", "max(sum(shared_cycles(problem, least.own)),"
        ),
        "fixed II knows no room": edited(", least_interval(problem, latency)", ""),
        "a fixed prefill shares no reads": edited(", moves[phase])", ")"),
        "a fixed token more follows": edited("(problem.phase_tokens[phase] - 1)", "problem.phase_tokens[phase]"),
        "fixed phases have no tails": edited("gap.cycles for gap in members", "gap.cycles for gap in members[:-1]"),
    },
    # The breakdown
    (breakdown, "added_cover"): {
        "idle time is array time": edited("np.maximum(start[order], before)", "before"),
        "array time is told by number": edited('np.argsort(start, kind="stable")', "np.arange(len(start))"),
        "array time is told twice": edited("np.maximum(start[order], before)", "start[order]"),
    },
    (breakdown, "split_latency"): {
        "the tail is no row": edited("rows[-1].cycles)", "0)"),
        "no stage waits": edited('"wait": added -', '"wait": 0 * added -'),
    },
}
