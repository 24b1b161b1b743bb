"""Solutions on a chip with a network: lies about places, files, and the rules again cell by cell."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.check import RULES, check_solution
from cimsolve.problem import solution as solution_module
from cimsolve.problem.solution import Solution, read_solution, write_solution
from cimsolve.problem.tables import Mapping
from cimsolve.study.solving import make_solution
from makers.builders import (
    TWO,
    ask,
    broken,
    column,
    honest,
    mesh_chip,
    pieces_of,
    rules_of,
    with_entry,
    with_figures_that_fit,
    with_header,
    with_tables,
)
from makers.cost_cases import random_case
from oracles.naive_checker import broken_rules

PLACES = [0, 3, 3]


def placed(places: list[int] | None = None, **changes: Any) -> Solution:
    """An honest answer to TWO, one piece an array, with the arrays at these places of a mesh of 2 x 2."""
    pieces = pieces_of(*((factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)))
    problem = ask(TWO, hardware=mesh_chip(**changes))
    mapping = Mapping(pieces, np.arange(3), place=np.array(PLACES if places is None else places))
    return make_solution(problem, mapping, strategy="by hand")


def messages(solution: Solution) -> list[str]:
    return [str(violation) for violation in check_solution(solution).violations]


# Lies


def test_honest_places_pass() -> None:
    assert broken(placed()) == set()
    assert column(placed(), "sites__place") == PLACES


def test_places_that_are_missing() -> None:
    lie = Solution(**{**vars(placed()), "sites": None})
    assert broken(lie) == {"tables"}
    assert "the chip has a network" in messages(lie)[0]


def test_places_on_a_flat_chip() -> None:
    flat = honest()
    lie = Solution(**{**vars(flat), "sites": placed().sites})
    assert broken(lie) == {"tables"}
    assert "remove it" in messages(lie)[0]


def test_places_of_too_few_arrays() -> None:
    lie = with_tables(placed(), sites__place=[0, 3])
    assert broken(lie) == {"sites"}
    assert "array 2" in messages(lie)[0]


@pytest.mark.parametrize("place", [-1, 4, 2**40])
def test_a_place_that_is_not_on_the_chip(place: int) -> None:
    lie = with_entry(placed(), "sites__place", 1, place)
    assert broken(lie) == {"tables"}
    assert f"sites.place.1 = {place}: expected 0 to 3" in messages(lie)[0]


def test_places_of_two_arrays_are_swapped() -> None:
    """Legal places, from which other gaps and other figures follow than the file lists."""
    true = placed([3, 3, 0])
    lie = with_tables(true, sites__place=PLACES)
    assert broken(lie) == {"stages"}
    assert "gap_cycles" in messages(lie)[0]
    with_its_gaps = with_header(lie, stages=with_figures_that_fit(lie).header.stages)
    assert broken(with_its_gaps) >= {"metrics", "breakdown"}
    assert any("latency_cycles" in message for message in messages(with_its_gaps))


def test_arrays_move_within_their_core_unseen() -> None:
    """Numbers of arrays at one place are nobody's: swapped, nothing changes."""
    assert broken(with_tables(placed([3, 0, 0]), sites__place=[3, 0, 0])) == set()


def test_a_place_of_an_array_without_pieces_counts_for_its_core() -> None:
    assert broken(with_tables(placed(), sites__place=[*PLACES, 1])) == set()
    assert broken(with_tables(placed(), sites__place=[*PLACES, 3])) == {"P4"}


# Files


@pytest.fixture(params=[True, False], ids=["inline", "npz"])
def inline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
    return bool(request.param)


def test_places_are_written_and_read(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "answer.json"
    written = write_solution(placed(), path)
    assert len(written) == (1 if inline else 2)
    found = read_solution(path)
    assert found.sites is not None
    assert found.sites.place.tolist() == PLACES
    assert check_solution(found).passed


def test_tables_are_named_by_their_places_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
    names = [write_solution(placed(places), tmp_path / "answer.json")[1].name for places in (PLACES, [0, 0, 3])]
    assert len(set(names)) == 2
    assert [path.name for path in tmp_path.glob("*.npz")] == names[1:]


def test_a_flat_chip_has_no_places_in_its_file(tmp_path: Path, inline: bool) -> None:
    write_solution(honest(), tmp_path / "answer.json")
    assert "sites" not in (tmp_path / "answer.json").read_text()
    content = json.loads((tmp_path / "answer.json").read_text())
    known = ("cores", "network_energy_pj", "link_bits", "link_bits_max")
    assert not set(known) & content["metrics"].keys()
    assert not {"network", "bus"} & content["breakdown"]["energy_pj"].keys()
    assert read_solution(tmp_path / "answer.json").sites is None


@pytest.mark.parametrize(
    "sites",
    [
        *(7, [], "x", {}, {"place": 3}, {"place": []}, {"place": ["a"]}, {"place": [0.5]}, {"place": [True]}),
        *({"place": [2**70]}, {"core": [0]}, {"place": [0, 3, 3], "core": [0, 1, 1]}),
    ],
)
def test_broken_places_of_a_file_are_refused_in_one_line(tmp_path: Path, sites: Any) -> None:
    path = tmp_path / "answer.json"
    write_solution(placed(), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "sites": sites}))
    with pytest.raises(InputError) as refused:
        read_solution(path)
    assert str(refused.value).startswith(f"{path}: sites")
    assert str(refused.value).isprintable()


# The rules again


MAPPING_RULES = [rule for rule in RULES if not rule.on_claims and rule.name not in ("factors", "stages")]
COLUMNS = ("array", "array_row", "array_col", "row0", "rows", "col0", "cols")
TIMES = ("start", "end", "adc_bits", "array")


def corrupted(solution: Solution, draw: Random) -> Solution:
    """One entry of a table moved a little, or two swapped."""
    paths = (
        [f"pieces__{name}" for name in COLUMNS]
        + [f"activations__{name}" for name in TIMES]
        + ["sites__place", "pieces__array"] * 6
    )
    path = draw.choice(paths)
    values = column(solution, path)
    at, other = draw.randrange(len(values)), draw.randrange(len(values))
    if draw.random() < 0.4:
        values[at], values[other] = values[other], values[at]
    else:
        values[at] = max(1 if path.endswith(("rows", "cols", "end", "bits")) else 0, values[at] + draw.choice([-1, 1]))
    return with_tables(solution, **{path: values})


def test_the_rules_cell_by_cell_agree_on_corrupted_answers() -> None:
    """Where P1 fails, what moves is not defined, and nothing but P1 and `sites` is asked."""
    draw, seen = Random(1), set()
    for seed in range(30):
        case = random_case(seed)
        if case.problem.hardware.network is None:
            continue
        solution = make_solution(case.problem, case.mapping, strategy="by hand")
        assert broken_rules(solution) == set() == broken(solution)
        for _ in range(6):
            wrong = corrupted(solution, draw)
            found = rules_of(check_solution(wrong, rules=MAPPING_RULES))
            if found & {"tables", "S1"}:
                continue
            moot = {"durations"} if "P2" in found else set()
            moot |= {"S3 columns"} if found & {"P3", "P5", "array"} else set()
            assert broken_rules(wrong) - moot == found - moot, seed
            seen |= found
    assert seen >= {"P1", "P3", "P4", "S4", "S5", "sites"}, seen
