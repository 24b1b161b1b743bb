"""Small models with random weights in folders, as Hugging Face stores them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from cimsolve.model.load import load_model
from cimsolve.model.model import Model
from cimsolve.weights.folder import open_weights
from cimsolve.weights.forward import Reference, load_reference


def tensors_of(config: dict[str, Any], model: Model, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) * 0.4).astype(np.float32)

    width, words = config["hidden_size"], config["vocab_size"]
    found = {linear.tensor.name: normal(linear.n_out, linear.n_in) for linear in model.linears}
    if config["model_type"] == "bert":
        for name, rows in (("word", words), ("position", config["max_position_embeddings"]), ("token_type", 2)):
            found[f"embeddings.{name}_embeddings.weight"] = normal(rows, width)
        found |= {f"{linear.name}.bias": normal(linear.n_out) for linear in model.linears}
        places = ["embeddings"]
        for layer in range(config["num_hidden_layers"]):
            places += [f"encoder.layer.{layer}.{part}" for part in ("attention.output", "output")]
        for place in places:
            found[f"{place}.LayerNorm.weight"], found[f"{place}.LayerNorm.bias"] = 1 + normal(width), normal(width)
        return found
    found["model.embed_tokens.weight"] = normal(words, width)
    found["model.norm.weight"] = 1 + normal(width)
    for layer in range(config["num_hidden_layers"]):
        for part in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{layer}.{part}.weight"] = 1 + normal(width)
    return found


def model_folder(folder: Path, config: dict[str, Any], seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors_of(config, load_model(folder / "config.json"), seed), folder / "model.safetensors")
    return folder


def add_tokenizer(folder: Path) -> None:
    """A tokenizer.json of ten words, the rest unknown, as both models above have room for."""
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", "[CLS]", "[SEP]", "the", "a", "of", "and", "in", "to", "it"]
    vocabulary = {word: number for number, word in enumerate(words)}
    encoder = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    encoder.save(str(folder / "tokenizer.json"))


def reference_of(folder: Path) -> Reference:
    model = load_model(folder / "config.json")
    return load_reference(model, open_weights(folder, model))
