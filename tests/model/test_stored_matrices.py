"""The linears of every family are the matrices of the files that transformers writes, by name, shape and layout."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from cimsolve.model.families import FAMILIES
from cimsolve.model.model import Linear, Model
from cimsolve.weights.folder import WeightFolder, linear_weight
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse
from oracles.stored_matrices import recorded_matrices, stored_matrices, write_model

RECORDED = recorded_matrices()
BUILT = [label for label, config in FAMILY_CONFIGS.items() if config["model_type"] in FAMILIES]
NO_MODEL_BY_DEFAULT: dict[str, dict[str, Any]] = {
    "glm4_moe": {"head_dim": 128},
    "deepseek_v2": {"num_experts_per_tok": 6},
}
"""What the defaults of transformers lack or get wrong of some families, whose files all say it."""


def matrices_read(model: Model) -> dict[str, tuple[int, ...]]:
    """Tensor -> the axes that its linears take of it, in the order in which the file has them."""
    parts: dict[str, list[Linear]] = defaultdict(list)
    for linear in model.linears:
        if linear.tensor not in [each.tensor for each in parts[linear.tensor.name]]:  # else it is stored once more
            parts[linear.tensor.name].append(linear)
    return {name: shape_read(linears) for name, linears in parts.items()}


def shape_read(linears: list[Linear]) -> tuple[int, ...]:
    """The shape of the tensor that holds the linears and nothing else."""
    if linears[0].tensor.index is not None:
        (shape,) = {axes(linear) for linear in linears}
        assert [linear.tensor.index for linear in linears] == [*range(len(linears))]
        return len(linears), *shape
    if linears[0].tensor.stop is None:
        (linear,) = linears
        return axes(linear)
    # Side by side, none twice, from the first to the last.
    (cut,) = {["out_in", "in_out"].index(each.tensor.layout) ^ (each.tensor.cut == "in") for each in linears}
    (across,) = {axes(linear)[1 - cut] for linear in linears}
    ends = sorted((linear.tensor.start, linear.tensor.start + axes(linear)[cut]) for linear in linears)
    assert [start for start, _ in ends] == [0, *(stop for _, stop in ends[:-1])]
    assert {stop for _, stop in ends} == {linear.tensor.stop for linear in linears}
    along = ends[-1][1]
    return (across, along) if cut else (along, across)


def axes(linear: Linear) -> tuple[int, int]:
    shape = linear.n_out, linear.n_in
    return shape if linear.tensor.layout == "out_in" else shape[::-1]


def in_the_file(name: str, stored: dict[str, list[int]]) -> str:
    """The stored name of a tensor: files of a model with a task head have a word more in front, ours or theirs."""
    (found,) = [each for each in stored if each == name or each.endswith(f".{name}") or name.endswith(f".{each}")]
    return found


@pytest.mark.parametrize("label", BUILT)
def test_linears_are_the_matrices_of_the_file(label: str) -> None:
    stored = RECORDED[label]
    read = matrices_read(parse(FAMILY_CONFIGS[label]))
    found = {in_the_file(name, stored): shape for name, shape in read.items()}
    assert found.keys() == stored.keys()
    for name, (rows, *others) in stored.items():
        # A filter of an image or a sound is one row of a matrix.
        assert found[name] == ((rows, *others) if len(found[name]) == 3 else (rows, math.prod(others))), name


def test_every_family_has_a_config_here() -> None:
    assert {FAMILY_CONFIGS[label]["model_type"] for label in BUILT} == set(FAMILIES) - {"linears"}
    assert list(RECORDED) == list(FAMILY_CONFIGS)


@pytest.mark.slow
@pytest.mark.parametrize("label", FAMILY_CONFIGS)
def test_transformers_writes_what_is_recorded_and_it_is_read_whole(label: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs cimsolve[hf]")
    pytest.importorskip("transformers", reason="needs cimsolve[hf]")
    config = FAMILY_CONFIGS[label]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        write_model(config, tmp_path)
    assert stored_matrices(tmp_path) == RECORDED[label]
    if label in BUILT:
        folder = WeightFolder(tmp_path)
        matrices: dict[str, list[float]] = defaultdict(list)
        for each in parse(config).linears:
            matrices[each.tensor.name] += linear_weight(folder, each.tensor, each.n_in, each.n_out).ravel().tolist()
        for name, read in matrices.items():
            assert sorted(set(read)) == sorted(set(folder.tensor(name).ravel().tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "linears"])
def test_all_keys_that_transformers_writes_are_known(family: str) -> None:
    pytest.importorskip("torch", reason="needs cimsolve[hf]")
    transformers = pytest.importorskip("transformers", reason="needs cimsolve[hf]")
    config = transformers.AutoConfig.for_model(family).to_dict()
    assert parse({**config, **NO_MODEL_BY_DEFAULT.get(family, {})}).unknown_keys == ()


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "linears"])
def test_what_is_left_out_is_as_in_transformers(family: str) -> None:
    pytest.importorskip("torch", reason="needs cimsolve[hf]")
    transformers = pytest.importorskip("transformers", reason="needs cimsolve[hf]")
    needed = NO_MODEL_BY_DEFAULT.get(family, {})
    config = {**transformers.AutoConfig.for_model(family).to_dict(), **needed}
    whole = parse(config)
    left_out = {"layer_types", "num_key_value_heads", "head_dim", "no_rope_layers", "moe_layers", "q_lora_rank"}
    for key in left_out - needed.keys():
        without = parse({other: value for other, value in config.items() if other != key})
        assert (without.windows, without.steps) == (whole.windows, whole.steps), key
