"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cimsolve.errors import InputError


@contextlib.contextmanager
def written_whole(path: Path, shown: str, advice: str = "choose another place") -> Iterator[Path]:
    """Where to write what `path` is to hold: readers see the old file or, once the block has ended, the new one.

    A device such as /dev/stdout is written to as it is. Raises InputError, of what is `shown` and with this advice,
    where the place cannot be written.
    """
    device = os.path.exists(path) and not os.path.isfile(path)  # a rename would put a plain file in its place
    written = path if device else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield written
        if not device:
            written.replace(path)
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror or error}); {advice}") from None
    finally:
        if not device:
            with contextlib.suppress(OSError):
                written.unlink()
