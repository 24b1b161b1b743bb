"""The Python API: what the command line does, in a few calls. `import cimsolve` offers it lazily."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from cimsolve import model as models
from cimsolve import run, solution
from cimsolve.arrays import Floats
from cimsolve.check import CheckReport, rebuild_problem
from cimsolve.check import check_solution as check_read_solution
from cimsolve.errors import CheckError, InputError
from cimsolve.hardware import Hardware
from cimsolve.hardware import load_hardware as load_hardware
from cimsolve.jsonfile import near_name
from cimsolve.library import resolve_model
from cimsolve.model import Linear, Model
from cimsolve.problem import Cut, Problem, build_problem
from cimsolve.simulate import RealWeights, SimulationReport, simulate
from cimsolve.solution import Solution
from cimsolve.strategies import DEFAULT_OBJECTIVE, OBJECTIVES, STRATEGIES, Event, Search
from cimsolve.structure import Structure, StructurePolicy
from cimsolve.weights import WeightFolder, linear_weight

Structures: TypeAlias = str | Sequence[str] | Mapping[str, Structure]
"""How linears are stored: texts as of `--structure` (`sqrt`, `*.query=dense`), or name -> structure."""


def load_model(path_or_name: Path | str, *, tokens: int | None = None) -> Model:
    """A model by shipped name, `config.json`, or folder that holds one; raises InputError where it is none.

    `tokens` is the context and the length of a prefill; by default the model's context, at most 512.
    """
    return models.load_model(resolve_model(str(path_or_name)), tokens)


def make_problem(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    tokens: int | None = None,
) -> Problem:
    """One mapping question, checked; raises InputError where its parts are wrong or do not fit together.

    `tokens` is for a model given by name or path; a loaded one has its own.
    """
    if isinstance(model, Model):
        if tokens not in (None, model.tokens):
            raise InputError(
                f"tokens = {tokens}: {model.name} is loaded for {model.tokens}; give load_model the number"
            )
        asked = model
    else:
        asked = load_model(model, tokens=tokens)
    chip = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    return build_problem(chip, asked, _resolve_structures(asked, structure), cut, max_arrays)


def make_search(
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    *,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    listen: Callable[[Event], None] | None = None,
) -> Search:
    """How to search, checked; raises InputError for an objective or a limit that is none."""
    for name in objective:
        if name not in OBJECTIVES:
            near = near_name(name, OBJECTIVES)
            hint = f"did you mean {near}? " if near else ""
            raise InputError(
                f"objective {name!r}: there is none of that name; {hint}known: {', '.join(OBJECTIVES)}"
            )
    if not objective or len(set(objective)) < len(objective):
        raise InputError(f"objective {','.join(objective)!r}: expected one or more names, each once")
    if seed < 0 or workers < 1 or (time_limit_s is not None and not time_limit_s > 0):
        raise InputError(
            f"seed = {seed}, workers = {workers}, time_limit_s = {time_limit_s}: expected a seed from 0, "
            "workers from 1 and a time above 0"
        )
    search = Search(objective=tuple(objective), seed=seed, workers=workers)
    limit = search.time_limit_s if time_limit_s is None else time_limit_s
    return replace(search, time_limit_s=limit, listen=search.listen if listen is None else listen)


def map_model(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    strategy: str = "optimal",
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    tokens: int | None = None,
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    listen: Callable[[Event], None] | None = None,
) -> Solution:
    """Place and schedule a model; the solution carries metrics, bounds and status and has passed the checker.

    Raises InputError for a question that is none, InfeasibleError where no mapping obeys the limits, and
    CheckError where the answer breaks a rule, which is a bug in cimsolve. `listen` is told of the progress.
    """
    if strategy not in STRATEGIES:
        near = near_name(strategy, STRATEGIES)
        hint = f"did you mean {near}? " if near else ""
        raise InputError(
            f"strategy {strategy!r}: there is none of that name; {hint}known: {', '.join(STRATEGIES)}"
        )
    search = make_search(objective, time_limit_s=time_limit_s, seed=seed, workers=workers, listen=listen)
    problem = make_problem(
        model, hardware, structure=structure, cut=cut, max_arrays=max_arrays, tokens=tokens
    )
    answer, report = run.solve_and_check(problem, strategy, search)
    if not report.passed:
        raise CheckError(
            f"{strategy} on {problem.model.name}: {report.violations[0]}; please report this bug"
        )
    return answer


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
) -> SimulationReport:
    """Run a solution's arrays on random vectors and compare with the integer products; `layers` None: all."""
    solved = answer if isinstance(answer, Solution) else read_solution(answer)
    return simulate(
        rebuild_problem(solved),
        solved.pieces,
        solved.activations,
        layers=layers,
        vectors=vectors,
        seed=seed,
        weights=weights,
    )


def read_solution(path: Path | str) -> Solution:
    """Read a solution file; raises InputError where it is none. Its claims are not checked."""
    return solution.read_solution(Path(path))


def write_solution(answer: Solution, path: Path | str) -> list[Path]:
    """Write a solution as JSON (large tables as .npz beside it); returns the files written."""
    return solution.write_solution(answer, Path(path))


def weights_beside(model: Model, path_or_name: Path | str) -> FolderWeights | None:
    """The real weights of a model given as a folder; None where it is no folder or holds no safetensors.

    Raises InputError where they are damaged or do not fit the config; only headers are read.
    """
    folder = Path(path_or_name)
    if not (folder.is_dir() and any(folder.glob("*.safetensors"))):
        return None
    return FolderWeights(WeightFolder(folder), model)


class FolderWeights(Mapping[str, Floats]):
    """Linear name -> its weight matrix, (n_in, n_out), read from disk each time it is asked for."""

    def __init__(self, folder: WeightFolder, model: Model) -> None:
        """Raises InputError where a tensor is missing or its shape is not what the model's config says."""
        self._folder = folder
        self._linears = {linear.name: linear for linear in model.linears}
        for linear in model.linears:
            if not _fits(folder, linear):
                self[linear.name]  # raises, and says how they differ

    def __getitem__(self, name: str) -> Floats:
        linear = self._linears[name]
        return linear_weight(self._folder, linear.tensor, linear.n_in, linear.n_out).astype(np.float64)

    def __contains__(self, name: object) -> bool:
        return name in self._linears

    def __iter__(self) -> Iterator[str]:
        return iter(self._linears)

    def __len__(self) -> int:
        return len(self._linears)


def _demand_known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        near = near_name(name, known)
        hint = f"did you mean {near}? " if near else ""
        raise InputError(f"{what} {name!r}: there is none of that name; {hint}known: {', '.join(known)}")


def _resolve_structures(model: Model, structure: Structures) -> Mapping[str, Structure]:
    if isinstance(structure, Mapping):
        return structure
    texts = [structure] if isinstance(structure, str) else list(structure)
    shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
    return StructurePolicy.parse(texts).resolve(shapes)


def _fits(folder: WeightFolder, linear: Linear) -> bool:
    """Whether the stored tensor has the linear's shape, by its header alone."""
    shape, ref = folder.shape(linear.tensor.name), linear.tensor
    if len(shape) != 2:
        return False
    n_out, n_in = shape if ref.layout == "out_in" else shape[::-1]
    stop = n_out if ref.stop is None else ref.stop
    return n_in == linear.n_in and stop - ref.start == linear.n_out and stop <= n_out
