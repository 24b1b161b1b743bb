"""A model by name or path, and how its linears are stored as a user says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from cimsolve.errors import InputError
from cimsolve.files.json_file import read_json
from cimsolve.files.kinds import kind_of_weights
from cimsolve.files.library import resolve_model
from cimsolve.files.text import shown_name
from cimsolve.model.chosen import read_structures
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure, StructurePolicy

CONFIG_BYTES_MAX = 16 * 2**20
WEIGHTS_ADVICE = (
    "expected its config.json, or the folder that holds config.json with the weights as *.safetensors or *.gguf beside "
    "it; a model without one is listed matrix by matrix as model_type linears"
)

Structures: TypeAlias = str | Sequence[str] | Mapping[str, Structure]
"""How linears are stored: texts as of `--structure` (`sqrt`, `*.query=dense`), or name -> structure."""

CHOSEN = "chosen:"
"""Before the name of a file of structures, in a text that is for all linears."""


def load_model(
    path_or_name: Path | str,
    tokens: int | None = None,
    source_tokens: int | None = None,
    *,
    dims: Mapping[str, int] | None = None,
    digital: Sequence[str] = (),
) -> Model:
    """A model by shipped name, `config.json`, folder with one, or ONNX graph; raises InputError for anything else.

    `tokens` is the context and the length of a prefill; by default the model's context, at most 512. `source_tokens`
    are those of the source of an encoder-decoder; by default as many, of Whisper all positions of its encoder. Of an
    ONNX graph `dims` are the sizes of its symbolic dimensions, and `digital` patterns of nodes to count as digital
    work.
    """
    path = resolve_model(str(path_or_name))
    if path.suffix.lower() == ".onnx":
        return _load_graph(path, tokens, source_tokens, dims or {}, digital)
    if dims or digital:
        raise InputError(
            f"{'--dim' if dims else '--digital'}: {shown_name(str(path))} is a config; expected a graph, FILE.onnx"
        )
    if kind := kind_of_weights(path):
        raise InputError(f"{shown_name(str(path))}: this is {kind}, no model config; {WEIGHTS_ADVICE}")
    name = _folder_name(path.parent) if path.name == "config.json" else path.stem
    return parse_model(read_json(path, CONFIG_BYTES_MAX), shown_name(str(path)), name, tokens, source_tokens)


def _load_graph(
    path: Path, tokens: int | None, source_tokens: int | None, dims: Mapping[str, int], digital: Sequence[str]
) -> Model:
    shown = shown_name(str(path))
    try:
        from cimsolve.model.onnx import read_onnx
    except ImportError:
        raise InputError(f"{shown}: ONNX needs the onnx library: pip install 'cimsolve[onnx]'") from None
    name = path.stem if path.stem != "model" else _folder_name(path.parent)
    return parse_model(read_onnx(path, shown, tokens, dims, digital), shown, name, tokens, source_tokens)


def _folder_name(folder: Path) -> str:
    """The folder's own name, also where it was given as the place that the user is in."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def resolve_structures(model: Model, structure: Structures) -> Mapping[str, Structure]:
    """Linear name -> how it is stored. Raises InputError for texts that cannot be read or do not fit."""
    if isinstance(structure, Mapping):
        return structure
    texts = [structure] if isinstance(structure, str) else list(structure)
    shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
    as_it_is = {linear.name: Structure.dense() for linear in model.linears if linear.groups > 1}
    last = max((number for number, text in enumerate(texts) if text.startswith(CHOSEN)), default=None)
    if last is None:
        return StructurePolicy.parse(texts).resolve(shapes, as_it_is=as_it_is)
    chosen = read_structures(texts[last].removeprefix(CHOSEN), model).structures()
    return StructurePolicy.parse(texts[last + 1 :]).resolve(shapes, chosen, as_it_is)
