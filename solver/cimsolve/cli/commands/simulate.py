"""`cimsolve simulate`: run a solution's arrays with the non-idealities of cells and converters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from cimsolve.api import weights_beside
from cimsolve.check import check_solution
from cimsolve.cli.options.simulate import SimulateOptions
from cimsolve.errors import InputError
from cimsolve.problem import Problem
from cimsolve.real_weights import read_factors
from cimsolve.report.console import print_json, say
from cimsolve.report.progress import Progress
from cimsolve.report.simulate import SIMULATE_FORMAT, describe_study, print_study
from cimsolve.simulate import Noise, RealFactors, RealWeights, Study, study
from cimsolve.simulate.bitplanes import Kernel, demand_kernel
from cimsolve.simulate.noise import noise_from
from cimsolve.simulate.prepare import Pairs
from cimsolve.simulate.simulator import Range
from cimsolve.solution import Header, read_solution

EXIT_DONE, EXIT_FAILED = 0, 1


def run(options: SimulateOptions) -> int:
    """Simulate every file; returns 2 where one cannot be used, else 1 where one breaks a rule, else 0.

    Raises InputError for noise out of range and a kernel that is not installed.
    """
    noise = noise_from(dict(options.noise))
    demand_kernel(cast(Kernel, options.kernel))
    code = EXIT_DONE
    found: dict[str, Any] = {}
    for name in options.files:
        try:
            with Progress(options.verbosity >= 0) as progress:
                answer = _simulate(name, options, noise, progress)
        except InputError as error:
            code = error.exit_code
            found[name] = {"error": str(error)}
            say(f"error: {error}")
            continue
        if isinstance(answer, str):
            code = max(code, EXIT_FAILED)
            found[name] = {"error": answer}
            say(f"error: {name}: {answer}")
            continue
        header, report = answer
        if options.json:
            found[name] = describe_study(header, report)
        else:
            print_study(name, header, report, options.verbosity, real_weights=options.weights is not None)
    if options.json:
        print_json({"format": SIMULATE_FORMAT, "files": found, "exit_code": code})
    return code


def _simulate(name: str, options: SimulateOptions, noise: Noise, progress: Progress) -> tuple[Header, Study] | str:
    """The study of one file, or which rule it breaks. Raises InputError for a file that cannot be used."""
    progress.begin(f"checking {name}")
    solution = read_solution(Path(name))
    report = check_solution(solution)
    if not report.passed or report.problem is None:
        return f"{report.violations[0]}; expected a solution that passes its check"
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
