"""What a user would do instead: arrays and seconds on the same blocks.

Whole blocks (sqrt structure, no cuts, no rotation) on 256x256 arrays, one column a weight, packed by

- ours: `optimal` with `--cut none`, which also schedules, costs and bounds what it packs;
- one binary program, block x array: each block is assigned to an array and to a shelf there (after
  arXiv 2411.04814), solved by HiGHS and by CP-SAT under a time limit;
- rectpack, the best of 24 settings, as many as the time limit allows.

Every run has a process of its own. `bert-large:2` means its first two layers.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common import BenchmarkError, log, make_parser, markdown_table, provenance, run_self, write_report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cimsolve.problem import Problem

    Ints = npt.NDArray[np.int64]

INSTANCES = ("minilm-l6", "bert-large:1", "bert-large:2", "bert-large:4", "bert-large", "smollm2-135m")
METHODS = ("ours", "HiGHS", "CP-SAT", "rectpack")
GRACE_S = 60.0
"""What a peer may take beyond its limit, to build its model and to stop."""

Found = dict[str, Any]


def instance(name: str) -> Problem:
    """The question of one instance; `name:N` keeps the first N layers."""
    from cimsolve.api import make_problem
    from cimsolve.jsonfile import read_json
    from cimsolve.library import resolve_model
    from cimsolve.model import parse_model

    base, _, layers = name.partition(":")
    config = read_json(resolve_model(base), 2**24)
    assert isinstance(config, dict)
    if layers:
        config["num_hidden_layers"] = int(layers)
    return make_problem(parse_model(config, base, name), "paper256", cut="none")


def blocks(problem: Problem) -> tuple[Ints, Ints]:
    """Height and width of every block, the tallest first; shape (blocks,) each."""
    import numpy as np

    table = problem.table
    height, width = (np.repeat(size, table.blocks) for size in (table.block_rows, table.block_cols))
    order = np.lexsort((-width, -height))
    return height[order], width[order]


def solve_ours(problem: Problem) -> Found:
    from cimsolve.api import make_search
    from cimsolve.run import solve_and_check

    began = time.perf_counter()
    solution, report = solve_and_check(problem, "optimal", make_search())
    seconds = time.perf_counter() - began
    if not report.passed:
        raise BenchmarkError(str(report.violations[0]))
    arrays = solution.header.bounds["arrays"]
    return {"arrays": arrays.value, "lower": arrays.lower, "seconds": seconds, "note": f"{arrays.proof} bound"}


def first_fit(problem: Problem) -> int:
    """Arrays that a first-fit rule needs: as many does the binary program offer."""
    import numpy as np

    from cimsolve.packing import first_fit_shelves

    height, width = blocks(problem)
    sizes, counts = np.unique(np.stack([height, width]), axis=1, return_counts=True)
    packed = first_fit_shelves(sizes[0], sizes[1], counts, problem.rows, problem.weights_per_row, False)
    return sum(times for _, times in packed)


def solve_highs(problem: Problem, limit_s: float) -> Found:
    """Variables: x[p, a] block p on array a, n[a, h] shelves of height h there, z[a] array in use."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    began = time.perf_counter()
    height, width = blocks(problem)
    pieces, arrays = len(height), first_fit(problem)
    levels = np.unique(height)[::-1]
    shelf0, used0 = pieces * arrays, pieces * arrays + arrays * len(levels)
    variables = used0 + arrays
    rows, cols, values = [], [], []
    least: list[float] = []

    def add(columns: Any, weights: Any, at_least: float) -> None:
        rows.append(np.full(len(columns), len(least)))
        cols.append(np.asarray(columns))
        values.append(np.broadcast_to(weights, len(columns)))
        least.append(at_least)

    for p in range(pieces):
        add(p * arrays + np.arange(arrays), 1, 1)  # every block is on an array; on two is never better
    for a in range(arrays):
        shelves = shelf0 + a * len(levels) + np.arange(len(levels))
        for j, level in enumerate(levels):
            # Blocks as tall as this level need that much width of shelves as tall.
            tall = np.flatnonzero(height >= level)
            columns = np.concatenate([shelves[: j + 1], tall * arrays + a])
            add(columns, np.concatenate([np.full(j + 1, problem.weights_per_row), -width[tall]]), 0)
        add([used0 + a, *shelves], np.concatenate([[problem.rows], -levels]), 0)
        if a:
            add([used0 + a - 1, used0 + a], np.array([1, -1]), 0)
    matrix = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), shape=(len(least), variables)
    )
    most = np.ones(variables)
    most[shelf0:used0] = np.tile(problem.rows // levels, arrays)
    answer = milp(
        np.concatenate([np.zeros(used0), np.ones(arrays)]),
        constraints=LinearConstraint(matrix.tocsr(), np.asarray(least), np.inf),
        integrality=np.ones(variables),
        bounds=Bounds(0, most),
        options={"time_limit": limit_s},
    )
    seconds = time.perf_counter() - began
    lower = None if answer.mip_dual_bound is None else int(np.ceil(answer.mip_dual_bound - 1e-6))
    found: Found = {"arrays": None, "lower": lower, "seconds": seconds, "note": "nothing found"}
    if answer.x is not None:
        found["arrays"] = round(answer.fun)
        found["note"] = _verdict(found)
        chosen = answer.x[:shelf0].reshape(pieces, arrays).argmax(axis=1)
        shelves_found = np.round(answer.x[shelf0:used0]).astype(int).reshape(arrays, len(levels))
        found["note"] += _shelf_note(problem, chosen, shelves_found)
    return found


def solve_cp_sat(problem: Problem, limit_s: float) -> Found:
    """The same program."""
    import numpy as np
    from ortools.sat.python import cp_model

    began = time.perf_counter()
    height, width = blocks(problem)
    pieces, arrays = len(height), first_fit(problem)
    levels = np.unique(height)[::-1].tolist()
    model = cp_model.CpModel()
    x = [[model.new_bool_var("") for _ in range(arrays)] for _ in range(pieces)]
    shelves = [[model.new_int_var(0, problem.rows // level, "") for level in levels] for _ in range(arrays)]
    used = [model.new_bool_var("") for _ in range(arrays)]
    for of_block in x:
        model.add_exactly_one(of_block)
    for a in range(arrays):
        for j, level in enumerate(levels):
            tall = np.flatnonzero(height >= level).tolist()
            taken = cp_model.LinearExpr.weighted_sum([x[p][a] for p in tall], width[tall].tolist())
            model.add(taken <= problem.weights_per_row * sum(shelves[a][: j + 1]))
        model.add(cp_model.LinearExpr.weighted_sum(shelves[a], levels) <= problem.rows * used[a])
        if a:
            model.add_implication(used[a], used[a - 1])
    model.minimize(sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.num_workers = len(os.sched_getaffinity(0))
    status = solver.solve(model)
    seconds = time.perf_counter() - began
    lower = int(np.ceil(solver.best_objective_bound - 1e-6))
    found: Found = {"arrays": None, "lower": lower, "seconds": seconds, "note": "nothing found"}
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found["arrays"] = round(solver.objective_value)
        found["note"] = _verdict(found)
        chosen = np.array([[solver.value(var) for var in of_block] for of_block in x]).argmax(axis=1)
        shelves_found = np.array([[solver.value(var) for var in of_array] for of_array in shelves])
        found["note"] += _shelf_note(problem, chosen, shelves_found)
    return found


def _verdict(found: Found) -> str:
    return "proved" if found["arrays"] == found["lower"] else "not proved in time"


def _shelf_note(problem: Problem, chosen: Ints, shelves: Ints) -> str:
    """Whether the blocks of each array really fit side by side on its shelves, by first fit.

    The program only demands that the widths add up, which favours it.
    """
    import numpy as np

    height, width = blocks(problem)
    levels = np.unique(height)[::-1]
    short = 0
    for a in range(len(shelves)):
        # The lowest shelf that will do comes first.
        room = [[int(level), problem.weights_per_row] for level, n in zip(levels, shelves[a], strict=True) for _ in range(n)]
        for p in np.flatnonzero(chosen == a):
            fitting = [shelf for shelf in reversed(room) if shelf[0] >= height[p] and shelf[1] >= width[p]]
            if not fitting:
                short += 1
                break
            fitting[0][1] -= int(width[p])
    return f"; {short} of its arrays overflow by first fit" if short else ""


def solve_rectpack(problem: Problem, limit_s: float) -> Found:
    try:
        import rectpack
    except ImportError:
        raise BenchmarkError("rectpack is not installed (pip install rectpack)") from None
    algorithms = (
        rectpack.MaxRectsBssf,
        rectpack.SkylineBl,
        rectpack.GuillotineBssfSas,
        rectpack.MaxRectsBaf,
        rectpack.SkylineMwf,
        rectpack.MaxRectsBl,
    )
    orders = (rectpack.SORT_LSIDE, rectpack.SORT_SSIDE, rectpack.SORT_AREA, rectpack.SORT_PERI)
    settings = list(itertools.product(orders, algorithms))
    height, width = (size.tolist() for size in blocks(problem))
    began = time.perf_counter()
    best, best_seconds, tried = None, 0.0, 0
    for order, algorithm in settings:
        packer = rectpack.newPacker(
            mode=rectpack.PackingMode.Offline,
            bin_algo=rectpack.PackingBin.BFF,
            pack_algo=algorithm,
            sort_algo=order,
            rotation=False,
        )
        packer.add_bin(problem.weights_per_row, problem.rows, count=float("inf"))
        for rows, cols in zip(height, width, strict=True):
            packer.add_rect(cols, rows)
        packer.pack()
        tried += 1
        if sum(len(packed) for packed in packer) == len(height) and (best is None or len(packer) < best):
            best, best_seconds = len(packer), time.perf_counter() - began
        if time.perf_counter() - began > limit_s:
            break
    seconds = time.perf_counter() - began
    note = f"best of {tried} of {len(settings)} settings, found after {best_seconds:.1f} s"
    return {"arrays": best, "lower": None, "seconds": seconds, "note": note}


def measure(name: str, method: str, limit_s: float, binaries_max: int) -> Found:
    """One method on one instance, in this process."""
    problem = instance(name)
    if method == "ours":
        return solve_ours(problem)
    if method == "rectpack":
        return solve_rectpack(problem, limit_s)
    binaries = problem.workload.block_count * first_fit(problem)
    if binaries > binaries_max:
        raise BenchmarkError(f"not tried: {binaries:,} binaries (--binaries-max)")
    return (solve_highs if method == "HiGHS" else solve_cp_sat)(problem, limit_s)


def lines_of(name: str, found: Mapping[str, Found]) -> list[list[object]]:
    """The rows of one instance; ratios are to ours."""
    ours = found.get("ours", {})
    lines = []
    for method, result in found.items():
        arrays, seconds = result.get("arrays"), result.get("seconds")
        compared = method != "ours" and ours.get("arrays")
        lines.append(
            [
                name,
                method,
                arrays,
                result.get("lower"),
                None if seconds is None else f"{seconds:.2f}",
                f"{arrays / ours['arrays']:.3f}" if compared and arrays else None,
                f"{seconds / ours['seconds']:.0f}" if compared and seconds else None,
                result["note"].replace("|", "/"),
            ]
        )
    return lines


def summary(results: Mapping[str, Mapping[str, Found]]) -> str:
    pairs = [
        (name, method, result, found["ours"])
        for name, found in results.items()
        for method, result in found.items()
        if method != "ours" and result.get("arrays") and found.get("ours", {}).get("arrays")
    ]
    if not pairs:
        return ""
    fewer = [f"{method} on {name}" for name, method, result, ours in pairs if result["arrays"] < ours["arrays"]]
    more = [f"{method} on {name}" for name, method, result, ours in pairs if result["arrays"] > ours["arrays"]]
    proved = [
        result["seconds"] / ours["seconds"]
        for _, method, result, ours in pairs
        if method in ("HiGHS", "CP-SAT") and result["arrays"] == result["lower"]
    ]
    lines = [
        f"- A peer needs fewer arrays: {', '.join(fewer) or 'nowhere'}.",
        f"- A peer needs more arrays: {', '.join(more) or 'nowhere'}.",
    ]
    if proved:
        lines.append(f"- Where the binary program is proved, it takes {min(proved):.0f} to {max(proved):.0f} times ours.")
    met = [name for name, found in results.items() if found["ours"].get("arrays") == found["ours"].get("lower")]
    lines.append(f"- Ours meets its proved bound on {len(met)} of {len(results)}: {', '.join(met) or 'none'}.")
    return "\n".join(lines)


NOTES = """\
Seconds are those inside the process, from the blocks to the answer: ours with schedule, cost, bounds and check,
the peers' with building their model. HiGHS has one thread, CP-SAT one per core, ours one. The binary program is
offered as many arrays as first-fit shelves need; it asks only that widths add up to those of the shelves, which
favours it ("overflow": first fit found no such arrangement). Its bound holds for shelves, ours for any placement.

`packingsolver` 0.1.1233 needs Python 3.12 or newer and is not run here; an earlier measurement elsewhere on
SmolLM2 gave 110 arrays after 30 s."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "peers.md")
    parser.add_argument("--instances", nargs="+", default=INSTANCES, metavar="MODEL[:LAYERS]")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="of each peer (default: 60)")
    parser.add_argument("--binaries-max", type=int, default=300_000, metavar="N", help="larger programs are not tried")
    parser.add_argument("--case", nargs=2, metavar=("MODEL", "METHOD"), help="this case, here, as JSON")
    options = parser.parse_args(argv)
    if options.case:
        try:
            print(json.dumps(measure(*options.case, options.limit, options.binaries_max)))
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    results: dict[str, dict[str, Found]] = {}
    limits = ["--limit", str(options.limit), "--binaries-max", str(options.binaries_max)]
    for name in options.instances:
        results[name] = {}
        for method in options.methods:
            log(f"{name}, {method}")
            try:
                found = run_self(__file__, ["--case", name, method, *limits], options.limit + GRACE_S)
            except BenchmarkError as error:
                found = {"note": str(error)[:120]}
            results[name][method] = found
    header = ("instance", "method", "arrays", "bound", "seconds", "arrays / ours", "seconds / ours", "note")
    lines = [line for name, found in results.items() for line in lines_of(name, found)]
    write_report(
        options.out,
        "# Against what a user would do instead",
        provenance(__file__, argv, ["rectpack"]),
        NOTES,
        summary(results) if "ours" in options.methods else "",
        markdown_table(header, lines),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
