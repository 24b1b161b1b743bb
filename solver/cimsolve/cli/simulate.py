"""`cimsolve simulate`: run a solution's arrays with the non-idealities of cells and converters."""

from __future__ import annotations

import argparse
import math
import os
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.parser import CommandOptions, json_switch, option, solution_files, verbosity
from cimsolve.cli.question import seed_option
from cimsolve.cli.values import OneOf, each_key_once, whole
from cimsolve.errors import CheckError, InputError
from cimsolve.judge.names import CONVERTER_BITS_MAX, Kernel, Pairs, Range

if TYPE_CHECKING:
    from cimsolve.judge.simulate import Noise, RealFactors, RealWeights, Study
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.solution import Header
    from cimsolve.show.text.progress import Progress

VECTORS_MAX = 10**6
STUDY_OPTIONS = ("layers", "vectors", "seed", "pairs", "adc_bits_max", "adc_range", "kernel")
"""Options that `judge.simulate.study` takes as they are."""


def noise(text: str) -> tuple[tuple[str, float], ...]:
    """NAME=VALUE between commas."""
    found = []
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"{part.strip()!r}: expected NAME=NUMBER, such as {name}=0.01")
        found.append((name, number))
    return tuple(found)


run_option = partial(option, group="what is run")
chip_option = partial(option, group="what the arrays are like")


class Options(CommandOptions):
    """`cimsolve simulate`: run solution files. `layers`: None for all; `adc_bits_max`: None for those claimed."""

    usage = "cimsolve simulate FILE... [options]"
    about = (
        "Run the arrays of solution files on batches of random inputs, with the non-idealities of cells and "
        "converters, and show the signal-to-noise ratio of each stage and what it is lost to."
    )
    epilog = """\
noise, each off by default; docs/simulation.md has the equations:
  programming=S           deviation of a programmed cell, as a share of the largest conductance
  programming_relative=S  the same, as a share of the cell's own conductance
  read=S                  deviation of a driven cell at each read, as a share of the largest conductance
  drift=R                 age t/t0: conductances fall by R^-nu, with drift_nu=NU and drift_nu_sigma=S over the cells
  stuck=P                 share of all cells stuck, half off and half on; or stuck_off=P, stuck_on=P
  adc_offset=S            deviation of a converter's offset, in codes
  adc_gain=S              deviation of a converter's gain

exit codes:
  0    done, whatever the noise took
  1    a solution breaks a rule: its arrays would compute something else
  2    a wrong option or a file that cannot be used

examples:
  cimsolve simulate results/minilm-l6--rram256--spread.json
  cimsolve simulate FILE --noise programming=0.03,read=0.01,stuck=0.001 --vectors 64
  cimsolve simulate FILE --adc-bits 5 --adc-range calibrated --weights weights/minilm
"""

    files: tuple[str, ...] = solution_files()
    vectors: int = run_option("--vectors N", "input vectors at once (default: {default})", whole(1, VECTORS_MAX), 16)
    seed: int = seed_option("default: {default}", group="what is run")
    layers: tuple[int, ...] | None = run_option(
        "--layer N",
        "only this layer; repeatable (default: all)",
        whole(0),
        repeat=lambda layers: tuple(dict.fromkeys(layers)),
    )
    weights: str | None = run_option(
        "--weights PATH",
        "the model's folder of *.safetensors, or factors that `cimsolve project --out` wrote, in place of random "
        "weights over all levels",
        complete="file",
    )
    kernel: Kernel = run_option(
        "--kernel WHICH",
        "what multiplies and converts: numpy, or numba, compiled and several times faster, which needs "
        "cimsolve[fast]; the numbers are the same (default: {default}, numba where there is enough to do)",
        OneOf(get_args(Kernel)),
        "auto",
    )
    noise: tuple[tuple[str, float], ...] = chip_option(
        "--noise NAME=VALUE[,NAME=VALUE]",
        "non-idealities, as below; repeatable",
        noise,
        (),
        repeat=lambda groups: each_key_once("name")(tuple(chain.from_iterable(groups))),
    )
    adc_bits_max: int | None = chip_option(
        "--adc-bits N",
        "at most so many bits for every converter (default: those of the solution)",
        whole(1, CONVERTER_BITS_MAX),
    )
    adc_range: Range = chip_option(
        "--adc-range WHICH",
        "what converters cover: full, any sum there can be; calibrated, what the inputs cause (default: {default})",
        OneOf(get_args(Range)),
        "full",
    )
    pairs: Pairs = chip_option(
        "--pairs HOW",
        "a differential pair's columns: converted apart, as time and energy count them, or subtracted before one "
        "converter (default: {default})",
        OneOf(get_args(Pairs)),
        "converted",
    )
    json: bool = json_switch()
    verbosity: int = verbosity("one line a file", "also every stage")


def run(options: Options) -> int:
    """Simulate every file; returns 2 where one cannot be used, else 1 where one breaks a rule, else 0.

    Raises InputError for noise out of range and a kernel that is not installed.
    """
    from cimsolve.judge.simulate.bitplanes import demand_kernel
    from cimsolve.judge.simulate.noise import noise_from
    from cimsolve.problem.plan import is_plan
    from cimsolve.show.text.simulate import SIMULATE_FORMAT, describe_study, print_study

    noise = noise_from(dict(options.noise))
    demand_kernel(options.kernel)

    def look(name: str, progress: Progress) -> Found:
        if is_plan(Path(name)):
            return _look_at_plan(name, options, noise, progress)
        header, found = _simulate(name, options, noise, progress)
        real = options.weights is not None
        return Found(
            False,
            lambda: describe_study(header, found),
            lambda: print_study(name, header, found, options.verbosity, real_weights=real),
        )

    return each_file(options.files, look, form=SIMULATE_FORMAT, json=options.json, progress=options.verbosity >= 0)


def _simulate(name: str, options: Options, noise: Noise, progress: Progress) -> tuple[Header, Study]:
    """The study of one file. Raises InputError where it cannot be used, CheckError where it breaks a rule."""
    from cimsolve.judge.check import check_solution
    from cimsolve.judge.simulate import study
    from cimsolve.problem.solution import read_solution

    solution = read_solution(Path(name))
    problem, _, _ = check_solution(solution).demand_passed(
        lambda violation: f"{name}: {violation}; expected a solution that passes its check"
    )
    weights, factors = _real_numbers(problem, options.weights)
    progress.begin(f"simulating {name}")
    found = study(
        problem,
        solution.pieces,
        solution.activations,
        weights=weights,
        factors=factors,
        noise=noise,
        progress=progress.count,
        **{name: getattr(options, name) for name in STUDY_OPTIONS},
    )
    return solution.header, found


def _look_at_plan(name: str, options: Options, noise: Noise, progress: Progress) -> Found:
    """An answer in runs: whether its arrays give the whole model's numbers, and the study of all its runs."""
    from cimsolve.judge.check.plan import check_plan
    from cimsolve.judge.simulate.plan import simulate_plan, study_plan
    from cimsolve.problem.plan import read_plan
    from cimsolve.problem.problem import Problem
    from cimsolve.show.text.plan import describe_simulated, print_simulated
    from cimsolve.show.text.simulate import describe_study, print_study

    plan = read_plan(Path(name))
    if violations := check_plan(plan).violations:
        raise CheckError(f"{name}: {violations[0]}; expected an answer that passes its check")
    weights, factors = _real_numbers(Problem(plan.question()), options.weights)
    numbers: dict[str, Any] = {"layers": options.layers, "vectors": options.vectors, "seed": options.seed}
    progress.begin(f"simulating {name}")
    whole = simulate_plan(plan, **numbers, weights=weights, factors=factors, progress=progress.count)
    how = {name: getattr(options, name) for name in STUDY_OPTIONS if name not in numbers}
    found = study_plan(plan, **numbers, weights=weights, factors=factors, noise=noise, progress=progress.count, **how)

    def show() -> None:
        print_study(name, plan.header, found, options.verbosity, real_weights=options.weights is not None)
        print_simulated(plan, whole)

    return Found(
        not whole.passed, lambda: {**describe_study(plan.header, found), "whole": describe_simulated(whole)}, show
    )


def _real_numbers(problem: Problem, path: str | None) -> tuple[RealWeights | None, RealFactors | None]:
    """Weights of a folder, or a file's factors and their products. Raises InputError where they do not fit."""
    from cimsolve.weights.folder import weights_beside
    from cimsolve.weights.project import read_factors

    if path is None:
        return None, None
    if os.path.isdir(path):
        weights = weights_beside(problem.model, path)
        if weights is None:
            raise InputError(f"--weights {path}: expected a folder with *.safetensors or a file of factors")
        return weights, None
    if not os.path.exists(path):
        raise InputError(f"--weights {path}: there is nothing of that name; expected a folder or a file of factors")
    stored = read_factors(path, problem.model)
    for name, structure in problem.structures.items():
        if not structure.is_dense and structure != stored.structures[name]:
            raise InputError(
                f"--weights {path}: holds {name} as {stored.structures[name]}, the solution stores it as {structure}; "
                "expected the factors that it was made with"
            )
    return stored.weights, stored.factors
