"""ONNX graphs as models: read with suspicion, never executed. Loaded where a graph is read: it needs `onnx`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from cimsolve.errors import InputError
from cimsolve.files.text import one_line, shown_name
from cimsolve.model.families.config import TOKENS_DEFAULT_MAX, context_tokens
from cimsolve.model.onnx.graph import dimension_of, read_graph
from cimsolve.model.onnx.steps import Builder


def read_onnx(
    path: Path, origin: str, tokens: int | None, dims: Mapping[str, int], digital: Sequence[str]
) -> dict[str, Any]:
    """The config of model_type `linears` that an ONNX graph comes to, for so many tokens.

    `dims`: sizes of symbolic dimensions; `digital`: patterns of nodes to count as digital work. Raises InputError for a
    file that is no graph, for a node that is not understood, and for a size that is not known.
    """
    length = TOKENS_DEFAULT_MAX if tokens is None else context_tokens(origin, tokens, 2**30)

    def resolve(graph: onnx.GraphProto, held: frozenset[str]) -> Mapping[str, int]:
        return resolve_dims(graph, held, origin, length, dims)

    builder = Builder(read_graph(path, origin, resolve), origin, digital)
    if builder.is_whole and tokens not in (None, 1):
        raise InputError(
            f"--tokens: {tokens}: a pass of {origin} is that of its whole input, as it has convolutions; "
            "expected 1 or no --tokens; give the length of a symbolic axis by --dim NAME=N"
        )
    if tokens not in (None, builder.tokens):
        raise InputError(
            f"--tokens: {tokens}: the matrices of {origin} fire {builder.tokens} times; "
            f"expected {builder.tokens} or no --tokens; a graph with a symbolic length has any"
        )
    source = {"file": shown_name(path.name), "dims": dict(dims), "digital": list(digital)}
    config = builder.config()
    return {
        "model_type": "linears",
        "context": builder.tokens,
        "tokens": builder.tokens,
        **config,
        "onnx": {**source, "found": dict(sorted(builder.found.items()))},
    }


def resolve_dims(
    graph: onnx.GraphProto, held: frozenset[str], origin: str, length: int, dims: Mapping[str, int]
) -> dict[str, int]:
    """The sizes of the symbolic dimensions of a graph's inputs: a batch of 1, a sequence of `length`, and those given.

    The first axis is the batch; a symbol of second axes of inputs with two or three is the sequence, if there is one.
    """
    batches, lengths, others = Counter[str](), Counter[str](), Counter[str]()
    for given in graph.input:
        if given.name in held:
            continue
        rank = len(given.type.tensor_type.shape.dim)
        for axis in range(rank):
            size = dimension_of(given, axis)
            if isinstance(size, str):
                (batches if axis == 0 else lengths if axis == 1 and rank <= 3 else others)[size] += 1
    symbols = {**batches, **lengths, **others}
    for name in dims:
        if name not in symbols:
            known = ", ".join(map(shown_name, symbols)) or "none"
            raise InputError(f"--dim {one_line(name)}: {origin} has no such symbolic dimension; it has: {known}")
    found = dict.fromkeys(batches, 1) | dict(dims)
    open_lengths = [name for name in lengths if name not in found]
    if len(open_lengths) == 1:
        found[open_lengths[0]] = length
    missing = [name for name in symbols if name not in found]
    if missing:
        raise InputError(
            f"{origin}: the size of {', '.join(map(shown_name, missing[:4]))} is not known; "
            f"give it by {' '.join(f'--dim {shown_name(each)}=N' for each in missing[:4])}"
        )
    return found
