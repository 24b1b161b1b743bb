"""What bench_paper.py needs beside cimsolve's own strategies: structures, counts, and a layout rebuilt by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsolve.api import load_hardware, make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.judge.check import check_solution
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.problem.tables import Mapping as CimMapping
from cimsolve.problem.tables import Pieces
from cimsolve.study.solving import make_solution, solve_and_check

BLOCK = 32
"""b, the paper's block side, for n = 1024."""
SIDE = 256
"""m, the paper's array side."""
N = 1024

Row = tuple[str, str, str]


def squares(model: Model) -> dict[str, Structure]:
    """Every linear cut into 1024 x 1024 squares of 32 blocks of 32 x 32: k = n_in / 32, l = n_out / 32, T = 1.

    The R blocks of squares that share an input stand side by side, the L blocks of squares that share an output
    one above the other: 2 * n_in * n_out / 32 weights, 16 times fewer than dense whatever the shape.
    """
    return {
        linear.name: Structure.parse(f"{linear.n_in // BLOCK},{linear.n_out // BLOCK},1") for linear in model.linears
    }


# Counts


@dataclass(frozen=True)
class Counts:
    """Weights of the linears, and what is counted beside them; MACs are of one token at the model's context."""

    dense: int
    stored: int
    embeddings: int
    attention: int

    def parameters(self, with_embeddings: bool) -> float:
        extra = self.embeddings if with_embeddings else 0
        return (self.dense + extra) / (self.stored + extra)

    def operations(self, attention_share: float) -> float:
        """Reduction of multiply-accumulates where this share of the attention's is counted."""
        extra = self.attention * attention_share
        return (self.dense + extra) / (self.stored + extra)


def count(problem: Problem) -> Counts:
    config = problem.model.config
    width = config.get("hidden_size") or config.get("d_model") or config["n_embd"]
    positions = config.get("max_position_embeddings") or config["n_positions"]
    halves = 2 if config["model_type"] == "bart" else 1  # encoder and decoder have positions each
    attention = sum(
        operation.elements for step in problem.model.steps for operation in step.operations if is_attention(operation)
    )
    return Counts(
        dense=problem.model.weight_count,
        stored=problem.workload.weight_count,
        embeddings=(config["vocab_size"] + halves * positions) * width,
        attention=attention,
    )


def is_attention(operation: object) -> bool:
    return getattr(operation, "name", "") == "attention_mac"


# DenseMap as its 3 bits suggest


@dataclass(frozen=True)
class Rebuilt:
    """Linear, SparseMap and the rebuilt DenseMap on 16 squares: their solution headers."""

    adcs: int
    read_ns: float
    headers: Mapping[str, Header]

    def stage_ns(self, name: str) -> float:
        """Time in arrays of one stage: a dense matrix, or one factor."""
        header = self.headers[name]
        return header.metrics["array_latency_ns"] / len(header.stages)

    def gain(self, name: str) -> float:
        return self.stage_ns("linear") / self.stage_ns(name)

    def energy_gain(self, name: str) -> float:
        return self.headers["linear"].metrics["array_energy_pj"] / self.headers[name].metrics["array_energy_pj"]


def rebuild(adcs: int, read_ns: float, settings: Mapping[str, str] | None = None) -> Rebuilt:
    """16 linears of 1024 x 1024, one after the other, on 256 x 256 arrays; raises ValueError if a check fails."""
    changes = {"adc.per_array": str(adcs), "read_ns": str(read_ns), **(settings or {})}
    hardware = with_settings(load_hardware("paper256"), changes)
    steps = [{"name": f"s{q}", "linears": [{"name": f"w{q}", "n_in": N, "n_out": N}]} for q in range(16)]
    model = parse_model({"model_type": "linears", "context": 512, "steps": steps}, "squares", "squares")
    problem = make_problem(model, hardware, structure=f"{BLOCK},{BLOCK},1", cut="both")
    headers = {}
    for name in ("linear", "sparsemap"):
        solution, report = solve_and_check(problem, name)
        if not report.passed:
            raise ValueError(f"{name}: {report.violations[0]}")
        headers[name] = solution.header
    mapping = strided_diagonals(problem)
    problem = problem.asking(objective=("arrays",))
    solution = make_solution(problem, mapping, strategy="by hand")
    report = check_solution(solution, problem)
    if not report.passed:
        raise ValueError(f"rebuilt: {report.violations[0]}")
    headers["rebuilt"] = solution.header
    return Rebuilt(adcs, read_ns, headers)


def strided_diagonals(problem: Problem) -> CimMapping:
    """Every factor as a grid of 32 x 32 diagonals, one in each 32 x 32 part of a matrix that covers 4 x 4 arrays.

    In Monarch's permuted order element e of block B is row e*32 + B of the factor, so that each 32 x 32 part of it
    is a diagonal, and a column meets m/b = 8 weights in an array of 256 rows: 3 bits. Each factor takes a rotation
    of its own, and 32 factors fill 16 arrays. In the terms of cimsolve, with the array's rows and columns put in
    another order (which costs nothing), a block is cut into 4 x 4 pieces of 8 x 8; piece (a, d) of block B lies on
    array (a, d), rows 8B, columns 8((B + rotation) mod 32), and fires alone, as all other rows have other inputs.
    """
    part = SIDE // BLOCK
    tiles = BLOCK // part
    columns = [[] for _ in range(9)]
    for factor in problem.workload.factors:
        number = factor.id // 2
        rotation = number if factor.kind == "R" else BLOCK // 2 if number == 0 else BLOCK - number
        block, a, d = (each.ravel() for each in np.indices((BLOCK, tiles, tiles)))
        size = np.full_like(block, part)
        place = (block * part, (block + rotation) % BLOCK * part)
        entry = (np.full_like(block, factor.id), block, a * part, size, d * part, size, a * tiles + d, *place)
        for column, values in zip(columns, entry, strict=True):
            column.append(values)
    pieces = Pieces(*(np.concatenate(column).astype(np.int64) for column in columns))
    return CimMapping(pieces, np.arange(len(pieces), dtype=np.int64))
