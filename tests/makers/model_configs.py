"""Configs of models as tests change them, and what is said of bad ones."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from cimsolve.errors import InputError
from cimsolve.files.library import resolve_model
from cimsolve.model.families import parse_model
from cimsolve.model.load import load_model
from cimsolve.model.model import Model

DELETE = object()


@cache
def shipped(name: str, tokens: int | None = None) -> Model:
    return load_model(resolve_model(name), tokens)


def config_of(name: str, **changes: Any) -> dict[str, Any]:
    """A shipped config with keys changed; DELETE removes one."""
    config: dict[str, Any] = json.loads(resolve_model(name).read_text())
    for key, value in changes.items():
        if value is DELETE:
            del config[key]
        else:
            config[key] = value
    return config


def parse(config: object, tokens: int | None = None) -> Model:
    return parse_model(config, "config.json", "test", tokens)


def refusal(config: object, tokens: int | None = None) -> str:
    with pytest.raises(InputError) as caught:
        parse(config, tokens)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message
