"""`cimsolve hw`: a spec of one's own, written and looked through."""

from __future__ import annotations

import dataclasses
import os

from cimsolve.chip.doubts import find_doubts
from cimsolve.chip.draft import demand_new, draft_hardware
from cimsolve.chip.figures import array_figures
from cimsolve.chip.read import load_hardware
from cimsolve.chip.schema import hardware_json_schema
from cimsolve.cli.each_file import EXIT_DONE, Found, each_file
from cimsolve.cli.options.hw import KEYS, HwCheckOptions, HwNewOptions, HwSchemaOptions
from cimsolve.cli.places import demand_writable
from cimsolve.errors import InputError
from cimsolve.files.json_file import write_json_atomically
from cimsolve.show.text.chip import ask_for, describe_chip, print_chip, print_draft
from cimsolve.show.text.console import is_terminal, print_json
from cimsolve.show.text.progress import Progress


def run(options: HwNewOptions | HwCheckOptions | HwSchemaOptions) -> int:
    """Do what is asked; returns the exit code. Raises InputError for what is no spec and what cannot be written."""
    if isinstance(options, HwSchemaOptions):
        print_json(hardware_json_schema())
        return EXIT_DONE
    return _check(options) if isinstance(options, HwCheckOptions) else _new(options)


def _new(options: HwNewOptions) -> int:
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
    first = options.files[0]

    def look(name: str, progress: Progress) -> Found:
        hardware = load_hardware(name)
        figures, doubts = array_figures(hardware), find_doubts(hardware)
        return Found(
            options.strict and bool(doubts),
            lambda: describe_chip(hardware, figures, doubts),
            lambda: print_chip(name, hardware, figures, doubts, first=name == first),
        )

    return each_file(options.files, look, form="cimsolve-hw-check/1", json=options.json, progress=False)
