"""`cimsolve hw`: a spec of one's own, written and looked through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity
from cimsolve.cli.places import Place
from cimsolve.cli.values import near, setting, whole
from cimsolve.errors import InputError
from cimsolve.files.text import one_line

ACTIONS = {
    "new": ("--out FILE [options]", "write a first spec of your chip, every key in it, from the nearest shipped one"),
    "check": ("FILE...", "read specs, show what they amount to and what looks wrong"),
    "schema": ("", "the JSON Schema of the format, on stdout"),
}

KEYS = {
    "rows": ("array.rows", "rows of an array"),
    "cols": ("array.cols", "columns of an array"),
    "cell_bits": ("cell.bits", "bits of a cell"),
    "weight_bits": ("weight.bits", "bits of a weight"),
    "input_bits": ("input.bits", "bits of an input"),
    "adcs": ("adc.per_array", "converters of an array"),
    "adc_bits": ("adc.bits_max", "most bits of a converter"),
}
"""Flags with whole numbers -> key of the spec, and what it is."""

_HELP_EPILOG = """\
exit codes:
  0    done
  1    `hw check --strict`: something looks wrong
  2    a wrong option, or a file that is no spec

examples:
  cimsolve hw new --name my_chip --technology rram --rows 128 --cols 128 --adcs 16 --out my_chip.json
  cimsolve hw check my_chip.json
  cimsolve --hw my_chip.json
"""
_NEW_EPILOG = """\
Without any option and at a terminal, the questions are asked. What you give is marked as assumed in `sources`, or
with --source as read from there; all else is taken over from the spec it was built from, the area in proportion to the
cells, and marked as assumed. Every key is explained in docs/hardware.md; `cimsolve hw schema` gives a schema that
editors can use.

examples:
  cimsolve hw new --technology sram --rows 256 --cols 256 --adcs 32 --out my_sram.json
  cimsolve hw new --like pcm256 --name core --set macro.mvm_ns=100 --source "measured, 3 May" --out core.json
"""
_CHECK_EPILOG = """\
examples:
  cimsolve hw check my_chip.json
  cimsolve hw check rram256 paper256 --json
"""


@dataclass(frozen=True)
class HwNewOptions:
    """`cimsolve hw new`. `settings`: keys of the spec with their values as JSON text; `ask`: nothing was given."""

    settings: tuple[tuple[str, str], ...]
    technology: str | None
    like: str | None
    source: str | None
    out: str | None
    force: bool
    verbosity: int
    ask: bool

    @property
    def places(self) -> tuple[Place, ...]:
        return () if self.out is None else (Place("--out", self.out),)


@dataclass(frozen=True)
class HwCheckOptions:
    """`cimsolve hw check`: read specs; `strict`: fail where something looks wrong."""

    files: tuple[str, ...]
    strict: bool
    json: bool


@dataclass(frozen=True)
class HwSchemaOptions:
    """`cimsolve hw schema`: print the JSON Schema."""


def make_parser() -> Parser:
    width = max(len(f"{name} {words}") for name, (words, _) in ACTIONS.items()) + 2
    listed = "".join(f"  cimsolve hw {f'{name} {words}':<{width}}{does}\n" for name, (words, does) in ACTIONS.items())
    return Parser(
        prog="cimsolve hw",
        commands=tuple(ACTIONS),
        usage="cimsolve hw new|check|schema ...",
        description="Help with a hardware spec of your own. Each of these has a --help.",
        epilog=f"commands:\n{listed}\n{_HELP_EPILOG}",
    )


def make_new_parser() -> Parser:
    parser = Parser(
        prog="cimsolve hw new",
        usage="cimsolve hw new --out FILE [options]",
        description="Write a spec with every key, from the nearest shipped one and what you say of your chip.",
        epilog=_NEW_EPILOG,
    )
    parser.add_argument("--out", metavar="FILE", help="the JSON file to write")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    chip = parser.add_argument_group("chip")
    chip.add_argument("--name", metavar="TEXT", help="name in reports (default: my_chip)")
    chip.add_argument("--technology", metavar="TEXT", help="kind of memory: rram, pcm, sram or any text")
    chip.add_argument("--node", metavar="NM", help="technology node, for reports")
    for flag, (key, what) in KEYS.items():
        chip.add_argument(f"--{flag.replace('_', '-')}", type=whole(1), metavar="N", help=f"{what}: {key}")
    chip.add_argument(
        "--set", action="append", type=setting, default=[], metavar="KEY=VALUE", help="any other key; repeatable"
    )
    chip.add_argument("--like", metavar="SPEC", help="build it from this spec (default: the nearest shipped one)")
    chip.add_argument("--source", metavar="TEXT", help="where the figures given come from")
    add_verbosity(parser, "write the file and say nothing", "")
    return parser


def make_check_parser() -> Parser:
    parser = Parser(
        prog="cimsolve hw check",
        description="Read hardware specs, show what one full array does in time, energy and operations, and warn of "
        "values that are allowed and look wrong. Exit codes: 0 sound, 1 a warning with --strict, 2 no spec.",
        epilog=_CHECK_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="specs, or names of shipped ones")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where something looks wrong")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    return parser


def parse(arguments: Sequence[str]) -> HwNewOptions | HwCheckOptions | HwSchemaOptions:
    name, words = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name == "new":
        return _parse_new(words)
    if name == "check":
        found = make_check_parser().parse_known(words)
        return HwCheckOptions(tuple(found.files), found.strict, found.json)
    if name == "schema":
        Parser(prog="cimsolve hw schema", description="Print the JSON Schema of cimsolve-hw/1.").parse_known(words)
        return HwSchemaOptions()
    if name.startswith("-"):
        make_parser().parse_known(arguments)
    known = tuple(ACTIONS)
    hint = near(name, known)
    raise InputError(
        f"hw{f' {one_line(name)}' if name else ''}: expected one of {', '.join(known)}{hint}; see cimsolve hw --help"
    )


def _parse_new(words: Sequence[str]) -> HwNewOptions:
    parser = make_new_parser()
    found = parser.parse_known(words)
    settings: dict[str, str] = {}
    for key, value in (("name", found.name), ("node_nm", found.node)):
        if value is not None:
            settings[key] = value
    for flag, (key, _) in KEYS.items():
        if getattr(found, flag) is not None:
            settings[key] = str(getattr(found, flag))
    for key, value in found.set:
        if settings.get(key, value) != value:
            parser.error(f"--set {key}={value}: it is {settings[key]} by another option; expected one value")
        settings[key] = value
    ask = not settings and found.technology is None and found.like is None
    if found.out is None and not ask:
        parser.error("--out: expected the JSON file to write, such as --out my_chip.json")
    return HwNewOptions(
        settings=tuple(settings.items()),
        technology=found.technology,
        like=found.like,
        source=found.source,
        out=found.out,
        force=found.force,
        verbosity=found.verbosity,
        ask=ask,
    )
