"""Tokens through a chip by brute force: a queue for every array and channel, an event for every activation and carry.

Slow, and written apart from `cimsolve.judge.replay`: units are dictionaries, times advance from one instant to the
next, at which first all that ends or arrives is noted and then every idle unit chooses.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from cimsolve.price.gaps import Gap, Gaps, find_gaps, partial_sum_elements
from cimsolve.price.memory import MemoryUse
from cimsolve.price.moves import Move, TokenMoves, find_moves
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution


@dataclass
class Place:
    """A stage, a tail or a move: what it waits for, its parts in the gap, and the work of each array or channel."""

    reads: list[str]
    barriers: set[str]
    gap: list[tuple[str, int]]
    activations: dict[object, list[int]]
    phase: int
    latency: int = 0


def moves_of(problem: Problem, solution: Solution) -> TokenMoves | None:
    if problem.hardware.core is None:
        return None
    assert solution.sites is not None
    return find_moves(problem, solution.pieces, solution.sites.place)


def gaps_of(problem: Problem, solution: Solution) -> Gaps:
    moves = moves_of(problem, solution)
    added = partial_sum_elements(problem, solution.pieces) if moves is None else moves.hub_added
    return find_gaps(problem, added, moves)


def activations_of(problem: Problem, solution: Solution) -> dict[int, dict[object, list[int]]]:
    """Stage -> array -> cycles of what it fires for a token: of experts those that take longest there."""
    table, factors = solution.activations, problem.workload.factors
    acts: dict[int, dict[object, list[int]]] = defaultdict(lambda: defaultdict(list))
    own: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in range(len(table)):
        piece = int(table.piece[table.pieces_from[number]])
        factor, array = factors[int(solution.pieces.factor[piece])], int(table.array[number])
        lasts = int(table.end[number] - table.start[number])
        if factor.expert is None:
            acts[factor.stage][array].append(lasts)
        else:
            own[factor.stage, array][factor.expert].append(lasts)
    for (stage, array), of_expert in own.items():
        experts = problem.workload.stages[stage].experts
        assert experts is not None
        for durations in sorted(of_expert.values(), key=sum, reverse=True)[: experts.chosen]:
            acts[stage][array] += durations
    return acts


def places_of(problem: Problem, solution: Solution, together: bool) -> dict[str, Place]:
    gaps = gaps_of(problem, solution)
    acts = activations_of(problem, solution)

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
            own = gaps.within[stage.id]
            reads = [f"{each:06d}" for each in stage.after] if own else [before] if before else []
            found[f"{stage.id:06d}"] = Place(
                reads,
                {read for read in reads if found[read].phase < stage.phase},
                parts(gaps.before[stage.id]) if own else [],
                acts[stage.id],
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


def with_moves(problem: Problem, moves: TokenMoves, stages_and_tails: dict[str, Place]) -> dict[str, Place]:
    """The same with a place for every move. Names sort as their work follows each other."""
    found: dict[str, Place] = {}
    workload, clock_ps = problem.workload, problem.hardware.clock_ps
    downs: dict[str, list[Move | None]] = defaultdict(list)
    for stage in workload.stages:
        name = f"{stage.id:06d}"
        read = stages_and_tails[name].reads
        # What a later pass begins with comes down in the tail before it.
        downs[read[0] if read and read[0].endswith("tail") else name].append(moves.down[stage.id])

    def moved(move: Move, reads: list[str], phase: int) -> Place:
        rates = move.interconnect.bits_per_ns
        channels: dict[object, list[int]] = {}
        for channel, bits in enumerate(move.bits.tolist()):
            if cycles := -(-round(bits / float(rates[channel]) * 1000) // clock_ps):
                channels["channel", channel] = [cycles]
        return Place(reads, set(), [], channels, phase, -(-move.fixed_ps // clock_ps))

    def risen(name: str) -> str:
        return f"{name}.hub" if f"{name}.hub" in found else name

    for name, place in stages_and_tails.items():
        is_tail = name.endswith("tail")
        gap = [part for part in place.gap if part[0] == "digital"]
        reads, barriers = [risen(read) for read in place.reads], {risen(read) for read in place.barriers}
        before = f"{name[:6]}.s" if is_tail else f"{int(name) - 1:06d}~"
        for index, move in enumerate(each for each in downs[name] if each is not None):
            down = moved(move, reads, place.phase)
            down.gap, down.barriers, gap, barriers = gap, barriers, [], set()
            found[f"{before}{index}"] = down
            reads = [f"{before}{index}"]
        if not is_tail and (over := moves.over[int(name)]) is not None:
            found[f"{before}over"] = moved(over, place.reads, place.phase)
            reads = [*reads, f"{before}over"]
        found[name] = Place(reads, barriers, gap, place.activations, place.phase)
        if not is_tail and (up := moves.up[int(name)]) is not None:
            found[f"{name}.hub"] = moved(up, [name], place.phase)
    return found


def with_memory(problem: Problem, solution: Solution, places: dict[str, Place], in_prefill: bool) -> dict[str, Place]:
    """The same with places for what is read and written of keys and values, and for what runs before and beside it."""
    found: dict[str, Place] = {}
    gaps = gaps_of(problem, solution)
    uses: dict[str, MemoryUse | None] = {}
    for number, within in enumerate(gaps.within):
        uses[f"{number:06d}"] = gaps.before[number].memory if within else None
    for name, gap in zip((name for name in places if name.endswith("tail")), gaps.tails.values(), strict=True):
        uses[name] = gap.memory
    split: dict[str, tuple[str, MemoryUse]] = {}
    for name, use in uses.items():
        before = f"{name[:6]}.s" if name.endswith("tail") else f"{int(name) - 1:06d}~"
        if use is not None and use.bits:
            split[f"{before}0" if f"{before}0" in places else name] = before, use
    for name, place in places.items():
        if name in split:
            before, use = split[name]
            digital = sum(cycles for unit, cycles in place.gap if unit == "digital")
            first, kept, beside = (f"{before}!{part}" for part in "abc")
            busy = use.prefill_cycles if in_prefill else use.busy_cycles
            rest = [("digital", digital - use.beside_cycles)] if digital > use.beside_cycles else []
            meanwhile = [("digital", use.beside_cycles)] if use.beside_cycles else []
            if rest:
                found[first] = Place(place.reads, place.barriers, rest, {}, place.phase)
                place.reads, place.barriers = [first], set()
            reads, barriers = place.reads, place.barriers
            found[kept] = Place(reads, barriers, [], {("memory",): [busy]}, place.phase, use.waited_cycles - busy)
            place.reads, place.barriers = [kept], set()
            if meanwhile:
                found[beside] = Place(reads, barriers, meanwhile, {}, place.phase)
                place.reads = [kept, beside]
            place.gap = [part for part in place.gap if part[0] != "digital"]
        found[name] = place
    return found


def run(
    problem: Problem,
    solution: Solution,
    tokens: int | dict[int, int],
    pace: dict[int, int],
    barriers: bool,
    oldest_first: bool = False,
    together: bool = False,
    in_prefill: bool = False,
) -> list[int]:
    """When each token of the last pass leaves; `tokens` may be by phase."""
    return run_places(all_places(problem, solution, together, in_prefill), tokens, pace, barriers, oldest_first)


def all_places(problem: Problem, solution: Solution, together: bool, in_prefill: bool = False) -> dict[str, Place]:
    """Stages, tails, moves and the memory, the last one ending a token."""
    places = places_of(problem, solution, together)
    moves = moves_of(problem, solution)
    if moves is not None and not together:
        places = with_moves(problem, moves, places)
    return places if together else with_memory(problem, solution, places, in_prefill)


def run_places(
    places: dict[str, Place],
    tokens: int | dict[int, int],
    pace: dict[int, int],
    barriers: bool,
    oldest_first: bool = False,
) -> list[int]:
    """When each token of the last place leaves it."""
    final = list(places)[-1]
    numbers = {name: range(tokens if isinstance(tokens, int) else tokens[each.phase]) for name, each in places.items()}
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
            ended[token, name] = now + max(0, place.latency)

    while len([key for key in ended if key[1] == final]) < len(numbers[final]):
        for _, token, name, unit in [each for each in running if each[0] == time]:
            if isinstance(unit, str):
                at[token, name] += 1
                proceed(token, name, time)
            else:
                left[token, name] -= 1
                if not left[token, name]:
                    ended[token, name] = time + max(0, places[name].latency)
        running = [each for each in running if each[0] > time]
        wake: list[int] = []
        changed = True
        while changed:
            changed = False
            for token in range(max(map(len, numbers.values()))):
                for name, place in places.items():
                    if token not in numbers[name] or (token, name) in begun:
                        continue
                    ready = 0 if place.reads else token * pace[place.phase]
                    for read in place.reads:
                        whole = barriers and read in place.barriers
                        needed = [ended.get((each, read)) for each in (numbers[read] if whole else [token])]
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
                # A negative latency: what the unit does at the end nobody waits for.
                running.append((time + cycles + min(0, places[name].latency), token, name, unit))
        later = (
            [each[0] for each in running] + wake + [end for end in [*ended.values(), *free_at.values()] if end > time]
        )
        if not later:
            break
        time = min(later)
    return [ended[token, final] for token in numbers[final]]
