"""Models in rounds and on chips in a row: the plan, the solutions it names, and what the chip says of writing."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from fuzz.damage import damage_json, damage_value, json_text
from fuzz.kind import Kind, run
from makers.builders import chip
from makers.short_chips import writing
from makers.tiny_configs import BERT

_MAP = ("--hw", "chip.json", "--model", "tiny.json", "--structure", "dense", "--strategy", "spread")
_WAYS = ("rounds", "chips")
_PLANS = [f"s/tiny-dense--rram256--spread-{way}.json" for way in _WAYS]


def _make_chip(folder: Path) -> None:
    (folder / "tiny.json").write_text(json.dumps({**BERT, "num_hidden_layers": 1}))
    (folder / "chip.json").write_text(json.dumps(writing(chip(array__count=16))))


def _make(folder: Path) -> None:
    _make_chip(folder)
    for way in _WAYS:
        run(*_MAP, "--when-short", way, "--out", "s")


def _damage_chip(rng: Random, folder: Path) -> None:
    """Damage what rounds and rows of chips add to a chip, which is a small part of the file."""
    path = folder / "chip.json"
    whole = json.loads(path.read_text())
    damaged = damage_value(rng, {key: whole.pop(key) for key in ("write", "load", "chip_link")})
    path.write_text(json_text({**whole, **damaged} if isinstance(damaged, dict) else {**whole, "write": damaged}))


def _damage_plan(rng: Random, folder: Path) -> None:
    """The plan mostly, else one of the solutions beside it."""
    plans = [folder / name for name in _PLANS]
    others = sorted(set((folder / "s").glob("*.json")) - set(plans))
    damage_json(rng, rng.choice(plans if rng.random() < 0.7 or not others else others))


KINDS = {
    "plan": Kind(
        _make,
        _damage_plan,
        [
            *(("check", name, *more) for name in _PLANS for more in (("-q",), ("--json",))),
            *(("replay", name, "-q") for name in _PLANS),
            *(("simulate", name, "-q", "--vectors", "1") for name in _PLANS),
            *(("report", name, "-q", "--trace", "trace.json") for name in _PLANS),
            *(("explain", name, "-q", "--what-if", "none") for name in _PLANS),
        ],
    ),
    "short chip": Kind(
        _make_chip,
        _damage_chip,
        [(*_MAP, "--when-short", way, "--out", "out", *more) for way in _WAYS for more in (("-q",), ("--json",))],
    ),
}
