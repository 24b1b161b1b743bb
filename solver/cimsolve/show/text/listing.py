"""The report of `cimsolve list`."""

from __future__ import annotations

from collections.abc import Sequence

from cimsolve.chip.converters import CONVERTER_MODELS, OWN_TABLE
from cimsolve.chip.spec import Hardware
from cimsolve.model.model import Model
from cimsolve.problem.objective import EXAMPLE, OBJECTIVES
from cimsolve.show.text.console import heading, indented, labelled, results, table
from cimsolve.show.text.question import describe_arrays, describe_converters
from cimsolve.show.units import millions
from cimsolve.solve import STRATEGIES

STRATEGY_LINES = {
    "linear": "dense weights, tiles of the array's size, one a tile: the baseline",
    "sparsemap": "one factor's blocks on the diagonal of its arrays, fired together: fast, many arrays",
    "densemap": "arrays filled with rotated diagonals of one block shape: few arrays, slow",
    "spread": "densest packing of whole blocks, each stage's blocks dealt over all arrays",
    "optimal": "the solver: placement and schedule as one problem, with a proof or a gap",
}


def print_shipped(models: Sequence[Model], hardware: Sequence[Hardware]) -> None:
    """Models, specs, strategies and objectives."""
    console = results()
    heading(console, "Models (--model)", first=True)
    rows = [
        [
            model.name,
            model.family,
            str(len(model.linears)),
            millions(model.weight_count),
            str(len(model.tails)),
            str(model.tokens),
        ]
        for model in models
    ]
    console.print(table(["name", "family", "linears", "weights", "passes", "tokens"], rows, text_columns=2))
    heading(console, "Hardware specs (--hw)")
    labelled(
        console,
        [(spec.name, f"{describe_arrays(spec)}; {describe_converters(spec)}") for spec in hardware],
    )
    heading(console, "Converter models (--converter)")
    labelled(
        console, [(OWN_TABLE, "the spec's own"), *((name, each.origin) for name, each in CONVERTER_MODELS.items())]
    )
    heading(console, "Strategies (--strategy)")
    labelled(console, [(name, STRATEGY_LINES.get(name, "")) for name in STRATEGIES])
    heading(console, "Objectives (--objective)")
    indented(console, f"{', '.join(OBJECTIVES)}; or weighted sums of multiples of their bounds, such as {EXAMPLE}")
