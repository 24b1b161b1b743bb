"""Families of decoders of one form, by `model_type`: the keys that the forward pass reads, and what it makes of them.

Sizes, windows, and which layers have rotary positions are read as the family's linears are built; what a row reads
beside them has transformers' defaults. Values that the pass does not know are not among those of a key's type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field

from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.families import FAMILIES as BUILT
from cimsolve.model.families.config import Config, Width, file_key, read_config
from cimsolve.model.families.sizes import renamed
from cimsolve.model.families.wrapped import TEXT_OF, text_within
from cimsolve.model.model import Model
from cimsolve.weights.forward.decoder import EXPERT_STEPS, STEPS, Decoder, SideNames
from cimsolve.weights.forward.rotary import Rotary, read_rotary

Epsilon = Annotated[float, Field(gt=0)]
Off: TypeAlias = Literal[False] | None
On: TypeAlias = Literal[True] | None
TANH = "gelu_pytorch_tanh"
ATTENTION, FEED_FORWARD = STEPS[:2], STEPS[2:]
HEAD_NORMS = {"query": "self_attn.q_norm", "key": "self_attn.k_norm"}
SANDWICH = SideNames(
    after_attention="post_attention_layernorm",
    before_feed_forward="pre_feedforward_layernorm",
    after_feed_forward="post_feedforward_layernorm",
)


class ForwardKeys(Config):
    """What every row reads."""

    vocab_size: Width
    activation: str
    eps: Epsilon
    tie_word_embeddings: bool = False


Own = Callable[[Any, Any], Mapping[str, Any]]
"""A family's sizes and the keys of its row -> fields of its `Decoder` beside those that all have."""
RotaryOf = Callable[[Mapping[str, Any], str, Any], Sequence[Rotary | None]]


def _one_rotary(theta: float = 10000.0) -> RotaryOf:
    """Rotary positions that are the same in every layer that has any; `theta` where no base is given."""

    def read(config: Mapping[str, Any], origin: str, sizes: Any) -> Sequence[Rotary | None]:
        if not sizes.rotated_width:
            return ()
        rotary = read_rotary({"rope_theta": theta, **config}, origin, sizes.rotated_width)
        return [rotary if sizes.rotates(layer) else None for layer in range(sizes.num_hidden_layers)]

    return read


class FormRow(NamedTuple):
    """A family of decoders, as the forward pass sees it."""

    keys: type[ForwardKeys]
    own: Own = lambda sizes, keys: {}
    rotary: RotaryOf = _one_rotary()


def form_of(model: Model) -> Decoder:
    """The form of a model of one of `FORMS`. Raises InputError for config keys that are wrong or not known."""
    config, origin = text_config(model), model.name
    family, row = BUILT[config["model_type"]], FORMS[config["model_type"]]
    sizes: Any = read_config(family.config, config, origin)
    keys = read_config(row.keys, config, origin)
    alike = Decoder(
        layers=sizes.num_hidden_layers,
        width=sizes.hidden_size,
        vocabulary=keys.vocab_size,
        context=sizes.context,
        head_width=sizes.head_width,
        activation=(file_key(row.keys, "activation"), keys.activation),
        eps=keys.eps,
        tied=keys.tie_word_embeddings,
        rotary=row.rotary(config, origin, sizes),
        windows=[sizes.window_of(layer) for layer in range(sizes.num_hidden_layers)],
    )
    return replace(alike, **row.own(sizes, keys))


def text_config(model: Model) -> Mapping[str, Any]:
    """The config of the language model: the model's own, or that within it."""
    return text_within(model.config, model.name).config if model.family in TEXT_OF else model.config


def _said(steps: Sequence[str], keys: ForwardKeys, key: str) -> dict[str, tuple[bool, str]]:
    """Whether the linears of these steps have biases, by a key."""
    asked = bool(getattr(keys, key))
    return dict.fromkeys(steps, (asked, f"{key} = {str(asked).lower()}"))


def _always(steps: Sequence[str], family: str) -> dict[str, tuple[bool, str]]:
    return dict.fromkeys(steps, (True, f"model_type {family}"))


class _LlamaKeys(ForwardKeys):
    model_config = renamed(activation="hidden_act", eps="rms_norm_eps")
    activation: str = "silu"
    eps: Epsilon = 1e-6
    attention_bias: bool | None = False
    mlp_bias: bool | None = False


def _llama(sizes: Any, keys: Any) -> dict[str, Any]:
    return {"biases": {**_said(ATTENTION, keys, "attention_bias"), **_said(FEED_FORWARD, keys, "mlp_bias")}}


class _TiedKeys(_LlamaKeys):
    tie_word_embeddings: bool = True


class _FineKeys(_LlamaKeys):
    eps: Epsilon = 1e-5


def _qwen3(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": _said(ATTENTION, keys, "attention_bias"),
        "names": SideNames(**HEAD_NORMS),
        "query_norm": sizes.head_width,
        "key_norm": sizes.head_width,
    }


def _olmo2(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": _said(ATTENTION, keys, "attention_bias"),
        "names": replace(SANDWICH, before_attention=None, before_feed_forward=None, **HEAD_NORMS),
        "query_norm": sizes.num_attention_heads * sizes.head_width,
        "key_norm": sizes.kv_heads * sizes.head_width,
    }


class _GraniteKeys(_LlamaKeys):
    embedding_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    logits_scaling: Epsilon = 1.0


def _granite(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        **_llama(sizes, keys),
        "embedding_scale": keys.embedding_multiplier,
        "residual_scale": keys.residual_multiplier,
        "score_scale": keys.attention_multiplier,
        "logit_scale": 1 / keys.logits_scaling,
    }


def _experts(sizes: Any, keys: Any) -> dict[str, Any]:
    routing = sizes.routing
    return {"chosen": routing.chosen, "shares_sum_to_one": routing.renormalises or routing.scoring != "softmax"}


class _Qwen2MoeKeys(_LlamaKeys):
    qkv_bias: bool = True


def _olmoe(sizes: Any, keys: Any) -> dict[str, Any]:
    return {**_olmo2(sizes, keys), **_experts(sizes, keys), "names": SideNames(**HEAD_NORMS)}


class _GptOssKeys(_FineKeys):
    attention_bias: bool | None = True
    swiglu_limit: Epsilon = 7.0
    swiglu_alpha: Epsilon = 1.702


def _gpt_oss(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": {**_said(ATTENTION, keys, "attention_bias"), **_always(EXPERT_STEPS, "gpt_oss")},
        "names": SideNames(sinks="self_attn.sinks"),
        "clamped": (keys.swiglu_limit, keys.swiglu_alpha),
        **_experts(sizes, keys),
    }


def _gpt_oss_rotary(config: Mapping[str, Any], origin: str, sizes: Any) -> Sequence[Rotary | None]:
    if config.get("rope_scaling") is None and config.get("rope_parameters") is None:
        original = {"factor": 32.0, "truncate": False, "original_max_position_embeddings": 4096}
        config = {**config, "rope_scaling": {"rope_type": "yarn", **original}}
    return _one_rotary(150000.0)(config, origin, sizes)


class _GemmaKeys(_TiedKeys):
    activation: str = TANH
    hidden_activation: Literal["gelu", "gelu_pytorch_tanh"] | None = None


def _gemma(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": _said(ATTENTION, keys, "attention_bias"),
        "scale_from": 1.0,
        "embedding_scale": sizes.hidden_size**0.5,
        # Its first files say gelu, and mean the approximation.
        "activation": ("hidden_act", TANH if keys.activation == "gelu" else keys.activation),
    }


class _Gemma2Keys(_TiedKeys):
    model_config = renamed(activation="hidden_activation", eps="rms_norm_eps")
    activation: str = TANH
    query_pre_attn_scalar: Epsilon = 256
    final_logit_softcapping: Epsilon | None = 30.0


def _gemma2(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": _said(ATTENTION, keys, "attention_bias"),
        "scale_from": 1.0,
        "embedding_scale": sizes.hidden_size**0.5,
        "names": SANDWICH,
        "score_scale": keys.query_pre_attn_scalar**-0.5,
        "score_cap": sizes.attn_logit_softcapping,
        "logit_cap": keys.final_logit_softcapping,
    }


class _Gemma3Keys(_Gemma2Keys):
    vocab_size: Width = 262208
    final_logit_softcapping: Epsilon | None = None


def _gemma3(sizes: Any, keys: Any) -> dict[str, Any]:
    widths = {"query_norm": sizes.head_width, "key_norm": sizes.head_width}
    return {**_gemma2(sizes, keys), "names": replace(SANDWICH, **HEAD_NORMS), **widths}


def _two_rotaries(config: Mapping[str, Any], origin: str, sizes: Any) -> Sequence[Rotary | None]:
    """Gemma 3's: of layers with a window, which are never scaled, and of the others."""
    nested = config.get("rope_parameters") or {}
    kinds = ("full_attention", "sliding_attention")
    if not isinstance(nested, Mapping) or set(nested) - set(kinds):
        raise InputError(
            f"{origin}: rope_parameters = {shown_value(nested)}: expected {' and '.join(kinds)}, each with its own"
        )
    full, sliding = (nested.get(kind) for kind in kinds)
    whole = {"rope_theta": 1e6, **config, "rope_parameters": full}
    local = {"rope_theta": config.get("rope_local_base_freq", 1e4), "rope_parameters": sliding}
    context = {"max_position_embeddings": sizes.context}
    read = [read_rotary({**each, **context}, origin, sizes.rotated_width) for each in (whole, local)]
    layers = range(sizes.num_hidden_layers)
    said = sizes.layer_types or [kinds[sizes.slides(layer)] for layer in layers]
    return [read[kinds.index(said[layer])] for layer in layers]


class _Gpt2Keys(ForwardKeys):
    model_config = renamed(activation="activation_function", eps="layer_norm_epsilon")
    activation: str = "gelu_new"
    eps: Epsilon = 1e-5
    tie_word_embeddings: bool = True
    scale_attn_weights: On = None
    scale_attn_by_inverse_layer_idx: Off = None


def _gpt2(sizes: Any, keys: Any) -> dict[str, Any]:
    names = SideNames("wte", "wpe", "h.{}.", "ln_1", before_feed_forward="ln_2", final="ln_f")
    return {"biases": _always(STEPS, "gpt2"), "names": names, "shifts": True, "gated": False}


class _OptKeys(ForwardKeys):
    model_config = renamed(activation="activation_function", remove_final_layer_norm="_remove_final_layer_norm")
    activation: str = "relu"
    eps: Epsilon = 1e-5
    tie_word_embeddings: bool = True
    enable_bias: bool = True
    do_layer_norm_before: On = None
    remove_final_layer_norm: Off = None
    layer_norm_elementwise_affine: On = None


def _opt(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": _said(STEPS, keys, "enable_bias"),
        "names": SideNames(
            "decoder.embed_tokens",
            "decoder.embed_positions",
            "decoder.layers.{}.",
            "self_attn_layer_norm",
            before_feed_forward="final_layer_norm",
            final="decoder.final_layer_norm",
        ),
        "shifts": True,
        "gated": False,
        "first_position": 2,
    }


class _GptNeoxKeys(ForwardKeys):
    model_config = renamed(activation="hidden_act", eps="layer_norm_eps")
    activation: str = "gelu"
    eps: Epsilon = 1e-5
    attention_bias: bool = True


def _gpt_neox(sizes: Any, keys: Any) -> dict[str, Any]:
    return {
        "biases": {**_said(ATTENTION, keys, "attention_bias"), **_always(FEED_FORWARD, "gpt_neox")},
        "names": SideNames(
            "gpt_neox.embed_in",
            layer="gpt_neox.layers.{}.",
            final="gpt_neox.final_layer_norm",
            head="embed_out",
        ),
        "shifts": True,
        "gated": False,
        "parallel": bool(sizes.use_parallel_residual),
        "heads_of_fused": sizes.num_attention_heads,
    }


def _neox_rotary(config: Mapping[str, Any], origin: str, sizes: Any) -> Sequence[Rotary | None]:
    return _one_rotary(config.get("rotary_emb_base", 10000.0))(config, origin, sizes)


class _Starcoder2Keys(ForwardKeys):
    model_config = renamed(activation="hidden_act", eps="norm_epsilon")
    activation: str = TANH
    eps: Epsilon = 1e-5
    tie_word_embeddings: bool = True
    use_bias: bool = True


def _starcoder2(sizes: Any, keys: Any) -> dict[str, Any]:
    return {"biases": _said(STEPS, keys, "use_bias"), "shifts": True, "gated": False}


FORMS: Mapping[str, FormRow] = {
    "llama": FormRow(_LlamaKeys, _llama),
    "mistral": FormRow(_LlamaKeys),
    "qwen2": FormRow(_LlamaKeys, lambda sizes, keys: {"biases": _always(("qkv",), "qwen2")}),
    "qwen3": FormRow(_LlamaKeys, _qwen3),
    "smollm3": FormRow(_TiedKeys, _llama, _one_rotary(2e6)),
    "granite": FormRow(_GraniteKeys, _granite),
    "olmo2": FormRow(_FineKeys, _olmo2),
    "phi3": FormRow(_FineKeys),
    "mixtral": FormRow(_FineKeys, _experts, _one_rotary(1e6)),
    "qwen2_moe": FormRow(
        _Qwen2MoeKeys, lambda sizes, keys: {"biases": _said(("qkv",), keys, "qkv_bias"), **_experts(sizes, keys)}
    ),
    "qwen3_moe": FormRow(_LlamaKeys, lambda sizes, keys: {**_qwen3(sizes, keys), **_experts(sizes, keys)}),
    "olmoe": FormRow(_FineKeys, _olmoe),
    "gpt_oss": FormRow(_GptOssKeys, _gpt_oss, _gpt_oss_rotary),
    "granitemoe": FormRow(_GraniteKeys, lambda sizes, keys: {**_granite(sizes, keys), **_experts(sizes, keys)}),
    "gemma": FormRow(_GemmaKeys, _gemma),
    "gemma2": FormRow(_Gemma2Keys, _gemma2),
    "gemma3_text": FormRow(_Gemma3Keys, _gemma3, _two_rotaries),
    "gpt2": FormRow(_Gpt2Keys, _gpt2),
    "opt": FormRow(_OptKeys, _opt),
    "gpt_neox": FormRow(_GptNeoxKeys, _gpt_neox, _neox_rotary),
    "starcoder2": FormRow(_Starcoder2Keys, _starcoder2),
}
