"""Encoders of images: their tokens, and the embedding of patches before the first layer."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.model.model import Operation
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse, refusal

NORMALISED_SUM = [Operation("add", 24), Operation("layer_norm", 24)]
TOKENS = {"vit": 10, "deit": 11, "dinov2": 10, "siglip_vision_model": 9, "clip_vision_model": 10}  # 3 x 3 patches


def changed(label: str, **changes: Any) -> dict[str, Any]:
    return {**FAMILY_CONFIGS[label], **changes}


@pytest.mark.parametrize("family", TOKENS)
def test_an_image_is_as_many_tokens_as_it_has_patches_and_the_models_own(family: str) -> None:
    model = parse(FAMILY_CONFIGS[family])
    assert model.tokens == TOKENS[family]
    assert not model.is_causal
    assert "context" in refusal(FAMILY_CONFIGS[family], TOKENS[family] + 1)
    large = parse(changed(family, image_size=120))
    assert large.tokens == TOKENS[family] - 9 + 30 * 30  # more than the 512 of a text
    assert parse(changed(family, image_size=120), 5).tokens == 5
    few = [note for note in model.notes if "patches" in note]
    assert len(few) == (TOKENS[family] > 9)


@pytest.mark.parametrize("family", TOKENS)
def test_patches_are_embedded_by_one_matrix(family: str) -> None:
    model = parse(changed(family, patch_size=3, num_channels=2))
    patches, qkv = model.steps[:2]
    assert [(linear.n_in, linear.n_out) for linear in patches.linears] == [(2 * 9, 24)]
    assert qkv.reads == (0,)
    again = [Operation("layer_norm", 24)] if family == "clip_vision_model" else []
    assert list(qkv.operations) == [*NORMALISED_SUM, *again]


def test_dinov2_scales_what_each_half_makes() -> None:
    model = parse(FAMILY_CONFIGS["dinov2"])
    up = next(step for step in model.steps if step.name == "layer0.feed_forward_up")
    assert list(up.operations) == [Operation("multiply", 24), *NORMALISED_SUM]
    assert list(model.tails["token"].operations) == [Operation("multiply", 24), *NORMALISED_SUM]


def test_a_patch_larger_than_the_image_is_refused() -> None:
    assert "patch_size: 13 is more than image_size = 12" in refusal(changed("vit", patch_size=13))
