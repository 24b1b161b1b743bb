"""What is asked: a model, a chip, limits, and how to search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from cimsolve.chip.read import load_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.json_file import near_name
from cimsolve.files.library import resolve_model
from cimsolve.model import families
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure, StructurePolicy
from cimsolve.problem import tables
from cimsolve.problem.objective import DEFAULT_OBJECTIVE, demand_objective
from cimsolve.problem.problem import Cut, Problem, build_problem
from cimsolve.solve import Event, Search

Structures: TypeAlias = str | Sequence[str] | Mapping[str, Structure]
"""How linears are stored: texts as of `--structure` (`sqrt`, `*.query=dense`), or name -> structure."""


def load_model(path_or_name: Path | str, *, tokens: int | None = None) -> Model:
    """A model by shipped name, `config.json`, or folder that holds one; raises InputError where it is none.

    `tokens` is the context and the length of a prefill; by default the model's context, at most 512.
    """
    return families.load_model(resolve_model(str(path_or_name)), tokens)


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
    structures = resolve_structures(asked, structure)
    return build_problem(chip, asked, structures, cut, max_arrays, max_latency_ns, max_energy_pj)


def make_search(
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    *,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    exact: bool = False,
    start: tables.Mapping | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Search:
    """How to search, checked; raises InputError for an objective or a limit that is none.

    An item of `objective` is a name or a weighted sum of names: ("arrays", "latency:0.7+energy:0.3").
    """
    demand_objective(objective)
    if seed < 0 or workers < 1 or (time_limit_s is not None and not time_limit_s > 0):
        raise InputError(
            f"seed = {seed}, workers = {workers}, time_limit_s = {time_limit_s}: expected a seed from 0, "
            "workers from 1 and a time above 0"
        )
    search = Search(objective=tuple(objective), seed=seed, workers=workers, exact=exact, start=start)
    limit = search.time_limit_s if time_limit_s is None else time_limit_s
    return replace(search, time_limit_s=limit, listen=search.listen if listen is None else listen)


def resolve_structures(model: Model, structure: Structures) -> Mapping[str, Structure]:
    """How each linear is stored. Raises InputError for texts that are none or do not fit."""
    if isinstance(structure, Mapping):
        return structure
    texts = [structure] if isinstance(structure, str) else list(structure)
    shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
    return StructurePolicy.parse(texts).resolve(shapes)


def _demand_known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        near = near_name(name, known)
        hint = f"did you mean {near}? " if near else ""
        raise InputError(f"{what} {name!r}: there is none of that name; {hint}known: {', '.join(known)}")
