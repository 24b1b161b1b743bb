"""The Python API: what the command line does, in a few calls. `import cimsolve` offers it lazily."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from cimsolve import architectures, mapping, run, solution
from cimsolve.arrays import Floats
from cimsolve.check import RULES, CheckReport, rebuild_problem
from cimsolve.check import check_solution as check_read_solution
from cimsolve.errors import CheckError, InputError
from cimsolve.hardware import Hardware
from cimsolve.hardware import load_hardware as load_hardware
from cimsolve.jsonfile import near_name, one_line, shown_value
from cimsolve.library import resolve_model
from cimsolve.model import Linear, Model
from cimsolve.problem import Cut, Problem, build_problem
from cimsolve.records import make_solution
from cimsolve.replay import Controller, Replay, SharedUnits, replay
from cimsolve.simulate import RealWeights, SimulationReport, simulate
from cimsolve.solution import Solution
from cimsolve.strategies import DEFAULT_OBJECTIVE, OBJECTIVES, STRATEGIES, Event, Search
from cimsolve.strategies.optimal.pareto import FrontPoint, find_front
from cimsolve.strategies.optimal.solve import demand_exact
from cimsolve.structure import Structure, StructurePolicy
from cimsolve.weights import WeightFolder, linear_weight

Structures: TypeAlias = str | Sequence[str] | Mapping[str, Structure]
"""How linears are stored: texts as of `--structure` (`sqrt`, `*.query=dense`), or name -> structure."""


def load_model(path_or_name: Path | str, *, tokens: int | None = None) -> Model:
    """A model by shipped name, `config.json`, or folder that holds one; raises InputError where it is none.

    `tokens` is the context and the length of a prefill; by default the model's context, at most 512.
    """
    return architectures.load_model(resolve_model(str(path_or_name)), tokens)


def make_problem(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
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
    structures = _resolve_structures(asked, structure)
    return build_problem(chip, asked, structures, cut, max_arrays, max_latency_ns, max_energy_pj)


def make_search(
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    *,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    exact: bool = False,
    start: mapping.Mapping | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Search:
    """How to search, checked; raises InputError for an objective or a limit that is none."""
    for name in objective:
        if name not in OBJECTIVES:
            near = near_name(name, OBJECTIVES)
            hint = f"did you mean {near}? " if near else ""
            raise InputError(f"objective {name!r}: there is none of that name; {hint}known: {', '.join(OBJECTIVES)}")
    if not objective or len(set(objective)) < len(objective):
        raise InputError(f"objective {','.join(objective)!r}: expected one or more names, each once")
    if seed < 0 or workers < 1 or (time_limit_s is not None and not time_limit_s > 0):
        raise InputError(
            f"seed = {seed}, workers = {workers}, time_limit_s = {time_limit_s}: expected a seed from 0, "
            "workers from 1 and a time above 0"
        )
    search = Search(objective=tuple(objective), seed=seed, workers=workers, exact=exact, start=start)
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
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
    tokens: int | None = None,
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    exact: bool = False,
    start: Solution | Path | str | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Solution:
    """Place and schedule a model; the solution carries metrics, bounds and status and has passed the checker.

    `exact` and `start` are for `optimal`: insist on the exact model; begin with a solution of the same question.

    Raises InputError for a question that is none, InfeasibleError where no mapping obeys the limits, and
    CheckError where the answer breaks a rule, which is a bug in cimsolve. `listen` is told of the progress.
    """
    if strategy not in STRATEGIES:
        near = near_name(strategy, STRATEGIES)
        hint = f"did you mean {near}? " if near else ""
        raise InputError(f"strategy {strategy!r}: there is none of that name; {hint}known: {', '.join(STRATEGIES)}")
    problem = make_problem(
        model,
        hardware,
        structure=structure,
        cut=cut,
        max_arrays=max_arrays,
        max_latency_ns=max_latency_ns,
        max_energy_pj=max_energy_pj,
        tokens=tokens,
    )
    search = make_search(
        objective,
        time_limit_s=time_limit_s,
        seed=seed,
        workers=workers,
        exact=exact,
        start=None if start is None else start_from(start, problem),
        listen=listen,
    )
    if strategy == "optimal":
        demand_exact(problem, search)
    answer, report = run.solve_and_check(problem, strategy, search)
    _demand_passed(report, strategy)
    return answer


def map_front(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
    tokens: int | None = None,
    time_limit_s: float | None = None,
    listen: Callable[[Event], None] | None = None,
) -> list[Solution]:
    """The mappings that none found beats in arrays, token latency, prefill, II and energy at once; by arrays.

    Each has passed the checker; a gap of 0 in its bounds says that no mapping on as many arrays has less. Raises
    as `map_model` does.
    """
    problem = make_problem(
        model,
        hardware,
        structure=structure,
        cut=cut,
        max_arrays=max_arrays,
        max_latency_ns=max_latency_ns,
        max_energy_pj=max_energy_pj,
        tokens=tokens,
    )
    began = time.monotonic()
    points = search_front(problem, make_search(time_limit_s=time_limit_s, listen=listen))
    seconds = time.monotonic() - began
    found = [solution_of_point(problem, point, runtime_s=seconds) for point in points]
    for answer in found:
        _demand_passed(check_read_solution(answer, problem), answer.header.strategy)
    return found


def search_front(problem: Problem, search: Search) -> list[FrontPoint]:
    """The points of the front, at least one; after an interrupt those found until then.

    Raises InfeasibleError, which names what is short, where the limits leave none.
    """
    events: list[str] = []

    def listen(event: Event) -> None:
        if event.phase == "interrupted":
            events.append(event.phase)
        search.listen(event)

    points = find_front(problem, replace(search, listen=listen))
    if points:
        return points
    if events:
        raise KeyboardInterrupt
    # The solver tries more than the front does; where it finds nothing either, it says what is short.
    answer = run.solve(problem, "optimal", search)
    fires = answer.activations.of_piece(len(answer.pieces))
    return [FrontPoint("solver", mapping.Mapping(answer.pieces, fires), answer.header.metrics)]


def solution_of_point(problem: Problem, point: FrontPoint, runtime_s: float) -> Solution:
    """A point of the front with its claims; `runtime_s` is that of the search for the whole front."""
    return make_solution(
        problem,
        point.mapping,
        strategy="optimal",
        objective=DEFAULT_OBJECTIVE,
        seed=0,
        runtime_s=round(runtime_s, 3),
    )


def start_from(answer: Solution | Path | str, problem: Problem) -> mapping.Mapping:
    """The mapping of a solution of the same question, limits and allowed cuts apart, for a search to start from.

    Raises InputError where the question differs, where the solution fails its check, or where `problem` does not
    allow its cuts or its number of arrays.
    """
    name = "the given solution" if isinstance(answer, Solution) else str(answer)
    given = answer if isinstance(answer, Solution) else read_solution(answer)
    try:
        theirs = rebuild_problem(given)
    except InputError as error:
        raise InputError(f"--start {name}: {error}") from None
    difference = first_difference(_question(theirs), _question(problem))
    if difference is not None:
        raise InputError(f"--start {name}: {difference}; expected a solution of the same question")
    report = check_read_solution(given)
    if report.passed and theirs.cut != problem.cut:
        options = given.header.options.model_copy(update={"cut": problem.cut})
        recut = replace(given, header=given.header.model_copy(update={"options": options}))
        report = check_read_solution(recut, rules=[rule for rule in RULES if not rule.on_claims])
    if not report.passed:
        raise InputError(f"--start {name}: fails its check, {report.violations[0]}; expected a solution that passes")
    # Arrays are counted by their highest number: those that hold nothing must not have one.
    used, array = np.unique(given.pieces.array, return_inverse=True)
    if problem.array_limit is not None and len(used) > problem.array_limit:
        raise InputError(
            f"--start {name}: uses {len(used)} arrays, the limit is {problem.array_limit}; expected as few or fewer"
        )
    pieces = replace(given.pieces, array=array.reshape(-1).astype(np.int64))
    return mapping.Mapping(pieces, given.activations.of_piece(len(given.pieces)))


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


def replay_solution(
    answer: Solution | Path | str,
    *,
    tokens: int | None = None,
    stream: int | None = None,
    controller: Controller = "paced",
    gaps: SharedUnits = "apart",
) -> Replay:
    """Replay a solution by discrete events and compare with the equations: one token, a prefill, a stream.

    Options as of `cimsolve.replay.replay`. Raises CheckError for a solution that fails its check, and InputError
    for a file that is none or numbers of tokens that are none.
    """
    solved = answer if isinstance(answer, Solution) else read_solution(answer)
    report = check_read_solution(solved)
    if not report.passed or report.problem is None or report.costs is None:
        raise CheckError(f"the solution fails its check, {report.violations[0]}; expected one that passes")
    return replay(
        report.problem,
        solved.pieces,
        solved.activations,
        report.costs,
        tokens=tokens,
        stream=stream,
        controller=controller,
        gaps=gaps,
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


def _demand_passed(report: CheckReport, strategy: str) -> None:
    if not report.passed:
        raise CheckError(f"{strategy}: {report.violations[0]}; please report this bug")


def _question(problem: Problem) -> dict[str, Any]:
    """All of a question but its limits, as a solution file holds it."""
    return {
        "hw": problem.hardware.to_json(),
        "model": dict(problem.model.config),
        "structure": {name: str(structure) for name, structure in problem.structures.items()},
        "options": {"tokens": problem.model.tokens},
    }


def first_difference(theirs: Any, ours: Any, path: str = "") -> str | None:
    """Where two pieces of JSON first differ, by the path of keys, and how; None where they are equal."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [key for key in ours if key in theirs]:
            difference = first_difference(theirs[key], ours[key], f"{path}.{key}".lstrip("."))
            if difference is not None:
                return difference
        for key in [*theirs, *ours]:
            if key not in theirs or key not in ours:
                return f"{one_line(f'{path}.{key}'.lstrip('.'))} is {'only' if key in theirs else 'not'} in the file"
        return None
    if theirs == ours:
        return None
    return f"{one_line(path)} is {shown_value(theirs)} there and {shown_value(ours)} in the question"


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
