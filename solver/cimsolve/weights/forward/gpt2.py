"""GPT-2: learned positions, norms that shift, biases everywhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cimsolve.model.families.config import Width, read_config
from cimsolve.model.families.gpt2 import Gpt2Config
from cimsolve.model.model import Model
from cimsolve.weights.forward.decoder import STEPS, Decoder, SideNames


class _Gpt2ReferenceConfig(Gpt2Config):
    vocab_size: Width
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = Field(default=1e-5, gt=0)
    tie_word_embeddings: bool = True
    scale_attn_weights: Literal[True] | None = None
    scale_attn_by_inverse_layer_idx: Literal[False] | None = None


def gpt2_form(model: Model) -> Decoder:
    """The form of a GPT-2 model. Raises InputError for config keys that are wrong or not known."""
    read = read_config(_Gpt2ReferenceConfig, model.config, model.name)
    return Decoder(
        layers=read.num_hidden_layers,
        width=read.hidden_size,
        vocabulary=read.vocab_size,
        context=read.context,
        head_width=read.head_width,
        activation=("activation_function", read.activation_function),
        eps=read.layer_norm_epsilon,
        biases=dict.fromkeys(STEPS, (True, "model_type gpt2")),
        names=SideNames(
            embedding="wte",
            positions="wpe",
            layer="h.{}.",
            before_attention="ln_1",
            before_feed_forward="ln_2",
            final="ln_f",
        ),
        tied=read.tie_word_embeddings,
        shifts=True,
        gated=False,
    )
