"""`cimsolve completion`: a script for the shell, made by shtab from the options of all commands."""

from __future__ import annotations

import argparse

from cimsolve.cli import COMMANDS, options_of
from cimsolve.cli.hw import ACTIONS
from cimsolve.cli.parser import CommandOptions, option
from cimsolve.cli.values import OneOf
from cimsolve.errors import EXIT_DONE

SHELLS = ("bash", "zsh", "fish")


class Options(CommandOptions):
    about = "Print the script by which a shell completes commands, options, names and files."
    epilog = """\
The script is static: write it where your shell looks for such scripts, once per version of cimsolve.

examples:
  cimsolve completion bash > ~/.local/share/bash-completion/completions/cimsolve
  cimsolve completion zsh > ~/.zfunc/_cimsolve
  cimsolve completion fish > ~/.config/fish/completions/cimsolve.fish
"""

    shell: str = option("SHELL", "bash, zsh or fish", OneOf(SHELLS))


def run(options: Options) -> int:
    """Print the script; returns 0."""
    import shtab

    from cimsolve.show.text.sheet import print_text

    print_text(shtab.complete(command_tree(), options.shell) + "\n")
    return EXIT_DONE


def command_tree() -> argparse.ArgumentParser:
    """One parser with a subparser for each command, as shtab wants it."""
    tree = argparse.ArgumentParser(prog="cimsolve", parents=[_parser(options_of("solve"))], add_help=False)
    commands = tree.add_subparsers()
    for name, (_, does) in COMMANDS.items():
        if name != "hw":
            commands.add_parser(name, parents=[_parser(options_of(name))], add_help=False, help=does)
    actions = commands.add_parser("hw", help=COMMANDS["hw"][1]).add_subparsers()
    for name, (options, _, does) in ACTIONS.items():
        actions.add_parser(name, parents=[_parser(options)], add_help=False, help=does)
    return tree


def _parser(options: type[CommandOptions]) -> argparse.ArgumentParser:
    """The parser of a command, with the words and files that may stand for each value."""
    import shtab

    from cimsolve.files.library import shipped_hardware, shipped_models

    kinds = {"file": shtab.FILE, "new file": shtab.FILE, "folder": shtab.DIRECTORY}
    shipped = {"hardware": shipped_hardware, "model": shipped_models}
    parser = options.make_parser()
    for row, action in parser.rows:
        offered = row.complete or row.writes or getattr(row.read, "known", ())
        if offered in kinds:
            action.complete = kinds[offered]  # type: ignore[attr-defined]
        elif offered:
            action.choices = list(shipped[offered]() if isinstance(offered, str) else offered)
    return parser
