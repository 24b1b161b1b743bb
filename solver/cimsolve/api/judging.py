"""What becomes of a solution: read, written, checked, simulated, replayed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cimsolve.judge.check import CheckReport, rebuild_problem
from cimsolve.judge.check import check_solution as check_read_solution
from cimsolve.judge.replay import Controller, Replay, SharedUnits, replay
from cimsolve.judge.simulate import (
    ArraySimulator,
    Noise,
    RealFactors,
    RealWeights,
    SimulationReport,
    Study,
    simulate,
    study,
)
from cimsolve.judge.simulate.prepare import Pairs
from cimsolve.judge.simulate.simulator import Range
from cimsolve.problem import solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution


def read_solution(path: Path | str) -> Solution:
    """Read a solution file; raises InputError where it is none. Its claims are not checked."""
    return solution.read_solution(Path(path))


def write_solution(answer: Solution, path: Path | str) -> list[Path]:
    """Write a solution as JSON (large tables as .npz beside it); returns the files written."""
    return solution.write_solution(answer, Path(path))


def check_solution(answer: Solution | Path | str) -> CheckReport:
    """Judge a solution or its file: every rule, every figure. Raises InputError for a file that is none."""
    return check_read_solution(answer if isinstance(answer, Solution) else read_solution(answer))


def simulate_solution(
    answer: Solution | Path | str,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 1,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
) -> SimulationReport:
    """Run a solution's arrays on random vectors and compare with the integer products; `layers` None: all.

    `weights` and `factors` are as for `simulate`: those of `read_factors(...)` among them.
    """
    solved = answer if isinstance(answer, Solution) else read_solution(answer)
    return simulate(
        rebuild_problem(solved),
        solved.pieces,
        solved.activations,
        layers=layers,
        vectors=vectors,
        seed=seed,
        weights=weights,
        factors=factors,
    )


def study_solution(
    answer: Solution | Path | str,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 16,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
    noise: Noise | None = None,
    pairs: Pairs = "converted",
    adc_bits_max: int | None = None,
    adc_range: Range = "full",
) -> Study:
    """Signal to noise of each stage with `noise`, effect by effect; `simulate.study` says what the options mean.

    Raises CheckError for a solution that breaks a rule, InputError for options that do not fit.
    """
    solved, problem = _legal(answer)
    return study(
        problem,
        solved.pieces,
        solved.activations,
        layers=layers,
        vectors=vectors,
        seed=seed,
        weights=weights,
        factors=factors,
        noise=noise,
        pairs=pairs,
        adc_bits_max=adc_bits_max,
        adc_range=adc_range,
    )


def make_simulator(answer: Solution | Path | str, **options: Any) -> ArraySimulator:
    """A solution's arrays, programmed, to run its linears on real inputs; `options` are those of `ArraySimulator`.

    Raises CheckError for a solution that breaks a rule, InputError for options that do not fit.
    """
    solved, problem = _legal(answer)
    return ArraySimulator(problem, solved.pieces, solved.activations, **options)


def replay_solution(
    answer: Solution | Path | str,
    *,
    tokens: int | None = None,
    stream: int | None = None,
    controller: Controller = "paced",
    gaps: SharedUnits = "apart",
) -> Replay:
    """Replay a solution by discrete events and compare with the equations: one token, a prefill, a stream.

    Options as of `cimsolve.judge.replay.replay`. Raises CheckError for a solution that fails its check, and InputError
    for a file that is none or numbers of tokens that are none.
    """
    solved = answer if isinstance(answer, Solution) else read_solution(answer)
    _, costs, _ = check_read_solution(solved).demand_passed(
        lambda violation: f"the solution fails its check, {violation}; expected one that passes"
    )
    return replay(
        solved.activations,
        costs,
        tokens=tokens,
        stream=stream,
        controller=controller,
        gaps=gaps,
    )


def _legal(answer: Solution | Path | str) -> tuple[Solution, Problem]:
    """The solution and its question, which the checker has rebuilt."""
    solved = answer if isinstance(answer, Solution) else read_solution(answer)
    verdict = check_read_solution(solved).demand_passed(
        lambda violation: f"the solution breaks a rule: {violation}; expected one that passes its check"
    )
    return solved, verdict.problem
