"""The memory of keys and values: what a gap asks of it in cycles, bits and energy, and how many tokens it has room for.

Equations: docs/formulation.md, section "Memory".
"""

from __future__ import annotations

from dataclasses import dataclass

from cimsolve.chip.sections import MemorySection, picoseconds
from cimsolve.columns import ceil_div
from cimsolve.model.model import CacheUse
from cimsolve.problem.problem import Problem

BESIDE = ("attention_mac", "softmax")
"""Operations that run while keys and values are read."""
BITS_MAX = 2**41
"""Most bits that a token reads in a gap: at the slowest that a spec can say, their picoseconds fit int64."""


@dataclass(frozen=True)
class MemoryUse:
    """What one gap asks of the memory, once per token."""

    bits: int = 0
    """Bits read and written."""
    waited_cycles: int = 0
    """Reading, or where nothing is read writing: a later pass reads it."""
    busy_cycles: int = 0
    """Reading and writing."""
    prefill_cycles: int = 0
    """The same in a prefill, where queries share reads: a token's part."""
    beside_cycles: int = 0
    """Of the operations that run meanwhile."""
    prefill_pj: float = 0.0
    """Of a token in a prefill, in the mean."""
    tokens: int = 1
    """Tokens of a prefill that ask for it."""

    @property
    def beyond_cycles(self) -> int:
        """What is waited for beyond the operations beside it."""
        return max(0, self.waited_cycles - self.beside_cycles)


def use_memory(problem: Problem, cache: CacheUse, beside_cycles: int, tokens: int) -> tuple[MemoryUse, float]:
    """What a gap with `cache` asks of the memory of a chip that has one, and its energy for a token, pJ.

    A prefill has so many `tokens` in its pass.
    """
    hardware, memory = problem.hardware, problem.hardware.memory
    assert memory is not None
    read, written = cache.read * cache.tokens * memory.kv_bits, cache.written * memory.kv_bits
    if not read + written:
        return MemoryUse(), 0.0
    times, shared = prefill_reads(cache, tokens, memory.queries_per_read)
    shared_bits = cache.read * shared * memory.kv_bits / tokens
    busy_ps = _access_ps(memory, read + written)
    prefill_ps = _access_ps(memory, shared_bits + written, times / tokens if read else 1.0)
    use = MemoryUse(
        bits=read + written,
        waited_cycles=int(hardware.cycles(_access_ps(memory, read or written))),
        busy_cycles=int(hardware.cycles(busy_ps)),
        prefill_cycles=int(hardware.cycles(prefill_ps)),
        beside_cycles=beside_cycles,
        prefill_pj=shared_bits * memory.read_pj_per_bit + written * memory.write_pj_per_bit,
        tokens=tokens,
    )
    return use, read * memory.read_pj_per_bit + written * memory.write_pj_per_bit


def prefill_reads(cache: CacheUse, tokens: int, queries: int) -> tuple[int, int]:
    """Reads of a prefill, and the tokens whose keys and values all of them read.

    A read serves `queries` tokens that follow each other: the union of what these attend to. A causal attention goes
    from a window's begin before the first of them to the last.
    """
    reads = ceil_div(tokens, queries)
    if not cache.is_causal:
        return reads, reads * cache.tokens
    # Read j is of queries j * q + 1 to min((j + 1) * q, tokens); its first query's window leaves out so many tokens.
    whole = tokens // queries
    last = queries * whole * (whole + 1) // 2 + (tokens if tokens % queries else 0)
    from_read = min(reads, ceil_div(cache.tokens - 1, queries))
    count = reads - from_read
    left_out = queries * (from_read + reads - 1) * count // 2 - count * (cache.tokens - 1)
    return reads, last - left_out


def tokens_in_flight(problem: Problem) -> int | None:
    """Most tokens of all sequences that can be under way, as the memory holds their sequences; None: any number.

    Of a sequence that decodes one token is; of one whose attention is not causal all are.
    """
    memory, kept = problem.hardware.memory, problem.model.cached_elements
    if memory is None or not kept:
        return None
    sequences = memory.bits // (kept * memory.kv_bits)
    return sequences * (1 if problem.model.is_causal else problem.model.tokens)


def least_interval(problem: Problem, latency_cycles: int) -> int:
    """Fewest cycles between tokens of many sequences, each so long under way, as the memory has room for them."""
    most = tokens_in_flight(problem)
    return 0 if most is None else ceil_div(latency_cycles, most)


def _access_ps(memory: MemorySection, bits: float, accesses: float = 1.0) -> int:
    """base_ns an access, and all bits over all banks."""
    return int(picoseconds(accesses * memory.base_ns)) + int(picoseconds(bits / memory.all_bits_per_ns))
