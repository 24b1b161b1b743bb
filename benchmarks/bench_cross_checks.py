"""Figures of other tools and measured chips beside cimsolve's, from the parameters that they state.

What tests/study/test_peer_figures.py asserts, for a file; and the time to cost BERT-base as IBM's simulator does.
Peers' figures were read or measured elsewhere, with the versions named; nothing of theirs runs here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, BenchmarkError, make_parser, markdown_table, provenance, run_command, write_report

sys.path.insert(0, str(ROOT / "tests"))  # the tests' chips of peers

PEER_CPU_S = 43
"""One pass of BERT-base, 32 tokens, by IBM's simulator on 2 shared cores; measured once, elsewhere."""
REPEATS = 3
TIMEOUT_S = 120


def cost_bert_base() -> None:
    """BERT-base on placeholder tiers: map, schedule, cost, bound and check it."""
    from oracles.peer_specs import answer_of, bert_base_on_tiers

    answer_of(bert_base_on_tiers(512), "linear")


def cpu_seconds(repeats: int) -> float:
    """The least CPU time of a whole process that does it, imports and all."""
    taken = []
    for _ in range(repeats):
        measured = run_command([sys.executable, str(Path(__file__).resolve()), "--case"], TIMEOUT_S)
        if measured.code:
            raise BenchmarkError(measured.stderr)
        taken.append(measured.cpu_s)
    return min(taken)


def rows() -> list[list[str]]:
    """Peer, figure, theirs, ours, ours / theirs, what remains to say."""
    from cimsolve.chip.read import load_hardware
    from cimsolve.chip.settings import with_settings
    from makers.builders import ask
    from oracles.peer_specs import answer_of, bert_base_on_tiers, cores_in_parallel, one_matrix, zigzag_chip

    found: list[list[str]] = []

    def add(peer: str, figure: str, theirs: float, ours: float, note: str) -> None:
        found.append([peer, figure, f"{theirs:g}", f"{ours:.5g}", f"{ours / theirs:.3f}", note])

    for bit_columns, energy, time in ((True, 14645, 166.07), (False, 299.6, 18.54)):
        solution = answer_of(ask(one_matrix(256, 256), hardware=zigzag_chip(bit_columns)), "linear")
        what = "a bit a column, 1-bit inputs" if bit_columns else "a weight a column, 8-bit DACs"
        peer = f"ZigZag 3.9.1, 256 x 256, {what}"
        metrics = solution.header.metrics
        if bit_columns:
            conversions = solution.header.breakdown.energy_pj["conversions"]
            add(peer, "conversions, pJ", 11487, conversions, "2048 columns * 8 slices")
        add(peer, "all, pJ", energy, metrics["array_energy_pj"], "")
        add(peer, "time, ns", time, metrics["array_latency_ns"], "")
    dense = answer_of(ask(one_matrix(256, 256), hardware=zigzag_chip(True)), "linear").header
    blocks = answer_of(ask(one_matrix(256, 256), "16,16,1", zigzag_chip(True)), "sparsemap").header
    peer = "ZigZag 3.9.1, 16 blocks of 16 x 16"
    conversions = blocks.metrics["adc_conversions"] / 2  # R and L are 16 blocks each
    add(peer, "conversions", 16 * 1024, conversions, "as many as dense")
    energy = blocks.metrics["array_energy_pj"] / 2
    add(peer, "all, pJ", 14645, energy, "ZigZag charges all cells of the array, cimsolve the occupied ones")
    time = blocks.metrics["array_latency_ns"] / 2
    add(peer, "time, ns", 16 * 166.07, time, "ZigZag fires one block at a time, cimsolve a diagonal at once")
    assert dense.metrics["adc_conversions"] == conversions

    isaac = load_hardware("rram128-isaac")
    metrics = answer_of(ask(one_matrix(128, 16), hardware=isaac.to_json()), "linear").header.metrics
    peer = "ISAAC, one 128 x 128 array"
    add(peer, "product, ns", 17 * 100, metrics["array_latency_ns"], "16 read cycles, conversions one behind")
    interval = metrics["array_ii_cycles"] * isaac.clock_ns
    add(peer, "interval of products, ns", 16 * 100, interval, "activations of an array do not overlap here")
    own = with_settings(isaac, {"adc.model": "isaac"})
    cycle = 128 * float(own.conversion_ps(8)) / 1000
    add(peer, "128 conversions, ns", 100, cycle, "at the 1.2 GS/s of its converter table; 1.28 GS/s would do")

    for name, ns, pj, tops, efficiency in (("1-phase", 133, 13_400, 63.1, 9.76), ("4-phase", 521, 52_900, 16.1, 2.48)):
        chip = with_settings(load_hardware("pcm256"), {"macro.mvm_ns": str(ns), "macro.mvm_pj": str(pj)})
        metrics = answer_of(ask(cores_in_parallel(64), hardware=chip.to_json()), "linear").header.metrics
        operations = 64 * 2 * 256 * 256
        peer = f"64-core PCM chip, {name}"
        add(peer, "TOPS", tops, operations / metrics["array_latency_ns"] / 1000, "figures of a core are rounded")
        add(peer, "TOPS/W", efficiency, operations / metrics["array_energy_pj"], "figures of a core are rounded")
    chip = with_settings(load_hardware("pcm256"), {"macro.mvm_pj": "12500"})
    metrics = answer_of(ask(one_matrix(256, 256), hardware=chip.to_json()), "linear").header.metrics
    add("HERMES core", "TOPS/W", 10.5, 2 * 256 * 256 / metrics["array_energy_pj"], "12.5 nJ a product")

    for side, chunks in ((4096, 72), (512, 480), (256, 1296)):
        metrics = answer_of(bert_base_on_tiers(side), "linear").header.metrics
        peer = f"IBM 3D-CiM simulator, BERT-base, tiers of {side}"
        add(peer, "products a token", chunks, metrics["activations"], "chunks counted by hand")
    metrics = answer_of(bert_base_on_tiers(4096, 20), "linear").header.metrics
    by_hand = 12 * (4 * 100 + 1 + 60 + 10 + 60 + 4 * 20)
    add(peer.replace("256", "4096"), "token alone, ns", by_hand, metrics["latency_ns"], "by hand from its defaults")
    return found


NOTES = """\
Each chip is written down from what the peer states, and nothing is tuned. Where the ratio is not 1, the last column
says why. Sources: ZigZag 3.9.1 (PyPI `zigzag-dse`, its gate-level figures for 28 nm and its converter model); ISAAC
(ISCA 2016); the 64-core PCM chip (Le Gallo et al., Nature Electronics 2023); the HERMES core (14 nm PCM), at its
10.5 TOPS/W; IBM's 3D-CiM-LLM-Inference-Simulator at commit 1ff5152, with its placeholder defaults, where `theirs`
is the count or sum by hand, not a run of it. The PCM cores' figures were derived from the same TOPS and TOPS/W: there
the check is of the way from a core to a chip, and of the rounding."""


TIME = """\
To cost BERT-base on 480 tiers (map, schedule, cost, bound, check; a whole process with its imports, the least of
{repeats}) takes {ours:.2f} CPU-s. IBM's simulator took {theirs} CPU-s for one pass of 32 tokens on 2 shared cores,
measured once and elsewhere, not in this run: {times:.0f} times as long. It plays every event of every token, in graphs
of PyTorch; cimsolve schedules one token and computes the others' time from the phases."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__, "cross-checks.md")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N")
    parser.add_argument("--case", action="store_true", help="cost BERT-base once and say nothing; for the time")
    arguments = parser.parse_args(argv)
    if arguments.case:
        cost_bert_base()
        return 0
    seconds = cpu_seconds(arguments.repeats)
    header = ("peer", "figure", "theirs", "ours", "ours / theirs", "remark")
    time = TIME.format(repeats=arguments.repeats, ours=seconds, theirs=PEER_CPU_S, times=PEER_CPU_S / seconds)
    parts = ["# Cross-checks against the figures of others", provenance(__file__, argv), NOTES]
    write_report(arguments.out, *parts, markdown_table(header, rows()), "## Time to compute it", time)
    return 0


if __name__ == "__main__":
    sys.exit(main())
