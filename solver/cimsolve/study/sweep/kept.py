"""What is kept of finished work, in files named by the digest of all that it depends on.

They come back as data from outside: an answer is judged again by the checker, as any solution file is; what no
checker can judge, why there is no answer or what a long measurement gave, bears a seal of its content. Whatever does
not hold is told in one line, and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, read_json, write_json_atomically
from cimsolve.problem.plan import AnyPlan, read_answer, write_answer
from cimsolve.problem.solution import Solution

RECORD_BYTES_MAX = 2**26

Tell = Callable[[str], None]
"""Told in one line of a kept file that does not hold, and of one that cannot be written."""


def tell_nobody(line: str) -> None:
    """Tell nobody."""


class KeptRecord(BaseModel):
    """A result, kept in a file under the digest of all that it depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    digest: str

    def seal(self) -> str:
        """32 hexadecimal digits of what the record holds."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


Kept = TypeVar("Kept", bound=KeptRecord)
Found = TypeVar("Found")


class KeptFiles:
    """A folder of files named by digests; `None` keeps nothing."""

    def __init__(self, folder: Path | None, tell: Tell = tell_nobody, prefix: str = "") -> None:
        self._folder, self._tell, self._prefix = folder, tell, prefix

    def _read(self, digest: str, read: Callable[[Path], Found]) -> Found | None:
        """What `read` finds in the file of this digest; None where there is none, or none that holds."""
        if self._folder is None or not os.path.lexists(path := self._path(self._folder, digest)):
            return None
        try:
            if not path.is_file():
                raise InputError(f"{path}: is no file; remove it")
            return read(path)
        except InputError as error:
            self._tell(f"note: what is kept of this question does not hold and is done again ({error})")
            return None

    def _write(self, digest: str, write: Callable[[Path], object]) -> None:
        if self._folder is None:
            return
        path = self._path(self._folder, digest)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() and not path.exists():
                path.unlink()  # it leads nowhere, or in a circle
            if os.path.lexists(path) and not path.is_file():
                raise InputError(f"{path}: is no file; remove it")
            write(path)
        except OSError as error:
            self._tell(f"note: a result cannot be kept ({path}: {error.strerror})")
        except InputError as error:
            self._tell(f"note: a result cannot be kept ({error})")

    def _path(self, folder: Path, digest: str) -> Path:
        return folder / f"{self._prefix}{digest}.json"


class Records(KeptFiles, Generic[Kept]):
    """Records of one kind, each with a seal of its content."""

    def __init__(self, folder: Path | None, kind: type[Kept], tell: Tell = tell_nobody, prefix: str = "") -> None:
        super().__init__(folder, tell, prefix)
        self._kind = kind

    def read(self, digest: str) -> Kept | None:
        """The record of this digest; None where there is none that holds, so that it is made again."""
        return self._read(digest, lambda path: self._unsealed(path, digest))

    def write(self, record: Kept) -> None:
        """Keep a record; where it cannot be written that is told."""
        content = {**record.model_dump(mode="json"), "seal": record.seal()}
        self._write(record.digest, lambda path: write_json_atomically(path, content))

    def _unsealed(self, path: Path, digest: str) -> Kept:
        content = read_json(path, RECORD_BYTES_MAX)
        seal = content.pop("seal", None) if isinstance(content, dict) else None
        try:
            record = self._kind.model_validate(content)
        except ValidationError as error:
            raise InputError(first_problem(error, str(path), self._kind)) from None
        if record.digest != digest or record.seal() != seal:
            raise InputError(f"{path}: was changed since it was written")
        return record


class Answers(KeptFiles):
    """Files of solutions and of answers in runs, each judged again when it is read."""

    def read(self, digest: str, judged: Callable[[Solution | AnyPlan, str], Found]) -> Found | None:
        """What `judged` makes of the answer of this digest and its name; None where it raises InputError."""
        return self._read(digest, lambda path: judged(read_answer(path), str(path)))

    def write(self, digest: str, answer: Solution | AnyPlan) -> None:
        """Keep an answer; where it cannot be written that is told."""
        self._write(digest, lambda path: write_answer(answer, path))
