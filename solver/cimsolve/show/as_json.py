"""The result of a run or a check as plain data, for programs that read stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cimsolve.judge.check import CheckReport
from cimsolve.judge.replay import Figure, Replay
from cimsolve.judge.simulate import SimulationReport
from cimsolve.problem.objective import is_weighted
from cimsolve.problem.solution import Header
from cimsolve.prove import objective_units, objective_values
from cimsolve.show.text.front import stand
from cimsolve.show.text.sensitivity import Compared
from cimsolve.study.ask import Asked, Outcome
from cimsolve.study.front import FrontFound, RuleRow
from cimsolve.study.sensitivity import COMPARED_METRICS, VariantAnswers, flips, kept, rank, ratio

RUN_FORMAT = "cimsolve-run/1"
FRONT_FORMAT = "cimsolve-front/1"
SENSITIVITY_FORMAT = "cimsolve-sensitivity/1"
CHECK_FORMAT = "cimsolve-check/1"
REPLAY_FORMAT = "cimsolve-replay/1"


def describe_run(asked: Asked, outcomes: Sequence[Outcome], exit_code: int) -> dict[str, Any]:
    """The question, and of each strategy its figures, bounds, verdicts and files."""
    units = objective_units(asked.problem, asked.objective)
    return {
        "format": RUN_FORMAT,
        "question": {**_question(asked), "objective": list(asked.objective), "seed": asked.seed},
        "strategies": {outcome.strategy: {**_outcome(outcome), **_sums(outcome, asked, units)} for outcome in outcomes},
        "command": asked.command,
        "exit_code": exit_code,
    }


def _sums(outcome: Outcome, asked: Asked, units: Mapping[str, float]) -> dict[str, Any]:
    """The weighted sums of the objective, where there are any."""
    sums = [item for item in asked.objective if is_weighted(item)]
    if outcome.header is None or not sums:
        return {}
    return {"weighted": dict(zip(sums, objective_values(outcome.header.metrics, sums, units), strict=True))}


def describe_front(asked: Asked, found: FrontFound, exit_code: int) -> dict[str, Any]:
    """The question, every point of the front, and how each rule stands to them."""
    return {
        "format": FRONT_FORMAT,
        "question": _question(asked),
        "points": [
            {
                "point": row.label,
                "found_by": row.found_by,
                "metrics": dict(row.header.metrics),
                "bounds": _bounds(row.header),
                "proved": [name for name, entry in row.header.bounds.items() if entry.gap == 0],
                "check": {"passed": row.check.passed, **_verdict(row.check)},
                "files": [str(path) for path in row.files],
            }
            for row in found.points
        ],
        "rules": {row.strategy: _rule(row, found) for row in found.rules},
        "runtime_s": found.search_s,
        "stopped_by_time_limit": found.time_limit_s is not None,
        "command": asked.command,
        "exit_code": exit_code,
    }


def describe_sensitivity(asked: Asked, compared: Compared, exit_code: int) -> dict[str, Any]:
    """The question, and of each variant every strategy's figures, ratios, savings kept, and the rankings."""
    return {
        "format": SENSITIVITY_FORMAT,
        "question": _question(asked),
        "reference": compared.reference,
        "variants": [_variant(each, compared) for each in compared.variants],
        "command": asked.command,
        "exit_code": exit_code,
    }


def describe_check(report: CheckReport, header: Header, metrics: Mapping[str, int | float] | None) -> dict[str, Any]:
    """A judged solution file: the verdict, what it claims and what its tables give."""
    return {
        "passed": report.passed,
        "strategy": header.strategy,
        "model": header.model_name,
        "hardware": header.hw.get("name"),
        "status": header.status,
        **_verdict(report),
        "claimed": dict(header.metrics),
        "recomputed": None if metrics is None else dict(metrics),
    }


def describe_replay(report: CheckReport, header: Header, found: Replay | None) -> dict[str, Any]:
    """A replayed solution file; `replay` is null where the tables break a rule."""
    return {
        "passed": report.passed and found is not None and found.agrees,
        "strategy": header.strategy,
        "model": header.model_name,
        "hardware": header.hw.get("name"),
        **_verdict(report),
        "replay": None if found is None else _replay(found),
    }


def _replay(found: Replay) -> dict[str, Any]:
    stream = found.stream
    return {
        "latency": _compared(found.token),
        "prefill": {
            "tokens": found.tokens,
            **_compared(found.prefill),
            "busiest": found.busiest,
            "utilisation": found.utilisation,
            "pace_share": found.pace_share,
        },
        "stream": None
        if stream is None
        else {
            "tokens": stream.tokens,
            "settled": stream.settled,
            "ii": _compared(stream.interval),
            "latency_ns": stream.latency_ns,
            "tokens_in_flight": stream.in_flight,
        },
    }


def _compared(figure: Figure) -> dict[str, float]:
    return {
        "analytical_ns": figure.analytical_ns,
        "replayed_ns": figure.replayed_ns,
        "difference": figure.difference,
    }


def _question(asked: Asked) -> dict[str, Any]:
    problem = asked.problem
    return {
        "hardware": problem.hardware.name,
        "changes": dict(change.split("=", 1) for change in asked.changes),
        "converters": {
            "table_from": problem.hardware.adc.table_from,
            "extrapolated_bits": problem.hardware.extrapolated_lines,
        },
        "model": problem.model.name,
        "family": problem.model.family,
        "linears": len(problem.model.linears),
        "weights": problem.model.weight_count,
        "stored_weights": problem.workload.weight_count,
        "not_mapped": list(problem.model.unmapped),
        "structure": {name: str(structure) for name, structure in problem.structures.items()},
        **problem.terms.model_dump(),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"state": outcome.state}
    if outcome.header is None or outcome.check is None:
        return {**found, "reason": outcome.reason}
    header = outcome.header
    return {
        **found,
        "status": header.status,
        "metrics": dict(header.metrics),
        "bounds": _bounds(header),
        "check": {"passed": outcome.check.passed, **_verdict(outcome.check)},
        "simulation": _simulation(outcome.simulation, outcome.not_simulated),
        "files": [str(path) for path in outcome.files],
        "runtime_s": round(outcome.solve_s, 3),
    }


def _rule(row: RuleRow, found: FrontFound) -> dict[str, Any]:
    if row.header is None or row.check is None:
        return {"state": "infeasible", "reason": row.reason}
    standing = stand(row.header, found.points)
    return {
        "state": "solved",
        "metrics": dict(row.header.metrics),
        "check": {"passed": row.check.passed, **_verdict(row.check)},
        "beaten_by": standing.beaten_by,
        "but_for": standing.but_for,
        "excess": standing.excess,
        "is_point": standing.is_point,
    }


def _variant(answers: VariantAnswers, compared: Compared) -> dict[str, Any]:
    compare: dict[str, Any] = {}
    for metric in COMPARED_METRICS:
        given, here = compared.variants[0].values(metric), answers.values(metric)
        ratios = {name: ratio(here, name, compared.reference) for name in answers.answers}
        as_given = {name: ratio(given, name, compared.reference) for name in answers.answers}
        compare[metric] = {
            "ratio": ratios,
            "kept": {name: kept(as_given[name], ratios[name]) for name in ratios},
            "ranking": rank(here),
            "flips": flips(given, here),
        }
    return {
        "name": answers.variant.name,
        "changes": dict(answers.variant.settings),
        "extrapolated_bits": answers.extrapolated(),
        "compare": compare,
        "strategies": {
            name: {
                "state": "solved" if answer.metrics else "infeasible",
                "metrics": dict(answer.metrics),
                "adc_bits": list(answer.adc_bits),
                "violations": list(answer.violations),
                "reason": answer.reason,
            }
            for name, answer in answers.answers.items()
        },
    }


def _bounds(header: Header) -> dict[str, Any]:
    return {name: entry.model_dump() for name, entry in header.bounds.items()}


def _verdict(report: CheckReport) -> dict[str, Any]:
    return {
        "violations": [str(violation) for violation in report.violations],
        "unverified_bounds": list(report.unverified),
    }


def _simulation(report: SimulationReport | None, reason: str) -> dict[str, Any]:
    if report is None:
        return {"passed": None, "reason": reason}
    return {
        "passed": report.passed,
        "exact": report.exact,
        "lossless_expected": report.lossless_expected,
        "layers": list(report.layers),
        "outputs": report.outputs,
        "mismatches": report.mismatches,
        "relative_error": report.relative_error,
        "snr_db": report.snr_db,
        "first_mismatch": report.first_mismatch,
    }
