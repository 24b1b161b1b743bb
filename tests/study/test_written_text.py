"""Text that a model writes: by its own probabilities, beginning as what it has read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.study.finetune.writing import WrittenText, written_by

Tokens = npt.NDArray[np.int64]
Draw = Callable[[npt.NDArray[np.float32]], Tokens]
READ = [np.array([7, 1]), np.array([8, 2, 2])]


def write(firsts: Tokens, length: int, draw: Draw) -> list[Tokens]:
    """As a model of three tokens would whose logits are always the same."""
    logits = np.log(np.tile([0.7, 0.1, 0.2], (len(firsts), 1))).astype(np.float32) + 3
    return list(np.stack([firsts, *(draw(logits) for _ in range(length - 1))], axis=1))


def test_tokens_come_as_often_as_they_are_probable() -> None:
    told: list[int] = []
    found = written_by(write, READ, 20_000, 50, 0, told.append)
    assert (len(found), told[-1]) == (400, 20_000)
    firsts, rest = np.array([ids[0] for ids in found]), np.concatenate([ids[1:] for ids in found])
    assert np.bincount(firsts).nonzero()[0].tolist() == [7, 8]
    np.testing.assert_allclose(np.bincount(rest) / len(rest), [0.7, 0.1, 0.2], atol=0.02)


def test_another_seed_writes_another_text() -> None:
    texts = [np.stack(written_by(write, READ, 100, 10, seed, lambda _: None)).tolist() for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_what_was_written_is_kept_for_its_question_alone(tmp_path: Path) -> None:
    kept = WrittenText(tmp_path / "out.safetensors")
    assert kept.read("a") is None
    kept.write("a", READ)
    assert [ids.tolist() for ids in kept.read("a") or []] == [[7, 1], [8, 2, 2]]
    assert kept.read("b") is None
    kept.remove()
    assert kept.read("a") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format":"cimsolve-written-text/1","digest":"a","sequences":["x"]}'])
def test_a_damaged_file_is_written_again(tmp_path: Path, text: str) -> None:
    kept = WrittenText(tmp_path / "out.safetensors")
    kept.path.write_text(text)
    assert kept.read("a") is None
