"""GPT-2: a pre-norm decoder whose weights are stored (in, out), with Q, K and V in one tensor."""

from __future__ import annotations

from typing import ClassVar

from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import LayerNames, transformer
from cimsolve.model.families.sizes import FourfoldConfig, renamed


class Gpt2Config(FourfoldConfig):
    model_config = renamed(
        hidden_size="n_embd",
        num_hidden_layers="n_layer",
        num_attention_heads="n_head",
        max_position_embeddings="n_positions",
        intermediate_size="n_inner",
    )
    keys: ClassVar = Keys(
        idle=named(
            "activation_function is_decoder layer_norm_epsilon n_ctx scale_attn_by_inverse_layer_idx "
            "scale_attn_weights tie_word_embeddings"
        )
    )


NAMES = LayerNames(
    "h.{}.",
    {"attn.c_attn": "q k v"},
    "attn.c_proj",
    {"mlp.c_fc": "up"},
    "mlp.c_proj",
    layout="in_out",
    is_split=True,
)
FAMILIES = {"gpt2": transformer(Gpt2Config, NAMES, norms="layer norms and biases")}
