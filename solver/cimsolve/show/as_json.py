"""Results as plain data, for programs that read stdout."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel


def as_json(value: Any) -> Any:
    """`value` as JSON has it: records as objects by the names of their fields, numbers that are not finite as null.

    A path, and a record that has a text of its own, is its text.
    """
    if isinstance(value, Mapping | BaseModel):
        return {key: as_json(each) for key, each in dict(value).items()}
    if dataclasses.is_dataclass(value):
        if type(value).__str__ is not object.__str__:
            return str(value)
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, PurePath) else value


def picked(record: object, *names: str) -> dict[str, Any]:
    """These fields and properties of a record, by their names."""
    return {name: getattr(record, name) for name in names}
