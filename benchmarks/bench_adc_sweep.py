"""Rules and solver at 4, 8, 16 and 32 converters an array.

On the paper's assumptions (paper256, sqrt structure): arrays, token latency, initiation interval, prefill and
energy of every strategy, and the proved bound on the latency of any mapping on as many arrays. For BERT-large a
second table sets the figures beside those of an independent earlier calculation.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common import BenchmarkError, log, make_parser, markdown_table, percent, provenance, write_report

from cimsolve.api import load_hardware, make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.model.load import load_model
from cimsolve.price.gaps import least_partial_sum_elements
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.prove.time import least_stage_cycles
from cimsolve.solve.names import DENSE, DENSE_RULE
from cimsolve.study.solving import solve_and_check

RULES = ("linear", "sparsemap", "densemap", "spread")


@dataclass(frozen=True)
class Variant:
    """A row of the table: a strategy, what it may cut and what it seeks."""

    name: str
    strategy: str
    cut: str = "columns"
    objective: tuple[str, ...] = ("arrays", "latency")


VARIANTS = (
    *(Variant(rule, rule) for rule in RULES),
    Variant(DENSE, DENSE),
    Variant("optimal, uncut", "optimal", "none"),
    Variant("optimal, columns cut", "optimal"),
    Variant("optimal, for prefill", "optimal", "columns", ("arrays", "prefill")),
)

EARLIER: Mapping[tuple[str, str], Mapping[int, float]] = {
    ("linear", "arrays"): {4: 4608},
    ("sparsemap", "arrays"): {4: 1728},
    ("densemap", "arrays"): {4: 216},
    ("spread", "arrays"): {4: 216},
    ("optimal, columns cut", "arrays"): {4: 216},
    ("linear", "token_us"): {4: 401, 8: 204, 16: 106, 32: 56.8},
    ("sparsemap", "token_us"): {4: 467, 8: 241, 16: 128, 32: 71.8},
    ("densemap", "token_us"): {4: 3121, 8: 1806, 16: 1149, 32: 820},
    ("spread", "token_us"): {4: 102.9, 8: 59.1, 16: 37.3, 32: 26.3},
    ("optimal, columns cut", "token_us"): {4: 38.4, 8: 27.3, 16: 24.4, 32: 23.4},
    ("optimal, columns cut", "token_bound_us"): {4: 38.2, 8: 27.3, 16: 24.4, 32: 23.4},
    ("linear", "ii_us"): {4: 4.2},
    ("sparsemap", "ii_us"): {4: 2.6},
    ("densemap", "ii_us"): {4: 25.6},
    ("spread", "ii_us"): {4: 25.6},
    ("optimal, columns cut", "ii_us"): {4: 29.2},
    ("linear", "prefill_ms"): {4: 53.8},
    ("sparsemap", "prefill_ms"): {4: 34.2, 32: 5.18},
    ("spread", "prefill_ms"): {4: 18.8, 32: 5.30},
    ("optimal, columns cut", "prefill_ms"): {4: 17.7, 32: 5.92},
}
"""BERT-large, array time only, by an independent earlier calculation that this code shares nothing with."""

SHOWN = {
    "arrays": "arrays",
    "token_us": "token latency, us",
    "token_bound_us": "its bound, us",
    "ii_us": "II, us",
    "prefill_ms": "prefill, ms",
}


@dataclass(frozen=True)
class Row:
    adcs: int
    variant: Variant
    figures: Mapping[str, float]
    latency_gap: float
    verdict: str


def measure(model_name: str, adcs: int, variants: Sequence[Variant]) -> list[Row]:
    """These variants at one number of converters; raises BenchmarkError where an answer breaks a rule."""
    hardware = with_settings(load_hardware("paper256"), {"adc.per_array": str(adcs)})
    model = load_model(model_name)
    rows = []
    for variant in variants:
        log(f"{model_name}, {adcs} ADCs, {variant.name}")
        problem = make_problem(model, hardware, cut=variant.cut)
        solution, report = solve_and_check(problem.asking(objective=variant.objective), variant.strategy)
        if not report.passed:
            raise BenchmarkError(f"{adcs} ADCs, {variant.name}: {report.violations[0]}")
        rows.append(_row(adcs, variant, solution.header, problem))
    return rows


def _row(adcs: int, variant: Variant, header: Header, problem: Problem) -> Row:
    metrics, bound = header.metrics, header.bounds["latency_cycles"]
    chain = all(len(stage.after) <= 1 for stage in problem.workload.stages)
    uncut = not least_partial_sum_elements(problem).any()
    figures = {
        "arrays": metrics["arrays"],
        "token_us": metrics["array_latency_ns"] / 1e3,
        "total_us": metrics["latency_ns"] / 1e3,
        "total_bound_us": bound.lower * problem.hardware.clock_ps / 1e6,
        "ii_us": metrics["array_ii_cycles"] * problem.hardware.clock_ps / 1e6,
        "prefill_ms": metrics["array_prefill_ns"] / 1e6,
        "total_prefill_ms": metrics["prefill_ns"] / 1e6,
        "energy_uj": metrics["energy_pj"] / 1e6,
    }
    if chain and uncut and variant.strategy not in (DENSE, DENSE_RULE):
        # Stages one after the other: what they take at least adds up, and the gaps are the same for all.
        cycles = sum(least_stage_cycles(problem, int(metrics["arrays"])))
        figures["token_bound_us"] = cycles * problem.hardware.clock_ps / 1e6
    return Row(adcs, variant, figures, bound.gap, "passed")


def main_table(rows: Sequence[Row]) -> str:
    header = (
        "strategy",
        "ADCs",
        "arrays",
        "token, array time, us",
        "its bound, us",
        "token, total, us",
        "total, gap %",
        "II, us",
        "prefill, ms",
        "prefill, total, ms",
        "energy, uJ",
        "check",
    )
    return markdown_table(
        header,
        [
            (
                row.variant.name,
                row.adcs,
                row.figures["arrays"],
                f"{row.figures['token_us']:.1f}",
                f"{row.figures['token_bound_us']:.1f}" if "token_bound_us" in row.figures else None,
                f"{row.figures['total_us']:.1f}",
                percent(row.latency_gap),
                f"{row.figures['ii_us']:.2f}",
                f"{row.figures['prefill_ms']:.2f}",
                f"{row.figures['total_prefill_ms']:.2f}",
                f"{row.figures['energy_uj']:.2f}",
                row.verdict,
            )
            for row in rows
        ],
    )


def comparison_table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        for (name, figure), by_adcs in EARLIER.items():
            if name == row.variant.name and row.adcs in by_adcs and figure in row.figures:
                earlier, here = by_adcs[row.adcs], row.figures[figure]
                lines.append((name, row.adcs, SHOWN[figure], earlier, f"{here:.4g}", f"{here / earlier:.3f}"))
    return markdown_table(("strategy", "ADCs", "figure", "earlier", "here", "here / earlier"), lines)


def target_table(rows: Sequence[Row]) -> str:
    """The solver against `sparsemap`, the rule made for speed, at the same number of converters."""
    found = {(row.adcs, row.variant.name): row.figures for row in rows}
    lines = []
    for adcs in dict.fromkeys(row.adcs for row in rows):
        if (rule := found.get((adcs, "sparsemap"))) is None:
            continue
        ours = [found.get((adcs, name), {}) for name in ("optimal, uncut", "optimal, columns cut")]
        prefill = found.get((adcs, "optimal, for prefill"), {})
        lines.append(
            (
                adcs,
                *(f"{of['token_us'] / rule['token_us']:.3f}" if of else None for of in ours),
                *(
                    f"{prefill[figure] / rule[figure]:.3f}" if prefill else None
                    for figure in ("prefill_ms", "total_prefill_ms", "arrays")
                ),
            )
        )
    header = ("ADCs", "token, uncut", "token, columns cut", "prefill", "prefill, total", "arrays")
    return markdown_table(header, lines)


NOTES = """\
Times are array time where not called total; total adds transfers and digital operations, the same for all but
`linear` and `dense-optimal`, which store dense matrices; their gaps are to the bound on those. A bound holds for every
mapping of the same structure with column cuts (for "uncut": of whole blocks) on as many arrays. `II` is that of the
arrays alone. Prefill is of {tokens} tokens. "For prefill" is `--objective arrays,prefill`; it seeks total time, in
which phases whose digital work takes longer than their arrays gain nothing from faster arrays."""

DIFFERENCES = """\
Where the two differ: the earlier `spread` and column-cut figures are one answer of another search, not a rule with
one outcome. Cut pieces can be dealt in many ways of one latency that differ in II and prefill; prefill counts the
busiest array of a phase, so a deal that balances phases does better there, and `optimal, for prefill` is the one
that seeks it. `linear`, `sparsemap` and `densemap` leave nothing to choose and must agree to the last digit shown."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "adc-sweep-bert-large.md")
    parser.add_argument("--model", default="bert-large", help="shipped name or config (default: %(default)s)")
    parser.add_argument("--adcs", type=int, nargs="+", default=[4, 8, 16, 32], metavar="N")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args(argv)
    variants = [variant for variant in VARIANTS if variant.name in options.rows]
    try:
        rows = [row for adcs in options.adcs for row in measure(options.model, adcs, variants)]
    except BenchmarkError as error:
        log(f"error: {error}")
        return 1
    parts = [
        f"# {options.model} on paper256, by the number of converters",
        provenance(__file__, argv),
        NOTES.format(tokens=load_model(options.model).tokens),
        main_table(rows),
        "## Against `sparsemap`",
        "Time and arrays of `optimal` as shares of those of `sparsemap`; prefill is that of `optimal, for prefill`.",
        target_table(rows),
    ]
    if options.model == "bert-large":
        parts += [
            "## Against an independent earlier calculation",
            "Array time only; nothing of this code was used there.",
            comparison_table(rows),
            DIFFERENCES,
        ]
    write_report(options.out, *parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
