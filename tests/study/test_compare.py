"""`cimsolve compare`: strategies, specs and models side by side; two solutions, up to the numbers of their arrays."""

from __future__ import annotations

import csv
import io
import json
import shlex
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsolve
from cimsolve.cli import parse_command
from cimsolve.problem.plan import write_answer
from cimsolve.problem.solution import read_solution, write_solution
from cimsolve.show.text.sheet import rounded
from cimsolve.study.rounds import solve_rounds
from cimsolve.study.solving import solve
from cimsolve.study.two import find_moves, match_arrays
from makers.builders import answer, ask, chip, linears, pieces_of, step, with_entry
from makers.command_line import Cli, Result
from makers.short_chips import short

TINY = linears(step("a", (16, 16), (16, 16)), step("b", (16, 64)), context=16)
GRID = ["compare", "--model", "tiny.json", "--hw", "paper256", "--jobs", "1"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    Path("tiny.json").write_text(json.dumps(TINY))


def rows_of(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.out)["rows"]
    return found


# A grid


def test_every_row_has_the_figures_of_a_run_of_its_own(cli: Cli) -> None:
    Path("other.json").write_text(json.dumps(linears(step("c", (16, 32)), context=8)))
    words = ["--model", "tiny.json,other.json", "--hw", "paper256", "--hw", "pcm256", "--strategy", "linear,spread"]
    result = cli("compare", *words, "--jobs", "1", "--json")
    assert (result.code, result.err) == (0, "")
    rows = rows_of(result)
    assert len(rows) == 8
    assert rows[0]["model"] == "tiny.json"
    for row in rows:
        alone = cimsolve.map_model(row["model"], row["hardware"], strategy=row["strategy"]).header
        assert (row["state"], row["status"]) == ("solved", alone.status)
        assert row["metrics"] == alone.metrics
        assert row["bounds"] == {name: entry.model_dump() for name, entry in alone.bounds.items()}
        question = (row["model"], row["hardware"])
        (reference,) = [r for r in rows if ((r["model"], r["hardware"]), r["strategy"]) == (question, "linear")]
        energy, ii = (reference["metrics"][name] / row["metrics"][name] for name in ("energy_pj", "ii_ns"))
        assert (row["times_better"]["energy_pj"], row["times_better"]["ii_ns"]) == (energy, ii)


def test_the_reference_is_a_choice(cli: Cli) -> None:
    result = cli(*GRID, "--strategy", "sparsemap,spread", "--json")
    assert json.loads(result.out)["reference"] == "sparsemap"
    rows = rows_of(cli(*GRID, "--strategy", "sparsemap,spread", "--reference", "spread", "--json"))
    arrays = [row["metrics"]["arrays"] for row in rows]
    assert [row["times_better"]["arrays"] for row in rows] == [arrays[1] / arrays[0], 1]


@pytest.mark.parametrize("command", ["compare", "sensitivity"])
def test_the_reference_is_the_first_strategy_unless_said(command: str) -> None:
    def reference(*words: str) -> str:
        options: Any = parse_command([command, *words])[1]
        found: str = options.against
        return found

    assert reference() == "linear"
    assert reference("--strategy", "spread,linear") == "spread"
    assert reference("--strategy", "spread,linear", "--reference", "linear") == "linear"


def test_a_strategy_that_does_not_fit_is_a_row(cli: Cli) -> None:
    limits = ["--set", "array.rows=16", "--set", "array.cols=16", "--max-arrays", "3"]
    result = cli(*GRID, *limits, "--strategy", "linear,spread", "--json")
    assert result.code == 0
    rows = rows_of(result)
    assert rows[0]["state"] == "infeasible"
    assert rows[1]["metrics"]["arrays"] <= 3
    assert rows[1]["times_better"]["arrays"] is None
    shown = cli(*GRID, *limits, "--strategy", "linear,spread").out
    assert "tiny.json on paper256, linear: infeasible: arrays are short: the limit is 3, this rule needs 6" in shown


def test_forms_agree(cli: Cli) -> None:
    words = [*GRID, "--strategy", "linear,spread"]
    rows = rows_of(cli(*words, "--json"))
    table = list(csv.DictReader(io.StringIO(cli(*words, "--format", "csv").out)))
    gaps = [row["bounds"]["energy_pj"]["gap"] for row in rows]
    assert [float(row["gap_energy_pj"]) for row in table] == [rounded(gap) for gap in gaps]
    assert [float(row["ii_ns"]) for row in table] == [rounded(row["metrics"]["ii_ns"]) for row in rows]
    for key in ("model", "hardware", "strategy", "state", "status"):
        assert [row[key] for row in table] == [row[key] for row in rows]
    text = cli(*words, "--format", "markdown").out
    assert text.count("| tiny.json | paper256 | spread") == 3
    assert cli(*words, "--format", "latex").out.count("tiny.json & paper256 & spread") == 3
    shown = cli(*words).out
    for title in ("Figures", "Times better than linear", "Gaps above the bounds", "The same again"):
        assert title in shown


def test_the_printed_command_gives_the_same_again(cli: Cli) -> None:
    words = [*GRID, "--strategy", "linear,spread", "--structure", "4,4,1", "--adcs", "4", "--tokens", "8"]
    said = json.loads(cli(*words, "--json").out)
    again = json.loads(cli(*shlex.split(said["command"])[1:], "--json").out)
    for row in (*said["rows"], *again["rows"]):
        del row["runtime_s"]  # of a kept answer, the time of its check
    assert again == said


# Two solutions


TWO = ask(linears(step("a", (4, 4)), step("b", (4, 4))), hardware=chip(array__rows=8, array__cols=8))
"""Two blocks of 4 x 4, one a stage."""


def test_moves_by_hand() -> None:
    # The first: a on array 0; b on array 1, cut into columns 0-1 and 2-3.
    first = answer(
        TWO, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0), (1, 0, 0, 4, 2, 2, 1, 0, 4))
    )
    # The second: the arrays swap their numbers, the last piece moves down and right, b's two pieces fire apart.
    second = answer(
        TWO,
        pieces_of((0, 0, 0, 4, 0, 4, 1, 0, 0), (1, 0, 0, 4, 0, 2, 0, 0, 0), (1, 0, 0, 4, 2, 2, 0, 4, 6)),
        fires=[0, 1, 2],
    )
    moves = find_moves((first, second), TWO)
    assert (moves.common, moves.in_place, moves.shifted, moves.to_another_array) == (3, 2, 1, 0)
    assert (moves.weights, moves.weights_in_place) == (32, 24)  # 16 + 16; all but 4 x 2
    assert (moves.arrays, moves.arrays_matched, moves.arrays_equal) == ((2, 2), 2, 1)
    assert moves.blocks_cut_otherwise == 0
    together = answer(TWO, first.pieces, fires=[0, 1, 1])
    assert find_moves((together, second), TWO).fired_with_others == 2
    assert find_moves((first, first), TWO).fired_with_others == 0


def test_other_cuts_by_hand() -> None:
    first = answer(
        TWO, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0), (1, 0, 0, 4, 2, 2, 1, 0, 4))
    )
    # b is cut after three columns, and all lies on one array.
    second = answer(
        TWO, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 3, 0, 4, 0), (1, 0, 0, 4, 3, 1, 0, 4, 4))
    )
    moves = find_moves((first, second), TWO)
    assert (moves.pieces, moves.common, moves.in_place) == ((3, 3), 1, 1)
    assert (moves.blocks, moves.blocks_cut_otherwise) == (2, 1)
    assert (moves.arrays, moves.arrays_matched, moves.arrays_equal) == ((2, 1), 1, 0)


def test_a_renumbered_solution_is_the_same(cli: Cli) -> None:
    first = cimsolve.map_model("minilm-l6", "paper256", strategy="spread")
    arrays = int(first.pieces.array.max()) + 1
    new = np.random.default_rng(5).permutation(arrays)
    problem = cimsolve.make_problem("minilm-l6", "paper256")
    other = replace(
        first,
        pieces=replace(first.pieces, array=new[first.pieces.array]),
        activations=replace(first.activations, array=new[first.activations.array]),
    )
    moves = find_moves((first, other), problem)
    assert moves.in_place == moves.common == len(first.pieces)
    assert moves.arrays_equal == moves.arrays_matched == arrays
    assert (moves.fired_with_others, moves.blocks_cut_otherwise) == (0, 0)


def test_matching_is_the_best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    for _ in range(30):
        first, second = random.integers(0, 4, 12), random.integers(0, 4, 12)
        worth = random.integers(1, 9, 12)
        partner = match_arrays(first, second, worth, (4, 4))
        got = int(worth[partner[first] == second].sum())
        best = max(int(worth[np.array(way)[first] == second].sum()) for way in permutations(range(4)))
        assert got == best
        assert len(set(partner[partner >= 0].tolist())) == (partner >= 0).sum()
    monkeypatch.setattr("cimsolve.study.two.PAIRS_MAX", 0)
    for _ in range(30):
        first, second = random.integers(0, 4, 12), random.integers(0, 4, 12)
        worth = random.integers(1, 9, 12)
        partner = match_arrays(first, second, worth, (4, 4))
        best = max(int(worth[np.array(way)[first] == second].sum()) for way in permutations(range(4)))
        # A greedy matching is worth at least half of the best.
        assert 2 * int(worth[partner[first] == second].sum()) >= best
        assert len(set(partner[partner >= 0].tolist())) == (partner >= 0).sum()


@pytest.fixture
def two_files() -> tuple[str, str]:
    for strategy in ("spread", "sparsemap"):
        cimsolve.write_solution(cimsolve.map_model("tiny.json", "paper256", strategy=strategy), f"{strategy}.json")
    return "spread.json", "sparsemap.json"


def test_two_files(cli: Cli, two_files: tuple[str, str]) -> None:
    result = cli("compare", *two_files, "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    first, second = (read_solution(Path(name)).header for name in two_files)
    metric = found["metrics"]["latency_ns"]
    assert (metric["first"], metric["second"]) == (first.metrics["latency_ns"], second.metrics["latency_ns"])
    assert metric["ratio"] == second.metrics["latency_ns"] / first.metrics["latency_ns"]
    stages = found["stages"]
    assert [stage["stage"] for stage in stages] == [stage.name for stage in first.stages]
    # These stages follow each other: their times and the gaps sum to the latency without the tail.
    for name, header in (("first", first), ("second", second)):
        tail = max(stage.tail_cycles for stage in header.stages)
        total = sum(stage[f"arrays_{name}_ns"] + stage[f"gap_{name}_ns"] for stage in stages)
        assert total + tail == header.metrics["latency_ns"]
    shown = cli("compare", *two_files).out
    for title in ("What it bought", "What moved", "Time of stages by kind"):
        assert title in shown
    assert "latency_ns," in cli("compare", *two_files, "--format", "csv").out
    assert cli("compare", *two_files, "--format", "markdown").out.startswith("| metric")
    assert (
        f"% cimsolve compare {' '.join(two_files)} --format latex\n"
        in cli("compare", *two_files, "--format", "latex").out
    )


def test_from_python(two_files: tuple[str, str]) -> None:
    found = cimsolve.compare_solutions(cimsolve.read_solution(two_files[0]), two_files[1])
    assert found.metrics["arrays"] == tuple(read_solution(Path(name)).header.metrics["arrays"] for name in two_files)
    assert found.differences == ()


def test_files_of_other_questions(cli: Cli, two_files: tuple[str, str]) -> None:
    other = cimsolve.map_model("tiny.json", "pcm256", strategy="spread")
    cimsolve.write_solution(other, "pcm.json")
    found = json.loads(cli("compare", two_files[0], "pcm.json", "--json").out)
    assert not [text for text in found["differences"] if text.startswith("hw.clock_ns")]
    assert "hw.input.dac_bits is 1 in the first and 8 in the second" in found["differences"]
    assert "hw.macro is not in the first" in found["differences"]
    assert found["moves"]["weights"] == read_solution(Path("pcm.json")).pieces.rows @ other.pieces.cols
    cimsolve.write_solution(cimsolve.map_model("tiny.json", "paper256", strategy="linear"), "linear.json")
    shown = cli("compare", two_files[0], "linear.json").out
    assert "Not comparable: the two do not store the same blocks: structure.a0 is" in shown


def test_answers_in_runs_and_solutions_are_compared_in_what_both_have(cli: Cli) -> None:
    model = linears(step("a", (8, 8), (8, 8)), step("b", (8, 8)))
    rounds, resident = solve_rounds(short(model, 2), "spread", batch=3), solve(short(model, 9), "spread")
    write_answer(rounds, Path("rounds.json"))
    write_answer(resident, Path("resident.json"))
    found = cimsolve.compare_solutions("rounds.json", resident)
    for name in ("arrays", "latency_ns", "prefill_ns", "ii_ns", "energy_pj", "area_mm2"):
        assert found.metrics[name] == (rounds.header.metrics[name], resident.header.metrics[name])
    assert "write_ns" not in found.metrics
    assert (found.moves, found.stages) == (None, None)
    assert any("array.count" in told for told in found.differences)
    shown = cli("compare", "rounds.json", "resident.json")
    assert (shown.code, shown.err) == (0, "")
    assert f"in rounds, {len(rounds.runs)} of them" in shown.out
    both = json.loads(cli("compare", "rounds.json", "rounds.json", "--json").out)
    assert both["metrics"]["write_ns"]["ratio"] == 1
    worse = replace(rounds, header=rounds.header.model_copy(update={"metrics": {**rounds.header.metrics, "runs": 9}}))
    write_answer(worse, Path("worse.json"))
    refused = cli("compare", "worse.json", "resident.json")
    assert refused.code == 1
    assert "worse.json: fails its check, metrics" in refused.err


def test_a_grid_has_answers_in_runs_where_arrays_are_short(cli: Cli) -> None:
    Path("wide.json").write_text(json.dumps(linears(step("a", (256, 512)), step("b", (512, 256)), context=8)))
    asked = ["compare", "--hw", "paper256", "--model", "wide.json", "--structure", "dense", "--jobs", "1", "--json"]
    found = rows_of(cli(*asked, "--strategy", "linear,optimal", "--set", "array.count=2", "--when-short", "rounds"))
    assert [row["status"] for row in found] == ["rounds", "rounds"]
    assert found[0]["times_better"]["latency_ns"] == 1
    assert "--when-short rounds" in found[0]["command"]


def test_times_are_compared_in_ns_whatever_the_clocks() -> None:
    slow = ask(linears(step("a", (4, 4))), hardware=chip(clock_ns=5))
    fast = ask(linears(step("a", (4, 4))), hardware=chip())
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0))
    found = cimsolve.compare_solutions(answer(slow, pieces), answer(fast, pieces))
    # 2 * (3 + 2 * 2) = 14 ns, rounded up to three periods of 5 ns.
    assert found.metrics["array_ii_ns"] == (15, 14)
    assert found.metrics["array_latency_ns"] == (15, 14)
    assert "hw.clock_ns is 5.0 in the first and 1.0 in the second" in found.differences


def test_a_file_that_fails_its_check_is_not_compared(cli: Cli, two_files: tuple[str, str]) -> None:
    write_solution(with_entry(read_solution(Path(two_files[0])), "pieces__array_row", 0, 256), Path("bad.json"))
    result = cli("compare", two_files[1], "bad.json")
    assert (result.code, result.out) == (1, "")
    assert "bad.json: fails its check, P" in result.err


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["one.json"], "got 1, expected two solution files"),
        (["a.json", "b.json", "--hw", "pcm256"], "--hw: two files state their own questions"),
        (["a.json", "b.json", "--strategy", "spread"], "--strategy: is of a comparison that is solved"),
        (["a.json", "--jobs=2", "b.json"], "--jobs: is of a comparison that is solved"),
        (["--stages", "3"], "--stages: is of two files"),
        (["--batch", "3"], "--batch: is of rounds; expected --when-short rounds"),
        (["nosuch.json", "b.json"], "nosuch.json: there is no such file"),
        (["--strategy", "spread", "--reference", "linear"], "--reference linear: expected one of the strategies"),
        (["--hw", "paper256,,pcm256"], "expected names between commas"),
        (["--hw", "papr256"], "did you mean paper256?"),
        (["--refrence", "spread"], "did you mean --reference?"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(cli: Cli, argv: list[str], part: str) -> None:
    result = cli("compare", *argv)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert part in result.err
