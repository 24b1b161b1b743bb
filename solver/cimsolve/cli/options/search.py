"""The options of commands that search: strategies, objective and seed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cimsolve.cli.options.parser import Parser
from cimsolve.cli.values import names, objective, one_of, whole
from cimsolve.problem.objective import DEFAULT_OBJECTIVE

STRATEGY_NAMES = ("linear", "sparsemap", "densemap", "spread", "optimal")
"""Those of `strategies`, which is too heavy to import; a test compares them."""
SEED_MAX = 2**31 - 1


def add_strategies(group: argparse._ArgumentGroup) -> None:
    """--strategy, several of them."""
    group.add_argument(
        "--strategy",
        action="append",
        type=names("strategy", STRATEGY_NAMES),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(STRATEGY_NAMES)}; repeatable (default: all)",
    )


def add_reference(group: argparse._ArgumentGroup) -> None:
    """--reference, the strategy that the others are set against."""
    group.add_argument(
        "--reference",
        type=one_of(STRATEGY_NAMES),
        metavar="NAME",
        help="the strategy that the others are set against (default: the first of those compared)",
    )


def reference_of(parser: Parser, given: str | None, strategies: Sequence[str]) -> str:
    """The reference among the strategies compared. Raises InputError where it is none of them."""
    if given is not None and given not in strategies:
        parser.error(f"--reference {given}: expected one of the strategies compared, {', '.join(strategies)}")
    return given or strategies[0]


def add_objective(group: argparse._ArgumentGroup) -> None:
    """--objective, of what `optimal` minimises."""
    group.add_argument(
        "--objective",
        type=objective,
        default=DEFAULT_OBJECTIVE,
        metavar="WHAT[,WHAT]",
        help="what `optimal` minimises, first things first: names, or weighted sums such as latency:0.7+energy:0.3 of "
        "multiples of the bounds (default: arrays,latency)",
    )


def add_seed(group: argparse._ActionsContainer, about: str = "default: %(default)s") -> None:
    """--seed, with what it is of."""
    group.add_argument("--seed", type=whole(0, SEED_MAX), default=0, metavar="N", help=about)
