"""Results by content: a file a point, named by its digest. A killed sweep has lost only what was being solved."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import read_json, write_json_atomically
from cimsolve.study.sweep.point import Record

RECORD_BYTES_MAX = 2**26


class Cache:
    """A folder of records; `None` keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, digest: str) -> Record | None:
        """The record of this digest; None where there is none that can be read, so that it is solved again."""
        if self._folder is None:
            return None
        path = self._folder / f"{digest}.json"
        if not path.is_file():
            return None
        try:
            record = Record.model_validate(read_json(path, RECORD_BYTES_MAX))
        except (InputError, ValidationError):
            return None
        return record if record.digest == digest else None

    def write(self, record: Record) -> None:
        """Keep a record, but none of a failure, which may not happen again. Raises InputError where it cannot."""
        if self._folder is None or record.state not in ("solved", "infeasible"):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--cache {self._folder}: cannot be made a folder ({error.strerror})") from None
        write_json_atomically(self._folder / f"{record.digest}.json", record.model_dump())
