"""`cimsolve simulate` as a user meets it, and its functions in Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import cimsolve
from cimsolve.__main__ import main
from makers.builders import linears, step, with_entry
from makers.command_line import Cli, Result
from makers.hardware_specs import spec

NAME = "tiny.json"


@pytest.fixture(scope="module")
def solution(tmp_path_factory: pytest.TempPathFactory) -> cimsolve.Solution:
    folder = tmp_path_factory.mktemp("model")
    model, chip = folder / "model.json", folder / "chip.json"
    model.write_text(json.dumps(linears(step("a", (16, 16), (16, 32)), step("b", (32, 16)))))
    chip.write_text(json.dumps(spec("rram256", array__rows=32, array__cols=128)))
    return cimsolve.map_model(model, chip, strategy="spread", structure="4,4,1")


@pytest.fixture(autouse=True)
def _beside_a_solution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solution: cimsolve.Solution) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    cimsolve.write_solution(solution, NAME)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*argv: str) -> Result:
        code = main(["simulate", *argv])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


def test_without_noise_a_lossless_solution_is_exact(cli: Cli) -> None:
    result = cli(NAME)
    assert result.code == 0
    assert result.out.startswith(f"{NAME}: exact (")
    assert "converters of the solution's bits, full range, lossless" in result.out
    assert "noise: none" in result.out


def test_the_kernel_is_chosen_and_said(cli: Cli) -> None:
    """It changes no figure."""
    found = {}
    for kernel in ("numpy", "numba"):
        assert f" s by {kernel}\n" in cli(NAME, "--kernel", kernel).out
        report = json.loads(cli(NAME, "--kernel", kernel, "--adc-bits", "3", "--json").out)["files"][NAME]
        assert (report.pop("kernels"), report.pop("runtime_s") >= 0) == ([kernel], True)
        found[kernel] = report
    assert found["numpy"] == found["numba"]
    noisy = cli(NAME, "--kernel", "numba", "--noise", "read=0.01", "--vectors", "2")
    assert " s by numba and numpy\n" in noisy.out


def test_a_kernel_that_is_not_installed_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cimsolve.judge.simulate.compiled", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    result = cli(NAME, "--kernel", "numba")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "; pip install 'cimsolve[fast]'" in result.err


def test_noise_is_named_and_taken_apart(cli: Cli) -> None:
    result = cli(NAME, "--noise", "programming=0.03,read=0.01", "--noise", "stuck=0.01", "-v", "--vectors", "40")
    assert result.code == 0
    assert "noise: programming=0.03, read=0.01, stuck_off=0.005, stuck_on=0.005" in result.out
    for word in ("all together", "rounding", "clipping", "programming", "read", "stuck", "a.R", "b.L"):
        assert word in result.out
    assert max(map(len, result.out.splitlines())) <= 120


def test_quiet_is_one_line_a_file(cli: Cli) -> None:
    result = cli(NAME, NAME, "-q", "--noise", "read=0.05")
    assert result.out.count("\n") == 2
    assert result.err == ""


def test_json_has_every_figure_and_repeats(cli: Cli) -> None:
    argv = [NAME, "--json", "--noise", "programming=0.05", "--layer", "1", "--seed", "3", "--adc-bits", "4"]
    found = json.loads(cli(*argv).out)
    assert found["format"] == "cimsolve-simulation/1"
    assert found["exit_code"] == 0
    one = found["files"][NAME]
    assert (one["layers"], one["vectors"], one["seed"], one["adc_bits_max"]) == ([1], 16, 3, 4)
    assert (one["pairs"], one["adc_range"], one["lossless"]) == ("converted", "full", False)
    assert one["noise"]["programming"] == 0.05
    assert list(one["effects"]) == ["all together", "rounding", "clipping", "programming"]
    together = one["effects"]["all together"]
    assert list(together["stages"]) == ["b.R", "b.L"]
    assert together["worst_db"] == min(stage["snr_db"] for stage in together["stages"].values())
    again = json.loads(cli(*argv).out)["files"][NAME]
    assert again | {"runtime_s": 0} == one | {"runtime_s": 0}


def test_real_weights(cli: Cli) -> None:
    random = np.random.default_rng(0)
    folder = Path("weights")
    folder.mkdir()
    shapes = {"a0.weight": (16, 16), "a1.weight": (32, 16), "b0.weight": (16, 32)}
    save_file(
        {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, folder / "w.safetensors"
    )
    assert "real weights" in cli(NAME, "--weights", "weights").out
    assert "random weights" in cli(NAME).out
    (folder / "w.safetensors").unlink()
    result = cli(NAME, "--weights", "weights")
    assert result.code == 2
    assert "expected a folder with *.safetensors" in result.err


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        ([], ["FILE", "see cimsolve simulate --help"]),
        ([NAME, "--noise", "reed=0.1"], ["no such noise", "did you mean read?", "known: programming"]),
        ([NAME, "--noise", "read"], ["'read'", "expected NAME=NUMBER, such as read=0.01"]),
        ([NAME, "--noise", "read=lots"], ["expected NAME=NUMBER"]),
        ([NAME, "--noise", "read=nan"], ["expected NAME=NUMBER"]),
        ([NAME, "--noise", "read=0.1", "--noise", "read=0.2"], ["read is given twice"]),
        ([NAME, "--noise", "read=-1"], ["read = -1: expected a number from 0"]),
        ([NAME, "--noise", "drift=100"], ["expected both"]),
        ([NAME, "--vectors", "0"], ["--vectors", "from 1"]),
        ([NAME, "--adc-bits", "99"], ["--adc-bits", "from 1 to 24"]),
        ([NAME, "--adc-range", "wide"], ["expected one of full, calibrated"]),
        ([NAME, "--pairs", "subtract"], ["did you mean subtracted?"]),
        ([NAME, "--layer", "7"], ["not all in the model"]),
        (["nobody.json"], ["nobody.json"]),
        ([NAME, "--weights", "nowhere"], ["--weights nowhere"]),
        ([NAME, "--nose", "read=1"], ["did you mean --noise?"]),
    ],
)
def test_refusals_are_one_line(cli: Cli, argv: list[str], parts: list[str]) -> None:
    result = cli(*argv)
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err


def test_a_solution_that_breaks_a_rule_is_not_simulated(cli: Cli, solution: cimsolve.Solution) -> None:
    broken = with_entry(solution, "pieces__array_row", 0, 31)
    cimsolve.write_solution(broken, "broken.json")
    result = cli("broken.json", NAME)
    assert result.code == 1
    assert "broken.json: " in result.err
    assert "expected a solution that passes its check" in result.err
    assert f"{NAME}: exact" in result.out
    found = json.loads(cli("broken.json", "--json").out)
    assert found["exit_code"] == 1
    assert "error" in found["files"]["broken.json"]
    for call in (cimsolve.make_simulator, cimsolve.study_solution):
        with pytest.raises(cimsolve.CheckError, match="passes its check"):
            call(broken)


def test_the_functions_of_python(solution: cimsolve.Solution) -> None:
    found = cimsolve.study_solution(NAME, noise=cimsolve.Noise(read=0.05), vectors=5)
    assert found.vectors == 5
    assert list(found.stages) == ["all together", "rounding", "clipping", "read"]
    options: dict[str, Any] = {"weights": {"b0": np.eye(32, 16)}, "layers": [1]}
    simulator = cimsolve.make_simulator(solution, **options)
    assert simulator.linears == ("b0",)
    assert simulator.linear("b0", np.ones((2, 32))).shape == (2, 16)
