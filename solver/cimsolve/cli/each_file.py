"""Commands that take files one after the other: what is wrong with one is told, and the others are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cimsolve.errors import EXIT_DONE, EXIT_FAILED, CimsolveError, InputError

if TYPE_CHECKING:
    from cimsolve.show.text.progress import Progress


@dataclass(frozen=True)
class Found:
    """What came of one file: whether it fails, and both ways of telling it."""

    failed: bool
    describe: Callable[[], Mapping[str, Any]]
    """For --json."""
    show: Callable[[], None]
    """For people."""


def each_file(
    files: Sequence[str], look: Callable[[str, Progress], Found], *, form: str, json: bool, progress: bool
) -> int:
    """Look at every file and tell what is found; `form` is the format of the JSON object.

    Returns the exit code: 2 where a file cannot be used, else 1 where one fails, else 0. `look` raises InputError for
    a file that cannot be used and CheckError for one that fails before there is anything to tell.
    """
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.progress import Progress

    code = EXIT_DONE
    told: dict[str, Mapping[str, Any]] = {}
    for name in files:
        try:
            with Progress(progress) as shown:
                shown.begin(f"checking {name}")
                found = look(name, shown)
        except CimsolveError as error:
            code = max(code, error.exit_code)
            told[name] = {"passed": None if isinstance(error, InputError) else False, "error": str(error)}
            say(f"error: {error}")
            continue
        code = max(code, EXIT_FAILED if found.failed else EXIT_DONE)
        if json:
            told[name] = found.describe()
        else:
            found.show()
    if json:
        print_json({"format": form, "files": told, "exit_code": code})
    return code
