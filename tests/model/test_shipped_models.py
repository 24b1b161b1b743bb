"""Shipped models against the parameter counts that are published, and the page that names their sources."""

from __future__ import annotations

import re

import pytest

from cimsolve.files.library import shipped_models
from cimsolve.show.units import millions
from makers.folders import ROOT
from makers.model_configs import shipped

# What is published, as the hub counts the tensors of the file -> those of embeddings, heads and poolers, by hand.
# Biases and norms are left out: with them the sum would be equal.
PUBLISHED = {
    "bart-large": (406_291_456, (50265 + 2 * 1026) * 1024),
    "bert-base": (109_482_240, (30522 + 512 + 2) * 768 + 768**2),
    "bert-large": (335_141_888, (30522 + 512 + 2) * 1024 + 1024**2),
    "gpt2": (124_439_808, (50257 + 1024) * 768),
    "gpt2-medium": (354_823_168, (50257 + 1024) * 1024),
    "llama-3-70b": (70_553_706_496, 2 * 128256 * 8192),
    "llama-3-8b": (8_030_261_248, 2 * 128256 * 4096),
    "llama-3.1-405b": (405_853_388_800, 2 * 128256 * 16384),
    "minilm-l6": (22_713_216, (30522 + 512 + 2) * 384 + 384**2),
    "mistral-7b": (7_241_732_096, 2 * 32000 * 4096),
    "qwen3-0.6b": (596_049_920, 151936 * 1024),
    "gemma-3-1b": (999_885_952, 262144 * 1152),
    "phi-4-mini": (3_836_021_760, 200064 * 3072),
    "vit-base": (86_389_248, 197 * 768 + 768**2),
    "mixtral-8x7b": (46_702_792_704, 2 * 32000 * 4096),
    "qwen3-30b-a3b": (30_532_122_624, 2 * 151936 * 2048),
    "gpt-oss-20b": (20_914_757_184, 2 * 201088 * 2880),
    "deepseek-v3": (671_026_419_200, 2 * 129280 * 7168),
    "t5-base": (222_903_552, 32128 * 768),
    "whisper-small": (241_734_912, 51865 * 768 + (1500 + 448) * 768),
    "smollm2-135m": (134_515_008, 49152 * 576),
}


@pytest.mark.parametrize("name", shipped_models())
def test_counts_are_those_published(name: str) -> None:
    published, beside = PUBLISHED[name]
    model = shipped(name)
    assert model.unknown_keys == ()
    counted = model.weight_count + beside
    assert counted <= published
    assert counted == pytest.approx(published, rel=0.006)


def test_the_page_has_every_model_with_its_counts() -> None:
    rows = re.findall(
        r"^\| `(.+?)` \| .+ \| (.+?) \| (.+?) \|$", (ROOT / "docs" / "models.md").read_text(), re.MULTILINE
    )
    counts = [(name, millions(PUBLISHED[name][0]), millions(shipped(name).weight_count)) for name in shipped_models()]
    assert rows == counts


@pytest.mark.parametrize(
    ("name", "active"),
    [
        # attention and router of each layer, and gate, up and down of the experts that a token fires
        ("mixtral-8x7b", 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 4096 * 8 + 2 * 3 * 4096 * 14336)),
        ("qwen3-30b-a3b", 48 * (2 * 2048 * 4096 + 2 * 2048 * 512 + 2048 * 128 + 8 * 3 * 2048 * 768)),
        ("gpt-oss-20b", 24 * (2 * 2880 * 4096 + 2 * 2880 * 512 + 2880 * 32 + 4 * 3 * 2880**2)),
        ("bert-base", 12 * (4 * 768**2 + 2 * 768 * 3072)),
    ],
)
def test_a_token_fires_the_weights_of_the_experts_chosen(name: str, active: int) -> None:
    assert shipped(name).active_weight_count == active
