"""Studies, and what sweeps and measurements of accuracy keep."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from fuzz.damage import damage_json
from fuzz.kind import Kind, run
from fuzz.kinds import specs, weights

_SWEEP = ("sweep", "study.json", "--jobs", "1", "--cache", "cache", "--out", "out", "-q")


def _study(folder: Path) -> None:
    specs.make(folder)
    asked = {"format": "cimsolve-study/1", "model": "tiny.json", "hw": "paper256", "strategy": "spread"}
    (folder / "study.json").write_text(json.dumps({**asked, "vary": {"adc.per_array": [2, 4], "seed": [0]}}))


def _kept(folder: Path) -> None:
    _study(folder)
    run(*_SWEEP[:-3])


def _kept_accuracy(folder: Path) -> None:
    weights.make_bert(folder)
    run(*weights.ACCURACY[:-2])


def _damage_study(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "study.json")


def _damage_kept(rng: Random, folder: Path) -> None:
    damage_json(rng, rng.choice(sorted((folder / "cache").glob("*.json"))))


KINDS = {
    "study": Kind(_study, _damage_study, [_SWEEP, (*_SWEEP, "--json")]),
    "kept": Kind(_kept, _damage_kept, [_SWEEP, (*_SWEEP, "--json")]),
    "kept-accuracy": Kind(_kept_accuracy, _damage_kept, [weights.ACCURACY, weights.ACCURACY[:-1]]),
}
