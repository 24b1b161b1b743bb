"""Tokens through a chip by brute force: a queue for every array and an event for every activation.

Slow, and written apart from `cimsolve.judge.replay`: units are dictionaries, times advance from one instant to the
next, at which first all that ends or arrives is noted and then every idle unit chooses.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from cimsolve.price.gaps import Gap, find_gaps, partial_sum_elements
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution


@dataclass
class Place:
    """A stage or a tail: what it waits for, its parts in the gap, and the activations of each array."""

    reads: list[str]
    barriers: set[str]
    gap: list[tuple[str, int]]
    activations: dict[int, list[int]]
    phase: int


def places_of(problem: Problem, solution: Solution, together: bool) -> dict[str, Place]:
    gaps = find_gaps(problem, partial_sum_elements(problem, solution.pieces))
    table, acts = solution.activations, defaultdict(lambda: defaultdict(list))
    for number in range(len(table)):
        piece = int(table.piece[table.pieces_from[number]])
        stage = int(problem.table.stage[solution.pieces.factor[piece]])
        acts[stage][int(table.array[number])].append(int(table.end[number] - table.start[number]))

    def parts(gap: Gap) -> list[tuple[str, int]]:
        digital = gap.partial_sum_cycles + gap.digital_cycles
        if together:
            return [("digital", gap.cycles)] if gap.cycles else []
        return [(unit, cycles) for unit, cycles in (("digital", digital), ("transfer", gap.transfer_cycles)) if cycles]

    stages, workload = problem.workload.stages, problem.workload
    found: dict[str, Place] = {}
    before = ""
    for name in gaps.tails:
        for stage in [each for each in stages if each.pass_name == name]:
            own = workload.continues_pass(stage.id)
            reads = [f"{each:06d}" for each in stage.after] if own else [before] if before else []
            found[f"{stage.id:06d}"] = Place(
                reads,
                {read for read in reads if found[read].phase < stage.phase},
                parts(gaps.before[stage.id]) if own else [],
                dict(acts[stage.id]),
                stage.phase,
            )
        last = max(each.id for each in stages if each.pass_name == name)
        before = f"{last:06d}.tail"  # sorts after all stages of its pass
        found[before] = Place(
            [f"{each:06d}" for each in workload.last_stages[name]],
            set(),
            parts(gaps.tails[name]),
            {},
            max(each.phase for each in stages if each.pass_name == name),
        )
    return found


def run(
    problem: Problem,
    solution: Solution,
    tokens: int,
    pace: dict[int, int],
    barriers: bool,
    oldest_first: bool = False,
    together: bool = False,
) -> list[int]:
    """When each token leaves."""
    places = places_of(problem, solution, together)
    final = list(places)[-1]
    ended: dict[tuple[int, str], int] = {}
    begun: dict[tuple[int, str], int] = {}
    """When a token asked for a place."""
    left: dict[tuple[int, str], int] = {}
    queues: dict[object, list[tuple[object, ...]]] = defaultdict(list)
    free_at: dict[object, int] = defaultdict(int)
    running: list[tuple[int, int, str, object]] = []
    at: dict[tuple[int, str], int] = {}
    time = 0

    def proceed(token: int, name: str, now: int) -> None:
        """To the next part of the gap, or to the arrays."""
        part = at[token, name]
        place = places[name]
        if part < len(place.gap):
            unit, cycles = place.gap[part]
            key = (token, name) if oldest_first else (now, token, name)
            queues[unit].append((*key, 0, cycles, token, name))
        elif place.activations:
            left[token, name] = sum(len(durations) for durations in place.activations.values())
            for array, durations in place.activations.items():
                for number, cycles in enumerate(durations):
                    queues[array].append((now, token, name, number, cycles, token, name))
        else:
            ended[token, name] = now

    while (tokens - 1, final) not in ended or len([key for key in ended if key[1] == final]) < tokens:
        for _, token, name, unit in [each for each in running if each[0] == time]:
            if isinstance(unit, str):
                at[token, name] += 1
                proceed(token, name, time)
            else:
                left[token, name] -= 1
                if not left[token, name]:
                    ended[token, name] = time
        running = [each for each in running if each[0] > time]
        wake: list[int] = []
        changed = True
        while changed:
            changed = False
            for token in range(tokens):
                for name, place in places.items():
                    if (token, name) in begun:
                        continue
                    ready = 0 if place.reads else token * pace[place.phase]
                    for read in place.reads:
                        whole = barriers and read in place.barriers
                        needed = [ended.get((each, read)) for each in (range(tokens) if whole else [token])]
                        if None in needed:
                            break
                        ready = max(ready, max(needed) + (token * pace[place.phase] if whole else 0))
                    else:
                        if ready <= time:
                            begun[token, name] = time
                            at[token, name] = 0
                            proceed(token, name, time)
                            changed = True
                        else:
                            wake.append(ready)
        for unit, queue in queues.items():
            if queue and free_at[unit] <= time:
                queue.sort()
                job = queue.pop(0)
                *_, cycles, token, name = job
                free_at[unit] = time + cycles
                running.append((time + cycles, token, name, unit))
        later = [each[0] for each in running] + wake
        if not later:
            break
        time = min(later)
    return [ended[token, final] for token in range(tokens)]
