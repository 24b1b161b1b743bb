"""`cimsolve accuracy`: what mapped arrays do to a real model's own answers, step by step."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cimsolve.cli.options.parser import DEFAULT_OUT, Parser, add_verbosity, flat
from cimsolve.cli.options.question import DEFAULT_HARDWARE
from cimsolve.cli.options.search import add_seed
from cimsolve.cli.places import Place
from cimsolve.cli.values import names, one_of, setting, whole
from cimsolve.errors import InputError

# Names and numbers of heavy modules, repeated so that help and refusals need not import them; a test compares them.
METHOD_NAMES = ("dense", "plain", "whitened", "als", "lowrank")
WEIGHT_SCALES = ("column", "tensor")
INPUT_SCALES = ("token", "tensor")
COMPRESSIONS_DEFAULT = (3.0, 7.0)
BITS_DEFAULT = (8, 6, 5)
BLOCKS_DEFAULT = (4, 4)
SAMPLES_DEFAULT = 4096
TEST_TOKENS_DEFAULT = 512
CALIBRATION_TOKENS_DEFAULT = 64
BITS_MAX = 24

T = TypeVar("T")

_EPILOG = """\
columns of the table, from left to right:
  float       as stored, in float32, without arrays: what projection leaves
  lossless    weights and inputs quantised, on arrays whose converters lose nothing
  full        converters of at most so many bits, over every sum there can be
  calibrated  the same bits over the sums that other paragraphs cause
  rule        in place of bits: those that the spec's own rule gives, where they are too few for lossless

methods:
  dense       the weights as they are
  plain, whitened, als, lowrank
              factors, as of `cimsolve project`

exit codes:
  0    done, however much is lost
  2    a wrong option, weights or text that cannot be used
  130  interrupted; finished rows are kept

examples:
  cimsolve accuracy --weights weights/minilm
  cimsolve accuracy --weights weights/minilm --method dense,als --compression 2 --bits 7,6 --out accuracy.json
  cimsolve accuracy --weights weights/smollm2 --hw paper256 --method dense --text mine.txt --json
"""


@dataclass(frozen=True, kw_only=True)
class AccuracyOptions:
    """`cimsolve accuracy`: what mapped arrays do to a real model's own answers, step by step."""

    weights: str
    hardware: str
    settings: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    compressions: tuple[float, ...]
    blocks: tuple[int, int]
    bits: tuple[int, ...]
    weight_scale: str
    input_scale: str
    texts: tuple[str, ...]
    samples: int
    test_tokens: int
    calibration_tokens: int
    seed: int
    out: str | None
    cache: str
    fresh: bool
    json: bool
    verbosity: int

    @property
    def places(self) -> tuple[Place, ...]:
        out = () if self.out is None else (Place("--out", self.out, makes_folder=True),)
        return (*out, Place("--cache", self.cache, folder=True))


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve accuracy",
        usage="cimsolve accuracy --weights FOLDER [options]",
        description="Run a real model on a text with every linear computed by mapped and checked arrays, and compare "
        "its answers with those of its float weights: sentence embeddings of a BERT, next tokens and perplexity of a "
        "Llama, Mistral or Qwen2.",
        epilog=_EPILOG,
    )
    model = parser.add_argument_group("model and chip")
    model.add_argument(
        "--weights",
        required=True,
        metavar="FOLDER",
        help="a folder with a config.json, a tokenizer.json and *.safetensors, or with a GGUF file",
    )
    model.add_argument(
        "--hw", default=DEFAULT_HARDWARE, metavar="SPEC", help="shipped name or JSON file (default: %(default)s)"
    )
    model.add_argument(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the hardware spec, such as cell.bits=4; repeatable",
    )
    storage = parser.add_argument_group("storage")
    storage.add_argument(
        "--method",
        action="append",
        type=names("method", METHOD_NAMES),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(METHOD_NAMES)}; repeatable (default: all)",
    )
    storage.add_argument(
        "--compression",
        type=several(times),
        default=COMPRESSIONS_DEFAULT,
        metavar="R[,R]",
        help="times fewer weights, for every method but dense (default: 3,7)",
    )
    storage.add_argument(
        "--blocks",
        type=blocks,
        default=BLOCKS_DEFAULT,
        metavar="K,L",
        help="blocks of the factors; the rank T of each linear follows from the compression (default: 4,4)",
    )
    storage.add_argument("--weight-scale", type=one_of(WEIGHT_SCALES), default="column", metavar="WHICH")
    storage.add_argument(
        "--input-scale",
        type=one_of(INPUT_SCALES),
        default="token",
        metavar="WHICH",
        help="one quantisation scale for a column of weights or the whole tensor, for a token of inputs or the whole "
        "tensor (defaults: column, token)",
    )
    storage.add_argument(
        "--bits",
        type=several(whole(1, BITS_MAX)),
        default=BITS_DEFAULT,
        metavar="N[,N]",
        help="most bits of the converters (default: 8,6,5)",
    )
    text = parser.add_argument_group("text")
    text.add_argument(
        "--text",
        action="append",
        metavar="FILE",
        help="plain text, paragraphs with empty lines between them; `sample` is one that is shipped; repeatable "
        "(default: sample)",
    )
    for flag, default, what in (
        ("--samples", SAMPLES_DEFAULT, "most tokens of the text; every fifth paragraph is held out for the test"),
        ("--test-tokens", TEST_TOKENS_DEFAULT, "about the most tokens of those held out that are tested"),
        ("--calibration-tokens", CALIBRATION_TOKENS_DEFAULT, "how many of the others set the ranges of converters"),
    ):
        text.add_argument(flag, type=whole(1), default=default, metavar="N", help=f"{what} (default: %(default)s)")
    add_seed(text, "of als (default: %(default)s)")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="also write the table there, as JSON, anew after each row")
    output.add_argument(
        "--cache",
        default=f"{DEFAULT_OUT}/cache",
        metavar="FOLDER",
        help="keep finished rows there, from which the same command goes on (default: %(default)s)",
    )
    output.add_argument("--fresh", action="store_true", help="measure again what is kept")
    output.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(output, "only the figures", "")
    return parser


def parse(arguments: Sequence[str]) -> AccuracyOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    keys = [key for key, _ in found.set]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"--set: {key} is given twice; expected each key once")
    return AccuracyOptions(
        weights=found.weights,
        hardware=found.hw,
        settings=tuple(found.set),
        methods=flat(found.method) or METHOD_NAMES,
        compressions=found.compression,
        blocks=found.blocks,
        bits=found.bits,
        weight_scale=found.weight_scale,
        input_scale=found.input_scale,
        texts=tuple(found.text or ["sample"]),
        samples=found.samples,
        test_tokens=found.test_tokens,
        calibration_tokens=found.calibration_tokens,
        seed=found.seed,
        out=found.out,
        cache=found.cache,
        fresh=found.fresh,
        json=found.json,
        verbosity=found.verbosity,
    )


def times(text: str) -> float:
    """A number from 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:  # also refuses NaN
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1, times fewer weights")
    return value


def blocks(text: str) -> tuple[int, int]:
    """K,L."""
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected K,L, two whole numbers such as 4,4")
    k, across = (whole(1)(part.strip()) for part in parts)
    return k, across


def several(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Values between commas, each once."""

    def read_all(text: str) -> tuple[T, ...]:
        found = tuple(read(part.strip()) for part in text.split(","))
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"{text!r}: expected each value once")
        return found

    return read_all
