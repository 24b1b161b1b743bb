"""Solutions that are drawn: two blocks on two arrays, and MiniLM."""

from __future__ import annotations

from functools import cache

import cimsolve
from cimsolve.problem.solution import Solution
from cimsolve.show.seen.judged import Judged, judge
from makers.builders import Row, answer, ask, linears, pieces_of, step

TINY = linears(step("a", (4, 4)), step("b", (4, 4)))
ROWS: tuple[Row, ...] = (
    (0, 0, 0, 4, 0, 4, 0, 0, 0),
    (1, 0, 0, 4, 0, 2, 0, 4, 4),
    (1, 0, 0, 4, 2, 2, 1, 0, 6),
)


def tiny_solution() -> Solution:
    return answer(ask(TINY), pieces_of(*ROWS))


@cache
def minilm_spread() -> Judged:
    return judge(cimsolve.map_model("minilm-l6", "paper256", strategy="spread"), "results/minilm.json")
