"""Where the time of moves goes: along the critical chain by what binds them, and in a pass on the busiest channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cimsolve.price.cost import Costs
from cimsolve.price.moves import bits_of, busiest_channel
from cimsolve.study.explain.chain import Chain

WAYS = ("up", "over", "down")


@dataclass(frozen=True)
class Moved:
    """What a chip with a network moves."""

    parts_cycles: Mapping[str, int]
    """`latency`, `links`, `buses`, `port` -> cycles of the chain's moves; they sum to its `transfer`.

    A move takes its latency, and then as long as its busiest channel carries its bits.
    """
    ways_cycles: Mapping[str, int]
    """`up`, `over`, `down` -> the same cycles."""
    channel: str
    """The channel that carries a token's bits for the longest, in words; of equals the first."""
    channel_bits: int
    channel_ns: float
    as_busy: int
    """Channels that are busy for at least 99 % of this time, itself among them."""


def find_moved(costs: Costs, chain: Chain) -> Moved | None:
    """What the moves of a chain take, and which channel is the busiest of a pass; None of a flat chip."""
    hardware = costs.fired.problem.hardware
    interconnect = hardware.interconnect
    if interconnect is None:
        return None
    parts, ways = dict.fromkeys(("latency", "links", "buses", "port"), 0), dict.fromkeys(WAYS, 0)
    gaps = [*(costs.gaps.before[stage] for stage in chain.stage.tolist()), chain.tail]
    for each in (each for gap in gaps for each in gap.passing):
        # What passes beside partial sums and is not counted comes first.
        streaming = min(each.counted_cycles, int(hardware.cycles(each.move.streaming_ps)))
        parts[interconnect.kind_of_channel(busiest_channel([each.move]))] += streaming
        parts["latency"] += each.counted_cycles - streaming
        ways[each.way] += each.counted_cycles
    moves = [move for gap in costs.gaps.own for move in gap.moves]
    channel, bits = busiest_channel(moves), bits_of(moves)
    times_ns = bits / interconnect.bits_per_ns
    return Moved(
        parts,
        ways,
        interconnect.name_of_channel(channel),
        int(bits[channel]),
        float(times_ns[channel]),
        int((times_ns >= 0.99 * times_ns[channel]).sum()),
    )
