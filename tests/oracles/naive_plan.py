"""Answers in runs by brute force: a row of an array at a time, and all chips of a row as one machine.

Written apart from `cimsolve.judge.replay`; `naive_replay` has what happens on a chip.
"""

from __future__ import annotations

from cimsolve.problem.plan import AnyPlan
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces
from oracles.naive_replay import Place, all_places

LINK = tuple[int, int]
"""Cycles that a token keeps a link busy, and until it is on the next chip."""


def written_at_ns(problem: Problem, pieces: Pieces, waits: bool) -> float:
    """When the last row is written; with `waits` none is before its weights have come."""
    write, load = problem.hardware.write, problem.hardware.load
    assert write is not None
    assert load is not None
    cells: dict[int, dict[int, int]] = {}
    for number in range(len(pieces)):
        rows = cells.setdefault(int(pieces.array[number]), {})
        for row in range(int(pieces.array_row[number]), int(pieces.array_row[number] + pieces.rows[number])):
            rows[row] = rows.get(row, 0) + int(pieces.cols[number])
    todo = {}
    for array, rows in sorted(cells.items()):
        of_rows = [rows[row] for row in sorted(rows)]
        todo[array] = [sum(of_rows[at : at + write.rows_at_once]) for at in range(0, len(of_rows), write.rows_at_once)]
    drivers = [0.0] * min(write.arrays_at_once or len(todo), len(todo))
    free = dict.fromkeys(todo, 0.0)
    came = load.base_ns
    while any(todo.values()):
        chosen = sorted((array for array in todo if todo[array]), key=lambda array: (-len(todo[array]), array))
        drivers.sort()
        for driver, array in enumerate(chosen[: len(drivers)]):
            came += todo[array].pop(0) * problem.hardware.weight.bits / load.bits_per_ns
            begins = max(drivers[driver], free[array], came if waits else 0.0)
            drivers[driver] = free[array] = begins + write.row_ns
    return max(free.values())


def ends_of_batches(write: list[int], compute: list[int], double: bool, batches: int) -> list[int]:
    """When each batch has passed all runs, each as soon as what it waits for has ended."""
    written: list[int] = []
    computed: list[int] = []
    apart = 2 if double else 1
    for number in range(batches * len(write)):
        before = [0, *written[-1:], *computed[-apart : len(computed) - apart + 1]]
        written.append(max(before) + write[number % len(write)])
        computed.append(max([written[-1], *computed[-1:]]) + compute[number % len(write)])
    return computed[len(write) - 1 :: len(write)]


def places_of_row(
    problem: Problem, plan: AnyPlan, links: list[LINK], together: bool, in_prefill: bool
) -> dict[str, Place]:
    """All chips as one machine: places of each, with units of its own, and a place for each link."""
    found: dict[str, Place] = {}
    steps, before = problem.model.steps, ""
    for chip, (entry, solution) in enumerate(zip(plan.header.runs, plan.runs, strict=True)):
        mine = all_places(Problem(solution.question()), solution, together, in_prefill)
        phases = dict(
            zip(
                sorted({place.phase for place in mine.values()}),
                sorted({step.phase for step in steps[entry.first : entry.end]}),
                strict=True,
            )
        )
        for name, place in mine.items():
            place.phase = phases[place.phase]
            place.reads = [f"{chip:03d}{read}" for read in place.reads]
            place.barriers = {f"{chip:03d}{read}" for read in place.barriers}
            place.gap = [(f"{unit} of {chip}", cycles) for unit, cycles in place.gap]
            place.activations = {(chip, unit): cycles for unit, cycles in place.activations.items()}
            if before and not place.reads:
                place.reads = [before]
                place.barriers = {before} if found[before].phase < place.phase else set()
            found[f"{chip:03d}{name}"] = place
        last = list(found)[-1]
        if chip < len(links):
            busy, latency = links[chip]
            before = f"{chip:03d}~link"
            activations: dict[object, list[int]] = {("link", chip): [busy]} if busy else {}
            found[before] = Place([last], set(), [], activations, steps[entry.end - 1].phase, latency - busy)
    return found
