"""Files are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cimsolve.errors import InputError
from cimsolve.files.whole import written_whole


def test_readers_see_the_old_file_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with written_whole(path, "file") as written:
        written.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def fail_halfway(path: Path) -> None:
    with written_whole(path, "file") as written:
        written.write_text("half")
        raise ZeroDivisionError


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        fail_halfway(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("place", ["missing/file", "file/below", "x" * 300])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"^shown: cannot be written \(.*\); do this$"),
        written_whole(tmp_path / place, "shown", "do this") as written,
    ):
        written.write_text("new")


def test_a_platform_without_locks_is_refused_in_one_line() -> None:
    program = "import sys; sys.modules['fcntl'] = None; from cimsolve.__main__ import main; sys.exit(main({}))"
    for words in (["--model", "minilm-l6", "--hw", "paper256"], ["check", "answer.json"]):
        done = subprocess.run(
            [sys.executable, "-c", program.format(words)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "runs on Linux and macOS" in done.stderr


def test_a_device_is_written_as_it_is() -> None:
    with written_whole(Path(os.devnull), "null") as written:
        written.write_text("new")
    assert not Path(os.devnull).is_file()


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with written_whole(path, "file") as written:
        name = written
    name.write_text("much more that was left")
    with written_whole(path, "file") as written:
        written.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_two_that_write_the_same_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write(text: str) -> None:
        with written_whole(path, "file") as written:
            written.write_text(text)

    other = threading.Thread(target=write, args=("second",))
    with written_whole(path, "file") as written:
        written.write_text("fir")
        other.start()
        other.join(0.05)
        assert other.is_alive()
        with written.open("a") as stream:
            stream.write("st")
        assert not path.exists()
    other.join()
    assert path.read_text() == "second"
    assert os.listdir(tmp_path) == ["file"]
