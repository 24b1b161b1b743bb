"""Hardware specs and models of listed linears."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from random import Random

from fuzz.damage import damage_json, damage_value, json_text
from fuzz.kind import Kind
from makers.hardware_specs import spec
from makers.tiny_runs import TINY

MAP = ("--hw", "chip.json", "--model", "tiny.json", "--strategy", "spread", "--out", "out")

CHIP_COMMANDS = [("hw", "check", "chip.json"), (*MAP, "-q"), (*MAP, "--json")]


def make(folder: Path) -> None:
    """A chip and a model."""
    (folder / "tiny.json").write_text(json.dumps(TINY))
    (folder / "chip.json").write_text(json.dumps(spec("paper256")))


def make_far(folder: Path, base: str) -> None:
    """A chip with cores on a network, and a model."""
    make(folder)
    (folder / "chip.json").write_text(json.dumps(spec(base)))


def _damage_chip(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "chip.json")


def _damage_far(rng: Random, folder: Path) -> None:
    """Damage what makes distance, which is a small part of the file."""
    chip = folder / "chip.json"
    whole = json.loads(chip.read_text())
    damaged = damage_value(rng, {key: whole.pop(key) for key in ("core", "network")})
    chip.write_text(json_text({**whole, **damaged} if isinstance(damaged, dict) else damaged))


def _damage_linears(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "tiny.json")


KINDS = {
    "hardware": Kind(make, _damage_chip, CHIP_COMMANDS),
    "mesh": Kind(partial(make_far, base="rram256-mesh"), _damage_far, CHIP_COMMANDS),
    "tree": Kind(partial(make_far, base="neurram48"), _damage_far, CHIP_COMMANDS),
    "linears": Kind(make, _damage_linears, [(*MAP, "-q"), (*MAP, "--json"), (*MAP, "--simulate", "none", "-v")]),
}
