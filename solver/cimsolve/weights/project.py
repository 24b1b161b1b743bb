"""A model's real weights in use: projected, written as factors, read back for a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.model.load import Structures, load_model, resolve_structures
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.weights.factor_file import FactorFile, Stored, write_factors
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.forward import load_reference
from cimsolve.weights.inputs import Calibration, InputFile, LinearInputs, heard_in, read_sequences
from cimsolve.weights.names import CALIBRATED, METHODS, SAMPLES_DEFAULT
from cimsolve.weights.projection import ProjectionRow, demand_memory_for, project_linear, structures_stored


def project_model(
    folder: Path | str,
    *,
    structure: Structures = "sqrt",
    method: str = "plain",
    inputs: Path | str | None = None,
    text: Sequence[Path | str] = (),
    samples: int = SAMPLES_DEFAULT,
    seed: int = 0,
    out: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[ProjectionRow]:
    """Project a model folder's weights as `structure` says; a row a linear, with plain low-rank beside it.

    `method` is one of `names.METHODS`. Those that fit outputs need `inputs`, a file of the linears' inputs, or
    `text`, files of which up to `samples` tokens go through the model's reference forward pass; with either, errors of
    the outputs are measured. `out` is a file to write the factors to. Raises InputError as `cimsolve project` says it.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}: there is none of that name; known: {', '.join(METHODS)}")
    model, place = load_model(folder), Path(folder)
    if grouped := [linear for linear in model.linears if linear.groups > 1]:
        raise InputError(
            f"{folder}: {grouped[0].name} has groups = {grouped[0].groups}: it is block-diagonal as it is, and only "
            "whole matrices are projected; leave such linears out of the config, or map the model without project"
        )
    source = open_weights(place, model)
    structures = resolve_structures(model, structure)
    calibration: Calibration | None = None
    most = 0
    if inputs is not None:
        given = InputFile(Path(inputs))
        most, calibration = given.samples(model.linears), given.calibration(model.linears)
    elif text:
        reference = load_reference(model, source)
        sequences = read_sequences(text, place, source, reference.context, samples)
        most, calibration = sum(map(len, sequences)), heard_in(reference, sequences)
    elif method in CALIBRATED:
        raise InputError(f"method {method} fits outputs: it needs inputs; give --text FILE or --inputs FILE")
    demand_memory_for(model.linears, most)
    if out is None:
        keep: AbstractContextManager[Callable[[str, Stored], None] | None] = nullcontext()
    else:
        shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
        written = structures_stored(model.linears, structures, method)
        keep = write_factors(Path(out), shapes, written, {"model": model.name, "method": method, "seed": str(seed)})
    linears, firings = {linear.name: linear for linear in model.linears}, model.firings
    rows: dict[str, ProjectionRow] = {}
    with keep as put:

        def visit(name: str, read: LinearInputs | None) -> None:
            linear = linears[name]
            weight = linear_weight(source, linear.tensor, linear.n_in, linear.n_out)
            tensor = source.find(linear.tensor.name)
            rows[name], stored = project_linear(
                name, weight, structures[name], method=method, inputs=read, seed=seed, tensor=tensor
            )
            rows[name] = replace(rows[name], firings=firings[name])
            if put is not None:
                put(name, stored)
            if progress is not None:
                progress(len(rows), len(linears))

        if calibration is None:
            for name in linears:
                visit(name, None)
        else:
            calibration(visit)
    return [rows[name] for name in linears]


def read_factors(path: Path | str, model: Model) -> FactorFile:
    """The factors that `project_model` wrote for `model`; raises InputError for any other file."""
    found = FactorFile(path)
    found.demand_fits([(linear.name, linear.n_in, linear.n_out) for linear in model.linears], model.name)
    return found


def stored_structures(model: Model, path: Path | str, asked: Sequence[str] = ()) -> Mapping[str, Structure]:
    """How the linears of a file of factors are stored.

    Raises InputError where `asked`, texts as of --structure, says otherwise.
    """
    found = read_factors(path, model).structures
    if asked:
        for name, structure in resolve_structures(model, asked).items():
            if structure != found[name]:
                raise InputError(
                    f"--structure: {name} is asked for as {structure}, {path} holds it as {found[name]}; "
                    "leave --structure away or project again"
                )
    return found
