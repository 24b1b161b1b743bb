"""`cimsolve accuracy`: what mapped arrays do to a real model's own answers, step by step."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from cimsolve.cli.parser import CommandOptions, json_switch, listed, option, output_option, verbosity
from cimsolve.cli.question import DEFAULT_OUT, hardware_option, seed_option, settings_option, tell_unknown_keys
from cimsolve.cli.values import Names, OneOf, number, several, whole
from cimsolve.errors import EXIT_DONE, InputError
from cimsolve.judge.names import CONVERTER_BITS_MAX, Scale, WeightScale
from cimsolve.study import names
from cimsolve.study.interrupts import interrupted_exit_code
from cimsolve.study.names import ACCURACY_METHODS
from cimsolve.weights.names import SAMPLES_DEFAULT

if TYPE_CHECKING:
    from cimsolve.study.accuracy import AccuracyTable
    from cimsolve.study.accuracy.question import AccuracyQuestion


def blocks(text: str) -> tuple[int, int]:
    """K,L."""
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected K,L, two whole numbers such as 4,4")
    k, across = (whole(1)(part.strip()) for part in parts)
    return k, across


model_option = partial(option, group="model and chip")
storage_option = partial(option, group="storage")
text_option = partial(option, group="text")


class Options(CommandOptions):
    usage = "cimsolve accuracy --weights FOLDER [options]"
    about = (
        "Run a real model on a text with every linear computed by mapped and checked arrays, and compare its answers "
        "with those of its float weights: sentence embeddings of a BERT, next tokens and perplexity of a Llama, "
        "Mistral or Qwen2."
    )
    epilog = """\
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
  130  interrupted (by SIGTERM: 143); finished rows are kept

examples:
  cimsolve accuracy --weights weights/minilm
  cimsolve accuracy --weights weights/minilm --method dense,als --compression 2 --bits 7,6 --out accuracy.json
  cimsolve accuracy --weights weights/minilm --method dense --factors chosen.safetensors --text other.txt
  cimsolve accuracy --weights weights/smollm2 --hw paper256 --method dense --text mine.txt --json
"""

    weights: str = model_option(
        "--weights FOLDER",
        "a folder with a config.json, a tokenizer.json and *.safetensors, or with a GGUF file",
        required=True,
        complete="folder",
    )
    hardware: str = hardware_option(group="model and chip")
    settings: tuple[tuple[str, str], ...] = settings_option(group="model and chip")
    methods: tuple[str, ...] = storage_option(
        "--method NAME[,NAME]",
        f"of {', '.join(ACCURACY_METHODS)}; repeatable (default: all)",
        Names("method", ACCURACY_METHODS),
        ACCURACY_METHODS,
        repeat=listed,
    )
    compressions: tuple[float, ...] = storage_option(
        "--compression R[,R]",
        "times fewer weights, for every method but dense (default: {default})",
        several(number("from 1, times fewer weights", lambda value: 1 <= value < math.inf)),
        names.COMPRESSIONS_DEFAULT,
    )
    blocks: tuple[int, int] = storage_option(
        "--blocks K,L",
        "blocks of the factors; the rank T of each linear follows from the compression (default: {default})",
        blocks,
        names.BLOCKS_DEFAULT,
    )
    factors: tuple[str, ...] = storage_option(
        "--factors FILE",
        "also run factors as `project` or `choose` wrote them; repeatable",
        default=(),
        repeat=tuple,
        complete="file",
    )
    bits: tuple[int, ...] = storage_option(
        "--bits N[,N]",
        "most bits of the converters (default: {default})",
        several(whole(1, CONVERTER_BITS_MAX)),
        names.BITS_DEFAULT,
    )
    weight_scale: WeightScale = storage_option(
        "--weight-scale WHICH",
        "one quantisation scale for a column of weights or the whole tensor (default: {default})",
        OneOf(get_args(WeightScale)),
        "column",
    )
    input_scale: Scale = storage_option(
        "--input-scale WHICH",
        "one for a token of inputs or the whole tensor (default: {default})",
        OneOf(get_args(Scale)),
        "token",
    )
    text: tuple[str, ...] = text_option(
        "--text FILE",
        "plain text, paragraphs with empty lines between them; `sample` is one that is shipped; repeatable (default: "
        "{default})",
        default=("sample",),
        repeat=tuple,
        complete="file",
    )
    samples: int = text_option(
        "--samples N",
        "most tokens of all texts; a fifth of the paragraphs is held out for the test (default: {default})",
        whole(1),
        SAMPLES_DEFAULT,
    )
    test_tokens: int = text_option(
        "--test-tokens N",
        "about the most tokens of those held out that are tested (default: {default})",
        whole(1),
        names.TEST_TOKENS_DEFAULT,
    )
    calibration_tokens: int = text_option(
        "--calibration-tokens N",
        "how many of the others set the ranges of converters (default: {default})",
        whole(1),
        names.CALIBRATION_TOKENS_DEFAULT,
    )
    seed: int = seed_option("of als (default: {default})", group="text")
    out: str | None = output_option(
        "--out FILE", "also write the table there, as JSON, anew after each row", writes="new file"
    )
    cache: str = output_option(
        "--cache FOLDER",
        "keep finished rows there, from which the same command goes on (default: {default})",
        default=f"{DEFAULT_OUT}/cache",
        writes="folder",
    )
    fresh: bool = output_option("--fresh", "measure again what is kept", again=False)
    json: bool = json_switch()
    verbosity: int = verbosity("only the figures")


def run(options: Options) -> int:
    """Measure row by row, keep and show the table; returns the exit code.

    Raises InputError for weights, a text or a chip that cannot be used.
    """
    question = question_of(options)
    from cimsolve.files.json_file import write_json_atomically
    from cimsolve.show.text.accuracy import describe_accuracy, print_accuracy
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.accuracy import rows_measured

    if options.out is not None:
        Path(options.out).parent.mkdir(parents=True, exist_ok=True)

    def described(table: AccuracyTable, code: int) -> dict[str, Any]:
        found = describe_accuracy(table, options.command(), code)
        if options.out is not None:
            write_json_atomically(options.out, found, for_editing=True)
        return found

    table = None
    code = EXIT_DONE
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"reading {options.weights}")

        def listen(what: str, done: int, total: int) -> None:
            progress.begin(f"{what}: {done} of {total}")

        try:
            for table in rows_measured(question, Path(options.cache), options.fresh, listen, say):
                found = described(table, code)
        except KeyboardInterrupt:
            if table is None:
                raise
            code = interrupted_exit_code()
            found = described(table, code)
    assert table is not None
    if options.json:
        print_json(found)
    else:
        print_accuracy(table, options.verbosity)
    if code != EXIT_DONE:
        rows = f"{len(table.rows)} of {len(question.storages())} rows"
        say(f"interrupted; {rows} are kept in {options.cache}: the same command goes on from there")
    return code


def question_of(options: Options) -> AccuracyQuestion:
    """What is measured; raises InputError where there is no such folder or the chip is unsound."""
    from cimsolve.chip.read import load_hardware
    from cimsolve.chip.settings import with_settings
    from cimsolve.model.load import load_model

    folder = Path(options.weights)
    if not os.path.isdir(folder):
        raise InputError(
            f"--weights {options.weights}: expected a folder with a config.json and *.safetensors or a GGUF file; "
            "shipped models have no weights"
        )
    hardware = with_settings(load_hardware(options.hardware), dict(options.settings))
    tell_unknown_keys(load_model(folder))
    from cimsolve.study.accuracy.question import AccuracyQuestion

    named = {field.name for field in fields(AccuracyQuestion)} - {"folder", "hardware"}
    return AccuracyQuestion(folder=folder, hardware=hardware, **{name: getattr(options, name) for name in named})
