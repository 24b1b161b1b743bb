"""A short run of the harness, and that it sees what it looks for."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cimsolve.__main__ import main
from fuzz import judge
from fuzz.damage import HOSTILE, damage_bytes, damage_json_text, damage_value, json_text
from fuzz.judge import outcomes
from fuzz.kind import Kind
from fuzz.kinds import KINDS

INPUTS = 4


@pytest.mark.parametrize("name", ["safetensors", "inputs", "linears"])
def test_damaged_files_end_in_one_line(tmp_path: Path, name: str) -> None:
    found = list(outcomes(name, KINDS[name], 1, range(INPUTS), tmp_path / "fuzz"))
    assert len(found) == INPUTS
    assert not [str(each) for each in found if each.what]


def _raise(argv: Sequence[str]) -> int:
    raise KeyError("x")


def _print(text: str, code: int, to_stderr: bool = True) -> Callable[[Sequence[str]], int]:
    def run(argv: Sequence[str]) -> int:
        print(text, end="", file=sys.stderr if to_stderr else sys.stdout)
        return code

    return run


def _leave(name: str, content: str, code: int) -> Callable[[Sequence[str]], int]:
    def run(argv: Sequence[str]) -> int:
        path = Path("out", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return _print("cimsolve: wrong\n", code)(argv) if code else 0

    return run


def _wait(argv: Sequence[str]) -> int:
    end = time.process_time() + 60
    while time.process_time() < end:
        pass
    return 0


def _fill(argv: Sequence[str]) -> int:
    return 0 if len(np.ones(2**26)) else 1


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (_raise, "raises KeyError"),
        (_print("", 3), "exit code is 3"),
        (_print("", 2), "stderr is ''"),
        (_print("other: a\n", 2), "stderr is 'other"),
        (_print("cimsolve: a\nb\n", 2), "stderr is"),
        (_print("a Warning: b\n", 0), "stderr is"),
        (_print("cimsolve: note: a\n", 2), "stderr is"),
        (_print("cimsolve: note: a\ncimsolve: b\n", 0), "stderr is"),
        (_print("\x1b[31m", 0, to_stderr=False), "are printed"),
        (_print("cimsolve: \u202e b\n", 1), "are printed"),
        (_leave("f.safetensors", "", 2), "no solution is left"),
        (_leave(".a.json.1.tmp", "", 0), "half-written"),
        (_leave("a.json", "[NaN]", 0), "no JSON is written"),
        (_wait, "still running after"),
        (_fill, "MiB were used"),
    ],
)
def test_the_harness_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[Sequence[str]], int], what: str
) -> None:
    gc.collect()  # what is garbage here the forked process might give back
    # The forked process holds what earlier tests have made, but not the pages of libraries' files until it reads them.
    held = int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024
    monkeypatch.setattr(judge, "BYTES_MAX", held + 2**27)
    monkeypatch.setattr(judge, "PROCESSOR_S_MAX", 0.3 if command is _wait else 10)
    kind = Kind(lambda folder: None, lambda rng, folder: Path("damaged").touch(), [("check",)])
    monkeypatch.setattr(judge, "main", lambda argv: command(argv) if Path("damaged").exists() else 0)
    (found,) = outcomes("kind", kind, 1, [5], tmp_path / "fuzz")
    assert what in found.what
    assert (found.kind, found.seed, found.number, list(found.argv)) == ("kind", 1, 5, ["check"])


def test_sound_files_must_do(tmp_path: Path) -> None:
    kind = Kind(lambda folder: None, lambda rng, folder: None, [("check", "nowhere.json")])
    with pytest.raises(
        AssertionError, match=r"on sound files cimsolve check nowhere.json ends with 2: .* no such file"
    ):
        list(outcomes("kind", kind, 1, [0], tmp_path / "fuzz"))
    assert main(["check", str(tmp_path / "nowhere.json")]) == 2


def test_damage_is_damage_and_repeats() -> None:
    sound = {"a": [1, 2.5, {"b": "text"}], "c": None}
    values = [json_text(damage_value(Random(seed), sound)) for seed in range(300)]
    assert values == [json_text(damage_value(Random(seed), sound)) for seed in range(300)]
    assert len(set(values)) > 100
    assert sum(each == json_text(sound) for each in values) < 10
    assert len({damage_bytes(Random(seed), b"abcdefgh" * 20) for seed in range(300)}) > 150
    assert all(isinstance(damage_json_text(Random(seed), json_text(sound)), bytes) for seed in range(300))
    assert not any("@raw" in json_text(each) for each in HOSTILE)
