"""The reports of `cimsolve list` and `cimsolve project`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from cimsolve.converters import CONVERTER_MODELS, OWN_TABLE
from cimsolve.hardware import Hardware
from cimsolve.model import Model
from cimsolve.projection import ProjectionRow
from cimsolve.report.console import heading, indented, labelled, results, table
from cimsolve.report.question import describe_arrays, describe_converters, kind_of
from cimsolve.report.units import millions, number
from cimsolve.strategies import OBJECTIVES, STRATEGIES

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
    indented(console, ", ".join(OBJECTIVES))


def print_projection(name: str, rows: Sequence[ProjectionRow], verbosity: int) -> None:
    """Relative error of each linear beside that of low-rank of equal size, then the means by kind."""
    console = results()
    columns = ["linear", "in x out", "k,l,T", "fewer\nweights", "error", "low-rank\nrank", "low-rank\nerror"]
    if verbosity >= 0:
        prefix = common_prefix([row.linear for row in rows])
        heading(console, f"{name}: relative error of the weights, ||W - M|| / ||W|| (Frobenius)", first=True)
        columns[0] = f"linear\n{prefix}..." if prefix else columns[0]
        cells = [_projection_cells(row.linear.removeprefix(prefix), row) for row in rows]
        console.print(table(columns, cells, tight=True))
    heading(console, f"{name}: plain means by kind", first=verbosity < 0)
    kinds: dict[str, list[ProjectionRow]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row.linear), []).append(row)
    means = [[kind, str(len(members)), *_means(members)] for kind, members in kinds.items()]
    means.append(["all", str(len(rows)), *_means(rows)])
    console.print(table(["kind", "linears", "error", "low-rank\nerror"], means))


def common_prefix(names: Sequence[str]) -> str:
    """What all names begin with, whole parts between dots; nothing for a single name."""
    parts = [name.split(".")[:-1] for name in names] if len(names) > 1 else []
    common = takewhile(lambda heads: len(set(heads)) == 1, zip(*parts, strict=False))
    return "".join(f"{heads[0]}." for heads in common)


def _projection_cells(name: str, row: ProjectionRow) -> list[str]:
    baseline = ["-", "-"]
    if row.lowrank_rank is not None and row.lowrank_error is not None:
        baseline = [str(row.lowrank_rank), f"{row.lowrank_error:.4f}"]
    return [
        name,
        f"{row.n_in}x{row.n_out}",
        str(row.structure),
        f"x{number(row.compression)}",
        f"{row.relative_error:.4f}",
        *baseline,
    ]


def _means(rows: Sequence[ProjectionRow]) -> list[str]:
    """Mean error, and mean low-rank error of those that have one."""
    baselines = [row.lowrank_error for row in rows if row.lowrank_error is not None]
    return [
        f"{sum(row.relative_error for row in rows) / len(rows):.4f}",
        f"{sum(baselines) / len(baselines):.4f}" if baselines else "-",
    ]
