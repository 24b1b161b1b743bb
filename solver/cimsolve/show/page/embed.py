"""What the page's script looks things up in: names as JSON, columns of numbers packed, pieces in chunks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from cimsolve.columns import Floats, Ints
from cimsolve.show.page.maps import SCALE, legend_of, stage_colours
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.kinds import Kinds
from cimsolve.show.seen.occupancy import ArrayTable, arrays_that_fit, find_pieces
from cimsolve.show.seen.slots import whole_pass

CHUNK_PIECES = 40_000
"""About so many pieces are unpacked at once: what a browser does between two frames."""
PIECE_COLUMNS = ("factor", "block", "row0", "rows", "col0", "cols", "array_row")


def describe_solution(judged: Judged, kinds: Kinds, table: ArrayTable, label: str, pieces_max: int) -> dict[str, Any]:
    """One solution for the script, with the pieces of as many arrays as have at most `pieces_max` pieces."""
    workload, hardware = judged.problem.workload, judged.hardware
    start, end = whole_pass(judged)
    embedded = np.flatnonzero(arrays_that_fit(table.pieces, pieces_max))
    return {
        "label": label,
        "rows": hardware.array.rows,
        "cols": hardware.array.cols,
        "width": hardware.columns_per_weight,
        "clock_ns": judged.clock_ns,
        "start": start,
        "end": end,
        "latency_cycles": int(judged.costs.metrics["latency_cycles"]),
        "factors": {
            name: [getattr(factor, name) for factor in workload.factors]
            for name in ("linear", "kind", "stage", "blocks", "block_rows", "block_cols")
        },
        "stages": {
            **{name: [getattr(stage, name) for stage in workload.stages] for name in ("name", "layer")},
            "colour": stage_colours(kinds),
        },
        "legend": [{"label": label, "colour": colour} for label, colour in legend_of(kinds)],
        "arrays": {name: pack(column) for name, column in vars(table).items()},
        "count": len(table),
        "embedded": None if len(embedded) == len(table) else pack(embedded),
        "chunks": _chunks(judged, embedded, table),
    }


def scale_colours(steps: int = 64) -> list[str]:
    """The colours of a scale from least to most."""
    return [to_hex(colormaps[SCALE](at)) for at in np.linspace(0, 1, steps)]


def pack(values: Ints | Floats) -> dict[str, str]:
    """A column as little-endian numbers of the smallest kind that holds it, deflated, in base64."""
    least, most = values.min(initial=0), values.max(initial=0)
    fits = (kind for kind in ("u1", "u2", "i4") if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max)
    kind = next(fits, "f8")
    data = np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()
    return {"kind": kind, "data": base64.b64encode(zlib.compress(data, 9)).decode("ascii")}


def _chunks(judged: Judged, embedded: Ints, table: ArrayTable) -> list[Mapping[str, Any]]:
    """The pieces of arrays that follow on each other, packed column by column, columns of arrays physical.

    `ends`: of each array's pieces.
    """
    found = find_pieces(judged, embedded)
    columns = {name: getattr(found.pieces, name) for name in PIECE_COLUMNS}
    columns["array_col"] = found.pieces.array_col * judged.hardware.columns_per_weight
    columns |= {"start": found.start, "end": found.end}
    number = np.cumsum(table.pieces[embedded]) // CHUNK_PIECES
    borders = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    chunks: list[Mapping[str, Any]] = []
    for low, high in zip(borders.tolist(), [*borders[1:].tolist(), len(embedded)], strict=True):
        part = slice(int(found.first[low]), int(found.first[high]))
        packed = {name: pack(values[part]) for name, values in columns.items()}
        chunks.append({"from": low, "ends": pack(found.first[low + 1 : high + 1] - part.start), **packed})
    return chunks
