"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cimsolve.errors import InputError

try:
    import fcntl
except ImportError:  # files that others write at the same time would be torn without locks
    raise InputError(f"cimsolve runs on Linux and macOS, this is {sys.platform}; on Windows use WSL") from None


@contextlib.contextmanager
def written_whole(path: Path, shown: str, advice: str = "choose another place") -> Iterator[Path]:
    """Where to write what `path` is to hold: readers see the old file or, once the block has ended, the new one.

    It is on the disk before it is seen. Who else writes the same waits, and what a killed process has left is written
    over. A device such as /dev/stdout is written to as it is. Raises InputError, of what is `shown` and with this
    advice, where the place cannot be written.
    """
    device = os.path.exists(path) and not os.path.isfile(path)  # a rename would put a plain file in its place
    try:
        if device:
            yield path
            return
        written = path.with_name(f".{path.name}.tmp")
        claim = _claim(written)
        try:
            yield written
            os.fsync(claim)
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        finally:
            os.close(claim)
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror or error}); {advice}") from None


def _claim(path: Path) -> int:
    """A descriptor of the file at `path`, made where there is none, for which others wait until it is closed."""
    while True:
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        _lock(claim)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(claim), os.stat(path)):
                return claim
        os.close(claim)  # another one has put it in its place meanwhile


@contextlib.contextmanager
def folder_locked(folder: Path, shown: str) -> Iterator[None]:
    """Within, who else asks for the lock of this folder waits; a killed process holds none.

    Raises InputError, of what is `shown`, where there is no such folder.
    """
    try:
        claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror}); choose another place") from None
    try:
        _lock(claim)
        yield
    finally:
        os.close(claim)


def link_target(path: Path, shown: str) -> Path:
    """What to write for `path`: a link stays a link, and what it points to is replaced.

    Raises InputError, of what is `shown`, for links that lead in a circle and where it cannot be found out.
    """
    try:
        target = path.resolve()
        in_circle = target.is_symlink()
    except RuntimeError:  # raised by Python before 3.13, where later ones leave the link
        in_circle = True
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror}); choose another place") from None
    if in_circle:
        raise InputError(f"{shown}: cannot be written (its links lead in a circle); remove it")
    return target


def _lock(claim: int) -> None:
    with contextlib.suppress(OSError):  # some file systems have no locks
        fcntl.flock(claim, fcntl.LOCK_EX)
