"""What distance costs: of specs with a network, the time and energy of moves beside all else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cimsolve.show.figures import ENERGY, LATENCY
from cimsolve.show.text.sheet import Column, Sheet
from cimsolve.show.units import quantity, ratio
from cimsolve.study.sweep.point import Record
from cimsolve.study.sweep.run import SolvedRow

TOTALS = (LATENCY.key, ENERGY.key)
COLUMNS = (
    Column("token", LATENCY.key, "time"),
    Column("in arrays", "array_latency_ns", "time"),
    Column("moves", "network_latency_ns", "time"),
    Column("others", "other_latency_ns", "time"),
    Column("energy", ENERGY.key, "energy"),
    Column("of moves", "network_energy_pj", "energy"),
)


def distance_sheet(rows: Sequence[SolvedRow]) -> Sheet | None:
    """Where the time and the energy of a token go, a line a row; None where no answer is of a spec with a network."""
    # Answers in runs do not say what their time goes to.
    records = [
        one.record if one.record is not None and LATENCY.array_metric in one.record.metrics else None for one in rows
    ]
    if not any(record is not None and _has_network(record) for record in records):
        return None
    return Sheet(COLUMNS, [[None] * len(COLUMNS) if record is None else _spent(record) for record in records])


def _spent(record: Record) -> list[Any]:
    """The figures under COLUMNS; what a flat chip transfers is among the others."""
    total, arrays, moves = LATENCY.total(record), LATENCY.in_arrays(record), record.metrics.get("network_latency_ns")
    others = total - arrays - (moves or 0.0)
    return [total, arrays, moves, others, ENERGY.total(record), record.metrics.get("network_energy_pj")]


def _has_network(record: Record) -> bool:
    return "network_latency_ns" in record.metrics


def distance_in_words(rows: Sequence[SolvedRow]) -> list[str]:
    """The fastest answer on each spec with a network, beside the same strategy's on the first flat one of its model."""
    best: dict[tuple[str, str], tuple[SolvedRow, Record]] = {}
    flat: dict[tuple[str, str], tuple[SolvedRow, Record]] = {}
    for one in rows:
        record = one.record if one.has_figures else None
        if record is None:
            continue
        model, spec = one.row.asked.model, one.row.asked.hw
        if not _has_network(record):
            flat.setdefault((model, record.strategy), (one, record))
        elif (model, spec) not in best or LATENCY.total(record) < LATENCY.total(best[model, spec][1]):
            best[model, spec] = one, record
    return [
        _in_words(here, there)
        for (model, _), here in best.items()
        if (there := flat.get((model, here[1].strategy))) is not None
    ]


def _in_words(here: tuple[SolvedRow, Record], there: tuple[SolvedRow, Record]) -> str:
    asked, (mine, theirs) = here[0].row.asked, (here[1], there[1])
    times = [LATENCY.total(record) for record in (mine, theirs)]
    in_arrays = [LATENCY.in_arrays(record) for record in (mine, theirs)]
    longer, firing = times[0] - times[1], in_arrays[0] - in_arrays[1]
    cause = "arrays, which fire otherwise" if abs(firing) > abs(longer - firing) else "moves in place of transfers"
    energies = [ENERGY.total(record) for record in (mine, theirs)]
    more = f", {ratio(energies[0] / energies[1])} times its energy" if energies[1] else ""
    return (
        f"{asked.model} by {mine.strategy}: on {asked.hw} a token takes {ratio(times[0] / times[1])} times as long as "
        f"on {there[0].row.asked.hw}{more}; moves take {quantity(mine.metrics['network_latency_ns'], 'time')} and "
        f"{quantity(mine.metrics['network_energy_pj'], 'energy')} of it. Most of the difference in time: {cause}."
    )
