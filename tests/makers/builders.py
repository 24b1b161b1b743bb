"""Small questions, their answers, and liars who state figures that fit their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cimsolve.chip.read import parse_hardware
from cimsolve.judge.check import CheckReport, check_solution, rebuild_problem
from cimsolve.model.families import parse_model
from cimsolve.model.structure import Structure
from cimsolve.price.claims import describe_breakdown, describe_factors, describe_stages
from cimsolve.price.cost import evaluate
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question
from cimsolve.problem.solution import BoundEntry, Solution
from cimsolve.problem.tables import Activations, Mapping, Pieces
from cimsolve.problem.terms import Cut, Terms
from cimsolve.prove import find_bounds, relative_gap
from cimsolve.study.solving import make_solution
from makers.hardware_specs import DELETE, spec

NOTHING = {"base_ns": 0, "per_element_ns": 0, "base_pj": 0, "per_element_pj": 0}
OPERATIONS = ("add", "multiply", "layer_norm", "activation", "softmax", "attention_mac")

PLAIN: dict[str, Any] = {
    "clock_ns": 1,
    "array": {
        "rows": 8,
        "cols": 8,
        "count": None,
        "rows_active_max": None,
        "area_um2": 100,
        "leakage_uw": 1,
    },
    "cell": {"bits": 1},
    "weight": {"bits": 1, "signed": "none"},
    "input": {"bits": 2, "dac_bits": 1},
    "adc": {
        "per_array": 2,
        "wiring": "any",
        "bits_rule": "log2_rows",
        "bits_max": 4,
        "lossy_allowed": False,
        "sample_hold": False,
        "table": [
            {"bits": 1, "ns": 1, "pj": 1, "um2": 10},
            {"bits": 2, "ns": 2, "pj": 2, "um2": 20},
            {"bits": 4, "ns": 4, "pj": 5, "um2": 40},
        ],
    },
    "read_ns": 3,
    "energy_pj": {"row": 0.5, "cell": 0.25, "column": 0.125, "shift_add": 2},
    "transfer": {"base_ns": 1, "bits_per_ns": 8, "pj_per_bit": 0.5},
    "digital": {"units": 4, "ops": dict.fromkeys(OPERATIONS, NOTHING)},
}
"""A chip of round numbers; digital work is free unless a test prices it."""

STILL = {"transfer__base_ns": 0, "transfer__bits_per_ns": 1e9}
"""Changes that make every gap take no time."""


def chip(**changes: Any) -> dict[str, Any]:
    """The plain chip as a spec; keyword `adc__bits_max=3` sets adc.bits_max."""
    data = spec("rram256", write=DELETE, load=DELETE, chip_link=DELETE, **PLAIN)
    data["sources"] = {key: {"from": "a test", "mark": "assumed"} for key in PLAIN}
    data["sources"]["node_nm"] = {"from": "a test", "mark": "assumed"}
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for part in parents:
            place[part] = dict(place[part])
            place = place[part]
        place[last] = value
    return data


MESH: dict[str, Any] = {
    "topology": "mesh",
    "multicast": "tree",
    "base_ns": 1,
    "hub": {"at": "edge", "bits_per_ns": 16},
    "sum_bits": 4,
    "rows": 2,
    "cols": 2,
    "bits_per_ns": 2,
    "hop_ns": 1,
    "router_pj_per_bit": 0.5,
    "wire_pj_per_bit_mm": 0.25,
    "pitch_mm": 2,
}
"""A network of round numbers: a bit costs 1 pJ a hop."""


def mesh_chip(**changes: Any) -> dict[str, Any]:
    """The plain chip with cores of two arrays on a mesh of 2 x 2; keywords as those of `chip`."""
    core = {"arrays": 2, "bus": {"bits_per_ns": 8, "pj_per_bit": 0.5}}
    return networked(chip(**{"core": core, "network": MESH, **changes}))


def networked(data: dict[str, Any]) -> dict[str, Any]:
    """A spec that has core and network, without the transfer of a flat chip."""
    del data["transfer"], data["sources"]["transfer"]
    for key in ("core", "network"):
        data["sources"][key] = {"from": "a test", "mark": "assumed"}
    return data


MEMORY: dict[str, Any] = {
    "banks": 1,
    "base_ns": 2,
    "bits_per_ns": 4,
    "read_pj_per_bit": 0.5,
    "write_pj_per_bit": 2,
    "mbit": 1,
    "kv_bits": 2,
}
"""A memory of keys and values of round numbers."""


def remembering(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A chip's spec with this memory; keywords are keys of it."""
    sources = {**data["sources"], "memory": {"from": "a test", "mark": "assumed"}}
    return {**data, "memory": {**MEMORY, **changes}, "sources": sources}


def macro_chip(**changes: Any) -> dict[str, Any]:
    """The plain chip as a measured core of 7.5 ns and 40 pJ."""
    data = chip(macro={"mvm_ns": 7.5, "mvm_pj": 40}, **changes)
    for key in ("read_ns", "energy_pj"):
        del data[key], data["sources"][key]
    data["adc"] = {key: value for key, value in data["adc"].items() if key != "table"}
    data["sources"]["macro"] = {"from": "a test", "mark": "assumed"}
    return data


def step(name: str, *linears: tuple[int, int], **keys: Any) -> dict[str, Any]:
    """A step of a `linears` model; its matrices are called name0, name1, ..."""
    entries = [{"name": f"{name}{index}", "n_in": n_in, "n_out": n_out} for index, (n_in, n_out) in enumerate(linears)]
    return {"name": name, "linears": entries, **keys}


def again(steps: Sequence[dict[str, Any]], laps: int = 1) -> list[dict[str, Any]]:
    """The steps, and so many more laps through them, each step after the one before it."""
    later = [
        {**{key: value for key, value in each.items() if key != "reads"}, "name": f"{each['name']}.{lap}"}
        for lap in range(laps)
        for each in steps
    ]
    return [*steps, *later]


def with_experts(of_step: dict[str, Any], of: Sequence[int | None], chosen: int, own: bool = False) -> dict[str, Any]:
    """The step with its matrices those of experts: `of` has the expert of each, None where it always fires."""
    entries = [{**entry, "expert": expert} for entry, expert in zip(of_step["linears"], of, strict=True)]
    stored = len({expert for expert in of if expert is not None})
    return {**of_step, "linears": entries, "experts": {"stored": stored, "chosen": chosen, "own_inputs": own}}


def linears(*steps: dict[str, Any], context: int = 4) -> dict[str, Any]:
    return {"model_type": "linears", "context": context, "steps": list(steps)}


def ask(
    config: dict[str, Any],
    structure: str | dict[str, str] = "dense",
    hardware: dict[str, Any] | None = None,
    cut: Cut = "columns",
    max_arrays: int | None = None,
    source_tokens: int | None = None,
) -> Problem:
    """A question; `structure` for every linear or by name."""
    model = parse_model(config, "model", "tiny", None, source_tokens)
    texts = structure if isinstance(structure, dict) else {each.name: structure for each in model.linears}
    structures = {name: Structure.parse(text) for name, text in texts.items()}
    terms = Terms(cut=cut, max_arrays=max_arrays)
    return Problem(Question(parse_hardware(hardware or chip(), "hw"), model, structures, terms))


TWO = linears(step("a", (4, 4), (4, 4)), step("b", (4, 4)))
"""Two matrices with one input, then a third; uncut on the plain chip, one piece each."""


Row = tuple[int, int, int, int, int, int, int, int, int]


def pieces_of(*rows: Row) -> Pieces:
    """(factor, block, row0, rows, col0, cols, array, array_row, array_col) each."""
    return Pieces(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))


def answer(problem: Problem, pieces: Pieces, fires: Sequence[int] | None = None, objective: str = "arrays") -> Solution:
    """A solution with honest figures for these pieces, alone or fired together where `fires` is equal."""
    together = np.arange(len(pieces)) if fires is None else np.array(fires, dtype=np.int64)
    return make_solution(problem.asking(objective=(objective,)), Mapping(pieces, together), strategy="by hand")


def honest(**changes: Any) -> Solution:
    """An answer to TWO on the plain chip with `changes`, one piece an array."""
    return answer(ask(TWO, hardware=chip(**changes)), pieces_of(*((f, 0, 0, 4, 0, 4, f, 0, 0) for f in range(3))))


def with_header(solution: Solution, **changes: Any) -> Solution:
    return replace(solution, header=solution.header.model_copy(update=changes))


def with_tables(solution: Solution, **columns: Sequence[int]) -> Solution:
    """`pieces__row0=[...]` and the like replaced, nothing else."""
    tables: dict[str, Any] = {name: getattr(solution, name) for name in ("pieces", "activations", "sites")}
    for path, values in columns.items():
        table, column = path.split("__")
        tables[table] = replace(tables[table], **{column: np.array(values, dtype=np.int64)})
    return replace(solution, **tables)


def column(solution: Solution, path: str) -> list[int]:
    table, name = path.split("__")
    values: list[int] = getattr(getattr(solution, table), name).tolist()
    return values


def with_entry(solution: Solution, path: str, at: int, value: int) -> Solution:
    """One entry of a column replaced, nothing else."""
    values = column(solution, path)
    values[at] = value
    return with_tables(solution, **{path: values})


def fired_of(problem: Problem, solution: Solution) -> Fired:
    """The activations of a solution's tables."""
    place = None if solution.sites is None else solution.sites.place
    return Fired.of(problem, solution.pieces, solution.activations.of_piece(len(solution.pieces)), place)


def with_figures_that_fit(solution: Solution) -> Solution:
    """The header of a liar who computes: stages, metrics, breakdown and bounds as the tables give them."""
    problem = rebuild_problem(solution)
    costs = evaluate(fired_of(problem, solution), solution.activations)
    bounds = {
        name: BoundEntry(
            value=costs.metrics[name],
            lower=bound.value,
            gap=relative_gap(name, costs.metrics[name], bound.value),
            proof=bound.proof,
        )
        for name, bound in find_bounds(problem, costs.metrics, solution.header.objective).lower.items()
    }
    optimal = bounds["arrays"].gap == 0 and list(solution.header.objective) == ["arrays"]
    return with_header(
        solution,
        factors=describe_factors(problem),
        stages=describe_stages(problem, costs.gaps),
        metrics=costs.metrics,
        breakdown=describe_breakdown(costs),
        bounds=bounds,
        status="optimal" if optimal else "feasible",
    )


def broken(solution: Solution) -> set[str]:
    """Names of the rules that the checker finds broken."""
    return rules_of(check_solution(solution))


def rules_of(report: CheckReport) -> set[str]:
    return {violation.rule for violation in report.violations}


def pieces_rows(pieces: Pieces) -> list[Row]:
    columns = [getattr(pieces, field.name).tolist() for field in fields(Pieces)]
    return list(zip(*columns, strict=True))


def activations_of(*rows: tuple[int, int, int, int, list[int]]) -> Activations:
    """(array, start, end, adc_bits, pieces fired) each."""
    sizes = np.array([len(row[4]) for row in rows])
    stops = np.cumsum(sizes)
    head = [np.array(values, dtype=np.int64) for values in zip(*(row[:4] for row in rows), strict=True)]
    fired = np.array([piece for row in rows for piece in row[4]], dtype=np.int64)
    return Activations(*head, stops - sizes, stops, fired)
