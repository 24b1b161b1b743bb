"""What is asked: a chip, a model and how its linears are stored, the terms, and what is minimised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.text import one_line, shown_value
from cimsolve.model.cut import cut_steps
from cimsolve.model.families import parse_model
from cimsolve.model.load import Structures, load_model, resolve_structures
from cimsolve.model.model import Model, Step
from cimsolve.model.part import part_of
from cimsolve.model.structure import Structure
from cimsolve.problem.objective import DEFAULT_OBJECTIVE, demand_objective
from cimsolve.problem.routing import is_counted
from cimsolve.problem.terms import OF_MODEL, Terms


class Difference(NamedTuple):
    """Where two pieces of JSON first differ: the path of keys, and what stands there; ABSENT where nothing does."""

    path: str
    mine: object
    theirs: object

    def told(self, mine: str, theirs: str) -> str:
        """The difference in words, with names for the two sides such as "in the file"."""
        path = one_line(self.path)
        if ABSENT in (self.mine, self.theirs):
            return f"{path} is {'only' if self.theirs is ABSENT else 'not'} {mine}"
        return f"{path} is {shown_value(self.mine)} {mine} and {shown_value(self.theirs)} {theirs}"


ABSENT = object()
"""What a side of a Difference has where the key is not there."""


@dataclass(frozen=True)
class Question:
    """One mapping question, checked; `terms.tokens` and `terms.source_tokens` are those of the model.

    Raises InputError for a structure that names no linear of the model, a missing one, a `k` or `l` that does not
    divide, and an objective that is none.
    """

    KEYS: ClassVar = ("hw", "model_name", "model", "structure", "objective", "options")
    """What says a question in a solution file."""

    hardware: Hardware
    model: Model
    structures: Mapping[str, Structure]
    terms: Terms = field(default_factory=Terms)
    objective: tuple[str, ...] = DEFAULT_OBJECTIVE
    """First things first: names, and weighted sums of names."""
    uncut: Mapping[str, Structure] | None = None
    """Where steps are cut, how the linears of the whole steps are stored."""

    def __post_init__(self) -> None:
        demand_objective(self.objective)
        self._cut_steps()
        self._take_part()
        _demand_stored(self.model, self.structures)
        for step in (each for each in self.model.steps if each.experts is not None):
            self._demand_alike(step)
        loaded = {name: getattr(self.model, name) for name in OF_MODEL}
        for name, tokens in loaded.items():
            asked = getattr(self.terms, name)
            if asked not in (None, tokens):
                raise InputError(
                    f"{name} = {asked}: {self.model.name} is loaded for {tokens}; give load_model the number"
                )
        object.__setattr__(self, "terms", self.terms.model_copy(update=loaded))

    def _cut_steps(self) -> None:
        """Cut the steps of the model that are larger than the terms say, and what is stored of them."""
        if self.terms.cut_steps is None or self.model.steps_cut_at == self.terms.cut_steps:
            return
        if self.model.steps_cut_at is not None or self.model.part is not None:
            raise InputError(f"cut_steps = {self.terms.cut_steps}: the model is cut already; expected the whole of it")
        _demand_stored(self.model, self.structures)
        model, structures = cut_steps(self.model, self.structures, self.terms.cut_steps)
        object.__setattr__(self, "uncut", dict(self.structures))
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "structures", structures)

    def _take_part(self) -> None:
        """Leave of the model, and of its structures, the steps that the terms name."""
        if self.terms.steps is None:
            return
        if is_counted(self.terms.routing):
            raise InputError(
                f"steps = {self.terms.steps}: counts of --routing are of a whole model; leave one of them out"
            )
        first, end = map(int, self.terms.steps.split(":"))
        if self.model.part not in (None, (first, end)):
            raise InputError(f"steps = {self.terms.steps}: the model is a part already; expected the whole of it")
        if self.model.part is None:
            object.__setattr__(self, "model", part_of(self.model, first, end))
        names = {linear.name for linear in self.model.linears}
        kept = {name: structure for name, structure in self.structures.items() if name in names}
        object.__setattr__(self, "structures", kept)

    def _demand_alike(self, step: Step) -> None:
        """Raise InputError where experts of a step are stored in different ways: which a token fires is not known."""
        first = [linear for linear in step.linears if linear.expert == 0]
        of_expert: dict[int, int] = {}
        for linear in step.linears:
            if linear.expert is None:
                continue
            like = first[of_expert.setdefault(linear.expert, 0)]
            of_expert[linear.expert] += 1
            if self.structures[linear.name] != self.structures[like.name]:
                raise InputError(
                    f"structure: {linear.name!r} is {self.structures[linear.name]}, {like.name!r} is "
                    f"{self.structures[like.name]}; the experts of a step are stored alike"
                )

    def asking(self, **changes: Any) -> Question:
        """A copy with some of its fields, or of its terms, changed. Raises InputError where they are unsound."""
        terms = {name: changes.pop(name) for name in list(changes) if name in Terms.model_fields}
        terms |= dict.fromkeys(OF_MODEL) if "model" in changes else {}
        return replace(self, terms=Terms.of(self.terms.model_dump() | terms), **changes)

    def to_json(self) -> dict[str, Any]:
        """KEYS -> JSON; `question_from` reads it back equal."""
        stored = self.structures if self.uncut is None else self.uncut
        structures = {name: str(structure) for name, structure in stored.items()}
        model, terms = self.model, self.terms.model_dump()
        values = (self.hardware.to_json(), model.name, dict(model.config), structures, list(self.objective), terms)
        return dict(zip(self.KEYS, values, strict=True))

    def differences(self, other: Question, apart: Sequence[str] = ()) -> Iterator[Difference]:
        """The first difference of each part from that of `other`; `apart` are parts, or terms, that may differ."""
        mine, theirs = self._parts(), other._parts()
        for path in dict.fromkeys((*mine, *theirs)):
            if path.removeprefix("options.") not in apart:
                found = first_difference(mine.get(path, ABSENT), theirs.get(path, ABSENT), path)
                if found is not None:
                    yield found

    def _parts(self) -> dict[str, Any]:
        """The JSON of the question, sections of the chip and terms one by one, by their paths."""
        parts = self.to_json()
        chip, terms, objective = parts.pop("hw"), parts.pop("options"), parts.pop("objective")
        sections = {f"hw.{key}": value for key, value in chip.items()}
        options = {f"options.{key}": value for key, value in terms.items()}
        return {**sections, **parts, **options, "objective": objective}

    def difference(self, other: Question, apart: Sequence[str] = ()) -> Difference | None:
        """Where this question first differs from `other`; None where they ask the same."""
        return next(self.differences(other, apart), None)


def _demand_stored(model: Model, structures: Mapping[str, Structure]) -> None:
    """Raise InputError unless every linear of the model, and no other, is stored in a way that fits it."""
    names = {linear.name for linear in model.linears}
    for name in structures:
        if name not in names:
            raise InputError(f"structure: {name!r}: expected a linear of {model.name}, such as {min(names)!r}")
    for linear in model.linears:
        if linear.name not in structures:
            raise InputError(f"structure: {linear.name!r} has none; expected 'dense' or 'k,l,T'")
        structures[linear.name].validate(linear.n_in, linear.n_out, linear.name)
        if linear.groups > 1 and not structures[linear.name].is_dense:
            raise InputError(
                f"structure: {linear.name!r} is {structures[linear.name]}: it has {linear.groups} blocks as it is, "
                "which are stored alone; expected 'dense'"
            )


def ask(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    structure: Structures = "sqrt",
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    **terms: Any,
) -> Question:
    """The question of these parts, each loaded where it is given by name or path; `terms` are fields of Terms.

    Raises InputError where the parts are wrong or do not fit together.
    """
    agreed = Terms.of(terms)
    asked = model if isinstance(model, Model) else load_model(model, agreed.tokens, agreed.source_tokens)
    chip = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    return Question(chip, asked, dict(resolve_structures(asked, structure)), agreed, tuple(objective))


def question_from(content: Mapping[str, Any]) -> Question:
    """The question of Question.KEYS in a solution file. Raises InputError where it is unsound."""
    terms = content["options"] if isinstance(content["options"], Terms) else Terms.of(content["options"], "options")
    return Question(
        parse_hardware(content["hw"], "hw"),
        parse_model(dict(content["model"]), "model", content["model_name"], terms.tokens, terms.source_tokens),
        {name: Structure.parse(text) for name, text in content["structure"].items()},
        terms,
        tuple(content["objective"]),
    )


def first_difference(mine: Any, theirs: Any, path: str = "") -> Difference | None:
    """Where two pieces of JSON first differ, in the order of keys that both have; None where they are equal."""
    if mine == theirs:
        return None
    if not (isinstance(mine, dict) and isinstance(theirs, dict)):
        return Difference(path, mine, theirs)
    for key in [*(key for key in theirs if key in mine), *mine, *theirs]:
        found = first_difference(mine.get(key, ABSENT), theirs.get(key, ABSENT), f"{path}.{key}".lstrip("."))
        if found is not None:
            return found
    return None
