"""`cimsolve finetune`: factors trained until the model's answers come near those of its dense weights."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Self

from cimsolve.cli.parser import CommandOptions, Parser, json_switch, option, output_option, verbosity
from cimsolve.cli.question import seed_option, settings_option, tell_unknown_keys
from cimsolve.cli.values import OneOf, number, whole
from cimsolve.errors import EXIT_DONE
from cimsolve.study import names
from cimsolve.study.interrupts import interrupted_exit_code

text_option = partial(option, group="text")
training_option = partial(option, group="training")


class Options(CommandOptions):
    usage = "cimsolve finetune --weights FOLDER --factors FILE --out FILE [options]"
    about = (
        "Tune the factors of a real model, and its norms and biases, so that its answers come near those of its dense "
        "weights: first each layer by itself, then the whole model. Needs torch: pip install 'cimsolve[train]'."
    )
    epilog = """\
  Of every five paragraphs three are learnt from, one says when to stop, and one is only tested.
  An interrupted or killed command leaves a checkpoint beside --out; the same command goes on from there.

exit codes:
  0    done
  1    the loss is no number any more
  2    a wrong option, weights, factors or text that cannot be used, no torch, no such device
  130  interrupted (by SIGTERM: 143); the checkpoint is kept

examples:
  cimsolve choose --model weights/minilm --compression 3 --text mine.txt --out chosen.json
  cimsolve finetune --weights weights/minilm --factors chosen.safetensors --text mine.txt --out tuned.safetensors
  cimsolve accuracy --weights weights/minilm --method dense --factors tuned.safetensors
"""

    weights: str = option(
        "--weights FOLDER",
        "a folder with a config.json, a tokenizer.json and *.safetensors, or with a GGUF file",
        required=True,
        complete="folder",
    )
    factors: str = option(
        "--factors FILE", "factors of the model, as `project` or `choose` wrote them", required=True, complete="file"
    )
    hardware: str | None = option(
        "--hw SPEC",
        "round weights and inputs meanwhile as the arrays of this chip will, a shipped name or JSON file",
        complete="hardware",
    )
    settings: tuple[tuple[str, str], ...] = settings_option()
    text: tuple[str, ...] = text_option(
        "--text FILE",
        "plain text, paragraphs with empty lines between them; `sample` is one that is shipped; repeatable, as much is "
        "read of each (default: {default})",
        default=("sample",),
        repeat=tuple,
        complete="file",
    )
    test_text: tuple[str, ...] = text_option(
        "--test-text FILE", "a text that is only tested; repeatable", default=(), repeat=tuple, complete="file"
    )
    self_text: int = text_option(
        "--self-text N",
        "also about so many tokens that the dense model writes itself, at temperature 1; of a language model",
        whole(1),
        0,
    )
    samples: int = text_option(
        "--samples N", "most tokens of all texts (default: {default})", whole(1), names.TUNE_SAMPLES_DEFAULT
    )
    test_tokens: int = text_option(
        "--test-tokens N",
        "about the most tokens of each text that are tested (default: {default})",
        whole(1),
        names.TUNE_TEST_TOKENS_DEFAULT,
    )
    steps: int = training_option("--steps N", "steps in all (default: {default})", whole(1), names.STEPS_DEFAULT)
    batch: int = training_option(
        "--batch N", "about the tokens of a step (default: {default})", whole(1), names.BATCH_DEFAULT
    )
    layerwise: float = training_option(
        "--layerwise SHARE",
        "share of the steps in which each layer learns by itself (default: {default})",
        number("from 0 to 1", lambda value: 0 <= value <= 1),
        names.LAYERWISE_DEFAULT,
    )
    rate: float = training_option(
        "--rate R",
        "highest rate of AdamW for factors; norms and biases have a third of it (default: {default})",
        number("above 0", lambda value: 0 < value < float("inf")),
        names.RATE_DEFAULT,
    )
    seed: int = seed_option("of the order of the text (default: {default})", group="training")
    device: str = training_option(
        "--device NAME", f"of {', '.join(names.DEVICES)} (default: {{default}})", OneOf(names.DEVICES), names.DEVICES[0]
    )
    threads: int = training_option(
        "--threads N",
        "of the CPU; they wait for each other, so no more than there are idle cores (default: {default})",
        whole(1),
        1,
    )
    out: str = output_option(
        "--out FILE", "write the tuned factors there, as safetensors", required=True, writes="new file"
    )
    json: bool = json_switch()
    verbosity: int = verbosity("only the figures")

    def settled(self, parser: Parser) -> Self:
        if self.settings and self.hardware is None:
            parser.error("--set: changes a key of a hardware spec; expected --hw SPEC with it")
        return self


def run(options: Options) -> int:
    """Tune, write the factors and show what they do on text that was held out; returns the exit code.

    Raises InputError for weights, factors or a text that cannot be used, FailedError where the loss is no number.
    """
    from cimsolve.chip.read import load_hardware
    from cimsolve.chip.settings import with_settings
    from cimsolve.model.load import load_model
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.finetune import describe_tuning, print_tuning
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.finetune import FinetuneQuestion, finetune

    tell_unknown_keys(load_model(options.weights))
    chip = None if options.hardware is None else with_settings(load_hardware(options.hardware), dict(options.settings))
    same = {field.name for field in fields(FinetuneQuestion)} - {"folder", "factors", "out", "hardware"}
    asked = FinetuneQuestion(
        folder=Path(options.weights),
        factors=Path(options.factors),
        out=Path(options.out),
        hardware=chip,
        **{name: getattr(options, name) for name in same},
    )
    with Progress(options.verbosity >= 0) as progress:
        try:
            found = finetune(asked, progress.begin)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from the checkpoint")
            return interrupted_exit_code()
    if options.json:
        print_json(describe_tuning(found, options.command()))
    else:
        print_tuning(found, options.out, options.verbosity)
    return EXIT_DONE
