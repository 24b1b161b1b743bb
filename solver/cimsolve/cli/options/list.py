"""`cimsolve list`: what is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser


@dataclass(frozen=True)
class ListOptions:
    """`cimsolve list`: what is shipped."""


def parse(arguments: Sequence[str]) -> ListOptions:
    Parser(prog="cimsolve list", description="Show shipped models, hardware specs, strategies.").parse_known(arguments)
    return ListOptions()
