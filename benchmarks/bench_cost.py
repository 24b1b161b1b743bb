"""The cost model: how long it takes, and how far a replay by discrete events lies from it.

First the largest shipped model on every shipped chip: seconds for all metrics, and for replaying one token and a
short prefill. Then, by model, chip and strategy: a prefill and a stream of many sequences under each controller of
`cimsolve replay`, as a difference from the equations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from common import (
    HARDWARE,
    MODELS,
    log,
    make_parser,
    markdown_table,
    provenance,
    write_report,
)

TARGET_S = 5
"""For an evaluation of the largest model."""
LARGEST = "llama-3-70b"
FEW_TOKENS = 8
WAYS = (("paced", "apart"), ("oldest", "apart"), ("burst", "apart"), ("paced", "together"))
"""Controllers, and whether gaps hold digital units and interconnect apart or together."""


def answer(model: str, spec: str, strategy: str) -> Any:
    from cimsolve.api import make_problem
    from cimsolve.study.solving import solve

    return solve(make_problem(model, spec), strategy)


def measure_speed(model: str, spec: str, strategy: str, repeats: int) -> list[Any]:
    """Seconds, the least of some runs."""
    from cimsolve.judge.check import rebuild_problem
    from cimsolve.judge.replay import replay
    from cimsolve.price.cost import evaluate
    from cimsolve.price.firings import Fired

    solution = answer(model, spec, strategy)
    problem = rebuild_problem(solution)
    pieces, activations = solution.pieces, solution.activations
    mapping = pieces, activations.of_piece(len(pieces))
    costs, evaluated = timed(lambda: evaluate(Fired.of(problem, *mapping), activations), repeats)
    _, one = timed(lambda: replay(activations, costs, tokens=1, stream=0), repeats)
    _, few = timed(lambda: replay(activations, costs, tokens=FEW_TOKENS, stream=0), repeats)
    return [
        model,
        spec,
        strategy,
        len(solution.pieces),
        len(solution.activations),
        f"{evaluated:.2f}",
        f"{one:.2f}",
        f"{few:.2f}",
    ]


def timed(call: Any, repeats: int) -> tuple[Any, float]:
    found, least = None, float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        found = call()
        least = min(least, time.perf_counter() - began)
    return found, least


def measure_difference(model: str, spec: str, strategy: str, tokens: int | None) -> list[Any]:
    """The replay's differences in percent; a mark where a stream was too short to settle."""
    from cimsolve.judge.check import rebuild_problem
    from cimsolve.judge.replay import replay
    from cimsolve.price.cost import evaluate
    from cimsolve.price.firings import Fired

    solution = answer(model, spec, strategy)
    problem = rebuild_problem(solution)
    pieces, activations = solution.pieces, solution.activations
    mapping = pieces, activations.of_piece(len(pieces))
    costs = evaluate(Fired.of(problem, *mapping), activations)
    prefills: list[str] = []
    intervals: list[str] = []
    exact = ""
    latency = ""
    count = 0
    for controller, gaps in WAYS:
        # A burst is a way to admit a prefill; a stream is always paced.
        stream = 0 if controller == "burst" else None
        found = replay(activations, costs, tokens=tokens, stream=stream, controller=controller, gaps=gaps)
        exact, count = "yes" if found.agrees else "no", found.tokens
        prefills.append(f"{100 * found.prefill.difference:+.2f}")
        if found.stream is not None:
            mark = "" if found.stream.settled else "?"
            intervals.append(f"{100 * found.stream.interval.difference:+.1f}{mark}")
            if (controller, gaps) == WAYS[0]:
                latency = f"{found.stream.latency_ns / found.token.replayed_ns:.2f}"
    return [model, spec, strategy, exact, count, *prefills, *intervals, latency]


def cells(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Every strategy on one model, one strategy on all others."""
    found = [(options.all_of, spec, strategy) for spec in options.hw for strategy in options.strategies]
    others = [model for model in options.models if model != options.all_of]
    return found + [(model, spec, options.one) for model in others for spec in options.hw]


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "cost.md")
    parser.add_argument("--largest", default=LARGEST, help="the model whose evaluation is timed")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--hw", nargs="+", default=list(HARDWARE))
    parser.add_argument("--all-of", default="bert-large", help="the model on which every strategy is replayed")
    parser.add_argument(
        "--strategies", nargs="+", default=["linear", "dense-optimal", "sparsemap", "densemap", "spread", "optimal"]
    )
    parser.add_argument("--one", default="spread", help="the strategy for all other models")
    parser.add_argument("--tokens-of-largest", type=int, default=64, metavar="N", help="of its prefills")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs, of which the fastest counts")
    options = parser.parse_args(argv)
    speed = []
    for spec in options.hw:
        log(f"speed: {options.largest} on {spec}")
        speed.append(measure_speed(options.largest, spec, options.one, options.repeats))
    rows = []
    for model, spec, strategy in cells(options):
        log(f"replay: {model} on {spec} by {strategy}")
        tokens = options.tokens_of_largest if model == options.largest else None
        rows.append(measure_difference(model, spec, strategy, tokens))
    slowest = max(float(row[5]) for row in speed)
    unequal = [row for row in rows if row[3] != "yes"]
    write_report(
        options.out,
        "# The cost model, and a replay beside it",
        provenance(__file__, argv),
        f"## Seconds\n\nAll metrics and breakdowns of given tables (`cost.evaluate`; target {TARGET_S} s), and replays "
        f"of one token and of a prefill of {FEW_TOKENS} tokens, each the fastest of {options.repeats}; no solving, "
        f"reading or checking. The slowest evaluation took {slowest:.2f} s.",
        markdown_table(
            (
                "model",
                "chip",
                "strategy",
                "pieces",
                "activations",
                "evaluate, s",
                "replay of 1, s",
                f"of {FEW_TOKENS}, s",
            ),
            speed,
        ),
        "## Replay beside the equations\n\nHow far the replay lies above the equation, in percent. `exact`: one token "
        "takes as many cycles as the equations say. Controllers as of `cimsolve replay`: `paced` (first come, first "
        "served), `oldest`, `burst`, and `paced` with gaps that hold digital units and interconnect together. "
        "`latency`: how many times as long a token takes in the paced stream as alone. A stream's interval is known "
        "to about a percent; `?`: it was too short to settle.",
        markdown_table(
            (
                "model",
                "chip",
                "strategy",
                "exact",
                "tokens",
                "prefill paced",
                "oldest",
                "burst",
                "together",
                "II paced",
                "oldest",
                "together",
                "latency",
            ),
            rows,
        ),
    )
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
