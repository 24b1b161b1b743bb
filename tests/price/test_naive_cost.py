"""Every figure of a mapping against those found cell by cell from docs/formulation.md, with none of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.errors import InfeasibleError
from cimsolve.model.families import parse_model
from cimsolve.price.claims import describe_breakdown
from cimsolve.price.cost import evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.solution import Solution
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import solve
from makers.builders import activations_of, ask, chip, linears, pieces_of, step
from makers.cost_cases import Case, differences, naive_of, random_case
from makers.drawn_solutions import tiny_solution
from makers.folders import TESTS
from makers.tiny_problems import random_problems
from oracles.naive_cost import NaiveCost

SEEDS = 200
"""Random mappings that are priced twice."""


def naive_of_solution(solution: Solution) -> NaiveCost:
    header = solution.header
    model = parse_model(header.model, "model", header.model_name, header.options.tokens)
    place = None if solution.sites is None else solution.sites.place.tolist()
    tables = solution.pieces, solution.activations, place, header.options.routing
    return NaiveCost(header.hw, model, header.structure, *tables)


def assert_header_agrees(solution: Solution, earliest: bool = True) -> None:
    """Metrics, breakdown, stages and factors of a file are the oracle's."""
    naive, header = naive_of_solution(solution), solution.header
    breakdown = header.breakdown.model_dump()
    assert differences(naive, header.metrics, breakdown, solution.activations, earliest=earliest) == set()
    told = [(s.name, s.layer, s.pass_name, s.phase, [(a.stage, a.gap_cycles) for a in s.after]) for s in header.stages]
    assert told == [
        (s.name, s.layer, s.of_pass, s.phase, [(read, gap.cycles) for read in s.reads])
        for s, gap in zip(naive.flow.stages, naive.gaps.before, strict=True)
    ]
    for number, stage in enumerate(header.stages):
        last = number in naive.flow.tails[stage.pass_name].after
        assert stage.tail_cycles == (naive.gaps.tails[stage.pass_name].cycles if last else 0)
    shapes = [(f.stage, f.blocks, f.block_rows, f.block_cols) for f in header.factors]
    assert shapes == [(f.stage, f.blocks, f.rows, f.cols) for f in naive.flow.factors]


# By hand


def test_a_tiny_chip_by_hand() -> None:
    """Round numbers, each followed through by hand; the oracle alone is asked.

    The plain chip of `builders`: 8 x 8 cells, a weight a cell, clock 1 ns, f = 2, a read 3 ns, A = 2 converters; 2
    stacked rows take 1 bit, which is 1 ns, 1 pJ and 10 um2. `a` is 4 x 4 stored as 2,2,1, two blocks of 2 x 2 in
    each factor; `b` is 4 x 2, dense and cut at half of its rows, after attention. Three tokens.

    array 0   blocks of a.R on a diagonal, fired at once: 4 rows, 4 columns, 8 cells; 2 * (3 + 2 * 1) = 10 ns
              blocks of a.L below, one over the other: 2 rows, 2 columns, 4 cells each; 2 * (3 + 1) = 8 ns each
    array 1   halves of b on a diagonal, fired at once: as a.R, 10 ns

    before a.L   z is 2 * 2 * 1 elements of 2 bits: 1 + 8/8 = 2 ns, 4 pJ
    before b     activation of 4 on 4 lanes 2 + 1 = 3 ns, 1 + 4/4 = 2 pJ; 4 elements: 2 ns, 4 pJ
    tail         2 sums 1 + 1 = 2 ns, 0.5 + 2/8 = 0.75 pJ; 2 elements: 1 + 4/8 ns in 2 cycles, 2 pJ

    a.R 0-10, a.L 12-20 and 20-28, b 33-43, out at 47.
    """
    config = linears(
        step("a", (4, 4)),
        step("b", (4, 2), operations=[{"name": "activation", "elements": 4}], barrier=True),
        context=3,
    )
    hardware = chip(
        digital__ops__activation={"base_ns": 2, "per_element_ns": 1, "base_pj": 1, "per_element_pj": 0.25},
        digital__ops__add={"base_ns": 1, "per_element_ns": 1, "base_pj": 0.5, "per_element_pj": 0.125},
    )
    pieces = pieces_of(
        (0, 0, 0, 2, 0, 2, 0, 0, 0),
        (0, 1, 0, 2, 0, 2, 0, 2, 2),
        (1, 0, 0, 2, 0, 2, 0, 4, 0),
        (1, 1, 0, 2, 0, 2, 0, 6, 0),
        (2, 0, 0, 2, 0, 2, 1, 0, 0),
        (2, 0, 2, 2, 0, 2, 1, 2, 4),
    )
    believed = activations_of((0, 0, 0, 0, [0, 1]), (0, 12, 0, 0, [2]), (0, 20, 0, 0, [3]), (1, 33, 0, 0, [4, 5]))
    structure = {"a0": "2,2,1", "b0": "dense"}
    found = NaiveCost(hardware, parse_model(config, "model", "tiny"), structure, pieces, believed)
    assert [(each.start, each.end, each.bits) for each in found.firings] == [
        (0, 10, 1),
        (12, 20, 1),
        (20, 28, 1),
        (33, 43, 1),
    ]
    gaps_pj, arrays_pj = 4 + (2 + 4) + (0.75 + 2), 12 + 12 + 3 + 24 + 48
    leak_pj = 2 * 1e-3  # a ns
    assert found.metrics == {
        "arrays": 2,
        "occupancy": pytest.approx((8 + 8 + 8) / 128),
        "latency_cycles": 47,
        "latency_ns": 47,
        "array_latency_ns": 10 + 16 + 10,
        "prefill_tokens": 3,
        "prefill_ns": (28 + 2 * 26) + (19 + 2 * 10),  # array 0 works 26 in the first phase, array 1 10 in the second
        "array_prefill_ns": (26 + 2 * 26) + (10 + 2 * 10),
        "ii_cycles": 26,  # digital units 3 + 2, interconnect 2 + 2 + 2
        "ii_ns": 26,
        "array_ii_cycles": 26,
        "array_ii_ns": 26,
        "decode_tokens_per_s": pytest.approx(1e9 / 47),
        "prefill_tokens_per_s": pytest.approx(3e9 / 119),
        "throughput_tokens_per_s": pytest.approx(1e9 / 26),
        "energy_pj": pytest.approx(arrays_pj + gaps_pj + leak_pj * 47),
        "array_energy_pj": arrays_pj,  # 2 * 12 rows / 2, 2 * 24 cells / 4, 2 * 12 columns * (1/8 + 1 + 2)
        "prefill_energy_pj": pytest.approx(3 * (arrays_pj + gaps_pj) + leak_pj * 119),
        "throughput_energy_pj": pytest.approx(arrays_pj + gaps_pj + leak_pj * 26),
        "fixed_latency_ns": 2 + 5 + 2,  # nothing forces the cut, so no sums
        "fixed_prefill_ns": (2 + 2 * 2) + (7 + 2 * 4),
        "fixed_ii_cycles": 6,
        "fixed_ii_ns": 6,
        "fixed_energy_pj": pytest.approx(4 + 6 + 2 + 12 + 1e-3 * 9),  # gaps, cells, one array for 9 ns
        "area_mm2": pytest.approx(2 * (100 + 2 * 10) * 1e-6),
        "adc_conversions": 2 * (4 + 2 + 2 + 4),
        "adc_bits_max": 1,
        "lossy_activations": 0,
        "array_busy_share": pytest.approx((26 + 10) / (2 * 47)),
        "active_cell_share": pytest.approx((8 * 10 + 4 * 8 + 4 * 8 + 8 * 10) / (128 * 36)),
        "pieces": 6,
        "activations": 4,
    }
    assert found.breakdown["latency_cycles"] == {"array": 36, "partial_sums": 2, "digital": 3, "transfer": 6, "wait": 0}
    assert found.breakdown["phases"]["fill_cycles"] == [28, 15 + 4]
    assert found.breakdown["tail"]["gap_pj"] == 2.75


# Against the package


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_random_mappings_cost_the_same_cell_by_cell(first: int) -> None:
    for seed in range(first, first + 20):
        case = random_case(seed)
        fired, activations = schedule(case.problem, case.mapping)
        costs = evaluate(fired, activations)
        naive = naive_of(case, fired.pieces, activations)
        breakdown = describe_breakdown(costs).model_dump()
        assert differences(naive, costs.metrics, breakdown, activations, case.mapping.order) == set(), seed


def parts_of(case: Case) -> set[str]:
    """Where the parts of outputs that are cut along the rows lie."""
    pieces, place, core = case.mapping.pieces, case.mapping.place, case.problem.hardware.core
    arrays: dict[tuple[int, ...], list[int]] = {}
    assert core is not None
    for factor, block, column, array in zip(
        *(getattr(pieces, name).tolist() for name in ("factor", "block", "col0", "array")), strict=True
    ):
        arrays.setdefault((factor, block, column), []).append(array)
    found = set()
    for makers in [each for each in arrays.values() if len(each) > 1]:
        cores = {array // core.arrays if place is None else int(place[array]) for array in makers}
        found.add("parts in several cores" if len(cores) > 1 else "parts in one core")
        if len(set(makers)) < len(makers):
            found.add("parts on one array")
    return found


def kinds_of_experts(case: Case) -> set[str]:
    pieces, problem = case.mapping.pieces, case.problem
    found = set()
    for stage, members in zip(problem.workload.stages, problem.workload.factors_of_stage, strict=True):
        if stage.experts is None:
            continue
        found.add("experts of own inputs" if stage.experts.own_inputs else "experts of one input")
        found.add("all experts chosen" if stage.experts.chosen == stage.experts.stored else "some experts chosen")
        always = [number for number in members if problem.table.expert[number] < 0]
        found.add("experts and others" if always else "experts alone")
        for array in set(pieces.array.tolist()):
            here = problem.table.expert[pieces.factor[np.isin(pieces.factor, members) & (pieces.array == array)]]
            if len(set(here[here >= 0].tolist())) > stage.experts.chosen:
                found.add("more experts on an array than chosen")
        cut = np.isin(pieces.factor, members) & (pieces.row0 > 0) & (problem.table.expert[pieces.factor] >= 0)
        found |= {"experts cut along the rows"} if cut.any() else set()
    return found


def kinds_of(case: Case) -> Iterator[str]:
    """What there is about a case that is priced in its own way."""
    problem, hardware = case.problem, case.problem.hardware
    workload = problem.workload
    yield f"{len(workload.tails)} passes"
    yield "several phases" if len({stage.phase for stage in workload.stages}) > 1 else "one phase"
    yield "chain" if workload.is_chain else "branches"
    yield "own order" if case.mapping.order is not None else "order of the model"
    yield "several tokens" if problem.model.tokens > 1 else "one token"
    several = any(len({each.input for each in step.linears}) > 1 for step in problem.model.steps)
    yield "steps of several inputs" if several else "steps of one input"
    yield "weights fire again" if workload.laps > 1 else "weights fire once"
    yield f"cut {problem.cut}"
    yield "forced row cuts" if problem.must_cut_rows else "no forced row cuts"
    structures = problem.structures.values()
    yield from {"dense" if how.is_dense else "low rank" if how.k == how.l == 1 else "monarch" for how in structures}
    yield "memory of keys and values" if hardware.memory and problem.model.cached_elements else "no memory"
    yield "macro" if hardware.macro is not None else "array model"
    yield hardware.adc.wiring
    yield hardware.adc.bits_rule
    yield "lossy allowed" if hardware.adc.lossy_allowed else "lossless only"
    yield "sample and hold" if hardware.adc.sample_hold else "no sample and hold"
    yield "rows limited" if hardware.array.rows_active_max is not None else "rows free"
    yield hardware.weight.signed
    yield f"{len(hardware.adc.table or ())} lines"
    yield from kinds_of_experts(case)
    network = hardware.network
    if network is not None:
        yield network.multicast
        yield (
            network.topology
            if network.topology == "htree"
            else f"mesh, hub {'edge' if network.hub.at == 'edge' else 'mid'}"
        )
        yield "places in order" if case.mapping.place is None else "places of its own"
        yield from parts_of(case)
    yield "several pieces" if len(set(case.mapping.fires.tolist())) < len(case.mapping.fires) else "one piece each"


def test_random_mappings_are_of_every_kind() -> None:
    """Eight of each among them at least."""
    counts: dict[str, int] = {}
    for seed in range(SEEDS):
        for kind in kinds_of(random_case(seed)):
            counts[kind] = counts.get(kind, 0) + 1
    assert {kind: count for kind, count in counts.items() if count < 8} == {}
    assert len(counts) == 62, sorted(counts)


@pytest.mark.parametrize("strategy", RULES)
def test_every_rule_writes_the_figures_that_follow_from_its_cells(strategy: str) -> None:
    answers: list[Solution] = []
    for seed in range(8):
        with suppress(InfeasibleError):  # cores may be too few
            answers.append(solve(random_case(seed).problem, strategy))
    assert {answer.sites is None for answer in answers} == {True, False}
    for each in answers:
        assert_header_agrees(each)


@pytest.mark.parametrize("number", range(6))
def test_the_solver_writes_the_figures_that_follow_from_its_cells(number: int) -> None:
    problem = random_problems(5, 6)[number]
    assert_header_agrees(solve(problem.asking(objective=("arrays", "latency")), "optimal"))


def test_the_solver_on_a_graph_with_branches() -> None:
    graph = linears(
        step("a", (2, 2)), step("b", (2, 4)), step("c", (2, 2), reads=["a"]), step("d", (4, 1), reads=["b"])
    )
    problem = ask(graph, hardware=chip(array__rows=4, array__cols=4))
    assert not problem.workload.is_chain
    assert_header_agrees(solve(problem.asking(objective=("arrays", "latency")), "optimal"), earliest=False)


def test_the_solution_that_is_drawn() -> None:
    assert_header_agrees(tiny_solution())


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "strategy"), [("paper256", "spread"), ("pcm256", "densemap")])
def test_a_whole_model(strategy: str, spec: str) -> None:
    assert_header_agrees(solve(make_problem("minilm-l6", spec), strategy))


# The oracle itself


def test_no_figure_can_change_unnoticed() -> None:
    solution = tiny_solution()
    naive, metrics = naive_of_solution(solution), solution.header.metrics
    breakdown = solution.header.breakdown.model_dump()
    for name, value in metrics.items():
        wrong = value + 1 if isinstance(value, int) else value * (1 + 1e-8) or 1e-8
        found = differences(naive, {**metrics, name: wrong}, breakdown, solution.activations)
        assert found == {f"metrics.{name}"}
    for part, figures in breakdown.items():
        for name in figures:
            changed = {**breakdown, part: {key: value for key, value in figures.items() if key != name}}
            assert differences(naive, metrics, changed, solution.activations) == {f"breakdown.{part}.{name}"}


@pytest.mark.parametrize(
    "name", ["naive_chip", "naive_dataflow", "naive_network", "naive_moves", "naive_memory", "naive_gaps", "naive_cost"]
)
def test_the_oracle_imports_nothing_of_the_package(name: str) -> None:
    tree = ast.parse((TESTS / "oracles" / f"{name}.py").read_text())
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    known = {"__future__", "collections", "collections.abc", "dataclasses", "itertools", "math", "typing"}
    assert {name for name in imported if not name.startswith("oracles.naive_")} <= known
