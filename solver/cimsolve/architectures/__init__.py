"""The model families, by the `model_type` of their config; one file a family of equal dataflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cimsolve.architectures import bart, bert, gpt2, linears, llama
from cimsolve.jsonfile import near_name
from cimsolve.model import Model

Family = Callable[[Mapping[str, Any], str, str, int | None], Model]

FAMILIES: Mapping[str, Family] = {
    "bert": bert.build_bert,
    "mpnet": bert.build_mpnet,
    "gpt2": gpt2.build,
    "bart": bart.build,
    "llama": llama.build,
    "mistral": llama.build,
    "qwen2": llama.build,
    "linears": linears.build,
}


def near_family(text: str) -> str:
    """A hint with the nearest known name, or nothing."""
    near = near_name(text, FAMILIES)
    return f" (did you mean {near!r}?)" if near else ""
