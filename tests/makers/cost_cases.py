"""Random mappings of random questions over all that a price depends on: chips, structures, dataflow, cuts, tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from random import Random
from typing import Any

import numpy as np

from cimsolve.errors import InputError
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model
from cimsolve.model.structure import StructurePolicy
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping, Pieces
from makers.builders import OPERATIONS, again, ask, chip, linears, macro_chip, networked, remembering, step
from makers.random_experts import mixture, random_routing, stored_alike
from makers.random_mappings import TABLES, random_mapping
from makers.random_networks import random_network, random_places
from oracles.naive_cost import NaiveCost

WEIGHTS_MAX = 160
TRIES = 20
"""After so many chips and structures that do not fit, another model is drawn."""
SIGNS = ("differential", "offset", "none")
BART: dict[str, Any] = {"model_type": "bart", "encoder_attention_heads": 1, "decoder_attention_heads": 1}
BERT: dict[str, Any] = {"model_type": "bert", "num_attention_heads": 1}
LLAMA: dict[str, Any] = {"model_type": "llama", "num_attention_heads": 1, "num_key_value_heads": 1}


@dataclass(frozen=True)
class Case:
    problem: Problem
    mapping: Mapping


@cache
def random_case(seed: int) -> Case:
    """A question of up to 160 weights and a legal mapping of it; the same for the same seed. A fifth have experts."""
    draw = Random(seed)
    makers = [_mixtures] if seed % 5 == 4 else [_graph, _graph, _graph, _transformer]
    for tried in count():
        if tried % TRIES == 0:
            config = draw.choice(makers)(draw)
        problem = _random_problem(draw, config)
        if problem is None:
            continue
        least = -(-problem.weight_cells // (problem.rows * problem.weights_per_row))
        arrays = min(least + draw.randint(1, 6), problem.hardware.arrays_max or WEIGHTS_MAX)
        mapping = random_mapping(problem, draw, arrays)
        if mapping is not None:
            problem = problem.asking(routing=random_routing(Random(seed), problem))
            place = random_places(draw, problem, int(mapping.pieces.array.max()) + 1)
            return Case(problem, replace(mapping, order=_random_order(problem, draw), place=place))
    raise AssertionError


def naive_of(case: Case, pieces: Pieces, activations: Activations) -> NaiveCost:
    """The oracle's figures of a case's tables, from the plain data of its question and the mapping's places."""
    problem, place = case.problem, case.mapping.place
    structure = {name: str(how) for name, how in problem.structures.items()}
    hw = problem.hardware.to_json()
    arrays = range(int(pieces.array.max()) + 1)
    in_order = [array // hw["core"]["arrays"] for array in arrays] if "core" in hw else None
    places = in_order if place is None else place.tolist()
    return NaiveCost(hw, problem.model, structure, pieces, activations, places, problem.terms.routing)


def _random_problem(draw: Random, config: dict[str, Any]) -> Problem | None:
    """A question about a model, or None where chip and structures do not fit together or it is too large."""
    model = parse_model(config, "model", "tiny")
    specs = ["dense"] * 3 if draw.random() < 0.2 else ["dense", "sqrt", "k,l,T", "k,l,T", "lowrank:T"]
    rules = [f"{each.name}={_random_structure(draw, specs, each.n_in, each.n_out)}" for each in model.linears]
    chosen = StructurePolicy.parse(rules).resolve((each.name, each.n_in, each.n_out) for each in model.linears)
    structures = stored_alike(config, {name: str(structure) for name, structure in chosen.items()})
    try:
        hardware = _with_memory(Random(draw.getstate()[1][0]), _random_chip(draw), model)
        if "network" not in hardware:
            config = _at_positions(Random(draw.getstate()[1][1]), config)
        config = _of_several_inputs(Random(draw.getstate()[1][3]), config)
        config = _in_groups(Random(draw.getstate()[1][5]), config, structures)
        config = _in_laps(Random(draw.getstate()[1][2]), config)
        source_tokens = Random(draw.getstate()[1][4]).randint(1, model.tokens) if model.source_tokens else None
        problem = ask(config, structures, hardware, draw.choice(["none", "columns", "both"]), None, source_tokens)
    except InputError:
        return None
    return problem if problem.weight_cells <= WEIGHTS_MAX else None


def _random_structure(draw: Random, specs: list[str], n_in: int, n_out: int) -> str:
    spec = draw.choice(specs)
    if spec == "lowrank:T":
        return f"lowrank:{draw.randint(1, min(n_in, n_out, 3))}"
    if spec == "k,l,T":
        k, l = (draw.choice([d for d in range(1, n + 1) if n % d == 0]) for n in (n_in, n_out))  # noqa: E741
        return f"{k},{l},{draw.randint(1, min(n_in // k, n_out // l, 3))}"
    return spec


def _graph(draw: Random) -> dict[str, Any]:
    """Up to five steps, in a chain or with branches, several starts and several ends."""
    steps: list[dict[str, Any]] = []
    chain = draw.random() < 0.4
    for number in range(draw.randint(1, 5)):
        keys: dict[str, Any] = {"barrier": draw.random() < 0.3}
        few = min(number, draw.choice([0, 1, 1, 1, 2]))
        reads = [number - 1] if chain and number else sorted(draw.sample(range(number), few))
        keys["reads"] = [f"s{read}" for read in reads]
        if reads:
            names = [draw.choice(OPERATIONS) for _ in range(draw.randint(0, 3))]
            keys["operations"] = [{"name": name, "elements": draw.randint(1, 12)} for name in names]
        n_in = draw.choice([4, 6, 8, draw.randint(1, 8)])
        shapes = [(n_in, draw.randint(1, 6)) for _ in range(draw.choice([1, 1, 2, 3]))]
        steps.append(step(f"s{number}", *shapes, **keys))
    return linears(*steps, context=draw.randint(1, 5))


def _mixtures(draw: Random) -> dict[str, Any]:
    """The same with experts in most steps."""
    config = _graph(draw)
    for at, each in enumerate(config["steps"]):
        if draw.random() < 0.6:
            keys = {key: each[key] for key in ("reads", "barrier", "operations") if key in each}
            config["steps"][at] = mixture(draw, each["name"], 6, 4, **keys)
    return config


def _at_positions(draw: Random, config: dict[str, Any]) -> dict[str, Any]:
    """The config, some steps of which fire more than once in a pass where they are listed."""
    if config["model_type"] != "linears" or draw.random() < 0.5:
        return config
    return {**config, "steps": [{**each, "positions": draw.choice([1, 2, 3, 7])} for each in config["steps"]]}


def _of_several_inputs(draw: Random, config: dict[str, Any]) -> dict[str, Any]:
    """The config, some matrices of which read another vector than the others of their step, where they are listed."""
    if config["model_type"] != "linears" or draw.random() < 0.6:
        return config
    steps = [
        {**each, "linears": [{**linear, "input": draw.choice([0, 0, 2])} for linear in each["linears"]]}
        for each in config["steps"]
        if "experts" not in each
    ]
    return {**config, "steps": steps} if len(steps) == len(config["steps"]) else config


def _in_groups(draw: Random, config: dict[str, Any], structures: dict[str, str]) -> dict[str, Any]:
    """The config, some matrices of which that are stored dense are in groups, where they are listed."""
    if config["model_type"] != "linears" or draw.random() < 0.6:
        return config

    def grouped(linear: dict[str, Any]) -> dict[str, Any]:
        common = math.gcd(linear["n_in"], linear["n_out"])
        return {**linear, "groups": draw.choice([1, common])} if structures[linear["name"]] == "dense" else linear

    steps = [
        {**each, "linears": [*map(grouped, each["linears"])]} if "experts" not in each else each
        for each in config["steps"]
    ]
    return {**config, "steps": steps}


def _in_laps(draw: Random, config: dict[str, Any]) -> dict[str, Any]:
    """The config, through some last steps of which a token goes again where they are listed."""
    if config["model_type"] != "linears" or draw.random() < 0.7:
        return config
    steps = config["steps"]
    first = draw.randrange(len(steps))
    return {**config, "steps": [*steps[:first], *again(steps[first:], draw.choice([1, 2]))]}


def _transformer(draw: Random) -> dict[str, Any]:
    """Encoder-decoders mostly, which have two passes."""
    width, inner, context = 2, draw.randint(1, 4), draw.randint(1, 5)
    layers = draw.choice([1, 1, 2])
    named = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": inner}
    bart = {
        "d_model": width,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": inner,
        "decoder_ffn_dim": draw.randint(1, 4),
    }
    found = draw.choice([{**BART, **bart}, {**BERT, **named}, {**LLAMA, **named}])
    if found["model_type"] == "llama" and context > 2:  # some have windows
        found = {**found, "model_type": "mistral", "sliding_window": 2}
    return {**found, "max_position_embeddings": context}


def _random_chip(draw: Random) -> dict[str, Any]:
    network = random_network(draw) if draw.random() < 0.4 else {}
    cell_bits, signed = draw.choice([1, 1, 2, 3]), draw.choice(SIGNS)
    weight_bits = cell_bits * draw.choice([1, 1, 2]) + draw.choice([0, 0, cell_bits - 1])
    width = -(-weight_bits // cell_bits) * (2 if signed == "differential" else 1)
    rows, cols = draw.randint(2, 9), draw.randint(2, 6) * width + draw.choice([0, 0, width - 1])
    input_bits = draw.randint(1, 4)
    changes: dict[str, Any] = {
        "clock_ns": draw.choice([1, 1, 2, 1.7, 0.3]),
        "array__rows": rows,
        "array__cols": cols,
        "array__rows_active_max": draw.choice([None, None, draw.randint(1, rows)]),
        "array__area_um2": draw.choice([100, 33.25]),
        "array__leakage_uw": draw.choice([0, 1, 750.5]),
        "cell__bits": cell_bits,
        "weight__bits": weight_bits,
        "weight__signed": signed,
        "input__bits": input_bits,
        "input__dac_bits": draw.randint(1, input_bits),
        "adc__per_array": draw.randint(1, cols),
        "adc__wiring": draw.choice(["any", "interleaved", "adjacent"]),
        "adc__bits_rule": draw.choice(["lossless", "log2_rows"]),
        "adc__bits_max": draw.choice([1, 2, 3, 4, 6, 8]),
        "adc__lossy_allowed": draw.random() < 0.5,
        "adc__sample_hold": draw.random() < 0.4,
        "transfer__base_ns": draw.choice([0, 0, 1, 2.4]),
        "transfer__bits_per_ns": draw.choice([0.7, 8, 1e6]),
        "transfer__pj_per_bit": draw.choice([0, 0.5, 3]),
        "digital__units": draw.choice([1, 3, 4]),
        "digital__ops": _random_operations(draw),
    }
    wire = networked if network else dict
    if draw.random() < 0.2:
        return wire(macro_chip(**changes, **network))
    return wire(
        chip(
            **changes,
            **network,
            adc__table=[dict(zip(("bits", "ns", "pj", "um2"), line, strict=True)) for line in draw.choice(TABLES)],
            read_ns=draw.choice([0.5, 3, 10, 40]),
            energy_pj={name: draw.choice([0.125, 0.5, 2]) for name in ("row", "cell", "column", "shift_add")},
        )
    )


def _with_memory(draw: Random, hardware: dict[str, Any], model: Model) -> dict[str, Any]:
    """The chip, mostly with a memory where `model` has attention: slow or fast, with room for few or many sequences."""
    if draw.random() < (0.2 if model.cached_elements else 0.9):
        return hardware
    bits = draw.choice([1, 3, 8])
    memory = {
        "banks": draw.choice([1, 2, 3]),
        "base_ns": draw.choice([0, 2.4]),
        "bits_per_ns": draw.choice([0.1, 0.35, 2, 40]),
        "read_pj_per_bit": draw.choice([0, 0.25, 4]),
        "write_pj_per_bit": draw.choice([0.5, 3]),
        "mbit": max(1, model.cached_elements * bits) * draw.choice([1, 1.5, 2, 100]) / 1e6,
        "kv_bits": bits,
        "queries_per_read": draw.choice([1, 2, 3, 100]),
    }
    return remembering(hardware, **memory)


def _random_operations(draw: Random) -> MappingABC[str, Any]:
    free = dict.fromkeys(("base_ns", "per_element_ns", "base_pj", "per_element_pj"), 0)
    return {
        name: free if draw.random() < 0.15 else {key: draw.choice([0.25, 1, 2, 7.5]) for key in free}
        for name in OPERATIONS
    }


def _random_order(problem: Problem, draw: Random) -> Any:
    """An order in which every stage comes after those that it reads, or None for that of the workload."""
    stages = problem.workload.stages
    if problem.workload.is_chain or draw.random() < 0.3:
        return None
    order: list[int] = []
    while len(order) < len(stages):
        order.append(draw.choice([s.id for s in stages if s.id not in order and set(s.after) <= set(order)]))
    return np.array(order, dtype=np.int64)


# What differs


def differences(
    naive: NaiveCost,
    metrics: MappingABC[str, Any],
    breakdown: MappingABC[str, MappingABC[str, Any]],
    activations: Activations,
    order: Any = None,
    earliest: bool = True,
) -> set[str]:
    """Names of the figures that differ from the oracle's: whole numbers at all, others by more than 1e-9.

    `earliest`: whether the schedule serves the stages in `order`, None for the model's, as early as can be.
    """
    found = {f"metrics.{name}" for name in _unlike(naive.metrics, metrics)}
    for part in naive.breakdown.keys() | breakdown.keys():
        ours, theirs = naive.breakdown.get(part, {}), breakdown.get(part, {})
        found |= {f"breakdown.{part}.{name}" for name in _unlike(ours, theirs)}
    if activations.end.tolist() != [each.end for each in naive.firings]:
        found.add("activations.end")
    if activations.adc_bits.tolist() != [each.bits for each in naive.firings]:
        found.add("activations.adc_bits")
    served = naive.stages if order is None else order.tolist()
    if earliest and naive.earliest(served) != (naive.start, naive.end):
        found.add("activations.start")
    return found


def _unlike(ours: MappingABC[str, Any], theirs: MappingABC[str, Any]) -> set[str]:
    names = ours.keys() | theirs.keys()
    return {name for name in names if name not in ours or name not in theirs or not _same(ours[name], theirs[name])}


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, int) and isinstance(theirs, int):
        return ours == theirs
    return isinstance(theirs, float) and math.isclose(ours, theirs, rel_tol=1e-9)
