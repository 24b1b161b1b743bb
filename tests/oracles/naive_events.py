"""When a move ends if its packets queue for links, buses and the hub's port, event by event.

Traffic and routes are those of `naive_moves` and `naive_network`; the time of a move in docs/formulation.md, latency
plus the busiest channel, is what this is a witness of and is not used. A channel serves one packet at a time, in the
order in which they came. A packet goes on as soon as its head is at the next channel, or so late that its tail is there
in time where the next channel is faster. All packets are there at the start, in the order of their elements.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from oracles.naive_network import Channel, Move, Network, Send


@dataclass(eq=False)
class Hop:
    """The way of a packet over one channel, and the hops that follow where that ends."""

    channel: Channel
    bits: int
    before: Hop | None = None
    after: list[Hop] = field(default_factory=list)
    waiting: int = 0
    """Of those that follow, how many have not begun."""

    def then(self, channel: Channel) -> Hop:
        hop = Hop(channel, self.bits, self)
        self.after.append(hop)
        self.waiting += 1
        return hop


def packets_of(network: Network, move: Move, packet_bits: int) -> list[Hop]:
    """The first hop of each packet of a move; last what buses carry beside, parts of sums that stay in their core."""
    is_tree = network.data["multicast"] == "tree"
    found: list[Hop] = []
    for source, targets, bits in _joined(move.sends, packet_bits):
        # From the hub every copy passes the port; from a core all leave by its bus at once.
        groups = [[target] for target in targets] if source is None and not is_tree else [list(targets)]
        for group in groups:
            first = Hop(("port", "down") if source is None else ("bus", source), bits)
            passed: dict[Channel, Hop] = {}
            for target in group:
                last = first
                for link in network.route(source, target):
                    if not is_tree or link not in passed:
                        passed[link] = last.then(link)
                    last = passed[link]
                last.then(("port", "up") if target is None else ("bus", target))
            found.append(first)
    for channel, bits in (move.bits - loads(found)).items():
        found.append(Hop(channel, bits))
    return found


def _joined(sends: Sequence[Send], packet_bits: int) -> list[Send]:
    """Elements that go the same way, joined to packets of so many bits, in the order of their first elements."""
    filling: dict[tuple[int | None, tuple[int | None, ...]], int] = {}
    found: list[list[int]] = []
    ways: list[tuple[int | None, tuple[int | None, ...]]] = []
    for source, targets, bits in sends:
        way = (source, targets)
        if way not in filling or found[filling[way]][0] + bits > packet_bits:
            filling[way] = len(found)
            found.append([0])
            ways.append(way)
        found[filling[way]][0] += bits
    return [(*way, bits) for way, (bits,) in zip(ways, found, strict=True)]


def loads(packets: Iterable[Hop]) -> Counter[Channel]:
    """Bits that packets put on each channel."""
    found: Counter[Channel] = Counter()
    hops = list(packets)
    while hops:
        hop = hops.pop()
        found[hop.channel] += hop.bits
        hops += hop.after
    return found


def time_ns(
    network: Network, move: Move, packet_bits: int = 256, buffer: int | None = None, turns: bool = False
) -> float:
    """When the last bit of a move is where it goes, ns; `buffer` packets find room where a link ends, None: all.

    With a buffer, packets leave a link's end in the order in which they came, all copies of one before any of the next.
    `turns`: the hub and the cores send one packet for each of their links, then the next, not as elements are numbered.
    """
    packets = packets_of(network, move, packet_bits)
    if turns:
        sent: Counter[tuple[Channel, ...]] = Counter()
        turn: dict[Hop, int] = {}
        for packet in packets:
            way = (packet.channel, *(hop.channel for hop in packet.after))
            turn[packet] = sent[way]
            sent[way] += packet.bits
        packets.sort(key=lambda packet: turn[packet])
    return float(network.data["base_ns"] + _Traffic(network, buffer).run(packets))


class _Traffic:
    def __init__(self, network: Network, buffer: int | None) -> None:
        self.network, self.buffer, self.numbered = network, buffer, 0
        self.events: list[tuple[float, int, Channel, Hop | None]] = []
        self.queue: dict[Channel, deque[Hop]] = defaultdict(deque)
        self.free_at: dict[Channel, float] = defaultdict(float)
        self.held: dict[Channel, deque[tuple[float, float, Hop]]] = defaultdict(deque)
        """Packets at the end of a link with hops that have not begun: when head and tail come."""
        self.room: dict[Channel, deque[float]] = defaultdict(deque)
        """When the packets leave that have been at the end of a link and may be there still."""

    def run(self, packets: Sequence[Hop]) -> float:
        """When the last bit has arrived."""
        for packet in packets:
            self.at(0.0, packet.channel, packet)
        while self.events:
            now, _, channel, hop = heappop(self.events)
            if hop is not None:
                self.queue[channel].append(hop)
            self.serve(now, channel)
        assert not any(self.queue.values()), "packets wait for each other in a circle"
        return max(self.free_at.values(), default=0.0)

    def at(self, time: float, channel: Channel, hop: Hop | None = None) -> None:
        self.numbered += 1
        heappush(self.events, (time, self.numbered, channel, hop))

    def serve(self, now: float, channel: Channel) -> None:
        """Begin with the packet that came first, if the channel is free and there is room where it ends."""
        left = self.room[channel]
        while left and left[0] <= now:
            left.popleft()
        if not self.queue[channel] or self.free_at[channel] > now:
            return
        if self.is_buffered(channel) and len(left) + len(self.held[channel]) == self.buffer:
            return  # asked again when a packet leaves
        hop = self.queue[channel].popleft()
        end = self.free_at[channel] = now + hop.bits / self.network.rate(channel)
        self.at(end, channel)
        if hop.before is not None:
            self.leave(now, end, hop.before)
        if hop.after:
            delay = self.network.hop_ps(channel) / 1000 if channel[0] == "link" else 0.0
            self.held[channel].append((now + delay, end + delay, hop))
            if not self.is_buffered(channel) or len(self.held[channel]) == 1:
                self.offer(now, channel)

    def is_buffered(self, channel: Channel) -> bool:
        return self.buffer is not None and channel[0] == "link"

    def offer(self, now: float, channel: Channel) -> None:
        """The packet that came last, or alone may go on: its hops queue."""
        head, tail, hop = self.held[channel][0 if self.is_buffered(channel) else -1]
        for each in hop.after:
            fastest = tail - each.bits / self.network.rate(each.channel)
            self.at(max(now, head, fastest), each.channel, each)
        if not self.is_buffered(channel):
            self.held[channel].clear()

    def leave(self, now: float, end: float, hop: Hop) -> None:
        """One of the hops that follow has begun; with the last of them the next packet may go on."""
        hop.waiting -= 1
        if hop.waiting == 0 and self.is_buffered(hop.channel):
            self.held[hop.channel].popleft()
            self.room[hop.channel].append(end)
            self.at(end, hop.channel)
            if self.held[hop.channel]:
                self.offer(now, hop.channel)
