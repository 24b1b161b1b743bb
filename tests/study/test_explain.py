"""`cimsolve explain`: the chain sums to the latency, changes are solved again, limits that would do really do."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsolve
from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution, read_solution, write_solution
from cimsolve.solve.effort import Answer, Effort, Event
from cimsolve.solve.strategies import RULES, STRATEGIES
from cimsolve.study import solving as run_module
from cimsolve.study.explain.chain import Chain, find_chain, find_load
from cimsolve.study.explain.change import what_if
from cimsolve.study.explain.limits import find_relief
from cimsolve.study.solving import solve
from makers.builders import answer, ask, chip, linears, pieces_of, step, with_entry
from makers.command_line import Cli, Result
from makers.random_experts import mixture

TINY = linears(step("a", (16, 16), (16, 16)), step("b", (16, 64)), context=16)
BRANCHES = linears(
    step("a", (16, 16)),
    step("b", (16, 16), reads=["a"]),
    step("c", (16, 64), reads=["a"]),
    step("d", (64, 16), reads=["b", "c"]),
)
SMALL = ["--set", "array.rows=16", "--set", "array.cols=16"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("tiny.json").write_text(json.dumps(TINY))


def chain_of(problem: Problem, solution: Solution) -> Chain:
    report = check_solution(solution)
    assert report.costs is not None
    return find_chain(report.problem or problem, solution, report.costs)


# The chain and the load


def test_a_chain_by_hand() -> None:
    # Two dense 4 x 4 matrices, w = 1, f = 2 phases, read 3 ns, 2 converters of 2 ns at the 2 bits of 4 rows.
    problem = ask(linears(step("a", (4, 4)), step("b", (4, 4))), hardware=chip())
    # a whole on array 0: v = 2 columns a converter, 2 * (3 + 2 * 2) = 14 cycles: 6 reading, 8 converting.
    # b in columns 0-2 on array 1 and column 3 on array 2: the first ends last, v = 2: 14 again. The transfer of 4
    # elements of 2 bits before it: 1 + 8 / 8 = 2 cycles, and 2 after it.
    solution = answer(
        problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 3, 1, 0, 0), (1, 0, 0, 4, 3, 1, 2, 0, 0))
    )
    chain = chain_of(problem, solution)
    assert chain.stage.tolist() == [0, 1]
    assert (chain.read.tolist(), chain.convert.tolist()) == ([6, 6], [8, 8])
    assert (chain.transfer.tolist(), chain.tail.transfer_cycles) == ([0, 2], 2)
    assert chain.array.tolist() == [0, 1]
    assert chain.components() == {
        "read": 12, "convert": 16, "idle": 0, "partial_sums": 0, "digital": 0, "transfer": 4, "wait": 0,
    }  # fmt: skip
    assert solution.header.metrics["latency_cycles"] == 32


def test_reading_and_converting_that_overlap() -> None:
    # As above with sample and hold: 3 + max(3, 4) + 4 = 11 cycles, of which only the first pulse is not hidden.
    problem = ask(linears(step("a", (4, 4))), hardware=chip(adc__sample_hold=True))
    chain = chain_of(problem, answer(problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0))))
    assert (chain.read.tolist(), chain.convert.tolist()) == ([3], [8])
    # A pulse of 7 ns hides the conversions of all phases but the last: 7 + 7 + 4.
    slow = ask(linears(step("a", (4, 4))), hardware=chip(adc__sample_hold=True, read_ns=7))
    chain = chain_of(slow, answer(slow, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0))))
    assert (chain.read.tolist(), chain.convert.tolist()) == ([14], [4])


@pytest.mark.parametrize("config", [TINY, BRANCHES], ids=["chain", "branches"])
@pytest.mark.parametrize("strategy", RULES)
@pytest.mark.parametrize("adcs", [1, 4])
def test_the_chain_sums_to_the_latency(config: dict[str, Any], strategy: str, adcs: int) -> None:
    problem = ask(config, "4,4,1", chip(array__rows=16, array__cols=16, adc__per_array=adcs))
    solution = solve(problem, strategy)
    chain = chain_of(problem, solution)
    assert sum(chain.components().values()) == solution.header.metrics["latency_cycles"]
    for column in (chain.wait, chain.idle, chain.read, chain.convert):
        assert column.min() >= 0
    assert (chain.bound <= chain.read + chain.convert + chain.idle).all()
    assert (np.diff(chain.stage) > 0).all()


@pytest.mark.parametrize("model", ["minilm-l6", "bart-large"])
def test_the_chain_of_a_real_model(model: str) -> None:
    problem = cimsolve.make_problem(model, "paper256")
    solution = solve(problem, "spread")
    components = chain_of(problem, solution).components()
    assert sum(components.values()) == solution.header.metrics["latency_cycles"]
    # Their stages follow each other, so the parts are those of the cost model.
    breakdown = solution.header.breakdown.latency_cycles
    assert components["read"] + components["convert"] == breakdown["array"]
    for part in ("partial_sums", "digital", "transfer", "wait"):
        assert components[part] == breakdown[part]


def test_the_busiest_array_by_hand() -> None:
    problem = ask(linears(step("a", (4, 4)), step("b", (4, 4))), hardware=chip())
    solution = answer(
        problem, pieces_of((0, 0, 0, 4, 0, 4, 1, 0, 0), (1, 0, 0, 4, 0, 3, 1, 4, 0), (1, 0, 0, 4, 3, 1, 0, 0, 0))
    )
    report = check_solution(solution)
    assert report.costs is not None
    load = find_load(problem, solution, report.costs)
    # Array 1: 14 cycles for a, 14 for three columns of b; array 0: one column, 2 * (3 + 2) = 10 cycles.
    assert (load.array, load.busy_cycles, load.mean_busy_cycles, load.as_busy) == (1, 28, 19, 1)
    assert (load.stage.tolist(), load.cycles.tolist(), load.stage_cells.tolist()) == ([0, 1], [14, 14], [16, 12])
    assert (load.conversions.tolist(), load.cells, load.interval_binds) == ([4, 3], 28, "arrays")
    assert solution.header.metrics["ii_cycles"] == load.busy_cycles


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strategy", ["spread", "greedy-top2"])
def test_of_experts_those_count_that_keep_an_array_longest(seed: int, strategy: str) -> None:
    draw = random.Random(seed)
    problem = ask(linears(step("a", (4, 4)), *(mixture(draw, name, 12, 12) for name in "bc")), hardware=chip())
    solution = solve(problem, strategy)
    metrics, chain = solution.header.metrics, chain_of(problem, solution)
    assert sum(chain.components().values()) == metrics["latency_cycles"]
    assert chain.read.min() > 0
    assert chain.idle.tolist() == [0, 0, 0]
    report = check_solution(solution)
    assert report.costs is not None
    load = find_load(problem, solution, report.costs)
    assert load.busy_cycles == load.cycles.sum() == metrics["array_ii_cycles"]


def test_the_interval_may_be_bound_by_transfers() -> None:
    problem = ask(linears(step("a", (4, 4)), step("b", (4, 4))), hardware=chip(transfer__base_ns=50))
    solution = answer(problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 4, 1, 0, 0)))
    report = check_solution(solution)
    assert report.costs is not None
    load = find_load(problem, solution, report.costs)
    assert (load.interval_binds, load.transfer_cycles) == ("transfer", solution.header.metrics["ii_cycles"])


# Changes


@pytest.fixture(scope="module")
def solved() -> tuple[Problem, Solution]:
    problem = ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16, adc__per_array=2))
    return problem, solve(problem, "spread")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("again", {}),
        ("adc+1", {"adc__per_array": 3}),
        ("bit-1", {"adc__bits_max": 3}),
        ("sample-hold", {"adc__sample_hold": True}),
        ("digital-x2", {"digital__units": 8}),
        ("transfer-x2", {"transfer__bits_per_ns": 16.0}),
        ("read_ns=1", {"read_ns": 1}),
    ],
)
def test_a_change_is_what_a_question_of_its_own_gives(
    solved: tuple[Problem, Solution], name: str, changes: dict[str, Any]
) -> None:
    hardware = chip(**{"array__rows": 16, "array__cols": 16, "adc__per_array": 2, **changes})
    own = solve(ask(TINY, "4,4,1", hardware), "spread")
    outcome = what_if(name, *solved)
    assert outcome.reason == ""
    for metric, value in own.header.metrics.items():
        assert outcome.metrics[metric] == pytest.approx(value, rel=1e-12), metric


def test_another_clock_is_compared_in_ns(solved: tuple[Problem, Solution]) -> None:
    outcome = what_if("clock_ns=5", *solved)
    assert outcome.metrics["ii_ns"] == outcome.metrics["ii_cycles"] * 5
    assert outcome.metrics["ii_ns"] >= solved[1].header.metrics["ii_cycles"]


def test_more_arrays_are_no_choice_of_a_rule(solved: tuple[Problem, Solution]) -> None:
    assert "the rule takes as many arrays as it needs" in what_if("array+1", *solved).reason


def test_changes_that_make_no_sense_say_why(solved: tuple[Problem, Solution]) -> None:
    assert "at most 4, the table's largest" in what_if("bit+1", *solved).reason
    problem = ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16, adc__sample_hold=True))
    assert what_if("sample-hold", problem, solve(problem, "spread")).reason == "the converters have it"
    core = cimsolve.make_problem("tiny.json" if Path("tiny.json").exists() else "minilm-l6", "pcm256")
    assert "a measured core" in what_if("adc+1", core, solve(core, "spread")).reason


@pytest.mark.parametrize("count", [None, 3])
def test_one_more_array_for_the_solver(count: int | None) -> None:
    # Where the chip has just as many arrays as are used, it is given one more.
    problem = ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16, array__count=count))
    solution = solve(problem, "spread")
    used = solution.header.metrics["arrays"]
    header = solution.header.model_copy(update={"strategy": "optimal"})
    more = what_if("array+1", problem, Solution(header, solution.pieces, solution.activations))
    assert (more.reason, more.metrics["arrays"] <= used + 1) == ("", True)
    assert more.metrics["latency_ns"] <= solution.header.metrics["latency_ns"]


def test_a_change_never_looks_worse_than_standing_still_where_it_only_adds() -> None:
    problem = ask(TINY, "4,4,1", chip(array__rows=16, array__cols=16, adc__per_array=2))
    solution = solve(problem, "optimal")
    before = solution.header.metrics
    for name in ("again", "adc+1", "sample-hold"):
        after = what_if(name, problem, solution).metrics
        assert (after["arrays"], after["latency_cycles"]) <= (before["arrays"], before["latency_cycles"])


def half_an_answer(problem: Problem, search: Effort) -> Answer:
    """What the solver does on Ctrl-C."""
    search.listen(Event("interrupted"))
    return STRATEGIES["spread"](problem, search)


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch, solved: tuple[Problem, Solution]) -> None:
    problem, solution = solved
    header = solution.header.model_copy(update={"strategy": "optimal"})
    monkeypatch.setitem(run_module.STRATEGIES, "optimal", half_an_answer)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        what_if("again", problem, Solution(header, solution.pieces, solution.activations))
    with pytest.raises(KeyboardInterrupt):
        find_relief(problem.asking(max_arrays=1), "optimal")


def test_ctrl_c_while_solving_explains_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run_module.STRATEGIES, "optimal", half_an_answer)  # type: ignore[arg-type]
    result = cli("explain", "--model", "tiny.json", "--hw", "paper256")
    assert result == Result(130, "", "cimsolve: interrupted\n")


# Limits


def test_least_limits_really_do(cli: Cli) -> None:
    free = cimsolve.map_model("tiny.json", "paper256", strategy="spread").header.metrics
    words = ["--model", "tiny.json", "--hw", "paper256", "--strategy", "spread", "--max-latency", "1ns"]
    result = cli("explain", *words, "--json")
    assert result.code == 1
    (limit,) = json.loads(result.out)["limits"]
    assert (limit["limit"], limit["given"], limit["least"]) == ("max_latency_ns", 1, free["latency_ns"])
    assert limit["lower"] <= limit["least"]
    for value, code in ((limit["least"], 0), (limit["least"] - 1, 1)):
        run = ["--model", "tiny.json", "--hw", "paper256", "--strategy", "spread", "--max-latency", str(value)]
        assert cli(*run, "--simulate", "none", "-q").code == code


def test_the_fewest_arrays_under_a_limit_of_time() -> None:
    base = {"array__rows": 16, "array__cols": 16, "adc__per_array": 1}
    open_question = ask(TINY, "4,4,1", chip(**base))
    fewest = solve(open_question, "optimal").header.metrics
    fast = solve(open_question.asking(objective=("latency",)), "optimal").header.metrics
    assert fast["latency_ns"] < fewest["latency_ns"]
    limit = (fast["latency_ns"] + fewest["latency_ns"]) / 2
    problem = open_question.asking(max_arrays=int(fewest["arrays"]), max_latency_ns=limit)
    relief = {one.limit: one for one in find_relief(problem, "optimal")}
    arrays, latency = relief["max_arrays"], relief["max_latency_ns"]
    assert arrays.header is not None
    assert fewest["arrays"] < arrays.header.metrics["arrays"] == arrays.least
    assert arrays.header.metrics["latency_ns"] <= limit
    assert arrays.lower is not None
    assert arrays.lower <= arrays.least
    assert latency.header is not None
    assert latency.header.metrics["arrays"] <= fewest["arrays"]
    assert limit < (latency.least or 0) <= fewest["latency_ns"]


def test_limits_that_are_short_together(cli: Cli) -> None:
    words = ["--model", "tiny.json", "--hw", "paper256", *SMALL, "--strategy", "spread"]
    result = cli("explain", *words, "--max-arrays", "1", "--max-energy", "1pJ", "--json")
    found = json.loads(result.out)
    assert result.code == 1
    assert [limit["least"] for limit in found["limits"]] == [None, None]
    assert found["without_limits"]["arrays"] > 1
    shown = cli("explain", *words, "--max-arrays", "1", "--max-energy", "1pJ").out
    assert "raising it alone does not help" in shown
    assert "Without any limit" in shown


def test_the_chips_own_count_is_a_limit(cli: Cli) -> None:
    words = ["--model", "tiny.json", "--hw", "paper256", *SMALL, "--set", "array.count=1", "--strategy", "spread"]
    result = cli("explain", *words)
    assert result.code == 1
    assert "--set array.count=3" in result.out
    assert cli(*words[:-4], "--set", "array.count=3", "--strategy", "spread", "--simulate", "none", "-q").code == 0
    assert "proved: no mapping under the other limits does with less" in result.out


# The command


@pytest.fixture
def file() -> str:
    cimsolve.write_solution(cimsolve.map_model("tiny.json", "paper256", strategy="spread"), "spread.json")
    return "spread.json"


def test_a_file_is_explained(cli: Cli, file: str) -> None:
    result = cli("explain", file)
    assert (result.code, result.err) == (0, "")
    for title in ("Token latency along", "The chain by kind", "The busiest array", "What if", "sample-hold"):
        assert title in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_from_python(file: str) -> None:
    found = cimsolve.explain_solution(file, ["digital-x2"])
    assert sum(found.chain.components().values()) == found.header.metrics["latency_cycles"]
    assert found.load.busy_cycles == found.header.metrics["array_ii_cycles"]
    assert [outcome.name for outcome in found.outcomes] == ["digital-x2"]


def test_json_adds_up(cli: Cli, file: str) -> None:
    found = json.loads(cli("explain", file, "--what-if", "adc+1", "--json").out)
    assert sum(found["latency_cycles"].values()) == found["metrics"]["latency_cycles"]
    parts = ("read", "convert", "idle", "partial_sums", "digital", "transfer", "wait")
    assert sum(link[part] for link in found["chain"] for part in parts) == found["metrics"]["latency_cycles"]
    assert sum(kind["cycles"] for kind in found["busiest_array"]["kinds"]) == found["ii"]["arrays_cycles"]
    (change,) = found["what_if"]
    own = cimsolve.map_model("tiny.json", cimsolve.load_hardware("paper256"), strategy="spread").header.metrics
    assert change["change"]["latency_ns"] == change["metrics"]["latency_ns"] / own["latency_ns"] - 1


def test_a_question_that_has_an_answer_is_solved_and_explained(cli: Cli) -> None:
    words = ["--model", "tiny.json", "--hw", "paper256", "--strategy", "spread", "--what-if", "none", "-v"]
    result = cli("explain", *words)
    assert result.code == 0
    assert "tiny.json on paper256 by spread" in result.out
    assert "The chain, stage by stage" in result.out
    assert "What if" not in result.out


def test_a_file_that_fails_its_check_is_not_explained(cli: Cli, file: str) -> None:
    write_solution(with_entry(read_solution(Path(file)), "pieces__array_row", 0, 256), Path("bad.json"))
    result = cli("explain", "bad.json")
    assert (result.code, result.out) == (1, "")
    assert "bad.json: fails its check, P" in result.err


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ("nosuch.json", "nosuch.json: there is no such file"),
        ("spread.json --hw pcm256", "--hw: spread.json states its own question"),
        ("spread.json --what-if adc+2", "'adc+2': there is no such change; did you mean adc+1?"),
        ("spread.json --what-if adc.per_aray=4", "did you mean adc.per_array?"),
        ("spread.json --what-fi none", "did you mean --what-if?"),
        ("--strategy spred", "did you mean spread?"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(cli: Cli, file: str, argv: str, part: str) -> None:
    result = cli("explain", *shlex.split(argv))
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert part in result.err
