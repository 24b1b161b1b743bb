"""Solutions whose tables lie in a file beside the header: what does not fit or is hostile is refused."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.check import check_solution
from cimsolve.problem import solution as solution_module
from cimsolve.problem.solution import read_solution, write_solution
from makers.bounded_memory import bounded_memory
from makers.builders import (
    honest,
)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
    path = tmp_path / "answer.json"
    assert write_solution(honest(), path) == [path, tables_of(path)]
    assert check_solution(read_solution(path)).passed
    return path


def tables_of(path: Path) -> Path:
    (found,) = path.parent.glob("answer.*.npz")
    return found


def stored(path: Path) -> dict[str, Any]:
    with np.load(tables_of(path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def forge(path: Path, data: bytes, name: str | None = None) -> None:
    """Put other tables in the place of the honest ones, with a hash that fits."""
    header = json.loads(path.read_text())
    header["tables"]["sha256"] = hashlib.sha256(data).hexdigest()
    header["tables"]["file"] = name or header["tables"]["file"]
    path.write_text(json.dumps(header))
    (path.parent / header["tables"]["file"]).write_bytes(data)


def savez(columns: dict[str, Any], save: Callable[..., None] = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **columns)
    return buffer.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_solution(path)
    text = str(caught.value)
    assert text.isprintable()
    return text


def test_tables_that_do_not_fit_the_hash_are_refused(beside: Path) -> None:
    tables = tables_of(beside)
    tables.write_bytes(tables.read_bytes()[:-1] + b"x")
    assert "its sha256 is not the" in refusal(beside)


def test_tables_of_another_answer_are_found_wrong(beside: Path) -> None:
    columns = stored(beside)
    columns["pieces.array_row"][0] += 1
    columns["activations.start"][0] += 1
    forge(beside, savez(columns))
    assert not check_solution(read_solution(beside)).passed


def test_missing_tables_are_named(beside: Path) -> None:
    tables_of(beside).unlink()
    assert ".npz: there is no such file" in refusal(beside)


@pytest.mark.parametrize("name", ["../answer.npz", "/etc/passwd", "..", ".", "", "a/b.npz", "folder/../answer.npz"])
def test_tables_stay_beside_the_header(beside: Path, name: str) -> None:
    header = json.loads(beside.read_text())
    header["tables"]["file"] = name
    beside.write_text(json.dumps(header))
    assert "expected a plain file name" in refusal(beside) or "there is no such file" in refusal(beside)


@pytest.mark.parametrize("name", ["x" * 250, "x" * 5000, "a\x00b", "a\nb", "\x1b[2J"])
def test_names_of_tables_that_no_file_has_are_refused(beside: Path, name: str) -> None:
    header = json.loads(beside.read_text())
    header["tables"]["file"] = name
    beside.write_text(json.dumps(header))
    refusal(beside)


class Bomb:
    """Unpickling this would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("pickled").touch, ())


def test_nothing_is_unpickled(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(beside.parent)
    columns = stored(beside)
    columns["pieces.factor"] = np.array([Bomb()] * 3, dtype=object)
    forge(beside, savez(columns))
    assert NO_COLUMN in refusal(beside)
    assert not Path("pickled").exists()


def npy(shape: str, kind: str = "<i8", data: bytes = b"") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def with_member(
    path: Path, member: bytes, name: str = "pieces.factor.npy", compress: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(tables_of(path)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, member, compress)
    return buffer.getvalue()


NO_COLUMN = "expected a column of signed integers"
HOSTILE_MEMBERS: dict[str, tuple[bytes, str]] = {
    "2^40 rows announced": (npy("(1099511627776,)"), "1099511627776 integers are announced, 0 bytes follow"),
    "2^30 rows announced": (npy("(1073741824,)", "|i1", b"\x00\x01\x02"), "are announced, 3 bytes follow"),
    "negative rows": (npy("(-3,)", data=b"\x00" * 24), NO_COLUMN),
    "two dimensions": (npy("(3, 1)", data=b"\x00" * 24), NO_COLUMN),
    "no dimension": (npy("()", data=b"\x00" * 8), NO_COLUMN),
    "floats": (npy("(3,)", "<f8", b"\x00" * 24), NO_COLUMN),
    "unsigned": (npy("(3,)", "<u8", b"\x00" * 24), NO_COLUMN),
    "bools": (npy("(3,)", "|b1", b"\x00" * 3), NO_COLUMN),
    "text": (npy("(3,)", "<U2", b"\x00" * 24), NO_COLUMN),
    "structured": (npy("(3,)", "i8,i8"), NO_COLUMN),
    "no header": (b"hello", NO_COLUMN),
    "nothing": (b"", NO_COLUMN),
    "nested header": (npy("(" * 30), NO_COLUMN),
    "header with code": (npy("__import__('os')"), NO_COLUMN),
    "another version": (b"\x93NUMPY\x07\x00" + bytes(200), NO_COLUMN),
}


@pytest.mark.parametrize("name", HOSTILE_MEMBERS)
def test_hostile_columns_are_refused(beside: Path, name: str) -> None:
    member, message = HOSTILE_MEMBERS[name]
    forge(beside, with_member(beside, member))
    with bounded_memory():
        assert message in refusal(beside)


def test_a_column_of_big_endian_integers_is_read(beside: Path) -> None:
    forge(beside, with_member(beside, npy("(3,)", ">i2", b"\x00\x00\x00\x01\x00\x02")))
    assert check_solution(read_solution(beside)).passed


def test_compressed_tables_are_refused_unread(beside: Path) -> None:
    bomb = npy("(33554432,)", "|i1", bytes(2**25))
    forge(beside, with_member(beside, bomb, compress=zipfile.ZIP_DEFLATED))
    assert tables_of(beside).stat().st_size < 2**20
    with bounded_memory():
        assert "unpacks to more than its" in refusal(beside)
    forge(beside, savez(stored_after_reset(beside), np.savez_compressed))
    assert "compressed" in refusal(beside) or "unpacks" in refusal(beside)


def stored_after_reset(path: Path) -> dict[str, Any]:
    solution = honest()
    return {
        f"{name}.{column}": getattr(table, column)
        for name, table in (("pieces", solution.pieces), ("activations", solution.activations))
        for column in table.__dataclass_fields__
    }


def test_a_column_given_twice_is_refused(beside: Path) -> None:
    data = bytearray(with_member(beside, npy("(3,)", data=bytes(24)), "pieces.factoz.npy"))
    forge(beside, bytes(data).replace(b"factoz", b"factor"))
    assert "'pieces.factor' stands twice" in refusal(beside)


def test_a_column_of_no_table_is_refused(beside: Path) -> None:
    honest_bytes = tables_of(beside).read_bytes()
    forge(beside, with_member(beside, npy("(3,)", data=bytes(24)), "secrets.npy"))
    assert "expected columns of pieces, activations" in refusal(beside)
    forge(beside, honest_bytes)
    forge(beside, with_member(beside, npy("(3,)", data=bytes(24)), "pieces.secret.npy"))
    assert "pieces.secret: unknown column" in refusal(beside)


def test_tables_never_replace_the_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.npz is the tables' own ending"):
        write_solution(honest(), tmp_path / "answer.npz")
