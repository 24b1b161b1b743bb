"""JSON files: read with suspicion, written whole or not at all, and what is wrong in them in one line."""

from __future__ import annotations

import json
import math
import os
import stat
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cimsolve.errors import InputError
from cimsolve.files.text import SHOWN_MAX, near_name, one_line, shown_name, shown_value
from cimsolve.files.whole import link_target, written_whole


class _BadValue(ValueError):
    """JSON that Python would accept and this project does not."""


def read_json(path: Path | str, max_bytes: int) -> object:
    """The parsed content of a UTF-8 JSON file of at most `max_bytes` bytes.

    Raises InputError where the file is missing, a folder, unreadable, empty, too large, not JSON, cut short,
    too deeply nested, or holds duplicate keys or numbers that are not finite.
    """
    shown = shown_name(str(path))
    data = read_bytes(path, max_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown}: byte {error.start} is not UTF-8 text; expected JSON, check that it is the right file"
        ) from None
    del data
    if not text.strip():
        raise InputError(f"{shown}: the file is empty; expected JSON, write the file again")
    try:
        return parse_json_text(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{shown}: {_explain_syntax(error, text)}") from None
    except RecursionError:
        raise InputError(f"{shown}: nested too deeply to read; expected a flat JSON file, simplify it") from None
    except ValueError as error:
        raise InputError(f"{shown}: {error}; correct the file") from None


def read_bytes(path: Path | str, max_bytes: int) -> bytes:
    """The content of a file of at most `max_bytes` bytes; raises InputError where it cannot be read or is larger."""
    path, shown = Path(path), shown_name(str(path))
    try:
        if path.is_dir():
            raise InputError(f"{shown}: is a folder; expected a file, give the one in it")
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            size = status.st_size
            # A pipe or device states no size: one byte more than allowed tells that it is too large.
            most = size if stat.S_ISREG(status.st_mode) else max_bytes
            data = b"" if size > max_bytes else stream.read(most + 1)
    except FileNotFoundError:
        raise InputError(f"{shown}: there is no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{shown}: cannot be read ({one_line(reason)}); check the path and its rights") from None
    if size > max_bytes or len(data) > max_bytes:
        raise InputError(
            f"{shown}: {max(size, len(data))} bytes or more: expected at most {max_bytes}; "
            "check that it is the right file"
        )
    return data


def parse_json_text(text: str) -> object:
    """Parse JSON; raises ValueError on bad syntax, duplicate keys and numbers that are not finite."""
    return json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        object_pairs_hook=_object_without_duplicates,
    )


def write_json_atomically(path: Path | str, obj: object, for_editing: bool = False) -> None:
    """Write `obj` as JSON, a top-level key a line; readers see the old file or the whole new one.

    `for_editing`: indented instead, a value a line.

    Raises InputError where the place cannot be written, ValueError for numbers that are not finite.
    """
    edited = [json.dumps(obj, indent=2, allow_nan=False) + "\n"] if for_editing else None
    write_text_atomically(path, edited or _json_parts(obj))


def write_text_atomically(path: Path | str, parts: Iterable[str]) -> None:
    """Write the parts of a text one after the other; readers see the old file or the whole new one.

    Raises InputError where the place cannot be written.
    """
    shown = shown_name(str(path))
    target = link_target(Path(path), shown)
    if target.is_dir():
        raise InputError(f"{shown}: is a folder; expected the name of a file to write, add one")
    with written_whole(target, shown) as written, written.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)


def first_problem(error: ValidationError, origin: str, model: type[BaseModel] | None = None) -> str:
    """One line on what is wrong: origin, key, value, what was expected, what to do.

    A key that is not known is told first, as a misspelt key is also a missing one; with `model` it gets the
    nearest known name.
    """
    problems = error.errors(include_url=False)
    problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
    kind, context, value = problem["type"], problem.get("ctx", {}), problem["input"]
    origin = shown_name(origin)
    key = shown_name(".".join(str(part) or '""' for part in problem["loc"]))
    if kind == "value_error":  # a rule of our own: it names its keys and values itself
        return f"{origin}: {key}{': ' if key else ''}{one_line(str(context['error']))}"
    if kind == "missing":
        return f"{origin}: {key} is missing; add it"
    if kind == "extra_forbidden":
        near = _near_key(model, problem["loc"]) if model else ""
        todo = f"did you mean {near}?" if near else "remove it"
        return f"{origin}: {key} = {shown_value(value)}: there is no such key; {todo}"
    expected = _EXPECTED.get(kind)
    wanted = expected.format(**context) if expected else problem["msg"].lower()
    subject = f"{key} = {shown_value(value)}" if key else shown_value(value)
    return f"{origin}: {subject}: expected {wanted}; {_advice(kind, value)}"


def key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a spec as a dotted path, sections before what is in them."""
    for name, field in _fields(model).items():
        path = prefix + name
        yield path
        section = _section_of(field.annotation)
        if section is not None and not _is_container(field.annotation):
            yield from key_paths(section, path + ".")


_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "model_type": "an object with the keys of this section",
    "dict_type": "an object",
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "some text",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text on one line",
}


def _advice(kind: str, value: object) -> str:
    if kind in {"int_type", "float_type"} and isinstance(value, str) and value.strip().isdecimal():
        return "write it without quotes"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    return "correct it"


def _explain_syntax(error: json.JSONDecodeError, text: str) -> str:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"the JSON breaks off at line {error.lineno}; the file is cut short, write or copy it again"
    found = one_line(text[error.pos : error.pos + 20])
    return (
        f"line {error.lineno}, column {error.colno} is not JSON: {error.msg.lower()}, found {found!r}; correct the file"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise _BadValue(f"the number {name}: expected finite numbers only")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _BadValue(f"the number {text[:SHOWN_MAX]} is too large: expected finite numbers only")
    return number


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _BadValue(f"the key {shown_value(twice)} stands twice in one object: expected it once")
    return keys


def _json_parts(obj: object) -> Iterator[str]:
    """The text of `obj`; json.dumps of each value is many times faster than json.dump of all."""
    if not isinstance(obj, Mapping) or not obj:
        yield json.dumps(obj, allow_nan=False) + "\n"
        return
    opening = "{\n"
    for key, value in obj.items():
        yield f"{opening}{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        opening = ",\n"
    yield "\n}\n"


def _is_container(annotation: object) -> bool:
    """Whether the section stands in a list or under free keys, so that its keys have no fixed path."""
    return typing.get_origin(annotation) in {list, tuple, dict} or any(
        _is_container(each) for each in typing.get_args(annotation)
    )


def _section_of(annotation: object) -> type[BaseModel] | None:
    """The spec class in an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, (_section_of(each) for each in typing.get_args(annotation))), None)


def _fields(section: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """The keys of a section, by the names that a file has."""
    return {field.alias or name: field for name, field in section.model_fields.items()} if section else {}


def _near_key(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Path of the known key nearest to the unknown one at `loc`: a sibling, else its name elsewhere."""
    section: type[BaseModel] | None = model
    for part in loc[:-1]:
        names = _fields(section)
        if part in names:  # list indices and free keys stay within the section found before
            section = _section_of(names[str(part)].annotation)
    near = near_name(str(loc[-1]), _fields(section))
    if near:
        return ".".join(str(part) for part in (*loc[:-1], near))
    return next((path for path in key_paths(model) if path.rpartition(".")[2] == loc[-1]), "")
