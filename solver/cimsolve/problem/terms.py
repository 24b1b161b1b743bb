"""The terms of a question: how it is limited. The command line loads them, so they load at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem

Cut = Literal["none", "columns", "both"]
CUTS: tuple[Cut, ...] = get_args(Cut)

Count = Annotated[int, Field(ge=1, le=10**9)]
Limit = Annotated[float, Field(gt=0)]
NUMBER = r"[0-9]{1,12}(\.[0-9]{1,12})?(e-?[0-9]{1,2})?"
PAIR = rf"[0-9]{{1,6}}-[0-9]{{1,6}}={NUMBER}"
EXPONENT = r"[0-9]{1,2}(\.[0-9]{1,12})?"
"""Below 100: beyond, the rarest experts would have shares that are no numbers."""
ROUTING = rf"zipf:{EXPONENT}:[0-9]{{1,9}}|counts:{NUMBER}([,;]{NUMBER})*(\|({PAIR})?([,;]({PAIR})?)*)?"
"""How tokens choose experts, as a term says it; `problem/routing.py` reads it."""
ROUTING_MAX = 2**23
"""Most characters of it."""
OF_MODEL = ("tokens", "source_tokens")
"""Terms that the model is loaded for, in the order in which it takes them."""


def is_absent(value: object) -> bool:
    """Whether a field says nothing: such fields are left out of files, which were written before there were any."""
    return value is None


class Terms(BaseModel):
    """The terms of a question, by their names in files, in studies and in Python.

    A new field is obeyed where it acts; files, studies, `difference`, options and file names follow from this list.
    What a metric may be at most is `max_` and the name of the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    cut: Cut = Field(
        "columns",
        description="what `optimal` may cut beyond what it must: none, columns or both",
        json_schema_extra={"metavar": "WHAT", "in_name": "cut-{}"},
    )
    max_arrays: Count | None = Field(
        None, description="use no more arrays than this", json_schema_extra={"metavar": "N", "in_name": "max{}"}
    )
    tokens: Count | None = Field(
        None,
        description="context and prefill length (default: the model's, at most 512)",
        json_schema_extra={"metavar": "N", "in_name": "tokens{}"},
    )
    source_tokens: Count | None = Field(
        None,
        description="tokens of the source of an encoder-decoder (default: as --tokens; of Whisper all its positions)",
        json_schema_extra={"metavar": "N", "in_name": "source{}"},
        exclude_if=is_absent,
    )
    max_latency_ns: Limit | None = Field(
        None,
        description="a token takes no longer than this; a number in ns, or 60us",
        json_schema_extra={"metavar": "NS", "in_name": "latency{}ns"},
    )
    max_energy_pj: Limit | None = Field(
        None,
        description="a token takes no more energy than this; a number in pJ, or 12uJ",
        json_schema_extra={"metavar": "PJ", "in_name": "energy{}pJ"},
    )

    routing: Annotated[str, Field(pattern=rf"^({ROUTING})$", max_length=ROUTING_MAX)] | None = Field(
        None,
        description="how tokens choose experts, for means: zipf:S:SEED, drawn, or a JSON file with a list of each "
        "choice's counts, and of pairs chosen together (default: all alike)",
        json_schema_extra={"metavar": "HOW", "in_name": "routing-{}"},
        exclude_if=is_absent,
    )

    cut_steps: Count | None = Field(
        None,
        description="cut steps of more stored weights than this into parts, each with some of the outputs",
        json_schema_extra={"metavar": "N", "in_name": "cutsteps{}"},
        exclude_if=is_absent,
    )

    steps: Annotated[str, Field(pattern=r"^[0-9]{1,6}:[0-9]{1,6}$")] | None = Field(
        None,
        description="map a part of the model, its steps from FIRST to before END, as if the others were done elsewhere",
        json_schema_extra={"metavar": "FIRST:END", "in_name": "steps{}"},
        exclude_if=is_absent,
    )

    @classmethod
    def of(cls, terms: Mapping[str, Any], origin: str = "the question") -> Self:
        """The terms of these names and values. Raises InputError in the name of `origin` for others."""
        try:
            return cls.model_validate(terms)
        except ValidationError as error:
            raise InputError(first_problem(error, origin, cls)) from None
