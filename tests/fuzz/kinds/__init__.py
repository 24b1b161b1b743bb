"""The kinds of input, by name: those of every file here, which has a table `KINDS` of its own."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fuzz.kind import Kind

KINDS: dict[str, Kind] = {}
for _module in iter_modules(__path__):
    KINDS |= import_module(f"{__name__}.{_module.name}").KINDS
