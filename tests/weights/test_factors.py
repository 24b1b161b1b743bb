"""Files of factors: what is put comes back, and what is wrong with one is said in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cimsolve.errors import InputError
from cimsolve.model.structure import Structure
from cimsolve.weights import factor_file as module
from cimsolve.weights.factor_file import FORMAT, FactorFile, write_factors
from cimsolve.weights.monarch import Monarch, project, reconstruct

RNG = np.random.default_rng(0)
LINEARS = [("a.query", 12, 8), ("a.key", 12, 8), ("b.out", 8, 6)]
STRUCTURES = {
    "a.query": Structure.monarch(2, 4, 2),
    "a.key": Structure.dense(),
    "b.out": Structure.monarch(1, 1, 3),
}


def stored() -> dict[str, Any]:
    weights = {name: RNG.standard_normal((n_in, n_out)).astype(np.float32) for name, n_in, n_out in LINEARS}
    return {
        name: weight if STRUCTURES[name].is_dense else project(weight, STRUCTURES[name])
        for name, weight in weights.items()
    }


def write(path: Path, kept: dict[str, Any], order: list[str]) -> FactorFile:
    with write_factors(path, LINEARS, STRUCTURES, {"model": "tiny", "method": "plain"}) as put:
        for name in order:
            put(name, kept[name])
    return FactorFile(path)


@pytest.mark.parametrize("order", [["a.query", "a.key", "b.out"], ["b.out", "a.key", "a.query"]])
def test_what_is_put_comes_back(tmp_path: Path, order: list[str]) -> None:
    kept = stored()
    found = write(tmp_path / "f.safetensors", kept, order)
    assert found.structures == STRUCTURES
    assert found.shapes == {name: (n_in, n_out) for name, n_in, n_out in LINEARS}
    assert list(found.factors) == ["a.query", "b.out"]
    for name, pair in found.factors.items():
        np.testing.assert_array_equal(pair[0], kept[name].R)
        np.testing.assert_array_equal(pair[1], kept[name].L)
        np.testing.assert_array_equal(found.weights[name], reconstruct(kept[name]))
    np.testing.assert_array_equal(found.weights["a.key"], kept["a.key"])
    over = found.weights_over({"a.query": np.zeros((12, 8)), "a.key": np.ones((12, 8)), "b.out": np.ones((8, 6))})
    np.testing.assert_array_equal(over["a.key"], kept["a.key"])
    np.testing.assert_array_equal(over["a.query"], np.zeros((12, 8)))
    assert "a.key" not in found.factors
    with pytest.raises(KeyError):
        found.factors["a.key"]
    found.demand_fits(LINEARS, "tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.safetensors"]


def test_it_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    kept = stored()
    write(tmp_path / "f.safetensors", kept, list(kept))
    tensors = load_file(tmp_path / "f.safetensors")
    assert set(tensors) == {"a.query.R", "a.query.L", "a.key.dense", "b.out.R", "b.out.L"}
    np.testing.assert_array_equal(tensors["a.query.R"], kept["a.query"].R)
    with safe_open(tmp_path / "f.safetensors", framework="numpy") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["model"], metadata["method"]) == (FORMAT, "tiny", "plain")
    assert json.loads(metadata["structure"]) == {"a.query": "2,4,2", "a.key": "dense", "b.out": "1,1,3"}


def write_some(path: Path, error: Exception | None) -> None:
    with write_factors(path, LINEARS, STRUCTURES) as put:
        put("a.key", np.zeros((12, 8), dtype=np.float32))
        if error is not None:
            raise error


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    before = write(tmp_path / "f.safetensors", stored(), [name for name, _, _ in LINEARS])
    content = before.path.read_bytes()
    with pytest.raises(InputError, match="later"):
        write_some(before.path, InputError("later"))
    assert before.path.read_bytes() == content
    with pytest.raises(ValueError, match=r"a\.query\.L, .* were not put"):
        write_some(before.path, None)
    assert before.path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_some(tmp_path, None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_some(tmp_path / "file" / "f.safetensors", None)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(InputError, match="bytes, the disk has 100; choose another place"):
        write_some(tmp_path / "f.safetensors", None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


GOOD = {"format": FORMAT, "structure": '{"x": "2,2,1"}'}
TENSORS = {"x.R": np.ones((2, 3, 2), dtype=np.float32), "x.L": np.ones((2, 2, 4), dtype=np.float32)}


def test_the_file_that_the_next_test_breaks_is_sound(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "f.safetensors", GOOD)
    found = FactorFile(tmp_path / "f.safetensors")
    assert found.shapes == {"x": (6, 8)}
    assert found.weights["x"].shape == (6, 8)


@pytest.mark.parametrize(
    ("metadata", "tensors", "message"),
    [
        ({}, TENSORS, "its metadata have no format"),
        ({**GOOD, "format": "other/1"}, TENSORS, "its metadata have no format = cimsolve-factors/1"),
        ({"format": FORMAT}, TENSORS, "expected a JSON object of linears"),
        ({**GOOD, "structure": "[1]"}, TENSORS, "expected a JSON object of linears"),
        ({**GOOD, "structure": '{"x": 1}'}, TENSORS, "expected a JSON object of linears"),
        ({**GOOD, "structure": '{"x": "2,2"}'}, TENSORS, "expected dense or k,l,T"),
        ({**GOOD, "structure": '{"x": "2,2,1", "y": "dense"}'}, TENSORS, r"no tensor y\.dense"),
        ({**GOOD, "structure": '{"x": "2,1,1"}'}, TENSORS, "has tensors of shape"),
        ({**GOOD, "structure": '{"x": "2,2,2"}'}, TENSORS, "has tensors of shape"),
        ({**GOOD, "structure": '{"x": "dense"}'}, TENSORS, r"no tensor x\.dense"),
        (GOOD, {"x.R": TENSORS["x.R"]}, r"no tensor x\.L"),
        (GOOD, {**TENSORS, "z.R": TENSORS["x.R"]}, r"name no linear for z\.R"),
        (GOOD, {**TENSORS, "x.R": np.ones((2, 6), dtype=np.float32)}, "has tensors of shape"),
        (GOOD, {**TENSORS, "x.L": np.ones((2, 3, 4), dtype=np.float32)}, "has tensors of shape"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Any], message: str
) -> None:
    save_file(tensors, tmp_path / "f.safetensors", metadata)
    with pytest.raises(InputError, match=message) as refused:
        FactorFile(tmp_path / "f.safetensors")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("metadata", ["null", "{}"])
def test_files_without_metadata(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "f.safetensors"
    text = f'{{"__metadata__": {metadata}}}'.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(InputError, match=r"f\.safetensors: holds no factors of cimsolve"):
        FactorFile(path)


@pytest.mark.parametrize("name", ["\x1b[31m", "\x9b31m", "a\u202eb", "a\nb", "\ud800", "", "x" * 10_000])
def test_names_that_cannot_be_shown(tmp_path: Path, name: str) -> None:
    structure = json.dumps({"x": "2,2,1", name: "dense"})
    save_file(TENSORS, tmp_path / "f.safetensors", {**GOOD, "structure": structure})
    with pytest.raises(InputError, match=r"structure in its metadata: the name .* expected 1 to") as refused:
        FactorFile(tmp_path / "f.safetensors")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_files_that_are_cut_short_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    save_file(TENSORS, path, GOOD)
    data = path.read_bytes()
    for size in (0, 5, 40, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match="is cut short"):
            FactorFile(path)
    with pytest.raises(InputError, match="cannot be read"):
        FactorFile(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_factors_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    tensors = {name: value.copy() for name, value in TENSORS.items()}
    tensors["x.L"][0, 0, 0] = bad
    save_file(tensors, tmp_path / "f.safetensors", GOOD)
    with pytest.raises(InputError, match=r"tensor x\.L: 1 of 16 numbers are NaN or infinite"):
        FactorFile(tmp_path / "f.safetensors").factors["x"]


def test_factors_whose_product_is_too_large_are_left_to_who_asks(tmp_path: Path) -> None:
    save_file({name: np.full_like(value, 1e30) for name, value in TENSORS.items()}, tmp_path / "f.safetensors", GOOD)
    assert np.isinf(FactorFile(tmp_path / "f.safetensors").weights["x"]).all()


@pytest.mark.parametrize(
    ("linears", "message"),
    [
        ([("x", 6, 8), ("y", 6, 8)], "lacks y of the model"),
        ([("y", 6, 8)], "lacks y of the model"),
        ([("x", 6, 4)], "x is 6 x 8; expected 6 x 4 as in tiny"),
    ],
)
def test_factors_of_another_model(tmp_path: Path, linears: list[tuple[str, int, int]], message: str) -> None:
    save_file(TENSORS, tmp_path / "f.safetensors", GOOD)
    with pytest.raises(InputError, match=message):
        FactorFile(tmp_path / "f.safetensors").demand_fits(linears, "tiny")


def test_factors_of_a_larger_model(tmp_path: Path) -> None:
    two = {**TENSORS, "y.R": TENSORS["x.R"], "y.L": TENSORS["x.L"]}
    save_file(two, tmp_path / "f.safetensors", {**GOOD, "structure": '{"x": "2,2,1", "y": "2,2,1"}'})
    with pytest.raises(InputError, match="has y which the model lacks"):
        FactorFile(tmp_path / "f.safetensors").demand_fits([("x", 6, 8)], "tiny")


def test_a_monarch_of_ones_is_worked_by_hand(tmp_path: Path) -> None:
    """All factors 1, T = 1: each slice is a product of a column and a row of ones, so every weight is 1."""
    save_file(TENSORS, tmp_path / "f.safetensors", GOOD)
    found = FactorFile(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(found.weights["x"], np.ones((6, 8)))
    np.testing.assert_array_equal(reconstruct(Monarch(*found.factors["x"])), np.ones((6, 8)))
