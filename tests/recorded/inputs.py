"""The small files that recorded questions ask about: models, weights, texts, chips, a study, and broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from makers.tiny_configs import BERT, LLAMA

CHIPS = Path(__file__).parents[2] / "hwspecs"


def step(name: str, *shapes: tuple[str, int, int], **more: Any) -> dict[str, Any]:
    linears = [{"name": linear, "n_in": n_in, "n_out": n_out} for linear, n_in, n_out in shapes]
    return {"name": name, "linears": linears, **more}


def linears(*steps: dict[str, Any], context: int = 16) -> dict[str, Any]:
    return {"model_type": "linears", "context": context, "steps": list(steps)}


TINY = linears(step("a", ("a.query", 16, 16), ("a.key", 16, 16)), step("b", ("b.out", 16, 64)))
PAIR = linears(step("a", ("a.w", 8, 8)), step("b", ("b.w", 8, 16), operations=[{"name": "activation", "elements": 8}]))
DOT = linears(step("a", ("a.w", 4, 8)))
GRAPH = linears(
    step("in", ("in.w", 12, 24), reads=[]),
    step("left", ("left.w", 24, 8), reads=["in"], operations=[{"name": "layer_norm", "elements": 24}]),
    step("right", ("right.w", 24, 16), ("right.v", 24, 8), reads=["in"]),
    step("out", ("out.w", 8, 12), reads=["left", "right"], barrier=True, operations=[{"name": "add", "elements": 8}]),
    context=32,
)
MEDIUM = {**BERT, "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 256, "max_position_embeddings": 64}
GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}
BART = {
    "model_type": "bart",
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 16,
}
STUDY = {
    "format": "cimsolve-study/1",
    "hw": "paper256",
    "model": "tiny.json",
    "set": {"adc.sample_hold": True},
    "vary": {"adc.per_array": [4, 8], "array.rows+array.cols": [32, 64], "strategy": ["spread", "densemap"]},
}
WORDS = ["[UNK]", "[CLS]", "[SEP]", "the", "a", "of", "and", "in", "to", "it"]
TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
}
TEXT = "\n\n".join(f"the {a} of it and a {b} in the {a} to it of a {b}" for a in WORDS[3:] for b in WORDS[4:])
BROKEN = {
    "empty.json": "",
    "cut.json": '{"model_type": "linears"',
    "words.json": "not JSON",
    "list.json": "[1]",
    "rwkv.json": '{"model_type": "rwkv"}',
    "keyless.json": '{"model_type": "bert"}',
    "newer.json": '{"format": "cimsolve-solution/9"}',
    "wrong_study.json": '{"format": "cimsolve-study/1", "vary": {"adc.per_aray": [4]}}',
}

Tensors = dict[str, npt.NDArray[np.float32]]


def write_inputs(folder: Path) -> None:
    """Put all of them into `folder`."""
    models = {"tiny": TINY, "pair": PAIR, "dot": DOT, "graph": GRAPH, "medium": MEDIUM, "gpt2": GPT2, "bart": BART}
    for name, content in {**models, "study": STUDY, "odd_chip": odd_chip(), "typo_chip": typo_chip()}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    for name, text in {**BROKEN, "text.txt": TEXT}.items():
        (folder / name).write_text(text)
    for name, config in {"bert": BERT, "llama": LLAMA}.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
        (folder / name / "tokenizer.json").write_text(json.dumps(TOKENIZER))
        save_file(weights(config), folder / name / "model.safetensors")
    np.savez(folder / "inputs.npz", **inputs())  # type: ignore[arg-type]


def odd_chip() -> dict[str, Any]:
    """A chip that is allowed, with values that look wrong."""
    chip = json.loads((CHIPS / "rram256.json").read_text())
    chip["name"] = "odd"
    chip["array"]["area_um2"] = 1
    return chip


def typo_chip() -> dict[str, Any]:
    chip = json.loads((CHIPS / "rram256.json").read_text())
    chip["adc"]["tabel"] = 1
    return chip


def linear_shapes(config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Name -> (out, in), of all that is mapped."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    found: dict[str, tuple[int, int]] = {}
    for layer in range(config["num_hidden_layers"]):
        if config["model_type"] == "bert":
            at = f"encoder.layer.{layer}."
            found |= {f"{at}attention.self.{part}": (width, width) for part in ("query", "key", "value")}
            found |= {f"{at}attention.output.dense": (width, width)}
            found |= {f"{at}intermediate.dense": (inner, width), f"{at}output.dense": (width, inner)}
        else:
            at = f"model.layers.{layer}."
            narrow = width // config["num_attention_heads"] * config["num_key_value_heads"]
            found |= {f"{at}self_attn.{part}_proj": (width, width) for part in ("q", "o")}
            found |= {f"{at}self_attn.{part}_proj": (narrow, width) for part in ("k", "v")}
            found |= {f"{at}mlp.{part}_proj": (inner, width) for part in ("gate", "up")}
            found |= {f"{at}mlp.down_proj": (width, inner)}
    return found


def weights(config: dict[str, Any]) -> Tensors:
    """Random weights under the names of Hugging Face."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) * 0.4).astype(np.float32)

    width, words, layers = config["hidden_size"], config["vocab_size"], range(config["num_hidden_layers"])
    shapes = linear_shapes(config)
    found = {f"{name}.weight": normal(*shape) for name, shape in shapes.items()}
    if config["model_type"] == "bert":
        found |= {f"{name}.bias": normal(rows) for name, (rows, _) in shapes.items()}
        for name, rows in (("word", words), ("position", config["max_position_embeddings"]), ("token_type", 2)):
            found[f"embeddings.{name}_embeddings.weight"] = normal(rows, width)
        norms = [
            f"encoder.layer.{layer}.{part}.LayerNorm" for layer in layers for part in ("attention.output", "output")
        ]
        for norm in ("embeddings.LayerNorm", *norms):
            found |= {f"{norm}.weight": 1 + normal(width), f"{norm}.bias": normal(width)}
        return found
    parts = ("input_layernorm", "post_attention_layernorm")
    norms = [f"model.layers.{layer}.{part}" for layer in layers for part in parts]
    found |= {f"{norm}.weight": 1 + normal(width) for norm in ("model.norm", *norms)}
    return found | {"model.embed_tokens.weight": normal(words, width)}


def inputs() -> Tensors:
    """What the linears of `bert` read: correlated, 60 samples each."""
    rng = np.random.default_rng(1)
    found = {}
    for name, (_, n_in) in linear_shapes(BERT).items():
        mix = rng.standard_normal((n_in, n_in)) * np.geomspace(1, 0.1, n_in)
        found[name] = (rng.standard_normal((60, n_in)) @ mix).astype(np.float32)
    return found
