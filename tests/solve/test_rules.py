"""Random questions and mappings: every rule of the field is legal, and the naive checker agrees on the rest."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cimsolve.errors import InfeasibleError, InputError
from cimsolve.judge.check import RULES, check_solution
from cimsolve.price.schedule import schedule
from cimsolve.problem.objective import OBJECTIVES
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.strategies import RULES as STRATEGIES
from cimsolve.study.solving import problem_for, solve
from makers.builders import NOTHING, OPERATIONS, answer, ask, chip, fired_of, linears, macro_chip, rules_of, step
from makers.random_experts import mixture, stored_alike
from oracles.naive_checker import broken_rules, shapes_of

MAPPING_RULES = [rule for rule in RULES if not rule.on_claims and rule.name not in {"factors", "stages"}]
"""What the naive checker knows too."""

quick = settings(max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def hardware(draw: st.DrawFn) -> dict[str, Any]:
    """Small chips: bit slices, differential pairs, wirings, limits on rows, converters and arrays, macros."""
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(2, 12))
    cell, dac = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    changes: dict[str, Any] = {
        "array__rows": rows,
        "array__cols": cols,
        "array__rows_active_max": draw(st.none() | st.integers(1, rows)),
        "clock_ns": draw(st.sampled_from([1, 1.7, 4])),
        "cell__bits": cell,
        "weight__bits": draw(st.integers(cell, 3)),
        "weight__signed": draw(st.sampled_from(["none", "differential"])),
        "input__bits": draw(st.integers(dac, 4)),
        "input__dac_bits": dac,
        "adc__per_array": draw(st.integers(1, min(5, cols))),
        "adc__wiring": draw(st.sampled_from(["any", "interleaved", "adjacent"])),
        "adc__bits_rule": draw(st.sampled_from(["lossless", "log2_rows"])),
        "adc__bits_max": draw(st.integers(2, 4)),
        "adc__lossy_allowed": draw(st.booleans()),
        "adc__sample_hold": draw(st.booleans()),
        "transfer__base_ns": draw(st.sampled_from([0, 0, 1.5])),
        "transfer__bits_per_ns": draw(st.sampled_from([1e9, 16])),
        "digital__ops": {name: {**NOTHING, "per_element_ns": draw(st.sampled_from([0, 0.5]))} for name in OPERATIONS},
    }
    return (macro_chip if draw(st.integers(0, 5)) == 0 else chip)(**changes)


@st.composite
def structures(draw: st.DrawFn, n_in: int, n_out: int) -> str:
    if draw(st.booleans()):
        return "dense"
    k = draw(st.sampled_from([k for k in range(1, n_in + 1) if n_in % k == 0]))
    l = draw(st.sampled_from([l for l in range(1, n_out + 1) if n_out % l == 0]))  # noqa: E741
    return f"{k},{l},{draw(st.integers(1, min(n_in // k, n_out // l, 2)))}"


@st.composite
def problems(draw: st.DrawFn, width: int = 12) -> Problem:
    """Graphs of up to four steps whose sizes seldom divide; steps that read the same or nothing run beside."""
    steps: list[dict[str, Any]] = []
    structure: dict[str, str] = {}
    for index in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)):
            n_in = draw(st.integers(1, width))
            shapes = [(n_in, draw(st.integers(1, width))) for _ in range(draw(st.integers(1, 2)))]
            listed = step(f"s{index}", *shapes)
        else:
            listed = mixture(Random(draw(st.integers(0, 999))), f"s{index}", width, min(width, 6))
        for entry in listed["linears"]:
            structure[entry["name"]] = draw(structures(entry["n_in"], entry["n_out"]))
        if index:
            earlier = [f"s{before}" for before in range(index)]
            listed["barrier"] = draw(st.booleans())
            listed["reads"] = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2))
            if listed["reads"] and draw(st.booleans()):
                listed["operations"] = [{"name": "activation", "elements": draw(st.integers(1, 9))}]
        steps.append(listed)
    cut = draw(st.sampled_from(["none", "columns", "both"]))
    config = linears(*steps, context=3)
    try:
        return ask(config, stored_alike(config, structure), draw(hardware()), cut)
    except InputError:
        assume(False)
        raise


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(problem=problems())
@quick
def test_every_rule_of_the_field_is_legal(strategy: str, problem: Problem) -> None:
    try:
        solution = solve(problem, strategy)
    except InfeasibleError:
        return
    report = check_solution(solution, problem_for(strategy, problem))
    assert not report.violations
    assert not report.unverified
    assert broken_rules(solution) == set()


@given(problem=problems(width=6), strategy=st.sampled_from(sorted(STRATEGIES)))
@quick
def test_shapes_and_durations_are_those_counted_cell_by_cell(problem: Problem, strategy: str) -> None:
    solution = solve(problem, strategy)
    agree_on_shapes(solution, problem)


def agree_on_shapes(solution: Solution, problem: Problem) -> None:
    found = fired_of(problem, solution)
    needed = problem.hardware.adc_bits_needed(found.stacked).tolist()
    for number, shape in enumerate(shapes_of(solution)):
        assert shape.rows == found.rows[number]
        assert shape.columns == found.columns[number]
        assert shape.cells == found.cells[number]
        assert shape.n == found.stacked[number]
        assert shape.v == found.conversions[number]
        assert shape.bits_needed == needed[number]
        assert shape.cycles == found.cycles[number]


def random_mapping(problem: Problem, random: np.random.Generator) -> Mapping:
    """Blocks cut and placed at random, seldom over each other, and fired together at random within a stage."""
    rows: list[tuple[int, ...]] = []
    taken: set[tuple[int, int, int]] = set()
    arrays = int(random.integers(1, 6))
    for factor in problem.workload.factors:
        for block in range(factor.blocks):
            for row0, height in cuts(factor.block_rows, problem.rows_limit, random):
                for col0, width in cuts(factor.block_cols, problem.weights_per_row, random):
                    place = free_place(problem, height, width, taken, arrays, random)
                    rows.append((factor.id, block, row0, height, col0, width, *place))
    pieces = Pieces(*(np.array(values, dtype=np.int64) for values in zip(*rows, strict=True)))
    stage = problem.table.stage[pieces.factor]
    groups = random.integers(0, int(random.integers(1, len(pieces) + 1)), len(pieces))
    return Mapping(pieces, (stage * 100 + pieces.array) * len(pieces) + groups)


def free_place(
    problem: Problem,
    height: int,
    width: int,
    taken: set[tuple[int, int, int]],
    arrays: int,
    random: np.random.Generator,
) -> tuple[int, int, int]:
    """Array, row and column where nothing lies, found by trying, or where something does."""
    for attempt in range(20):
        array = int(random.integers(0, arrays if attempt < 10 else 100))
        top = int(random.integers(0, problem.rows - height + 1))
        left = int(random.integers(0, problem.weights_per_row - width + 1))
        cells = {(array, top + row, left + col) for row in range(height) for col in range(width)}
        if not cells & taken:
            break
    taken |= cells
    return array, top, left


def cuts(size: int, limit: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Start and length of random parts, mostly the fewest."""
    parts: list[int] = []
    least = 1 if random.random() < 0.2 else limit
    while size > sum(parts):
        parts.append(min(size - sum(parts), int(random.integers(least, limit + 1))))
    return list(zip((np.cumsum(parts) - parts).tolist(), parts, strict=True))


def corrupted(solution: Solution, random: np.random.Generator) -> Solution:
    """One entry moved a little, or two swapped; still a well-formed table."""
    from makers.builders import column, with_tables

    paths = ["array", "array_row", "array_col", "row0", "rows", "col0", "cols"]
    times = ["start", "end", "adc_bits", "array"]
    path = random.choice([f"pieces__{name}" for name in paths] + [f"activations__{name}" for name in times])
    values = column(solution, str(path))
    at = int(random.integers(len(values)))
    if random.random() < 0.3:
        other = int(random.integers(len(values)))
        values[at], values[other] = values[other], values[at]
    else:
        values[at] += int(random.choice([-2, -1, 1, 2]))
    least = 1 if str(path).endswith(("rows", "cols", "end", "adc_bits")) else 0
    values[at] = max(least, values[at])
    return with_tables(solution, **{str(path): values})


@given(problem=problems(width=4), seed=st.integers(0, 2**32))
@settings(quick, max_examples=20)
def test_the_naive_checker_agrees_on_random_mappings(problem: Problem, seed: int) -> None:
    random = np.random.default_rng(seed)
    shell = shell_of(problem)
    mapping, activations = schedule(problem, random_mapping(problem, random))
    solution = Solution(shell.header, mapping.pieces, activations)
    agree_on_shapes(solution, problem)
    compare(solution)
    compare(corrupted(solution, random))


@given(problem=problems(width=4), seed=st.integers(0, 2**32))
@quick
def test_no_random_mapping_that_is_legal_beats_a_bound(problem: Problem, seed: int) -> None:
    random = np.random.default_rng(seed)
    mapping = random_mapping(problem, random)
    solution = answer(problem, mapping.pieces, mapping.fires.tolist(), objective=random.choice(OBJECTIVES))
    report = check_solution(solution)
    if rules_of(report) & {rule.name for rule in MAPPING_RULES}:
        return
    assert not report.violations


@given(problem=problems(width=6), strategy=st.sampled_from(sorted(STRATEGIES)), seed=st.integers(0, 2**32))
@settings(quick, max_examples=24)
def test_the_naive_checker_agrees_on_corrupted_answers(problem: Problem, strategy: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    solution = solve(problem, strategy)
    for _ in range(int(random.integers(1, 3))):
        solution = corrupted(solution, random)
    compare(solution)


def shell_of(problem: Problem) -> Solution:
    """Any answer, for its header."""
    return solve(problem, "spread")


def compare(solution: Solution) -> None:
    found = rules_of(check_solution(solution, rules=MAPPING_RULES))
    if found <= {"tables", "S1"} and found:
        return  # nothing else is defined
    # What has no answer: how often a block is cut, what its sums cost and what it feeds beyond its end, if it is
    # not covered; which converter reads a column outside the array; whose column is spoilt where pieces overlap
    # or fire on two arrays; when an activation runs that is of two experts.
    moot = {"cut", "S2", "S3 outputs", "S5", "S6 shared units"} if "P1" in found else set()
    moot |= {"durations"} if "P2" in found else set()
    moot |= {"S3 columns"} if found & {"P3", "P5", "array"} else set()
    moot |= {"S4"} if "S7" in found else set()
    naive = broken_rules(solution)
    assert found - moot == naive - moot
