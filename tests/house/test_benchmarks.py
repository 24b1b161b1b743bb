"""The benchmark scripts run: each on its smallest case, here or in the processes that it starts itself."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from cimsolve.__main__ import main
from makers.folders import ROOT
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs a checkout")


@pytest.fixture
def script_in_processes(monkeypatch: pytest.MonkeyPatch):
    """Import a script of benchmarks/ by name, as if it had been started there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def script(script_in_processes, monkeypatch: pytest.MonkeyPatch):
    """The same, but what it would start as processes of its own runs here: a process takes a second to begin."""
    common = script_in_processes("common")

    def run_here(command: Sequence[str], timeout_s: float) -> object:
        assert command[0] == sys.executable
        if list(command[1:3]) == ["-m", "cimsolve"]:
            run, arguments = main, command[3:]
        else:
            run, arguments = importlib.import_module(Path(command[1]).stem).main, command[2:]
        began, out, err = time.process_time(), io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(list(map(str, arguments)))
        took = time.process_time() - began
        return common.Measured(took, took, common.own_peak_mib(), code, out.getvalue(), err.getvalue())

    def load(name: str) -> ModuleType:
        module = script_in_processes(name)
        for where in (common, module):
            if hasattr(where, "run_command"):
                monkeypatch.setattr(where, "run_command", run_here)
        return module

    return load


def report_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    for mark in ("- Command: `python benchmarks/bench_", "- Commit: ", "- Date: ", "- Machine: ", "- Python "):
        assert mark in text
    return text


def rows_of(text: str) -> list[list[str]]:
    """Cells of all table lines, headers and rules included."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_every_script_shows_help(script, capsys):
    for path in sorted(BENCHMARKS.glob("bench_*.py")):
        with pytest.raises(SystemExit) as stopped:
            script(path.stem).main(["--help"])
        assert stopped.value.code == 0
        assert "--out" in capsys.readouterr().out


def test_adc_sweep(script, tmp_path):
    out = tmp_path / "sweep.md"
    assert script("bench_adc_sweep").main(["--adcs", "8", "--rows", "linear", "sparsemap", "--out", str(out)]) == 0
    rows = rows_of(report_of(out))
    linear = next(row for row in rows if row[:2] == ["linear", "8"])
    assert linear[2:4] == ["4608", "204.3"]
    earlier = next(row for row in rows if row[:3] == ["sparsemap", "8", "token latency, us"])
    assert earlier[3:] == ["241", "241.2", "1.001"]


def test_grid_resumes(script, tmp_path, monkeypatch):
    grid = script("bench_grid")
    out, kept = tmp_path / "grid.md", tmp_path / "grid.json"
    arguments = ["--models", "minilm-l6", "--hw", "rram256", "--cuts", "none", "--resume", str(kept), "--out", str(out)]
    measured = grid.measure(("minilm-l6", "rram256", "none"))
    monkeypatch.setattr(grid, "run_self", lambda *_: {**json.loads(json.dumps(measured)), "peak_mib": 1.0})
    assert grid.main(arguments) == 0
    first = rows_of(report_of(out))
    assert first[-1][:5] == ["minilm-l6", "rram256", "none", "89", "89"]

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(grid, "run_self", refuse)
    assert grid.main(arguments) == 0
    assert rows_of(report_of(out)) == first


def test_grid_goes_on_after_a_cell_that_fails(script_in_processes, tmp_path):
    out = tmp_path / "grid.md"
    arguments = ["--models", "no-such-model", "--hw", "pcm256", "--cuts", "none", "--out", str(out)]
    assert script_in_processes("bench_grid").main(arguments) == 1
    assert "No cell of 1 was answered" in report_of(out)
    assert "no such model" in report_of(out)


def test_grid_reports_values_below_their_bound(script):
    grid = script("bench_grid")
    bounds = {"arrays": {"value": 10, "lower": 11}, "energy_pj": {"value": 1.0 - 1e-15, "lower": 1.0}}
    assert grid.negative_gaps({("m", "h", "none"): {"bounds": bounds}}) == [
        "m / h / none: arrays 10 lies below its bound 11"
    ]


def test_grid_counts_spread_out_cells_near_the_bound_of_what_is_sought(script):
    gaps = {"near": (9, 0.04), "far": (9, 0.2), "not spread out": (1, 0.0)}
    cells = {
        (name, "h", "none"): {
            "bounds": {"arrays": {"value": arrays}, "prefill_ns": {"gap": gap}},
            "stage_blocks": 5,
        }
        for name, (arrays, gap) in gaps.items()
    }
    sought = script("bench_grid").sought
    assert sought(cells, "arrays,prefill").count("1 of 2 (50%)") == 2
    assert sought(cells, "arrays,latency") == ""


def test_speed(script_in_processes, tmp_path, monkeypatch):
    speed, out = script_in_processes("bench_speed"), tmp_path / "speed.md"
    monkeypatch.setitem(speed.GROUPS, "quick", speed.GROUPS["quick"][:1])
    assert speed.main(["--groups", "quick", "--repeats", "1", "--out", str(out)]) == 0
    (wall_s,) = (float(row[1]) for row in rows_of(report_of(out))[2:])
    assert 0 <= wall_s < 60


@pytest.mark.slow
def test_distance(script, tmp_path, monkeypatch):
    """Every target of one small case stands in a row; flat chips answer as this very checkout does."""
    distance, cases = script("bench_distance"), script("distance_cases")
    monkeypatch.setattr(cases, "MODEL", "minilm-l6")
    monkeypatch.setattr(distance, "FLAT", ("--hw pcm256 --model minilm-l6 --strategy spread",))
    monkeypatch.setattr(
        distance, "run_self", lambda _, arguments, __: json.loads(json.dumps(cases.measure(arguments[1])))
    )
    out, case = tmp_path / "distance.md", "rram128-isaac/16/5x5/edge/32"
    arguments = ["--cases", case, "--large", "--before", str(BENCHMARKS.parent), "--out", str(out)]
    assert distance.main(arguments) == 0
    rows = rows_of(report_of(out))
    of_case = {row[0]: row for row in rows if row[1:2] == [case]}
    near, worse = "token latency at most 10% above its bound, us", "not above the flat answer priced afterwards, us"
    assert float(of_case[near][2]) >= float(of_case[near][4])
    assert of_case[worse][-1] == "yes"
    answers = {row[1]: float(row[4]) for row in rows if row[0] == case and row[1] in ("bound", "spread", "optimal")}
    assert answers["bound"] <= answers["optimal"] <= answers["spread"]
    assert ["files of flat chips that differ", distance.FLAT[0], "0", "0"] in [row[:4] for row in rows]


def test_files_that_differ_are_named_with_the_keys_that_do(script):
    now = {"a.json": b'{"seed": 1, "status": "feasible"}', "b.npz": b"1", "c.npz": b"1"}
    then = {"a.json": b'{"seed": 1, "status": "optimal"}', "b.npz": b"1", "d.npz": b"1"}
    found = script("bench_distance").differences(now, then)
    assert found == ["a.json status", "c.npz (only now)", "d.npz (only before)"]


def test_what_is_above_what_is_allowed_is_not_met(script):
    target = script("bench_distance").target
    assert target("t", "case", 10.4, 11.0, 10.0)[2:] == ["10.4", "11", "10", "4.00", "yes"]
    assert target("t", "case", 11.1, 11.0)[2:] == ["11.1", "11", None, None, "**no**"]


@pytest.mark.slow
def test_near_least(script, tmp_path):
    out = tmp_path / "near.md"
    arguments = ["--cases", "minilm-l6/pcm256/none", "--more", "1.5", "--out", str(out)]
    assert script("bench_near_least").main(arguments) == 0
    row = rows_of(report_of(out))[-1]
    assert row[:4] == ["minilm-l6", "pcm256", "none", "17"]
    value, one_input, bound = (float(row[column]) for column in (6, 7, 9))
    assert bound <= value < one_input


@pytest.mark.slow
def test_peers(script, tmp_path):
    out = tmp_path / "peers.md"
    arguments = ["--instances", "bert-large:1", "--methods", "ours", "HiGHS", "--limit", "20", "--out", str(out)]
    assert script("bench_peers").main(arguments) == 0
    found = {row[1]: row for row in rows_of(report_of(out))}
    assert found["ours"][2:4] == ["9", "9"]
    assert found["HiGHS"][2:4] in (["9", "9"], ["", ""])  # nothing, where the machine is very slow


def test_both_programs_agree(script):
    peers = script("bench_peers")
    small = peers.Program(
        rows=8,
        cols=8,
        height=peers_array([8, 4, 4, 4, 4]),
        width=peers_array([4, 4, 4, 4, 4]),
        arrays=3,
        array=peers_array([0, 0, 0, 1, 1, 1, 2, 2, 2]),
        level=peers_array([8, 4, 4] * 3),
    )
    assert peers.solve_highs(small, 10) == {"arrays": 2, "lower": 2}
    assert peers.solve_cp_sat(small, 10) == {"arrays": 2, "lower": 2}


def test_peers_do_not_try_large_programs(script, tmp_path):
    out = tmp_path / "peers.md"
    arguments = ["--instances", "bert-large:1", "--methods", "HiGHS", "--binaries-max", "9", "--out", str(out)]
    assert script("bench_peers").main(arguments) == 0
    assert "not tried: 32,256 binaries" in report_of(out)


def peers_array(values: list[int]):
    import numpy as np

    return np.array(values, dtype=np.int64)


def test_check(script, tmp_path):
    out = tmp_path / "check.md"
    arguments = ["--model", "minilm-l6", "--hw", "paper256", "--strategy", "spread", "--repeats", "1"]
    assert script("bench_check").main([*arguments, "--out", str(out)]) == 0
    assert ["verdict", "passed"] in rows_of(report_of(out))


def test_sensitivity(script, tmp_path):
    out = tmp_path / "sensitivity.md"
    arguments = ["--model", "minilm-l6", "--hw", "paper256", "--strategies", "sparsemap", "spread", "--out", str(out)]
    assert script("bench_sensitivity").main(arguments) == 0
    rows = [row for row in rows_of(report_of(out)) if row[0] == "as given"]
    assert len(rows) == 5
    assert rows[0][3] == "100 %" or float(rows[0][2]) > 0.99


def test_paper(script, tmp_path, monkeypatch):
    out = tmp_path / "paper.md"
    monkeypatch.setattr(script("bench_paper"), "CONVERTERS", ("survey",))
    arguments = ["--models", "bert-large", "--adcs", "8", "--ours", "--out", str(out)]
    assert script("bench_paper").main(arguments) == 0
    rows = {tuple(row[:3]): row for row in rows_of(report_of(out))}
    assert rows["bert-large", "8", "densemap"][3:6] == ["216", "95.3", "100.0"]
    # 2 * 12 squares of 1024 in each of 24 layers: 576 of 4608 and of 2304 arrays
    assert rows["DenseMap, arrays below Linear", "87 %", "95.3 %"][3].endswith("87.5 %, squares apart")
    assert rows["DenseMap, arrays below SparseMap", "over 73 %", "87.5 %"][3] == "75.0 %, squares apart"
    # 12 * 1024^2 weights and 2 * 512 * 1024 MACs of attention a layer, against 9 * 65,536 weights
    assert rows["bert-large", "sqrt", "21.33"][6] == f"{(12 * 2**20 + 2**20) / (9 * 2**16 + 2**20):.2f}"


def test_a_layout_of_strided_diagonals_has_three_bits_and_is_full(script):
    rebuilt = script("paper_counts").rebuild(8, 0.001, {"clock_ns": "0.001"})
    metrics = rebuilt.headers["rebuilt"].metrics
    assert (metrics["arrays"], metrics["occupancy"], metrics["adc_bits_max"]) == (16, 1.0, 3)
    # 32 row groups * 8 phases * (read + 1 conversion of 3 ns); dense 8 * (read + 32 conversions of 8 ns)
    assert rebuilt.stage_ns("rebuilt") == pytest.approx(32 * 8 * 3.001)
    assert rebuilt.stage_ns("linear") == pytest.approx(8 * (0.001 + 32 * 8))


def test_cross_checks(script, tmp_path):
    out = tmp_path / "cross.md"
    assert script("bench_cross_checks").main(["--repeats", "1", "--out", str(out)]) == 0
    rows = rows_of(report_of(out))[2:]
    assert len(rows) > 15
    assert all(float(row[4]) == pytest.approx(1, abs=0.003) for row in rows if not row[5] and row[0])


def test_simulate(script, tmp_path, monkeypatch):
    """The simulator's and numpy's outputs are compared inside."""
    monkeypatch.setattr(script("bench_simulate"), "CHIPS", ("rram256",))
    monkeypatch.setattr(script("bench_simulate"), "AVX2", {})
    out = tmp_path / "simulate.md"
    arguments = ["--sizes", "32", "--batches", "20", "1", "--repetitions", "1", "--tokens", "2", "--weights", "none"]
    assert script("bench_simulate").main([*arguments, "--out", str(out)]) == 0
    rows = rows_of(report_of(out))
    names = [f"{kind} 32x32" for kind in ("converted", "subtracted", "whole") for _ in range(2)]
    assert [row[0] for row in rows[2:8]] == names
    assert [row[0] for row in rows[10:16]] == names
    assert [row[7] for row in rows if row[0] == "rram256"] == ["all"]


def test_projection(script, tmp_path):
    out = tmp_path / "projection.md"
    arguments = ["--size", "256", "--structures", "4,4,2", "--model", "minilm-l6", "--repeats", "1"]
    assert script("bench_projection").main([*arguments, "--out", str(out)]) == 0
    rows = rows_of(report_of(out))
    compared = [row for row in rows if row[1:3] == ["256x256", "4,4,2"]]
    assert [row[0] for row in compared] == ["Gaussian", "falling"]
    assert all(abs(float(cell)) < 1e-6 for row in compared for cell in row[7:9])
    assert rows[-1][2] == "36"  # linears


@pytest.mark.parametrize("config", [BERT, LLAMA], ids=["bert", "llama"])
def test_accuracy(script, tmp_path, config):
    """Small models of random weights: lossless arrays are near the float model, 1 bit is not; an absent one is said."""
    folder = model_folder(tmp_path / "tiny", config)
    add_tokenizer(folder)
    out = tmp_path / "accuracy.md"
    small = ["--samples", "300", "--test-tokens", "30", "--calibration-tokens", "20", "--blocks", "2,2"]
    small += ["--compressions", "1.5", "--bits", "1", "--methods", "plain", "als"]
    arguments = ["--models", str(folder), str(tmp_path / "none"), *small, "--out", str(out)]
    bench = script("bench_accuracy")
    assert bench.main(arguments) == 0
    text = report_of(out)
    assert "## none\n\nNot run: " in text
    rows = {row[0]: row[2:] for row in rows_of(text.split("### What the figures say")[0])}
    assert list(rows)[2:] == ["dense", "plain 1.5x", "als 1.5x"]
    exact, lossless, one_bit, _ = map(float, rows["dense"])
    if config is BERT:
        assert exact == 1
        assert lossless > 0.99 > one_bit
    else:  # the last table has the share of next tokens
        assert exact == 100
        assert lossless > 80 > one_bit
        assert "(100.0 %)" in text
    prose = text.split("### What the figures say")[1].split("### What it costs")[0]
    assert prose.count("\n- ") == 3
    assert f"- Dense on lossless arrays: {rows['dense'][1]} ±" in prose or config is LLAMA
    assert "### tiny on paper256" in text


@pytest.mark.parametrize("config", [BERT, LLAMA], ids=["bert", "llama"])
def test_choose(script, tmp_path, config):
    folder = model_folder(tmp_path / "tiny", {**config, "num_hidden_layers": 1})
    add_tokenizer(folder)
    out = tmp_path / "choose.md"
    arguments = ["--models", str(folder), str(tmp_path / "none"), "--drawn", str(folder), "--compressions", "3"]
    assert script("bench_choose").main([*arguments, "--samples", "300", "--out", str(out)]) == 0
    text = report_of(out)
    assert "## none\n\nNot run: " in text
    rows = rows_of(text)
    assert [row[1] for row in rows if row[0] == "3x"][:2] == ["chosen", "uniform low rank"]
    drawn = rows[-1]
    assert int(drawn[2]) <= int(drawn[1])
    assert 0 <= float(drawn[3]) < 1


def test_cost(script, tmp_path):
    out = tmp_path / "cost.md"
    small = ["--largest", "minilm-l6", "--models", "minilm-l6", "--hw", "paper256", "--all-of", "minilm-l6"]
    few = ["--strategies", "sparsemap", "--tokens-of-largest", "16", "--repeats", "1"]
    assert script("bench_cost").main([*small, *few, "--out", str(out)]) == 0
    row = next(row for row in rows_of(report_of(out)) if row[2] == "sparsemap")
    assert row[3:5] == ["yes", "16"]
    assert abs(float(row[5])) < 1
    assert float(row[12]) >= 1


def test_places(script, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(BERT))
    out = tmp_path / "places.md"
    arguments = ["--cases", f"{tmp_path / 'tiny.json'}/mid-32", "--tries", "1", "--out", str(out)]
    assert script("bench_places").main(arguments) == 0
    rows = rows_of(report_of(out))[2:]
    placed = ["rows", "zigzag", "PIMCOMP", "random"]
    assert [row[3].partition(",")[0] for row in rows] == [*placed, "optimal", "exchanges", *placed]
    assert all(float(row[6]) >= 1 for row in rows)


def test_breadth_first_gives_every_core_a_place_of_its_own(script):
    """Six cores in a chain; the heaviest, of which there are two, take the places named first."""
    import numpy as np

    places = script("bench_places")
    bits = np.zeros((6, 6), dtype=np.int64)
    for one in range(5):
        bits[one, one + 1] = bits[one + 1, one] = 10 - one
    for seed in range(5):
        assert sorted(places.breadth_first(bits, 2, 3, places.Random(seed))) == list(range(6))
    assert places.breadth_first(bits, 2, 3, places.Random(0), (4, 0))[1:3] == [4, 0]


MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 64,
}


def test_experts(script, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(MIXTRAL))
    out = tmp_path / "experts.md"
    model = str(tmp_path / "tiny.json")
    arguments = ["--models", model, "--large", model, "--seeds", "1", "--out", str(out)]
    assert script("bench_experts").main(arguments) == 0
    rows = rows_of(report_of(out))[2:]
    assert [row[2] for row in rows] == ["spread", "greedy-top2", "optimal", "spread", "optimal"]
    for row in rows:
        worst, bound, mean = (float(row[at]) for at in (5, 6, 8))
        assert bound <= worst >= mean


def test_moves(script, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(BERT))
    out = tmp_path / "moves.md"
    arguments = ["--model", str(tmp_path / "tiny.json"), "--cases", "edge-32", "--strategies", "spread"]
    assert script("bench_moves").main([*arguments, "--out", str(out)]) == 0
    rows = rows_of(report_of(out))[2:]
    assert [row[2] for row in rows] == ["down", "over", "up", "all"]
    least, _, most = (float(cell) for cell in rows[-1][5:8])
    assert -100 < least <= most < 50


def test_a_command_that_takes_too_long_is_stopped(script_in_processes):
    common = script_in_processes("common")
    with pytest.raises(common.BenchmarkError, match="no answer within"):
        common.run_command([sys.executable, "-c", "import time; time.sleep(30)"], 0.2)


@pytest.mark.slow
def test_sweep(script, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS.parent / "solver"))
    out = tmp_path / "sweep.md"
    monkeypatch.setattr(script("bench_sweep"), "kill_on_the_way", lambda command, cache, after: 0)
    arguments = ["--model", "minilm-l6", "--hw", "pcm256", "--adcs", "256", "--sizes", "256", "--jobs", "1"]
    assert script("bench_sweep").main([*arguments, "--out", str(out)]) == 0
    rows = rows_of(report_of(out))
    counts = {row[0]: row[1:4] for row in rows if len(row) == 8}
    assert counts["first run"] == ["1", "1", "0"]
    assert counts["the same again"] == ["1", "1", "1"]
    assert counts["with adc.per_array=96 added"] == ["2", "2", "1"]
    assert rows[-1][:3] == ["256", "256", "11"]


def test_rounds(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.json").write_text(json.dumps({**BERT, "num_hidden_layers": 1}))
    out = tmp_path / "rounds.md"
    case = "tiny.json/dense/paper256/array.rows=32,array.cols=32,array.count=20"
    assert script("bench_rounds").main(["--cases", case, "--strategies", "linear", "--out", str(out)]) == 0
    token, prefill = (row for row in rows_of(report_of(out)) if row[3] == "linear")
    assert token[4] == prefill[4]
    for row in (token, prefill):
        assert float(row[7]) >= float(row[8])
