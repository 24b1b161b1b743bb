"""`cimsolve project`: what block-diagonal storage loses on real weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity

_EPILOG = """\
The factors are those nearest to the weights in Frobenius norm, in closed form; there is no training.

examples:
  cimsolve project --model weights/minilm
  cimsolve project --model weights/minilm --structure sqrt --structure '*.query=lowrank:32'
"""


@dataclass(frozen=True)
class ProjectOptions:
    """`cimsolve project`: what block-diagonal storage loses on real weights."""

    model: str
    structures: tuple[str, ...]
    verbosity: int


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve project",
        description="Project a model's real weights onto block-diagonal factors; show the relative error "
        "of each linear beside that of a plain low-rank product of equal size.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--model", required=True, metavar="FOLDER", help="a folder with a config.json and *.safetensors"
    )
    parser.add_argument(
        "--structure",
        action="append",
        default=[],
        metavar="[PATTERN=]HOW",
        help="as of cimsolve (default: sqrt)",
    )
    add_verbosity(parser, "only the means", "")
    return parser


def parse(arguments: Sequence[str]) -> ProjectOptions:
    found = make_parser().parse_known(arguments)
    return ProjectOptions(found.model, tuple(found.structure), found.verbosity)
