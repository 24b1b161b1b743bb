"""Which linears are kept and which squeezed, what that loses, and what one more array would buy, by given losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.text import shown_name
from cimsolve.model.chosen import losses_of, read_structures
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.study.choose.losses import Losses
from cimsolve.study.choose.menu import groups_of


@dataclass(frozen=True)
class Swap:
    """Linears that are stored alike, stored another way; cells are counted, not how they pack."""

    linears: tuple[str, ...]
    before: Structure
    after: Structure
    arrays: float
    """How many arrays more, below 0 less."""
    saved: float
    """How much less is lost, below 0 more."""

    @property
    def saved_an_array(self) -> float:
        """Loss saved for each array more, or lost for each one less."""
        return self.saved / self.arrays


@dataclass(frozen=True)
class Kept:
    """How linears are stored, and the losses of that."""

    model: Model
    structures: Mapping[str, Structure]
    losses: Mapping[str, float]
    """Linear -> what it loses as it is stored."""
    larger: tuple[Swap, ...]
    """The best of each group of linears for one array more, those that save most before the others."""
    smaller: tuple[Swap, ...]
    """The best of each for one array less, those that lose least before the others."""

    @property
    def loss(self) -> float:
        """That of all linears together."""
        return sum(self.losses.values())


def kept(model: Model, hardware: Hardware, structures: Mapping[str, Structure], losses: Losses) -> Kept:
    """What these structures lose, and what others would. Raises InputError for a structure that has no loss."""
    array = hardware.array.rows * hardware.weights_per_row
    linears = {linear.name: linear for linear in model.linears}
    for name in linears:
        if structures[name] not in losses[name]:
            raise InputError(
                f"losses: {shown_name(name)} has none as {structures[name]}, as it is stored; expected a number for "
                "it, choose anew"
            )
    larger, smaller = [], []
    for names in groups_of(model):
        before, one = structures[names[0]], linears[names[0]]
        found = []
        for after in losses[names[0]]:
            cells = after.stored_weights(one.n_in, one.n_out) - before.stored_weights(one.n_in, one.n_out)
            if cells:
                saved = sum(losses[name][before] - losses[name][after] for name in names)
                found.append(Swap(names, before, after, len(names) * cells / array, saved))
        larger += sorted((each for each in found if each.arrays > 0), key=lambda each: -each.saved_an_array)[:1]
        smaller += sorted((each for each in found if each.arrays < 0), key=lambda each: each.saved_an_array)[:1]
    return Kept(
        model,
        dict(structures),
        {name: losses[name][structures[name]] for name in linears},
        tuple(sorted(larger, key=lambda each: -each.saved_an_array)),
        tuple(sorted(smaller, key=lambda each: each.saved_an_array)),
    )


def kept_in(problem: Problem, losses: Path | str) -> Kept:
    """The same of the structures of an answer, by a file of structures.

    Raises InputError for a file of another model, and for one without the losses of these structures.
    """
    model = problem.question.model
    found = losses_of(read_structures(losses, model), str(losses))
    try:
        return kept(model, problem.hardware, problem.question.structures, found)
    except InputError as error:
        raise InputError(f"{shown_name(str(losses))}: {error}") from None
