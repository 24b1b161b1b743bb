"""Weights, factors, inputs and tokenizers of a model folder of one layer."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from fuzz.damage import HOSTILE, damage_bytes, damage_json, damage_value, json_text
from fuzz.kind import Kind, run
from makers.gguf_files import CONFIG, write_gguf
from makers.published import RECORDS, drawn_folder
from makers.quantised_files import write_safetensors
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder

_BERT = {**BERT, "num_hidden_layers": 1}
_LLAMA = {**LLAMA, "num_hidden_layers": 1, "tie_word_embeddings": False}
_SAFE = "model.safetensors"
_HEADS = 300
"""About as many bytes at the start of a GGUF file hold its metadata."""

_MAP = ("--model", "m", "--hw", "paper256", "--strategy", "spread", "--out", "out", "-q")
_PROJECT = ("project", "--model", "m", "--out", "out/f.safetensors", "-q")
_TEXT = ("project", "--model", "m", "--text", "sample", "--samples", "300", "--method", "whitened", "-q")
ACCURACY = (
    *("accuracy", "--weights", "m", "--hw", "paper256", "--method", "dense", "--bits", "8", "--samples", "300"),
    *("--test-tokens", "10", "--calibration-tokens", "10", "--cache", "cache", "-q", "--json"),
)

_CHOOSE = (
    *("choose", "--model", "m", "--hw", "paper256", "--set", "array.rows=16", "--set", "array.cols=16"),
    *("--compression", "2", "--samples", "200", "--loss-tokens", "20", "-q"),
)


def make_bert(folder: Path) -> None:
    """A model folder with a tokenizer."""
    add_tokenizer(model_folder(folder / "m", _BERT))


def _llama(folder: Path) -> None:
    add_tokenizer(model_folder(folder / "m", _LLAMA))
    tensors = load_file(folder / "m" / _SAFE)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"]}, folder / "m" / _SAFE)


def damage_safetensors(rng: Random, path: Path) -> None:
    """Damage the header's JSON, the numbers behind it, or any byte."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    text, rest = data[8 : 8 + size], data[8 + size :]
    what = rng.random()
    if what < 0.2:
        path.write_bytes(damage_bytes(rng, data))
    elif what < 0.4:
        at = rng.randrange(len(rest) // 4) * 4
        number = np.float32(rng.choice([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0])).tobytes()
        times = rng.choice([1, 1, 100])
        path.write_bytes(data[: 8 + size] + (rest[:at] + number * times + rest[at + 4 * times :])[: len(rest)])
    else:
        worse = json_text(damage_value(rng, json.loads(text))).encode()
        said = rng.choice([len(worse)] * 8 + [0, 2**63, len(worse) + 1])
        path.write_bytes(said.to_bytes(8, "little") + worse + rest)


def _reshaped(rng: Random, path: Path) -> None:
    """Leave a tensor out, or give it another shape or type, in a file that is sound."""
    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    tensor = tensors.pop(name)
    changes: Sequence[Any] = (
        *(None, tensor[:-1], tensor[..., :1], tensor.ravel()[:1], tensor.ravel(), tensor[None], tensor[:0]),
        *(tensor.astype(np.float16), tensor.astype(np.float64) * 1e300, tensor.astype(np.int8), tensor * 0),
    )
    change = rng.choice(changes)
    if change is not None:
        tensors[name] = np.ascontiguousarray(change)
    save_file(tensors, path)


def _weights(rng: Random, folder: Path) -> None:
    rng.choice([damage_safetensors, _reshaped])(rng, folder / "m" / _SAFE)


def _shards(folder: Path) -> None:
    make_bert(folder)
    tensors = load_file(folder / "m" / _SAFE)
    (folder / "m" / _SAFE).unlink()
    owner = {}
    for number in (1, 2):
        file = f"model-{number:05}-of-00002.safetensors"
        names = sorted(tensors)[number - 1 :: 2]
        save_file({name: tensors[name] for name in names}, folder / "m" / file)
        owner |= dict.fromkeys(names, file)
    (folder / "m" / f"{_SAFE}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": owner}))


def _damage_shards(rng: Random, folder: Path) -> None:
    if rng.random() < 0.7:
        damage_json(rng, folder / "m" / f"{_SAFE}.index.json")
    else:
        damage_safetensors(rng, folder / "m" / f"model-0000{rng.choice([1, 2])}-of-00002.safetensors")


def _published(case: str) -> Callable[[Path], None]:
    """A small model of another family."""

    def make(folder: Path) -> None:
        record = json.loads((RECORDS / f"{case}.json").read_text())
        add_tokenizer(drawn_folder(folder / "m", record["config"], record["tensors"]))

    return make


def _quantised(folder: Path) -> None:
    """FP8, with a scale for each block of 4 x 8."""
    _llama(folder)
    file = folder / "m" / _SAFE
    rng, stored = np.random.default_rng(0), {}
    for name, tensor in load_file(file).items():
        if "proj" in name:
            rows, columns = tensor.shape
            stored[name] = "F8_E4M3", rng.integers(0, 127, tensor.shape, dtype=np.uint8)
            stored[f"{name}_scale_inv"] = "F32", rng.random((rows // 4, columns // 8), dtype=np.float32)
        else:
            stored[name] = "F32", tensor
    write_safetensors(file, stored)
    said = {"quant_method": "fp8", "weight_block_size": [4, 8]}
    (folder / "m" / "config.json").write_text(json.dumps({**_LLAMA, "quantization_config": said}))


def _damage_quantised(rng: Random, folder: Path) -> None:
    if rng.random() < 0.5:
        damage_safetensors(rng, folder / "m" / _SAFE)
        return
    config = json.loads((folder / "m" / "config.json").read_text())
    config["quantization_config"] = damage_value(rng, config["quantization_config"])
    (folder / "m" / "config.json").write_text(json_text(config))


_LETTERS = [chr(number) for number in range(97, 97 + 26)] + ["Ġ", "th", "the"]
_VOCABULARY = {
    "add_tokenizer_model": "gpt2",
    "add_tokenizer_pre": "smollm",
    "add_token_list": _LETTERS,
    "add_token_merges": ["t h", "th e"],
}


def _gguf(folder: Path) -> None:
    model_folder(folder / "source", CONFIG)
    (folder / "m").mkdir()
    (folder / "m" / "config.json").write_text(json.dumps(CONFIG))
    write_gguf(folder / "m" / "m.gguf", folder / "source", **_VOCABULARY)


def _damage_gguf(rng: Random, folder: Path) -> None:
    """Bytes, most of them before the numbers; or a file that says other things."""
    path = folder / "m" / "m.gguf"
    if rng.random() < 0.3:
        texts = [each for each in HOSTILE if isinstance(each, str)]
        said: dict[str, Any] = {
            "kind": rng.choice(["F32", "F16", "Q8_0", "Q4_1", "BF16"]),
            "endian": rng.choice(["LITTLE", "LITTLE", "BIG"]),
            "groups": rng.choice([2, 2, None, 0, 1, 4, 3, 2**31]),
            "architecture": rng.choice(["llama", "llama", *texts]),
            "add_token_list": rng.choice([_LETTERS, _LETTERS[:3], _LETTERS * 2, texts]),
            "add_token_merges": rng.choice([["t h"], ["t h e"], ["x y z"], [""], texts]),
            "add_custom_alignment": rng.choice([32, 64, 128]),
            "add_tokenizer_pre": rng.choice(["smollm", "default", *texts]),
        }
        changed = dict(rng.sample(sorted(said.items()), rng.choice([1, 2])))
        write_gguf(path, folder / "source", **{**_VOCABULARY, **changed})
        return
    data = path.read_bytes()
    heads = data.index(b"token_embd") + _HEADS
    for _ in range(rng.choice([1, 1, 2])):
        data = damage_bytes(rng, data[:heads]) + data[heads:] if rng.random() < 0.9 else damage_bytes(rng, data)
    path.write_bytes(data)


def _inputs(folder: Path) -> None:
    make_bert(folder)
    rng = np.random.default_rng(0)
    widths = {name: tensor.shape[1] for name, tensor in load_file(folder / "m" / _SAFE).items() if tensor.ndim == 2}
    linears = {name.removesuffix(".weight"): width for name, width in widths.items() if "layer" in name}
    np.savez(folder / "i.npz", **{name: rng.standard_normal((40, width)) for name, width in linears.items()})


def _damage_inputs(rng: Random, folder: Path) -> None:
    path = folder / "i.npz"
    if rng.random() < 0.3:
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    data = members[name]
    end = data.index(b"\n") + 1
    said = data[10:end].decode()
    types, sizes = ["|O8", "<i8", "<f4", "<U2", ">f8", "<c8", "|b1"], ["-4", "99", " 0", "4L"]
    worse = rng.choice(
        [
            data[:10] + damage_bytes(rng, data[10:end]) + data[end:],
            damage_bytes(rng, data[:10]) + data[10:],
            data[:end] + damage_bytes(rng, data[end:]),
            data[:10] + said.replace("<f8", rng.choice(types)).encode() + data[end:],
            data[:10] + said.replace("40", rng.choice(sizes)).encode() + data[end:],
            data[:end] + np.float64(rng.choice([np.nan, np.inf, 1e300, 3e38, 0.0])).tobytes() + data[end + 8 :],
        ]
    )
    packed = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(path, "w", packed) as archive:
        for each, content in members.items():
            archive.writestr(each, worse if each == name else content)


def _factors(folder: Path) -> None:
    make_bert(folder)
    run("project", "--model", "m", "--out", "f.safetensors")
    run("--model", "m", "--hw", "paper256", "--strategy", "spread", "--out", "s")


def _damage_factors(rng: Random, folder: Path) -> None:
    path = folder / "f.safetensors"
    if rng.random() < 0.6:
        damage_safetensors(rng, path)
        return
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    said = header["__metadata__"]
    said["structure"] = json_text(damage_value(rng, json.loads(said["structure"])))
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _structures(folder: Path) -> None:
    make_bert(folder)
    run(*_CHOOSE, "--out", "c.json")


def _damage_structures(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "c.json")


def _damage_json(name: str) -> Callable[[Random, Path], None]:
    return lambda rng, folder: damage_json(rng, folder / "m" / f"{name}.json")


_GIVEN, _ANSWER = ("--weights", "f.safetensors"), "s/m--paper256--spread.json"
_FITTED = [(*_PROJECT, "--inputs", "i.npz", "--method", how) for how in ("als", "whitened")]

KINDS = {
    "safetensors": Kind(make_bert, _weights, [_PROJECT, _MAP, _TEXT, ACCURACY]),
    "llama": Kind(_llama, _weights, [_PROJECT, _TEXT, ACCURACY]),
    "shards": Kind(_shards, _damage_shards, [_PROJECT, _MAP]),
    "gguf": Kind(_gguf, _damage_gguf, [_PROJECT, _MAP, _TEXT]),
    "inputs": Kind(_inputs, _damage_inputs, _FITTED),
    "factors": Kind(_factors, _damage_factors, [(*_MAP, *_GIVEN), ("simulate", _ANSWER, *_GIVEN, "-q")]),
    "structures": Kind(
        _structures, _damage_structures, [(*_MAP, "--structure", "chosen:c.json"), (*_CHOOSE, "--losses", "c.json")]
    ),
    "choose": Kind(make_bert, _weights, [_CHOOSE]),
    "choose-llama": Kind(_llama, _weights, [_CHOOSE]),
    "config-choose": Kind(_llama, _damage_json("config"), [_CHOOSE]),
    "tokenizer": Kind(make_bert, _damage_json("tokenizer"), [_TEXT]),
    "config": Kind(make_bert, _damage_json("config"), [_PROJECT, _MAP, _TEXT, ACCURACY]),
    "quantised": Kind(_quantised, _damage_quantised, [_PROJECT, _MAP, _TEXT]),
    "config-gemma": Kind(_published("gemma3-scaled"), _damage_json("config"), [_TEXT, ACCURACY]),
    "config-phi": Kind(_published("phi3-longrope"), _damage_json("config"), [_TEXT, ACCURACY]),
    "experts": Kind(_published("mixtral"), _weights, [_TEXT, ACCURACY]),
    "config-experts": Kind(_published("qwen3_moe"), _damage_json("config"), [ACCURACY]),
    "config-llama": Kind(_llama, _damage_json("config"), [_TEXT, ACCURACY]),
}
