"""`cimsolve sensitivity`: other converters, wirings and sample-and-hold, and what is left of a comparison."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import cimsolve
from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.errors import CheckError, InputError
from cimsolve.judge.check import CheckReport, Violation
from cimsolve.study.changes import Values, compare, find_variants
from cimsolve.study.solving import solve_and_check
from cimsolve.study.sweep import point
from makers.builders import ask, linears, step
from makers.command_line import Cli, Result
from makers.hardware_specs import spec

MODEL = linears(step("a", (64, 64), (64, 64)), step("b", (64, 256)), context=8)
SMALL = linears(step("a", (32, 32), (32, 32)), step("b", (32, 128)), context=8)
RUN = ["sensitivity", "--model", "tiny.json", "--hw", "paper256", "--set", "array.rows=32", "--set", "array.cols=32"]
RUN += ["--jobs", "1"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("tiny.json").write_text(json.dumps(SMALL))


# Comparing


def test_ratio_and_kept_by_hand() -> None:
    given: Values = {"a": 10.0, "b": 4.0, "c": 20.0, "d": 9.95, "e": None}
    found = compare(given, {"a": 10.0, "b": 7.0, "c": 5.0, "d": 5.0, "e": 1.0}, "a")
    assert found.ratio == {"a": 1, "b": 0.7, "c": 0.5, "d": 0.5, "e": 0.1}
    # b: 60 % were saved, 30 % still are; c saved nothing as given, d too little, e had no mapping
    assert found.kept == {"a": None, "b": pytest.approx(0.5), "c": None, "d": None, "e": None}
    assert compare(given, {**given, "b": 13.0}, "a").kept["b"] == pytest.approx(-0.5)  # a loss of half of the saving
    assert compare(given, {**given, "b": None}, "a").ratio["b"] is None
    assert compare(given, {**given, "a": 0.0}, "a").ratio["b"] is None


def test_ranks_and_flips_by_hand() -> None:
    given: Values = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 2.0 + 1e-12, "e": None}
    assert compare(given, given, "a").ranking == [["b"], ["c", "d"], ["a"]]
    assert compare(given, given, "a").flips == []
    # a overtakes c; it draws level with b, which is no change of places
    assert compare(given, {**given, "a": 1.0, "d": None}, "a").flips == [("c", "a")]
    # c and d were level: to part is no change of places
    assert compare(given, {**given, "c": 2.5, "d": 2.0}, "a").flips == []


# Variants


def test_each_variant_changes_one_thing() -> None:
    changes = {each.name: dict(each.settings) for each in find_variants(load_hardware("rram256"))}
    assert changes == {
        "as given": {},
        "isaac": {"adc.model": "isaac"},
        "saberi": {"adc.model": "saberi"},
        "sar": {"adc.model": "sar"},
        "survey": {"adc.model": "survey"},
        "any wiring": {"adc.wiring": "any"},
        "adjacent": {"adc.wiring": "adjacent"},
        "sample hold": {"adc.sample_hold": "true"},
    }
    held = [each.name for each in find_variants(load_hardware("rram128-isaac"))]
    assert held[-1] == "no sample hold"
    made = with_settings(load_hardware("paper256"), {"adc.model": "sar"})
    assert "sar" not in [each.name for each in find_variants(made)]


def test_a_measured_core_has_nothing_to_change() -> None:
    with pytest.raises(InputError, match="pcm256: a measured core holds its converters"):
        find_variants(load_hardware("pcm256"))


def test_every_answer_is_that_of_the_changed_chip() -> None:
    problem = ask(MODEL, "8,8,1", spec("paper256", array__rows=32, array__cols=32))
    found = cimsolve.compare_converters(problem.question, strategies=("linear", "spread"))
    assert len(found) == 8
    for each in found:
        changed = ask(MODEL, "8,8,1", with_settings(problem.hardware, each.variant.settings).to_json())
        for name, answer in each.answers.items():
            solution, report = solve_and_check(changed, name)
            assert report.passed
            assert answer.metrics == solution.header.metrics
            assert answer.adc_bits == sorted(set(solution.activations.adc_bits.tolist()))
            assert answer.violations == []


def test_sparse_rows_convert_faster_only_where_bits_cost_time() -> None:
    # One block of 8 rows in 3 bits against a tile of 64 rows in 6: 3 and 6 ns on paper256, 0.833 both by isaac
    problem = ask(linears(step("a", (64, 64)), context=4), "8,8,1", spec("paper256", array__rows=64, array__cols=64))
    answers = cimsolve.compare_converters(problem.question, strategies=("linear", "sparsemap"))
    found = {each.variant.name: each for each in answers}
    # 64 columns on 8 converters, 8 phases: 8 * (10 + 8 * 6) = 464 ns, twice 8 * (10 + 8 * 3) = 272 ns
    assert found["as given"].values("array_latency_ns") == {"linear": 464, "sparsemap": 2 * 272}
    # 8 * (10 + 8 * 0.833) = 133.3 ns, rounded up to the clock
    assert found["isaac"].values("array_latency_ns") == {"linear": 134, "sparsemap": 2 * 134}
    # sample and hold: 10 + 7 * max(10, 48) + 48 = 394; 10 + 7 * 24 + 24 = 202
    assert found["sample hold"].values("array_latency_ns") == {"linear": 394, "sparsemap": 2 * 202}


def test_extrapolated_conversions_are_named() -> None:
    problem = ask(MODEL, "8,8,1", spec("paper256", array__rows=32, array__cols=32))
    answers = cimsolve.compare_converters(problem.question, strategies=("linear", "sparsemap"))
    found = {each.variant.name: each for each in answers}
    assert found["as given"].extrapolated() == {}
    assert [found["survey"].answers[name].adc_bits for name in ("linear", "sparsemap")] == [[5], [3]]
    assert found["survey"].extrapolated() == {"sparsemap": [3]}


# The command


def test_the_report_shows_ratios_rankings_and_changes(cli: Cli) -> None:
    result = cli(*RUN, "--strategy", "linear,sparsemap,spread")
    assert (result.code, result.err) == (0, "")
    for part in (
        "Token latency in arrays: linear, the others as a multiple of it",
        "II of the arrays",
        "Energy in arrays",
        "as given",
        "survey       adc.model=survey; extrapolated for",
        "cimsolve sensitivity --hw paper256 --model tiny.json --set array.rows=32",
    ):
        assert part in result.out
    assert "Token latency, total" not in result.out
    assert "Token latency, total" in cli(*RUN, "--strategy", "linear,spread", "-v").out


def test_a_flip_is_marked(cli: Cli) -> None:
    # Dense: 64 conversions a phase at 6 bits; sparse: 128 at 3. By the shipped table 64 * 1.065 < 128 * 0.924 pJ,
    # by isaac 64 * 0.417 > 128 * 0.052.
    Path("one.json").write_text(json.dumps(linears(step("a", (64, 64)), context=4)))
    argv = ["sensitivity", "--model", "one.json", "--hw", "paper256", "--structure", "8,8,1"]
    argv += ["--set", "array.rows=64", "--set", "array.cols=64", "--strategy", "linear,sparsemap", "--jobs", "1"]
    argv += ["--reference", "sparsemap"]
    energy = {
        each["name"]: each["compare"]["array_energy_pj"] for each in json.loads(cli(*argv, "--json").out)["variants"]
    }
    assert energy["as given"]["ranking"] == [["linear"], ["sparsemap"]]
    assert energy["isaac"]["ranking"] == [["sparsemap"], ["linear"]]
    assert energy["isaac"]["flips"] == [["linear", "sparsemap"]]
    assert energy["isaac"]["kept"]["linear"] < 0
    rows = list(csv.DictReader(io.StringIO(cli(*argv, "--format", "csv").out)))
    (row,) = [row for row in rows if (row["chip"], row["strategy"]) == ("isaac", "linear")]
    for kind in ("ratio", "kept"):
        assert float(row[f"{kind}_array_energy_pj"]) == pytest.approx(energy["isaac"][kind]["linear"], rel=1e-3)
    assert "| isaac " in cli(*argv, "--format", "markdown").out
    assert "  isaac & " in cli(*argv, "--format", "latex").out
    lines = cli(*argv).out.splitlines()
    marked = [line for line in lines if line.startswith("  !")]
    assert marked == ["  ! sparsemap, linear: isaac; changed places: linear and sparsemap"]


def test_json_holds_what_the_checker_recomputed(cli: Cli) -> None:
    found = json.loads(cli(*RUN, "--strategy", "linear,spread", "--reference", "linear", "--json").out)
    assert found["format"] == "cimsolve-sensitivity/1"
    assert found["reference"] == "linear"
    assert found["exit_code"] == 0
    assert [each["name"] for each in found["variants"]][:2] == ["as given", "isaac"]
    given = found["variants"][0]
    direct = cimsolve.map_model(
        "tiny.json",
        with_settings(load_hardware("paper256"), {"array.rows": "32", "array.cols": "32"}),
        strategy="spread",
    )
    assert given["strategies"]["spread"]["metrics"] == direct.header.metrics
    compare = given["compare"]["energy_pj"]
    values = {name: given["strategies"][name]["metrics"]["energy_pj"] for name in ("linear", "spread")}
    assert compare["ratio"]["spread"] == values["spread"] / values["linear"]
    assert compare["ratio"]["linear"] == 1
    assert compare["ranking"] == [[name] for name in sorted(values, key=lambda name: values[name])]


def test_the_question_names_made_tables(cli: Cli) -> None:
    found = json.loads(cli(*RUN, "--converter", "survey", "--strategy", "linear,spread", "--json").out)
    assert found["question"]["converters"]["table_from"] == "survey"
    assert list(found["question"]["converters"]["extrapolated_bits"]) == ["1", "2", "3"]
    assert "survey" not in [each["name"] for each in found["variants"]]


def test_the_share_kept_is_shown_of_what_saves_something(cli: Cli) -> None:
    """`linear` against `spread` saves latency and no energy; against itself nothing saves anything."""
    Path("tiny.json").write_text(json.dumps(MODEL))
    argv = [*RUN, "--strategy", "linear,spread", "--reference", "spread"]
    given = json.loads(cli(*argv, "--json").out)["variants"][0]["compare"]
    saves = [given[metric]["ratio"]["linear"] <= 0.99 for metric in list(given)[:3]]
    assert len(set(saves)) == 2
    tables = cli(*argv, "-q").out.split("the others as a multiple of it")[1:]
    assert ["kept" in text for text in tables] == saves


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--strategy", "spread"], "--strategy: spread alone: expected two or more to compare"),
        (
            ["--strategy", "spread,linear", "--reference", "optimal"],
            "--reference optimal: expected one of the",
        ),
        (["--reference", "sprea"], "did you mean spread?"),
        (["--hw", "pcm256"], "pcm256: a measured core holds its converters"),
        (["--seed", "1"], "--seed: there is no such option"),
    ],
)
def test_refusals(cli: Cli, argv: list[str], text: str) -> None:
    result = cli("sensitivity", "--model", "tiny.json", *argv)
    assert (result.code, result.out) == (2, "")
    assert text in result.err
    assert result.err.count("\n") == 1


def test_a_strategy_without_a_mapping_is_left_out_and_named(cli: Cli) -> None:
    found = json.loads(cli(*RUN, "--strategy", "linear,sparsemap,spread", "--json").out)
    arrays = {name: each["metrics"]["arrays"] for name, each in found["variants"][0]["strategies"].items()}
    assert arrays["spread"] < arrays["linear"]
    limit = ["--max-arrays", str(arrays["spread"])]
    result = cli(*RUN, "--strategy", "linear,sparsemap,spread", *limit)
    assert result.code == 0
    assert "arrays are short" in result.out
    hopeless = cli(*RUN, "--strategy", "linear,spread", "--max-arrays", "1", "-q")
    assert (hopeless.code, hopeless.out) == (1, "")
    assert re.search(r"arrays are short: the limit is 1, linear needs \d+, spread \d+", hopeless.err)
    assert cli(*RUN, "--strategy", "linear,spread", "--max-arrays", "1", "-q") == hopeless  # as kept


def test_a_broken_answer_fails_the_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(*arguments: Any) -> Any:
        solution, _ = solve_and_check(*arguments)
        return solution, CheckReport((Violation("P3", "two pieces share a cell"),))

    monkeypatch.setattr(point, "solve_and_check", lie)
    result = cli(*RUN, "--strategy", "linear,spread")
    assert result.code == 1
    assert "as given: linear: breaks P3" in result.out
    with pytest.raises(CheckError, match="two pieces share a cell"):
        cimsolve.compare_converters("tiny.json", "paper256", strategies=("linear", "spread"))


def test_ctrl_c_shows_the_finished_changes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []

    def stop_in_the_second(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return solve_and_check(*arguments)

    monkeypatch.setattr(point, "solve_and_check", stop_in_the_second)
    argv = [*RUN, "--strategy", "linear,spread", "--json"]
    result = cli(*argv)
    assert result.code == 130
    kept = "results are kept in results/cache: the same command goes on from there"
    assert result.err == f"cimsolve: interrupted; 3 {kept}\n"
    assert [each["name"] for each in json.loads(result.out)["variants"]] == ["as given"]
    calls[:] = [None] * 3
    assert cli(*argv, "--fresh") == Result(130, "", f"cimsolve: interrupted; 0 {kept}\n")
    assert len(json.loads(cli(*argv).out)["variants"]) == 8
    assert len(calls) == 4 + 13


def test_the_api_gives_the_same() -> None:
    found = cimsolve.compare_converters("tiny.json", "paper256", strategies=("spread", "sparsemap"))
    assert found[0].variant.name == "as given"
    assert all(answer.metrics for each in found for answer in each.answers.values())
    with pytest.raises(InputError, match="did you mean spread"):
        cimsolve.compare_converters("tiny.json", "paper256", strategies=("spred",))
