"""The parser that all commands share, and options that more than one has. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from cimsolve.cli.values import near
from cimsolve.errors import InputError
from cimsolve.files.text import one_line

DEFAULT_OUT = "results"
HELP_WIDTH = 79


class _StoreOnce(argparse._StoreAction):
    """Stores a value. An option given again is refused: of two values one would be dropped in silence."""

    def __call__(self, parser: argparse.ArgumentParser, *where: Any) -> None:
        assert isinstance(parser, Parser)
        if self.option_strings and self.dest in parser.stored:
            raise argparse.ArgumentError(self, "is given twice; expected it once")
        parser.stored.add(self.dest)
        super().__call__(parser, *where)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose refusals are one line, raised as InputError, and that takes a single value once.

    `commands`: what a stray word may have been meant for. `stored`: the options with a value met so far.
    """

    def __init__(self, commands: Sequence[str] = (), **settings: Any) -> None:
        self.commands = commands
        self.stored: set[str] = set()
        # The formatter keeps lines as they are, for the epilogs' sake.
        settings["description"] = textwrap.fill(settings.get("description", ""), HELP_WIDTH)
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
            **settings,
        )
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)
        self.add_argument("-h", "--help", action="help", help="show this help and exit")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{one_line(message.removeprefix('argument '))}; see {self.prog} --help")

    def demand_absent(self, arguments: Sequence[str], names: Sequence[str], why: str) -> None:
        """Refuse options, named by where they are kept, that are among the arguments, be it with their default."""
        given = {word.partition("=")[0] for word in arguments}
        for action in self._actions:
            if action.dest in names and given.intersection(action.option_strings):
                self.error(f"{action.option_strings[-1]}: {why}")

    def parse_known(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse all of `arguments`, files among options as they come; what is left over is refused."""
        self.stored.clear()
        found, unknown = self.parse_known_intermixed_args(list(arguments))
        if unknown:
            word = unknown[0].partition("=")[0]
            self.error(f"{word}: {self._why_unknown(word)}")
        return found

    def _why_unknown(self, word: str) -> str:
        if word.startswith("-"):
            options = [text for action in self._actions for text in action.option_strings]
            return f"there is no such option{near(word, options)}"
        if word in self.commands:
            return "is a command; expected it before all options"
        if self.commands:
            return f"there is no such command{near(word, self.commands)}"
        return "is one word too many; expected an option, or nothing"


def add_output(parser: argparse.ArgumentParser, quiet: str, verbose: str) -> argparse._ArgumentGroup:
    """Where answers go and how much is said."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        default=DEFAULT_OUT,
        metavar="FOLDER",
        help="where solutions are written (default: %(default)s/)",
    )
    output.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(output, quiet, verbose)
    return output


def add_verbosity(parser: argparse._ActionsContainer, quiet: str, verbose: str) -> None:
    parser.set_defaults(verbosity=0)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", dest="verbosity", action="store_const", const=-1, default=0, help=quiet)
    if verbose:
        group.add_argument("-v", "--verbose", dest="verbosity", action="store_const", const=1, help=verbose)


def flat(groups: Sequence[Sequence[str]] | None) -> tuple[str, ...]:
    """All names of a repeatable option, each once, in the order given."""
    return tuple(dict.fromkeys(name for group in groups or () for name in group))
