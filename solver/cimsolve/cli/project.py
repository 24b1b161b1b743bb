"""`cimsolve project`: from a model's dense weights to factors, and what that loses."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from cimsolve.cli.parser import CommandOptions, Parser, option, verbosity
from cimsolve.cli.question import seed_option, tell_unknown_keys
from cimsolve.cli.values import OneOf, whole
from cimsolve.errors import EXIT_DONE, InputError
from cimsolve.weights.names import CALIBRATED, METHODS, SAMPLES_DEFAULT

SUFFIX = ".safetensors"


class Options(CommandOptions):
    about = (
        "Project a model's real weights onto block-diagonal factors; show the relative error of each linear beside "
        "that of plain low-rank of equal size, and write the factors."
    )
    epilog = """\
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

    model: str = option(
        "--model FOLDER",
        "a folder with a config.json and *.safetensors or a GGUF file",
        required=True,
        complete="folder",
    )
    structures: tuple[str, ...] = option(
        "--structure [PATTERN=]HOW", "as of cimsolve (default: sqrt)", default=(), repeat=tuple
    )
    method: str = option("--method NAME", f"of {', '.join(METHODS)} (default: {{default}})", OneOf(METHODS), "plain")
    inputs: str | None = option(
        "--inputs FILE",
        "what the linears read: a .npz or .safetensors with an array (samples, n_in) under each linear's name",
        complete="file",
        exclusive="inputs",
    )
    texts: tuple[str, ...] = option(
        "--text FILE",
        "run the model on this text to see what its linears read; `sample` is a text that is shipped; repeatable",
        default=(),
        repeat=tuple,
        complete="file",
        exclusive="inputs",
    )
    samples: int = option("--samples N", "most tokens of the texts (default: {default})", whole(1), SAMPLES_DEFAULT)
    seed: int = seed_option("of als (default: {default})", group="")
    out: str | None = option(
        "--out FILE", "write the factors there, as safetensors; a folder gets a factors.safetensors", writes="new file"
    )
    """The file of factors to write."""
    verbosity: int = verbosity("only the means", group="")

    def settled(self, parser: Parser) -> Self:
        if self.method in CALIBRATED and not self.texts and self.inputs is None:
            parser.error(f"--method {self.method}: fits outputs; expected --text FILE or --inputs FILE with it")
        return self if self.out is None else replace(self, out=factor_file(parser, self.out))


def factor_file(parser: Parser, text: str) -> str:
    """The file that --out means: a name with the suffix, or a file of factors in the folder that it names."""
    root, suffix = os.path.splitext(text)
    if os.path.isdir(text) or (root and not suffix):
        return os.path.join(text, f"factors{SUFFIX}")
    if suffix != SUFFIX:
        parser.error(f"--out {text or repr(text)}: expected a name that ends in {SUFFIX}, or a folder")
    return text


def run(options: Options) -> int:
    """Project every linear of the folder's model, show the errors and write the factors where asked.

    Raises InputError for a folder without a config or weights that fit it, for inputs that do not fit, and for a
    place that cannot be written.
    """
    from cimsolve.model.load import load_model
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.projection import print_projection, print_written
    from cimsolve.weights.project import project_model

    folder = Path(options.model)
    if not os.path.isdir(folder):
        raise InputError(
            f"--model {options.model}: expected a folder with a config.json and *.safetensors; "
            "shipped models have no weights, and ONNX graphs are not projected"
        )
    tell_unknown_keys(load_model(folder))
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"projecting {folder.name}")
        rows = project_model(
            folder,
            structure=options.structures,
            method=options.method,
            inputs=options.inputs,
            text=options.texts,
            samples=options.samples,
            seed=options.seed,
            out=options.out,
            progress=progress.count,
        )
    print_projection(folder.resolve().name, options.method, rows, options.verbosity)
    if options.out is not None:
        print_written(Path(options.out))
    return EXIT_DONE
