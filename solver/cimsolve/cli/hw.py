"""`cimsolve hw`: a spec of one's own, written and looked through."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from cimsolve.cli import listed_commands
from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.parser import CommandOptions, Option, Parser, json_switch, option, verbosity
from cimsolve.cli.places import demand_writable
from cimsolve.cli.question import value_of
from cimsolve.cli.values import near, setting, whole
from cimsolve.errors import EXIT_DONE, InputError
from cimsolve.files.text import one_line

if TYPE_CHECKING:
    from cimsolve.show.text.progress import Progress

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


class HwNewOptions(CommandOptions):
    """`cimsolve hw new`. `settings`: keys of the spec with their values as JSON text; `ask`: nothing was given."""

    prog = "cimsolve hw new"
    usage = "cimsolve hw new --out FILE [options]"
    about = "Write a spec with every key, from the nearest shipped one and what you say of your chip."
    epilog = """\
Without any option and at a terminal, the questions are asked. What you give is marked as assumed in `sources`, or
with --source as read from there; all else is taken over from the spec it was built from, the area in proportion to the
cells, and marked as assumed. Every key is explained in docs/hardware.md; `cimsolve hw schema` gives a schema that
editors can use.

examples:
  cimsolve hw new --technology sram --rows 256 --cols 256 --adcs 32 --out my_sram.json
  cimsolve hw new --like pcm256 --name core --set macro.mvm_ns=100 --source "measured, 3 May" --out core.json
"""

    out: str | None = option("--out FILE", "the JSON file to write", writes="file")
    force: bool = option("--force", "replace the file if it is there")
    settings: tuple[tuple[str, str], ...] = option(
        "--set KEY=VALUE",
        "any other key; repeatable",
        setting,
        (),
        repeat=tuple,
        group="chip",
        short=(
            Option("--name TEXT", "name in reports (default: my_chip)", value_of("name")),
            Option("--node NM", "technology node, for reports", value_of("node_nm")),
            *(
                Option(f"--{flag.replace('_', '-')} N", f"{what}: {key}", value_of(key, whole(1)))
                for flag, (key, what) in KEYS.items()
            ),
        ),
    )
    technology: str | None = option("--technology TEXT", "kind of memory: rram, pcm, sram or any text", group="chip")
    like: str | None = option(
        "--like SPEC", "build it from this spec (default: the nearest shipped one)", complete="hardware", group="chip"
    )
    source: str | None = option("--source TEXT", "where the figures given come from", group="chip")
    verbosity: int = verbosity("write the file and say nothing", group="")
    ask: bool = False

    def settled(self, parser: Parser) -> Self:
        found: dict[str, str] = {}
        for key, value in self.settings:
            if found.setdefault(key, value) != value:
                parser.error(f"--set {key}={value}: it is {found[key]} by another option; expected one value")
        ask = not found and self.technology is None and self.like is None
        if self.out is None and not ask:
            parser.error("--out: expected the JSON file to write, such as --out my_chip.json")
        return dataclasses.replace(self, settings=tuple(found.items()), ask=ask)


class HwCheckOptions(CommandOptions):
    """`cimsolve hw check`: read specs; `strict`: fail where something looks wrong."""

    prog = "cimsolve hw check"
    about = (
        "Read hardware specs, show what one full array does in time, energy and operations, and warn of values that "
        "are allowed and look wrong. Exit codes: 0 sound, 1 a warning with --strict, 2 no spec."
    )
    epilog = """\
examples:
  cimsolve hw check my_chip.json
  cimsolve hw check rram256 paper256 --json
"""

    files: tuple[str, ...] = option("FILE", "specs, or names of shipped ones", default=(), nargs="+", complete="file")
    strict: bool = option("--strict", "exit code 1 where something looks wrong")
    json: bool = json_switch(group="")


class HwSchemaOptions(CommandOptions):
    prog = "cimsolve hw schema"
    about = "Print the JSON Schema of cimsolve-hw/1."


ACTIONS: Mapping[str, tuple[type[CommandOptions], str, str]] = {
    "new": (
        HwNewOptions,
        "--out FILE [options]",
        "write a first spec of your chip, every key in it, from the nearest shipped one",
    ),
    "check": (HwCheckOptions, "FILE...", "read specs, show what they amount to and what looks wrong"),
    "schema": (HwSchemaOptions, "", "the JSON Schema of the format, on stdout"),
}
"""Second word -> what may be asked, its arguments, what it does."""


class Options(CommandOptions):
    """`cimsolve hw`: the options of its actions are their own."""

    usage = "cimsolve hw new|check|schema ..."
    about = "Help with a hardware spec of your own. Each of these has a --help."
    epilog = f"""\
{listed_commands({f"hw {name}": (words, does) for name, (_, words, does) in ACTIONS.items()})}
exit codes:
  0    done
  1    `hw check --strict`: something looks wrong
  2    a wrong option, or a file that is no spec

examples:
  cimsolve hw new --name my_chip --technology rram --rows 128 --cols 128 --adcs 16 --out my_chip.json
  cimsolve hw check my_chip.json
  cimsolve --hw my_chip.json
"""
    commands = tuple(ACTIONS)

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> CommandOptions:
        name = arguments[0] if arguments else ""
        if name in ACTIONS:
            return ACTIONS[name][0].parse(arguments[1:])
        if name.startswith("-"):
            super().parse(arguments)
        hint = near(name, cls.commands)
        raise InputError(
            f"hw{f' {one_line(name)}' if name else ''}: expected one of {', '.join(ACTIONS)}{hint}; "
            "see cimsolve hw --help"
        )


def run(options: HwNewOptions | HwCheckOptions | HwSchemaOptions) -> int:
    """Do what is asked; returns the exit code. Raises InputError for what is no spec and what cannot be written."""
    if isinstance(options, HwSchemaOptions):
        from cimsolve.chip.schema import hardware_json_schema
        from cimsolve.show.text.console import print_json

        print_json(hardware_json_schema())
        return EXIT_DONE
    return _check(options) if isinstance(options, HwCheckOptions) else _new(options)


def _new(options: HwNewOptions) -> int:
    from cimsolve.chip.draft import demand_new, draft_hardware
    from cimsolve.files.json_file import write_json_atomically
    from cimsolve.show.text.chip import print_draft
    from cimsolve.show.text.console import is_terminal

    if options.ask:
        if not is_terminal():
            raise InputError("--out: expected options that describe the chip, or a terminal to ask at; see --help")
        options = _asked(options)
        demand_writable(options.places)
    assert options.out is not None
    demand_new(options.out, os.path.lexists(options.out), options.force)
    draft = draft_hardware(
        dict(options.settings), technology=options.technology, base=options.like, source=options.source
    )
    write_json_atomically(options.out, draft.data, for_editing=True)
    if options.verbosity >= 0:
        print_draft(draft, options.out)
    return EXIT_DONE


def _asked(options: HwNewOptions) -> HwNewOptions:
    """The options with what the user answers; an empty answer takes over what the nearest spec has."""
    from cimsolve.show.text.chip import ask_for

    name = ask_for("Name of the chip", "my_chip")
    technology = ask_for("Kind of memory (rram, pcm, sram, ...)", "rram")
    settings = {"name": name}
    for key, what in KEYS.values():
        value = ask_for(f"{what[0].upper()}{what[1:]} ({key}); empty: as the nearest shipped spec", "")
        if value:
            settings[key] = value
    out = options.out or ask_for("File to write", f"{name}.json")
    return dataclasses.replace(options, settings=tuple(settings.items()), technology=technology, out=out, ask=False)


def _check(options: HwCheckOptions) -> int:
    from cimsolve.chip.doubts import find_doubts
    from cimsolve.chip.figures import array_figures, network_figures
    from cimsolve.chip.read import load_hardware
    from cimsolve.show.text.chip import describe_chip, print_chip

    first = options.files[0]

    def look(name: str, progress: Progress) -> Found:
        hardware = load_hardware(name)
        figures, network, doubts = array_figures(hardware), network_figures(hardware), find_doubts(hardware)
        return Found(
            options.strict and bool(doubts),
            lambda: describe_chip(hardware, figures, network, doubts),
            lambda: print_chip(name, hardware, figures, network, doubts, first=name == first),
        )

    return each_file(options.files, look, form="cimsolve-hw-check/1", json=options.json, progress=False)
