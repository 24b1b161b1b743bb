"""Is it true: the decomposition against the monolithic proved optimum, and what each step of the solver is worth.

Truth: random small instances, solved once by the decomposition alone (its exact search switched off) and once by the
exact model, to a proof. Ablation: five large instances, with one step of the solver or one condition of the latency
bound switched off at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from common import ROOT, log, make_parser, markdown_table, percent, provenance, write_report

sys.path.insert(0, str(ROOT / "tests"))  # the tests' builder of small problems

import numpy as np

from cimsolve.api import load_hardware, make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.model.load import load_model
from cimsolve.price.cost import Metrics, evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping as Placement
from cimsolve.prove import find_bounds
from cimsolve.prove import time as of_time
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.time import least_latency_cycles
from cimsolve.solve import candidates, plan
from cimsolve.solve.columns import deal, lay_out, spread
from cimsolve.solve.effort import Effort
from cimsolve.solve.exact.items import build_instance, why_not_exact
from cimsolve.solve.exact.search import solve_exact
from makers.tiny_problems import tiny_problem

ITEMS_MAX = 20
"""Most items of a truth instance: the exact model proves these in seconds."""
PROOF_TIME = 20.0


# Truth: random small instances


@dataclass(frozen=True)
class Truth:
    """One instance: features, and (arrays, latency) of the decomposition, of its bounds and of the optimum."""

    features: Mapping[str, str]
    found: tuple[int, int]
    bounds: tuple[int, int]
    best: tuple[int, int]
    merged: int
    """Activations of the optimum that fire two inputs or more."""
    unmerged: int
    """Latency bound on the optimum's arrays if no activation could fire two inputs."""
    shape: str

    @property
    def loss(self) -> float | None:
        """How much slower the decomposition is on equally many arrays; None where it uses more."""
        return self.found[1] / self.best[1] - 1 if self.found[0] == self.best[0] else None


def random_instance(draw: Random) -> Problem | None:
    """One to three steps of one to three linears, dense or Monarch, on an array of 2 to 6 rows; None if too large."""
    steps = []
    for _ in range(draw.choice([1, 2, 2, 3])):
        n_in = draw.choice([2, 3, 4, 4, 6])
        linears = []
        for _ in range(draw.choice([1, 1, 2, 3])):
            n_out = draw.choice([1, 2, 3, 4, 6])
            k, l = (draw.choice([d for d in range(1, n + 1) if n % d == 0]) for n in (n_in, n_out))  # noqa: E741
            monarch = f"{k},{l},{draw.randint(1, min(n_in // k, n_out // l))}"
            linears.append((n_in, n_out, draw.choice(["dense", monarch, monarch])))
        steps.append(linears)
    width = draw.choice([1, 1, 2, 4])
    differential = width > 1 and draw.random() < 0.5
    cols = draw.randint(2, 6) * width + draw.choice([0, width - 1])
    problem = tiny_problem(
        steps,
        draw.randint(2, 6),
        cols,
        draw.choice(["none", "columns"]),
        weight__bits=width // 2 if differential else width,
        weight__signed="differential" if differential else "offset",
        cell__bits=1,
        adc__per_array=draw.randint(1, min(4, cols)),
        adc__wiring=draw.choice(["any", "any", "interleaved", "adjacent"]),
        adc__sample_hold=draw.random() < 0.25,
        adc__bits_rule=draw.choice(["log2_rows", "lossless"]),
        read_ns=draw.choice([1, 3, 10, 30]),
    )
    if why_not_exact(problem) is not None or len(build_instance(problem).items) > ITEMS_MAX:
        return None
    return problem


def features_of(problem: Problem) -> dict[str, str]:
    hardware = problem.hardware
    shared = len(problem.table.input) > len(set(problem.table.input.tolist()))
    return {
        "cut": problem.cut,
        "columns a weight": str(hardware.columns_per_weight),
        "wiring": hardware.adc.wiring,
        "shared inputs": "yes" if shared else "no",
        "sample and hold": "yes" if hardware.adc.sample_hold else "no",
        "rows x weights of an array": "to 9"
        if (size := problem.rows * problem.weights_per_row) < 10
        else "10 to 19"
        if size < 20
        else "20 and more",
    }


def measure(problem: Problem, placement: Placement) -> Metrics:
    return evaluate(*schedule(problem, placement)).metrics


def decompose(problem: Problem) -> Metrics:
    """What the solver finds without the exact search."""
    with mock.patch.object(plan, "why_out_of_reach", return_value="it is switched off"):
        return measure(problem, plan.map_optimal(problem, Effort()).mapping)


def merged_inputs(problem: Problem, placement: Placement) -> int:
    """Activations that fire pieces of several inputs, on rows of their own."""
    pieces, table = placement.pieces, problem.table
    element = pieces.block * table.block_rows[pieces.factor]
    vector = table.input[pieces.factor]
    inputs: dict[int, set[tuple[int, int]]] = {}
    for fire, *key in zip(placement.fires.tolist(), vector.tolist(), element.tolist(), strict=True):
        inputs.setdefault(fire, set()).add((key[0], key[1]))
    return sum(len(found) > 1 for found in inputs.values())


def judge(problem: Problem) -> Truth | None:
    """The decomposition against the optimum; None where that is not proved in time."""
    metrics = decompose(problem)
    result = solve_exact(problem, deterministic_time=PROOF_TIME)
    if result.status != "optimal" or result.mapping is None:
        return None
    assert result.arrays is not None
    assert result.latency_cycles is not None
    arrays = result.arrays
    bounds = least_arrays(problem, 10**9)[0], least_latency_cycles(problem, arrays)
    found = int(metrics["arrays"]), int(metrics["latency_cycles"])
    best = arrays, result.latency_cycles
    if found < best or bounds[0] > arrays or bounds[1] > best[1]:
        raise AssertionError(f"found {found}, bounds {bounds}, proved optimum {best}: {problem}")
    factors = ", ".join(f"{f.blocks}x {f.block_rows}x{f.block_cols}" for f in problem.workload.factors)
    unmerged = least_latency_cycles(problem, arrays, merging=False)
    shape = f"{problem.rows} x {problem.weights_per_row}, cut {problem.cut}: {factors}"
    merged = merged_inputs(problem, result.mapping)
    return Truth(features_of(problem), found, bounds, best, merged, unmerged, shape)


def find_truth(count: int, seed: int) -> tuple[list[Truth], int]:
    """So many judged instances, and how many more were not proved in time."""
    draw = Random(seed)
    found: list[Truth] = []
    unproved = 0
    while len(found) < count:
        problem = random_instance(draw)
        if problem is None:
            continue
        truth = judge(problem)
        if truth is None:
            unproved += 1
        else:
            found.append(truth)
            if len(found) % 25 == 0:
                log(f"{len(found)}/{count} instances, {unproved} not proved")
    return found, unproved


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"


def truth_summary(found: Sequence[Truth], unproved: int) -> str:
    same = [truth for truth in found if truth.loss is not None]
    met = [sum(truth.bounds[at] == truth.best[at] for truth in found) for at in (0, 1)]
    losses = sorted(truth.loss or 0.0 for truth in same if truth.loss)
    lines = [
        f"- {len(found)} instances with a proved optimum; {unproved} more were not proved in time and are left out.",
        f"- Equal array count: {share(len(same), len(found))}.",
        f"- Equal array count and latency: {share(sum(t.loss == 0 for t in same), len(found))}.",
        f"- Analytical bound equal to the optimum: arrays {share(met[0], len(found))}; "
        f"latency {share(met[1], len(found))}.",
        "- No bound lay above a proved optimum, and no answer below one (either stops this script).",
    ]
    if losses:
        middle = losses[len(losses) // 2]
        lines.append(
            f"- Where latency differs ({len(losses)} instances): median {percent(middle)} %, "
            f"90th percentile {percent(losses[len(losses) * 9 // 10])} %, worst {percent(losses[-1])} %."
        )
    return "\n".join(lines)


def loss_table(found: Sequence[Truth]) -> str:
    """Distribution of the loss in latency, where array counts agree."""
    edges = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, float("inf"))
    names = ["0", *(f"up to {100 * high:.0f} %" for high in edges[1:-1]), f"above {100 * edges[-2]:.0f} %"]
    losses = np.array([truth.loss for truth in found if truth.loss is not None])
    at = np.searchsorted(np.array(edges), losses, side="left")
    rows = [(name, int((at == number).sum())) for number, name in enumerate(names)]
    rows.append(("more arrays", sum(truth.loss is None for truth in found)))
    return markdown_table(("loss in latency", "instances"), rows)


def feature_table(found: Sequence[Truth]) -> str:
    """Agreement by what the instance has."""
    lines = []
    for feature in found[0].features:
        for value in sorted({truth.features[feature] for truth in found}):
            some = [truth for truth in found if truth.features[feature] == value]
            lost = [truth.loss for truth in some if truth.loss]
            mean = percent(sum(lost) / len(lost)) if lost else None
            equal = sum(truth.loss == 0 for truth in some)
            arrays = sum(truth.loss is not None for truth in some)
            lines.append((f"{feature}: {value}", len(some), arrays, equal, f"{100 * equal / len(some):.0f}", mean))
    header = ("instances with", "number", "equal arrays", "equal both", "%", "mean loss where lost, %")
    return markdown_table(header, lines)


def causes(found: Sequence[Truth]) -> dict[str, list[Truth]]:
    """Why the decomposition loses, by what the optimum does that it does not."""
    sorted_: dict[str, list[Truth]] = {
        "needs more arrays": [],
        "the optimum fires several inputs together": [],
        "the optimum places for the wiring": [],
        "the optimum cuts or deals better": [],
        "whole blocks: the optimum deals better": [],
    }
    for truth in found:
        if truth.loss is None:
            sorted_["needs more arrays"].append(truth)
        elif truth.loss == 0:
            continue
        elif truth.merged:
            sorted_["the optimum fires several inputs together"].append(truth)
        elif truth.features["wiring"] != "any":
            sorted_["the optimum places for the wiring"].append(truth)
        elif truth.features["cut"] == "columns":
            sorted_["the optimum cuts or deals better"].append(truth)
        else:
            sorted_["whole blocks: the optimum deals better"].append(truth)
    return sorted_


def cause_table(found: Sequence[Truth]) -> str:
    rows = []
    for cause, some in causes(found).items():
        if not some:
            rows.append((cause, 0, None, None, None))
            continue
        worst = max(some, key=lambda truth: truth.loss or 0.0)
        mean = percent(sum(truth.loss or 0.0 for truth in some) / len(some)) if worst.loss else None
        example = f"{worst.shape}; {worst.found} against {worst.best}"
        alone = sum(truth.found[1] <= truth.unmerged for truth in some)
        rows.append((cause, len(some), mean, alone, example))
    header = ("cause", "instances", "mean loss, %", "merging alone", "worst example, (arrays, cycles)")
    return markdown_table(header, rows)


# Ablation


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    hardware: str
    settings: Mapping[str, str]

    def problem(self) -> Problem:
        return make_problem(load_model(self.model), with_settings(load_hardware(self.hardware), self.settings))


CASES = (
    Case("BERT-large, paper256, 4 ADCs", "bert-large", "paper256", {"adc.per_array": "4"}),
    Case("SmolLM2, paper256", "smollm2-135m", "paper256", {}),
    Case("MiniLM, paper256", "minilm-l6", "paper256", {}),
    Case("MiniLM, rram256", "minilm-l6", "rram256", {}),
    Case("BERT-large, rram256", "bert-large", "rram256", {}),
)


@contextmanager
def _patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(owner, name, value):
        yield


def _only_shelves(by_shelf: bool) -> Callable[..., Iterator[candidates.Candidate]]:
    """Candidates dealt by shelf only, or by array only; the rules stay."""
    unwanted = "by array" if by_shelf else "by shelf"
    original = candidates.candidates
    return lambda problem, search: (c for c in original(problem, search) if unwanted not in c.name)


def _without_layout(layout: str) -> Callable[..., Iterator[candidates.Candidate]]:
    original = candidates.candidates
    return lambda problem, search: (c for c in original(problem, search) if c.layout != layout)


def _without_goal(goal: str) -> Callable[..., Iterator[candidates.Candidate]]:
    original = candidates.candidates
    return lambda problem, search: (c for c in original(problem, search) if f"for {goal}," not in c.name)


def _rules_only(problem: Problem, search: Effort) -> Iterator[candidates.Candidate]:
    return (c for c in candidates.candidates(problem, search) if not c.layout)


STEPS: Mapping[str, tuple[Any, str, Callable[[], Any]]] = {
    "column-cut spreading": (plan, "candidates", lambda: _rules_only),
    **{
        f"layout '{layout}'": (plan, "candidates", lambda layout=layout: _without_layout(layout))
        for layout in candidates.LAYOUTS
    },
    "dealing by shelf": (plan, "candidates", lambda: _only_shelves(False)),
    "dealing by array": (plan, "candidates", lambda: _only_shelves(True)),
    "dealing to the least busy": (plan, "candidates", lambda: _without_goal("balanced latency")),
    "dealing to the emptiest": (plan, "candidates", lambda: _without_goal("latency")),
    "shapes spread out": (candidates, "even_out", lambda: lambda packing, *given: packing),
    "inputs grouped": (candidates, "_grouped", lambda: lambda *given: ()),
    "refining": (plan, "REFINED", lambda: 0),
    "making room": (spread, "EFFORT", lambda: 0),
    "chains of two moves": (deal, "FIRST_CHAINS", lambda: deal.FIRST_CHAINS[:1]),
    "late stages first": (spread, "ROUNDS", lambda: 1),
    "exact repair of shelves": (lay_out, "pack_exactly", lambda: lambda widths, shelves: None),
    "activations exchanged": (plan, "deal_again", lambda: lambda problem, mapping, *given: mapping),
    "few arrays filled anew": (plan, "refill", lambda: lambda problem, mapping, *given: mapping),
    "pairs fired together": (plan, "fire_pairs_together", lambda: lambda problem, mapping: mapping),
}
"""Step switched off -> what is replaced by what."""


def _bound_conditions() -> Mapping[str, tuple[Any, str, Any]]:
    work = of_time._Work
    activations = work._activations
    return {
        "activations (2)": (work, "_activations", lambda self, *given: min(0, activations(self, *given))),
        "time (3)": (work, "_has_time", lambda self, *_: True),
        "room (4)": (work, "_has_room", lambda self, *_: True),
    }


def ablate(case: Case) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Rows for the table of steps and for that of bounds."""
    problem = case.problem()
    began = time.perf_counter()
    full = _solve(problem)
    seconds = time.perf_counter() - began
    bound = find_bounds(problem, full, ("arrays", "latency")).lower["latency_cycles"].value
    least = find_bounds(problem, full, ("arrays", "latency")).lower["arrays"].value
    steps = [_step_row(case, "none", problem, full, full, seconds)]
    for name, (owner, attribute, value) in STEPS.items():
        began = time.perf_counter()
        with _patched(owner, attribute, value()):
            metrics = _solve(problem)
        log(f"{case.name}: without {name}")
        steps.append(_step_row(case, name, problem, metrics, full, time.perf_counter() - began))
    us = problem.hardware.clock_ps / 1e6
    bounds: list[tuple[object, ...]] = [(case.name, "none", least, f"{bound * us:.2f}", percent(0.0))]
    for name, (owner, attribute, value) in _bound_conditions().items():
        with _patched(owner, attribute, value):
            weaker = least_latency_cycles(problem, int(full["arrays"]))
        bounds.append((case.name, name, least, f"{weaker * us:.2f}", percent(1 - weaker / bound)))
    return steps, bounds


def _solve(problem: Problem) -> Metrics:
    return measure(problem, plan.map_optimal(problem, Effort(time_limit_s=600)).mapping)


def _step_row(
    case: Case, name: str, problem: Problem, metrics: Metrics, full: Metrics, seconds: float
) -> tuple[object, ...]:
    lower = find_bounds(problem, metrics, ("arrays", "latency")).lower["latency_cycles"].value
    latency = metrics["latency_cycles"]
    worse = latency / full["latency_cycles"] - 1
    return (
        case.name,
        name,
        metrics["arrays"],
        f"{latency * problem.hardware.clock_ps / 1e6:.2f}",
        percent(latency / lower - 1),
        percent(worse),
        f"{metrics['prefill_ns'] / 1e6:.2f}",
        f"{seconds:.1f}",
    )


NOTES = """\
The decomposition is `optimal` with its exact search of the whole switched off, as it is for larger problems: at most
two arrays at a time are filled by the exact model. By default users get the whole search on problems as small as these,
and so the optimum. Instances have one to three steps of one to three linears, dense or Monarch, at most {items}
items (columns of blocks, or whole blocks), arrays of 2 to 6 rows and 2 to 6 weights, 1, 2 or 4 columns a weight
(slices, differential pairs), all three wirings. Objective: arrays, then token latency."""

CAUSES = """\
By what the optimum does. "Fires several inputs together": two inputs on rows of their own share an activation,
which needs empty cells where they cross (S3); the decomposition places for it on two arrays at a time alone. "Merging
alone" counts those where the answer stands at the latency bound of mappings that merge nothing, so that nothing but
merging could better it. "Places for the wiring": with interleaved or adjacent converters the place of a
column decides who reads it; dealing reckons with the worst place."""

ABLATION = """\
One step switched off at a time, all else as by default (arrays, then latency). Token latency in total time; the gap
is to the bound on the arrays used. Prefill is no objective here, but breaks ties."""

CONDITIONS = """\
The latency bound on the arrays used with one of its conditions left out (numbers as in docs/formulation.md)."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "truth.md")
    parser.add_argument("--instances", type=int, default=320, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-ablation", action="store_true", help="leave the large instances out")
    options = parser.parse_args(argv)
    found, unproved = find_truth(options.instances, options.seed)
    parts = [
        "# Decomposition and proved optimum; what each step is worth",
        provenance(Path(__file__).name, argv),
        "## Truth",
        NOTES.format(items=ITEMS_MAX),
        truth_summary(found, unproved),
        loss_table(found),
        feature_table(found),
        "### Where and why it loses",
        CAUSES,
        cause_table(found),
    ]
    if not options.no_ablation:
        rows = [ablate(case) for case in CASES]
        steps = (
            "instance",
            "switched off",
            "arrays",
            "token, us",
            "gap %",
            "slower than with it, %",
            "prefill, ms",
            "s",
        )
        bounds = ("instance", "condition left out", "arrays bound", "latency bound, us", "weaker by, %")
        parts += [
            "## Ablation",
            ABLATION,
            markdown_table(steps, [row for some, _ in rows for row in some]),
            "### Conditions of the latency bound",
            CONDITIONS,
            markdown_table(bounds, [row for _, some in rows for row in some]),
        ]
    write_report(options.out, *parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
