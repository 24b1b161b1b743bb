"""The options that ask a question and say how it is searched; the question, and the names of files with answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin

from cimsolve.chip.converters import CONVERTER_NAMES
from cimsolve.cli.parser import (
    CommandOptions,
    Option,
    Parser,
    listed,
    option,
    output_option,
    question_option,
    search_option,
)
from cimsolve.cli.values import (
    Above,
    Names,
    OneOf,
    above_or,
    each_key_once,
    objective,
    plain,
    quantity,
    seconds,
    setting,
    size,
    whole,
)
from cimsolve.errors import InputError
from cimsolve.files.library import resolve_hardware
from cimsolve.files.text import one_line, plain_file_name, shown_name
from cimsolve.problem.objective import DEFAULT_OBJECTIVE, OBJECTIVES
from cimsolve.problem.terms import OF_MODEL, Terms
from cimsolve.show.units import Kind, flag_of, kind_of_amount
from cimsolve.solve.names import DEFAULT_NAMES, OF_EXPERTS, STRATEGY_NAMES

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from cimsolve.model.load import Structures
    from cimsolve.model.model import Model
    from cimsolve.problem.problem import Problem

DEFAULT_HARDWARE = "rram256"
DEFAULT_MODEL = "bert-large"
DEFAULT_OUT = "results"
SEED_MAX = 2**31 - 1
KEYS_TOLD = 12
EXAMPLES: dict[Kind, str] = {"time": "60us", "energy": "12uJ"}
AMOUNTS = {
    name: quantity(kind, EXAMPLES[kind]) for name in Terms.model_fields if (kind := kind_of_amount(name)) in EXAMPLES
}
"""Terms that are amounts of something -> the reader of a number with or without its unit."""
CHOICES = {
    name: get_args(term.annotation)
    for name, term in Terms.model_fields.items()
    if get_origin(term.annotation) is Literal
}
"""Terms that are one of some words -> the words."""

TEXTS = ("routing", "steps")
"""Terms that are texts, which Terms reads."""
LIMITS = tuple(name for name in Terms.model_fields if name.startswith("max_"))
"""Terms that may be a share above the least."""
SHORT_NAMES = {"adc.per_array": "adcs", "adc.model": "adc-"}
"""What changed keys are called in file names."""


# Options that several commands have; each says what is its own.
hardware_option = partial(
    option, "--hw SPEC", "shipped name or JSON file (default: {default})", default=DEFAULT_HARDWARE, complete="hardware"
)
settings_option = partial(
    option,
    "--set KEY=VALUE",
    "change a key of the hardware spec, such as cell.bits=4; repeatable",
    setting,
    (),
    repeat=each_key_once("key"),
    shown="=".join,
)
strategies_option = partial(
    search_option,
    "--strategy NAME[,NAME]",
    help=f"of {', '.join(STRATEGY_NAMES)}; repeatable (default: all but {OF_EXPERTS})",
    read=Names("strategy", STRATEGY_NAMES),
    default=DEFAULT_NAMES,
    repeat=listed,
)
objective_option = partial(
    search_option,
    "--objective WHAT[,WHAT]",
    "what `optimal` minimises, first things first: names, or weighted sums such as latency:0.7+energy:0.3 of "
    "multiples of the bounds (default: {default})",
    objective,
    DEFAULT_OBJECTIVE,
    complete=OBJECTIVES,
)
time_limit_option = partial(search_option, "--time-limit SECONDS", read=seconds)
seed_option = partial(search_option, "--seed N", read=whole(0, SEED_MAX), default=0)
answers_option = partial(
    output_option,
    "--out FOLDER",
    "where solutions are written (default: {default}/)",
    default=DEFAULT_OUT,
    writes="folder",
)


def value_of(key: str, read: Callable[[str], object] = str) -> Callable[[str], tuple[str, str]]:
    """Reads the value of a key of the hardware spec."""
    return lambda text: (key, str(read(text)))


def one_value_a_key(settings: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Changed keys, each once. Raises InputError where one gets two values."""
    found: dict[str, str] = {}
    for key, value in settings:
        if found.setdefault(key, value) != value:
            shown = one_line(f"{key} is set to {found[key]} and to {value}")
            raise InputError(f"{shown}: expected one value")
    return tuple(found.items())


class SubjectOptions(CommandOptions):
    """One model on one chip."""

    hardware: str = hardware_option(group="question", again=True)
    model: str = question_option(
        "--model MODEL",
        "shipped name, Hugging Face config.json, a folder that holds one, or an ONNX graph, FILE.onnx; with "
        "*.safetensors beside the config the simulation uses the real weights (default: {default})",
        default=DEFAULT_MODEL,
        complete="model",
        again=True,
    )


def term_option(name: str, term: FieldInfo) -> Any:
    """The option of a field of Terms."""
    about = term.json_schema_extra
    assert isinstance(about, dict)
    read: Callable[[str], object] = OneOf(CHOICES[name]) if name in CHOICES else AMOUNTS.get(name, whole(1))
    read = str if name in TEXTS else read
    read = above_or(read) if name in LIMITS else read
    told = f"{term.description}{' (default: {default})' if name in CHOICES else ''}"
    told += "; +20%: above the least found, not in studies" if name in LIMITS else ""
    return question_option(f"{flag_of(name)} {about['metavar']}", told, read, term.default)


class StorageOptions(CommandOptions):
    """How the model is stored, and changes of the chip."""

    structures: tuple[str, ...] = question_option(
        "--structure [PATTERN=]HOW",
        "how linears are stored: dense, sqrt, k,l,T or lowrank:T, all or those whose name matches, or chosen:FILE, all "
        "as `choose` wrote it; repeatable, the last that matches counts (default: sqrt)",
        default=(),
        repeat=tuple,
    )
    settings: tuple[tuple[str, str], ...] = question_option(
        "--set KEY=VALUE",
        "change a key of the hardware spec, such as array.rows=128; repeatable",
        setting,
        (),
        repeat=one_value_a_key,
        shown="=".join,
        short=(
            Option(
                "--adcs N",
                "converters of one array, short for --set adc.per_array=N",
                value_of("adc.per_array", whole(1)),
            ),
            Option(
                "--converter NAME",
                "converter model that makes the table of times, energies and areas by resolution: isaac, saberi, sar "
                "or survey; table: the spec's own (default); short for --set adc.model=NAME",
                value_of("adc.model", OneOf(CONVERTER_NAMES)),
                complete=CONVERTER_NAMES,
            ),
        ),
    )
    """Keys of the hardware spec that are changed, with their new values."""


_fields = {name: term_option(name, term) for name, term in Terms.model_fields.items()}
_annotated = {"__annotations__": dict.fromkeys(_fields, Any), **_fields}
_OptionsOfTerms: Any = type("_OptionsOfTerms", (StorageOptions,), _annotated)


class TermsOptions(_OptionsOfTerms):  # type: ignore[misc]
    """What is asked of a model on a chip: how it is stored, changes of the chip, and the fields of Terms."""

    @property
    def terms(self) -> dict[str, Any]:
        """The terms by name, with their defaults. Raises InputError for a share above the least, which is none yet."""
        for name, above in self.shares.items():
            raise InputError(
                f"{flag_of(name)} {above}: a share above the least is of one question, by cimsolve, pareto or explain; "
                "expected an amount, such as the limit that one of them states"
            )
        given = {name: getattr(self, name) for name in Terms.model_fields}
        if given["routing"] is not None:
            from cimsolve.problem.routing import routing_term

            given["routing"] = routing_term(given["routing"])
        return given

    @property
    def shares(self) -> dict[str, Above]:
        """The limits that are given as a share above the least."""
        given = {name: getattr(self, name) for name in LIMITS}
        return {name: value for name, value in given.items() if isinstance(value, Above)}

    @property
    def changes(self) -> list[str]:
        """The changed keys of the hardware spec as `--set` takes them."""
        return ["=".join(pair) for pair in self.settings]


class QuestionOptions(TermsOptions, SubjectOptions):
    """One question."""


class GraphOptions(QuestionOptions):
    """One question, whose model may be an ONNX graph."""

    dims: tuple[tuple[str, int], ...] = question_option(
        "--dim NAME=N",
        "size of a symbolic dimension of an ONNX graph; repeatable (default: the batch is 1, the sequence --tokens)",
        size,
        (),
        repeat=each_key_once("dimension"),
        shown="{0[0]}={0[1]}".format,
    )
    digital: tuple[str, ...] = question_option(
        "--digital PATTERN",
        "nodes of an ONNX graph, by name or operation, that are counted as digital work: those that are not "
        "understood, or matrices that are not to be mapped; repeatable",
        default=(),
        repeat=tuple,
    )


class ComparedOptions(CommandOptions):
    """Strategies, and the one that the others are set against."""

    strategies: tuple[str, ...] = strategies_option(again=True)
    reference: str | None = search_option(
        "--reference NAME",
        "the strategy that the others are set against (default: the first of those compared)",
        OneOf(STRATEGY_NAMES),
    )

    @property
    def against(self) -> str:
        """The strategy that the others are set against."""
        return self.reference or self.strategies[0]

    def settled(self, parser: Parser) -> Self:
        if self.against not in self.strategies:
            known = ", ".join(self.strategies)
            parser.error(f"--reference {self.reference}: expected one of the strategies compared, {known}")
        return super().settled(parser)


def problem_of(
    options: GraphOptions, objective: Sequence[str] = DEFAULT_OBJECTIVE, weights: str | None = None
) -> Problem:
    """The question that is asked; a file of factors, `weights`, says how linears are stored.

    Raises InputError where it is none, and where the file is none or --structure says otherwise.
    """
    resolve_hardware(options.hardware)  # a name that is none is refused before anything is read
    from cimsolve.model.load import load_model

    lengths = (getattr(options, name) for name in OF_MODEL)
    model = load_model(options.model, *lengths, dims=dict(options.dims), digital=options.digital)
    tell_unknown_keys(model)
    # Only now: a model that is none is refused before numpy loads.
    from cimsolve.chip.read import load_hardware
    from cimsolve.chip.settings import with_settings
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.question import ask

    structures: Structures = options.structures
    if weights is not None:
        from cimsolve.weights.project import stored_structures

        structures = stored_structures(model, weights, options.structures)
    chip = with_settings(load_hardware(options.hardware), dict(options.settings))
    return Problem(ask(model, chip, structure=structures, objective=objective, **options.terms))


def tell_unknown_keys(model: Model) -> None:
    """One line on stderr, where the model's config has keys of which nothing is known."""
    if model.unknown_keys:
        from cimsolve.show.text.console import say

        keys = [shown_name(key) for key in model.unknown_keys[:KEYS_TOLD]]
        if len(model.unknown_keys) > KEYS_TOLD:
            keys.append(f"{len(model.unknown_keys) - KEYS_TOLD} more")
        say(f"note: {model.name}: nothing is known of these keys of its config, and none is obeyed: {', '.join(keys)}")


def file_name(options: GraphOptions, problem: Problem, answer: Sequence[str], search: Sequence[str] = ()) -> str:
    """`<model>--<hardware>--<answer>.json` and what was asked beyond the defaults: no run hides another."""
    told = {
        name: str(term.json_schema_extra["in_name"]).format(plain(getattr(options, name)))  # type: ignore[index]
        for name, term in Terms.model_fields.items()
        if getattr(options, name) != term.default
    }
    graph = [f"{name}={size}" for name, size in options.dims] + [f"digital={each}" for each in options.digital]
    model = [problem.model.name, *graph, *options.structures, *(told.pop(name) for name in OF_MODEL if name in told)]
    hardware = [problem.hardware.name, *(SHORT_NAMES.get(key, key) + value for key, value in options.settings)]
    how = [*answer, *(told[name] for name in sorted(told, key=lambda name: name == "cut")), *search]
    return plain_file_name((model, hardware, how)) + ".json"
