"""Damage to files: bytes, JSON values and JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

_RAW = "@raw{}@"
_RAW_TEXTS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "0.0", "9" * 5000, "1e-400"),
    *("[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, '{"a": 1, "a": 2}', "nul", '"\\ud800"', "'a'", ""),
)
"""What no Python value is written as."""

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 255, 2**20, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30),
    *(0.5, -0.5, 1e-320, 1e308, -1e308, math.pi),
    *("", " ", "0", "1", "nan", "none", "auto", "x" * 300, "x" * 100_000, "\x1b[31mred\x1b[0m", "\x9b31m", "a\nb"),
    *("\u202egnirts", "\u200b", "\x00", "\x7f", "\ufeff", "é", "\u0661", "漢字", "../../etc/passwd", "/dev/zero", "."),
    *([], {}, [None], [0] * 1000, [[]], {"a": {}}, {"": 0}, [1, "a", None, {}], {"\x1b[31m": 1}),
    *(_RAW.format(number) for number in range(len(_RAW_TEXTS))),
)


def damage_bytes(rng: Random, data: bytes) -> bytes:
    """`data` with some bytes flipped, cut, repeated, zeroed, inserted or set to extremes."""
    if not data:
        return rng.randbytes(rng.choice([1, 8, 100]))
    at = rng.randrange(len(data))
    size = min(rng.choice([1, 2, 4, 8, 64]), len(data) - at)
    extreme = rng.choice([b"\x00", b"\xff", b"\x7f", b"\x80"]) * size
    return rng.choice(
        [
            lambda: data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
            lambda: data[:at] + rng.randbytes(size) + data[at + size :],
            lambda: data[:at] + extreme + data[at + size :],
            lambda: data[:at],
            lambda: data[: rng.randrange(min(64, len(data)))],
            lambda: data[:at] + data[at + size :],
            lambda: data[:at] + rng.randbytes(size) + data[at:],
            lambda: data[: at + size] + data[at:],
            lambda: data + rng.randbytes(size),
            lambda: rng.choice([b"", b"\n", b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04"]) + data,
            lambda: b"",
        ]
    )()


def damage_value(rng: Random, value: Any, hostile: tuple[Any, ...] = HOSTILE) -> Any:
    """`value` with one of its parts replaced, left out, moved, repeated or renamed."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return _worse(rng, value, hostile)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    what = rng.random()
    if isinstance(value, list):
        if what < 0.7:
            return [*value[:key], damage_value(rng, value[key], hostile), *value[key + 1 :]]
        return [*value[:key], *rng.choice([[], [value[key]] * 2, [rng.choice(hostile), value[key]]]), *value[key + 1 :]]
    rest = {name: each for name, each in value.items() if name != key}
    if what < 0.8:
        return {**value, key: damage_value(rng, value[key], hostile)}
    if what < 0.88:
        return rest
    names = [each for each in hostile if isinstance(each, str)]
    if what < 0.94:
        return {**value, rng.choice(names): value[key]}
    return {(rng.choice(names) if name == key else name): each for name, each in value.items()}


def _worse(rng: Random, value: Any, hostile: tuple[Any, ...]) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        steps: list[Callable[[Any], Any]] = [lambda v: -v, lambda v: v + 1, lambda v: v * 1000, lambda v: v / 3, str]
        return rng.choice(steps)(value)
    return rng.choice(hostile)


def json_text(value: Any) -> str:
    """`value` as JSON, hostile numbers and texts put in as they are."""
    text = json.dumps(value)
    for number, raw in enumerate(_RAW_TEXTS):
        text = text.replace(json.dumps(_RAW.format(number)), raw)
    return text


def damage_json_text(rng: Random, text: str) -> bytes:
    """JSON with one or two parts damaged; now and then its bytes instead."""
    if rng.random() < 0.15:
        return damage_bytes(rng, text.encode())
    value = json.loads(text)
    for _ in range(rng.choice([1, 1, 1, 2])):
        value = damage_value(rng, value)
    return json_text(value).encode()


def damage_json(rng: Random, path: Path) -> None:
    """Damage a JSON file."""
    path.write_bytes(damage_json_text(rng, path.read_text()))
