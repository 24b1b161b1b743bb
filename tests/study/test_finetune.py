"""What fine-tuning refuses before it begins, and the checkpoint; none of it needs torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cimsolve import InputError
from cimsolve.study.finetune import finetune_factors
from cimsolve.study.finetune.checkpoint import Checkpoint, Look, TrainingState
from makers.command_line import Cli, assert_refused
from makers.tiny_configs import BERT
from makers.tiny_models import model_folder

STATE = TrainingState(
    digest="d",
    step=3,
    losses=[0.5, 0.25],
    looks=[Look(step=0, loss=None, held_out=0.9), Look(step=2, loss=0.4, held_out=0.8)],
)
TENSORS = {"now/a.R": np.arange(6, dtype=np.float32).reshape(1, 2, 3), "best/a.R": np.ones((1, 2, 3), dtype=np.float32)}
SHAPES = {name: each.shape for name, each in TENSORS.items()}


def test_without_torch_one_line_names_the_extra(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    model_folder(tmp_path / "b", BERT)
    words = ("--weights", str(tmp_path / "b"), "--factors", "f.safetensors", "--out", str(tmp_path / "o.safetensors"))
    assert_refused(cli("finetune", *words), 2, "torch", "cimsolve[train]")


@pytest.mark.parametrize(
    ("field", "value", "parts"),
    [
        ("steps", 0, ("steps = 0", "from 1")),
        ("layerwise", 2, ("layerwise = 2", "from 0 to 1")),
        ("rate", 0, ("rate = 0", "above 0")),
        ("device", "tpu", ("tpu", "cpu")),
        ("threads", 0, ("threads = 0", "from 1")),
        ("text", (), ("text", "sample")),
    ],
)
def test_a_question_out_of_range_is_refused(field: str, value: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refused:
        finetune_factors("folder", "f.safetensors", "o.safetensors", **{field: value})
    assert all(part in str(refused.value) for part in parts)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "o.safetensors")
    assert kept.read("d", SHAPES) is None
    kept.write(STATE, TENSORS)
    state, tensors = kept.read("d", SHAPES) or pytest.fail("it is there")
    assert state == STATE
    assert state.best.step == 2
    assert {name: each.tolist() for name, each in tensors.items()} == {
        name: each.tolist() for name, each in TENSORS.items()
    }
    kept.remove()
    assert kept.read("d", SHAPES) is None


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "o.safetensors")
    kept.write(STATE, TENSORS)
    with pytest.raises(InputError, match=r"o\.checkpoint\.safetensors.*other options.*remove it"):
        kept.read("other", SHAPES)
    with pytest.raises(InputError, match="other tensors"):
        kept.read("d", {**SHAPES, "now/a.R": (2, 2)})
    save_file(TENSORS, kept.path, {"format": "pt"})
    with pytest.raises(InputError, match="no checkpoint"):
        kept.read("d", SHAPES)
    kept.write(STATE, {**TENSORS, "now/a.R": np.full((1, 2, 3), np.nan, dtype=np.float32)})
    with pytest.raises(InputError, match="NaN"):
        kept.read("d", SHAPES)


def test_the_factors_that_are_tuned_are_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f\.safetensors.*another name"):
        finetune_factors(tmp_path, tmp_path / "f.safetensors", tmp_path / "f.safetensors")


def test_a_place_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Checkpoint(tmp_path / "file" / "o.safetensors").write(STATE, TENSORS)
