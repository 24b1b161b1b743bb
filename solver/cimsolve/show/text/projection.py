"""The report of `cimsolve project`: each linear, then the kinds, beside plain low-rank of equal size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cimsolve.show.text.console import heading, indented, print_table, verbatim
from cimsolve.show.text.question import kind_of
from cimsolve.show.units import common_prefix, millions, number
from cimsolve.weights.projection import OutputErrors, ProjectionRow

SURVIVES = 0.1
"""From this mean error of the outputs on, a model is not to be used before it is fine-tuned."""

_TITLES = {
    "plain": "factors nearest to the weights",
    "whitened": "factors nearest in the outputs, each block for itself",
    "als": "factors nearest in the outputs, by alternating least squares",
    "lowrank": "plain low-rank of equal size",
}


def _held_out(errors: OutputErrors | None) -> float | None:
    return None if errors is None else errors.held_out


ErrorOf = Callable[[ProjectionRow], float | None]
_PLAIN: Mapping[str, ErrorOf] = {
    "error": lambda row: row.relative_error,
    "low-rank\nerror": lambda row: row.lowrank_error,
}
_MEASURED: Mapping[str, ErrorOf] = {
    "weights": lambda row: row.relative_error,
    "fitted": lambda row: None if row.outputs is None else row.outputs.calibration,
    "held\nout": lambda row: _held_out(row.outputs),
    "low-rank\nweights": lambda row: row.lowrank_error,
    "\nheld out": lambda row: _held_out(row.lowrank_outputs),
    "whitened\nheld out": lambda row: _held_out(row.lowrank_whitened),
}
"""Titles of the columns of mean errors; those of the second are there where outputs were measured."""


def print_projection(name: str, method: str, rows: Sequence[ProjectionRow], verbosity: int) -> None:
    """Relative errors of each linear beside those of low-rank of equal size, then the means by kind."""
    measured = any(row.outputs is not None for row in rows)
    if verbosity >= 0:
        prefix = common_prefix([row.linear for row in rows])
        heading(f"{name}: {_TITLES[method]}; relative errors", first=True)
        title = f"linear\n{prefix}..." if prefix else "linear"
        columns = ["in x out", "k,l,T", "fewer\nweights", "error", "low-rank\nrank", "low-rank\nerror"]
        if measured:  # shapes and sizes give way to errors, or the table would not fit 80 characters
            columns = ["k,l,T", "weights", "held\nout", "rank", "lowrank\nweights", "\nheld out", "whitened\nheld out"]
        cells = [[row.linear.removeprefix(prefix), *_cells(row, measured)] for row in rows]
        print_table([title, *columns], cells, tight=True)
    kinds: dict[str, list[ProjectionRow]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row.linear), []).append(row)
    groups = [*kinds.items(), ("all", list(rows))]
    heading(f"{name}: relative errors by kind, plain means over linears", first=verbosity < 0)
    errors = _MEASURED if measured else _PLAIN
    means = [[kind, *(_mean(members, of) for of in errors.values())] for kind, members in groups]
    print_table(["kind", *errors], means, tight=True)
    heading(f"{name}: size by kind")
    sizes = [[kind, *_sizes(members)] for kind, members in groups]
    heads = ["linears", "weights\ndense", "weights\nstored", "fewer\nweights", "FLOPs\na token"]
    print_table(["kind", *heads], sizes)
    for line in _explained(rows, measured):
        indented(line)


def print_written(path: Path) -> None:
    """Where the factors are, and the command that uses them."""
    heading("Written")
    verbatim(str(path))


def _explained(rows: Sequence[ProjectionRow], measured: bool) -> list[str]:
    of_outputs = "; ||X(W - M)|| / ||XW|| of the outputs, on inputs that were fitted and on those held out."
    lines = [f"Errors: ||W - M|| / ||W|| of the weights (Frobenius){of_outputs if measured else '.'}"]
    found = [row.relative_error if row.outputs is None else row.outputs.held_out for row in rows]
    errors = [error for error in found if error is not None]
    mean = sum(errors) / len(errors) if errors else 0.0
    if mean >= SURVIVES:
        lines.append(
            f"With a mean error of {mean:.2f} the model's answers are not to be trusted before the factors have been "
            "fine-tuned; that is not done here."
        )
    better = [row for row in rows if _lowrank_is_better(row)]
    factored = [row for row in rows if row.lowrank_rank is not None]
    if better:
        lines.append(
            f"Low-rank of no more parameters is nearer for {len(better)} of {len(factored)} linears: "
            "--method lowrank keeps it."
        )
    return lines


def _lowrank_is_better(row: ProjectionRow) -> bool:
    if row.structure.k == row.structure.l == 1 or row.lowrank_error is None:
        return False
    theirs, ours = _held_out(row.lowrank_whitened), _held_out(row.outputs)
    if theirs is None or ours is None:
        return row.lowrank_error < row.relative_error
    return theirs < ours


def _cells(row: ProjectionRow, measured: bool) -> list[str]:
    rank, lowrank = "-" if row.lowrank_rank is None else str(row.lowrank_rank), _shown(row.lowrank_error)
    error = _shown(row.relative_error)
    if not measured:
        shape, fewer = f"{row.n_in}x{row.n_out}", f"x{number(row.compression)}"
        return [shape, str(row.structure), fewer, error, rank, lowrank]
    held_out = [_shown(_held_out(each)) for each in (row.outputs, row.lowrank_outputs, row.lowrank_whitened)]
    return [str(row.structure), error, held_out[0], rank, lowrank, *held_out[1:]]


def _mean(rows: Sequence[ProjectionRow], of: ErrorOf) -> str:
    """The mean over those linears that have the figure."""
    found = [value for value in map(of, rows) if value is not None]
    return _shown(sum(found) / len(found)) if found else "-"


def _sizes(rows: Sequence[ProjectionRow]) -> list[str]:
    dense, stored = sum(row.n_in * row.n_out for row in rows), sum(row.stored_weights for row in rows)
    flops = round(sum(row.flops for row in rows))
    return [str(len(rows)), millions(dense), millions(stored), f"x{number(dense / stored)}", millions(flops)]


def _shown(error: float | None) -> str:
    return "-" if error is None else f"{error:.3f}"
