"""Llama, Mistral and Qwen2: rotary positions, grouped K and V, gated feed-forward."""

from __future__ import annotations

from pydantic import Field

from cimsolve.model.families.config import Width, read_config
from cimsolve.model.families.llama import LlamaConfig, attention_windows
from cimsolve.model.model import Model
from cimsolve.weights.forward.decoder import STEPS, Decoder
from cimsolve.weights.forward.rotary import read_rotary


class _LlamaReferenceConfig(LlamaConfig):
    vocab_size: Width
    hidden_act: str = "silu"
    rms_norm_eps: float = Field(default=1e-6, gt=0)
    tie_word_embeddings: bool = False
    attention_bias: bool | None = False
    mlp_bias: bool | None = False


def llama_form(model: Model) -> Decoder:
    """The form of such a model. Raises InputError for config keys that are wrong or not known."""
    read = read_config(_LlamaReferenceConfig, model.config, model.name)
    head_width = read.head_width
    biases = dict.fromkeys(STEPS, (False, f"model_type {model.family}"))
    if model.family == "qwen2":
        biases["qkv"] = (True, "model_type qwen2")
    if model.family == "llama":
        for key, steps in (("attention_bias", STEPS[:2]), ("mlp_bias", STEPS[2:])):
            asked = bool(getattr(read, key))
            biases |= dict.fromkeys(steps, (asked, f"{key} = {str(asked).lower()}"))
    return Decoder(
        layers=read.num_hidden_layers,
        width=read.hidden_size,
        vocabulary=read.vocab_size,
        context=read.max_position_embeddings,
        head_width=head_width,
        activation=("hidden_act", read.hidden_act),
        eps=read.rms_norm_eps,
        biases=biases,
        tied=read.tie_word_embeddings,
        rotary=[read_rotary(model.config, model.name, head_width)] * read.num_hidden_layers,
        windows=attention_windows(model.config, model.name),
    )
