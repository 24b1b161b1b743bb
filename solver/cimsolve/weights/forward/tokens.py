"""From a text to the token numbers that a model reads, by the `tokenizers` library."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import one_line, shown_value, told

SAMPLE = Path(__file__).with_name("sample.txt")
"""A text that comes with cimsolve: short paragraphs on many subjects, written for it."""

TEXT_BYTES_MAX = 2**26
PIECE_TOKENS = 256
"""Longer paragraphs are cut into sequences of this many tokens."""


class Tokenizer:
    """Cuts paragraphs into sequences of token numbers, with the special tokens that the model was trained on."""

    def __init__(self, encoder: Any, piece: int, origin: Path) -> None:
        """`encoder` is a `tokenizers.Tokenizer` read from `origin`; `piece` the most tokens of a sequence."""
        self._encoder, self._origin = encoder, origin
        encoder.no_padding()
        encoder.enable_truncation(max_length=piece)

    def sequences(self, paragraphs: list[str], most: int) -> list[Ints]:
        """Sequences of the first `paragraphs`, at most `most` tokens of them; all whole, but for one that is alone.

        Raises InputError where the tokenizer has no number for a part of the text.
        """
        found: list[Ints] = []
        left = most
        for paragraph in paragraphs:
            try:
                encoding = self._encoder.encode(paragraph)
            except Exception as error:  # the library raises nothing narrower
                raise InputError(
                    f"{self._origin}: its tokenizer cannot cut the text: {told(error)}; check it"
                ) from None
            for part in (encoding, *encoding.overflowing):
                if len(part.ids) > left and found:
                    return found
                ids = np.array(part.ids[:left], dtype=np.int64)
                left -= len(ids)
                if len(ids):
                    found.append(ids)
        return found


def load_tokenizer(folder: Path, context: int) -> Tokenizer:
    """The tokenizer of a model folder: its tokenizer.json. Raises InputError where there is none, or no library."""
    file = folder / "tokenizer.json"
    if not os.path.isfile(file):
        raise InputError(
            f"{folder}: no tokenizer.json in it, which reading a text needs; add it, or give `project` --inputs FILE"
        )
    library = _library()
    try:
        return Tokenizer(library.Tokenizer.from_file(str(file)), min(context, PIECE_TOKENS), file)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{file}: is no tokenizer that can be read: {told(error)}; fetch it anew") from None


def byte_pair_tokenizer(vocabulary: Mapping[str, Any], context: int, origin: Path) -> Tokenizer:
    """The tokenizer that a GGUF file holds as keys `tokenizer.ggml.*`.

    Raises InputError for a kind that is not known: byte pairs as of GPT-2 and as of SmolLM are.
    """
    library = _library()
    kind, split = vocabulary.get("model"), vocabulary.get("pre", "default")
    if kind != "gpt2" or split not in ("default", "gpt-2", "smollm"):
        raise InputError(
            f"{origin}: its tokenizer is {shown_value(kind)}, {shown_value(split)}; "
            "expected gpt2 with default, gpt-2 or smollm; put the model's tokenizer.json beside it"
        )
    try:
        tokens, merges = list(vocabulary["tokens"]), [tuple(each.split(" ")) for each in vocabulary["merges"]]
        encoder = library.Tokenizer(
            library.models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)
        )
    except Exception as error:  # the library raises nothing narrower
        raise InputError(
            f"{origin}: tokens and merges of its tokenizer cannot be read: {told(error)}; fetch it anew"
        ) from None
    letters = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [library.pre_tokenizers.Digits(individual_digits=True)] if split == "smollm" else []
    encoder.pre_tokenizer = library.pre_tokenizers.Sequence([*digits, letters])
    encoder.decoder = library.decoders.ByteLevel()
    return Tokenizer(encoder, min(context, PIECE_TOKENS), origin)


def read_paragraphs(path: Path) -> list[str]:
    """The paragraphs of a UTF-8 text: what stands between empty lines, on one line each.

    Raises InputError for a file that cannot be read, is no text, too large or empty.
    """
    shown = one_line(str(path))
    try:
        if path.stat().st_size > TEXT_BYTES_MAX:
            raise InputError(f"{shown}: more than {TEXT_BYTES_MAX} bytes; expected a shorter text, cut it")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: byte {error.start} is not UTF-8; expected a plain text") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be read ({error.strerror or error}); check the path") from None
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    found = [paragraph for paragraph in paragraphs if paragraph]
    if not found:
        raise InputError(f"{shown}: holds no text; expected paragraphs with empty lines between them")
    return found


def _library() -> Any:
    try:
        return import_module("tokenizers")
    except ImportError:
        raise InputError(
            "reading a text needs the tokenizers library: pip install 'cimsolve[text]', or give `project` --inputs FILE"
        ) from None
