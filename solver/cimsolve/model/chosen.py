"""Files of structures: how each linear of a model is stored, and what other ways would lose, as `choose` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, read_json
from cimsolve.files.kinds import STRUCTURES, demand_kind
from cimsolve.files.text import shown_name
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure

BYTES_MAX = 2**27

Loss = Annotated[float, Field(ge=0, le=1e100, allow_inf_nan=False)]


class ChosenLinear(BaseModel):
    """One linear, and how it is stored; `losses` by structure, the others that it could have among them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    n_in: int
    n_out: int
    structure: str
    losses: dict[str, Loss] = {}


class StructureFile(BaseModel):
    """All linears of a model. `loss` names how losses were found, `command` what wrote the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["cimsolve-structures/1"] = "cimsolve-structures/1"
    model: str
    loss: str = ""
    command: str = ""
    linears: dict[str, ChosenLinear]

    def structures(self) -> dict[str, Structure]:
        """Linear -> how it is stored. Raises InputError for texts that are no structures."""
        return {name: Structure.parse(each.structure) for name, each in self.linears.items()}


def read_structures(path: Path | str, model: Model) -> StructureFile:
    """The file of structures at `path`, whose linears are those of `model`; raises InputError for any other."""
    shown = shown_name(str(path))
    content = read_json(path, BYTES_MAX)
    demand_kind(content, STRUCTURES, shown)
    try:
        found = StructureFile.model_validate(content)
    except ValidationError as error:
        raise InputError(first_problem(error, shown, StructureFile)) from None
    linears = {linear.name: linear for linear in model.linears}
    for name in (*linears, *found.linears):
        if name not in linears or name not in found.linears:
            where = "the file has" if name in found.linears else "the model has"
            raise InputError(
                f"{shown}: {where} alone a linear {shown_name(name)}; expected those of {model.name}, choose anew"
            )
        shape, linear = found.linears[name], linears[name]
        if (shape.n_in, shape.n_out) != (linear.n_in, linear.n_out):
            raise InputError(
                f"{shown}: {shown_name(name)} is {shape.n_in} x {shape.n_out}; expected {linear.n_in} x {linear.n_out} "
                f"as in {model.name}, choose anew"
            )
        for text in (shape.structure, *shape.losses):
            try:
                Structure.parse(text).validate(linear.n_in, linear.n_out, name)
            except InputError as error:
                raise InputError(f"{shown}: {shown_name(name)}: {error}") from None
    return found


def losses_of(found: StructureFile, shown: str) -> Mapping[str, Mapping[Structure, float]]:
    """Linear -> structure -> loss. Raises InputError for a linear without losses."""
    for name, each in found.linears.items():
        if not each.losses:
            raise InputError(f"{shown}: {shown_name(name)} has no losses; expected a number for each way of storing it")
    return {
        name: {Structure.parse(text): loss for text, loss in each.losses.items()}
        for name, each in found.linears.items()
    }
