"""Gated encoders with rotary positions: ModernBERT, Nomic BERT and EuroBERT."""

from __future__ import annotations

from typing import ClassVar

from cimsolve.model.families.config import Context, Count
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import LayerNames, Traits, transformer
from cimsolve.model.families.llama import LLAMA, LlamaConfig
from cimsolve.model.families.sizes import InnerConfig, LayerTypes, RotaryConfig, renamed


class ModernBertConfig(LayerTypes, RotaryConfig, InnerConfig):
    """Every so many layers attention sees all tokens; else so many before and behind."""

    local_attention: Context = 128
    global_attn_every_n_layers: Count = 3
    keys: ClassVar = Keys(
        idle=named(
            "attention_bias classifier_activation classifier_bias classifier_pooling compile_model decoder_bias "
            "deterministic_flash_attn embedding_dropout global_rope_theta hidden_activation "
            "initializer_cutoff_factor layer_norm_eps local_rope_theta mlp_bias mlp_dropout norm_bias norm_eps "
            "reference_compile repad_logits_with_grad rope_parameters sparse_pred_ignore_index sparse_prediction "
            "tie_word_embeddings"
        )
    )

    @property
    def window(self) -> int | None:
        return 2 * (self.local_attention // 2) + 1

    def slides(self, layer: int) -> bool:
        return layer % self.global_attn_every_n_layers != 0


class NomicBertConfig(RotaryConfig, InnerConfig):
    model_config = renamed(
        hidden_size="n_embd hidden_size",
        num_hidden_layers="n_layer num_hidden_layers",
        num_attention_heads="n_head num_attention_heads",
        intermediate_size="n_inner intermediate_size",
        max_position_embeddings="n_positions max_position_embeddings",
    )
    keys: ClassVar = Keys(
        values={"qkv_proj_bias": (False,), "rotary_emb_fraction": (None, 1), "prenorm": (None, False)},
        idle=named(
            "activation_function attention_probs_dropout_prob causal dense_seq_output fused_bias_fc "
            "fused_dropout_add_ln hidden_act layer_norm_eps layer_norm_epsilon max_trained_positions mlp_fc1_bias "
            "mlp_fc2_bias pad_vocab_size_multiple parallel_block_tied_norm reorder_and_upcast_attn rope_parameters "
            "rotary_emb_base rotary_emb_interleaved rotary_emb_scale_base rotary_scaling_factor "
            "scale_attn_by_inverse_layer_idx scale_attn_weights use_rms_norm use_xentropy"
        ),
    )


class EuroBertConfig(LlamaConfig):
    keys: ClassVar = LlamaConfig.keys.also("classifier_pooling clf_pooling")


MODERNBERT = LayerNames("layers.{}.", {"attn.Wqkv": "q k v"}, "attn.Wo", {"mlp.Wi": "gate up"}, "mlp.Wo")
NOMIC_BERT = LayerNames(
    "encoder.layers.{}.", {"attn.Wqkv": "q k v"}, "attn.out_proj", {"mlp.fc11": "up", "mlp.fc12": "gate"}, "mlp.fc2"
)
ENCODER = Traits(is_causal=False)
FAMILIES = {
    "modernbert": transformer(ModernBertConfig, MODERNBERT, ENCODER, head="task head"),
    "nomic_bert": transformer(NomicBertConfig, NOMIC_BERT, ENCODER, head="task head"),
    "eurobert": transformer(EuroBertConfig, LLAMA, ENCODER, head="task head"),
}
