"""What a change would buy, by solving the changed question with the same strategy."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cimsolve.chip.sections import NetworkSection
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping as Placed
from cimsolve.solve.effort import Effort, Event, ignore
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.names import OF_MEMORIES, OF_NETWORKS, WHAT_IFS
from cimsolve.study.solving import solve_and_check, whole_answers_only


@dataclass(frozen=True)
class ChangeOutcome:
    """What came of one change: the new answer's metrics, checked; or none, and `reason`."""

    name: str
    what: str
    metrics: Mapping[str, int | float]
    reason: str
    seconds: float


def what_if(name: str, problem: Problem, solution: Solution, listen: Callable[[Event], None] = ignore) -> ChangeOutcome:
    """Solve `problem` with one thing changed: a name of WHAT_IFS, or KEY=VALUE of the hardware spec.

    The search starts from `solution`, where the change leaves it legal, so that no change looks worse than doing
    nothing. Raises InputError for a key that does not exist.
    """
    began = time.monotonic()
    header, metrics = solution.header, dict[str, int | float]()
    try:
        changed = _changed(name, problem, solution)
        start = _start(problem, changed, solution) if header.strategy == "optimal" else None
        effort = Effort(seed=header.seed, start=start, listen=whole_answers_only(listen))
        answer, report = solve_and_check(changed, header.strategy, effort)
        metrics = answer.header.metrics if report.passed else metrics
        reason = "" if report.passed else f"fails its check: {report.violations[0]}"
    except _ImpossibleError as error:
        reason = str(error)
    except InfeasibleError as error:
        reason = f"infeasible: {error}"
    return ChangeOutcome(name, WHAT_IFS.get(name, name), metrics, reason, time.monotonic() - began)


def usual_what_ifs(hardware: Hardware) -> tuple[str, ...]:
    """The changes that are tried where none is named."""
    left_out = (*(OF_NETWORKS if hardware.network is None else ()), *(OF_MEMORIES if hardware.memory is None else ()))
    return tuple(name for name in WHAT_IFS if name not in left_out)


class _ImpossibleError(Exception):
    """The change makes no sense here; the text says why."""


def _changed(name: str, problem: Problem, solution: Solution) -> Problem:
    """The changed problem."""
    hardware = problem.hardware
    if name == "again":
        return problem
    if name in ("array+1", "arrays+1%"):
        return _more_arrays(name, problem, solution)
    if name in ("port-x2", "hub-place", "core-x2", "tree"):
        return _on_network(name, problem)
    named: dict[str, tuple[str, object]] = {
        "adc+1": ("adc.per_array", hardware.adc.per_array + 1),
        "bit+1": ("adc.bits_max", hardware.adc.bits_max + 1),
        "bit-1": ("adc.bits_max", hardware.adc.bits_max - 1),
        "sample-hold": ("adc.sample_hold", "true"),
        "digital-x2": ("digital.units", hardware.digital.units * 2),
        "transfer-x2": _twice_as_wide(hardware),
        "banks-x2": ("memory.banks", 2 * hardware.memory.banks if hardware.memory is not None else None),
    }
    key, value = named[name] if name in named else _setting(name)
    if name == "sample-hold" and hardware.adc.sample_hold:
        raise _ImpossibleError("the converters have it")
    if name == "banks-x2" and hardware.memory is None:
        raise _ImpossibleError("the chip has no memory of keys and values")
    if hardware.array_kind.holds_converters and name in ("adc+1", "sample-hold"):
        raise _ImpossibleError("a measured core has its converters inside")
    try:
        return problem.asking(hardware=with_settings(hardware, {key: str(value)}))
    except InputError as error:
        if name not in WHAT_IFS:
            raise
        raise _ImpossibleError(str(error).partition(": ")[2]) from None


def _twice_as_wide(hardware: Hardware) -> tuple[str, object]:
    """The key of what moves vectors, and the value at which it moves twice as many bits at a time."""
    if hardware.transfer is not None:
        return "transfer.bits_per_ns", hardware.transfer.bits_per_ns * 2
    assert hardware.network is not None
    if hardware.network.bits_per_ns is not None:
        return "network.bits_per_ns", hardware.network.bits_per_ns * 2
    return "network.bits_per_ns_level", [rate * 2 for rate in hardware.network.bits_per_ns_level or ()]


def _on_network(name: str, problem: Problem) -> Problem:
    """Another network of the same kind."""
    core, network = problem.hardware.core, problem.hardware.network
    if core is None or network is None:
        raise _ImpossibleError("the chip has no network")
    settings: dict[str, object] = {}
    if name == "port-x2":
        settings = {"network.hub.bits_per_ns": network.hub.bits_per_ns * 2}
    elif name == "tree":
        if network.multicast == "tree":
            raise _ImpossibleError("its links do that already")
        settings = {"network.multicast": "tree"}
    elif name == "hub-place":
        if network.rows is None or network.cols is None:
            raise _ImpossibleError("the hub is the root of the H-tree")
        middle = [network.rows // 2, network.cols // 2]
        settings = {"network.hub.at": middle if network.hub.at == "edge" else "edge"}
    else:
        settings = {**_half_the_places(network), "core.arrays": core.arrays * 2}
        settings["array.count"] = problem.hardware.arrays_max  # not more than before, where halves are rounded up
    return problem.asking(hardware=with_settings(problem.hardware, {key: json.dumps(v) for key, v in settings.items()}))


def _half_the_places(network: NetworkSection) -> dict[str, object]:
    """The keys of a network of half as many places, an odd side rounded up, in cores' places twice as large."""
    if network.levels is not None:
        if network.levels == 1 or network.fanout != 2:
            raise _ImpossibleError("only an H-tree with a fanout of 2 and more than a level has half of its leaves")
        keys = ("bits_per_ns_level", "hop_ns_level", "pj_per_bit_level")
        upper = {f"network.{key}": list(getattr(network, key))[1:] for key in keys}
        return {"network.levels": network.levels - 1, **upper}
    sides = {"rows": network.rows or 1, "cols": network.cols or 1}
    if max(sides.values()) == 1:
        raise _ImpossibleError("the mesh is a single place")
    long = max(sides, key=lambda side: (sides[side] % 2 == 0, sides[side]))
    halved: dict[str, object] = {f"network.{long}": -(-sides[long] // 2)}
    if isinstance(network.hub.at, tuple):
        row, col = network.hub.at
        halved["network.hub.at"] = [row // 2, col] if long == "rows" else [row, col // 2]
    if network.pitch_mm is not None:
        halved["network.pitch_mm"] = network.pitch_mm * math.sqrt(2)
    return halved


def _more_arrays(name: str, problem: Problem, solution: Solution) -> Problem:
    """Room for more arrays, and an objective that makes use of them."""
    if solution.header.strategy in RULE_NAMES:
        raise _ImpossibleError("the rule takes as many arrays as it needs; more change nothing")
    used = int(solution.header.metrics["arrays"])
    more = 1 if name == "array+1" else used // 100
    if name == "arrays+1%" and more < 2:
        raise _ImpossibleError(f"1 % of {used} arrays is less than two: see one more array")
    hardware = problem.hardware
    if hardware.array.count is not None:
        hardware = with_settings(hardware, {"array.count": str(max(hardware.array.count, used + more))})
    objective = tuple(each for each in problem.objective if each != "arrays") or ("latency",)
    return problem.asking(hardware=hardware, max_arrays=used + more, objective=objective)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--what-if {text}: expected one of {', '.join(WHAT_IFS)}, or KEY=VALUE of the spec")
    return key, value


def _start(old: Problem, new: Problem, solution: Solution) -> Placed | None:
    """The given mapping, where the changed chip allows all that it does."""
    before, after = old.hardware, new.hardware
    same_cells = (old.rows, old.weights_per_row, before.columns_per_weight) == (
        new.rows,
        new.weights_per_row,
        after.columns_per_weight,
    )
    rows = [hardware.array.rows_active_max or hardware.array.rows for hardware in (before, after)]
    room = new.array_limit is None or new.array_limit >= solution.header.metrics["arrays"]
    if not (same_cells and room and new.rows_limit >= old.rows_limit and rows[1] >= rows[0]):
        return None
    same_places = (before.topology and before.topology.places, before.core) == (
        after.topology and after.topology.places,
        after.core,
    )
    place = solution.sites.place if solution.sites is not None and same_places else None
    return Placed(solution.pieces, solution.activations.of_piece(len(solution.pieces)), place)
