"""The linears of every family are the matrices of the files that transformers writes, by name, shape and layout."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict

import pytest

from cimsolve.model.families import FAMILIES
from cimsolve.model.model import Linear, Model
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse
from oracles.stored_matrices import recorded_matrices, stored_matrices

RECORDED = recorded_matrices()
BUILT = [label for label, config in FAMILY_CONFIGS.items() if config["model_type"] in FAMILIES]


def matrices_read(model: Model) -> dict[str, tuple[int, int]]:
    """Tensor -> the axes that its linears take of it, in the order in which the file has them."""
    parts: dict[str, list[Linear]] = defaultdict(list)
    for linear in model.linears:
        if linear.tensor not in [each.tensor for each in parts[linear.tensor.name]]:  # else it is stored once more
            parts[linear.tensor.name].append(linear)
    shapes: dict[str, tuple[int, int]] = {}
    for name, linears in parts.items():
        (n_in,) = {linear.n_in for linear in linears}
        (layout,) = {linear.tensor.layout for linear in linears}
        # Side by side, none twice, from the first to the last.
        stops = [0, *(linear.tensor.start + linear.n_out for linear in linears)]
        assert [linear.tensor.start for linear in linears] == stops[:-1]
        assert [linear.tensor.stop for linear in linears] in (stops[1:], [None])
        shapes[name] = (stops[-1], n_in) if layout == "out_in" else (n_in, stops[-1])
    return shapes


def in_the_file(name: str, stored: dict[str, list[int]]) -> str:
    """The stored name of a tensor: files of a model with a task head have a word more in front, ours or theirs."""
    (found,) = [each for each in stored if each == name or each.endswith(f".{name}") or name.endswith(f".{each}")]
    return found


@pytest.mark.parametrize("label", BUILT)
def test_linears_are_the_matrices_of_the_file(label: str) -> None:
    stored = RECORDED[label]
    read = matrices_read(parse(FAMILY_CONFIGS[label]))
    found = {in_the_file(name, stored): shape for name, shape in read.items()}
    assert found == {name: (rows, math.prod(others)) for name, (rows, *others) in stored.items()}


def test_every_family_has_a_config_here() -> None:
    assert {FAMILY_CONFIGS[label]["model_type"] for label in BUILT} == set(FAMILIES) - {"linears"}
    assert list(RECORDED) == list(FAMILY_CONFIGS)


@pytest.mark.slow
@pytest.mark.parametrize("label", FAMILY_CONFIGS)
def test_transformers_writes_what_is_recorded(label: str) -> None:
    pytest.importorskip("torch", reason="needs cimsolve[hf]")
    pytest.importorskip("transformers", reason="needs cimsolve[hf]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        assert stored_matrices(FAMILY_CONFIGS[label]) == RECORDED[label]
