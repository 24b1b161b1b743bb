"""Solution files broken at random: refused, found wrong, or still right; never an unexpected exception."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cimsolve.errors import InputError
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.problem import solution as solution_module
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution, read_solution, write_solution
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, macro_chip, mesh_chip, step, with_experts
from oracles.naive_checker import broken_rules

QUESTION = {"hw", "model", "model_name", "structure", "options", "objective"}
"""Another question may have the same answer."""
WITHOUT_MEANING = {"strategy", "seed", "versions", "runtime_s"}

SCALARS = [
    *(None, True, False, "", "x", "7", "\x00", "dense", "search", "optimal", "none"),
    *(-1, 0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63, 2**70, -(2**70), 10**400),
    *(0.5, -0.5, 1.0, 1e-300, 1e308, -1e308),
]
VALUES = [*SCALARS, [], {}, [0], [[]], {"x": 0}, [1, 2, 3], {"": None}]

fuzz = settings(derandomize=True, suppress_health_check=list(HealthCheck))


def question(hardware: dict[str, Any]) -> Problem:
    config = linears(
        step("a", (12, 8), (12, 8)),
        step("b", (8, 12), operations=[{"name": "activation", "elements": 8}]),
        step("c", (12, 4), reads=["a"], barrier=True),
    )
    return ask(config, {"a0": "3,2,1", "a1": "3,2,1", "b0": "dense", "c0": "1,1,2"}, hardware)


def mixed(hardware: dict[str, Any]) -> Problem:
    """The same with experts in the first two steps."""
    config = linears(
        with_experts(step("a", (12, 8), (12, 8), (12, 8)), of=[0, 1, 2], chosen=2),
        with_experts(step("b", (8, 12), (8, 12), (8, 12), (6, 12)), of=[0, 1, 2, None], chosen=2, own=True),
        step("c", (12, 4), reads=["a"], barrier=True),
    )
    return ask(config, "2,2,1", hardware)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The JSON of honest answers: modelled arrays, a measured core, cores on a network, and a model with experts."""
    contents = []
    for name, problem in (
        ("array", question(chip(array__rows_active_max=6))),
        ("macro", question(macro_chip())),
        ("mesh", question(mesh_chip(core__arrays=8))),
        ("experts", mixed(chip())),
    ):
        path = tmp_path_factory.mktemp("honest") / f"{name}.json"
        write_solution(solve(problem, "sparsemap"), path)
        assert check_solution(read_solution(path)).passed
        contents.append(json.loads(path.read_text()))
    return contents


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "broken.json"


def leaves(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all entries, of containers too; long lists by their ends."""
    found = [path] if path else []
    if isinstance(content, dict):
        entries = list(content.items())
    elif isinstance(content, list):
        entries = list(enumerate(content))
        entries = entries[:3] + entries[max(3, len(entries) - 2) :]
    else:
        entries = []
    for key, value in entries:
        found += leaves(value, (*path, key))
    return found


def mutate(content: dict[str, Any], draw: st.DataObject) -> None:
    """Replace, delete, repeat, swap or nudge one entry."""
    path = draw.draw(st.sampled_from(leaves(content)), label="path")
    *parents, key = path
    place: Any = content
    for part in parents:
        place = place[part]
    how = draw.draw(st.sampled_from(["replace", "nudge", "nudge", "delete", "repeat", "swap"]), label="how")
    if how == "delete":
        del place[key]
    elif how == "repeat" and isinstance(place, list):
        place.insert(key, copy.deepcopy(place[key]))
    elif how == "swap":
        other = draw.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        place[key], place[other] = place[other], place[key]
    elif how == "nudge" and isinstance(place[key], int | float) and abs(place[key]) < 2**60:
        place[key] += draw.draw(st.sampled_from([-1, 1, 0.5, -0.001, 2**32]), label="by")
    else:
        place[key] = copy.deepcopy(draw.draw(st.sampled_from(VALUES), label="value"))


def judge(path: Path) -> tuple[Solution, CheckReport] | None:
    """The verdict, or None where the file is refused."""
    try:
        solution = read_solution(path)
    except InputError as error:
        refusal = str(error)
    else:
        report = check_solution(solution)
        assert all(str(violation).isprintable() for violation in report.violations)
        return solution, report
    assert refusal.isprintable()
    return None


def passes_only_if_it_may(path: Path, content: dict[str, Any], honest: dict[str, Any]) -> None:
    verdict = judge(path)
    if verdict is None or not verdict[1].passed:
        return
    solution, report = verdict
    if any(content.get(key) != honest.get(key) for key in ("pieces", "activations", "sites")):
        assert broken_rules(solution) == set()
        return  # another legal mapping, and its figures were recomputed
    if any(content.get(key) != honest[key] for key in QUESTION):
        return  # another question, and all figures were recomputed
    claims = {name for name in report.unverified if name != "status"}
    for key in honest.keys() - QUESTION - WITHOUT_MEANING:
        if key == "bounds":
            for name in honest[key].keys() - claims:
                assert alike(content[key][name], honest[key][name])
        else:
            assert alike(content[key], honest[key]), key


def alike(one: Any, other: Any) -> bool:
    """Equal but for the last digits of floats."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


mutations = given(data=st.data(), which=st.integers(0, 3), times=st.integers(1, 3))


@mutations
@settings(fuzz, max_examples=80)
def test_no_mutation_of_a_file_is_believed(
    files: list[dict[str, Any]], place: Path, data: st.DataObject, which: int, times: int
) -> None:
    no_mutation_is_believed(files, place, data, which, times)


@pytest.mark.slow
@mutations
@settings(fuzz, max_examples=2000)
def test_none_of_many_mutations_of_a_file_is_believed(
    files: list[dict[str, Any]], place: Path, data: st.DataObject, which: int, times: int
) -> None:
    no_mutation_is_believed(files, place, data, which, times)


def no_mutation_is_believed(
    files: list[dict[str, Any]], place: Path, data: st.DataObject, which: int, times: int
) -> None:
    content = copy.deepcopy(files[which])
    for _ in range(times):
        mutate(content, data)
        if not content:
            break
    place.write_text(json.dumps(content))
    passes_only_if_it_may(place, content, files[which])


@given(data=st.data(), which=st.sampled_from([0, 3]))
@settings(fuzz, max_examples=80)
def test_no_mutation_of_the_tables_is_believed(
    files: list[dict[str, Any]], place: Path, data: st.DataObject, which: int
) -> None:
    content = copy.deepcopy(files[which])
    tables = {name: content[name] for name in ("pieces", "activations")}
    mutate(tables, data)
    content |= tables
    if tables.keys() != {"pieces", "activations"}:
        content = {key: content[key] for key in content if key in tables or key not in {"pieces", "activations"}}
    place.write_text(json.dumps(content))
    passes_only_if_it_may(place, content | tables if len(tables) == 2 else files[which], files[which])


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
@example(at=0, byte=0, cut=True)
@settings(fuzz, max_examples=60)
def test_no_broken_byte_of_a_header_ends_in_a_traceback(
    files: list[dict[str, Any]], place: Path, at: int, byte: int, cut: bool
) -> None:
    place.write_bytes(broken_at(json.dumps(files[0]).encode(), at, byte, cut))
    judge(place)


def broken_at(data: bytes, at: int, byte: int, cut: bool) -> bytes:
    at %= len(data)
    return data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1 :]


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans(), member=st.integers(-1, 16))
@example(at=0, byte=0, cut=True, member=-1)
@settings(fuzz, max_examples=120)
def test_no_broken_byte_of_the_tables_ends_in_a_traceback(
    npz: tuple[Path, bytes, dict[str, Any]], at: int, byte: int, cut: bool, member: int
) -> None:
    path, tables, header = npz
    data = tables if member >= 0 else broken_at(tables, at, byte, cut)
    if member >= 0:  # within a column, so that the archive's own checksums fit
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(tables)) as old, zipfile.ZipFile(buffer, "w") as new:
            for index, entry in enumerate(old.infolist()):
                column = old.read(entry)
                new.writestr(entry, broken_at(column, at, byte, cut) if index == member else column)
        data = buffer.getvalue()
    # The hash is made to fit, so that what lies behind it is tried.
    header["tables"]["sha256"] = hashlib.sha256(data).hexdigest()
    path.with_name(header["tables"]["file"]).write_bytes(data)
    path.write_text(json.dumps(header))
    verdict = judge(path)
    if verdict is not None and verdict[1].passed:
        assert broken_rules(verdict[0]) == set()


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, dict[str, Any]]:
    path = tmp_path_factory.mktemp("npz") / "answer.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
        _, tables = write_solution(solve(question(mesh_chip(core__arrays=8)), "spread"), path)
    return path, tables.read_bytes(), json.loads(path.read_text())


def random_columns(random: np.random.Generator, pieces: int, activations: int) -> dict[str, dict[str, list[int]]]:
    """Tables of noise."""
    wild = np.array([0, 1, 2, 3, 2**20, 2**31 - 1, 2**31, 2**40, 2**60, 2**62, -1, -(2**62)])
    names = ("factor", "block", "row0", "rows", "col0", "cols", "array", "array_row", "array_col")
    times = ("array", "start", "end", "adc_bits", "pieces_from", "pieces_to")

    def column(length: int) -> list[int]:
        small = random.integers(0, 4, length)
        return np.where(random.random(length) < 0.05, random.choice(wild, length), small).tolist()

    return {
        "pieces": {name: column(pieces) for name in names},
        "activations": {**{name: column(activations) for name in times}, "piece": column(pieces)},
    }


@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 6), activations=st.integers(1, 4))
@settings(fuzz, max_examples=60)
def test_noise_for_tables_is_found_wrong(
    files: list[dict[str, Any]], place: Path, seed: int, pieces: int, activations: int
) -> None:
    content = files[0] | random_columns(np.random.default_rng(seed), pieces, activations)
    place.write_text(json.dumps(content))
    verdict = judge(place)
    assert verdict is None or not verdict[1].passed
