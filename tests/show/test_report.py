"""What is printed: numbers, units, tables that fit the terminal, and words that claim no more than is so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsolve import api
from cimsolve.__main__ import main
from cimsolve.chip.read import load_hardware
from cimsolve.judge.check import CheckReport, Violation, check_solution
from cimsolve.judge.simulate import simulate
from cimsolve.show import units
from cimsolve.show.figures import ENERGY, FIGURES, LATENCY, figure_of_metric
from cimsolve.show.text import breakdown, question, solve
from cimsolve.show.text.projection import common_prefix
from cimsolve.study.ask import Asked, Outcome, solved_ones
from cimsolve.study.solving import problem_for, solve_and_check

STRATEGIES = ("linear", "sparsemap", "densemap", "spread", "optimal")


@pytest.fixture(scope="module")
def problem() -> api.Problem:
    return api.make_problem("minilm-l6", "paper256")


@pytest.fixture(scope="module")
def outcomes(problem: api.Problem) -> list[Outcome]:
    """Four rules on MiniLM, checked and simulated."""
    found = []
    for name in STRATEGIES[:-1]:
        solution, report = solve_and_check(problem, name)
        simulation = simulate(problem_for(name, problem), solution.pieces, solution.activations, layers=[0])
        found.append(
            Outcome(
                name,
                "solved",
                header=solution.header,
                check=report,
                simulation=simulation,
                files=(Path(f"{name}.json"),),
            )
        )
    return found


@pytest.fixture(scope="module")
def asked(problem: api.Problem) -> Asked:
    return Asked(
        problem,
        STRATEGIES[:-1],
        ("arrays", "latency"),
        0,
        ["adc.per_array=8"],
        "the first layer",
        "cimsolve --x",
    )


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: Asked) -> Callable[..., str]:
    """What a run prints about outcomes, on a terminal so wide."""

    def call(outcomes: list[Outcome], verbosity: int = 0, width: int = 120) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        if verbosity >= 0:
            question.print_question(asked, verbosity)
        solve.print_run(asked, outcomes, verbosity)
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return call


# The report of a run


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_the_report_fits_the_terminal(
    printed: Callable[..., str], outcomes: list[Outcome], width: int, verbosity: int
) -> None:
    out = printed(outcomes, verbosity, width=width)
    assert max(len(line) for line in out.splitlines()) <= width
    for name in STRATEGIES[:-1] if verbosity >= 0 else ():
        assert any(line.startswith(name) for line in out.splitlines())  # no table folds its first column
    assert "\x1b" not in out
    assert "\u2026" not in out  # nothing is cut off


def test_the_report_says_what_an_architect_asks(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    out = printed(outcomes, width=200)
    for part in ("36 linears", "adc.per_array=8", "w = 1 column a weight", "Written", "cimsolve --x", "Answer"):
        assert part in out, part


def test_verbose_says_what_an_expert_asks(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    out = printed(outcomes, verbosity=1, width=200)
    for part in (
        "embeddings; attention scores and values",
        "f = 8 phases",
        "8 ADCs an array",
        "log2_rows",
        "assumed",
        "16 of 24x16",
        "attention.self.query, attention.self.key",
        "the first layer",
        "Times better than linear",
        "Times better than densemap, the next best rule in arrays, then latency",
        "wire resistance",
        "programming",
        "biases",
        "contention",
    ):
        assert part in out, part


def test_quiet_prints_the_answer_only(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    out = printed(outcomes, verbosity=-1)
    assert printed(outcomes).endswith(out[out.index("Answer\n") :])
    assert out.split("Answer\n")[0].split()[0] == "caution:"  # eight bits are too few here
    failed = dataclasses.replace(outcomes[-1], check=CheckReport((Violation("P3", "two pieces share a cell"),)))
    assert "two pieces share a cell" in printed([*outcomes[:-1], failed], verbosity=-1)


def test_verbose_adds_components_and_proofs(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    out = printed(outcomes, verbosity=1)
    for part in (
        "Token latency by component",
        "conversions",
        "Sources of the hardware figures",
        "critical path",
    ):
        assert part in out, part


def section(out: str, title: str) -> list[list[str]]:
    """The words of each line of the table below a heading."""
    lines = out.split(title, 1)[1].split("\n\n", 1)[0].splitlines()
    return [line.split() for line in lines[1:]]


def test_verbose_shows_what_no_mapping_can_change(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    out = printed(outcomes, verbosity=1)
    rows = {row[0]: row[1:] for row in section(out, "What no mapping can change") if row}
    for outcome in outcomes:
        assert outcome.header is not None
        metrics = outcome.header.metrics
        shown = rows[outcome.strategy]
        assert shown[1] == units.share(metrics["fixed_latency_ns"] / metrics["latency_ns"])
        assert shown[5] == units.share(metrics["fixed_ii_cycles"] / metrics["ii_cycles"])
        assert shown[7] == units.share(metrics["fixed_energy_pj"] / metrics["energy_pj"])


def test_verbose_shows_rates_stages_and_the_pace_of_phases(
    printed: Callable[..., str], outcomes: list[Outcome]
) -> None:
    spread = outcomes[-1]
    assert spread.header is not None
    metrics = spread.header.metrics
    out = printed([spread], verbosity=1)
    (rates,) = [row for row in section(out, "Tokens a second") if row[0] == "spread"]
    assert rates[1:4] == [units.number(metrics[f"{rate}_tokens_per_s"]) for rate in ("decode", "prefill", "throughput")]
    stages = section(out, "Token latency by stage")
    assert [row[0] for row in stages[2:4]] == ["layer.qkv.R", "layer.qkv.L"]
    assert stages[-2][:4] == ["end", "of", "the", "pass"]
    (pace,) = [row for row in section(out, "Prefill by what sets the pace") if row[0] == "spread"]
    assert pace[1:3] == ["arrays", "7"]
    assert pace[-1] == "100%"


def test_few_kinds_of_stages_are_shown_and_the_rest_is_summed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, outcomes: list[Outcome]
) -> None:
    header = outcomes[-1].header
    assert header is not None
    own_names = header.model_copy(update={"model": {**header.model, "model_type": "linears"}})
    found = breakdown.values_by_kind(own_names, "_cycles")
    assert len(found) == breakdown.KINDS_SHOWN + 1
    assert sum(found.values()) == header.metrics["latency_cycles"]
    assert list(found)[-2:] == ["all others", breakdown.TAIL]


def test_optimal_is_said_only_where_the_status_and_the_checker_say_so(
    printed: Callable[..., str], outcomes: list[Outcome]
) -> None:
    out = printed(outcomes, 1)
    assert all(outcome.header is not None and outcome.header.status == "feasible" for outcome in outcomes)
    assert "optimal in" not in out
    spread = outcomes[-1]
    assert spread.header is not None
    assert spread.check is not None
    proved = dataclasses.replace(spread, header=spread.header.model_copy(update={"status": "optimal"}))
    assert "optimal in arrays, latency " in printed([proved], 1)
    searched = dataclasses.replace(proved, check=dataclasses.replace(spread.check, unverified=("arrays",)))
    out = printed([searched], 1, width=200)
    assert "optimal in arrays, latency (by search)" in out
    assert "spread: the bound on arrays: a search" in out
    assert "cimsolve check --prove" in out
    objection = Violation("bounds", "status: more is claimed than holds")
    failed = dataclasses.replace(proved, check=CheckReport((objection,)))
    assert "optimal in" not in printed([failed], 1)


def test_rounding_that_spoils_the_result_is_pointed_out(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    spread = outcomes[-1]
    simulation = spread.simulation
    assert simulation is not None
    loud = dataclasses.replace(
        simulation, overall=dataclasses.replace(simulation.overall, error_energy=1.0, signal_energy=2.0)
    )
    out = printed([dataclasses.replace(spread, simulation=loud)])
    assert "caution" in out
    assert "3.0 dB" in out
    clean = dataclasses.replace(
        simulation, overall=dataclasses.replace(simulation.overall, error_energy=1.0, signal_energy=1e9)
    )
    assert "caution" not in printed([dataclasses.replace(spread, simulation=clean)])


def test_lossy_converters_are_flagged(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    spread = outcomes[-1]
    assert spread.header is not None
    lossy = spread.header.model_copy(update={"metrics": {**spread.header.metrics, "lossy_activations": 3}})
    rows = printed([dataclasses.replace(spread, header=lossy)], 1).splitlines()
    verdict = rows[rows.index("Verdicts") :]
    assert any(row.startswith("spread") and " yes " in row for row in verdict)


def test_a_run_of_one_strategy_compares_with_nothing(printed: Callable[..., str], outcomes: list[Outcome]) -> None:
    assert "Times better" not in printed(outcomes[:1], 1)


def test_summary_lines(outcomes: list[Outcome]) -> None:
    assert solve.summary_line(outcomes[-1]) == (
        "spread: 11 arrays, token latency 77.68 us, check ok, simulation ADC rounding only"
    )
    assert solve.summary_line(Outcome("linear", "infeasible", "too small")) == "linear: infeasible"


def test_many_groups_are_cut_short(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    monkeypatch.setattr(question, "GROUPS_SHOWN", 2)
    question.print_question(asked, 1)
    assert "and 1 groups more" in capsys.readouterr().out


# Hardware in words


def test_assumed_figures_are_named_without_their_better_founded_parts() -> None:
    text = question.describe_sources(load_hardware("rram256"))
    assert "adc (except table)" in text
    assert "transfer.base_ns" in text
    assert "energy_pj" not in text  # derived


def test_measured_cores_are_described_as_such() -> None:
    assert "measured core: 133 ns" in question.describe_converters(load_hardware("pcm256"))
    assert "64 rows at once" in question.describe_arrays(load_hardware("sram256"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("encoder.layer.11.attention.self.query", "attention.self.query"),
        ("model.layers.3.mlp.up_proj", "mlp.up_proj"),
        ("h.0.attn.c_attn.2.part", "part"),
        ("a1.query", "a*.query"),
        ("head", "head"),
    ],
)
def test_kinds_are_names_without_the_layer(name: str, kind: str) -> None:
    assert question.kind_of(name) == kind


def test_common_prefixes_are_whole_parts() -> None:
    assert common_prefix(["a.b.c", "a.b.d"]) == "a.b."
    assert common_prefix(["a.bx.c", "a.by.c"]) == "a."
    assert common_prefix(["a.b"]) == ""
    assert common_prefix(["x", "y"]) == ""


# Figures and machine-readable results


def test_figures_read_cycles_with_the_clock(outcomes: list[Outcome]) -> None:
    header = outcomes[0].header
    assert header is not None
    slow = header.model_copy(update={"hw": {**header.hw, "clock_ns": 2.0}})
    assert LATENCY.total(slow) == 2 * LATENCY.total(header)
    assert ENERGY.total(slow) == ENERGY.total(header)
    assert LATENCY.total(header) == header.metrics["latency_ns"]
    assert figure_of_metric("latency") is LATENCY is figure_of_metric("latency_cycles")
    assert figure_of_metric("beauty") is None
    for figure in FIGURES:
        assert figure.lower(header) <= figure.total(header) * (1 + 1e-9)


def test_machine_readable_run(asked: Asked, outcomes: list[Outcome]) -> None:
    lost = Outcome("optimal", "infeasible", "arrays are short")
    found = solve.describe_run(asked, [*outcomes, lost], 1)
    assert found["strategies"]["optimal"] == {"state": "infeasible", "reason": "arrays are short"}
    assert found["strategies"]["spread"]["metrics"]["arrays"] == 11
    assert len(solved_ones([*outcomes, lost])) == len(outcomes)


def test_check_shows_the_first_violations(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, problem: api.Problem
) -> None:
    solution, _ = solve_and_check(problem, "spread")
    lies = {**solution.header.metrics, "arrays": 1, "latency_cycles": 1, "energy_pj": 1.0, "area_mm2": 1.0}
    false = dataclasses.replace(solution, header=solution.header.model_copy(update={"metrics": lies}))
    count = len(check_solution(false).violations)
    assert count > 3
    path = tmp_path / "lies.json"
    api.write_solution(false, path)
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"and {count - 3} more; -v shows all" in out
    assert main(["check", "-v", str(path)]) == 1
    assert "more; -v shows all" not in capsys.readouterr().out
