"""How tokens choose experts, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from fuzz.damage import damage_json
from fuzz.kind import Kind
from makers.builders import linears, step, with_experts

_MIXTURE = linears(with_experts(step("m", *[(8, 4)] * 3), of=[0, 1, 2], chosen=2))
_MAP = ("--hw", "paper256", "--model", "mixture.json", "--routing", "routing.json", "--out", "out", "-q")


def _make(folder: Path) -> None:
    (folder / "mixture.json").write_text(json.dumps(_MIXTURE))
    routing = {"counts": [[5, 3, 2]], "pairs": [[[0, 1, 3], [2, 0, 2]]]}
    (folder / "routing.json").write_text(json.dumps(routing))


def _damage(rng: Random, folder: Path) -> None:
    damage_json(rng, folder / "routing.json")


KINDS = {
    "routing": Kind(
        _make, _damage, [(*_MAP, "--strategy", "greedy-top2"), (*_MAP, "--strategy", "optimal", "--simulate", "all")]
    )
}
