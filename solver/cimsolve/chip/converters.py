"""Converter models: time, energy and area of one conversion by resolution, as published.

Pure data: a model makes the lines of `adc.table` and says where each comes from; nothing else prices a converter.
Equations, sources and ranges: docs/hardware.md, section "Converter models".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

OWN_TABLE = "table"
"""The name that stands for the spec's own table."""

ISAAC = "ISAAC (Shafiee et al., ISCA 2016, 32 nm)"
ISAAC_NS = 1 / 1.2
ISAAC_PJ = 2 / 1.2
"""2 mW at 1.2 GS/s, 8 bits."""
ISAAC_UM2 = 1200.0

SABERI_DAC_SHARE = 1 / 16
"""Share of an 8-bit converter's energy that grows with 2^bits.

Fitted to the tabulated figures, 0.79, 0.99, 1.20, 1.42, 1.67 and 1.97 pJ at 4 to 9 bits, which it gives to the digit.
"""

SAR_VOLT = 0.9

SURVEY_NS = 1.0
SURVEY_BITS = range(4, 13)
SURVEY: Mapping[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    14: (
        (0.1952, 0.1979, 0.2251, 0.2773, 0.3622, 0.9928, 2.9475, 9.0036, 28.1556),
        (1371.8, 1377.4, 1431.5, 1523.7, 1650.4, 2231.3, 3089.8, 4315.1, 6068.9),
    ),
    22: (
        (0.4567, 0.4629, 0.5266, 0.6487, 0.8472, 2.3222, 6.8945, 21.0598, 65.8577),
        (2771.2, 2782.4, 2891.8, 3078.0, 3333.9, 4507.4, 6241.6, 8716.9, 12259.5),
    ),
    28: (
        (0.7187, 0.7284, 0.8286, 1.0209, 1.3332, 3.6543, 10.8494, 33.1407, 103.6365),
        (4032.7, 4049.0, 4208.2, 4479.2, 4851.5, 6559.4, 9083.0, 12685.0, 17840.3),
    ),
    32: (
        (0.9237, 0.9363, 1.0651, 1.3122, 1.7137, 4.6971, 13.9455, 42.5979, 133.2109),
        (4963.8, 4983.8, 5179.8, 5513.3, 5971.6, 8073.8, 11180.1, 15613.7, 21959.3),
    ),
    65: (
        (3.5007, 3.5481, 4.0364, 4.9728, 6.4945, 17.8006, 52.8494, 161.4339, 504.8313),
        (14948.0, 15008.2, 15598.4, 16602.8, 17983.1, 24313.5, 33667.8, 47019.3, 66128.4),
    ),
}
"""Node in nm -> pJ and um2 at 4 to 12 bits and 1 GS/s.

Outputs of hwcomponents-adc 1.0.21 under Python 3.12.1, of `get_energy()` (leakage included) and its area, read off on
23 November 2026.
"""


@dataclass(frozen=True)
class Place:
    """What a model may depend on: the array's rows (the length of its columns) and the node."""

    rows: int
    node_nm: float


@dataclass(frozen=True)
class ConverterFigures:
    """One conversion and its converter; `outside`: why the figures are extrapolated, or empty."""

    ns: float
    pj: float
    um2: float
    outside: str = ""


@dataclass(frozen=True)
class ConverterModel:
    """`at` gives the figures at a resolution, `origin` their source, `node_nm` the node they are made for."""

    origin: str
    node_nm: Callable[[Place], float]
    at: Callable[[int, Place], ConverterFigures]


@dataclass(frozen=True)
class ConverterTable:
    """What a model says: lines {bits, ns, pj, um2}, and sources by path below `adc.table` ("" for all of it)."""

    lines: tuple[dict[str, float], ...]
    sources: Mapping[str, dict[str, str]]


def _isaac(bits: int, place: Place) -> ConverterFigures:
    """pJ = (2 mW / 1.2 GS/s) * 2^(bits - 8)."""
    return ConverterFigures(ISAAC_NS, ISAAC_PJ * 2.0 ** (bits - 8), ISAAC_UM2)


def _saberi(bits: int, place: Place) -> ConverterFigures:
    """pJ = (2 mW / 1.2 GS/s) * ((1 - s) * bits / 8 + s * 2^(bits - 8)), s = 1/16."""
    growth = (1 - SABERI_DAC_SHARE) * bits / 8 + SABERI_DAC_SHARE * 2.0 ** (bits - 8)
    outside = "" if 4 <= bits <= 9 else "outside its 4 to 9 bits"
    return ConverterFigures(ISAAC_NS, ISAAC_PJ * growth, ISAAC_UM2, outside)


def _sar(bits: int, place: Place) -> ConverterFigures:
    """ns = bits * (0.00653 * rows + 0.640); pJ = (100 * bits + 0.001 * 4^bits) fF * V^2."""
    return ConverterFigures(
        bits * (0.00653 * place.rows + 0.640),
        (100 * bits + 0.001 * 4.0**bits) * 1e-3 * SAR_VOLT**2,
        10 ** (1.206 - 0.0369 * bits) * 2.0**bits,
    )


def _survey(bits: int, place: Place) -> ConverterFigures:
    """The outputs above; held below 4 bits, and the last step's factor again for each bit above 12."""
    energy, area = SURVEY[_survey_node(place)]
    least, most = SURVEY_BITS[0], SURVEY_BITS[-1]
    index = min(max(bits, least), most) - least
    beyond = max(0, bits - most)
    outside = f"below its {least} bits, held" if bits < least else f"above its {most} bits" if beyond else ""
    return ConverterFigures(
        SURVEY_NS,
        energy[index] * (energy[-1] / energy[-2]) ** beyond,
        area[index] * (area[-1] / area[-2]) ** beyond,
        outside,
    )


def _survey_node(place: Place) -> int:
    """The tabulated node nearest in ratio."""
    return min(SURVEY, key=lambda node: abs(math.log(node / place.node_nm)))


CONVERTER_MODELS: Mapping[str, ConverterModel] = {
    "isaac": ConverterModel(
        f"{ISAAC}: 8-bit converter, 2 mW at 1.2 GS/s, 1200 um2; energy halves with each bit, rate and area "
        "are held at those of 8 bits",
        lambda place: 32,
        _isaac,
    ),
    "saberi": ConverterModel(
        f"{ISAAC}: its 8-bit converter scaled after Saberi et al. (IEEE TCAS-I, 2011): the capacitive DAC grows "
        "with 2^bits, all else with bits; rate and area are held at those of 8 bits",
        lambda place: 32,
        _saberi,
    ),
    "sar": ConverterModel(
        "Capacitive SAR model of ZigZag 3.9.1 (KU Leuven, fitted to 28 nm designs, 0.9 V): ns = "
        "bits*(0.00653*rows + 0.640), pJ = (100*bits + 0.001*4^bits) fF * (0.9 V)^2, "
        "um2 = 10^(1.206 - 0.0369*bits) * 2^bits",
        lambda place: 28,
        _sar,
    ),
    "survey": ConverterModel(
        "Table of outputs of hwcomponents-adc 1.0.21 (fit to a survey of converters) at 1 GS/s, energy with its "
        "20 % of leakage",
        _survey_node,
        _survey,
    ),
}
"""Name -> model. `table` names the spec's own table instead."""

CONVERTER_NAMES = (OWN_TABLE, *CONVERTER_MODELS)


def make_table(name: str, bits_max: int, place: Place) -> ConverterTable:
    """The lines of a model from 1 to `bits_max` bits; raises KeyError for an unknown name."""
    model = CONVERTER_MODELS[name]
    lines: list[dict[str, float]] = []
    sources: dict[str, dict[str, str]] = {}
    for index, bits in enumerate(range(1, bits_max + 1)):
        found = model.at(bits, place)
        lines.append({"bits": bits, "ns": round(found.ns, 6), "pj": round(found.pj, 6), "um2": round(found.um2, 3)})
        if found.outside:
            sources[str(index)] = {"from": f"adc.model {name}, {bits} bits: {found.outside}", "mark": "extrapolated"}
    node = model.node_nm(place)
    moved = "" if node == place.node_nm else f"; taken over from {node:g} nm to {place.node_nm:g} nm unscaled"
    sources[""] = {"from": f"{model.origin}{moved}", "mark": "extrapolated" if moved else "derived"}
    return ConverterTable(tuple(lines), sources)
