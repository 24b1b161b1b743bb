"""`cimsolve choose`: which structure for which matrix, under one budget of arrays."""

from __future__ import annotations

from functools import partial
from typing import Self

from cimsolve.cli.drawing import SizeOptions, plot_option
from cimsolve.cli.parser import Parser, json_switch, option, output_option, verbosity
from cimsolve.cli.question import hardware_option, settings_option, tell_unknown_keys
from cimsolve.cli.values import OneOf, number, plain, quantity, whole
from cimsolve.errors import EXIT_DONE
from cimsolve.study.names import CHOICE_AXES, CHOICE_SAMPLES_DEFAULT, FRONT_DEFAULT, LOSS_TOKENS_DEFAULT, LOSSES

SUFFIX = ".json"

model_option = partial(option, group="model and chip")
text_option = partial(option, group="text")


class Options(SizeOptions):
    usage = "cimsolve choose --model FOLDER --max-arrays N | --compression X | --max-latency TIME [options]"
    about = (
        "Choose for each linear of a real model how it is stored, dense or low rank of some T, so that the model's "
        "answers lose least on a number of arrays; with the bound that no other choice beats."
    )
    epilog = """\
losses:
  two-sided by inputs and by gradients of -ln p(next token), drawn from the model itself (K-FAC)
  alone     one linear after the other is stored at a third of its weights, all others as they are, and what the model's
            answers lose is measured; other ranks in proportion to the error of the linear's outputs

  Three fifths of the paragraphs are fitted, one says what each linear loses, and one is only tested: by a hash of their
  words, so that no other command tests what was fitted here.

examples:
  cimsolve choose --model weights/minilm --compression 3 --text mine.txt --text other.txt --out chosen.json
  cimsolve --model weights/minilm --structure chosen:chosen.json --weights chosen.safetensors
  cimsolve choose --model weights/minilm --losses chosen.json --max-arrays 900 --max-latency 200us --max-energy 6uJ
  cimsolve choose --model weights/minilm --losses chosen.json --max-arrays 300 --front --plot front.pdf
"""

    model: str = model_option(
        "--model FOLDER",
        "a folder with a config.json, a tokenizer.json and *.safetensors, or with a GGUF file; with --losses any model",
        required=True,
        complete="model",
    )
    hardware: str = hardware_option(group="model and chip")
    settings: tuple[tuple[str, str], ...] = settings_option(group="model and chip")
    max_arrays: int | None = option(
        "--max-arrays N",
        "at most so many arrays, as the mapper finds them",
        whole(1),
        group="budget",
        exclusive="budget",
    )
    compression: float | None = option(
        "--compression X",
        "so many times fewer arrays than the cells of the dense weights fill",
        number("from 1, times fewer", lambda value: 1 <= value < float("inf")),
        group="budget",
        exclusive="budget",
    )
    max_latency_ns: float | None = option(
        "--max-latency TIME",
        "most time of a token, of the choice as `spread` maps it, such as 60us; arrays as dense where none is said",
        quantity("time", "60us"),
        group="budget",
        shown=lambda value: f"{plain(value)}ns",
    )
    max_energy_pj: float | None = option(
        "--max-energy ENERGY",
        "most energy of a token, likewise, such as 5uJ",
        quantity("energy", "5uJ"),
        group="budget",
        shown=lambda value: f"{plain(value)}pJ",
    )
    front: bool = option(
        "--front",
        f"also choose at {', '.join(f'{each:g}' for each in FRONT_DEFAULT)} times fewer arrays, and map each",
        group="budget",
    )
    text: tuple[str, ...] = text_option(
        "--text FILE",
        "plain text, paragraphs with empty lines between them; `sample` is one that is shipped; repeatable, as much is "
        "read of each (default: {default})",
        default=("sample",),
        repeat=tuple,
        complete="file",
    )
    samples: int = text_option(
        "--samples N", "most tokens of all texts (default: {default})", whole(1), CHOICE_SAMPLES_DEFAULT
    )
    loss_tokens: int = text_option(
        "--loss-tokens N",
        "about the most tokens on which a linear's loss is measured (default: {default})",
        whole(1),
        LOSS_TOKENS_DEFAULT,
    )
    loss: str | None = text_option(
        "--loss NAME",
        f"of {', '.join(LOSSES)} (default: two-sided for decoders of the Llama form, else alone)",
        OneOf(LOSSES),
    )
    losses: str | None = text_option(
        "--losses FILE", "take losses from this file of structures, rather than measure them", complete="file"
    )
    out: str | None = output_option(
        "--out FILE",
        "write the structures there, as JSON, and their factors beside it, as .safetensors",
        writes="new file",
    )
    plot: str | None = plot_option(
        help="with --front, draw loss against arrays, and the bounds, as .svg, .png or .pdf; needs cimsolve[plot]"
    )
    axis: str = output_option(
        "--axis NAME",
        f"of {', '.join(CHOICE_AXES)}: what --plot draws loss against (default: {{default}})",
        OneOf(CHOICE_AXES),
        CHOICE_AXES[0],
    )
    json: bool = json_switch()
    verbosity: int = verbosity("only what was chosen, kind by kind")

    def settled(self, parser: Parser) -> Self:
        budgets = [each for each in (self.max_arrays, self.compression) if each is not None]
        limited = (self.max_latency_ns, self.max_energy_pj) != (None, None)
        if len(budgets) > 1 or not (budgets or limited):
            parser.error("--max-arrays, --compression: expected one of them, or --max-latency or --max-energy")
        if self.out is not None and not self.out.endswith(SUFFIX):
            parser.error(f"--out {self.out or repr(self.out)}: expected a name that ends in {SUFFIX}")
        self.demand_drawing(parser, self.plot, "--plot FILE")
        if self.plot is not None and not self.front:
            parser.error(f"--plot {self.plot}: draws the front; expected --front with it")
        if self.plot is None:
            parser.demand_absent(["--axis"], "is of a drawing; expected --plot FILE with it")
        return self


def run(options: Options) -> int:
    """Choose, show what was chosen, and write it where asked.

    Raises InputError for weights, a text, losses or a chip that cannot be used, InfeasibleError for too few arrays.
    """
    from cimsolve.chip.read import load_hardware
    from cimsolve.chip.settings import with_settings
    from cimsolve.model.load import load_model
    from cimsolve.show.text.choose import describe_choice, print_choice
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.scatter import demand_drawable, draw, drawing_of_choice
    from cimsolve.study.choose import choose_structures

    if options.plot is not None:
        demand_drawable(options.plot)
    hardware = with_settings(load_hardware(options.hardware), dict(options.settings))
    tell_unknown_keys(load_model(options.model))
    with Progress(options.verbosity >= 0) as progress:
        found = choose_structures(
            options.model,
            hardware,
            max_arrays=options.max_arrays,
            compression=options.compression,
            max_latency_ns=options.max_latency_ns,
            max_energy_pj=options.max_energy_pj,
            text=options.text,
            samples=options.samples,
            loss_tokens=options.loss_tokens,
            loss=options.loss,
            losses=options.losses,
            front=FRONT_DEFAULT if options.front else (),
            out=options.out,
            listen=lambda what, done, total: progress.begin(f"{what}: {done} of {total}"),
            tell=say,
        )
    if options.plot is not None:
        draw(drawing_of_choice(found, options.axis), options.plot, options.width_in, options.dpi)
    if options.json:
        print_json(describe_choice(found, options.command()))
    else:
        print_choice(found, options.out, options.plot, options.verbosity)
    return EXIT_DONE
