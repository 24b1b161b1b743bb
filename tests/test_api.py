"""The Python API: the same job as the command line, in a few lines."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import cimsolve
from cimsolve import api
from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.judge.check import CheckReport, Violation
from cimsolve.model.structure import Structure
from cimsolve.price.schedule import number_arrays
from cimsolve.problem.question import first_difference
from cimsolve.solve.effort import Effort, Event
from cimsolve.study import solving
from cimsolve.study.solving import start_from
from cimsolve.weights.folder import weights_beside

LINEARS = {
    "model_type": "linears",
    "context": 16,
    "steps": [
        {"name": "a", "linears": [{"name": n, "n_in": 16, "n_out": 16} for n in ("a.query", "a.key")]},
        {"name": "b", "linears": [{"name": "b.out", "n_in": 16, "n_out": 64}]},
    ],
}


SMALL = with_settings(load_hardware("paper256"), {"array.rows": "16", "array.cols": "16"})
"""Arrays of which three are needed."""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with a model of three linears."""
    (tmp_path / "config.json").write_text(json.dumps(LINEARS))
    return tmp_path


def test_a_few_lines_suffice() -> None:
    solution = cimsolve.map_model("bert-large", "paper256")
    assert solution.header.metrics["latency_ns"] > 0
    assert solution.header.strategy == "optimal"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, cimsolve; cimsolve.__version__, cimsolve.InputError, dir(cimsolve); "
        "print({'numpy', 'pydantic', 'ortools', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there() -> None:
    for name in cimsolve.__all__:
        assert getattr(cimsolve, name) is not None
        assert name in dir(cimsolve)
    assert cimsolve.map_model is api.map_model


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'beauty'"):
        cimsolve.beauty  # noqa: B018


def test_map_check_simulate_write_read(tiny: Path) -> None:
    solution = cimsolve.map_model(tiny, "rram256", strategy="spread")
    report = cimsolve.check_solution(solution)
    assert report.passed
    simulation = cimsolve.simulate_solution(solution, layers=[0], vectors=2)
    assert simulation.passed
    assert simulation.exact
    (path,) = cimsolve.write_solution(solution, tiny / "solution.json")
    again = cimsolve.read_solution(path)
    assert again.header.metrics == solution.header.metrics
    assert cimsolve.check_solution(path).passed
    assert cimsolve.simulate_solution(str(path)).layers == (0, 1)


def test_loaded_parts_may_be_used_again(tiny: Path) -> None:
    model = cimsolve.load_model(tiny, tokens=8)
    hardware = cimsolve.load_hardware("paper256")
    problem = cimsolve.make_problem(model, hardware, structure="dense", max_arrays=7, cut="none")
    assert (problem.model.tokens, problem.array_limit, problem.cut) == (8, 7, "none")
    solution = cimsolve.map_model(model, hardware, strategy="linear", tokens=8)
    assert solution.header.options.tokens == 8


@pytest.mark.parametrize("structure", ["2,2,1", ["dense", "*=2,2,1"], {"a.query": Structure.monarch(2, 2)}])
def test_structures(tiny: Path, structure: api.Structures) -> None:
    if isinstance(structure, dict):
        structure = {**structure, "a.key": Structure.dense(), "b.out": Structure.dense()}
    problem = cimsolve.make_problem(tiny, "paper256", structure=structure)
    assert str(problem.structures["a.query"]) == "2,2,1"


def test_options_reach_the_answer(tiny: Path) -> None:
    events: list[Event] = []
    solution = cimsolve.map_model(
        tiny,
        SMALL,
        objective=["latency"],
        max_arrays=3,
        seed=5,
        time_limit_s=10,
        listen=events.append,
    )
    header = solution.header
    assert (header.objective, header.options.max_arrays, header.seed) == (["latency"], 3, 5)
    assert events


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"strategy": "optimum"}, "did you mean optimal?"),
        ({"objective": ["latnecy"]}, "did you mean latency?"),
        ({"objective": []}, "expected one or more names"),
        ({"objective": ["arrays", "arrays"]}, "each once"),
        ({"seed": -1}, "seed = -1"),
        ({"workers": 0}, "workers = 0"),
        ({"time_limit_s": 0}, "time_limit_s = 0"),
        ({"time_limit_s": float("nan")}, "time_limit_s = nan"),
        ({"structure": "3,3,1"}, "does not divide"),
        ({"structure": {"nobody": Structure.dense()}}, "'nobody': expected a linear"),
        ({"max_arrays": 0}, "0"),
        ({"tokens": 17}, "more than the model's context"),
        ({"cut": "rows"}, "rows"),
    ],
)
def test_bad_questions_are_input_errors(tiny: Path, options: dict[str, object], part: str) -> None:
    with pytest.raises(cimsolve.InputError, match=r".") as caught:
        cimsolve.map_model(tiny, "paper256", **options)  # type: ignore[arg-type]
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loaded_model_keeps_its_tokens(tiny: Path) -> None:
    with pytest.raises(cimsolve.InputError, match="loaded for 16"):
        cimsolve.make_problem(cimsolve.load_model(tiny), "paper256", tokens=8)


def test_no_room_is_infeasible(tiny: Path) -> None:
    with pytest.raises(cimsolve.InfeasibleError, match="fewer than 3"):
        cimsolve.map_model(tiny, SMALL, max_arrays=2)


def test_a_wrong_answer_is_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = CheckReport((Violation("P1", "a hole"),))
    monkeypatch.setattr(solving, "check_solution", lambda *_: failed)
    with pytest.raises(cimsolve.CheckError, match="P1: a hole; please report this bug"):
        cimsolve.map_model(tiny, "paper256", strategy="spread")


def test_weights_beside_a_config(tiny: Path) -> None:
    model = cimsolve.load_model(tiny)
    assert weights_beside(model, "bert-large") is None
    assert weights_beside(model, tiny) is None
    random = np.random.default_rng(0)
    sizes = {"a.query": (16, 16), "a.key": (16, 16), "b.out": (64, 16)}
    stored = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    save_file({f"{name}.weight": value for name, value in stored.items()}, tiny / "model.safetensors")
    weights = weights_beside(model, tiny)
    assert weights is not None
    assert list(weights) == list(sizes)
    assert (len(weights), "a.key" in weights, "a" in weights) == (3, True, False)
    np.testing.assert_array_equal(weights["b.out"], stored["b.out"].T.astype(np.float64))
    solution = cimsolve.map_model(model, "rram256", strategy="linear")
    report = cimsolve.simulate_solution(solution, weights=weights)
    assert report.exact
    assert set(report.weight_scales) == {0, 1, 2}


@pytest.mark.parametrize("shape", [(16, 8), (16, 16, 1), (8, 16)])
def test_weights_of_another_shape_are_refused_when_opened(tiny: Path, shape: tuple[int, ...]) -> None:
    tensors = {name: np.zeros((16, 16), dtype=np.float32) for name in ("a.query.weight", "a.key.weight")}
    save_file({**tensors, "b.out.weight": np.zeros(shape, dtype=np.float32)}, tiny / "model.safetensors")
    with pytest.raises(cimsolve.InputError, match=r"b\.out\.weight has shape"):
        weights_beside(cimsolve.load_model(tiny), tiny)


def test_limits_reach_the_question(tiny: Path) -> None:
    problem = cimsolve.make_problem(tiny, "paper256", max_latency_ns=1e6, max_energy_pj=1e9)
    assert problem.cost_limits == {"latency_ns": 1e6, "energy_pj": 1e9}
    options = cimsolve.map_model(tiny, "paper256", strategy="spread", max_latency_ns=1e6).header.options
    assert (options.max_latency_ns, options.max_energy_pj) == (1e6, None)
    with pytest.raises(cimsolve.InputError, match="the question: max_latency_ns = 0"):
        cimsolve.make_problem(tiny, "paper256", max_latency_ns=0)


def test_a_changed_question_is_checked_like_a_new_one(tiny: Path) -> None:
    question = cimsolve.make_problem(tiny, "paper256").question
    assert question.asking(max_arrays=3, cut="none").terms.max_arrays == 3
    for wrong in ({"cut": "colums"}, {"max_arrays": 0}, {"max_energy_pj": -1.0}):
        with pytest.raises(cimsolve.InputError, match=f"the question: {next(iter(wrong))} = "):
            question.asking(**wrong)


def test_what_is_given_beside_a_question_takes_the_place_of_its_part(tiny: Path) -> None:
    question = cimsolve.make_problem(tiny, "paper256").question
    changed = cimsolve.make_problem(question, "rram256", structure="dense", objective=["energy"], max_energy_pj=1e9)
    assert (changed.hardware.name, changed.is_dense, changed.objective) == ("rram256", True, ("energy",))
    assert changed.cost_limits == {"energy_pj": 1e9}
    assert cimsolve.make_problem(question).question is question
    with pytest.raises(cimsolve.InfeasibleError):
        cimsolve.map_model(question, strategy="spread", max_energy_pj=1e-6)
    for wrong in ({"max_energy": 1.0}, {"tokens": 3}):
        with pytest.raises(cimsolve.InputError, match=next(iter(wrong))):
            cimsolve.map_model(question, **wrong)


def test_fewer_arrays_than_the_bound_are_refused_before_any_search() -> None:
    heard: list[str] = []
    effort = Effort(listen=lambda event: heard.append(event.phase))
    with pytest.raises(cimsolve.InfeasibleError, match=r"no mapping does with fewer than \d+ \(area bound\)"):
        cimsolve.map_model("minilm-l6", "paper256", effort=effort, max_arrays=5)
    assert not [phase for phase in heard if "stages dealt" in phase]


def test_answers_stay_in_their_folder_whatever_the_chip_is_called(tiny: Path) -> None:
    chip = cimsolve.load_hardware("paper256").model_copy(update={"name": "../../outside"})
    (found,) = cimsolve.map_all(tiny, chip, strategies=["spread"], out=tiny / "kept")
    assert [path.parent for path in found.files] == [tiny / "kept"]


def test_a_start_is_a_solution_or_its_file(tiny: Path) -> None:
    rule = cimsolve.map_model(tiny, "paper256", strategy="spread", cut="none")
    best = cimsolve.map_model(tiny, "paper256", cut="none", start=rule)
    cimsolve.write_solution(rule, tiny / "rule.json")
    again = cimsolve.map_model(tiny, "paper256", cut="none", start=tiny / "rule.json")
    assert best.header.metrics == again.header.metrics
    assert best.header.metrics["latency_ns"] <= rule.header.metrics["latency_ns"]
    with pytest.raises(cimsolve.InputError, match="the given solution: hw"):
        cimsolve.map_model(tiny, "rram256", start=rule)


def test_a_start_may_number_its_arrays_with_gaps(tiny: Path) -> None:
    problem = cimsolve.make_problem(tiny, "paper256")
    rule = cimsolve.map_model(tiny, "paper256", strategy="sparsemap")
    apart = replace(
        rule,
        pieces=replace(rule.pieces, array=rule.pieces.array * 3),
        activations=replace(rule.activations, array=rule.activations.array * 3),
    )
    assert cimsolve.check_solution(apart).passed
    assert start_from(apart, problem).pieces.array.tolist() == rule.pieces.array.tolist()
    far = replace(apart, pieces=replace(apart.pieces, array=apart.pieces.array * 2**28))
    assert number_arrays(far.pieces).array.tolist() == rule.pieces.array.tolist()


def test_exact_is_refused_where_it_is_out_of_reach(tiny: Path) -> None:
    with pytest.raises(cimsolve.InputError, match="--exact: this problem is out of reach"):
        cimsolve.map_model("minilm-l6", "paper256", exact=True)


def test_where_two_pieces_of_json_differ() -> None:
    def told(mine: Any, theirs: Any) -> str | None:
        found = first_difference(mine, theirs)
        return None if found is None else found.told("here", "there")

    assert told({"a": [1]}, {"a": [1]}) is None
    assert told({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b is 1 here and 2 there"
    assert told({"c": 1}, {}) == "c is only here"
    assert told({}, {"c": 1}) == "c is not here"
