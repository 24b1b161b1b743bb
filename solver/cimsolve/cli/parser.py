"""One table of options a command: what an option is, and all that follows from it.

A command's options are a frozen dataclass whose fields are made by `option`. From its fields follow the parser with
its help, the record of what was asked, the completion of words, and the command that asks the same again. Nothing
heavy is imported here.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform

from cimsolve.cli.places import OutputPlace
from cimsolve.cli.values import near, plain
from cimsolve.errors import InputError
from cimsolve.files.text import one_line

HELP_WIDTH = 79
LAST_GROUPS = ("execution", "output")
"""Groups that the help shows after all others."""


@dataclass(frozen=True)
class Option:
    """One flag, or the files of a command line, which have none."""

    spelled: str
    """As the help shows it: `-q --quiet`, `--seed N`, `FILE`. A flag without a value is a switch."""
    help: str
    """`{default}` in it stands for the default."""
    read: Callable[[str], Any] = str
    """The value of a text; raises ArgumentTypeError."""
    group: str = ""
    """The heading in the help under which it stands."""
    nargs: str | None = None
    """How many files there may be: `?`, `*` or `+`."""
    required: bool = False
    const: Any = True
    """The value of a switch."""
    repeat: Callable[[Sequence[Any]], Any] | None = None
    """Makes the field of all values given, where the flag may be given more than once."""
    shown: Callable[[Any], str] = plain
    """The text that reads as the value, for the command that asks the same again."""
    again: bool | None = None
    """Whether that command has it: always, never, or where it differs from the default."""
    complete: Sequence[str] | str = ()
    """What a shell may offer: words, or the kind of thing: `file`, `folder`, `model`, `hardware`."""
    writes: str = ""
    """What is written there: `file`, `folder`, or `new file`, whose folders are made."""
    exclusive: str = ""
    """Name of a group of options of which at most one is given."""

    @property
    def flags(self) -> list[str]:
        """Its flags, the long one last; files have none."""
        return [word for word in self.spelled.split() if word.startswith("-")]

    @property
    def metavar(self) -> str:
        """What stands for the value; empty for a switch."""
        word = self.spelled.split()[-1]
        return "" if word in self.flags else word

    @property
    def name(self) -> str:
        """The long flag, or the name of the files."""
        return self.flags[-1] if self.flags else self.metavar


def option(
    spelled: str,
    help: str,
    read: Callable[[str], Any] = str,
    default: Any = None,
    *,
    short: Sequence[Option] = (),
    **row: Any,
) -> Any:
    """A field that a flag fills; `row` are further fields of Option, `short` other flags that fill it as well."""
    last = Option(spelled, help, read, **row)
    default = False if default is None and not last.metavar else default
    rows = (*(dataclasses.replace(one, group=last.group) for one in short), last)
    return dataclasses.field(default=default, metadata={"rows": rows})


question_option = partial(option, group="question")
search_option = partial(option, group="search")
execution_option = partial(option, group="execution")
output_option = partial(option, group="output")
json_switch = partial(output_option, "--json", "one JSON object on stdout and nothing else", again=False)
solution_files = partial(
    option, "FILE", help="solutions, as written to results/", default=(), nargs="+", complete="file", again=False
)


def listed(groups: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """All values of an option that takes several at once and is repeatable, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(groups)))


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """What one command was asked; a subclass says it in its fields, and is such a dataclass without more words."""

    prog: ClassVar[str]
    """How the command is called; `cimsolve` and its module's name where a subclass does not say."""
    usage: ClassVar[str | None] = None
    about: ClassVar[str]
    epilog: ClassVar[str] = ""
    commands: ClassVar[tuple[str, ...]] = ()
    """What a stray word may have been meant for."""

    def __init_subclass__(cls) -> None:
        if "prog" not in vars(cls):
            cls.prog = f"cimsolve {cls.__module__.rpartition('.')[2]}"
        dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> CommandOptions:
        """What `arguments` ask for. Raises InputError for a usage error; SystemExit once the help is printed."""
        parser = cls.make_parser()
        found = parser.parse_known(arguments)
        values: dict[str, Any] = {}
        for field, rows in cls._table():
            given = [(row, found[row.name]) for row in rows if row.name in found]
            if not given:
                continue
            row, value = rows[-1], given[0][1]
            if row.repeat is not None:
                try:
                    value = row.repeat([part for one, each in given for part in (each if one.repeat else [each])])
                except argparse.ArgumentTypeError as error:
                    parser.error(f"{row.name}: {error}")
            values[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values).settled(parser)

    @classmethod
    def make_parser(cls) -> Parser:
        """The parser that `parse` uses."""
        parser = Parser(prog=cls.prog, usage=cls.usage, about=cls.about, epilog=cls.epilog, commands=cls.commands)
        for field, rows in cls._table():
            for row in rows:
                parser.add(row, field.default)
        return parser

    def settled(self, parser: Parser) -> Self:
        """The options as they are meant; `parser.error` where they do not go together."""
        return self

    @property
    def places(self) -> tuple[OutputPlace, ...]:
        """Where the command writes."""
        rows = [(field.name, row) for field, rows in self._table() for row in rows if row.writes]
        return tuple(
            OutputPlace(row.name, path, folder=row.writes == "folder", makes_folder=row.writes == "new file")
            for name, row in rows
            if (path := getattr(self, name)) is not None
        )

    def command(self, without: Collection[str] = ()) -> str:
        """The command that asks the same again, to be pasted into a shell; `without` names flags and groups."""
        files: list[str] = []
        words: list[str] = []
        for field, rows in self._table():
            row, value = rows[-1], getattr(self, field.name)
            unchanged = row.again is None and value == field.default
            if row.again is False or unchanged or row.name in without or row.group in without:
                continue
            if not row.flags:
                files += value if isinstance(value, tuple) else [value]
            elif not row.metavar:
                words.append(row.name)
            else:
                for each in value if row.repeat not in (None, listed) else [value]:
                    words += [row.name, row.shown(each)]
        return shlex.join([*self.prog.split(), *files, *words])

    @classmethod
    def _table(cls) -> Iterator[tuple[dataclasses.Field[Any], tuple[Option, ...]]]:
        """Fields with the flags that fill them, in the order of the help."""
        found = [(field, field.metadata["rows"]) for field in dataclasses.fields(cls) if "rows" in field.metadata]
        groups = list(dict.fromkeys(rows[-1].group for _, rows in found))
        groups.sort(key=lambda name: (name != "", name in LAST_GROUPS))
        yield from sorted(found, key=lambda one: groups.index(one[1][-1].group))


class _StoreOnce(argparse._StoreAction):
    """Stores a value. An option given again is refused: of two values one would be dropped in silence."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *where: Any) -> None:
        if self.option_strings and hasattr(namespace, self.dest):
            raise argparse.ArgumentError(self, "is given twice; expected it once")
        super().__call__(parser, namespace, *where)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose refusals are one line, raised as InputError, and that takes a single value once."""

    def __init__(self, *, about: str, commands: Sequence[str], **settings: Any) -> None:
        super().__init__(
            # The formatter keeps lines as they are, for the epilogs' sake.
            description=textwrap.fill(about, HELP_WIDTH),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
            argument_default=argparse.SUPPRESS,
            **settings,
        )
        self.rows: list[tuple[Option, argparse.Action]] = []
        self._commands = commands
        self._given: Collection[str] = ()
        self._parts: dict[str, argparse._ActionsContainer] = {"": self}
        self.register("action", "store", _StoreOnce)
        self.add_argument("-h", "--help", action="help", help="show this help and exit")

    def add(self, row: Option, default: Any) -> None:
        """Add what `row` says."""
        if row.group not in self._parts:
            self._parts[row.group] = self.add_argument_group(row.group)
        if row.exclusive and row.exclusive not in self._parts:
            self._parts[row.exclusive] = self._parts[row.group].add_mutually_exclusive_group()
        where = self._parts[row.exclusive or row.group]
        settings: dict[str, Any] = {"help": row.help.replace("{default}", plain(default)).replace("%", "%%") or None}
        if row.metavar:
            settings |= {"action": "append" if row.repeat else "store", "type": row.read, "metavar": row.metavar}
        else:
            settings |= {"action": "store_const", "const": row.const}
        if row.nargs:
            settings["nargs"] = row.nargs
        if row.flags:
            settings["required"] = row.required
        self.rows.append((row, where.add_argument(*row.flags, dest=row.name, **settings)))

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{one_line(message.removeprefix('argument '))}; see {self.prog} --help")

    def demand_absent(self, names: Collection[str], why: str) -> None:
        """Refuse flags that were given, be it with their default; `names` are flags and groups."""
        for row, _ in self.rows:
            if row.name in self._given and (row.name in names or row.group in names):
                self.error(f"{row.name}: {why}")

    def parse_known(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The values given by name, files among options as they come; what is left over is refused."""
        found, unknown = self.parse_known_intermixed_args(list(arguments))
        if unknown:
            word = unknown[0].partition("=")[0]
            self.error(f"{word}: {self._why_unknown(word)}")
        self._given = vars(found)
        return vars(found)

    def _why_unknown(self, word: str) -> str:
        if word.startswith("-"):
            options = [text for action in self._actions for text in action.option_strings]
            return f"there is no such option{near(word, options)}"
        if word in self._commands:
            return "is a command; expected it before all options"
        if self._commands:
            return f"there is no such command{near(word, self._commands)}"
        return "is one word too many; expected an option, or nothing"


def verbosity(quiet: str, verbose: str = "", group: str = "output") -> Any:
    """-q and, with a text for it, -v: -1 quiet, 0 the report, 1 with more."""
    texts = {"-q --quiet": (quiet, -1), "-v --verbose": (verbose, 1)}
    rows = [
        Option(flags, help, group=group, const=const, again=False, exclusive="verbosity")
        for flags, (help, const) in texts.items()
        if help
    ]
    return dataclasses.field(default=0, metadata={"rows": tuple(rows)})
