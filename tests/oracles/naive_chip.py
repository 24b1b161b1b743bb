"""A chip as the file of its spec has it, in plain Python: what an activation, an operation and a transfer take.

The equations of docs/formulation.md once more, for the judges that share none with the package; nothing of it is
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Piece:
    """A row of the table of pieces."""

    factor: int
    block: int
    row0: int
    rows: int
    col0: int
    cols: int
    array: int
    array_row: int
    array_col: int


class Chip:
    """What a hardware spec says, read from the file's own numbers."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.rows, self.cols = data["array"]["rows"], data["array"]["cols"]
        weight, cell = data["weight"], data["cell"]
        slices = 0
        while slices * cell["bits"] < weight["bits"]:
            slices += 1
        self.width = slices * (2 if weight["signed"] == "differential" else 1)
        self.phases = 0
        while self.phases * data["input"]["dac_bits"] < data["input"]["bits"]:
            self.phases += 1
        self.clock_ps = ps(data["clock_ns"])
        self.active_max = data["array"].get("rows_active_max") or self.rows

    def bits_needed(self, n: int) -> int:
        if self.data["adc"]["bits_rule"] == "log2_rows":
            values = n
        else:
            values = n * (2 ** self.data["input"]["dac_bits"] - 1) * (2 ** self.data["cell"]["bits"] - 1) + 1
        bits = 1
        while 2**bits < values:
            bits += 1
        return bits

    def converter_of(self, column: int) -> int:
        adc = self.data["adc"]
        if adc["wiring"] == "interleaved":
            return int(column % adc["per_array"])
        share = 1
        while share * adc["per_array"] < self.cols:
            share += 1
        return min(column // share, adc["per_array"] - 1)  # columns outside the array are another rule's

    def busiest(self, columns: set[int]) -> int:
        adc = self.data["adc"]
        load = [0] * adc["per_array"]
        for column in sorted(columns):
            chosen = load.index(min(load)) if adc["wiring"] == "any" else self.converter_of(column)
            load[chosen] += 1
        return max(load)

    def line(self, bits: int) -> dict[str, Any]:
        """The line of the converters' table for conversions of so many bits: the first with enough."""
        found: dict[str, Any] = next(line for line in self.data["adc"]["table"] if line["bits"] >= bits)
        return found

    def cycles(self, time_ps: int) -> int:
        whole = time_ps // self.clock_ps
        return whole if whole * self.clock_ps == time_ps else whole + 1

    def duration(self, bits: int, v: int) -> int:
        if self.data.get("macro"):
            return self.cycles(ps(self.data["macro"]["mvm_ns"]))
        read, converting = ps(self.data["read_ns"]), v * ps(self.line(bits)["ns"])
        time = 0
        if self.data["adc"]["sample_hold"]:
            # The next read begins while the last phase converts; both must be over before the one after.
            time = read
            for _ in range(self.phases - 1):
                time += max(read, converting)
            time += converting
        else:
            for _ in range(self.phases):
                time += read + converting
        return self.cycles(time)

    def operation_cycles(self, name: str, elements: int) -> int:
        costs, units = self.data["digital"]["ops"][name], self.data["digital"]["units"]
        rounds = 0
        while rounds * units < elements:
            rounds += 1
        return self.cycles(ps(costs["base_ns"]) + rounds * ps(costs["per_element_ns"]))

    def transfer_cycles(self, elements: int) -> int:
        bits = elements * self.data["input"]["bits"]
        transfer = self.data["transfer"]
        return self.cycles(ps(transfer["base_ns"]) + ps(bits / transfer["bits_per_ns"]))

    def memory_cycles(self, accesses: float, bits: float) -> int:
        memory = self.data["memory"]
        return self.cycles(ps(accesses * memory["base_ns"]) + ps(bits / (memory["banks"] * memory["bits_per_ns"])))

    def operation_pj(self, name: str, elements: int) -> float:
        costs = self.data["digital"]["ops"][name]
        return float(costs["base_pj"] + elements * costs["per_element_pj"])

    def transfer_pj(self, elements: int) -> float:
        return float(elements * self.data["input"]["bits"] * self.data["transfer"]["pj_per_bit"])

    def array_um2(self, bits: int) -> float:
        """An array with converters of so many bits."""
        um2 = float(self.data["array"]["area_um2"])
        if self.data.get("macro"):
            return um2
        return um2 + float(self.data["adc"]["per_array"] * self.line(bits)["um2"])

    def most_rows(self) -> int:
        """Tallest piece that can fire."""
        allowed = self.data["adc"]["lossy_allowed"]
        return max(
            n for n in range(1, self.active_max + 1) if allowed or self.bits_needed(n) <= self.data["adc"]["bits_max"]
        )


def ps(ns: float) -> int:
    return round(ns * 1000)
