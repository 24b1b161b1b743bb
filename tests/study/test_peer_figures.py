"""cimsolve's cost model against the figures of other tools and of measured chips, each with its version.

Nothing is tuned: a spec holds what the peer states, and where a figure then differs the test says by how much.
Figures of peers were measured or read elsewhere; none of their code runs here.
"""

from __future__ import annotations

import pytest

from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.problem.solution import Solution
from makers.builders import ask
from oracles.peer_specs import (
    STEP_OF_A_PS,
    ZIGZAG,
    answer_of,
    bert_base_on_tiers,
    cores_in_parallel,
    measured_core,
    one_matrix,
    zigzag_chip,
)

OPERATIONS_OF_A_CORE = 2 * 256 * 256
"""A multiplication and an addition a weight."""


def array_pj(solution: Solution, *components: str) -> float:
    return sum(solution.header.breakdown.energy_pj[name] for name in components)


# ZigZag 3.9.1


def test_zigzag_product_of_bit_columns() -> None:
    """One dense 256 x 256 product: 14645 pJ, of which converters 11487, and 166.07 ns."""
    solution = answer_of(ask(one_matrix(256, 256), hardware=zigzag_chip(bit_columns=True)), "linear")
    metrics = solution.header.metrics
    # conversions = columns * slices = 2048 * 8; 0.701084 pJ each
    assert metrics["adc_conversions"] == 2048 * 8
    assert array_pj(solution, "conversions") == pytest.approx(11487, abs=0.5)
    assert metrics["array_energy_pj"] == pytest.approx(14645, abs=0.5)
    # 8 phases * (0.0478 + 1.3384 + 0.8795 ns of gates + 18.493 ns of conversion)
    assert metrics["array_latency_ns"] == pytest.approx(166.07, abs=0.01)


def test_zigzag_product_of_whole_weights() -> None:
    """One weight a column, 8-bit DACs: 299.6 pJ and 18.54 ns."""
    solution = answer_of(ask(one_matrix(256, 256), hardware=zigzag_chip(bit_columns=False)), "linear")
    metrics = solution.header.metrics
    assert metrics["adc_conversions"] == 256
    # DACs 256 * 0.05 pF * 8 * 0.81 V^2 = 82.94; converters 179.48; cells 65536 * 0.567 fJ = 37.16
    assert array_pj(solution, "rows") == pytest.approx(82.94, abs=0.01)
    assert metrics["array_energy_pj"] == pytest.approx(299.6, abs=0.05)
    assert metrics["array_latency_ns"] == pytest.approx(18.54, abs=0.005)


def test_zigzag_block_diagonal() -> None:
    """16 blocks of 16 x 16: ZigZag takes them one after the other at the dense product's energy, 16 * 166.07 ns.

    On one array cimsolve makes as many conversions and adds as often. It differs by what ZigZag has no word for: all
    blocks fire at once, and of a driven row only the occupied cells of read columns are charged, 1 / 16 of them.
    """
    dense = answer_of(ask(one_matrix(256, 256), hardware=zigzag_chip(bit_columns=True)), "linear")
    blocks = ask(one_matrix(256, 256), "16,16,1", zigzag_chip(bit_columns=True))
    (right, left) = blocks.workload.factors
    assert (right.blocks, right.block_rows, right.block_cols) == (16, 16, 16)
    assert (left.blocks, left.block_rows, left.block_cols) == (16, 16, 16)
    sparse = answer_of(blocks, "sparsemap")  # R and L: the 16 blocks twice
    half = {name: value / 2 for name, value in sparse.header.breakdown.energy_pj.items()}
    whole = dense.header.breakdown.energy_pj
    assert sparse.header.metrics["adc_conversions"] == 2 * dense.header.metrics["adc_conversions"]
    assert half["conversions"] == pytest.approx(whole["conversions"])
    assert half["shift_add"] == pytest.approx(whole["shift_add"])
    assert half["cells"] == pytest.approx(whole["cells"] / 16)
    assert sparse.header.metrics["array_latency_ns"] == pytest.approx(2 * 166.07, abs=0.02)
    # one block alone: 128 columns, as ZigZag's one step
    alone = answer_of(ask(one_matrix(16, 16), hardware=zigzag_chip(bit_columns=True)), "linear")
    assert 16 * alone.header.metrics["adc_conversions"] == dense.header.metrics["adc_conversions"]
    assert 16 * alone.header.metrics["array_latency_ns"] == pytest.approx(16 * 166.07, abs=0.1)
    # Were all cells of the driven rows and columns charged, the energy would be the dense one.
    assert 16 * array_pj(alone, "conversions", "shift_add") + whole["cells"] == pytest.approx(14645, abs=0.5)


def test_the_shipped_sram_cell_is_what_zigzag_leaves_beside_its_converters() -> None:
    """sram256: (14645 - 11487) pJ over 2048 * 256 * 8 cells; it puts the adders into the cell, 0.567 fJ is its own."""
    energy = load_hardware("sram256").energy_pj
    assert energy is not None
    assert energy.cell == pytest.approx((14645 - 11487) / (2048 * 256 * 8), abs=5e-6)
    assert ZIGZAG.cell_pj == pytest.approx(0.567e-3)


# ISAAC (ISCA 2016)


def full_isaac_array() -> Solution:
    """128 x 16 weights of 16 bits in 2-bit cells fill its 128 x 128 array."""
    hardware = with_settings(load_hardware("rram128-isaac"), {"clock_ns": str(STEP_OF_A_PS)})
    return answer_of(ask(one_matrix(128, 16), hardware=hardware.to_json()), "linear")


def test_isaac_converter_keeps_up_with_the_array() -> None:
    """128 columns in one 100 ns cycle by one converter: 1.28 GS/s, which the spec's 0.78125 ns states."""
    hardware = load_hardware("rram128-isaac")
    solution = full_isaac_array()
    assert solution.header.metrics["adc_conversions"] == 128 * 16
    assert 128 * int(hardware.conversion_ps(9)) <= hardware.array_kind.read_ps == 100_000
    # At the 1.2 GS/s of its converter's own figures, which adc.model isaac takes, they take 106.7 ns: 6.7 % over the
    # cycle. The two figures of the paper do not agree; the cycle is the one that its throughput is counted in.
    own = with_settings(hardware, {"adc.model": "isaac"})
    assert 128 * int(own.conversion_ps(8)) == pytest.approx(106_667, rel=1e-3)


def test_isaac_product_takes_its_cycles() -> None:
    """16 input bits, a cycle of 100 ns each, conversions one cycle behind: 17 cycles.

    With many inputs in flight ISAAC starts a product every 16 cycles; here activations of an array do not overlap,
    so that the interval is 17: throughput 1/17 too low.
    """
    solution = full_isaac_array()
    metrics = solution.header.metrics
    assert metrics["array_latency_ns"] == pytest.approx(17 * 100, abs=0.05)  # 0.781 ns a conversion, in whole ps
    interval_ns = metrics["array_ii_cycles"] * STEP_OF_A_PS
    assert interval_ns / (16 * 100) == pytest.approx(17 / 16, abs=1e-4)


def test_isaac_array_without_sample_and_hold_takes_twice_as_long() -> None:
    hardware = with_settings(load_hardware("rram128-isaac"), {"adc.sample_hold": "false"})
    solution = answer_of(ask(one_matrix(128, 16), hardware=hardware.to_json()), "linear")
    assert solution.header.metrics["array_latency_ns"] == pytest.approx(16 * (100 + 99.968), abs=1)


# Measured PCM cores


@pytest.mark.parametrize(
    ("mvm_ns", "mvm_pj", "tops", "tops_per_watt"),
    # 64-core chip (Le Gallo et al., Nature Electronics 2023): 1-phase and 4-phase mode
    [(133, 13_400, 63.1, 9.76), (521, 52_900, 16.1, 2.48)],
    ids=["1-phase", "4-phase"],
)
def test_pcm_chip_of_64_cores(mvm_ns: float, mvm_pj: float, tops: float, tops_per_watt: float) -> None:
    settings = {"macro.mvm_ns": str(mvm_ns), "macro.mvm_pj": str(mvm_pj)}
    hardware = with_settings(load_hardware("pcm256"), settings)
    solution = answer_of(ask(cores_in_parallel(64), hardware=hardware.to_json()), "linear")
    metrics = solution.header.metrics
    assert metrics["arrays"] == 64
    operations = 64 * OPERATIONS_OF_A_CORE
    assert metrics["array_latency_ns"] == mvm_ns  # all cores at once
    # operations a ns / 1000 = TOPS; operations a pJ = TOPS/W
    assert operations / metrics["array_latency_ns"] / 1000 == pytest.approx(tops, rel=0.002)
    assert operations / metrics["array_energy_pj"] == pytest.approx(tops_per_watt, rel=0.003)


def test_hermes_core() -> None:
    """HERMES (14 nm PCM, 256 converters): 10.5 TOPS/W are 12.5 nJ a full product; its time is not used here."""
    solution = answer_of(ask(one_matrix(256, 256), hardware=measured_core(133, 12_500)), "linear")
    metrics = solution.header.metrics
    assert OPERATIONS_OF_A_CORE / metrics["array_energy_pj"] == pytest.approx(10.5, rel=0.002)
    # A block alone costs the core's whole product: a measured core is one figure, whatever part of it works.
    small = answer_of(ask(one_matrix(32, 32), hardware=measured_core(133, 12_500)), "linear")
    assert small.header.metrics["array_energy_pj"] == metrics["array_energy_pj"]


def test_the_shipped_core_area_is_that_of_hermes_at_the_chips_speed() -> None:
    """1.59 TOPS/mm2 with 2 * 256 * 256 operations in 133 ns: 0.62 mm2."""
    area_mm2 = OPERATIONS_OF_A_CORE / 133 / 1000 / 1.59
    solution = answer_of(ask(one_matrix(256, 256), hardware=load_hardware("pcm256").to_json()), "linear")
    assert solution.header.metrics["area_mm2"] == pytest.approx(area_mm2, rel=0.001)


# IBM's 3D-CiM-LLM-Inference-Simulator, BERT-base


@pytest.mark.parametrize(
    ("side", "products"),
    [
        # one tier a linear: 6 linears in 12 layers
        (4096, 72),
        # 768 in ceil(768/512) = 2 chunks, 3072 in 6: 4 * 2*2 + 2 * 2*6 = 40 a layer
        (512, 480),
        # 3 and 12: 4 * 3*3 + 2 * 3*12 = 108 a layer
        (256, 1296),
    ],
)
def test_one_chunk_a_tier_makes_as_many_products(side: int, products: int) -> None:
    """Its mapper gives every chunk of a linear a tier of its own and fires each once a token, as `linear` does."""
    solution = answer_of(bert_base_on_tiers(side), "linear")
    metrics = solution.header.metrics
    assert metrics["arrays"] == metrics["activations"] == products
    assert array_pj(solution, "macro") == products * 10_000


@pytest.mark.parametrize(("side", "partial_sums_ns"), [(4096, 0), (512, 10)])
@pytest.mark.parametrize("transfer_ns", [10, 20])
def test_latency_of_a_token_by_hand(side: int, partial_sums_ns: int, transfer_ns: int) -> None:
    """Four products a layer, 100 ns each; between them the operations and one transfer.

    Its graph moves a vector twice, to the digital unit and back; cimsolve counts a gap's transfer once, so that
    10 ns each way are 20 here. It deals additions of partial sums to its units one by one, cimsolve charges one
    vector addition a stage; and it hides tokens behind each other, which is the prefill and not a token's latency.
    """
    solution = answer_of(bert_base_on_tiers(side, transfer_ns), "linear")
    attention, norm, gelu = 1, 10 + 50, 10
    gaps = [attention, norm, gelu, norm]  # before output, up, down; after down, before the next layer or the tail
    layer_ns = sum(100 + partial_sums_ns + gap + transfer_ns for gap in gaps)
    assert solution.header.metrics["latency_ns"] == 12 * layer_ns


def test_energy_of_a_token_by_hand() -> None:
    solution = answer_of(bert_base_on_tiers(4096), "linear")
    found = solution.header.breakdown.energy_pj
    assert found["macro"] == 72 * 10_000
    assert found["layer_norm"] == found["add"] == 12 * 2 * 10_000
    assert found["activation"] == 12 * 10_000
    # 8-bit vectors: 768 to QKV (not to the first), to the output and to up, 3072 to down; 768 off the chip
    moved_bits = 8 * (12 * (3 * 768 + 3072) - 768 + 768)
    assert found["transfer"] == pytest.approx(moved_bits * 0.01)
