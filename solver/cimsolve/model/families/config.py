"""A family's keys of a config.json, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem
from cimsolve.files.text import shown_value
from cimsolve.model.families.keys import Keys

TOKENS_DEFAULT_MAX = 512
TOKENS_MAX = 2**24

Width = Annotated[int, Field(strict=True, ge=1, le=2**20)]
Count = Annotated[int, Field(strict=True, ge=1, le=4096)]
Context = Annotated[int, Field(strict=True, ge=1, le=2**30)]


class Config(BaseModel):
    """The keys of a config.json that a family reads; `keys` says what becomes of the many others."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
    keys: ClassVar[Keys] = Keys()


ConfigT = TypeVar("ConfigT", bound=Config)


def file_key(config: type[Config], field: str) -> str:
    """The key in the file of a field of a Config: the first, where several are taken."""
    return keys_of(config, field)[0]


def keys_of(config: type[Config], field: str) -> tuple[str, ...]:
    """All keys in the file that a field of a Config is read from."""
    alias = config.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias if isinstance(alias, str) else field,)


def read_config(kind: type[ConfigT], config: Mapping[str, Any], origin: str) -> ConfigT:
    """Validate `config`; raises InputError with one line on the first key that is wrong."""
    for field in kind.model_fields:
        given = [key for key in keys_of(kind, field) if key in config]
        if any(config[key] != config[given[0]] for key in given[1:]):
            raise InputError(
                f"{origin}: {' and '.join(given)} say the same of a {config.get('model_type')}, and differ: "
                f"{', '.join(shown_value(config[key]) for key in given)}; expected one of them"
            )
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        raise InputError(first_problem(error, origin)) from None


def check_heads(origin: str, width: int, heads: int, key: str, width_key: str = "hidden_size") -> int:
    """Width of one attention head; raises InputError where the heads do not divide the width."""
    if width % heads:
        raise InputError(f"{origin}: {key}: {heads} does not divide {width_key} = {width}; expected a divisor of it")
    return width // heads


def context_tokens(origin: str, tokens: int | None, context: int) -> int:
    """The number of tokens asked for, or the model's context up to 512."""
    return demand_tokens("--tokens", origin, min(context, TOKENS_DEFAULT_MAX) if tokens is None else tokens, context)


def demand_tokens(flag: str, origin: str, tokens: int, context: int) -> int:
    """`tokens`, where a model with such a context has so many. Raises InputError in the name of `flag`."""
    if not 1 <= tokens <= TOKENS_MAX:
        raise InputError(f"{flag}: {tokens}: expected a whole number from 1 to {TOKENS_MAX}")
    if tokens > context:
        raise InputError(f"{flag}: {tokens} is more than the model's context of {context} ({origin})")
    return tokens
