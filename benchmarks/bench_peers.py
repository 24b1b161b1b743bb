"""What a user would do instead: arrays and seconds on the same blocks.

Whole blocks (sqrt structure, no cuts, no rotation) on 256x256 arrays, one column a weight, packed by

- packed: our packing alone, places and proved bound, which is what the others do;
- ours: `optimal` with `--cut none`, which also deals, schedules, costs, bounds and checks what it packs;
- one binary program, block x shelf of an array (after arXiv 2411.04814), solved by HiGHS and by CP-SAT under a
  time limit;
- rectpack, the best of 24 settings, as many as the time limit allows.

Every run has a process of its own. `bert-large:2` means its first two layers.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import BenchmarkError, log, make_parser, markdown_table, provenance, run_self, write_report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cimsolve.problem.problem import Problem

    Ints = npt.NDArray[np.int64]

INSTANCES = ("minilm-l6", "bert-large:1", "bert-large:2", "bert-large:4", "bert-large", "smollm2-135m")
METHODS = ("packed", "ours", "HiGHS", "CP-SAT", "rectpack")
GRACE_S = 60.0
"""What a peer may take beyond its limit, to build its model and to stop."""

Found = dict[str, Any]


def instance(name: str) -> Problem:
    """The question of one instance; `name:N` keeps the first N layers."""
    from cimsolve.api import make_problem
    from cimsolve.files.json_file import read_json
    from cimsolve.files.library import resolve_model
    from cimsolve.model.families import parse_model

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
    from cimsolve.study.solving import solve_and_check

    solution, report = solve_and_check(problem, "optimal")
    if not report.passed:
        raise BenchmarkError(str(report.violations[0]))
    arrays = solution.header.bounds["arrays"]
    return {"arrays": arrays.value, "lower": arrays.lower, "note": f"{arrays.proof} bound"}


def solve_packing(problem: Problem) -> Found:
    from cimsolve.solve.rules.spread import packings

    packing = min((packed.packing for packed in packings(problem)), key=lambda packing: packing.arrays)
    return {"arrays": packing.arrays, "lower": packing.lower, "note": f"{packing.lower_name} bound"}


def first_fit(problem: Problem) -> int:
    """Arrays that a first-fit rule needs: as many does the binary program offer."""
    import numpy as np

    from cimsolve.pack.shelves import first_fit_shelves

    height, width = blocks(problem)
    sizes, counts = np.unique(np.stack([height, width]), axis=1, return_counts=True)
    packed = first_fit_shelves(sizes[0], sizes[1], counts, problem.rows, problem.weights_per_row, False)
    return sum(times for _, times in packed)


@dataclass(frozen=True)
class Program:
    """The binary program of one instance, for both solvers.

    Shelf s of array `array[s]` is `level[s]` rows high, as high as some block; block p may lie on the shelves
    `allowed(p)`. Variables: x[p, s] block p lies on shelf s, y[s] shelf s is open, z[a] array a is used.
    """

    rows: int
    cols: int
    height: Ints
    width: Ints
    arrays: int
    array: Ints
    level: Ints

    def allowed(self, p: int) -> Ints:
        import numpy as np

        return np.flatnonzero(self.level >= self.height[p])

    def twins(self) -> list[int]:
        """Shelves s whose like s - 1 lies on the same array: they open in order."""
        same = (self.array[1:] == self.array[:-1]) & (self.level[1:] == self.level[:-1])
        return [int(s) + 1 for s in same.nonzero()[0]]

    @property
    def binaries(self) -> int:
        return sum(int((self.level >= height).sum()) for height in self.height)


def program(problem: Problem) -> Program:
    import numpy as np

    height, width = blocks(problem)
    arrays = first_fit(problem)
    levels = np.unique(height)[::-1]
    level = np.repeat(levels, problem.rows // levels)
    return Program(
        problem.rows,
        problem.weights_per_row,
        height,
        width,
        arrays,
        np.repeat(np.arange(arrays), len(level)),
        np.tile(level, arrays),
    )


def solve_highs(of: Program, limit_s: float) -> Found:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    shelves = [of.allowed(p) for p in range(len(of.height))]
    block = np.repeat(np.arange(len(shelves)), [len(allowed) for allowed in shelves])
    shelf = np.concatenate(shelves)
    y0 = len(shelf)
    z0 = y0 + len(of.level)
    variables = z0 + of.arrays
    twins = np.asarray(of.twins(), dtype=np.int64)
    x, y, z = np.arange(y0), np.arange(y0, z0), np.arange(z0, variables)
    # Rows of the matrix, all at least 0 (the first at least 1): blocks placed, shelves' widths, arrays' heights,
    # like shelves and arrays in order.
    widths, heights = len(shelves), len(shelves) + len(of.level)
    order = heights + of.arrays
    entries = (
        (block, x, 1),
        (widths + shelf, x, -of.width[block]),
        (widths + y - y0, y, of.cols),
        (heights + of.array, y, -of.level),
        (heights + z - z0, z, of.rows),
        (order + np.arange(len(twins)), y0 + twins - 1, 1),
        (order + np.arange(len(twins)), y0 + twins, -1),
        (order + len(twins) + np.arange(of.arrays - 1), z[:-1], 1),
        (order + len(twins) + np.arange(of.arrays - 1), z[1:], -1),
    )
    row, col, value = (
        np.concatenate([np.broadcast_to(entry[i], len(entry[0])) for entry in entries]) for i in range(3)
    )
    count = order + len(twins) + of.arrays - 1
    answer = milp(
        np.where(np.arange(variables) < z0, 0, 1),
        constraints=LinearConstraint(
            coo_array((value, (row, col)), shape=(count, variables)).tocsr(),
            np.where(np.arange(count) < widths, 1, 0),
            np.inf,
        ),
        integrality=np.ones(variables),
        bounds=Bounds(0, 1),
        options={"time_limit": limit_s},
    )
    lower = None if answer.mip_dual_bound is None else int(np.ceil(answer.mip_dual_bound - 1e-6))
    return {"arrays": None if answer.x is None else round(answer.fun), "lower": lower}


def solve_cp_sat(of: Program, limit_s: float) -> Found:
    import numpy as np
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    y = [model.new_bool_var("") for _ in of.level]
    z = [model.new_bool_var("") for _ in range(of.arrays)]
    on_shelf: list[tuple[list[Any], list[int]]] = [([], []) for _ in of.level]
    for p, width in enumerate(of.width.tolist()):
        x = []
        for s in of.allowed(p).tolist():
            x.append(model.new_bool_var(""))
            on_shelf[s][0].append(x[-1])
            on_shelf[s][1].append(width)
        model.add_exactly_one(x)
    for s, (x, widths) in enumerate(on_shelf):
        model.add(cp_model.LinearExpr.weighted_sum(x, widths) <= of.cols * y[s])
    for a in range(of.arrays):
        mine = np.flatnonzero(of.array == a).tolist()
        heights = of.level[mine].tolist()
        model.add(cp_model.LinearExpr.weighted_sum([y[s] for s in mine], heights) <= of.rows * z[a])
        if a:
            model.add_implication(z[a], z[a - 1])
    for s in of.twins():
        model.add_implication(y[s], y[s - 1])
    model.minimize(sum(z))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.num_workers = len(os.sched_getaffinity(0))
    status = solver.solve(model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return {
        "arrays": round(solver.objective_value) if found else None,
        "lower": int(np.ceil(solver.best_objective_bound - 1e-6)),
    }


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
    note = f"best of {tried} of {len(settings)} settings, found after {best_seconds:.1f} s"
    return {"arrays": best, "lower": None, "note": note}


def solve_program(of: Program, method: str, limit_s: float) -> Found:
    found = (solve_highs if method == "HiGHS" else solve_cp_sat)(of, limit_s)
    verdict = "proved" if found["arrays"] == found["lower"] else "not proved in time"
    return {**found, "note": f"{of.binaries:,} binaries, {verdict if found['arrays'] else 'nothing found'}"}


def measure(name: str, method: str, limit_s: float, binaries_max: int) -> Found:
    """One method on one instance, in this process."""
    problem = instance(name)
    solvers: dict[str, Callable[[], Found]] = {
        "packed": lambda: solve_packing(problem),
        "ours": lambda: solve_ours(problem),
        "HiGHS": lambda: solve_program(program(problem), method, limit_s),
        "CP-SAT": lambda: solve_program(program(problem), method, limit_s),
        "rectpack": lambda: solve_rectpack(problem, limit_s),
    }
    if method in ("HiGHS", "CP-SAT") and (binaries := program(problem).binaries) > binaries_max:
        raise BenchmarkError(f"not tried: {binaries:,} binaries")
    began, worked = time.perf_counter(), time.process_time()
    found = solvers[method]()
    return {**found, "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - worked}


def lines_of(name: str, found: Mapping[str, Found]) -> list[list[object]]:
    """The rows of one instance; ratios are to our packing alone, and to all that ours does."""
    packed, ours = found.get("packed", {}), found.get("ours", {})
    lines = []
    for method, result in found.items():
        arrays, seconds, cpu_s = (result.get(key) for key in ("arrays", "seconds", "cpu_s"))
        is_peer = method not in ("packed", "ours")
        lines.append(
            [
                name,
                method,
                arrays,
                result.get("lower"),
                None if seconds is None else f"{seconds:.2f}",
                None if cpu_s is None else f"{cpu_s:.4g}",
                f"{arrays / ours['arrays']:.3f}" if is_peer and arrays and ours.get("arrays") else None,
                f"{cpu_s / packed['cpu_s']:.0f}" if is_peer and cpu_s and packed.get("cpu_s") else None,
                f"{cpu_s / ours['cpu_s']:.1f}" if is_peer and cpu_s and ours.get("cpu_s") else None,
                result["note"].replace("|", "/"),
            ]
        )
    return lines


def summary(results: Mapping[str, Mapping[str, Found]]) -> str:
    pairs = [
        (name, method, result, found["ours"], found.get("packed", {}))
        for name, found in results.items()
        for method, result in found.items()
        if method not in ("packed", "ours") and result.get("arrays") and found.get("ours", {}).get("arrays")
    ]
    if not pairs:
        return ""
    fewer = [f"{method} on {name}" for name, method, result, ours, _ in pairs if result["arrays"] < ours["arrays"]]
    more = [f"{method} on {name}" for name, method, result, ours, _ in pairs if result["arrays"] > ours["arrays"]]
    proved = [
        (result["cpu_s"] / packed["cpu_s"], result["cpu_s"] / ours["cpu_s"])
        for _, method, result, ours, packed in pairs
        if method in ("HiGHS", "CP-SAT") and result["arrays"] == result["lower"] and packed
    ]
    lines = [
        f"- A peer needs fewer arrays: {', '.join(fewer) or 'nowhere'}.",
        f"- A peer needs more arrays: {', '.join(more) or 'nowhere'}.",
    ]
    if proved:
        lines.append(
            f"- Where the binary program is proved, it takes {min(packing for packing, _ in proved):.0f} to "
            f"{max(packing for packing, _ in proved):.0f} times the CPU of our packing, which proves as much, and "
            f"{min(whole for _, whole in proved):.0f} to {max(whole for _, whole in proved):.0f} times that of our "
            "whole answer."
        )
    met = [name for name, found in results.items() if found["ours"].get("arrays") == found["ours"].get("lower")]
    lines.append(f"- Ours meets its proved bound on {len(met)} of {len(results)}: {', '.join(met) or 'none'}.")
    return "\n".join(lines)


NOTES = """\
Seconds are those inside the process, from the blocks to the answer. `packed` is our packing alone: number of arrays,
a place for every block, proved bound, which is what the others give too; `ours` is the whole answer, dealt for
latency, scheduled, costed, bounded and checked, with the loading of what that needs. The peers' seconds are those
with building their model. The limit is on wall seconds; ratios are of CPU seconds, which other jobs on
the machine disturb less. HiGHS has one thread, CP-SAT one per core, ours one. The binary program is
offered as many arrays as first-fit shelves need, and each with as many shelves of every block height as it holds.
Its bound holds for shelves, ours for any placement. Other ways to write such a program do better or worse: one tried
elsewhere, on an idle machine, was proved by HiGHS in 27 s on MiniLM and in 29 s on two layers, and missed four.

`packingsolver` 0.1.1233 needs Python 3.12 or newer and is not run here; an earlier measurement elsewhere on
SmolLM2 gave 110 arrays after 30 s."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "peers.md")
    parser.add_argument("--instances", nargs="+", default=INSTANCES, metavar="MODEL[:LAYERS]")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="of each peer (default: 60)")
    parser.add_argument(
        "--binaries-max", type=int, default=1_000_000, metavar="N", help="larger programs are not tried"
    )
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
    header = (
        "instance",
        "method",
        "arrays",
        "bound",
        "wall, s",
        "CPU, s",
        "arrays / ours",
        "CPU / packed",
        "CPU / ours",
        "note",
    )
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
