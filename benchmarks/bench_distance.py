"""Chips with distance: what a token takes where arrays stand in cores on a network, and how near it is to its bound.

Every target is a row. A case is a chip: arrays of a spec in cores of so many, on a mesh or an H-tree, its hub at the
edge or in the middle. On each: `optimal`, `spread`, and the answer of the flat chip priced afterwards with its arrays
in order. Large models are whole commands; `--before` compares the answers of flat chips with those of another checkout.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    ROOT,
    BenchmarkError,
    last_line,
    log,
    make_parser,
    markdown_table,
    percent,
    provenance,
    run_command,
    run_self,
    write_report,
)
from distance_cases import NAMED, NETWORK_MOST, PARTS, Case, measure

MESHES = tuple(
    f"{where}/{rate}"
    for where in (
        "rram256/8/16x14/edge",
        "rram256/8/15x15/mid",
        "rram256/16/11x11/edge",
        "rram256/16/11x11/mid",
        "rram256/64/6x5/edge",
        "rram256/64/6x5/mid",
        "rram256/16/4^4/top",
        "paper256/16/5x6/edge",
        "paper256/16/5x6/mid",
        "paper256/16/4x4/edge",
        "paper256/16/4x4/mid",
    )
    for rate in (32, 256)
)
DENSE = ("paper256/16/17x17/mid/32/dense", "paper256/16/17x17/mid/256/dense")
UNICAST = tuple(
    f"{where}/32/unicast"
    for where in (
        "rram256/8/16x14/edge",
        "rram256/16/11x11/edge",
        "rram256/16/11x11/mid",
        "rram256/16/4^4/top",
        "paper256/16/5x6/edge",
    )
)
SHIPPED = ("rram256-mesh", "paper256-mesh", "paper256-mesh/dense")
CASES = (*MESHES, *DENSE, *UNICAST, *SHIPPED)

LARGE = {
    "8B": "--hw paper256-mesh --model llama-3-8b --strategy optimal",
    "70B": "--hw paper256-mesh --model llama-3-70b --strategy optimal --set network.rows=37 --set network.cols=37 "
    "--set memory.mbit=1024",
}
LARGE_LIMITS = {"8B": (20.0, 2.0), "70B": (90.0, 6.0)}
"""Seconds and GiB of a whole command."""
PRICING_S = 10.0
FLAT = ("--hw rram256 --model bert-large", "--hw paper256 --model minilm-l6")

Found = Mapping[str, Any]


# Large models and flat chips


def measure_large(size: str, timeout_s: float) -> dict[str, Any]:
    """A whole command, and its solution priced again in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*LARGE[size].split(), "-q", "--out", folder]
        ran = run_command([sys.executable, "-m", "cimsolve", *arguments], timeout_s)
        if ran.code != 0:
            raise BenchmarkError(last_line(ran.stderr) or f"exit code {ran.code}")
        priced = run_self(__file__, ["--price", str(*Path(folder).glob("*.json"))], timeout_s)
    return {"wall_s": ran.wall_s, "cpu_s": ran.cpu_s, "gib": ran.peak_mib / 1024, **priced}


def price_file(path: str) -> dict[str, Any]:
    """What it takes to price a solution, and what it says, in this process."""
    from cimsolve.api import make_problem, read_solution
    from cimsolve.price.cost import price
    from cimsolve.study.solving import mapping_of

    solution = read_solution(path)
    problem = make_problem(solution.question())
    mapping = mapping_of(solution, problem)
    began, began_cpu = time.perf_counter(), time.process_time()
    metrics = price(problem, mapping).costs.metrics
    took = {"price_wall_s": time.perf_counter() - began, "price_cpu_s": time.process_time() - began_cpu}
    if metrics != solution.header.metrics:
        raise BenchmarkError(f"{path}: priced again it has other metrics")
    bound = {key: entry.lower for key, entry in solution.header.bounds.items()}
    return {**took, "optimal": metrics, "bound": bound, "clock_ns": problem.hardware.clock_ps / 1000}


def compare_files(question: str, before: Path, timeout_s: float) -> dict[str, Any]:
    """The files of a default run of this checkout and of another, by name: the same bytes, or what differs."""
    commit = run_command(["git", "-C", str(before), "log", "-1", "--format=commit %h of %cs"], timeout_s)
    with tempfile.TemporaryDirectory() as folder:
        for source, out in ((ROOT, "now"), (before, "before")):
            prefix = ["env", f"PYTHONPATH={source / 'solver'}", sys.executable, "-m", "cimsolve"]
            ran = run_command([*prefix, *question.split(), "-q", "--out", str(Path(folder, out))], timeout_s)
            if ran.code != 0:
                raise BenchmarkError(last_line(ran.stderr) or f"exit code {ran.code}")
        now, then = (
            {path.name: path.read_bytes() for path in Path(folder, out).iterdir()} for out in ("now", "before")
        )
    return {"before": commit.stdout.strip(), "files": len(now.keys() | then.keys()), "other": differences(now, then)}


def differences(now: Mapping[str, bytes], then: Mapping[str, bytes]) -> list[str]:
    """Files that differ, each with the keys of its header that do."""
    found = []
    for name in sorted(now.keys() | then.keys()):
        if name not in now or name not in then:
            found.append(f"{name} ({'only now' if name in now else 'only before'})")
        elif now[name] != then[name]:
            keys: list[str] = []
            if name.endswith(".json"):
                a, b = json.loads(now[name]), json.loads(then[name])
                keys = [key for key in a.keys() | b.keys() if a.get(key) != b.get(key)]
            found.append(" ".join([name, *sorted(keys)]))
    return found


# The report


def us(found: Found, key: str, of: str = "optimal") -> float:
    return float(found[of][key]) / 1e3


def judged(found: Found) -> str:
    """The answer that targets of latency and energy are asked of: with a limit of energy, where one was needed."""
    return "within" if "within" in found else "optimal"


def bound_us(found: Found) -> float:
    return float(found["bound"]["latency_cycles"]) * found["clock_ns"] / 1e3


def floor_uj(found: Found) -> float:
    return float(found["floor_links_pj"] + found["floor_buses_pj"]) / 1e6


def target(name: str, where: str, value: float, most: float, bound: float | None = None) -> list[object]:
    """A row: `most` is what is allowed, in the unit of the value."""
    gap = None if bound is None else percent(value / bound - 1)
    shown = None if bound is None else f"{bound:.4g}"
    return [name, where, f"{value:.4g}", f"{most:.4g}", shown, gap, "yes" if value <= most else "**no**"]


HEADER = ("target", "case", "value", "allowed", "bound", "gap %", "met")


def allowed_gap(case: Case) -> float | None:
    """How far above its bound the token latency may be: of meshes at the edge, and of small cores around the hub."""
    if case.is_shipped or not case.is_mesh or case.structure == "dense" or "unicast" in case.parts:
        return None
    if "edge" in case.parts:
        return 0.10 if case.rate == 32 else 0.06
    return 0.06 if case.base == "rram256" and int(case.parts[1]) <= 16 else None


def targets(cases: Mapping[str, Found]) -> list[list[object]]:
    """Every target on all cases that it is said of."""
    rows: list[list[object]] = []
    for name, found in cases.items():
        if (gap := allowed_gap(Case(name))) is not None:
            bound = bound_us(found)
            most, value = bound * (1 + gap), us(found, "latency_ns", judged(found))
            rows.append(target(f"token latency at most {gap:.0%} above its bound, us", name, value, most, bound))
    for name, (latency, energy) in NAMED.items():
        if name in cases:
            found = cases[name]
            of = judged(found)
            rows.append(target("token latency, us", name, us(found, "latency_ns", of), latency, bound_us(found)))
            if energy is not None:
                value, bound = found[of]["energy_pj"] / 1e6, found["bound"]["energy_pj"] / 1e6
                rows.append(target("energy, uJ", name, value, energy, bound))
    for name, found in cases.items():
        case = Case(name)
        if case.is_shipped or "unicast" in case.parts:
            continue
        value, flat = (us(found, "array_latency_ns", of) for of in ("optimal", "flat"))
        rows.append(target("array time as on the flat chip, us", name, value, flat, flat))
        if case.base == "rram256":
            value, flat = (us(found, "array_ii_ns", of) for of in ("optimal", "flat"))
            rows.append(target("array II as on the flat chip (39.7), us", name, value, flat))
        if case.limits_network:
            value, floor = found[judged(found)]["network_energy_pj"] / 1e6, floor_uj(found)
            rows.append(target("network energy, uJ", name, value, NETWORK_MOST * floor, floor))
    for name, found in cases.items():
        value, most = (us(found, "latency_ns", of) for of in ("optimal", "afterwards"))
        rows.append(target("not above the flat answer priced afterwards, us", name, value, most, bound_us(found)))
    return rows


def targets_of_large(found: Mapping[str, Found]) -> list[list[object]]:
    rows = []
    for size, (seconds, gib) in LARGE_LIMITS.items():
        if size in found:
            each = found[size]
            rows += [
                target("whole command, CPU s", size, each["cpu_s"], seconds),
                target("whole command, GiB", size, each["gib"], gib),
            ]
    if "70B" in found:
        rows.append(target("pricing a solution, CPU s", "70B", found["70B"]["price_cpu_s"], PRICING_S))
    return rows


def case_rows(cases: Mapping[str, Found]) -> list[list[object]]:
    """Each case by each way of answering it, then its bounds."""
    rows: list[list[object]] = []
    for name, found in cases.items():
        ways = (("flat answer, arrays in order", "afterwards"), ("spread", "spread"), ("optimal", "optimal"))
        within = ((f"within {found['limit_uj']:.2f} uJ", "within"),) if "within" in found else ()
        for way, of in (*ways, *within):
            of_case = found[of]
            rows.append(
                [
                    name,
                    way,
                    of_case["arrays"],
                    of_case["cores"],
                    f"{us(found, 'latency_ns', of):.2f}",
                    f"{us(found, 'array_latency_ns', of):.2f}",
                    f"{us(found, 'network_latency_ns', of):.2f}",
                    f"{us(found, 'array_ii_ns', of):.2f}",
                    f"{of_case['energy_pj'] / 1e6:.2f}",
                    f"{of_case['network_energy_pj'] / 1e6:.2f}",
                    f"{found['cpu_s']:.0f}" if of == "optimal" else None,
                ]
            )
        floor = f"{found['floor_links_pj'] / 1e6:.2f} + {found['floor_buses_pj'] / 1e6:.2f}"
        bound = found["bound"]
        least = [bound["arrays"], None, f"{bound_us(found):.2f}", None, None, None, f"{bound['energy_pj'] / 1e6:.2f}"]
        rows.append([name, "bound", *least, floor, None])
    return rows


GAP_HEADER = ("case", "gap %", "gap", "arrays, down, up", "of it hops", "over, hops", "over, channel", "all else")


def gap_rows(cases: Mapping[str, Found]) -> list[list[object]]:
    """What each part of a token takes beyond the same part of the bound, us."""
    rows: list[list[object]] = []
    for name, found in cases.items():
        gap = found["optimal"]["latency_cycles"] / found["bound"]["latency_cycles"] - 1
        more = {part: (found["parts"][part] - found["least_parts"][part]) * found["clock_ns"] / 1e3 for part in PARTS}
        hops = more["down, hops"] + more["up, hops"]
        around = hops + more["down, channel"] + more["up, channel"] + more["arrays"]
        beyond = (around, hops, more["over, hops"], more["over, channel"], more["all else"])
        rows.append(
            [name, percent(gap), f"{us(found, 'latency_ns') - bound_us(found):.2f}", *(f"{x:.2f}" for x in beyond)]
        )
    return rows


def cost_rows(cases: Mapping[str, Found]) -> list[list[object]]:
    """What distance costs: the flat chip, and the one with a network by two answers."""
    rows: list[list[object]] = []
    ways = (("flat chip", "flat"), ("flat answer, arrays in order", "afterwards"), ("optimal", "optimal"))
    for name, found in cases.items():
        for way, of in ways:
            cycles = found["cycles"][of]
            spent = [cycles.get(part, 0) * found["clock_ns"] / 1e3 for part in ("array", "transfer", "partial_sums")]
            rows.append(
                [
                    name,
                    way,
                    found[of]["arrays"],
                    f"{us(found, 'latency_ns', of):.2f}",
                    *(f"{x:.2f}" for x in spent),
                    f"{us(found, 'latency_ns', of) - sum(spent):.2f}",
                    f"{us(found, 'ii_ns', of):.2f}",
                    f"{found[of]['energy_pj'] / 1e6:.2f}",
                    f"{found[of].get('network_energy_pj', 0) / 1e6:.2f}",
                ]
            )
    return rows


NOTES = """\
A case is named by chip, arrays a core, network (`4^4`: an H-tree of 4 levels of 4), place of the hub and bits a ns of a
link; matrices are stored block-diagonally, `sqrt`, unless `dense` is said. All have a base of 10 ns, 1 ns a hop, buses
of 256 bit/ns at 0.054 pJ a bit, a hub port of 2048 bit/ns; meshes 0.081 pJ a bit in a router and 0.06 pJ a mm, their
pitch from the areas, H-trees 0.1 pJ a level. `rram256-mesh` and `paper256-mesh` are as shipped.

All answers but the one priced afterwards have passed the checker. A bound holds for every mapping on as many arrays.
Whole commands are judged by processor seconds, of one thread; wall seconds stand beside them below. The floor of
network energy, links + buses, is what no mapping goes below whose arrays take their least time, as those of `optimal`
do: a stage then needs many cores, and what several of them read passes a link for each ("Energy of fast mappings" in
docs/formulation.md). Slower arrays may go below it, to the energy bound's part of links and of buses. Where the answer
takes more energy than a target allows, of a token or of its network, the question is asked again with that limit of
energy, and all targets of the case on latency and energy are judged on that answer: rows "within" below. "The same
answer for arrays numbered in any order" is a test: `test_the_numbers_of_arrays_do_not_matter` in
tests/solve/test_places.py."""


def report(kept: Mapping[str, Any], options: Any, argv: Sequence[str] | None) -> None:
    cases = {name: kept[name] for name in options.cases if "error" not in kept.get(name, {"error": ""})}
    large = {size: kept[size] for size in options.large if "error" not in kept.get(size, {"error": ""})}
    failed = {name: each["error"] for name, each in kept.items() if "error" in each}
    rows = [*targets(cases), *targets_of_large(large)]
    files = {question: kept[question] for question in FLAT if "files" in kept.get(question, {})}
    for question, each in files.items():
        rows.append(target("files of flat chips that differ", question, len(each["other"]), 0))
    missed = sum(row[-1] != "yes" for row in rows)
    synthetic = {name: found for name, found in cases.items() if not Case(name).is_shipped}
    shipped = {name: found for name, found in cases.items() if Case(name).is_shipped}
    parts = [
        "# Chips with distance: targets, gaps, costs",
        provenance(__file__, argv),
        NOTES,
        options.note,
        "\n".join(f"- {name}: not answered: {why}" for name, why in failed.items()),
        f"## Targets\n\n{len(rows) - missed} of {len(rows)} met.",
        markdown_table(HEADER, rows),
        "## Where the gaps are\n\nWhat each part of a token takes beyond the same part of its bound, us. Arrays and "
        "what goes down and up are bounded together: of `hops` the bound has those to the nearest cores alone.",
        markdown_table(GAP_HEADER, gap_rows(cases)),
    ]
    if shipped:
        header = ("chip", "answer", "arrays", "token us", "arrays us", "moves us", "partial sums us", "all else us")
        parts += [
            "## What distance costs",
            markdown_table((*header, "II us", "energy uJ", "network uJ"), cost_rows({**shipped, **only_dense(cases)})),
        ]
    header = ("case", "answer", "arrays", "cores", "token us", "arrays us", "moves us", "array II us", "energy uJ")
    parts += ["## All cases", markdown_table((*header, "network uJ", "CPU s"), case_rows(synthetic))]
    if large:
        parts += ["## Large models", markdown_table(LARGE_HEADER, large_rows(large))]
    if files:
        lines = [
            f"- `cimsolve {question}`: {each['files'] - len(each['other'])} of {each['files']} files are the same bytes"
            + "".join(f"; differs: {name}" for name in each["other"])
            for question, each in files.items()
        ]
        parts += ["## Flat chips, beside " + ", ".join(sorted({each["before"] for each in files.values()}))]
        parts += ["\n".join(lines)]
    write_report(options.out, *parts)


def only_dense(cases: Mapping[str, Found]) -> dict[str, Found]:
    return {name: found for name, found in cases.items() if name in DENSE}


LARGE_HEADER = (
    "command",
    "wall, s",
    "CPU, s",
    "peak, GiB",
    "pricing, wall s",
    "CPU, s",
    "arrays",
    "token us",
    "its bound",
    "gap %",
)


def large_rows(large: Mapping[str, Found]) -> list[list[object]]:
    rows: list[list[object]] = []
    for size, found in large.items():
        timed = [f"{found[key]:.2f}" for key in ("wall_s", "cpu_s", "gib", "price_wall_s", "price_cpu_s")]
        latency, bound = us(found, "latency_ns"), bound_us(found)
        answer = [found["optimal"]["arrays"], f"{latency:.1f}", f"{bound:.1f}", percent(latency / bound - 1)]
        rows.append([f"`cimsolve {LARGE[size]}`", *timed, *answer])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "distance.md")
    parser.add_argument("--cases", nargs="*", default=CASES, metavar="CASE")
    parser.add_argument("--large", nargs="*", default=tuple(LARGE), choices=tuple(LARGE))
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout: compare its answers of flat chips")
    parser.add_argument("--timeout", type=float, default=1200.0, metavar="SECONDS", help="of one case")
    parser.add_argument("--resume", type=Path, metavar="JSON", help="keep what is measured there; measure the rest")
    parser.add_argument("--note", default="", metavar="TEXT", help="what else is to be known of these figures")
    parser.add_argument("--case", metavar="CASE", help="this case, here, as JSON")
    parser.add_argument("--price", metavar="FILE", help="this solution, here, as JSON")
    options = parser.parse_args(argv)
    if options.case or options.price:
        print(json.dumps(measure(options.case) if options.case else price_file(options.price)))
        return 0
    kept: dict[str, Any] = {}
    if options.resume and options.resume.exists():
        kept = json.loads(options.resume.read_text(encoding="utf-8"))

    def keep(name: str, find: Callable[[], dict[str, Any]]) -> None:
        if "error" not in kept.get(name, {"error": ""}):
            return
        log(name)
        try:
            kept[name] = find()
        except BenchmarkError as error:
            log(f"  {error}")
            kept[name] = {"error": str(error)}
        if options.resume:
            options.resume.write_text(json.dumps(kept), encoding="utf-8")

    for name in options.cases:
        keep(name, partial(run_self, __file__, ["--case", name], options.timeout))
    for size in options.large:
        keep(size, partial(measure_large, size, options.timeout))
    for question in FLAT if options.before else ():
        keep(question, partial(compare_files, question, options.before, options.timeout))
    report(kept, options, argv)
    return 1 if any("error" in each for each in kept.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
