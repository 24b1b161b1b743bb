"""Which rows none of the others beats."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def on_front(groups: Sequence[Hashable], values: Sequence[Sequence[float] | None]) -> list[bool]:
    """Whether no other row of its group is as good as a row in everything and better in something; less is better.

    `values` has for each row a tuple, all of one length, or None for a row without figures: it is not on the front
    and beats nothing.
    """
    found = [False] * len(groups)
    for group in dict.fromkeys(groups):
        members = [row for row, other in enumerate(groups) if other == group and values[row] is not None]
        figures = np.array([values[row] for row in members], dtype=np.float64)
        for row, mine in zip(members, figures, strict=True):
            beaten = (figures <= mine).all(axis=1) & (figures < mine).any(axis=1)
            found[row] = not beaten.any()
    return found
