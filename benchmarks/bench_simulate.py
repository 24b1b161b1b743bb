"""The array simulator beside plain numpy on the same products, in CPU time of one thread, and a whole MiniLM pass.

Dense matrices of 8-bit weights and inputs in arrays of 256 rows. Every pair of figures comes from one run, in turns,
the least of several repetitions; outputs are compared. Both kernels are run, the one that numba compiles and the one
in numpy. Three kinds of array:

- bit-serial: 8 phases of 1-bit inputs, 4 slices of 2-bit cells, lossless converters, the two columns of a
  differential pair converted apart, or subtracted before one converter;
- whole: 8-bit inputs and cells in one phase and slice, 8-bit converters, pairs subtracted.
"""

from __future__ import annotations

import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported
if "--rows-only" not in sys.argv:  # numpy at its best: no choice of instructions or caches from outside
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.api import load_hardware, make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.judge.simulate import ArraySimulator
from cimsolve.model.families import parse_model
from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question
from cimsolve.study.solving import solve
from cimsolve.weights.folder import weights_beside

TILE_ROWS = 256
BITS = 8
PHASES, SLICES, CELL_BITS = 8, 4, 2
SUM_MAX = 2**10 - 1
"""Codes of a lossless converter: 256 rows of cells of at most 3."""

# Peers, microseconds per product at batch 512: measured once, apart from these runs, one thread, float32,
# beside the numpy figure of the same session. CrossSim 3.2.0 and aihwkit 1.2.0 (its TorchInference tile).
PEERS: dict[tuple[str, int, int], tuple[float, dict[str, float]]] = {
    ("subtracted", 256, 512): (54, {"CrossSim": 194}),
    ("subtracted", 1024, 512): (952, {"CrossSim": 1382}),
    ("converted", 256, 512): (132, {"CrossSim": 271}),
    ("converted", 1024, 512): (1752, {"CrossSim": 2291}),
    ("whole", 256, 512): (1.7, {"CrossSim": 3.1, "aihwkit": 3.8}),
    ("whole", 1024, 512): (28, {"CrossSim": 34, "aihwkit": 38}),
}

CHIPS = ("rram256", "paper256")
"""Chips of the whole model's runs."""

AVX2 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+popcnt",
}
"""What keeps numpy and numba from all instructions of AVX-512."""

KINDS = ("converted", "subtracted", "whole")

LIMITS = (
    "What limits it now: with 1-bit phases, counting. A conversion of 256 rows of 2-bit cells takes 16 words, each "
    "ANDed, counted and added in 16 lanes at once: three vector instructions, and about one more for scaling, "
    "clipping, shifting and adding. A difference of two cells has 3 bits and takes 24 words. `whole` is left to the "
    "numpy kernel, and limited by the matrix product that numpy makes too: its 64 pairs of bits would take longer."
)

Job = Callable[[], Any]


def chip(kind: str, size: int) -> Hardware:
    """An array as wide as the matrix."""
    columns = 2 * (SLICES if kind != "whole" else 1) * size
    settings = {"array.rows": TILE_ROWS, "array.cols": columns}
    if kind == "whole":
        settings |= {"cell.bits": BITS, "input.dac_bits": BITS, "adc.bits_max": 8, "adc.lossy_allowed": "true"}
    return with_settings(load_hardware("rram256"), {key: str(value) for key, value in settings.items()})


def simulator(kind: str, weights: Any, **options: Any) -> ArraySimulator:
    size = len(weights)
    linear = {"name": "w", "n_in": size, "n_out": size}
    model = parse_model({"model_type": "linears", "steps": [{"name": "s", "linears": [linear]}]}, "bench", "bench")
    problem = Problem(Question(chip(kind, size), model, {"w": Structure.dense()}))
    answer = solve(problem, "linear")
    pairs = "converted" if kind == "converted" else "subtracted"
    if kind == "whole":
        options = {"adc_bits_max": 8, **options}
    return ArraySimulator(problem, answer.pieces, answer.activations, weights={"w": weights}, pairs=pairs, **options)


def plain_numpy(kind: str, weights: Any, inputs: Any) -> Job:
    """The same in plain numpy, float32, as one writes it down: tile by tile, phase by phase, slice by slice."""
    positive = [((np.maximum(weights, 0) >> (CELL_BITS * s)) & 3).astype(np.float32) for s in range(SLICES)]
    negative = [((np.maximum(-weights, 0) >> (CELL_BITS * s)) & 3).astype(np.float32) for s in range(SLICES)]
    pairs = [p - n for p, n in zip(positive, negative, strict=True)]
    tiles = [slice(first, first + TILE_ROWS) for first in range(0, len(weights), TILE_ROWS)]

    def convert(sums: Any, low: int) -> Any:
        return np.clip(np.rint(sums), low, SUM_MAX)

    def bit_serial() -> Any:
        total = np.zeros((len(inputs), weights.shape[1]), np.float32)
        for phase in range(PHASES):
            driven = ((inputs >> phase) & 1).astype(np.float32)
            for rows in tiles:
                for s in range(SLICES):
                    if kind == "subtracted":
                        codes = convert(driven[:, rows] @ pairs[s][rows], -SUM_MAX)
                    else:
                        codes = convert(driven[:, rows] @ positive[s][rows], 0)
                        codes -= convert(driven[:, rows] @ negative[s][rows], 0)
                    total += codes * np.float32(2 ** (phase + CELL_BITS * s))
        return total

    whole, values = weights.astype(np.float32), inputs.astype(np.float32)
    return (lambda: values @ whole) if kind == "whole" else bit_serial


def in_turns(jobs: dict[str, Job], repetitions: int) -> dict[str, float]:
    """The least CPU seconds of each job, run in turns after one run each to warm up."""
    least = dict.fromkeys(jobs, float("inf"))
    for job in jobs.values():
        job()
    for _ in range(repetitions):
        for name, job in jobs.items():
            began = time.process_time()
            job()
            least[name] = min(least[name], time.process_time() - began)
    return least


def conversions(kind: str, size: int) -> int:
    """Of one vector."""
    tiles = size // TILE_ROWS or 1
    each = {"converted": 2 * PHASES * SLICES, "subtracted": PHASES * SLICES, "whole": 1}
    return tiles * size * each[kind]


def measure(kind: str, size: int, batch: int, repetitions: int) -> dict[str, float]:
    """Microseconds per product: `plain` numpy, the simulator's kernels `numba` and `numpy`."""
    random = np.random.default_rng([size, batch])
    top = 2 ** (BITS - 1) - 1
    weights = np.clip(np.rint(random.normal(size=(size, size)) * top / 4), -top, top).astype(np.int64)
    weights[0, 0] = top  # the scale of quantisation is then 1
    inputs = random.integers(0, 2**BITS, (batch, size))
    exact = inputs @ weights
    jobs: dict[str, Job] = {"plain": plain_numpy(kind, weights, inputs)}
    outputs = []
    for name in ("numba", "numpy"):
        built = simulator(kind, weights.astype(np.float64), kernel=name)
        jobs[name] = lambda built=built: built.integers(0, inputs)
        outputs.append(jobs[name]())
        assert built.lossy or (outputs[-1] == exact).all(), "the simulator and integers differ"
    assert all((each == outputs[0]).all() for each in outputs), "the kernels differ"
    assert kind == "whole" or np.allclose(jobs["plain"](), exact, rtol=1e-6, atol=64), "numpy and integers differ"
    return {name: 1e6 * seconds / batch for name, seconds in in_turns(jobs, repetitions).items()}


def rows_of(kinds: Sequence[str], sizes: Sequence[int], batches: Sequence[int], repetitions: int) -> list[list[str]]:
    rows = []
    for kind in kinds:
        for size in sizes:
            for batch in batches:
                log(f"{kind} {size}x{size}, batch {batch}")
                found = measure(kind, size, batch, repetitions if batch > 100 else 20 * repetitions)
                plain, peers = PEERS.get((kind, size, batch), (1.0, {}))
                rows.append(
                    [
                        f"{kind} {size}x{size}",
                        str(batch),
                        f"{found['plain']:.3g}",
                        f"{found['numba']:.3g}",
                        f"{1e3 * found['numba'] / conversions(kind, size):.3g}",
                        f"{found['plain'] / found['numba']:.2f}",
                        f"{found['plain'] / found['numpy']:.2f}",
                        *(f"{plain / peers[peer]:.2f}" if peer in peers else "" for peer in ("CrossSim", "aihwkit")),
                    ]
                )
    return rows


def rows_of_avx2(sizes: Sequence[int], batches: Sequence[int], repetitions: int) -> list[list[str]]:
    """The same rows without AVX-512, in a process of their own."""
    lists = {"--sizes": sizes, "--batches": batches, "--repetitions": [repetitions]}
    arguments = [text for name, values in lists.items() for text in (name, *map(str, values))]
    command = [sys.executable, __file__, "--rows-only", *arguments]
    done = subprocess.run(command, env={**os.environ, **AVX2}, check=True, stdout=subprocess.PIPE, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def whole_model(tokens: int, repetitions: int) -> list[list[str]]:
    """MiniLM's factors one after the other, in CPU seconds, every phase, slice and conversion; outputs compared."""
    rows = []
    for hardware in CHIPS:
        log(f"minilm-l6 on {hardware}")
        problem = make_problem("minilm-l6", hardware)
        answer = solve(problem, "spread")
        built = {}
        for kernel in ("numpy", "numba"):
            began = time.process_time()
            built[kernel] = ArraySimulator(problem, answer.pieces, answer.activations, kernel=kernel)
            prepared = time.process_time() - began
        random = np.random.default_rng(0)
        seconds = dict.fromkeys(built, 0.0)
        wrong, outputs = 0, 0
        for factor in problem.workload.factors:
            inputs = random.integers(0, 2**problem.hardware.input.bits, (tokens, factor.blocks * factor.block_rows))
            jobs: dict[str, Job] = {kernel: partial(each.integers, factor.id, inputs) for kernel, each in built.items()}
            for kernel, least in in_turns(jobs, repetitions).items():
                seconds[kernel] += least
            got = jobs["numba"]()
            assert (got == jobs["numpy"]()).all(), "the kernels differ"
            blocks = inputs.reshape(tokens, factor.blocks, -1).swapaxes(0, 1).astype(np.float64)
            weights = built["numba"].operands.weights(factor).astype(np.float64)
            wrong += int(np.count_nonzero(got != (blocks @ weights).swapaxes(0, 1).reshape(tokens, -1)))
            outputs += got.size
        count = answer.header.metrics["adc_conversions"] * tokens
        exact = "all" if not wrong else f"{100 * (1 - wrong / outputs):.1f} %"
        what = " (lossy)" if built["numba"].lossy else ""
        rows.append(
            [
                hardware,
                str(answer.header.metrics["arrays"]),
                f"{count / 1e9:.2f}",
                f"{prepared:.2f}",
                f"{seconds['numpy']:.2f}",
                f"{seconds['numba']:.2f}",
                f"{seconds['numpy'] / seconds['numba']:.2f}",
                exact + what,
            ]
        )
    return rows


SETTINGS: dict[str, dict[str, Any]] = {
    "lossless": {},
    "lossless, a scale a column": {"weight_scale": "column"},
    "8 bits": {"weight_scale": "column", "adc_bits_max": 8},
    "6 bits": {"weight_scale": "column", "adc_bits_max": 6},
    "8 bits, calibrated": {"weight_scale": "column", "adc_bits_max": 8, "adc_range": "calibrated"},
    "6 bits, calibrated": {"weight_scale": "column", "adc_bits_max": 6, "adc_range": "calibrated"},
    "6 bits, calibrated, pairs subtracted": {
        "weight_scale": "column",
        "adc_bits_max": 6,
        "adc_range": "calibrated",
        "pairs": "subtracted",
    },
}


def real_weights(folder: str, tokens: int = 128) -> str:
    """Signal to noise, in dB, of the dense linears of a folder's first layer against products of floats."""
    model = load_model(folder)
    weights = weights_beside(model, folder)
    if weights is None:
        return ""
    problem = make_problem(model, "rram256", structure="dense")
    answer = solve(problem, "spread")
    names: list[str] = []
    rows = []
    for label, options in SETTINGS.items():
        log(f"{model.name}: {label}")
        built = ArraySimulator(problem, answer.pieces, answer.activations, weights=weights, layers=[0], **options)
        found = []
        for number, name in enumerate(built.linears):
            inputs = np.random.default_rng(number).normal(size=(tokens, weights[name].shape[0]))
            if built.calibrates:
                built.calibrate(name, np.random.default_rng([number, 1]).normal(size=inputs.shape))
            want = inputs @ weights[name]
            noise = np.square(built.linear(name, inputs) - want).sum()
            found.append(f"{10 * np.log10(np.square(want).sum() / noise):.1f}")
        rows.append([label, *found])
        names = [".".join(name.split(".")[-2:]) for name in built.linears]
    return "\n\n".join(
        (
            f"## Real weights\n\n{model.name}'s first layer, dense on rram256 (256 rows, 2-bit cells, 8-bit weights "
            f"and inputs): signal to noise in dB against products of floats, {tokens} normal input vectors, calibrated "
            "on others. All but the first have a scale of the weights a column.",
            markdown_table(["converters", *names], rows),
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser: argparse.ArgumentParser = make_parser(__doc__ or "", "simulate.md")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N", help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=512, metavar="N", help="default: %(default)s")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024], metavar="N", help="default: 256 1024")
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 16], metavar="N", help="default: 512 16")
    parser.add_argument(
        "--weights", default="weights/minilm", metavar="FOLDER", help="real weights, if there (default: %(default)s)"
    )
    parser.add_argument("--rows-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    measured = (options.sizes, options.batches, options.repetitions)
    if options.rows_only:
        for row in rows_of(KINDS, *measured):
            print(*row, sep="\t")
        return 0
    columns = ["product", "batch", "numpy, us", "cimsolve, us", "ns", "times", "numpy kernel"]
    write_report(
        options.out,
        "# The array simulator: speed",
        provenance(__file__, argv, ["numba"]),
        "CPU time of one thread, numpy's OpenBLAS with the machine's own instructions (OPENBLAS_CORETYPE unset), per "
        "product of one vector with the matrix; weights are normal, quantised to 8 bits, in "
        "arrays of 256 rows. `numpy` is the same bit-serial product as one writes it down in float32: a product for "
        "every phase, tile and slice, rounded, clipped, shifted and added; for `whole`, the bare product of floats, "
        "without converters. `cimsolve` is its compiled kernel, every sum of every phase and slice formed and "
        "converted, `ns` what one conversion takes with all that leads to it. `times` is numpy's time over cimsolve's, "
        "as in the columns that follow. `numpy kernel` is cimsolve's other one, which needs no numba: matrix products "
        "of packed phases. Both give the same outputs, to the last bit.",
        markdown_table([*columns, "CrossSim", "aihwkit"], rows_of(KINDS, *measured)),
        "`CrossSim` (3.2.0) and `aihwkit` (1.2.0, TorchInference) are numpy's time over theirs as measured "
        "once, before and apart from this run, in one thread and float32 (microseconds at batch 512: "
        + "; ".join(
            f"{kind} {size}: numpy {plain:g}, " + ", ".join(f"{peer} {value:g}" for peer, value in peers.items())
            for (kind, size, _), (plain, peers) in PEERS.items()
        )
        + "). They were not run here: CrossSim is not on PyPI, and aihwkit is there as source alone, which wants "
        "PyTorch and OpenBLAS to be compiled against.",
        LIMITS,
        "## Without AVX-512",
        "The same, with " + ", ".join(f"{name}={value}" for name, value in AVX2.items()) + " in the environment: "
        "machines with AVX2 have no vector instruction that counts bits, and matrix products take twice as long.",
        markdown_table(columns, [row[: len(columns)] for row in rows_of_avx2(*measured)]),
        "## A whole model",
        f"MiniLM (36 linears, default structure, by `spread`), {options.tokens} vectors through every factor as placed "
        "and fired; outputs of both kernels compared with each other and with integer products.",
        markdown_table(
            ["chip", "arrays", "10^9 conversions", "programmed, s", "numpy, s", "numba, s", "times", "exact"],
            whole_model(options.tokens, options.repetitions),
        ),
        real_weights(options.weights) if Path(options.weights).is_dir() else "",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
