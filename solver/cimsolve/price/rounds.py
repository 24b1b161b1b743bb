"""What it costs to write weights while the chip runs, and to pass a batch of tokens through runs one after the other.

docs/formulation.md, section "Rounds".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

import numpy as np

from cimsolve.chip.sections import LoadSection, WriteSection, picoseconds
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.problem.plan import decoding_cycles, first_decoding, kept_between
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

DAY_NS = 86_400e9


@dataclass(frozen=True)
class RunTimes:
    """One run in cycles: its weights written, and tokens passed through it."""

    write: int
    latency: int
    ii: int
    prefill: int

    def slowed(self, times: float) -> RunTimes:
        """All of it so many times as long."""
        return RunTimes(*(round(each * times) for each in (self.write, self.latency, self.ii, self.prefill)))

    def compute(self, of: str, batch: int = 1) -> int:
        """Cycles of a `token`, of a `prefill`, or of a `batch` of tokens of many sequences."""
        if of == "prefill":
            return self.prefill
        return self.latency + (batch - 1) * self.ii if of == "batch" else self.latency


def writing_sections(hardware: Hardware) -> tuple[WriteSection, LoadSection]:
    """How a chip writes and loads weights. Raises InputError for one that says neither."""
    if hardware.write is None or hardware.load is None:
        raise InputError(
            f"{hardware.name}: write is missing; a spec whose weights are written while the chip runs says how: "
            "add write and load"
        )
    return hardware.write, hardware.load


def write_cycles(hardware: Hardware, rows: Ints | int, weights: int, arrays: int | None = None) -> int:
    """Cycles of writing so many rows of each array, shape (arrays,), and of loading their weights meanwhile.

    Where `rows` is one number, it is that of all arrays together, and `arrays` are as many as may be written: no
    array is then the last.
    """
    write, _ = writing_sections(hardware)
    if isinstance(rows, int):
        pulses = [ceil_div(rows, write.rows_at_once)]
        side_by_side = min(arrays or rows, write.arrays_at_once or rows)
        longest = 0
    else:
        pulses = ceil_div(rows, write.rows_at_once).tolist()
        side_by_side = min(len(pulses), write.arrays_at_once or len(pulses))
        longest = max(pulses)
    steps = max(longest, ceil_div(sum(pulses), max(side_by_side, 1)))
    writing = int(hardware.cycles(steps * int(picoseconds(write.row_ns))))
    return max(writing, load_cycles(hardware, weights))


def load_cycles(hardware: Hardware, weights: int) -> int:
    """Cycles in which so many weights come from off the chip."""
    _, load = writing_sections(hardware)
    bits = weights * hardware.weight.bits
    return int(hardware.cycles(int(picoseconds(load.base_ns)) + int(picoseconds(bits / load.bits_per_ns))))


def written_rows(pieces: Pieces, arrays: Ints) -> Ints:
    """Rows of each of `arrays` in which a piece lies."""
    order = np.lexsort((pieces.array_row, pieces.array))
    array, top = pieces.array[order], pieces.array_row[order]
    place = np.searchsorted(arrays, array)
    span = int((pieces.array_row + pieces.rows).max()) + 1
    begin, end = place * span + top, place * span + top + pieces.rows[order]
    reached = np.maximum.accumulate(end)
    before = np.append(0, reached[:-1])
    rows = np.maximum(0, end - np.maximum(begin, before))
    return np.bincount(place, weights=rows, minlength=len(arrays)).astype(np.int64)


def times_of_run(hardware: Hardware, pieces: Pieces, metrics: Mapping[str, int | float]) -> RunTimes:
    """What a run takes, its pieces written before it, by the metrics of its solution."""
    weights = int((pieces.rows * pieces.cols).sum())
    return RunTimes(
        write=write_cycles(hardware, written_rows(pieces, np.unique(pieces.array)), weights),
        latency=int(metrics["latency_cycles"]),
        ii=int(metrics["ii_cycles"]),
        prefill=round(float(metrics["prefill_ns"]) * 1000 / hardware.clock_ps),
    )


def write_pj(hardware: Hardware, weights: int) -> float:
    """Energy of loading and writing so many weights."""
    write, load = writing_sections(hardware)
    return weights * (hardware.columns_per_weight * write.cell_pj + hardware.weight.bits * load.pj_per_bit)


def total_cycles(runs: Sequence[RunTimes], double: bool, of: str, batch: int = 1) -> int:
    """Cycles from the first weight that is written to the end of the last run."""
    computing = [run.compute(of, batch) for run in runs]
    if not double:
        return sum(run.write for run in runs) + sum(computing)
    hidden = (max(run.write, before) for run, before in zip(runs[1:], computing, strict=False))
    return runs[0].write + sum(hidden) + computing[-1]


def begins_of_runs(runs: Sequence[RunTimes], double: bool, of: str, batch: int = 1) -> list[tuple[int, int]]:
    """When each run begins to be written, and when it begins to compute; the last ends at `total_cycles`."""
    found: list[tuple[int, int]] = []
    writes_at = computes_at = 0
    for number, run in enumerate(runs):
        if double and number:
            writes_at = computes_at  # with what the run before computes
            ended = computes_at + runs[number - 1].compute(of, batch)
            computes_at = max(ended, writes_at + run.write)
        else:
            writes_at = computes_at + (runs[number - 1].compute(of, batch) if number else 0)
            computes_at = writes_at + run.write
        found.append((writes_at, computes_at))
    return found


def spans_of_runs(runs: Sequence[RunTimes], double: bool, of: str, batch: int = 1) -> list[int]:
    """For how long the weights of each run take arrays: from the first that is written to the end of computing."""
    begins = begins_of_runs(runs, double, of, batch)
    found = [compute + run.compute(of, batch) - write for run, (write, compute) in zip(runs, begins, strict=True)]
    if double and of == "batch":  # the first is written beside the last run of the batch before
        found[0] += max(0, runs[-1].compute(of, batch) - runs[0].write)
    return found


def period_cycles(runs: Sequence[RunTimes], double: bool, batch: int) -> int:
    """Cycles from one batch to the next, where batches follow each other."""
    total = total_cycles(runs, double, "batch", batch)
    if not double:
        return total
    last = runs[-1].compute("batch", batch)
    return total - runs[0].write - last + max(runs[0].write, last)


def plan_metrics(
    problem: Problem,
    ends: Sequence[int],
    runs: Sequence[tuple[RunTimes, Mapping[str, int | float]]],
    double: bool,
    batch: int,
) -> dict[str, int | float]:
    """All figures of an answer in rounds; `ends` are the steps before which runs end, `runs` times and metrics."""
    hardware = problem.hardware
    write, _ = writing_sections(hardware)
    clock_ns = hardware.clock_ps / 1000
    times = [run for run, _ in runs]
    token, prefill = (total_cycles(times, double, of) for of in ("token", "prefill"))
    decoding = [replace(run, latency=decoding_cycles(problem, run.latency, metrics)) for run, metrics in runs]
    decoding = decoding[first_decoding(problem, ends) :]
    period = period_cycles(times, double, batch)
    kept_bits = [kept_between(problem)[end] * hardware.input.bits for end in ends]
    for end, bits in zip(ends, kept_bits, strict=True):
        most = most_in_batch(problem, bits)
        needed = max(batch, problem.model.tokens_of(problem.model.steps[end - 1].pass_name))
        if most is not None and most < needed:
            raise InfeasibleError(
                f"memory.mbit is short: between two runs each token keeps {bits} bits, and {most} tokens have "
                f"room, not {needed}; ask for fewer (--batch, --tokens) or give more memory.mbit"
            )
    kept_pj = sum(kept_bits) * (
        0.0 if hardware.memory is None else hardware.memory.read_pj_per_bit + hardware.memory.write_pj_per_bit
    )
    once_pj = write_pj(hardware, problem.workload.weight_count)
    arrays = [int(each["arrays"]) for _, each in runs]
    leaking_pj = hardware.array.leakage_uw * clock_ns * 1e-3  # of an array in a cycle
    # The runs' own energies have what their arrays leak while they compute, for one token.
    of_runs = (
        float(each["energy_pj"]) - mine * leaking_pj * run.latency
        for (run, each), mine in zip(runs, arrays, strict=True)
    )
    dynamic_pj = fsum(of_runs) + kept_pj
    alone_pj, batch_pj = (
        leaking_pj * sum(mine * span for mine, span in zip(arrays, spans_of_runs(times, double, *of), strict=True))
        for of in (("token",), ("batch", batch))
    )
    writes = (ceil_div(len(runs), 2) if double else len(runs)) * DAY_NS / (period * clock_ns)
    tokens, areas = problem.model.tokens, [float(each["area_mm2"]) for _, each in runs]
    written = [*areas[1:], areas[0]] if double else [0.0] * len(areas)
    metrics: dict[str, int | float] = {
        "runs": len(runs),
        "arrays": max(arrays),
        "write_cycles": sum(run.write for run in times),
        "write_ns": sum(run.write for run in times) * clock_ns,
        "latency_cycles": token,
        "latency_ns": token * clock_ns,
        "prefill_tokens": tokens,
        "prefill_cycles": prefill,
        "prefill_ns": prefill * clock_ns,
        "batch": batch,
        "batch_cycles": period,
        "batch_ns": period * clock_ns,
        "ii_cycles": period / batch,
        "ii_ns": period * clock_ns / batch,
        "decode_tokens_per_s": 1e9 / (total_cycles(decoding, double, "token") * clock_ns),
        "prefill_tokens_per_s": tokens * 1e9 / (prefill * clock_ns),
        "batch_tokens_per_s": batch * 1e9 / (period * clock_ns),
        "batch_of_a_tenth": batch_of_a_tenth(times),
        "kept_bits_max": max(kept_bits),
        "write_energy_pj": once_pj,
        "leakage_pj": alone_pj,
        "energy_pj": dynamic_pj + once_pj + alone_pj,
        "batch_energy_pj": dynamic_pj + (once_pj + batch_pj) / batch,
        "area_mm2": max(mine + beside for mine, beside in zip(areas, written, strict=True)),
        "cell_writes_per_day": writes,
    }
    if write.endurance is not None:
        metrics["endurance_days"] = write.endurance / writes
    return metrics


def batch_of_a_tenth(runs: Sequence[RunTimes]) -> int:
    """The least batch of which writing, none of it hidden, is at most a tenth of the time."""
    writing, first = sum(run.write for run in runs), sum(run.latency for run in runs)
    return max(1, 1 + ceil_div(9 * writing - first, sum(run.ii for run in runs)))


def most_in_batch(problem: Problem, kept_bits: int) -> int | None:
    """Most tokens that memory has room for between two runs, beside keys and values of a sequence; None: any number."""
    memory = problem.hardware.memory
    if memory is None or not kept_bits:
        return None
    free: int = memory.bits - problem.model.cached_elements * memory.kv_bits
    return free // kept_bits
