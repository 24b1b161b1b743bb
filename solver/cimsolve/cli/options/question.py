"""The options that ask a question: the chip, the model, its storage and the limits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cimsolve.cli.places import Place
from cimsolve.cli.values import one_of, quantity, setting, whole, words
from cimsolve.errors import InputError
from cimsolve.files.text import one_line

CUT_NAMES = ("none", "columns", "both")
"""Those of `problem`, which is too heavy to import; a test compares them."""

CONVERTER_NAMES = ("table", "isaac", "saberi", "sar", "survey")
"""Those of `converters`; a test compares them."""

DEFAULT_HARDWARE = "rram256"
DEFAULT_MODEL = "bert-large"


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """What is asked, and where answers go; limits and `tokens`: None for none and for the default."""

    hardware: str
    model: str
    structures: tuple[str, ...]
    tokens: int | None
    max_arrays: int | None
    max_latency_ns: float | None
    max_energy_pj: float | None
    cut: str
    settings: tuple[tuple[str, str], ...]
    """Keys of the hardware spec that are changed, with their new values; --adcs and --converter among them."""
    out: str
    json: bool
    verbosity: int
    """-1: quiet, 0: the report, 1: with breakdowns."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Where this command writes; by itself a question does not."""
        return ()


QUESTION_NAMES = (
    "hw",
    "model",
    "structure",
    "tokens",
    "max_arrays",
    "max_latency",
    "max_energy",
    "cut",
    "adcs",
    "converter",
    "set",
)
"""Where `add_question` keeps what asks the question."""


def add_question(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The options of QuestionOptions, all but those of the output; `several`: --hw and --model take lists."""
    question = parser.add_argument_group("question")
    if several:
        for flag, metavar, what, default in (
            ("--hw", "SPEC[,SPEC]", "shipped names or JSON files", DEFAULT_HARDWARE),
            ("--model", "MODEL[,MODEL]", "shipped names, config.json files or folders", DEFAULT_MODEL),
        ):
            listed = f"{what}; repeatable (default: {default})"
            question.add_argument(flag, action="append", type=words, metavar=metavar, help=listed)
    else:
        question.add_argument(
            "--hw",
            default=DEFAULT_HARDWARE,
            metavar="SPEC",
            help="shipped name or JSON file (default: %(default)s)",
        )
        question.add_argument(
            "--model",
            default=DEFAULT_MODEL,
            metavar="MODEL",
            help="shipped name, Hugging Face config.json, or a folder that holds one; with *.safetensors beside "
            "it the simulation uses the real weights (default: %(default)s)",
        )
    question.add_argument(
        "--structure",
        action="append",
        default=[],
        metavar="[PATTERN=]HOW",
        help="how linears are stored: dense, sqrt, k,l,T or lowrank:T, all or those whose name matches; "
        "repeatable, the last that matches counts (default: sqrt)",
    )
    question.add_argument(
        "--tokens",
        type=whole(1),
        metavar="N",
        help="context and prefill length (default: the model's, at most 512)",
    )
    question.add_argument("--max-arrays", type=whole(1), metavar="N", help="use no more arrays than this")
    question.add_argument(
        "--max-latency",
        type=quantity("time", "60us"),
        metavar="NS",
        help="a token takes no longer than this; a number in ns, or 60us",
    )
    question.add_argument(
        "--max-energy",
        type=quantity("energy", "12uJ"),
        metavar="PJ",
        help="a token takes no more energy than this; a number in pJ, or 12uJ",
    )
    question.add_argument(
        "--cut",
        type=one_of(CUT_NAMES),
        default="columns",
        metavar="WHAT",
        help="what `optimal` may cut beyond what it must: none, columns or both (default: %(default)s)",
    )
    question.add_argument(
        "--adcs", type=whole(1), metavar="N", help="converters of one array, short for --set adc.per_array=N"
    )
    question.add_argument(
        "--converter",
        type=one_of(CONVERTER_NAMES),
        metavar="NAME",
        help="converter model that makes the table of times, energies and areas by resolution: isaac, saberi, sar or "
        "survey; table: the spec's own (default); short for --set adc.model=NAME",
    )
    question.add_argument(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the hardware spec, such as array.rows=128; repeatable",
    )


def question_options(found: argparse.Namespace) -> dict[str, Any]:
    """The fields of QuestionOptions."""
    return {
        "hardware": found.hw,
        "model": found.model,
        "structures": tuple(found.structure),
        "tokens": found.tokens,
        "max_arrays": found.max_arrays,
        "max_latency_ns": found.max_latency,
        "max_energy_pj": found.max_energy,
        "cut": found.cut,
        "settings": _settings(found.adcs, found.converter, found.set),
        "out": found.out,
        "json": found.json,
        "verbosity": found.verbosity,
    }


def _settings(adcs: int | None, converter: str | None, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Changed keys, each once, --adcs and --converter among them. Raises InputError where one gets two values."""
    found = {"adc.per_array": str(adcs)} if adcs is not None else {}
    if converter is not None:
        found["adc.model"] = converter
    for key, value in pairs:
        if found.get(key, value) != value:
            shown = one_line(f"{key} is set to {found[key]} and to {value}")
            raise InputError(f"{shown}: expected one value")
        found[key] = value
    return tuple(found.items())
