"""`cimsolve completion`: a script for the shell, made by shtab from the parsers of all commands."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module

import shtab

from cimsolve.cli import COMMANDS
from cimsolve.cli.options import hw
from cimsolve.cli.options.completion import SHELLS, CompletionOptions
from cimsolve.cli.options.explain import WHAT_IF_NAMES
from cimsolve.cli.options.question import CUT_NAMES
from cimsolve.cli.options.search import STRATEGY_NAMES
from cimsolve.cli.options.solve import SIMULATE_NAMES
from cimsolve.cli.options.table import FORMAT_NAMES
from cimsolve.files.library import shipped_hardware, shipped_models
from cimsolve.problem.objective import OBJECTIVES
from cimsolve.show.text.sheet import print_text

FILES = ("files", "file", "study", "start", "plot", "schema")
FOLDERS = ("out", "cache")


def run(options: CompletionOptions) -> int:
    """Print the script; returns 0."""
    print_text(shtab.complete(command_tree(), options.shell) + "\n")
    return 0


def command_tree() -> argparse.ArgumentParser:
    """One parser with a subparser for each command, as shtab wants it; what words may be is told by their names."""
    tree = argparse.ArgumentParser(prog="cimsolve", parents=[_parser("solve")], add_help=False)
    commands = tree.add_subparsers()
    for name, (_, does) in COMMANDS.items():
        if name != "hw":
            commands.add_parser(name, parents=[_parser(name)], add_help=False, help=does)
    actions = commands.add_parser("hw", help=COMMANDS["hw"][1]).add_subparsers()
    for name, make in (("new", hw.make_new_parser), ("check", hw.make_check_parser)):
        actions.add_parser(name, parents=[_with_words(make())], add_help=False, help=hw.ACTIONS[name][1])
    actions.add_parser("schema", help=hw.ACTIONS["schema"][1])
    return tree


def _parser(name: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = import_module(f"cimsolve.cli.options.{name}").make_parser()
    return _with_words(made)


def _with_words(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    words: Mapping[str, Sequence[str]] = {
        "hw": shipped_hardware(),
        "like": shipped_hardware(),
        "model": shipped_models(),
        "strategy": STRATEGY_NAMES,
        "reference": STRATEGY_NAMES,
        "objective": OBJECTIVES,
        "front": OBJECTIVES,
        "cut": CUT_NAMES,
        "simulate": SIMULATE_NAMES,
        "format": FORMAT_NAMES,
        "shell": SHELLS,
        "what_if": WHAT_IF_NAMES,
    }
    for action in parser._actions:
        if action.dest in words:
            action.choices = list(words[action.dest])
        elif action.dest in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return parser
