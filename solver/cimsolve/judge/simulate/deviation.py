"""How far what came out of the arrays is from what must."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.judge.simulate.operands import Operands


@dataclass(frozen=True)
class Deviation:
    """Arrays against reference, over some outputs; numbers are integers as they leave the shift-add."""

    outputs: int
    mismatches: int
    max_abs_error: int
    error_energy: float
    """Sum of squared errors."""
    signal_energy: float
    """Sum of squared reference values."""

    @property
    def relative_error(self) -> float:
        """`||got - expected||_F / ||expected||_F`; infinite where zeros were expected, others came."""
        if self.error_energy == 0:
            return 0.0
        return math.sqrt(self.error_energy / self.signal_energy) if self.signal_energy else math.inf

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB; infinite without errors."""
        if self.error_energy == 0:
            return math.inf
        return 10 * math.log10(self.signal_energy / self.error_energy) if self.signal_energy else -math.inf

    @staticmethod
    def total(parts: list[Deviation]) -> Deviation:
        return Deviation(
            outputs=sum(part.outputs for part in parts),
            mismatches=sum(part.mismatches for part in parts),
            max_abs_error=max((part.max_abs_error for part in parts), default=0),
            error_energy=sum(part.error_energy for part in parts),
            signal_energy=sum(part.signal_energy for part in parts),
        )


@dataclass(frozen=True)
class StageDeviation:
    stage: int
    name: str
    deviation: Deviation


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation found. `overall` and `stages` are with the converters as claimed."""

    layers: tuple[int, ...]
    stages: tuple[StageDeviation, ...]
    overall: Deviation
    ideal: Deviation
    """Deviation behind converters of equal range that do not round; is `overall` if lossless is expected."""
    vectors: int
    activations: int
    """Activations fired."""
    lossless_expected: bool
    """Every converter counts to its activation's full scale, so the numbers must agree exactly."""
    first_mismatch: str | None
    """The first one that mapping and schedule, not rounding, must answer for; if none, the first at all."""
    weight_scales: Mapping[int, float]
    """Factor -> real weight per integer, for weights that were given."""
    weight_error: float | None
    """Relative Frobenius error of the factors against the dense weights, where these were given and are factored."""
    seconds: float

    @property
    def outputs(self) -> int:
        """Output elements compared, over all vectors."""
        return self.overall.outputs

    @property
    def mismatches(self) -> int:
        return self.overall.mismatches

    @property
    def max_abs_error(self) -> int:
        return self.overall.max_abs_error

    @property
    def relative_error(self) -> float:
        return self.overall.relative_error

    @property
    def snr_db(self) -> float:
        return self.overall.snr_db

    @property
    def exact(self) -> bool:
        return self.overall.mismatches == 0

    @property
    def passed(self) -> bool:
        """Exact; where the converters must lose something, exact but for their rounding."""
        return self.ideal.mismatches == 0 and (self.exact or not self.lossless_expected)


def compare_stages(
    operands: Operands, expected: Mapping[int, Ints], got: Mapping[int, Ints]
) -> tuple[StageDeviation, ...]:
    """The deviation of each simulated stage, in dataflow order."""
    by_stage: dict[int, list[Deviation]] = {}
    for factor in operands.workload.factors:
        if operands.simulated[factor.id]:
            by_stage.setdefault(factor.stage, []).append(deviation_of(expected[factor.id], got[factor.id]))
    return tuple(
        StageDeviation(stage, operands.workload.stages[stage].name, Deviation.total(parts))
        for stage, parts in sorted(by_stage.items())
    )


def describe_first_mismatch(operands: Operands, expected: Mapping[int, Ints], got: Mapping[int, Ints]) -> str | None:
    for factor in sorted(operands.workload.factors, key=lambda factor: (factor.stage, factor.id)):
        if not operands.simulated[factor.id]:
            continue
        wrong = np.argwhere((expected[factor.id] != got[factor.id]).T)
        if len(wrong):
            element, vector = wrong[0].tolist()
            block, column = divmod(element, factor.block_cols)
            right, found = expected[factor.id][vector, element], got[factor.id][vector, element]
            return (
                f"{factor.linear} {factor.kind}, block {block}, column {column} (element {element}), "
                f"vector {vector}: expected {right}, got {found}; "
                f"{len(wrong)} of {expected[factor.id].size} outputs of this factor are wrong"
            )
    return None


def deviation_of(expected: Ints, got: Ints) -> Deviation:
    """How far integers are from those expected."""
    error = np.abs(got - expected)
    return Deviation(
        outputs=expected.size,
        mismatches=int(np.count_nonzero(error)),
        max_abs_error=int(error.max()),
        error_energy=float(np.square(error, dtype=np.float64).sum()),
        signal_energy=float(np.square(expected, dtype=np.float64).sum()),
    )
