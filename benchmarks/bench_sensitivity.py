"""Does the comparison of strategies hold on other converters?

One model on some chips: the spec as given, each other converter model, each other wiring, sample-and-hold turned
over; one change at a time, all strategies anew. Ratios are to one strategy; `kept` is the share of a saving that
remains. The same as `cimsolve sensitivity --reference sparsemap`, for a file.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import partial

from common import BenchmarkError, log, make_parser, markdown_table, provenance, write_report

from cimsolve.api import load_hardware, make_problem
from cimsolve.problem.problem import Problem
from cimsolve.show.text.sensitivity import extrapolation_note, ranking_text
from cimsolve.study.changes import VariantAnswers, VariantComparison, answer_variants, compare, find_variants
from cimsolve.study.sweep.run import solve_missing

STRATEGIES = ("linear", "dense-optimal", "sparsemap", "densemap", "spread", "optimal")
REFERENCE = "sparsemap"

SHOWN = (
    ("array_latency_ns", "Token latency in arrays", 1e3, "us"),
    ("latency_ns", "Token latency, total", 1e3, "us"),
    ("array_ii_ns", "II of the arrays", 1e3, "us"),
    ("array_energy_pj", "Energy in arrays", 1e6, "uJ"),
    ("energy_pj", "Energy, total", 1e6, "uJ"),
)
"""Metric, title, size of the unit shown, its name."""


def measure(problem: Problem, strategies: Sequence[str]) -> list[VariantAnswers]:
    """Every variant; raises BenchmarkError where an answer breaks a rule."""

    def tell(done: int, total: int) -> None:
        log(f"{problem.hardware.name}: {done} of {total}")

    solve = partial(solve_missing, cache=None, jobs=1, listen=tell)
    found, done = answer_variants(problem, find_variants(problem.hardware), strategies, solve)
    if done.interrupted:
        raise KeyboardInterrupt
    for answers in found:
        if any(answer.state == "failed" for answer in answers.answers.values()):
            raise BenchmarkError(f"{problem.hardware.name}, {answers.variant.name}: an answer fails its check")
    return found


def compare_all(found: Sequence[VariantAnswers], metric: str) -> list[tuple[str, VariantComparison]]:
    """Name of each variant -> its strategies set against the reference."""
    values = [each.values(metric) for each in found]
    return [(each.variant.name, compare(values[0], here, REFERENCE)) for each, here in zip(found, values, strict=True)]


def figure_table(found: Sequence[VariantAnswers], metric: str, size: float, unit: str) -> str:
    others = [name for name in found[0].answers if name != REFERENCE]
    header = ["chip", f"{REFERENCE}, {unit}", *[text for name in others for text in (name, "kept")], "ranking flips"]
    rows = []
    for each, (variant, one) in zip(found, compare_all(found, metric), strict=True):
        row = [variant, f"{(each.values(metric)[REFERENCE] or math.nan) / size:.4g}"]
        for name in others:
            now, left = one.ratio[name], one.kept[name]
            row += [f"{now:.3f}" if now is not None else "", "" if left is None else f"{round(100 * left)} %"]
        row.append("; ".join(f"{a} and {b}" for a, b in one.flips))
        rows.append(row)
    return markdown_table(header, rows)


def conclusions(found: Sequence[VariantAnswers], metric: str) -> str:
    """What is least left of each strategy's saving, and where; and the rankings."""
    (_, given), *others = compare_all(found, metric)
    lines = []
    for name, saved in given.ratio.items():
        shares = [(share, variant) for variant, one in others if (share := one.kept[name]) is not None]
        if shares and saved is not None:
            least, where = min(shares)
            saving, least_percent = f"{100 * (1 - saved):.0f}", f"{100 * least:.0f}"
            lines.append(f"{name} saves {saving} % as given, and keeps at least {least_percent} % of it ({where})")
    text = "; ".join(lines) or f"no strategy saves 1 % or more over {REFERENCE}"
    return f"Ranking as given: {ranking_text(given.ranking)}. Of savings over {REFERENCE}: {text}."


def section(problem: Problem, found: Sequence[VariantAnswers]) -> list[str]:
    parts = [f"## {problem.model.name} on {problem.hardware.name}"]
    notes = [f"- {each.variant.name}: {extrapolation_note(each)}" for each in found if extrapolation_note(each)]
    if notes:
        parts += ["Outside what the converter model covers:", "\n".join(notes)]
    for metric, title, size, unit in SHOWN:
        parts += [f"### {title}", figure_table(found, metric, size, unit), conclusions(found, metric)]
    return parts


NOTES = """\
`as given` is the shipped spec; every other row changes one thing: the converter model (`isaac`, `saberi`, `sar`,
`survey`, see docs/hardware.md), the wiring of columns to converters (`any wiring`, `interleaved`, `adjacent`) or
sample-and-hold. The first number is that of `sparsemap`; the others are multiples of it. `kept` is the share of a
saving under the given spec that remains, (1 - ratio here) / (1 - ratio as given): over 100 % it has grown, below 0
it has become a loss; empty where less than 1 % was saved. All strategies answer anew on every row, those that search
with `--objective arrays,latency`, and all answers pass the checker. `linear` and `dense-optimal` store the dense
matrices, the one by a rule, the other as well as the solver can."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__, "sensitivity.md")
    parser.add_argument("--model", default="bert-large", metavar="NAME")
    parser.add_argument("--hw", nargs="+", default=["paper256", "rram256"], metavar="NAME")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    arguments = parser.parse_args(argv)
    if REFERENCE not in arguments.strategies:
        parser.error(f"--strategies: expected {REFERENCE} among them, as ratios are to it")
    parts = ["# Sensitivity to the converters", provenance(__file__, argv), NOTES]
    for name in arguments.hw:
        problem = make_problem(arguments.model, load_hardware(name))
        parts += section(problem, measure(problem, arguments.strategies))
    write_report(arguments.out, *parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
