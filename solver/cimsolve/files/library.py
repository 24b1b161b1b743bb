"""Finds specs: files that the user gives, and those shipped with cimsolve by their plain name."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
from pathlib import Path
from typing import Any

from cimsolve.errors import InputError
from cimsolve.files.text import near_name, shown_name


def resolve_hardware(text: str) -> Path:
    """The hardware spec that `text` names: an existing file, else a shipped one (`rram256`, `rram256.json`).

    Raises InputError where there is neither.
    """
    given = Path(text)
    if _is_file(given):
        return given
    return _shipped_or_error("hwspecs", text, "hardware spec")


def resolve_model(text: str) -> Path:
    """The model config that `text` names: an existing file, a folder with a config.json, else a shipped one.

    Raises InputError where there is none of them.
    """
    given = Path(text)
    if _is_file(given):
        return given
    if text and _is_file(given / "config.json"):
        return given / "config.json"
    return _shipped_or_error("models", text, "model")


def shipped_hardware() -> list[str]:
    """Names of the hardware specs that come with cimsolve, sorted."""
    return _names("hwspecs")


def shipped_models() -> list[str]:
    """Names of the model configs that come with cimsolve, sorted."""
    return _names("models")


def shipped_catalogue() -> dict[str, Any]:
    """What is said of the shipped files in a list of them, found once (`cli/list.py`)."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return found


def _folder(kind: str) -> Path:
    """Where the shipped files lie: inside the installed package, or beside `solver/` in a checkout."""
    package = Path(str(importlib.resources.files("cimsolve"))).resolve()
    return package / kind if (package / kind).is_dir() else package.parents[1] / kind


def _names(kind: str) -> list[str]:
    return sorted(path.stem for path in _folder(kind).glob("*.json"))


def _is_file(path: Path) -> bool:
    """Whether something that can be read as a file is there: pipes count, folders do not."""
    return os.path.exists(path) and not _is_folder(path)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # unlike Path.is_dir, False for a name too long for the system


def _shipped_or_error(kind: str, text: str, what: str) -> Path:
    names = _names(kind)
    name = text.removesuffix(".json")
    if name in names:
        return _folder(kind) / f"{name}.json"
    shown = shown_name(text) if text else "(empty)"
    if text and _is_folder(Path(text)):
        missing = " without a config.json" if kind == "models" else ""
        raise InputError(f"{shown}: is a folder{missing}; expected a {what}, give a file or one of: {', '.join(names)}")
    word = Path(name).name.lower()
    if kind == "models":  # a model of another size or family is no slip of the pen
        alike = [each for each in names if re.findall("[0-9]+", each) == re.findall("[0-9]+", word)]
        hint = near_name(word, alike, "did you mean {}? ", least=0.9)
    else:
        hint = near_name(word, names, "did you mean {}? ")
    raise InputError(f"{shown}: there is no such {what}; {hint}give a file or one of: {', '.join(names)}")
