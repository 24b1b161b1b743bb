"""`cimsolve list`: what is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser


@dataclass(frozen=True)
class ListOptions:
    """`cimsolve list`: what is shipped."""


def make_parser() -> Parser:
    return Parser(
        prog="cimsolve list",
        description="Show shipped models and hardware specs by the names that --model and --hw take, strategies and "
        "objectives.",
        epilog="example:\n  cimsolve list\n",
    )


def parse(arguments: Sequence[str]) -> ListOptions:
    make_parser().parse_known(arguments)
    return ListOptions()
