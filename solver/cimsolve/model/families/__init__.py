"""The model families, by the `model_type` of their config; one file a family of equal dataflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from cimsolve.errors import InputError
from cimsolve.files.kinds import MODEL, demand_kind
from cimsolve.files.text import NAME_SHOWN_MAX, shown_name
from cimsolve.model.families import bart, bert, gpt2, linears, llama, modernbert
from cimsolve.model.families.layers import Family
from cimsolve.model.families.sizes import keys_of
from cimsolve.model.model import Model

FAMILIES: Mapping[str, Family] = {
    **bert.FAMILIES,
    **modernbert.FAMILIES,
    **gpt2.FAMILIES,
    "bart": Family(bart.build, bart.BartConfig),
    **llama.FAMILIES,
    "linears": Family(linears.build, linears.LinearsConfig),
}
NOT_BUILT = {
    "albert": "its layers share their weights, which a token fires once a layer, and here a token fires a matrix once",
}
"""Families that no Model can be of, and why."""
LIST_THEM = (
    'any other model is listed matrix by matrix: {"model_type": "linears", "steps": [{"name": "up", "linears": '
    '[{"name": "up.w", "n_in": 64, "n_out": 256}]}, ...]} (docs/file-formats.md)'
)


def parse_model(config: object, origin: str, name: str, tokens: int | None = None) -> Model:
    """Build the model that a parsed config describes; `origin` names it in errors."""
    demand_kind(config, MODEL, origin)
    if not isinstance(config, dict):
        raise InputError(f"{origin}: expected a JSON object with the model's config, got {type(config).__name__}")
    if not name or not name.isprintable() or len(name) > NAME_SHOWN_MAX:
        raise InputError(
            f"{origin}: the model's name is '{shown_name(name)}'; expected 1 to {NAME_SHOWN_MAX} visible signs on one "
            "line; a model is called by its file or folder, rename that"
        )
    asked = config.get("model_type")
    known = f"expected one of {', '.join(FAMILIES)}; {LIST_THEM}"
    if not isinstance(asked, str):
        raise InputError(f"{origin}: model_type: missing or not a string; {known}")
    if asked in NOT_BUILT:
        raise InputError(f"{origin}: model_type: {asked} cannot be mapped: {NOT_BUILT[asked]}; {known}")
    if asked not in FAMILIES:
        # A family of a name that only looks alike is another model.
        near = [f" (did you mean {family!r}?)" for family in FAMILIES if _plain(family) == _plain(asked)]
        raise InputError(f"{origin}: model_type: '{shown_name(asked)}'{''.join(near)}: {known}")
    family = FAMILIES[asked]
    read = frozenset(key for field in family.config.model_fields for key in keys_of(family.config, field))
    family.config.keys.demand_known(config, read, origin)
    model = family.build(config, origin, name, tokens)
    return replace(model, unknown_keys=family.config.keys.unknown(config, read))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
