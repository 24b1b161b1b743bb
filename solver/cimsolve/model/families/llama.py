"""Llama, Mistral and Qwen2, of one form: grouped K and V, gated feed-forward, rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.families.config import Config, Context, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.recorder import TransformerLayer, attention, kept, stacked, torch_linear
from cimsolve.model.model import Model, Operation


class LlamaConfig(Config):
    hidden_size: Width
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: Width | None = None
    intermediate_size: Width
    max_position_embeddings: Context
    layer_types: list[Literal["full_attention", "sliding_attention"]] | None = None
    keys: ClassVar = Keys(
        values={"position_embedding_type": (None, "rope")},
        forward={"rope_interleaved": OFF},
        idle=named(
            "attention_bias hidden_act is_decoder is_llama_config max_window_layers mlp_bias rms_norm_eps "
            "rope_parameters rope_scaling rope_theta tie_word_embeddings"
        ),
    )

    @property
    def window(self) -> int | None:
        """Most keys that a token attends to in layers with a window, its own among them."""
        return None

    @property
    def layers_before_windows(self) -> int:
        """Layers that attend to all keys, unless `layer_types` says which."""
        return 0


class MistralConfig(LlamaConfig):
    sliding_window: Context | None = 4096
    use_sliding_window: bool | None = None

    @model_validator(mode="after")
    def _obeys_its_window(self) -> Self:
        if self.use_sliding_window is False and self.sliding_window is not None:
            raise ValueError(
                "use_sliding_window = false does not turn off sliding_window of a mistral; set that to null"
            )
        return self

    @property
    def window(self) -> int | None:
        return self.sliding_window


class Qwen2Config(LlamaConfig):
    use_sliding_window: bool | None = False
    sliding_window: Context | None = 4096
    max_window_layers: Annotated[int, Field(strict=True, ge=0)] = 28

    @property
    def window(self) -> int | None:
        return self.sliding_window if self.use_sliding_window else None

    @property
    def layers_before_windows(self) -> int:
        return self.max_window_layers


FORMS: Mapping[str, type[LlamaConfig]] = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}
"""`model_type` -> its config; where keys of windows are absent they are as in transformers."""


def attention_windows(config: Mapping[str, Any], origin: str) -> tuple[int | None, ...]:
    """Most keys that a token attends to in each layer, its own among them; None: all.

    Raises InputError for layer types that do not fit the other keys.
    """
    read = read_config(FORMS[config["model_type"]], config, origin)
    window, layers, types = read.window, read.num_hidden_layers, read.layer_types
    sliding = [window is not None and layer >= read.layers_before_windows for layer in range(layers)]
    if types is not None:
        said = [each == "sliding_attention" for each in types]
        if (
            len(said) != layers
            or (any(said) and window is None)
            or (said != sliding and not isinstance(read, Qwen2Config))
        ):
            raise InputError(
                f"{origin}: layer_types: {len(said)}, of which {sum(said)} sliding_attention, do not fit "
                f"num_hidden_layers = {layers} and sliding_window = {shown_value(window)} of a {config['model_type']}; "
                "expected one a layer, sliding_attention in those with a window"
            )
        sliding = said
    return tuple(window if each else None for each in sliding)


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a Llama, Mistral or Qwen2 model. Raises InputError for a config that is wrong."""
    read = read_config(FORMS[config["model_type"]], config, origin)
    width, inner, heads = read.hidden_size, read.intermediate_size, read.num_attention_heads
    groups = read.num_key_value_heads or heads
    if heads % groups:
        raise InputError(
            f"{origin}: num_key_value_heads: {groups} does not divide num_attention_heads = {heads}; "
            "expected a divisor of it"
        )
    head_width = read.head_dim or check_heads(origin, width, heads, "num_attention_heads")
    if head_width % 2:
        raise InputError(
            f"{origin}: the head width {head_width} is odd: expected an even one, as rotary positions turn pairs; "
            "correct head_dim, or hidden_size and num_attention_heads"
        )
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    windows = attention_windows(config, origin)
    q_width, kv_width = heads * head_width, groups * head_width
    # A rotation of each pair of elements: two products and one sum per element of Q and K.
    rotary = (Operation("multiply", 2 * (q_width + kv_width)), Operation("add", q_width + kv_width))
    layers = [
        TransformerLayer(
            qkv=[
                torch_linear(at + "self_attn.q_proj", width, q_width),
                torch_linear(at + "self_attn.k_proj", width, kv_width),
                torch_linear(at + "self_attn.v_proj", width, kv_width),
            ],
            attention=(*rotary, *attention(heads, head_width, min(n, window or n))),
            cache=kept(groups, head_width, min(n, window or n), is_causal=True),
            out=torch_linear(at + "self_attn.o_proj", q_width, width),
            up=[torch_linear(at + "mlp.gate_proj", width, inner), torch_linear(at + "mlp.up_proj", width, inner)],
            activation=[Operation("activation", inner), Operation("multiply", inner)],
            down=torch_linear(at + "mlp.down_proj", inner, width),
        )
        for at, window in ((f"model.layers.{layer}.", window) for layer, window in enumerate(windows))
    ]
    unmapped = [
        "embeddings",
        "attention scores and values",
        "norms, biases and rotary positions",
        "language-model head",
    ]
    return replace(stacked(name, config, n, width, layers, unmapped), windows=windows)
