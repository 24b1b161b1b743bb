"""The forward pass of each family against transformers' own, on small models with drawn weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.weights.forward import FAMILIES
from cimsolve.weights.forward.language import LanguageModel
from makers.published import CASES, PLACES, RECORDS, SEQUENCES, drawn_folder, published_logits, published_shapes
from makers.tiny_models import reference_of


def logits_of(folder: Path) -> npt.NDArray[np.float64]:
    reference = reference_of(folder)
    assert isinstance(reference, LanguageModel)
    return reference.logits(reference.run(SEQUENCES))


@pytest.mark.parametrize("case", CASES)
def test_logits_recorded_from_transformers(tmp_path: Path, case: str) -> None:
    record = json.loads((RECORDS / f"{case}.json").read_text())
    assert record["config"] == CASES[case], "record it anew: python -m makers.published"
    found = logits_of(drawn_folder(tmp_path, record["config"], record["tensors"]))
    np.testing.assert_allclose(found[np.ix_(*PLACES)], record["logits"], atol=1e-4)


def test_every_language_model_is_compared() -> None:
    assert {config["model_type"] for config in CASES.values()} == set(FAMILIES) - {"bert"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(tmp_path: Path, case: str) -> None:
    pytest.importorskip("transformers")
    folder = drawn_folder(tmp_path, CASES[case], published_shapes(CASES[case]), seed=1)
    np.testing.assert_allclose(logits_of(folder), published_logits(folder), atol=1e-4)
