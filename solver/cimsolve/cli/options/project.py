"""`cimsolve project`: from dense weights to factors, and what that loses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity
from cimsolve.cli.options.search import add_seed
from cimsolve.cli.places import Place
from cimsolve.cli.values import one_of, whole

METHOD_NAMES = ("plain", "whitened", "als", "lowrank")
"""Those of `projection`, which is too heavy to import; a test compares them."""

SUFFIX = ".safetensors"
"""Of files of factors, as in `factors`; a test compares them."""

SAMPLES_DEFAULT = 4096

_EPILOG = """\
methods:
  plain     the factors nearest to the weights; closed form, the optimum
  whitened  nearest in the outputs, as if inputs of different blocks were not correlated; closed form
  als       nearest in the outputs with all correlations; in turns, stopped on inputs that are not fitted
  lowrank   plain low-rank of as many parameters; nearest in the outputs where inputs are given

  whitened and als need inputs. One group in five, a sequence or a run of samples, is held out of all fitting.

examples:
  cimsolve project --model weights/minilm
  cimsolve project --model weights/minilm --structure 4,4,7 --method als --text sample --out factors.safetensors
  cimsolve --model weights/minilm --weights factors.safetensors
"""


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """`cimsolve project`: from dense weights to factors, and what that loses."""

    model: str
    structures: tuple[str, ...]
    method: str
    inputs: str | None
    texts: tuple[str, ...]
    samples: int
    seed: int
    out: str | None
    """The file of factors to write."""
    verbosity: int

    @property
    def places(self) -> tuple[Place, ...]:
        return () if self.out is None else (Place("--out", self.out, makes_folder=True),)


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve project",
        description="Project a model's real weights onto block-diagonal factors; show the relative error of each "
        "linear beside that of plain low-rank of equal size, and write the factors.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="FOLDER",
        help="a folder with a config.json and *.safetensors or a GGUF file",
    )
    parser.add_argument(
        "--structure",
        action="append",
        default=[],
        metavar="[PATTERN=]HOW",
        help="as of cimsolve (default: sqrt)",
    )
    parser.add_argument(
        "--method",
        type=one_of(METHOD_NAMES),
        default="plain",
        metavar="NAME",
        help=f"of {', '.join(METHOD_NAMES)} (default: %(default)s)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--inputs",
        metavar="FILE",
        help="what the linears read: a .npz or .safetensors with an array (samples, n_in) under each linear's name",
    )
    where.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="FILE",
        help="run the model on this text to see what its linears read; `sample` is a text that is shipped; repeatable",
    )
    parser.add_argument(
        "--samples",
        type=whole(1),
        default=SAMPLES_DEFAULT,
        metavar="N",
        help="most tokens of the texts (default: %(default)s)",
    )
    add_seed(parser, "of als (default: %(default)s)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the factors there, as safetensors; a folder gets a factors.safetensors",
    )
    add_verbosity(parser, "only the means", "")
    return parser


def parse(arguments: Sequence[str]) -> ProjectOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    if found.method in ("whitened", "als") and not found.text and found.inputs is None:
        parser.error(f"--method {found.method}: fits outputs; expected --text FILE or --inputs FILE with it")
    return ProjectOptions(
        model=found.model,
        structures=tuple(found.structure),
        method=found.method,
        inputs=found.inputs,
        texts=tuple(found.text),
        samples=found.samples,
        seed=found.seed,
        out=None if found.out is None else factor_file(parser, found.out),
        verbosity=found.verbosity,
    )


def factor_file(parser: Parser, text: str) -> str:
    """The file that --out means: a name with the suffix, or a file of factors in the folder that it names."""
    root, suffix = os.path.splitext(text)
    if os.path.isdir(text) or (root and not suffix):
        return os.path.join(text, f"factors{SUFFIX}")
    if suffix != SUFFIX:
        parser.error(f"--out {text or repr(text)}: expected a name that ends in {SUFFIX}, or a folder")
    return text
