"""The names of the strategies, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping

STRATEGY_LINES: Mapping[str, str] = {
    "linear": "dense weights, tiles of the array's size, one a tile: the baseline",
    "sparsemap": "one factor's blocks on the diagonal of its arrays, fired together: fast, many arrays",
    "densemap": "arrays filled with rotated diagonals of one block shape: few arrays, slow",
    "spread": "densest packing of whole blocks, each stage's blocks dealt over all arrays",
    "greedy-top2": "experts kept together, the most used first, each where the least of its partners are",
    "dense-optimal": "the solver on the dense weights: the best that the same chip does without factors",
    "optimal": "the solver: placement and schedule as one problem, with a proof or a gap",
}
"""Name -> what it does, in a line; those with `optimal` in their name search, the others are rules."""

STRATEGY_NAMES = tuple(STRATEGY_LINES)
OF_EXPERTS = "greedy-top2"
"""The strategy that answers for models with experts alone."""
DEFAULT_NAMES = tuple(name for name in STRATEGY_NAMES if name != OF_EXPERTS)
DENSE, DENSE_RULE = "dense-optimal", "linear"
"""Strategies that store every matrix dense, whatever structure is asked for."""
RULE_NAMES = tuple(name for name in STRATEGY_NAMES if name not in (DENSE, "optimal"))
DEFAULT_RULES = tuple(name for name in RULE_NAMES if name in DEFAULT_NAMES)
