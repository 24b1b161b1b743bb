"""`cimsolve simulate`: run a solution's arrays with the non-idealities of cells and converters."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.options.simulate import SimulateOptions
from cimsolve.errors import CheckError, InputError
from cimsolve.judge.check import check_solution
from cimsolve.judge.simulate import Noise, RealFactors, RealWeights, Study, study
from cimsolve.judge.simulate.bitplanes import Kernel, demand_kernel
from cimsolve.judge.simulate.noise import noise_from
from cimsolve.judge.simulate.prepare import Pairs
from cimsolve.judge.simulate.simulator import Range
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header, read_solution
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.simulate import SIMULATE_FORMAT, describe_study, print_study
from cimsolve.weights.folder import weights_beside
from cimsolve.weights.project import read_factors


def run(options: SimulateOptions) -> int:
    """Simulate every file; returns 2 where one cannot be used, else 1 where one breaks a rule, else 0.

    Raises InputError for noise out of range and a kernel that is not installed.
    """
    noise = noise_from(dict(options.noise))
    demand_kernel(cast(Kernel, options.kernel))

    def look(name: str, progress: Progress) -> Found:
        header, found = _simulate(name, options, noise, progress)
        real = options.weights is not None
        return Found(
            False,
            lambda: describe_study(header, found),
            lambda: print_study(name, header, found, options.verbosity, real_weights=real),
        )

    return each_file(options.files, look, form=SIMULATE_FORMAT, json=options.json, progress=options.verbosity >= 0)


def _simulate(name: str, options: SimulateOptions, noise: Noise, progress: Progress) -> tuple[Header, Study]:
    """The study of one file. Raises InputError where it cannot be used, CheckError where it breaks a rule."""
    progress.begin(f"checking {name}")
    solution = read_solution(Path(name))
    report = check_solution(solution)
    if not report.passed or report.problem is None:
        raise CheckError(f"{name}: {report.violations[0]}; expected a solution that passes its check")
    problem = report.problem
    weights, factors = _real_numbers(problem, options.weights)
    progress.begin(f"simulating {name}")
    found = study(
        problem,
        solution.pieces,
        solution.activations,
        layers=options.layers,
        vectors=options.vectors,
        seed=options.seed,
        weights=weights,
        factors=factors,
        noise=noise,
        pairs=cast(Pairs, options.pairs),
        adc_bits_max=options.adc_bits_max,
        adc_range=cast(Range, options.adc_range),
        kernel=cast(Kernel, options.kernel),
        progress=progress.count,
    )
    return solution.header, found


def _real_numbers(problem: Problem, path: str | None) -> tuple[RealWeights | None, RealFactors | None]:
    """Weights of a folder, or a file's factors and their products. Raises InputError where they do not fit."""
    if path is None:
        return None, None
    if Path(path).is_dir():
        weights = weights_beside(problem.model, path)
        if weights is None:
            raise InputError(f"--weights {path}: expected a folder with *.safetensors or a file of factors")
        return weights, None
    if not Path(path).exists():
        raise InputError(f"--weights {path}: there is nothing of that name; expected a folder or a file of factors")
    stored = read_factors(path, problem.model)
    for name, structure in problem.structures.items():
        if not structure.is_dense and structure != stored.structures[name]:
            raise InputError(
                f"--weights {path}: holds {name} as {stored.structures[name]}, the solution stores it as {structure}; "
                "expected the factors that it was made with"
            )
    return stored.weights, stored.factors
