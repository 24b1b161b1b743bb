"""Solutions that are drawn: two blocks on two arrays, MiniLM, and small ones on chips with a network."""

from __future__ import annotations

import json
from functools import cache

import cimsolve
from cimsolve.files.library import resolve_model
from cimsolve.problem.solution import Solution
from cimsolve.show.seen.judged import Judged, judge
from cimsolve.study.solving import solve
from makers.builders import MESH, Row, answer, ask, linears, mesh_chip, pieces_of, step
from makers.hardware_specs import spec

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


@cache
def minilm_layer() -> Judged:
    """The same of its first layer alone."""
    config = json.loads(resolve_model("minilm-l6").read_text(encoding="utf-8"))
    problem = ask({**config, "num_hidden_layers": 1}, "16,16,1", spec("paper256"))
    return judge(solve(problem, "spread"), "results/layer.json")


HTREE = {
    **{key: MESH[key] for key in ("multicast", "base_ns", "sum_bits")},
    "topology": "htree",
    "hub": {"bits_per_ns": 16},
    "levels": 2,
    "fanout": 2,
    "bits_per_ns_level": [2, 4],
    "hop_ns_level": [1, 2],
    "pj_per_bit_level": [0.5, 1],
}
NETWORKS = {"edge": MESH, "middle": {**MESH, "hub": {"at": [1, 0], "bits_per_ns": 16}}, "htree": HTREE}
"""Networks of four places."""


@cache
def on_network(name: str, strategy: str = "spread") -> Judged:
    """Two matrices that read one vector and one that reads both, factored, on cores of a network of `NETWORKS`."""
    hardware = mesh_chip(network=NETWORKS[name], array__rows=16, array__cols=16, core__arrays=8)
    model = linears(step("a", (16, 16), (16, 16)), step("b", (32, 64)), context=16)
    return judge(solve(ask(model, "4,4,1", hardware), strategy), f"{name}.json")
