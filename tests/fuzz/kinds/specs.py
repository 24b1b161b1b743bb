"""Hardware specs and models of listed linears."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from fuzz.damage import damage_json
from fuzz.kind import Kind
from makers.hardware_specs import spec
from makers.tiny_runs import TINY

MAP = ("--hw", "chip.json", "--model", "tiny.json", "--strategy", "spread", "--out", "out")


def make(folder: Path) -> None:
    """A chip and a model."""
    (folder / "tiny.json").write_text(json.dumps(TINY))
    (folder / "chip.json").write_text(json.dumps(spec("paper256")))


def _damage_chip(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "chip.json")


def _damage_linears(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "tiny.json")


KINDS = {
    "hardware": Kind(make, _damage_chip, [("hw", "check", "chip.json"), (*MAP, "-q"), (*MAP, "--json")]),
    "linears": Kind(make, _damage_linears, [(*MAP, "-q"), (*MAP, "--json"), (*MAP, "--simulate", "none", "-v")]),
}
