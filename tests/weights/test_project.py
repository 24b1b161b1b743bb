"""`cimsolve project` and `--weights` as a user meets them: factors found, written, read back and simulated."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cimsolve
from cimsolve.api import make_problem
from cimsolve.errors import InputError
from cimsolve.files import memory
from cimsolve.judge.simulate import simulate
from cimsolve.model.structure import Structure
from cimsolve.study.solving import solve
from cimsolve.weights.factor_file import FactorFile
from cimsolve.weights.monarch import Monarch, reconstruct
from cimsolve.weights.project import project_model, read_factors
from cimsolve.weights.projection import memory_needed, project_linear
from makers.command_line import Cli, Result, assert_refused
from makers.published import RECORDS, drawn_folder
from makers.tiny_configs import BERT
from makers.tiny_models import model_folder

LAYER = "encoder.layer.0."
STRATEGIES = ["--strategy", "linear,spread", "--simulate", "all"]


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    model_folder(Path("tiny"), BERT)


def inputs_file(samples: int = 120, **changes: Any) -> str:
    """Correlated inputs for every linear of the tiny model."""
    rng = np.random.default_rng(1)
    content: dict[str, Any] = {}
    for linear in cimsolve.load_model("tiny").linears:
        mix = rng.standard_normal((linear.n_in, linear.n_in)) * np.geomspace(1, 0.1, linear.n_in)
        content[linear.name] = (rng.standard_normal((samples, linear.n_in)) @ mix).astype(np.float32)
    content |= {name.replace("__", "."): value for name, value in changes.items()}
    np.savez("inputs.npz", **content)
    return "inputs.npz"


def refused(result: Result, *parts: str) -> None:
    """One line on stderr, nothing on stdout, and no file that was not there before."""
    assert_refused(result, 2, *parts)
    left = {path.name for path in Path().rglob("*")}
    assert left <= {"tiny", "config.json", "model.safetensors", "inputs.npz", "f.safetensors", "chip.json"}


def change_tensors(**changes: Any) -> None:
    tensors = load_file("tiny/model.safetensors")
    for name, value in changes.items():
        key = f"{LAYER}{name.replace('__', '.')}.weight"
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    save_file(tensors, "tiny/model.safetensors")


@pytest.mark.parametrize("method", ["plain", "whitened", "als", "lowrank"])
def test_each_method_writes_factors_that_are_simulated(cli: Cli, method: str) -> None:
    structures = ["--structure", "4,4,2", "--structure", "*.key=dense"]
    words = ["--model", "tiny", "--method", method, *structures, "--inputs", inputs_file()]
    done = cli("project", *words, "--out", "f.safetensors")
    assert (done.code, done.err) == (0, "")
    for part in ("low-rank", "held", "whitened", "attention.self.query", "all", "FLOPs", "f.safetensors"):
        assert part in done.out
    found = read_factors("f.safetensors", cimsolve.load_model("tiny"))
    assert found.metadata["method"] == method
    expected = "1,1,8" if method == "lowrank" else "4,4,2"  # 2 * (4 * 16 + 4 * 16) weights of 16 + 16 a rank
    assert str(found.structures[f"{LAYER}attention.self.query"]) == expected
    assert found.structures[f"{LAYER}attention.self.key"].is_dense
    solved = cli("--model", "tiny", "--hw", "rram256", "--weights", "f.safetensors", *STRATEGIES, "-v")
    assert solved.code == 0, solved.err
    assert "the factors of f.safetensors" in solved.out
    assert solved.out.count("  exact  ") == 2  # in the table of verdicts
    assert "--weights f.safetensors" in solved.out
    header = json.loads(Path("results/tiny--rram256--spread-weights-f.json").read_text())
    assert header["structure"][f"{LAYER}attention.self.query"] == expected


def test_the_stored_factors_are_what_is_simulated() -> None:
    """Factors unlike any projection: the scales of the integers are theirs, in the layout of the file."""
    project_model("tiny", structure="4,4,2", out="f.safetensors")
    tensors, metadata = load_file("f.safetensors"), FactorFile("f.safetensors").metadata
    name = f"{LAYER}attention.self.query"
    for number, each in enumerate((f"{name}.R", f"{name}.L"), 3):
        tensors[each] = (tensors[each] * 0 + np.float32(number)).astype(np.float32)
    save_file(tensors, "f.safetensors", dict(metadata))
    found = read_factors("f.safetensors", cimsolve.load_model("tiny"))
    problem = make_problem("tiny", "rram256", structure=found.structures)
    solution = solve(problem, "spread")
    reports = [
        simulate(problem, solution.pieces, solution.activations, **given)
        for given in (
            {"factors": found.factors},
            {"weights": {each: Monarch(*pair) for each, pair in found.factors.items()}},
            {"factors": found.factors, "weights": found.weights},
        )
    ]
    assert all(report.passed for report in reports)
    assert reports[0].weight_scales == reports[1].weight_scales == reports[2].weight_scales
    ids = {(factor.linear, factor.kind): factor.id for factor in problem.workload.factors}
    top = 2 ** (problem.hardware.weight.bits - 1) - 1
    assert reports[0].weight_scales[ids[name, "R"]] == pytest.approx(3 / top)
    assert reports[0].weight_scales[ids[name, "L"]] == pytest.approx(4 / top)


def test_factors_that_do_not_fit_the_structure_are_refused() -> None:
    project_model("tiny", structure="4,4,2", out="f.safetensors")
    problem = make_problem("tiny", "rram256", structure="2,2,1")
    solution = solve(problem, "spread")
    with pytest.raises(InputError, match="R blocks have shape"):
        simulate(problem, solution.pieces, solution.activations, factors=FactorFile("f.safetensors").factors)


def test_what_is_block_diagonal_already_is_refused(cli: Cli) -> None:
    entry = {"name": "up.w", "n_in": 8, "n_out": 16, "groups": 2}
    config = {"model_type": "linears", "steps": [{"name": "up", "linears": [entry]}]}
    Path("tiny/config.json").write_text(json.dumps(config))
    save_file({"up.w.weight": np.ones((16, 4), dtype=np.float32)}, "tiny/model.safetensors")
    refused(cli("project", "--model", "tiny", "--out", "f"), "tiny", "up.w", "groups = 2", "block-diagonal")


def test_a_structure_that_the_factors_do_not_have(cli: Cli) -> None:
    project_model("tiny", structure="4,4,2", out="f.safetensors")
    solve_words = ["--model", "tiny", "--weights", "f.safetensors", "--strategy", "spread", "--simulate", "none"]
    refused(
        cli(*solve_words, "--structure", "*.query=2,2,1"),
        "attention.self.query is asked for as 2,2,1",
        "f.safetensors holds it as 4,4,2; leave --structure away",
    )
    assert cli(*solve_words, "--structure", "4,4,2", "-q").code == 0


def test_a_file_of_another_model(cli: Cli) -> None:
    project_model("tiny", out="f.safetensors")
    refused(cli("--model", "minilm-l6", "--weights", "f.safetensors"), "f.safetensors: lacks encoder.layer")
    refused(cli("--model", "tiny", "--weights", "tiny/model.safetensors"), "have no format = cimsolve-factors/1")
    refused(cli("--model", "tiny", "--weights", "nowhere.safetensors"), "nowhere.safetensors: cannot be read")


def test_models_without_weights_of_their_own_are_simulated_on_factors(cli: Cli) -> None:
    """`linear` stores the products of the factors then."""
    project_model("tiny", structure="4,4,2", out="f.safetensors")
    Path("tiny/config.json").rename("chip.json")
    done = cli("--model", "chip.json", "--weights", "f.safetensors", "--strategy", "linear,spread", "-q")
    assert done.code == 0, done.err


def test_rows_say_what_their_factors_lose() -> None:
    path = inputs_file()
    inputs = np.load(path)
    for method in ("plain", "whitened", "als"):
        rows = project_model("tiny", structure="4,4,2", method=method, inputs=path, out="f.safetensors")
        found = FactorFile("f.safetensors")
        for row in rows:
            weight = load_file("tiny/model.safetensors")[f"{row.linear}.weight"].T
            rest = weight - reconstruct(Monarch(*found.factors[row.linear]))
            assert row.relative_error == pytest.approx(np.linalg.norm(rest) / np.linalg.norm(weight), rel=1e-5)
            x = inputs[row.linear]
            held = x[(np.arange(120) * 50 // 120) % 5 == 4]
            error = np.linalg.norm(held @ rest) / np.linalg.norm(held @ weight)
            assert row.outputs is not None
            assert row.outputs.held_out == pytest.approx(error, rel=1e-4)
            assert row.flops == 2 * row.stored_weights


def test_with_inputs_low_rank_whitened_is_the_best_low_rank() -> None:
    rows = project_model("tiny", structure="4,4,2", inputs=inputs_file(400))
    for row in rows:
        assert row.lowrank_whitened is not None
        assert row.lowrank_outputs is not None
        assert row.lowrank_whitened.calibration <= row.lowrank_outputs.calibration
    with_lowrank = project_model("tiny", structure="4,4,2", method="lowrank", inputs=inputs_file(400))
    assert [row.outputs for row in with_lowrank] == [row.lowrank_whitened for row in rows]
    assert [row.relative_error for row in project_model("tiny", structure="4,4,2", method="lowrank")] == [
        row.lowrank_error for row in rows
    ]


def test_calibrated_methods_need_inputs(cli: Cli) -> None:
    for method in ("whitened", "als"):
        refused(cli("project", "--model", "tiny", "--method", method), "expected --text FILE or --inputs FILE")
        with pytest.raises(InputError, match=f"method {method} fits outputs: it needs inputs"):
            project_model("tiny", method=method)
    with pytest.raises(ValueError, match="als needs inputs"):
        project_linear("x", np.eye(8, dtype=np.float32), Structure.monarch(2, 2), method="als")


def test_unknown_methods_and_options(cli: Cli) -> None:
    refused(cli("project", "--model", "tiny", "--method", "alz"), "'alz': expected one of plain", "did you mean als?")
    with pytest.raises(InputError, match="method 'alz': there is none of that name; known: plain, whitened"):
        project_model("tiny", method="alz")
    refused(cli("project", "--model", "tiny", "--text", "a", "--inputs", "b"), "not allowed with")
    refused(cli("project", "--model", "tiny", "--out", "f.npz"), "expected a name that ends in .safetensors")


@pytest.mark.parametrize("option", ["--model", "--inputs"])
def test_names_that_no_file_can_have(cli: Cli, option: str) -> None:
    words = {"--model": "tiny", option: "x" * 5000 + (".npz" if option == "--inputs" else "")}
    refused(cli("project", *(word for pair in words.items() for word in pair)), "xxx")


def test_a_folder_gets_a_file(cli: Cli) -> None:
    assert cli("project", "--model", "tiny", "--out", "new/folder", "-q").code == 0
    assert FactorFile("new/folder/factors.safetensors").metadata["model"] == "tiny"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_leave_no_file(cli: Cli, bad: float) -> None:
    """In the last linear, when others have been written."""
    weight = load_file("tiny/model.safetensors")[f"{LAYER}output.dense.weight"]
    weight[3, 3] = bad
    change_tensors(output__dense=weight)
    words = ["project", "--model", "tiny", "--out", "f.safetensors"]
    refused(cli(*words), f"{LAYER}output.dense.weight: 1 of 384 numbers are NaN or infinite, first in row 3")
    refused(cli(*words, "--inputs", inputs_file(), "--method", "als"), "1 of 384 numbers are NaN or infinite")
    assert not Path("f.safetensors").exists()


def test_missing_tensors_and_wrong_shapes(cli: Cli) -> None:
    words = ["project", "--model", "tiny", "--out", "f.safetensors"]
    change_tensors(attention__self__value=np.zeros((16, 8), dtype=np.float32))
    refused(cli(*words), "attention.self.value.weight has shape (16, 8), the model needs (16, 16)")
    change_tensors(attention__self__value=None)
    refused(cli(*words), f"no tensor {LAYER}attention.self.value.weight; near names: encoder.layer.1.attention.self")
    assert not Path("f.safetensors").exists()


def test_shards_cut_short(cli: Cli) -> None:
    file = Path("tiny/model.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    refused(cli("project", "--model", "tiny", "--out", "f.safetensors"), "is cut short")


def test_inputs_that_do_not_fit(cli: Cli) -> None:
    name = f"{LAYER}output.dense"
    words = ["project", "--model", "tiny", "--method", "als", "--out", "f.safetensors", "--inputs"]
    narrow = np.zeros((99, 16), dtype=np.float32)
    wrong = inputs_file(**{name.replace(".", "__"): narrow})
    refused(cli(*words, wrong), f"{name} has shape (99, 16); expected (samples, 24)")
    refused(cli(*words, "nowhere.npz"), "nowhere.npz: cannot be read")


def test_more_memory_than_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000)
    refused(
        cli("project", "--model", "tiny", "--out", "f.safetensors"),
        "projecting encoder.layer.0.intermediate.dense (16 x 24) needs about",
        "GiB are free",
    )


def test_the_memory_that_is_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listing = tmp_path / "meminfo"
    listing.write_text("MemTotal: 9 kB\nMemAvailable:    7 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", listing)
    assert memory.available_bytes() == 7 * 1024
    listing.unlink()
    there = memory.available_bytes()
    assert there is None or there > 2**20


def test_memory_is_that_of_the_largest_linear() -> None:
    linears = cimsolve.load_model("llama-3-8b").linears
    largest = max(linears, key=lambda each: each.weights)
    assert memory_needed(largest, 0) == max(memory_needed(each, 0) for each in linears) < 3e9
    assert memory_needed(largest, 4096) > memory_needed(largest, 0)


def test_the_report_says_when_low_rank_is_better_and_that_fine_tuning_is_needed(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    product = (rng.standard_normal((16, 3)) @ rng.standard_normal((3, 16))).astype(np.float32)
    change_tensors(attention__self__value=product)
    out = cli("project", "--model", "tiny", "--structure", "4,4,1").out
    assert "before the factors have been fine-tuned" in " ".join(out.split())
    assert "linears: --method lowrank keeps it" in " ".join(out.split())
    exact = cli("project", "--model", "tiny", "--structure", "dense", "-q").out
    assert "fine-tuned" not in exact


def test_experts_do_the_work_of_the_tokens_that_fire_them(cli: Cli) -> None:
    """Of four experts a token fires two; the last is fired by none, and its error is not known."""
    record = json.loads((RECORDS / "mixtral.json").read_text())
    drawn_folder(Path("moe"), record["config"], record["tensors"])
    random, model = np.random.default_rng(3), cimsolve.load_model("moe")
    inputs = {each.name: random.normal(size=(60, each.n_in)).astype(np.float32) for each in model.linears}
    inputs |= {name: 0 * given for name, given in inputs.items() if ".experts.3." in name}
    np.savez("inputs.npz", **inputs)
    rows = project_model("moe", structure=["dense", "*experts*=2,2,1"], inputs="inputs.npz")
    for row in rows:
        fires = Fraction(1, 2) if ".experts." in row.linear else 1
        assert row.flops == 2 * row.stored_weights * fires
        if ".experts." in row.linear:
            assert row.outputs is not None
            assert (row.outputs.held_out is None) == (".experts.3." in row.linear)
    stored = ("--structure", "dense", "--structure", "*experts*=2,2,1")
    result = cli("project", "--model", "moe", *stored, "--inputs", "inputs.npz")
    unfired = [line.split() for line in result.out.splitlines() if "experts.3." in line]
    assert len(unfired) == 6
    assert all(cells[-1] == cells[-2] == cells[-5] == "-" for cells in unfired)
