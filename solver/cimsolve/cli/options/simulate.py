"""`cimsolve simulate`: run a solution's arrays with the non-idealities of cells and converters."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity
from cimsolve.cli.options.search import add_seed
from cimsolve.cli.values import near, one_of, whole

# Names of a heavy module, repeated so that help and refusals need not import it; a test compares them.
NOISE_NAMES = (
    "programming",
    "programming_relative",
    "read",
    "drift",
    "drift_nu",
    "drift_nu_sigma",
    "stuck",
    "stuck_off",
    "stuck_on",
    "adc_offset",
    "adc_gain",
)
RANGES = ("full", "calibrated")
PAIRS = ("converted", "subtracted")
KERNELS = ("auto", "numpy", "numba")

VECTORS_MAX = 10**6
ADC_BITS_MAX = 24

_EPILOG = """\
noise, each off by default; docs/simulation.md has the equations:
  programming=S           deviation of a programmed cell, as a share of the largest conductance
  programming_relative=S  the same, as a share of the cell's own conductance
  read=S                  deviation of a driven cell at each read, as a share of the largest conductance
  drift=R                 age t/t0: conductances fall by R^-nu, with drift_nu=NU and drift_nu_sigma=S over the cells
  stuck=P                 share of all cells stuck, half off and half on; or stuck_off=P, stuck_on=P
  adc_offset=S            deviation of a converter's offset, in codes
  adc_gain=S              deviation of a converter's gain

exit codes:
  0    done, whatever the noise took
  1    a solution breaks a rule: its arrays would compute something else
  2    a wrong option or a file that cannot be used

examples:
  cimsolve simulate results/minilm-l6--rram256--spread.json
  cimsolve simulate FILE --noise programming=0.03,read=0.01,stuck=0.001 --vectors 64
  cimsolve simulate FILE --adc-bits 5 --adc-range calibrated --weights weights/minilm
"""


@dataclass(frozen=True)
class SimulateOptions:
    """`cimsolve simulate`: run solution files. `layers`: None for all; `adc_bits_max`: None for those claimed."""

    files: tuple[str, ...]
    vectors: int
    seed: int
    layers: tuple[int, ...] | None
    noise: tuple[tuple[str, float], ...]
    adc_bits_max: int | None
    adc_range: str
    pairs: str
    kernel: str
    weights: str | None
    """A folder with the model's weights, or a file of factors."""
    json: bool
    verbosity: int


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve simulate",
        usage="cimsolve simulate FILE... [options]",
        description="Run the arrays of solution files on batches of random inputs, with the non-idealities of cells "
        "and converters, and show the signal-to-noise ratio of each stage and what it is lost to.",
        epilog=_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    run = parser.add_argument_group("what is run")
    run.add_argument(
        "--vectors",
        type=whole(1, VECTORS_MAX),
        default=16,
        metavar="N",
        help="input vectors at once (default: %(default)s)",
    )
    add_seed(run)
    run.add_argument(
        "--layer", action="append", type=whole(0), metavar="N", help="only this layer; repeatable (default: all)"
    )
    run.add_argument(
        "--weights",
        metavar="PATH",
        help="the model's folder of *.safetensors, or factors that `cimsolve project --out` wrote, in place of random "
        "weights over all levels",
    )
    run.add_argument(
        "--kernel",
        type=one_of(KERNELS),
        default="auto",
        metavar="WHICH",
        help="what multiplies and converts: numpy, or numba, compiled and several times faster, which needs "
        "cimsolve[fast]; the numbers are the same (default: %(default)s, numba where there is enough to do)",
    )
    chip = parser.add_argument_group("what the arrays are like")
    chip.add_argument(
        "--noise",
        action="append",
        type=noise,
        default=[],
        metavar="NAME=VALUE[,NAME=VALUE]",
        help="non-idealities, as below; repeatable",
    )
    chip.add_argument(
        "--adc-bits",
        type=whole(1, ADC_BITS_MAX),
        metavar="N",
        help="at most so many bits for every converter (default: those of the solution)",
    )
    chip.add_argument(
        "--adc-range",
        type=one_of(RANGES),
        default="full",
        metavar="WHICH",
        help="what converters cover: full, any sum there can be; calibrated, what the inputs cause "
        "(default: %(default)s)",
    )
    chip.add_argument(
        "--pairs",
        type=one_of(PAIRS),
        default="converted",
        metavar="HOW",
        help="a differential pair's columns: converted apart, as time and energy count them, or subtracted before one "
        "converter (default: %(default)s)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(output, "one line a file", "also every stage")
    return parser


def parse(arguments: Sequence[str]) -> SimulateOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    values = [pair for group in found.noise for pair in group]
    for name, _ in values:
        if [other for other, _ in values].count(name) > 1:
            parser.error(f"--noise: {name} is given twice; expected each name once")
    return SimulateOptions(
        files=tuple(found.files),
        vectors=found.vectors,
        seed=found.seed,
        layers=None if found.layer is None else tuple(dict.fromkeys(found.layer)),
        noise=tuple(values),
        adc_bits_max=found.adc_bits,
        adc_range=found.adc_range,
        pairs=found.pairs,
        kernel=found.kernel,
        weights=found.weights,
        json=found.json,
        verbosity=found.verbosity,
    )


def noise(text: str) -> tuple[tuple[str, float], ...]:
    """NAME=VALUE between commas."""
    found = []
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in NOISE_NAMES:
            raise argparse.ArgumentTypeError(
                f"{name!r}: there is no such noise{near(name, NOISE_NAMES)}; known: {', '.join(NOISE_NAMES)}"
            )
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"{part.strip()!r}: expected NAME=NUMBER, such as {name}=0.01")
        found.append((name, number))
    return tuple(found)
