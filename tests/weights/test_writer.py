"""A decoder that writes foretells what it does when it reads the whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.model.load import load_model
from cimsolve.weights.folder import open_weights
from cimsolve.weights.forward.forms import form_of
from cimsolve.weights.forward.writer import Writer
from makers.published import CASES, RECORDS, drawn_folder


@pytest.mark.parametrize("case", CASES)
def test_each_token_is_drawn_by_the_logits_of_the_whole(tmp_path: Path, case: str) -> None:
    record = json.loads((RECORDS / f"{case}.json").read_text())
    folder = drawn_folder(tmp_path, record["config"], record["tensors"])
    model = load_model(folder)
    writer = Writer(model, open_weights(folder, model), form_of(model))
    seen: list[npt.NDArray[np.float32]] = []

    def draw(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        seen.append(logits)
        return np.argsort(-logits, axis=1)[:, 2]

    length = 5 if case == "phi3-longrope" else 10  # longer ones turn otherwise, from their first token on
    written = writer.write(np.array([3, 1, 4]), length, draw)
    assert [len(ids) for ids in written] == [length] * 3
    assert [ids[0] for ids in written] == [3, 1, 4]
    whole = writer.logits(writer.run(written)).reshape(3, length, -1)
    np.testing.assert_allclose(np.stack(seen, axis=1), whole[:, :-1], atol=1e-4)
    assert [ids[1:].tolist() for ids in written] == np.argsort(-whole[:, :-1], axis=2)[..., 2].tolist()
