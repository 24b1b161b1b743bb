"""A solution and its table are replaced together or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cimsolve.errors import InputError
from cimsolve.judge.check import check_solution
from cimsolve.problem import solution as solution_module
from cimsolve.problem.solution import Solution, read_solution, write_solution
from makers.builders import honest

OLD = honest()
NEW = replace(OLD, pieces=replace(OLD.pieces, array=OLD.pieces.array + 1))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where OLD lies with its table beside it."""
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
    path = tmp_path / "answer.json"
    assert write_solution(OLD, path)[0] == path
    return path


def table_under_its_old_name(path: Path) -> Path:
    """The table of what lies there, renamed as version 0.1.0 named it."""
    header = json.loads(path.read_text())
    table, old = path.with_name(header["tables"]["file"]), path.with_suffix(".npz")
    path.write_text(path.read_text().replace(table.name, old.name))
    return table.rename(old)


def is_there(solution: Solution, path: Path) -> bool:
    found = read_solution(path)
    return found.pieces.array.tolist() == solution.pieces.array.tolist()


def killed_after(renames: int, act: Callable[[], object]) -> None:
    """Do something in a process that ends like one that is killed, after so many renames."""
    if (child := os.fork()) == 0:
        rename = Path.replace

        def rename_and_die(source: Path, target: Path) -> Path:
            nonlocal renames
            if renames == 0:
                os._exit(0)
            renames -= 1
            return rename(source, target)

        Path.replace = rename_and_die  # type: ignore[assignment,method-assign]
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_on_the_way_leaves_the_old_answer_or_the_new_one(path: Path, renames: int) -> None:
    killed_after(renames, lambda: write_solution(NEW, path))
    assert is_there(OLD if renames < 2 else NEW, path)
    write_solution(OLD, path)
    assert check_solution(read_solution(path)).passed
    assert len(os.listdir(path.parent)) == 2  # nothing is left of the one that was killed


def test_what_fails_on_the_way_leaves_the_old_answer_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = sorted(os.listdir(path.parent))
    rename = Path.replace

    def full(source: Path, target: Path) -> Path:
        if target == path:
            raise OSError(28, "No space left on device")
        return rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        for answer in (NEW, OLD):
            with pytest.raises(InputError, match="No space left on device"):
                write_solution(answer, path)
    assert sorted(os.listdir(path.parent)) == there
    assert is_there(OLD, path)


def test_equal_answers_have_equal_files_and_another_one_leaves_no_table(path: Path) -> None:
    first = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    _, table = write_solution(NEW, path)
    assert table.name not in first
    write_solution(OLD, path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == first


@pytest.mark.parametrize("inline", [False, True])
def test_a_table_under_its_old_name_goes_with_the_answer_that_names_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    old = table_under_its_old_name(path)
    assert is_there(OLD, path)
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 100 if inline else 1)
    written = write_solution(NEW, path)
    assert sorted(path.parent.iterdir()) == sorted(written)
    assert old not in written


@pytest.mark.parametrize("header", ["none", "cut short", "names another", "of another format"])
def test_a_file_of_that_name_that_no_answer_names_is_left_alone(path: Path, header: str) -> None:
    old, text = table_under_its_old_name(path), path.read_text()
    if header == "none":
        path.unlink()
    elif header == "cut short":
        path.write_text(text[:-9])
    else:
        changes = {"names another": (old.name, "other.npz"), "of another format": ("cimsolve-solution/1", "x")}
        path.write_text(text.replace(*changes[header]))
    write_solution(NEW, path)
    assert old.exists()


def test_an_answer_with_inline_tables_removes_the_table_of_the_one_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("answer.of.mine.npz")
    other.write_bytes(b"mine")
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 100)
    assert write_solution(OLD, path) == [path]
    assert sorted(path.parent.iterdir()) == [path, other]
