"""Where a command writes: that it can, before any work is done for it. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.files.text import one_line
from cimsolve.files.whole import link_target


@dataclass(frozen=True)
class OutputPlace:
    """What an option says is written: a file, or files in a folder.

    Folders that are missing are made for what is in a `folder`; for a file only where `makes_folder` says so.
    """

    option: str
    path: str
    folder: bool = False
    makes_folder: bool = False


def demand_writable(places: Iterable[OutputPlace]) -> None:
    """Raise InputError for the first place where nothing can be written; leaves nothing behind."""
    for place in places:
        kind = "folder" if place.folder else "file"
        if not place.path:
            raise InputError(f"{place.option} '': is empty; expected the name of a {kind}")
        shown = f"{place.option} {one_line(place.path)}"
        if not place.path.isprintable():
            raise InputError(f"{shown}: expected a printable name of a {kind}; choose another")
        try:
            if place.folder:
                _demand_folder(Path(place.path), shown)
            else:
                _demand_file(Path(place.path), shown, place.makes_folder)
        except OSError as error:
            raise InputError(f"{shown}: cannot be written ({error.strerror}); choose another place") from None


def _demand_folder(folder: Path, shown: str) -> None:
    there = _nearest(folder)
    if not there.is_dir():
        raise InputError(
            f"{shown}: {'' if there == folder else f'{there} '}is a file: expected a folder; choose another place"
        )
    _try_to_write(there, shown)


def _demand_file(file: Path, shown: str, makes_folder: bool) -> None:
    target = link_target(file, shown)
    if _nearest(target) == target and not stat.S_ISREG(target.stat().st_mode):
        if target.is_dir():
            raise InputError(f"{shown}: is a folder; expected the name of a file to write")
        if not os.access(target, os.W_OK):
            raise InputError(f"{shown}: cannot be written to; choose another place")
        return  # a device or a pipe: it is written as it is
    if not target.parent.is_dir() and not makes_folder:
        raise InputError(f"{shown}: there is no folder {file.parent}; make it first, or choose another place")
    _demand_folder(target.parent, shown)


def _nearest(path: Path) -> Path:
    """The path itself, or the innermost of its folders that is there. Raises OSError for names that cannot be."""
    for place in (path, *path.absolute().parents):
        try:
            place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return place
    return Path("/")


def _try_to_write(folder: Path, shown: str) -> None:
    """Make a file and take it away: rights alone do not tell, as in /proc or for root."""
    trial = folder / ".cimsolve.tmp"
    with contextlib.suppress(OSError):
        trial.unlink()  # a killed process has left it
    try:
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return  # another one is trying the same
    except OSError as error:
        reason = f"no file can be made in {folder} ({error.strerror})"
        raise InputError(f"{shown}: {reason}; choose another place") from None
    trial.unlink(missing_ok=True)
