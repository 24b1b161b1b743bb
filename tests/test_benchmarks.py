"""The benchmark scripts run: each on its smallest case, here or in the processes that it starts itself."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs a checkout")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Import a script of benchmarks/ by name, as if it had been started there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def report_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    for mark in ("- Command: `python benchmarks/bench_", "- Date: ", "- Machine: ", "- Python "):
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
    arguments = ["--models", "minilm-l6", "--hw", "pcm256", "--cuts", "none", "--resume", str(kept), "--out", str(out)]
    measured = grid.measure(("minilm-l6", "pcm256", "none"))
    monkeypatch.setattr(grid, "run_self", lambda *_: {**json.loads(json.dumps(measured)), "peak_mib": 1.0})
    assert grid.main(arguments) == 0
    first = rows_of(report_of(out))
    assert first[-1][:5] == ["minilm-l6", "pcm256", "none", "11", "11"]

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(grid, "run_self", refuse)
    assert grid.main(arguments) == 0
    assert rows_of(report_of(out)) == first


def test_grid_goes_on_after_a_cell_that_fails(script, tmp_path, capsys):
    out = tmp_path / "grid.md"
    arguments = ["--models", "no-such-model", "--hw", "pcm256", "--cuts", "none", "--out", str(out)]
    assert script("bench_grid").main(arguments) == 1
    assert "No cell of 1 was answered" in report_of(out)
    assert "no such model" in report_of(out)


def test_grid_reports_values_below_their_bound(script):
    grid = script("bench_grid")
    bounds = {"arrays": {"value": 10, "lower": 11}, "energy_pj": {"value": 1.0 - 1e-15, "lower": 1.0}}
    assert grid.negative_gaps({("m", "h", "none"): {"bounds": bounds}}) == [
        "m / h / none: arrays 10 lies below its bound 11"
    ]


def test_speed(script, tmp_path):
    out = tmp_path / "speed.md"
    assert script("bench_speed").main(["--groups", "quick", "--repeats", "1", "--out", str(out)]) == 0
    wall = [float(row[1]) for row in rows_of(report_of(out))[2:]]
    assert len(wall) == 2
    assert all(seconds > 0 for seconds in wall)


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


def test_cost(script, tmp_path):
    out = tmp_path / "cost.md"
    small = ["--largest", "minilm-l6", "--models", "minilm-l6", "--hw", "paper256", "--all-of", "minilm-l6"]
    few = ["--strategies", "sparsemap", "--tokens-of-largest", "16", "--repeats", "1"]
    assert script("bench_cost").main([*small, *few, "--out", str(out)]) == 0
    row = next(row for row in rows_of(report_of(out)) if row[2] == "sparsemap")
    assert row[3:5] == ["yes", "16"]
    assert abs(float(row[5])) < 1
    assert float(row[12]) >= 1


def test_a_command_that_takes_too_long_is_stopped(script):
    import sys

    common = script("common")
    with pytest.raises(common.BenchmarkError, match="no answer within"):
        common.run_command([sys.executable, "-c", "import time; time.sleep(30)"], 0.2)
