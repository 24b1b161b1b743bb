"""The words of messages and files: names and values on one line, and what a wrong name may have been meant for."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from cimsolve.errors import InputError

NAME_MAX = 60
"""Most characters of a file name that one thing the user gave may take."""
FILE_NAME_MAX = 200
"""Most characters of a file's name before what tells runs and tables apart: a name has 255 bytes."""
NAME_SHOWN_MAX = 200
"""Most characters of a name that a message repeats."""
TOLD_MAX = 200
"""Most characters of a library's message that ours repeats."""
SHOWN_MAX = 60
"""Most characters of a wrong value that an error repeats."""


def one_line(text: str) -> str:
    """`text` with everything escaped that is no visible sign: line breaks, controls, signs that turn the direction."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def shown_name(text: str) -> str:
    """A name, path or key from a file or a user on one line; the middle of a long one is left out."""
    text = one_line(text)
    kept = (NAME_SHOWN_MAX - 3) // 2
    return text if len(text) <= NAME_SHOWN_MAX else f"{text[:kept]}...{text[-kept:]}"


def told(error: object) -> str:
    """What a library says of a file, short and on one line."""
    return one_line(str(error))[:TOLD_MAX]


def message_line(text: str) -> str:
    """A message as it is told: on one line, and of long names in it, wherever they came from, both ends."""
    return re.sub(rf"\S{{{NAME_SHOWN_MAX + 1},}}", lambda name: shown_name(name[0]), one_line(text))


def shown_value(value: object) -> str:
    """`value` as short JSON on one line; objects and lists only by kind."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def shown_numbers(values: Sequence[float]) -> str:
    """Numbers as a short JSON list on one line."""
    text = json.dumps(list(values[:SHOWN_MAX]))
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def near_name(word: str, known: Iterable[str], words: str = "{}", least: float = 0.6) -> str:
    """`words` with the known name that looks most like `word` in their braces; empty where none looks like it.

    `least`: how alike two names must look, 1 where they are the same.
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=least)
    return words.format(close[0]) if close else ""


def demand_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise InputError for a `what` whose name is not known, with the nearest name and all of them."""
    if name not in (names := tuple(known)):
        near = near_name(name, names, "did you mean {}? ")
        raise InputError(f"{what} {name!r}: there is none of that name; {near}known: {', '.join(names)}")


def plain_name(text: str) -> str:
    """`text` as a part of a file name; what must be replaced or cut leaves a short hash, so names differ."""
    kept = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._+=,-]", "_", text)).strip("-.")[:NAME_MAX]
    if text and kept == text:
        return text
    return f"{kept}~{_short_hash(text)}"


def plain_file_name(parts: Iterable[Iterable[str]]) -> str:
    """The parts, each of several texts, as one name of a file; where it is too long, parts are cut and leave a hash."""
    whole = ["-".join(map(plain_name, texts)) for texts in parts]
    if len("--".join(whole)) > FILE_NAME_MAX:
        whole = [each if len(each) <= NAME_MAX else f"{each[:NAME_MAX]}~{_short_hash(each)}" for each in whole]
    return "--".join(whole)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:6]
