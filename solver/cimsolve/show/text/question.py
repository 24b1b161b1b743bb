"""What was asked: the model as it is stored, what of it is not mapped, and the chip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cimsolve.chip.array_kinds import MeasuredCore
from cimsolve.chip.settings import left_behind
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Floats, Ints
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.price.memory import tokens_in_flight
from cimsolve.show.text.console import heading, indented, labelled, print_table
from cimsolve.show.units import kind_of_amount, millions, number, plural, quantity, share

if TYPE_CHECKING:
    from cimsolve.problem.problem import Problem
    from cimsolve.study.ask import Asked

GROUPS_SHOWN = 16
SHORT = ("model", "stored", "attention", "hardware", "memory", "changed", "search", "limits")
"""Lines of the question that are shown to all; the others, and its tables, to experts."""
COSTED_KEYS = (
    *("adc", "read_ns", "energy_pj", "transfer", "core", "network", "memory", "digital", "macro"),
    *("array.area_um2", "array.leakage_uw"),
)
"""Keys of the spec that state times, energies and areas: whether they are assumed matters to every figure."""
FRONT = "the front of arrays, token latency, prefill, II and energy"


def print_question(asked: Asked, verbosity: int) -> None:
    """Everything that is known before any strategy runs."""
    problem = asked.problem
    heading(f"{problem.model.name} on {problem.hardware.name}", first=True)
    labelled([(label, text) for label, text in describe_question(asked) if verbosity > 0 or label in SHORT])
    if verbosity > 0:
        heading("Linears by shape and structure")
        _print_groups(problem)
        heading("Sources of the hardware figures")
        rows = [[path, note.mark, note.origin] for path, note in sorted(problem.hardware.sources.items())]
        print_table(["key", "mark", "from"], rows, text_columns=3)


def describe_question(asked: Asked) -> list[tuple[str, str]]:
    """The question in words: label and text, one line each."""
    problem = asked.problem
    model, workload = problem.model, problem.workload
    stored, dense, fired = workload.weight_count, model.weight_count, workload.fired_weight_count
    phases = len({stage.phase for stage in workload.stages})
    how = [f"objective {', then '.join(asked.objective)}" if asked.objective else FRONT, f"may cut {problem.cut}"]
    if problem.array_limit is not None:
        how.append(f"at most {problem.array_limit} arrays")
    how += [f"a token at most {quantity(limit, kind_of_amount(name))}" for name, limit in problem.cost_limits.items()]
    if asked.objective:
        how.append(f"seed {asked.seed}")
    if asked.time_limit_s is not None:
        how.append(f"time limit {number(asked.time_limit_s)} s")
    held = left_behind(problem.hardware, [change.partition("=")[0] for change in asked.changes])
    note = f"; {', '.join(held)} stay those of the spec's own size of array" if held else ""
    return [
        ("model", f"{model.name} ({model.family}): {len(model.linears)} linears, {millions(dense)} weights"),
        (
            "stored",
            f"{millions(stored)} weights, {share(stored / dense)} of dense (x{number(dense / stored)} fewer), and "
            f"{'as many' if fired == stored else millions(fired)} MACs a token; dense strategies store "
            f"{'and multiply ' if fired == stored else ''}all {millions(dense)}",
        ),
        (
            "workload",
            f"{plural(workload.block_count, 'block')} in {plural(len(workload.stages), 'stage')} and "
            f"{plural(phases, 'phase')}; prefill and cached context {model.tokens_told}",
        ),
        *([("attention", _windows(model))] if _windows(model) else []),
        *([("counted", "; ".join(model.notes))] if model.notes else []),
        *([("graph", _graph(model))] if "onnx" in model.config else []),
        ("not mapped", "; ".join(model.unmapped)),
        ("hardware", describe_arrays(problem.hardware)),
        ("converters", describe_converters(problem.hardware)),
        *([("memory", _memory(problem))] if problem.hardware.memory is not None else []),
        *([("changed", f"{', '.join(asked.changes)}{note}")] if asked.changes else []),
        ("figures", describe_sources(problem.hardware)),
        ("search", "; ".join(how)),
        *([("limits", "; ".join(asked.limits))] if asked.limits else []),
        ("simulation", asked.simulated),
    ]


def _windows(model: Model) -> str:
    """In how many layers attention reads fewer tokens than there are, and how few."""
    narrow = [window for window in model.windows if window is not None and window < model.tokens]
    if not narrow:
        return ""
    layers = f"{len(narrow)} of {len(model.windows)} layers"
    return f"reads {min(narrow)} of {plural(model.tokens, 'token')} in {layers} (sliding_window)"


def _graph(model: Model) -> str:
    """The file that a model was read from, and what digital work was found in it."""
    read = model.config["onnx"]
    found = ", ".join(f"{count} {name}" for name, count in read["found"].items())
    whole = max(step.positions for step in model.steps)
    once = f"a pass is that of the whole input, at up to {whole} positions; " if whole > 1 else ""
    return f"{read['file']}; {once}digital work found: {found or 'none'}"


def _memory(problem: Problem) -> str:
    """What keys and values take of the chip's memory for them, and how fast that is."""
    memory = problem.hardware.memory
    assert memory is not None
    taken = problem.model.cached_elements * memory.kv_bits
    text = f"{plural(memory.banks, 'bank')}, {number(memory.all_bits_per_ns)} bits a ns, {number(memory.mbit)} Mbit"
    if not taken:
        return f"{text}; this model says nothing of keys and values, so none are counted"
    at_once = tokens_in_flight(problem)
    return (
        f"{text}; keys and values of a sequence of {problem.model.tokens_told} take "
        f"{number(taken / 1e6)} Mbit, so that {plural(at_once or 0, 'token')} can be under way"
    )


def describe_arrays(hardware: Hardware) -> str:
    """The arrays of a chip in one line."""
    array, width = hardware.array, hardware.columns_per_weight
    count = "as many as needed" if hardware.arrays_max is None else f"{hardware.arrays_max} of them"
    rows = "" if array.rows_active_max is None else f", {array.rows_active_max} rows at once"
    return (
        f"{hardware.technology}, {number(hardware.node_nm)} nm; "
        f"arrays {array.rows} x {array.cols}, {count}{_describe_places(hardware)}{rows}; "
        f"{hardware.weight.bits}-bit weights, {hardware.weight.signed}, in {hardware.cell.bits}-bit cells: "
        f"w = {plural(width, 'column')} a weight, {plural(hardware.weights_per_row, 'weight')} a row; "
        f"{hardware.input.bits}-bit inputs in f = {plural(hardware.input_phases, 'phase')}"
    )


def _describe_places(hardware: Hardware) -> str:
    """Where the arrays of a chip with cores lie; empty for a flat chip."""
    core, network, topology = hardware.core, hardware.network, hardware.topology
    if core is None or network is None or topology is None:
        return ""
    size = f"mesh of {network.rows} x {network.cols}" if network.rows else f"H-tree of {topology.places} leaves"
    return f", in cores of {core.arrays} on {'a' if network.rows else 'an'} {size}"


def describe_converters(hardware: Hardware) -> str:
    """The converters of a chip in one line, or its measured core."""
    adc = hardware.adc
    text = (
        f"{plural(adc.per_array, 'ADC')} an array, wiring {adc.wiring}, bits rule {adc.bits_rule}, "
        f"at most {adc.bits_max} bits{', more at a loss' if adc.lossy_allowed else ''}"
    )
    if isinstance(hardware.array_kind, MeasuredCore):
        core = hardware.array_kind.measured
        return f"{text}; measured core: {number(core.mvm_ns)} ns and {number(core.mvm_pj)} pJ a product"
    made = "" if adc.table_from is None else f", table made by {adc.table_from}{_extrapolations(hardware)}"
    return f"{text}, {'with' if adc.sample_hold else 'no'} sample and hold{made}"


def _extrapolations(hardware: Hardware) -> str:
    """What of a made table lies outside the model that made it."""
    reasons: dict[str, list[int]] = {}
    for bits, reason in hardware.extrapolated_lines.items():
        reasons.setdefault(reason, []).append(bits)
    notes = [f"at {', '.join(map(str, bits))} bits {reason}" for reason, bits in reasons.items()]
    whole = hardware.sources.get("adc.table")
    if whole is not None and whole.mark == "extrapolated":
        notes.append(whole.origin.rpartition("; ")[2])
    return f"; extrapolated: {'; '.join(notes)}" if notes else ""


def describe_sources(hardware: Hardware) -> str:
    """How many figures were read, derived or assumed, and which of those that cost something are assumed."""
    marks = Counter(note.mark for note in hardware.sources.values())
    text = ", ".join(f"{marks[mark]} {mark}" for mark in ("read", "derived", "extrapolated", "assumed") if marks[mark])
    assumed = [
        f"{path}{_except(hardware, path)}"
        for path, note in hardware.sources.items()
        if note.mark == "assumed" and any(path == key or path.startswith(f"{key}.") for key in COSTED_KEYS)
    ]
    return f"sources {text}; of costs assumed: {', '.join(assumed) or 'none'}"


def _except(hardware: Hardware, path: str) -> str:
    """What of a section is better founded than the section: keys below `path` that are not assumed."""
    inner = [
        key.removeprefix(f"{path}.")
        for key, note in hardware.sources.items()
        if key.startswith(f"{path}.") and note.mark != "assumed"
    ]
    return f" (except {', '.join(inner)})" if inner else ""


def _print_groups(problem: Problem) -> None:
    """How many linears of each shape there are, and in what blocks they are stored."""
    groups: dict[tuple[int, int, Structure, int], list[str]] = {}
    for linear in problem.model.linears:
        key = (linear.n_in, linear.n_out, problem.structures[linear.name], linear.groups)
        groups.setdefault(key, []).append(linear.name)
    rows = []
    for (n_in, n_out, structure, blocks), members in list(groups.items())[:GROUPS_SHOWN]:
        names = ", ".join(dict.fromkeys(map(kind_of, members)))
        shapes = ["-", "-"]
        if not structure.is_dense:
            shapes = [f"{shape.blocks} of {shape.rows}x{shape.cols}" for shape in structure.factors(n_in, n_out)]
        elif blocks > 1:
            shapes = [f"{blocks} of {n_in // blocks}x{n_out // blocks}, as is", "-"]
        rows.append([names, str(len(members)), f"{n_in}x{n_out}", str(structure), *shapes])
    if len(groups) > GROUPS_SHOWN:
        rows.append([f"and {len(groups) - GROUPS_SHOWN} groups more", "", "", "", "", ""])
    print_table(["linears", "count", "in x out", "k,l,T", "R blocks", "L blocks"], rows, tight=True)


def kind_of(name: str) -> str:
    """A linear's name without its layer: what follows the last number, else the name with numbers starred."""
    return re.sub(r"^.*\.\d+\.", "", name) if re.search(r"\.\d+\.", name) else re.sub(r"\d+", "*", name)


def stage_kind(name: str) -> str:
    """A stage's name without its layer: `layer3.qkv.R` and `layer4.qkv.R` are of one kind."""
    first, dot, rest = name.partition(".")
    return f"{first.rstrip('0123456789')}*.{rest}" if dot and first[-1:].isdigit() else kind_of(name)


def sums_by_kind(names: Sequence[str], columns: Mapping[str, Ints | Floats]) -> list[dict[str, Any]]:
    """Stages of these names by kind, in the order of their first: `stage`, their `count`, and each column's sum."""
    kinds: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        kinds.setdefault(stage_kind(name), []).append(index)
    return [
        {"stage": kind, "count": len(members), **{key: each[members].sum().item() for key, each in columns.items()}}
        for kind, members in kinds.items()
    ]


def print_not_modelled(problem: Problem) -> None:
    """What the figures leave out, a line each."""
    heading("Not modelled")
    for line in (
        "wire resistance, device noise and drift: cells and wires are ideal, only converters round",
        "programming: weights are written once; its time and energy are not counted",
        "biases: neither stored in arrays nor counted as additions",
        "contention: transfers and digital work run one at a time at the spec's rates; no network is routed"
        if problem.hardware.network is None
        else "contention: moves and digital work run one at a time; a move takes as long as its busiest channel",
        "attention, softmax, norms and activations: digital time and energy by the spec's `digital` section, "
        "not simulated",
    ):
        indented(line)
    if problem.hardware.adc.bits_rule == "log2_rows":
        indented(
            "bits rule log2_rows counts rows, not levels: sums may need more bits than it gives; "
            "the simulation shows the error"
        )


def question_fields(asked: Asked) -> dict[str, Any]:
    """The question as plain data."""
    problem = asked.problem
    hardware, model = problem.hardware, problem.model
    return {
        "hardware": hardware.name,
        "changes": dict(change.split("=", 1) for change in asked.changes),
        "converters": {"table_from": hardware.adc.table_from, "extrapolated_bits": hardware.extrapolated_lines},
        "model": model.name,
        "family": model.family,
        "linears": len(model.linears),
        "weights": model.weight_count,
        "stored_weights": problem.workload.weight_count,
        "not_mapped": model.unmapped,
        **({"counted": model.notes} if model.notes else {}),
        **({"onnx": model.config["onnx"]} if "onnx" in model.config else {}),
        **({"windows": model.windows} if any(model.windows) else {}),
        **({"unknown_keys": model.unknown_keys} if model.unknown_keys else {}),
        "structure": problem.structures,
        **problem.terms.model_dump(),
        "time_limit_s": asked.time_limit_s,
        **({"limits": asked.limits} if asked.limits else {}),
    }
