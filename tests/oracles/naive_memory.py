"""What attention keeps and reads of keys and values, token by token from a model's config.

docs/formulation.md, section "Memory". Nothing of the package is imported; steps are known by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Kept:
    """Of one layer: elements of one token's keys and values, how many tokens ask, and how many a token looks at."""

    elements: int = 0
    tokens: int = 1
    window: int = 0
    is_causal: bool = False
    written: int = 0

    def seen_by(self, query: int) -> set[int]:
        """The tokens that a token of a prefill attends to; counted from 0."""
        if not self.is_causal:
            return set(range(self.window))
        return {token for token in range(self.tokens) if query - self.window < token <= query}

    def read(self) -> int:
        """Elements that a token reads once all others are there: those of the last one."""
        return self.elements * len(self.seen_by(self.tokens - 1))

    def prefill(self, queries: int) -> tuple[int, int]:
        """How often a prefill reads, and how many elements, if so many queries after each other share a read."""
        times, elements = 0, 0
        for first in range(0, self.tokens, queries):
            seen: set[int] = set()
            for query in range(first, min(first + queries, self.tokens)):
                seen |= self.seen_by(query)
            times, elements = times + 1, elements + self.elements * len(seen)
        return times, elements


def kept_before(step: str, layer: int, config: Mapping[str, Any], tokens: int, source_tokens: int) -> Kept | None:
    """What the attention before a step reads and writes; None where there is none."""
    kind = config["model_type"]
    if kind == "linears" or not step.endswith((".attention_output", ".cross_output")):
        return None
    if step.endswith(".cross_output"):
        return Kept(keys_and_values(1, config["d_model"]), tokens, source_tokens, False)
    heads, width, causal, window = 1, config.get("hidden_size", config.get("d_model", config.get("n_embd"))), True, None
    if kind in ("bert", "mpnet"):
        causal = False
    elif kind == "bart":
        causal = step.startswith("decoder")
        tokens = tokens if causal else source_tokens
    elif kind != "gpt2":
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        width = config.get("head_dim") or width // config["num_attention_heads"]
        window = window_of(layer, config)
    elements = keys_and_values(heads, width)
    return Kept(elements, tokens, tokens if window is None else min(window, tokens), causal, elements)


def keys_and_values(heads: int, width: int) -> int:
    count = 0
    for _ in ("key", "value"):
        for _ in range(heads):
            count += width
    return count


def window_of(layer: int, config: Mapping[str, Any]) -> int | None:
    """The sliding window of a layer; keys are those of Llama, Mistral and Qwen2."""
    kind = config["model_type"]
    if kind == "mistral":
        return config.get("sliding_window", 4096)
    if kind == "qwen2" and config.get("use_sliding_window"):
        types = config.get("layer_types")
        slides = types[layer] == "sliding_attention" if types else layer >= config.get("max_window_layers", 28)
        return config.get("sliding_window", 4096) if slides else None
    return None


def written_after(name: str, config: Mapping[str, Any], source_tokens: int) -> Kept | None:
    """What a pass writes at its end: that of a source, the keys and values of every decoder layer."""
    if config["model_type"] != "bart" or name != "source":
        return None
    written = sum(keys_and_values(1, config["d_model"]) for _ in range(config["decoder_layers"]))
    return Kept(tokens=source_tokens, written=written)
