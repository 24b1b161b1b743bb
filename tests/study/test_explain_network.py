"""`cimsolve explain` and `compare` on chips with a network: the parts sum up, changes are other chips."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.study.conclusion import latency_parts_ns
from cimsolve.study.explain.answer import explain_solution
from cimsolve.study.explain.chain import find_chain, find_load
from cimsolve.study.explain.change import usual_what_ifs, what_if
from cimsolve.study.explain.moved import find_moved
from cimsolve.study.names import OF_NETWORKS
from cimsolve.study.solving import solve
from cimsolve.study.two import compare_solutions
from makers.builders import TWO, answer, ask, chip, linears, mesh_chip, pieces_of, step
from makers.command_line import Cli
from makers.drawn_solutions import HTREE, NETWORKS, on_network

TINY = linears(step("a", (16, 16), (16, 16)), step("b", (32, 64)), context=16)


def networked(network: dict[str, Any], **changes: Any) -> Problem:
    hardware = {"network": network, "array__rows": 16, "array__cols": 16, "core__arrays": 8, **changes}
    return ask(TINY, "4,4,1", mesh_chip(**hardware))


def test_moves_by_hand() -> None:
    # Arrays 0 and 1 in the core at (0, 0), 2 in that at (0, 1); each a matrix of 4 x 4, the third reads the others.
    problem = ask(TWO, hardware=mesh_chip())
    rows = [(factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)]
    solution = answer(problem, pieces_of(*rows))  # type: ignore[arg-type]
    costs = check_solution(solution).costs
    assert costs is not None
    moved = find_moved(costs, find_chain(problem, solution, costs))
    assert moved is not None
    # Every move has 1 ns and a hop of 1 ns. Down 8 bits on a link of 2 bits a ns, 4 ns; up 32 bits, 16 ns; down 8
    # again, and up 16 of the second core, 8 ns.
    assert moved.parts_cycles == {"latency": 4 * 2, "links": 4 + 16 + 4 + 8, "buses": 0, "port": 0}
    assert moved.ways_cycles == {"up": 18 + 10, "over": 0, "down": 6 + 6}
    assert (moved.channel, moved.channel_bits, moved.channel_ns) == ("link (0, 0) to hub", 32, 16)
    # A narrow port binds where all pass it.
    narrow = ask(TWO, hardware=mesh_chip(network__hub={"at": "edge", "bits_per_ns": 1}))
    costs = check_solution(answer(narrow, pieces_of(*rows))).costs  # type: ignore[arg-type]
    assert costs is not None
    moved = find_moved(costs, find_chain(narrow, answer(narrow, pieces_of(*rows)), costs))  # type: ignore[arg-type]
    assert moved is not None
    assert moved.parts_cycles["port"] == 8 + 32 + 8 + 16
    assert moved.channel == "hub port up"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("strategy", ["spread", "linear", "densemap"])
def test_parts_and_ways_of_moves_sum_to_what_the_chain_has(name: str, strategy: str) -> None:
    judged = on_network(name, strategy)
    chain = find_chain(judged.problem, judged.solution, judged.costs)
    moved = find_moved(judged.costs, chain)
    assert moved is not None
    components = chain.components()
    assert sum(components.values()) == judged.costs.metrics["latency_cycles"]
    assert sum(moved.parts_cycles.values()) == sum(moved.ways_cycles.values()) == components["transfer"]
    assert min(moved.parts_cycles.values()) >= 0
    load = find_load(judged.problem, judged.solution, judged.costs)
    assert max(load.busy_cycles, load.digital_cycles, load.transfer_cycles) == judged.costs.metrics["ii_cycles"]
    assert moved.channel_ns <= load.transfer_cycles < moved.channel_ns + 1


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_token_is_spent_on_sums_to_its_latency(name: str) -> None:
    header = on_network(name).header
    parts = latency_parts_ns(header)
    assert sum(parts.values()) == pytest.approx(header.metrics["latency_ns"])
    assert parts["moves"] == header.metrics["network_latency_ns"]


def test_a_flat_chip_has_no_moves_to_tell_of() -> None:
    problem = ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16))
    solution = solve(problem, "spread")
    assert latency_parts_ns(solution.header) == {}
    assert explain_solution(solution).moved is None
    assert not set(OF_NETWORKS) & set(usual_what_ifs(problem.hardware))
    assert what_if("core-x2", problem, solution).reason == "the chip has no network"


MESH = NETWORKS["edge"]
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("transfer-x2", MESH, {"bits_per_ns": 4}, {}),
    ("port-x2", MESH, {"hub": {"at": "edge", "bits_per_ns": 32}}, {}),
    ("hub-place", MESH, {"hub": {"at": [1, 1], "bits_per_ns": 16}}, {}),
    ("hub-place", NETWORKS["middle"], {"hub": {"at": "edge", "bits_per_ns": 16}}, {}),
    ("core-x2", MESH, {"rows": 1, "pitch_mm": 2 * 2**0.5}, {"core__arrays": 16}),
    ("core-x2", {**NETWORKS["middle"], "cols": 3}, {"hub": {"at": [0, 0], "bits_per_ns": 16}, "rows": 1, "cols": 3,
     "pitch_mm": 2 * 2**0.5}, {"core__arrays": 16}),
    ("tree", {**MESH, "multicast": "unicast"}, {"multicast": "tree"}, {}),
    ("transfer-x2", HTREE, {"bits_per_ns_level": [4, 8]}, {}),
    ("core-x2", HTREE, {"levels": 1, "bits_per_ns_level": [4], "hop_ns_level": [2], "pj_per_bit_level": [1]},
     {"core__arrays": 16}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "network", "other", "changes"), CHANGES)
def test_a_change_of_the_network_is_another_chip(
    name: str, network: dict[str, Any], other: dict[str, Any], changes: dict[str, Any]
) -> None:
    problem = networked(network)
    outcome = what_if(name, problem, solve(problem, "spread"))
    assert outcome.reason == ""
    own = solve(networked({**network, **other}, **changes), "spread").header.metrics
    assert outcome.metrics.keys() == own.keys()
    for metric, value in own.items():
        assert outcome.metrics[metric] == pytest.approx(value, rel=1e-12), metric


@pytest.mark.parametrize(
    ("name", "network", "said"),
    [
        ("tree", MESH, "do that already"),
        ("hub-place", HTREE, "root"),
        ("core-x2", {**HTREE, "fanout": 3}, "fanout of 2"),
        ("core-x2", {**MESH, "rows": 1, "cols": 1}, "single place"),
    ],
)
def test_changes_of_a_network_that_make_no_sense_say_why(name: str, network: dict[str, Any], said: str) -> None:
    problem = networked(network, core__arrays=64)
    assert said in what_if(name, problem, solve(problem, "spread")).reason


def test_an_odd_mesh_has_no_more_arrays_when_its_half_is_rounded_up() -> None:
    problem = networked({**MESH, "rows": 3, "cols": 3}, core__arrays=4)
    assert problem.hardware.arrays_max == 36
    outcome = what_if("core-x2", problem, solve(problem, "spread"))
    assert outcome.reason == ""  # 2 x 3 places of 8 arrays would be 48


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("tiny.json").write_text(json.dumps(TINY))
    sizes = {"array__rows": 16, "array__cols": 16}
    Path("flat.json").write_text(json.dumps(chip(name="flat", **sizes)))
    Path("mesh.json").write_text(json.dumps(mesh_chip(name="mesh", core__arrays=8, **sizes)))


def within(text: str, columns: int = 80) -> bool:
    """Whether all lines keep to the width, but for commands and paths."""
    lines = [line for line in text.splitlines() if not line.startswith("  cimsolve ")]
    return max(map(len, lines)) <= columns


@pytest.mark.usefixtures("specs")
def test_explain_on_a_network(cli: Cli) -> None:
    asked = ["explain", "--hw", "mesh.json", "--model", "tiny.json", "--structure", "4,4,1", "--strategy", "spread"]
    text = cli(*asked).out
    found = json.loads(cli(*asked, "--what-if", "none", "--json").out)
    assert found["moves"]["channel"] in text
    assert all(name in text for name in OF_NETWORKS)
    assert within(text)
    assert set(found["binds"]) == {"arrays", "latency", "ii", "moves"}
    assert sum(found["moves"]["parts_cycles"].values()) == found["latency_cycles"]["transfer"]


@pytest.mark.usefixtures("specs")
def test_a_run_says_what_the_mapping_decides(cli: Cli) -> None:
    words = ["--model", "tiny.json", "--structure", "4,4,1", "--strategy", "spread"]
    run = cli("--hw", "mesh.json", *words, "-v").out
    answer = " ".join(run.partition("\nAnswer\n")[2].split())
    assert "The mapping decides" in answer
    assert re.search(r"in arrays, .* in moves\)", answer)
    assert "distance" not in answer
    assert "moves are what a mapping decides" in " ".join(run.split())
    assert "moving on links" in run
    assert "core buses" in run
    assert re.search(r"token +token +token.*\n +total +arrays +moves", run)
    assert within(run)
    flat = " ".join(cli("--hw", "flat.json", *words).out.split())
    assert "The mapping decides" in flat
    assert "in moves" not in flat
    assert "Not counted, as the chip does not state it: distance between arrays." in flat
    data = json.loads(cli("--hw", "mesh.json", *words, "--json").out)
    (one,) = data["strategies"].values()
    assert sum(data["answer"]["latency_parts_ns"].values()) == pytest.approx(one["metrics"]["latency_ns"])


def test_two_solutions_of_a_network_are_compared_in_what_they_move() -> None:
    found = compare_solutions(*(on_network("edge", strategy).solution for strategy in ("spread", "densemap")))
    assert {"network_latency_ns", "network_energy_pj", "cores"} <= set(found.metrics)
    flat = solve(ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16)), "spread")
    assert "cores" not in compare_solutions(flat, on_network("edge").solution).metrics


@pytest.mark.usefixtures("specs")
def test_compare_tells_what_distance_costs(cli: Cli) -> None:
    words = ["compare", "--model", "tiny.json", "--structure", "4,4,1", "--strategy", "spread,densemap"]
    both = cli(*words, "--hw", "flat.json,mesh.json")
    assert "What distance costs" in both.out
    assert "times as long as on flat" in " ".join(both.out.split())
    assert within(both.out)
    assert "of moves" in cli(*words, "--hw", "flat.json,mesh.json", "--format", "markdown").out
    rows = list(csv.DictReader(cli(*words, "--hw", "flat.json,mesh.json", "--format", "csv").out.splitlines()))
    for row in rows:
        parts = [float(row[name] or 0) for name in ("array_latency_ns", "network_latency_ns", "other_latency_ns")]
        assert sum(parts) == pytest.approx(float(row["latency_ns"]), rel=2e-3)
        assert bool(row["network_latency_ns"]) == row["hardware"].startswith("mesh")
    flat = cli(*words, "--hw", "flat.json")
    assert "distance" not in flat.out
    assert "network_latency_ns" not in cli(*words, "--hw", "flat.json", "--format", "csv").out
