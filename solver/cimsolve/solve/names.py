"""The names of the strategies, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping

STRATEGY_LINES: Mapping[str, str] = {
    "linear": "dense weights, tiles of the array's size, one a tile: the baseline",
    "sparsemap": "one factor's blocks on the diagonal of its arrays, fired together: fast, many arrays",
    "densemap": "arrays filled with rotated diagonals of one block shape: few arrays, slow",
    "spread": "densest packing of whole blocks, each stage's blocks dealt over all arrays",
    "optimal": "the solver: placement and schedule as one problem, with a proof or a gap",
}
"""Name -> what it does, in a line; all but `optimal` are rules."""

STRATEGY_NAMES = tuple(STRATEGY_LINES)
RULE_NAMES = STRATEGY_NAMES[:-1]
