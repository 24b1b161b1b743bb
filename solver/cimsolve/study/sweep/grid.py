"""A study: one question, and what of it is varied. `cimsolve-study/1`, described in docs/howto.md."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import demand_key, with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, key_paths, read_json
from cimsolve.files.kinds import STUDY, demand_kind
from cimsolve.files.library import resolve_model
from cimsolve.files.text import near_name, one_line, shown_value
from cimsolve.model.load import load_model
from cimsolve.model.model import Model
from cimsolve.model.structure import StructurePolicy
from cimsolve.problem.objective import DEFAULT_OBJECTIVE, demand_objective
from cimsolve.problem.question import ask
from cimsolve.problem.terms import Terms
from cimsolve.solve.strategies import STRATEGIES
from cimsolve.study.names import REFUSE, WhenShort
from cimsolve.study.sweep.point import Point

FORMAT = "cimsolve-study/1"
STUDY_BYTES_MAX = 2**24
POINTS_MAX = 20_000
"""Most points of a study: more are a slip of the hand."""
JOINT = "+"
"""Between keys that take their values together, as in array.rows+array.cols."""

Value = bool | int | float | str | list[Any] | dict[str, Any] | None
Line = Annotated[str, Field(min_length=1, max_length=1000)]


class SweepStudy(Terms):
    """What is asked, as a study file says it, terms among it; raises ValidationError where that is unsound."""

    format: Literal["cimsolve-study/1"]
    hw: Line = "rram256"
    model: Line = "bert-large"
    structure: list[Line] = Field(default_factory=list)
    strategy: Line = "optimal"
    objective: Annotated[list[Line], Field(min_length=1)] = Field(default_factory=lambda: list(DEFAULT_OBJECTIVE))
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    time_limit_s: Annotated[float, Field(gt=0)] | None = None
    when_short: WhenShort = REFUSE
    batch: Annotated[int, Field(ge=1, le=10**9)] | None = None
    chips: Annotated[int, Field(ge=1, le=10_000)] | None = None
    set: dict[str, Value] = Field(default_factory=dict)
    """Keys of the hardware spec, with their values in every point."""
    vary: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    """What differs between points -> its values; every combination is a point."""


SEARCH_KEYS = tuple(field.name for field in fields(Point) if field.name != "question")
"""What says how a point is answered."""
WAY_OF: Mapping[str, WhenShort] = {"batch": "rounds", "chips": "chips"}
"""Key -> the way of `when_short` that it is of."""
QUESTION_KEYS = tuple(key for key in SweepStudy.model_fields if key not in ("format", "set", "vary"))
"""What `vary` may name beside the keys of a hardware spec."""


@dataclass(frozen=True)
class Row:
    """One combination: the value of each varied key, and its point, or why there is none."""

    values: Mapping[str, Value]
    asked: SweepStudy
    """The study with these values in place and nothing varied."""
    point: Point | None
    reason: str = ""


def read_study(path: Path | str) -> SweepStudy:
    """The study of a file; raises InputError where it is unsound."""
    return parse_study(read_json(path, STUDY_BYTES_MAX), str(path))


def parse_study(data: object, origin: str) -> SweepStudy:
    """Check parsed JSON; raises InputError with one line: `origin`, key, value, what was expected."""
    demand_kind(data, STUDY, origin)
    try:
        return SweepStudy.model_validate(data)
    except ValidationError as error:
        raise InputError(first_problem(error, origin, SweepStudy)) from None


def expand(study: SweepStudy) -> list[Row]:
    """Every combination, the last varied key changing fastest.

    A combination that is no question, such as more converters than columns, is a row with the reason.
    Raises InputError for what is wrong whatever it is combined with: a key or a name that does not exist, two axes
    of one key, or no combination at all that is a question.
    """
    count = math.prod(len(values) for values in study.vary.values())
    if count > POINTS_MAX:
        raise InputError(f"vary: {count} points: expected at most {POINTS_MAX}; vary less")
    _demand_known(study)
    load = cache(load_hardware), cache(load_model)
    rows = [
        _row(study, dict(zip(study.vary, values, strict=True)), *load)
        for values in itertools.product(*study.vary.values())
    ]
    if all(row.point is None for row in rows):
        raise InputError(rows[0].reason)
    return rows


def _row(
    study: SweepStudy,
    values: Mapping[str, Value],
    load_chip: Callable[[str], Hardware],
    load: Callable[[str, int | None, int | None], Model],
) -> Row:
    content = study.model_dump(exclude={"vary"})
    for axis, value in values.items():
        for key in axis.split(JOINT):
            _place(content, key, value)
    asked = SweepStudy.model_validate(content)
    settings = {key: setting_text(value) for key, value in asked.set.items()}
    try:
        question = ask(
            load(asked.model, asked.tokens, asked.source_tokens),
            with_settings(load_chip(asked.hw), settings),
            structure=asked.structure,
            objective=asked.objective,
            **{name: getattr(asked, name) for name in Terms.model_fields},
        ).to_json()
    except InputError as error:
        return Row(values, asked, None, str(error))
    search = {name: getattr(asked, name) for name in SEARCH_KEYS}
    search |= {name: None for name, way in WAY_OF.items() if asked.when_short != way}
    point = Point(question=question, **search)
    return Row(values, asked, point)


def _place(fields: dict[str, Any], key: str, value: Value) -> None:
    """Put one value in its place; structures come after those of all points, as the last that matches counts."""
    if key == "structure":
        fields["structure"] = [*fields["structure"], value]
    elif key == "objective":
        fields["objective"] = value.split(",") if isinstance(value, str) else value
    elif key in QUESTION_KEYS:
        fields[key] = value
    else:
        fields["set"] = {**fields["set"], key: value}


def setting_text(value: Value) -> str:
    """A value as `--set KEY=VALUE` writes it."""
    return value if isinstance(value, str) else json.dumps(value)


# What is wrong whatever it is combined with


def _demand_known(study: SweepStudy) -> None:
    keys = [key for axis in study.vary for key in axis.split(JOINT)]
    twice = next((key for key in keys if keys.count(key) > 1 or key in study.set), None)
    if twice is not None:
        raise InputError(f"vary: {one_line(twice)} is given twice; expected each key once")
    ways = [value for axis, values in study.vary.items() if "when_short" in axis.split(JOINT) for value in values]
    for key, way in WAY_OF.items():
        if (key in keys or getattr(study, key) is not None) and way not in (ways or [study.when_short]):
            raise InputError(f"{key}: is of {way}; expected when_short = {way} with it")
    specs = [load_hardware(str(name)) for name in study.vary.get("hw", [study.hw])]
    for name in study.vary.get("model", [study.model]):
        resolve_model(str(name))
    for key in [*study.set, *(key for key in keys if key not in QUESTION_KEYS)]:
        near = near_name(key, QUESTION_KEYS)
        if near and key not in key_paths(Hardware):
            raise InputError(f"vary {one_line(key)}: there is no such key; did you mean {near}?")
        for spec in specs:
            try:
                demand_key(spec, key)
            except InputError as error:
                raise InputError(f"vary {str(error).removeprefix('--set ')}") from None
    base = study.model_dump(exclude={"vary"})
    for axis, values in study.vary.items():
        for key, value in itertools.product(axis.split(JOINT), values):
            content = dict(base)
            _place(content, key, value)
            _demand_names(parse_study(content, f"vary {one_line(key)}"))
    _demand_names(study)


def _demand_names(study: SweepStudy) -> None:
    """Strategies, objectives, cuts and forms of storage are told at once, not by every row."""
    if study.strategy not in STRATEGIES:
        hint = near_name(study.strategy, STRATEGIES, "did you mean {}? ")
        raise InputError(
            f"strategy {shown_value(study.strategy)}: there is none of that name; {hint}known: {', '.join(STRATEGIES)}"
        )
    demand_objective(study.objective)
    StructurePolicy.parse(study.structure)
