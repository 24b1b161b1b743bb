"""`cimsolve accuracy`: what mapped arrays do to a real model's own answers, step by step."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import cast

from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_INTERRUPTED
from cimsolve.cli.options import accuracy as defaults
from cimsolve.cli.options.accuracy import AccuracyOptions
from cimsolve.cli.options.parser import DEFAULT_OUT
from cimsolve.cli.options.question import DEFAULT_HARDWARE
from cimsolve.cli.question import words_unless_default
from cimsolve.errors import InputError
from cimsolve.files.json_file import write_json_atomically
from cimsolve.judge.simulate.quantise import Scale
from cimsolve.judge.simulate.simulator import WeightScale
from cimsolve.show.text.accuracy import describe_accuracy, print_accuracy
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.progress import Progress
from cimsolve.study.accuracy import AccuracyQuestion, AccuracyTable, rows_measured


def run(options: AccuracyOptions) -> int:
    """Measure row by row, keep and show the table; returns the exit code.

    Raises InputError for weights, a text or a chip that cannot be used.
    """
    question = question_of(options)
    command = command_line(options)
    if options.out is not None:
        Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    table: AccuracyTable | None = None
    code = EXIT_DONE
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"reading {options.weights}")
        try:
            for table in rows_measured(question, Path(options.cache), options.fresh, _listener(progress)):
                if options.out is not None:
                    write_json_atomically(options.out, describe_accuracy(table, command, code), for_editing=True)
        except KeyboardInterrupt:
            if table is None:
                raise
            code = EXIT_INTERRUPTED
            if options.out is not None:
                write_json_atomically(options.out, describe_accuracy(table, command, code), for_editing=True)
    assert table is not None
    if options.json:
        print_json(describe_accuracy(table, command, code))
    else:
        print_accuracy(table, options.verbosity)
    if code == EXIT_INTERRUPTED:
        rows = f"{len(table.rows)} of {len(question.storages())} rows"
        say(f"interrupted; {rows} are kept in {options.cache}: the same command goes on from there")
    return code


def question_of(options: AccuracyOptions) -> AccuracyQuestion:
    """Raises InputError where the folder is none or the chip is not sound."""
    folder = Path(options.weights)
    if not folder.is_dir():
        raise InputError(
            f"--weights {options.weights}: expected a folder with a config.json and *.safetensors or a GGUF file; "
            "shipped models have no weights"
        )
    return AccuracyQuestion(
        folder=folder,
        hardware=with_settings(load_hardware(options.hardware), dict(options.settings)),
        methods=options.methods,
        compressions=options.compressions,
        blocks=options.blocks,
        bits=options.bits,
        text=options.texts,
        samples=options.samples,
        test_tokens=options.test_tokens,
        calibration_tokens=options.calibration_tokens,
        weight_scale=cast(WeightScale, options.weight_scale),
        input_scale=cast(Scale, options.input_scale),
        seed=options.seed,
    )


def command_line(options: AccuracyOptions) -> str:
    """The command that asks the same again."""
    words = ["cimsolve", "accuracy", "--weights", options.weights]
    words += words_unless_default(("--hw", options.hardware, DEFAULT_HARDWARE))
    for key, value in options.settings:
        words += ["--set", f"{key}={value}"]
    for text in options.texts if options.texts != ("sample",) else ():
        words += ["--text", text]

    def listed(values: tuple[object, ...]) -> str:
        return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)

    words += words_unless_default(
        ("--method", listed(options.methods), listed(defaults.METHOD_NAMES)),
        ("--compression", listed(options.compressions), listed(defaults.COMPRESSIONS_DEFAULT)),
        ("--blocks", listed(options.blocks), listed(defaults.BLOCKS_DEFAULT)),
        ("--bits", listed(options.bits), listed(defaults.BITS_DEFAULT)),
        ("--weight-scale", options.weight_scale, "column"),
        ("--input-scale", options.input_scale, "token"),
        ("--samples", options.samples, defaults.SAMPLES_DEFAULT),
        ("--test-tokens", options.test_tokens, defaults.TEST_TOKENS_DEFAULT),
        ("--calibration-tokens", options.calibration_tokens, defaults.CALIBRATION_TOKENS_DEFAULT),
        ("--seed", options.seed, 0),
        ("--out", options.out, None),
        ("--cache", options.cache, f"{DEFAULT_OUT}/cache"),
    )
    return shlex.join(words)


def _listener(progress: Progress) -> Callable[[str, int, int], None]:
    begun = ""

    def listen(what: str, done: int, total: int) -> None:
        nonlocal begun
        if what != begun:
            progress.begin(what)
            begun = what
        progress.count(done, total)

    return listen
