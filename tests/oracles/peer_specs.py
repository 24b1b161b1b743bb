"""Chips and models of other tools and of measured cores, in cimsolve's terms, for cross-checks against their figures.

Every figure is one that its source states; where it has to be put together, the arithmetic is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cimsolve.chip.converters import Place, make_table
from cimsolve.chip.read import parse_hardware
from cimsolve.model.families import parse_model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question
from cimsolve.problem.solution import Solution
from cimsolve.study.solving import solve_and_check
from makers.builders import NOTHING, OPERATIONS, STILL, chip, linears, macro_chip, step


@dataclass(frozen=True)
class ZigZag:
    """ZigZag 3.9.1, `imc_unit.py` and `imc_array.py`: analogue arrays at 28 nm; energies in pJ, delays in ns."""

    vdd = 0.9
    nand_pf = 0.7e-3
    xor_pf = 1.05e-3
    flip_flop_pf = 2.1e-3
    bitline_pf = 0.35e-3
    nand_ns = 0.0478
    xor_ns = 0.0478 * 2.4
    dac_pf_per_bit = 0.05

    def energy(self, capacitance_pf: float) -> float:
        return capacitance_pf * self.vdd**2

    @property
    def cell_pj(self) -> float:
        """One 1-bit product (half a NOR) and its bit line."""
        return self.energy(0.5 * self.nand_pf) + self.energy(self.bitline_pf)

    @property
    def adder_pj(self) -> float:
        return self.energy(3 * self.nand_pf + 2 * self.xor_pf)

    @property
    def carry_ns(self) -> float:
        return 2 * self.nand_ns

    @property
    def in_to_carry_ns(self) -> float:
        return self.xor_ns + 2 * self.nand_ns

    @property
    def slices_pj(self) -> float:
        """Adding 8 slices of 8 bits, 8*7 + 8*(3 - 0.5) = 76 adders, and accumulating 24 bits over the phases."""
        return 76 * self.adder_pj + 24 * (self.adder_pj + self.energy(self.flip_flop_pf))

    @property
    def slices_ns(self) -> float:
        """The tree of depth 3, 2 sums and a carry of 7 bits, then an accumulator's carry of 7 bits."""
        tree = 2 * 2 * self.xor_ns + self.in_to_carry_ns + 7 * self.carry_ns
        return tree + self.in_to_carry_ns + 7 * self.carry_ns


ZIGZAG = ZigZag()
STEP_OF_A_PS = 0.001


def zigzag_chip(bit_columns: bool) -> dict[str, Any]:
    """256 rows x 256 weights, an 8-bit converter a column.

    `bit_columns`: 8-bit weights one bit a column, 1-bit input slices; otherwise a weight a column and 8-bit DACs.
    """
    slices = 8 if bit_columns else 1
    eight = make_table("sar", 8, Place(256, 28)).lines[-1]
    return chip(
        array__rows=256,
        array__cols=256 * slices,
        array__leakage_uw=0,
        cell={"bits": 1 if bit_columns else 8},
        weight={"bits": 8, "signed": "offset"},
        input={"bits": 8, "dac_bits": 1 if bit_columns else 8},
        adc={
            "per_array": 256 * slices,
            "wiring": "any",
            "bits_rule": "log2_rows",
            "bits_max": 8,
            "lossy_allowed": True,
            "sample_hold": False,
            "table": [eight],
        },
        clock_ns=STEP_OF_A_PS,
        read_ns=ZIGZAG.nand_ns + (ZIGZAG.slices_ns if bit_columns else 0),
        energy_pj={
            "row": 0 if bit_columns else ZIGZAG.energy(8 * ZIGZAG.dac_pf_per_bit),
            "cell": ZIGZAG.cell_pj,
            "column": 0,
            "shift_add": ZIGZAG.slices_pj / 8 if bit_columns else 0,
        },
        **STILL,
    )


def one_matrix(n_in: int, n_out: int) -> dict[str, Any]:
    return linears(step("product", (n_in, n_out)), context=1)


def cores_in_parallel(cores: int) -> dict[str, Any]:
    """As many 256 x 256 matrices in one step, so that each core works at once."""
    return linears(step("product", *[(256, 256)] * cores), context=1)


def measured_core(mvm_ns: float, mvm_pj: float, area_um2: float = 1) -> dict[str, Any]:
    """A 256 x 256 core, a weight a cell, one converter a column."""
    return macro_chip(
        array={
            "rows": 256,
            "cols": 256,
            "count": None,
            "rows_active_max": None,
            "area_um2": area_um2,
            "leakage_uw": 0,
        },
        adc__per_array=256,
        adc__bits_max=8,
        clock_ns=STEP_OF_A_PS,
        **STILL,
    ) | {"macro": {"mvm_ns": mvm_ns, "mvm_pj": mvm_pj}}


def placeholder_tiers(side: int, transfer_ns: float = 10) -> dict[str, Any]:
    """IBM's 3D-CiM-LLM-Inference-Simulator (commit 1ff5152), `accelerator.py`, its defaults, on square tiers.

    100 ns and 10 nJ a product, LayerNorm 50 ns, GELU 10 ns, addition 10 ns, each 10 nJ; attention 1 ns and 1 nJ;
    communication 10 ns and 0.01 pJ a bit of 8-bit values. All are placeholders there, whatever the vector's length.
    """
    each: dict[str, Any] = dict.fromkeys(OPERATIONS, NOTHING)
    for name, ns, pj in (("layer_norm", 50, 1e4), ("activation", 10, 1e4), ("add", 10, 1e4), ("attention_mac", 1, 1e3)):
        each[name] = {"base_ns": ns, "per_element_ns": 0, "base_pj": pj, "per_element_pj": 0}
    return macro_chip(
        array={
            "rows": side,
            "cols": side,
            "count": None,
            "rows_active_max": None,
            "area_um2": 1,
            "leakage_uw": 0,
        },
        weight={"bits": 8, "signed": "offset"},
        cell={"bits": 8},
        input={"bits": 8, "dac_bits": 8},
        adc__per_array=side,
        adc__bits_max=16,
        transfer={"base_ns": transfer_ns, "bits_per_ns": 1e9, "pj_per_bit": 0.01},
        digital={"units": 1, "ops": each},
    ) | {"macro": {"mvm_ns": 100, "mvm_pj": 10_000}}


BERT_BASE: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "vocab_size": 30522,
}


def bert_base_on_tiers(side: int, transfer_ns: float = 10) -> Problem:
    model = parse_model(BERT_BASE, "config.json", "bert-base", 32)
    hardware = parse_hardware(placeholder_tiers(side, transfer_ns), "tiers")
    return Problem(Question(hardware, model, {linear.name: Structure.dense() for linear in model.linears}))


def answer_of(problem: Problem, strategy: str) -> Solution:
    """A checked answer."""
    solution, report = solve_and_check(problem, strategy)
    assert report.passed, report.violations
    return solution
