"""The same cores placed by other rules: what a token takes where only the places of cores change.

Two sets of cores, of 16 arrays of `rram256` each: those of `optimal`, with what they hold, and those of the
flat chip's `optimal` with its arrays in order. They are placed

- by rows, and in a zigzag, which is what PIMCOMP's released code does where it places at all (sunxt99/PIMCOMP-NN
  2ed10c8, backend/ElementPlacement.cpp, `DetermineCoreMap`; `main.cpp` asks for rows);
- by PIMCOMP's rule, which that code computes and leaves unused: a third of the cores, those with most traffic, at
  random places, then breadth first, each core's up to four heaviest partners that have no place yet at its free sides.
  Taken over as meant: there core 0 counts as a free place, and partners are read beyond the end of their list. Its
  traffic is what cores send each other, which here is `over` alone; it knows no hub, no multicast and no rate of a
  link. It is tried in three ways: with that traffic; with inputs that two cores share counted too; and so with the
  first third nearest to the hub. Each with as many seeds;
- at random, with as many tries as the three ways together;
- as `optimal` does; its cores alone;
- by exchanges of two places from there, kept where the token is faster, with as many tries.

Of rules with several tries every column is the best of all tries, whichever it is. `hops x bits` are bits summed over
links.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from common import BenchmarkError, log, make_parser, markdown_table, provenance, run_self, write_report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cimsolve.problem.problem import Problem
    from cimsolve.problem.tables import Mapping, Pieces

    Ints = npt.NDArray[np.int64]

CASES = (
    "bert-large/edge-32",
    "bert-large/mid-32",
    "bert-large/edge-32-unicast",
    "bert-large/mid-32-unicast",
    "minilm-l6/edge-32",
    "minilm-l6/mid-32",
)
WAYS = ("sends", "shared inputs", "hub first")
SIDES = ((-1, 0), (0, 1), (1, 0), (0, -1))

Figures = tuple[int, float, int, int]
"""Cycles of all moves of a token, energy on links and buses, bits on the busiest link, bits summed over links."""


def figures(problem: Problem, pieces: Pieces, place: Ints) -> Figures:
    from cimsolve.price.gaps import cycles_of_move
    from cimsolve.price.moves import bits_of, find_moves

    found = find_moves(problem, pieces, place)
    moves = [move for each in (found.down, found.up, found.over) for move in each if move is not None]
    links = bits_of(moves)[: moves[0].interconnect.links]
    energy = sum(move.network_pj + move.bus_pj for move in moves)
    return sum(cycles_of_move(problem.hardware, move) for move in moves), energy, int(links.max()), int(links.sum())


def traffic(problem: Problem, pieces: Pieces, core: Ints, cores: int) -> tuple[Ints, Ints]:
    """Bits that two cores send each other, and bits of inputs that both read; shape (cores, cores) each.

    `core` of each array, shape (arrays,).
    """
    import numpy as np

    table, factors = problem.table, problem.workload.factors
    reads = [np.zeros((each, cores), dtype=bool) for each in (table.blocks * table.block_rows).tolist()]
    makes = [np.zeros((each, cores), dtype=bool) for each in (table.blocks * table.block_cols).tolist()]
    row = pieces.block * table.block_rows[pieces.factor] + pieces.row0
    col = pieces.block * table.block_cols[pieces.factor] + pieces.col0
    ends = (pieces.factor, core[pieces.array], row, row + pieces.rows, col, col + pieces.cols)
    for factor, at, row0, row1, col0, col1 in zip(*(each.tolist() for each in ends), strict=True):
        reads[factor][row0:row1, at] = makes[factor][col0:col1, at] = True
    sent, shared = np.zeros((2, cores, cores))
    shuffled = [number for number, factor in enumerate(factors) if factor.kind == "L"]
    shuffling = [number for number, factor in enumerate(factors) if factor.kind == "R"]
    for before, after in zip(shuffling, shuffled, strict=True):
        # Element j of z is row j div l of block j mod l.
        of_z = reads[after].reshape(int(table.blocks[after]), -1, cores).transpose(1, 0, 2).reshape(-1, cores)
        sent += makes[before].T.astype(float) @ of_z
    for members in problem.workload.factors_of_stage:
        own = [reads[number] for number in members if factors[number].kind != "L"]
        if own:
            read = np.logical_or.reduce(own).astype(float)
            shared += read.T @ read
    for each in (sent, shared):
        np.fill_diagonal(each, 0)
    bits = problem.hardware.input.bits
    return ((sent + sent.T) * bits).astype(np.int64), (shared * bits).astype(np.int64)


def breadth_first(bits: Ints, rows: int, cols: int, draw: Random, first: Sequence[int] = ()) -> list[int]:
    """PIMCOMP's rule: the place of each core; a third of the cores take the places `first`, random without."""
    cores = len(bits)
    partners = (-bits).argsort(axis=1, kind="stable").tolist()
    heaviest = (-bits.sum(axis=1)).argsort(kind="stable").tolist()[: cores // 3]
    seeds = list(first)[: len(heaviest)] or draw.sample(range(cores), len(heaviest))
    place = dict(zip(heaviest, seeds, strict=True))
    taken = set(place.values())
    queue = list(heaviest)
    for core in queue:
        row, col = divmod(place[core], cols)
        near = iter([other for other in partners[core] if other not in place and other != core][:4])
        start = draw.randrange(4)
        for down, right in (*SIDES[start:], *SIDES[:start]):
            r, c = row + down, col + right
            if (
                0 <= r < rows
                and 0 <= c < cols
                and r * cols + c not in taken
                and (other := next(near, None)) is not None
            ):
                place[other] = r * cols + c
                taken.add(place[other])
                queue.append(other)
    return [place[core] for core in range(cores)]


def placings(
    sent: Ints, shared: Ints, rows: int, cols: int, by_hub: list[int], tries: int
) -> Iterator[tuple[str, str, list[int]]]:
    """Rules, ways of them, and the place of each core."""
    places = list(range(rows * cols))
    yield "rows", "", places
    yield (
        "zigzag",
        "",
        [row * cols + (cols - 1 - col if row % 2 else col) for row in range(rows) for col in range(cols)],
    )
    both = sent + shared
    for way, table, first in zip(WAYS, (sent, both, both), ((), (), by_hub), strict=True):
        for seed in range(tries):
            yield "PIMCOMP", way, breadth_first(table, rows, cols, Random(seed), first)
    for seed in range(len(WAYS) * tries):
        yield "random", "", Random(seed).sample(places, len(places))


def exchanged(place: Ints, draw: Random, places: int) -> Ints:
    """All arrays of one core and those of another place, which may be empty, in each other's places."""
    import numpy as np

    a, b = draw.choice(np.unique(place).tolist()), draw.randrange(places)
    return np.where(place == a, b, np.where(place == b, a, place))


def measure(case: str, tries: int) -> dict[str, Any]:
    """What each rule does with both sets of cores of one model on one chip."""
    import numpy as np
    from networks import BASE, chip_of

    from cimsolve.api import make_problem, map_model
    from cimsolve.price.moves import place_in_order
    from cimsolve.study.solving import mapping_of

    model, chip = case.rsplit("/", 1)
    problem, flat = make_problem(model, chip_of(chip)), make_problem(model, BASE)
    began = time.process_time()
    answer = map_model(problem.question)
    solve_s = time.process_time() - began
    in_order = mapping_of(map_model(flat.question), flat)
    in_order = replace(in_order, place=place_in_order(problem, int(np.ptp(in_order.pieces.array)) + 1))
    clock_us = problem.hardware.clock_ps / 1e6
    found: dict[str, Any] = {"clock_us": clock_us, "solve_s": solve_s, "cores": {}}
    found["bound_us"] = answer.header.bounds["latency_cycles"].lower * clock_us
    for name, mapping in (("optimal", mapping_of(answer, problem)), ("in order", in_order)):
        found["cores"][name] = try_rules(problem, mapping, tries, name == "optimal")
    return found


def try_rules(problem: Problem, mapping: Mapping, tries: int, is_placed: bool) -> dict[str, Any]:
    """What each rule does with the cores of a mapping; its own places are a rule where it `is_placed`."""
    import numpy as np
    from networks import SIDE

    from cimsolve.price.cost import price

    own, pieces, topology = mapping.place, mapping.pieces, problem.hardware.topology
    assert own is not None
    assert topology is not None
    # Cores are numbered as their first arrays are.
    _, first, core = np.unique(own, return_index=True, return_inverse=True)
    core = np.argsort(np.argsort(first))[core]
    latency = int(price(problem, mapping).costs.metrics["latency_cycles"])
    fixed = latency - figures(problem, pieces, own)[0]
    rules: dict[str, dict[str, Any]] = {}

    def offer(rule: str, way: str, place: Ints) -> Figures:
        began = time.process_time()
        value = figures(problem, pieces, place)
        of_rule = rules.setdefault(rule, {"tries": 0, "cpu_s": 0.0, "best": value, "fastest": (value, way)})
        of_rule["tries"] += 1
        of_rule["best"] = tuple(min(pair) for pair in zip(of_rule["best"], value, strict=True))
        of_rule["fastest"] = min(of_rule["fastest"], (value, way))
        of_rule["cpu_s"] += time.process_time() - began
        return value

    by_hub = np.argsort(topology.ways_to_hub()[0], kind="stable").tolist()
    for rule, way, places in placings(*traffic(problem, pieces, core, SIDE**2), SIDE, SIDE, by_hub, tries):
        offer(rule, way, np.asarray(places)[core])
    if is_placed:
        value, draw = offer("optimal", "", own), Random(0)
        for _ in range(len(WAYS) * tries):
            place = exchanged(own, draw, topology.places)
            tried = offer("exchanges", "", place)
            if tried < value:
                value, own = tried, place
    return {"rules": rules, "fixed": fixed}


def rows_of(case: str, cores: str, found: dict[str, Any]) -> list[list[object]]:
    """A line for each rule."""
    rows: list[list[object]] = []
    for rule, each in found["cores"][cores]["rules"].items():
        cycles, pj, most, total = each["best"]
        us = (found["cores"][cores]["fixed"] + cycles) * found["clock_us"]
        way = each["fastest"][1]
        rows.append(
            [
                *case.rsplit("/", 1),
                cores,
                f"{rule}, {way}" if way else rule,
                each["tries"],
                f"{us:.2f}",
                f"{us / found['bound_us']:.3f}",
                f"{pj / 1e6:.2f}",
                f"{most / 1e3:.0f}",
                f"{total / 1e6:.1f}",
                f"{each['cpu_s']:.0f}",
            ]
        )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    from networks import HELP

    parser = make_parser(__doc__, "places.md")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="CASE", help=f"a shipped model, / and {HELP}")
    parser.add_argument("--tries", type=int, default=20, help="seeds of each way of PIMCOMP's rule (20)")
    parser.add_argument("--limit", type=float, default=2400, metavar="S", help="time limit of each chip, s (2400)")
    parser.add_argument("--measure", metavar="CASE", help="one chip, in this process")
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure(args.measure, args.tries)))
        return 0
    rows: list[list[object]] = []
    solved: list[str] = []
    for case in args.cases:
        log(case)
        try:
            asked = ["--tries", str(args.tries), "--measure", case]
            found = run_self(__file__, asked, args.limit)
        except BenchmarkError as error:
            rows.append([*case.rsplit("/", 1), str(error)])
            continue
        rows += [row for cores in found["cores"] for row in rows_of(case, cores, found)]
        solved.append(f"{found['solve_s']:.0f}")
    columns = (
        "model",
        "chip",
        "cores",
        "placed by",
        "tries",
        "token us",
        "/ bound",
        "network uJ",
        "busiest kbit",
        "Mbit x hops",
        "CPU s",
    )
    write_report(
        args.out,
        f"# The same cores, placed by others\n\n{provenance(__file__, argv)}\n- A whole search of `optimal` "
        f"took {', '.join(solved)} CPU s",
        __doc__.partition("\n\n")[2],
        markdown_table(columns, rows),
    )
    return 0 if any(len(row) > 4 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
