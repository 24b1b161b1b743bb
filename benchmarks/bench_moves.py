"""The time of a move against a simulation of its packets.

The cost model takes a move's latency, then the time of its busiest channel. Here packets of the same bits queue for
links, buses and the hub's port, event by event (tests/oracles/naive_events.py: traffic and routes element by element,
no code shared with the package). `queues` have room for all packets, which are sent in the order of elements; with
`turns` the hub and the cores take turns between their links; with `buffers` too, and a link's end holds four packets:
what cannot go on stops all behind it.

A difference is simulated / formula - 1: above 0 the formula is optimistic. `sum` compares the sums over moves, as they
enter the token's latency.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from common import ROOT, BenchmarkError, log, make_parser, markdown_table, provenance, run_self, write_report

sys.path.insert(0, str(ROOT / "tests"))  # the tests' oracles

CASES = ("edge-32", "mid-32", "edge-32-unicast", "mid-32-unicast", "htree-32", "edge-256", "mid-256")
STRATEGIES = ("optimal", "spread")
KINDS = ("down", "over", "up")
SETTINGS: dict[str, dict[str, Any]] = {
    "queues": {},
    "turns": {"turns": True},
    "buffers": {"turns": True, "buffer": 4},
}


def measure(model: str, case: str, strategy: str, stages: int, packet_bits: int) -> dict[str, Any]:
    """Times of the moves of the first stages, by kind: by the formula and simulated, ns."""
    from networks import chip_of

    from cimsolve.api import make_problem, map_model
    from cimsolve.price.moves import find_moves
    from oracles.naive_chip import Chip, Piece
    from oracles.naive_dataflow import Dataflow
    from oracles.naive_events import time_ns
    from oracles.naive_moves import Moves

    problem = make_problem(model, chip_of(case))
    solution = map_model(problem.question, strategy=strategy)
    pieces, place = solution.pieces, solution.sites.place
    flow = Dataflow(problem.model, {name: str(how) for name, how in problem.structures.items()})
    rows = zip(*(getattr(pieces, name).tolist() for name in Piece.__annotations__), strict=True)
    naive = Moves(Chip(problem.hardware.to_json()), flow, [Piece(*row) for row in rows], place.tolist())
    ours = find_moves(problem, pieces, place)
    found: dict[str, Any] = {}
    for kind in KINDS:
        pairs = [
            (move, other)
            for move, other in zip(getattr(ours, kind)[:stages], getattr(naive, kind), strict=False)
            if move is not None
        ]
        if not pairs:
            continue
        found[kind] = {"formula": [(move.fixed_ps + move.streaming_ps) / 1000 for move, _ in pairs]}
        for name, setting in SETTINGS.items():
            found[kind][name] = [time_ns(naive.network, other, packet_bits, **setting) for _, other in pairs]
    return found


def rows_of(case: str, strategy: str, found: dict[str, Any]) -> list[list[object]]:
    """A line for each kind of move, and one for all."""
    rows: list[list[object]] = []
    whole = {name: [time for times in found.values() for time in times[name]] for name in ("formula", *SETTINGS)}
    for kind, times in (*found.items(), ("all", whole)):
        formula = times["formula"]
        row: list[object] = [case, strategy, kind, len(formula), f"{sum(formula) / len(formula):.0f}"]
        for name in SETTINGS:
            each = [time / told - 1 for time, told in zip(times[name], formula, strict=True)]
            summed = sum(times[name]) / sum(formula) - 1
            row += [f"{100 * part:+.1f}" for part in (min(each), summed, max(each))]
        rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    import networks

    parser = make_parser(__doc__, "moves.md")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="CASE", help=networks.HELP)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, metavar="NAME", help="strategies to map by")
    parser.add_argument("--model", default="bert-large", help="a shipped model (bert-large)")
    parser.add_argument("--stages", type=int, default=32, help="moves of so many first stages (32: 4 layers of BERT)")
    parser.add_argument("--packet", type=int, default=256, metavar="BITS", help="bits of a packet (256)")
    parser.add_argument("--limit", type=float, default=600, metavar="S", help="time limit of each row, s (600)")
    parser.add_argument("--measure", nargs=2, metavar=("CASE", "STRATEGY"), help="one row, in this process")
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure(args.model, *args.measure, args.stages, args.packet)))
        return 0
    rows: list[list[object]] = []
    for case in args.cases:
        for strategy in args.strategies:
            log(f"{case}, {strategy}")
            asked = ["--model", args.model, "--stages", str(args.stages), "--packet", str(args.packet)]
            try:
                found = run_self(__file__, [*asked, "--measure", case, strategy], args.limit)
            except BenchmarkError as error:
                rows.append([case, strategy, str(error)])
                continue
            rows += rows_of(case, strategy, {kind: found[kind] for kind in KINDS if kind in found})
    columns = [f"{name}, {what}" for name in SETTINGS for what in ("least %", "sum %", "most %")]
    write_report(
        args.out,
        f"# The time of a move, simulated\n\n{provenance(__file__, argv)}\n- Packets of {args.packet} bits; the moves "
        f"of {args.model} before and after its first {args.stages} stages",
        __doc__.partition("\n\n")[2],
        markdown_table(["chip", "mapping", "move", "moves", "mean ns", *columns], rows),
    )
    return 0 if any(len(row) > 3 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
