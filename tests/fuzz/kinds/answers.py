"""Solution files with their tables inline, and beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from random import Random

import numpy as np

from cimsolve.files.table_file import write_columns
from fuzz.damage import damage_bytes, damage_json, damage_value, json_text
from fuzz.kind import Kind, run
from fuzz.kinds import specs

_FILE = "s/tiny--paper256--spread.json"
_COMMANDS = [
    ("check", _FILE),
    ("check", _FILE, "--json"),
    ("simulate", _FILE, "-q"),
    ("replay", _FILE),
    ("explain", _FILE, "-q"),
    ("report", _FILE, "--trace", "t.json", "-q"),
    ("compare", _FILE, _FILE),
    ("--hw", "chip.json", "--model", "tiny.json", "--strategy", "optimal", "--start", _FILE, "--out", "out", "-q"),
]


def _make(folder: Path) -> None:
    specs.make(folder)
    run("--hw", "paper256", "--model", "tiny.json", "--strategy", "spread", "--out", "s")


def _make_beside(folder: Path) -> None:
    """As for large models: the tables in a file of their own."""
    _make(folder)
    path = folder / _FILE
    header = json.loads(path.read_text())
    tables = {name: header.pop(name) for name in ("pieces", "activations")}
    columns = {f"{name}.{key}": np.array(each) for name, table in tables.items() for key, each in table.items()}
    digest = write_columns(path.with_suffix(".npz"), columns)
    path.write_text(json.dumps({**header, "tables": {"file": path.with_suffix(".npz").name, "sha256": digest}}))


def _damage(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / _FILE)


def _damage_beside(rng: Random, folder: Path) -> None:
    """The tables, mostly with the digest that they then have, or the header that names them."""
    path = folder / _FILE
    header = json.loads(path.read_text())
    tables = path.with_suffix(".npz")
    tables.write_bytes(damage_bytes(rng, tables.read_bytes()))
    if rng.random() < 0.8:
        header["tables"]["sha256"] = hashlib.sha256(tables.read_bytes()).hexdigest()
    if rng.random() < 0.2:
        header["tables"] = damage_value(rng, header["tables"])
    path.write_text(json_text(header))


KINDS = {
    "solution": Kind(_make, _damage, _COMMANDS),
    "table": Kind(_make_beside, _damage_beside, _COMMANDS),
}
