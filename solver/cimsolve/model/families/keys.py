"""What a family makes of the keys of a config.json that say nothing about its matrices.

Such files hold dozens of keys. Of each it is known here that it changes nothing, that it changes the forward pass and
not the work, or at which values the model is the one that its family builds; any other value is refused, and a key of
which nothing is known is named in every answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cimsolve.errors import InputError
from cimsolve.files.text import shown_name, shown_value

Values = tuple[object, ...]
"""At which a key is taken; the last is what a message asks for."""


def named(text: str) -> frozenset[str]:
    """Keys that are written side by side."""
    return frozenset(text.split())


OFF: Values = (None, 0, [], {}, False)
ONE: Values = (None, 1)
ABSENT: Values = (None,)

OTHER_LINEARS = "list the matrices of such a model as model_type linears"

IDLE = named(
    # who wrote it, and how it is loaded
    "_name_or_path name_or_path _attn_implementation _attn_implementation_autoset _commit_hash architectures auto_map "
    "model_type torch_dtype dtype transformers_version tokenizer_class torchscript use_bfloat16 tf_legacy_loss "
    "keys_to_ignore_at_inference unsloth_version unsloth_fixed transformers.js_config license language "
    "custom_pipelines quantization_config adapters cache_implementation use_flash_attn use_flash_attention_2 "
    "_flash_attn_2_enabled "
    # how it was trained
    "initializer_range initializer_factor init_std gradient_checkpointing dropout attention_dropout hidden_dropout "
    "activation_dropout classifier_dropout classif_dropout resid_pdrop embd_pdrop attn_pdrop residual_dropout "
    "resid_dropout embed_dropout embedding_dropout "
    "attention_probs_dropout_prob hidden_dropout_prob encoder_layerdrop decoder_layerdrop layerdrop "
    "summary_first_dropout embed_dropout resid_dropout embedding_dropout predict_special_tokens mask_token_id "
    # the same sums, taken in another order or kept
    "pretraining_tp chunk_size_feed_forward use_cache reorder_and_upcast_attn output_attentions "
    "output_hidden_states output_scores output_past return_dict return_dict_in_generate "
    # tokens, labels and heads of tasks, which are not mapped
    "vocab_size type_vocab_size pad_token_id bos_token_id eos_token_id sep_token_id cls_token_id unk_token_id "
    "decoder_start_token_id num_labels _num_labels id2label label2id finetuning_task problem_type "
    "task_specific_params directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers "
    "pooler_size_per_head pooler_type summary_activation summary_proj_to_labels summary_type summary_use_proj "
    "n_special max_sequence_length model_max_length lm_head_bias "
    # how text is made with it
    "prefix max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature "
    "top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size "
    "bad_words_ids num_return_sequences forced_bos_token_id forced_eos_token_id remove_invalid_values "
    "exponential_decay_length_penalty suppress_tokens begin_suppress_tokens force_bos_token_to_be_generated"
)
"""Keys of any family that change nothing of what is computed."""

OTHERS: Mapping[str, Values] = {
    **dict.fromkeys(
        named(
            # experts
            "num_experts num_local_experts n_routed_experts num_routed_experts moe_num_experts n_experts "
            "num_experts_per_tok num_experts_per_token moe_intermediate_size moe_layer_freq moe_k moe "
            "shared_expert_intermediate_size n_shared_experts num_shared_experts decoder_sparse_step mlp_only_layers "
            "first_k_dense_replace router_jitter_noise "
            # attention of another kind
            "kv_lora_rank q_lora_rank qk_rope_head_dim qk_nope_head_dim v_head_dim attention_chunk_size sliding_window "
            "use_sliding_window sliding_window_pattern global_attn_every_n_layers attention_window attention_types "
            "attn_type_list layer_types full_attention_interval linear_num_key_heads "
            "clip_qkv attn_logit_softcapping attention_logit_softcapping attn_logit_softcap final_logit_softcapping "
            "logits_soft_cap logits_softcap query_pre_attn_scalar use_qk_norm qk_norm qk_layernorm use_qk_layernorm "
            "multi_query alibi attention_sinks add_cross_attention cross_attention_hidden_size pruned_heads "
            "share_att_key relative_attention attn_temperature_tuning use_logn_attn use_dynamic_ntk use_mrope "
            "rope_local_base_freq bias use_bias qkv_bias attention_out_bias hidden_activation "
            # another order of layers, or others between them
            "parallel_attn use_parallel_residual parallel_attention use_parallel_block shared_attn use_post_norm "
            "num_nextn_predict_layers cross_layer_parameter_sharing num_hidden_groups embedding_size "
            "layers_block_type block_types ssm_cfg state_size mamba_d_state attn_layer_period conv_kernel "
            "no_rope_layers no_rope_layer_interval nope_layer_interval tie_encoder_decoder per_layer_config "
            "altup_num_inputs laurel_rank add_final_layer_norm normalize_before "
            # a model within
            "text_config vision_config audio_config encoder decoder thinker_config"
        ),
        OFF,
    ),
    **dict.fromkeys(
        named(
            "partial_rotary_factor rotary_pct rotary_percent rope_ratio embedding_multiplier residual_multiplier "
            "attention_multiplier logits_scaling logit_scale scale_emb scale_depth embedding_scale attention_scale "
            "mup_width_multiplier"
        ),
        ONE,
    ),
    "position_embedding_type": (None, "absolute"),
    "rotary_dim": ABSENT,
    "norm_type": ABSENT,
    "is_encoder_decoder": OFF,
}
"""Keys of other models -> the values at which they change nothing."""

FORWARD: Mapping[str, Values] = {
    "compression_config": ABSENT,
    "is_causal": (None, True),
}
"""Keys of any family that change the forward pass alone -> the values that it knows."""
NESTED = ("rope_parameters", "rope_scaling")
"""Keys whose object has keys of the same meaning."""


@dataclass(frozen=True)
class Keys:
    """What a family says of keys beside those that its Config reads."""

    values: Mapping[str, Values] = field(default_factory=dict)
    """Key -> the values at which the model is the one that the family builds; comes before OTHERS."""
    forward: Mapping[str, Values] = field(default_factory=dict)
    """Key -> the values that the forward pass knows; none of them changes linears or the work between them."""
    idle: frozenset[str] = frozenset()
    """Keys that change nothing here, or that the forward pass reads itself."""

    def also(self, idle: str = "", **values: Values) -> Keys:
        """These, and more that are idle or taken at some values."""
        return replace(self, idle=self.idle | named(idle), values={**self.values, **values})

    def demand_known(self, config: Mapping[str, Any], obeyed: frozenset[str], origin: str) -> None:
        """Raise InputError for a key that asks for another model than the one built; `obeyed` are read elsewhere."""
        _demand(config, {**OTHERS, **self.values}, obeyed | self.idle, origin, OTHER_LINEARS)

    def demand_computed(self, config: Mapping[str, Any], origin: str) -> None:
        """Raise InputError for a key that asks for another forward pass than the one that is implemented."""
        _demand(config, {**FORWARD, **self.forward}, frozenset(), origin, "the forward pass knows no other")

    def unknown(self, config: Mapping[str, Any], obeyed: frozenset[str]) -> tuple[str, ...]:
        """The keys of a config of which nothing is known, in its order."""
        known = {*obeyed, *IDLE, *OTHERS, *FORWARD, *self.values, *self.forward, *self.idle}
        return tuple(key for key in config if key not in known)


def _demand(
    config: Mapping[str, Any], values: Mapping[str, Values], apart: frozenset[str], origin: str, advice: str
) -> None:
    for path, key, value in _pairs(config):
        if key in values and key not in apart and value not in values[key]:
            raise InputError(
                f"{origin}: {shown_name(path)} = {shown_value(value)}: this is not implemented for model_type "
                f"{config['model_type']}; expected {shown_value(values[key][-1])} or no such key; {advice}"
            )


def _pairs(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Path, key and value of every key, those within NESTED too."""
    for key, value in config.items():
        yield key, key, value
        if key in NESTED and isinstance(value, dict):
            for inner, each in value.items():
                yield f"{key}.{inner}", inner, each
                if isinstance(each, dict):  # one for each type of layer
                    yield from ((f"{key}.{inner}.{last}", last, given) for last, given in each.items())
