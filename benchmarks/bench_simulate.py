"""The array simulator beside plain numpy on the same products, in CPU time of one thread, and a whole MiniLM pass.

Dense matrices of 8-bit weights and inputs in arrays of 256 rows. Every pair of figures comes from one run, in turns,
the least of several repetitions; outputs are compared. Three kinds of array:

- bit-serial: 8 phases of 1-bit inputs, 4 slices of 2-bit cells, lossless converters, the two columns of a
  differential pair converted apart, or subtracted before one converter;
- whole: 8-bit inputs and cells in one phase and slice, 8-bit converters, pairs subtracted.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import log, make_parser, markdown_table, provenance, write_report

from cimsolve.api import load_hardware, load_model, make_problem, weights_beside
from cimsolve.architectures import parse_model
from cimsolve.hardware import Hardware, with_settings
from cimsolve.problem import build_problem
from cimsolve.run import solve
from cimsolve.simulate import ArraySimulator
from cimsolve.simulate.products import Packing
from cimsolve.structure import Structure

TILE_ROWS = 256
BITS = 8
PHASES, SLICES, CELL_BITS = 8, 4, 2
SUM_MAX = 2**10 - 1
"""Codes of a lossless converter: 256 rows of cells of at most 3."""

# Peers, microseconds per product at batch 512 and 1: measured once, apart from these runs, one thread, float32,
# beside the numpy figure of the same session. CrossSim 3.2.0 and aihwkit 1.2.0 (its TorchInference tile).
PEERS: dict[tuple[str, int, int], tuple[float, dict[str, float]]] = {
    ("subtracted", 256, 512): (54, {"CrossSim": 194}),
    ("subtracted", 1024, 512): (952, {"CrossSim": 1382}),
    ("converted", 256, 512): (132, {"CrossSim": 271}),
    ("converted", 1024, 512): (1752, {"CrossSim": 2291}),
    ("subtracted", 256, 1): (825, {"CrossSim": 1445}),
    ("subtracted", 1024, 1): (6006, {"CrossSim": 7828}),
    ("whole", 256, 512): (1.7, {"CrossSim": 3.1, "aihwkit": 3.8}),
    ("whole", 1024, 512): (28, {"CrossSim": 34, "aihwkit": 38}),
}

ANSWERS = (("rram256", "spread"), ("rram256", "optimal"), ("paper256", "spread"))
"""Chip and strategy of the whole model's answers."""

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
    problem = build_problem(chip(kind, size), model, {"w": Structure.dense()})
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


def products_alone(kind: str, weights: Any, batch: int) -> Job:
    """The matrix products that packing leaves, in blocks that suit the cache, and nothing else."""
    parts = [np.maximum(weights, 0), np.maximum(-weights, 0)]
    slices = [((part >> (CELL_BITS * s)) & 3).astype(np.float32) for part in parts for s in range(SLICES)]
    if kind == "subtracted":
        slices = [p - n for p, n in zip(slices[:SLICES], slices[SLICES:], strict=True)]
    tiles = [
        np.concatenate([part[first : first + TILE_ROWS].T for part in slices])
        for first in range(0, len(weights), TILE_ROWS)
    ]
    driven = np.ones((tiles[0].shape[1], batch), np.float32)
    blocks = []
    for tile in tiles:
        for first in range(0, len(tile), 512):
            block = np.ascontiguousarray(tile[first : first + 512])
            span = np.maximum(block, 0).sum(axis=1).max() + np.maximum(-block, 0).sum(axis=1).max()
            blocks.append((block, -(-PHASES // Packing.of(int(span), PHASES).count)))
    out = np.empty((512, batch), np.float32)

    def job() -> None:
        for block, operands in blocks:
            for _ in range(operands):
                np.matmul(block, driven, out=out[: len(block)])

    return job


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


def measure(kind: str, size: int, batch: int, repetitions: int) -> dict[str, float]:
    """Microseconds per product: `numpy`, `packed`, `plain`, `shortcut`, `products`."""
    random = np.random.default_rng([size, batch])
    top = 2 ** (BITS - 1) - 1
    weights = np.clip(np.rint(random.normal(size=(size, size)) * top / 4), -top, top).astype(np.int64)
    weights[0, 0] = top  # the scale of quantisation is then 1
    inputs = random.integers(0, 2**BITS, (batch, size))
    exact = inputs @ weights
    jobs: dict[str, Job] = {"numpy": plain_numpy(kind, weights, inputs)}
    for name, options in (("packed", {}), ("plain", {"packs": False}), ("shortcut", {"shortcut": True})):
        if kind == "whole" and name != "packed":
            continue
        built = simulator(kind, weights.astype(np.float64), **options)
        jobs[name] = lambda built=built: built.integers(0, inputs)
        if not built.lossy:
            assert (jobs[name]() == exact).all(), "the simulator and integers differ"
    if kind != "whole":
        jobs["products"] = products_alone(kind, weights, batch)
        assert np.allclose(jobs["numpy"](), exact, rtol=1e-6, atol=64), "numpy and integers differ"
    return {name: 1e6 * seconds / batch for name, seconds in in_turns(jobs, repetitions).items()}


def rows_of(sizes: Sequence[int], batches: Sequence[int], repetitions: int) -> list[list[str]]:
    rows = []
    for kind in ("converted", "subtracted", "whole"):
        for size in sizes:
            for batch in batches:
                log(f"{kind} {size}x{size}, batch {batch}")
                turns = repetitions if batch > 1 else 20 * repetitions
                found = measure(kind, size, batch, turns)
                plain, peers = PEERS.get((kind, size, batch), (1.0, {}))
                own = found["numpy"] / found["packed"]
                rows.append(
                    [
                        f"{kind} {size}x{size}",
                        str(batch),
                        f"{found['numpy']:.3g}",
                        f"{found['packed']:.3g}",
                        f"{own:.2f}",
                        f"{found['numpy'] / found['plain']:.2f}" if "plain" in found else "",
                        f"{found['numpy'] / found['products']:.2f}" if "products" in found and batch > 1 else "",
                        f"{found['numpy'] / found['shortcut']:.3g}" if "shortcut" in found else "",
                        *(f"{plain / peers[peer]:.2f}" if peer in peers else "" for peer in ("CrossSim", "aihwkit")),
                    ]
                )
    return rows


def whole_model(tokens: int) -> list[list[str]]:
    """MiniLM's linears one after the other, in CPU seconds, every phase, slice and conversion; outputs compared."""
    rows = []
    for hardware, strategy in ANSWERS:
        log(f"minilm-l6 on {hardware} by {strategy}")
        problem = make_problem("minilm-l6", hardware)
        answer = solve(problem, strategy)
        began = time.process_time()
        built = ArraySimulator(problem, answer.pieces, answer.activations)
        prepared = time.process_time() - began
        random = np.random.default_rng(0)
        seconds, wrong, outputs, conversions = 0.0, 0, 0, 0
        for factor in problem.workload.factors:
            inputs = random.integers(0, 2**problem.hardware.input.bits, (tokens, factor.blocks * factor.block_rows))
            began = time.process_time()
            got = built.integers(factor.id, inputs)
            seconds += time.process_time() - began
            blocks = inputs.reshape(tokens, factor.blocks, -1).swapaxes(0, 1).astype(np.float64)
            want = (blocks @ built.operands.weights(factor).astype(np.float64)).swapaxes(0, 1).reshape(tokens, -1)
            wrong += int(np.count_nonzero(got != want))
            outputs += got.size
        conversions = answer.header.metrics["adc_conversions"] * tokens
        exact = "all" if not wrong else f"{100 * (1 - wrong / outputs):.1f} %"
        rows.append(
            [
                f"{hardware}, {strategy}",
                str(answer.header.metrics["arrays"]),
                f"{conversions / 1e9:.2f}",
                f"{prepared:.2f}",
                f"{seconds:.2f}",
                exact + (" (lossy)" if built.lossy else ""),
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
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1], metavar="N", help="default: 512 1")
    parser.add_argument(
        "--weights", default="weights/minilm", metavar="FOLDER", help="real weights, if there (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    columns = [
        "product",
        "batch",
        "numpy, us",
        "cimsolve, us",
        "times",
        "unpacked",
        "at most",
        "shortcut",
        "CrossSim",
        "aihwkit",
    ]
    write_report(
        options.out,
        "# The array simulator: speed",
        provenance(__file__, argv),
        "CPU time of one thread, float32, per product of one vector with the matrix; weights are normal, quantised to "
        "8 bits, in arrays of 256 rows. `times` is numpy's time over cimsolve's, as in the columns that follow: all "
        "of them but `shortcut` form every sum of every phase and slice and convert it. `unpacked` is one product a "
        "phase. `at most` is what would be left if everything but packing's own matrix products took no time: their "
        "arithmetic is the limit, as 24 bits of float32 hold the sums of 3 phases of 8 bits, or 2 of 9 to 12. "
        "`shortcut` is the integer product that takes the place of lossless conversions, proved equal. For "
        "`whole`, numpy is the bare product of floats, without converters.",
        markdown_table(columns, rows_of(options.sizes, options.batches, options.repetitions)),
        "`CrossSim` (3.2.0) and `aihwkit` (1.2.0, TorchInference) are numpy's time over theirs as measured "
        "once, before and apart from this run, in one thread and float32 (microseconds at batch 512 unless said: "
        + "; ".join(
            f"{kind} {size}{'' if batch == 512 else ', batch 1'}: numpy {plain:g}, "
            + ", ".join(f"{peer} {value:g}" for peer, value in peers.items())
            for (kind, size, batch), (plain, peers) in PEERS.items()
        )
        + "). They were not run here: CrossSim is not on PyPI, and aihwkit is there as source alone, which wants "
        "PyTorch and OpenBLAS to be compiled against.",
        "## A whole model",
        f"MiniLM (36 linears, default structure), {options.tokens} vectors through every factor as placed and fired; "
        "outputs compared with integer products.",
        markdown_table(
            ["chip, strategy", "arrays", "10^9 conversions", "programmed, s", "run, s", "exact outputs"],
            whole_model(options.tokens),
        ),
        real_weights(options.weights) if Path(options.weights).is_dir() else "",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
