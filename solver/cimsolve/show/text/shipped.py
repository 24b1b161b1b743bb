"""The report of `cimsolve list`: what is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimsolve.chip.converters import CONVERTER_MODELS, OWN_TABLE
from cimsolve.problem.objective import EXAMPLE, OBJECTIVES
from cimsolve.show.text.console import heading, indented, labelled
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import millions
from cimsolve.solve.names import STRATEGY_LINES


def print_shipped(catalogue: Mapping[str, Any]) -> None:
    """Models, with the arrays that they take dense on the default chip, specs, strategies and objectives."""
    heading("Models (--model)", first=True)
    rows = [
        [
            model["name"],
            model["family"],
            model["linears"],
            millions(model["weights"]),
            millions(model["weights_a_token"]),
            model["arrays"],
            model["tokens"],
        ]
        for model in catalogue["models"]
    ]
    titles = ("name", "family", "linears", "weights", "a token", "arrays", "tokens")
    print_sheet(Sheet([Column(title) for title in titles], rows), text_columns=2)
    indented(f"a token: weights that one fires; arrays: dense, in tiles, on {catalogue['arrays_of']}")
    heading("Hardware specs (--hw)")
    labelled(list(catalogue["hardware"].items()))
    heading("Converter models (--converter)")
    labelled([(OWN_TABLE, "the spec's own"), *((name, each.origin) for name, each in CONVERTER_MODELS.items())])
    heading("Strategies (--strategy)")
    labelled(list(STRATEGY_LINES.items()))
    heading("Objectives (--objective)")
    indented(f"{', '.join(OBJECTIVES)}; or weighted sums of multiples of their bounds, such as {EXAMPLE}")
