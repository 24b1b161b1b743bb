"""The memory of keys and values: figures by hand, and what must hold of any chip that has one."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from cimsolve.api import make_problem
from cimsolve.chip.doubts import find_doubts
from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.judge.check import check_solution
from cimsolve.model.model import CacheUse
from cimsolve.price.gaps import least_gaps
from cimsolve.price.memory import prefill_reads, tokens_in_flight
from cimsolve.problem.problem import Problem
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import make_solution, solve
from makers.builders import ask, chip, linears, remembering, step
from makers.cost_cases import random_case
from makers.tiny_configs import BERT, LLAMA, NARROW_BART

ONE_BANK: dict[str, Any] = {
    "banks": 1,
    "base_ns": 0,
    "bits_per_ns": 512,
    "read_pj_per_bit": 0.42,
    "write_pj_per_bit": 0.42,
    "mbit": 10_000,
    "kv_bits": 8,
}
ATTENDING = {"base_ns": 0, "per_element_ns": 1, "base_pj": 0, "per_element_pj": 0}


def with_one_bank(model: str, tokens: int, **changes: Any) -> Problem:
    spec = remembering(load_hardware("paper256").to_json(), **{**ONE_BANK, **changes})
    return make_problem(model, parse_hardware(spec, "hw"), tokens=tokens)


def narrow(width: int = 4, **keys: Any) -> dict[str, Any]:
    """One layer of two heads on one head of keys and values, 5 tokens."""
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 1}
    sizes = {"hidden_size": width, "intermediate_size": 8, "max_position_embeddings": 5}
    return {**LLAMA, **heads, **sizes, **keys}


# By hand


@pytest.mark.parametrize(
    ("model", "tokens", "read_mbit", "read_us", "read_uj"),
    [
        # 24 layers * 2 * 1024 elements * 512 tokens * 8 bits = 201.3 Mbit; over 512 bits a ns, at 0.42 pJ a bit.
        ("bert-large", 512, 201.326592, 393.216, 84.557),
        # 32 layers * 2 * 8 heads * 128 * 8192 tokens * 8 bits = 4295 Mbit (537 MB): 8.4 ms and 1.8 mJ.
        ("llama-3-8b", 8192, 4294.967296, 8388.608, 1803.886),
    ],
)
def test_what_one_bank_adds(model: str, tokens: int, read_mbit: float, read_us: float, read_uj: float) -> None:
    problem = with_one_bank(model, tokens)
    without = make_problem(model, "paper256", tokens=tokens)
    gaps, flat = least_gaps(problem).own, least_gaps(without).own
    uses = [gap.memory for gap in gaps if gap.memory is not None and gap.memory.bits]
    assert sum(use.waited_cycles for use in uses) == pytest.approx(read_us * 1000, rel=1e-9)
    written_mbit = read_mbit / tokens
    assert sum(use.bits for use in uses) == round((read_mbit + written_mbit) * 1e6)
    energy = sum(gap.energy_pj["memory"] for gap in gaps)
    assert energy == pytest.approx((read_uj + read_uj / tokens) * 1e6, rel=1e-5)
    # Attention runs meanwhile, so the token takes longer by the rest.
    beside = sum(use.beside_cycles for use in uses)
    assert sum(gap.cycles for gap in gaps) - sum(gap.cycles for gap in flat) == read_us * 1000 - beside
    assert problem.model.cached_elements * 8 == read_mbit * 1e6


@pytest.mark.parametrize(("model", "tokens", "kbits"), [("bert-large", 512, 28.24), ("llama-3-8b", 8192, 7.93)])
def test_how_many_banks_hide_the_reads(model: str, tokens: int, kbits: float) -> None:
    """BERT-large: 8.39 Mbit a layer in the 297 ns of its attention; Llama-3-8B: 134 Mbit in 16.9 us."""
    enough, too_few = (with_one_bank(model, tokens, bits_per_ns=1000 * (kbits + more)) for more in (0.1, -0.1))
    assert sum(gap.memory_cycles for gap in least_gaps(enough).own) == 0
    assert sum(gap.memory_cycles for gap in least_gaps(too_few).own) > 0


def test_a_layer_by_hand() -> None:
    """Elements of 2 bits, 4 a ns after 2 ns; keys and values of a token are 2 * 1 * 2 elements.

    Reading 5 tokens: 2 + 40 / 4 = 12 ns; attention's 2 * 2 * 2 * 5 products on 4 lanes take 10 of them. Writing one
    token takes 2 ns more, which nobody waits for. Energy: 40 * 0.5 + 8 * 2 pJ.
    """
    problem = ask(narrow(), "dense", remembering(chip(digital__ops__attention_mac=ATTENDING)))
    gap = next(gap for gap in least_gaps(problem).own if gap.memory is not None and gap.memory.bits)
    use = gap.memory
    assert use is not None
    assert (use.waited_cycles, use.beside_cycles, gap.memory_cycles, use.busy_cycles, use.bits) == (12, 10, 2, 14, 48)
    assert gap.parts_cycles["memory"] == 2
    assert gap.energy_pj["memory"] == 40 * 0.5 + 8 * 2
    # A prefill reads 1 + 2 + 3 + 4 + 5 tokens of 8 bits and writes 5: a token 2 + (24 + 8) / 4.
    assert use.prefill_cycles == 10
    assert use.prefill_pj == 24 * 0.5 + 8 * 2


def test_metrics_by_hand() -> None:
    """As above: 1 token of a decoder at a time, of which memory of 100 bits has room for two, 40 bits each."""
    problem = ask(narrow(), "dense", remembering(chip(digital__ops__attention_mac=ATTENDING), mbit=100e-6))
    metrics = solve(problem, "spread").header.metrics
    assert tokens_in_flight(problem) == 2
    assert metrics["memory_bits"] == 48
    assert metrics["memory_energy_pj"] == 36
    assert metrics["ii_cycles"] == -(-int(metrics["latency_cycles"]) // 2)


def test_an_encoder_decoder_writes_its_source_once() -> None:
    """Width 4, 6 tokens, 2 bits: reads of encoder, decoder and across 2 * 4 * 6 * 2 each; written 8 * 2 by each pass's
    own attention and, of the source, by its end, which the target reads."""
    problem = ask(NARROW_BART, "dense", remembering(chip()))
    gaps = least_gaps(problem)
    bits = [gap.memory.bits for gap in gaps.before if gap.memory is not None and gap.memory.bits]
    # The stage that starts the target pass has the source's tail before it.
    assert bits == [96 + 16, 16, 96 + 16, 96]
    source = gaps.tails["source"].memory
    assert source is not None
    assert source.bits == 16
    assert source.waited_cycles == 2 + 16 // 4
    assert problem.model.cached_elements == 3 * 2 * 4 * 6


# Prefill


def reads_one_by_one(cache: CacheUse, tokens: int, queries: int) -> tuple[int, int]:
    count = total = 0
    for first in range(0, tokens, queries):
        seen = set()
        for query in range(first, min(first + queries, tokens)):
            here = range(tokens) if not cache.is_causal else range(query + 1)
            seen |= set(here[-cache.tokens :])
        count, total = count + 1, total + len(seen)
    return count, total


def test_reads_of_a_prefill_are_those_counted_token_by_token() -> None:
    for tokens in range(1, 12):
        for queries in (1, 2, 3, 5, 100):
            for window in range(1, tokens + 1):
                causal = CacheUse(1, window, 1, True)
                assert prefill_reads(causal, tokens, queries) == reads_one_by_one(causal, tokens, queries)
            whole = CacheUse(1, tokens, 1, False)
            assert prefill_reads(whole, tokens, queries) == reads_one_by_one(whole, tokens, queries)


def test_a_decoder_reads_half_of_its_context_in_the_mean() -> None:
    reads, tokens = prefill_reads(CacheUse(1, 1000, 1, True), 1000, 1)
    assert (reads, tokens) == (1000, 1000 * 1001 // 2)
    assert prefill_reads(CacheUse(1, 1000, 1, True), 1000, 1000) == (1, 1000)


# Whatever the chip


@pytest.mark.parametrize("seed", range(12))
def test_more_banks_are_never_slower(seed: int) -> None:
    draw = random.Random(seed)
    config = draw.choice([narrow(), {**NARROW_BART}, {**BERT, "num_hidden_layers": 1, "hidden_size": 8}])
    rates = {"bits_per_ns": draw.choice([0.2, 1.5, 30]), "queries_per_read": draw.choice([1, 2, 9])}
    rates["base_ns"] = draw.choice([0, 1.7])
    found: list[dict[str, Any]] = []
    for banks in (1, 2, 5, 1000):
        hardware = remembering(chip(digital__ops__attention_mac=ATTENDING), banks=banks, **rates)
        problem = ask(config, "dense", hardware)
        found.append(dict(solve(problem, "spread").header.metrics))
    for fewer, more in pairwise(found):
        for name in ("latency_cycles", "ii_cycles", "prefill_ns", "fixed_latency_ns", "fixed_ii_cycles"):
            assert more[name] <= fewer[name]
        assert more["memory_energy_pj"] == fewer["memory_energy_pj"]


def test_windows_cap_what_is_read_and_kept() -> None:
    asked = [
        ask({**narrow(), "model_type": "mistral", "sliding_window": window}, "dense", remembering(chip()))
        for window in (1, 2, 5, 9)
    ]
    assert [problem.model.cached_elements for problem in asked] == [4 * 1, 4 * 2, 4 * 5, 4 * 5]
    bits = [solve(problem, "spread").header.metrics["memory_bits"] for problem in asked]
    assert bits == [8 * (window + 1) for window in (1, 2, 5, 5)]


@pytest.mark.parametrize("strategy", [*RULES, "optimal"])
def test_every_strategy_passes_its_check_and_meets_no_bound_from_below(strategy: str) -> None:
    problem = ask(narrow(), "dense", remembering(chip(), bits_per_ns=0.3, mbit=100e-6))
    report = check_solution(solve(problem, strategy))
    assert report.violations == ()


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_no_random_mapping_beats_a_bound(first: int) -> None:
    for seed in range(first, first + 30):
        case = random_case(seed)
        if case.problem.hardware.memory is not None and case.problem.model.cached_elements:
            for objective in ("arrays", "throughput"):
                question = case.problem.asking(objective=(objective,))
                report = check_solution(make_solution(question, case.mapping, strategy="by hand"))
                assert report.violations == (), (seed, report.violations)


def test_a_model_without_attention_asks_nothing_of_the_memory() -> None:
    chain = linears(step("a", (4, 4)), step("b", (4, 4)))
    with_it, without = (solve(ask(chain, "dense", hw), "spread").header for hw in (remembering(chip()), chip()))
    assert {name: with_it.metrics[name] for name in without.metrics} == without.metrics
    assert with_it.metrics["memory_bits"] == with_it.metrics["memory_energy_pj"] == 0
    assert with_it.breakdown.latency_cycles["memory"] == 0


def test_a_chip_without_a_memory_says_nothing_of_one() -> None:
    header = solve(ask(narrow(), "dense", chip()), "spread").header
    assert "memory" not in str(header.model_dump(mode="json"))


# What is refused


def test_keys_and_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InfeasibleError) as refused:
        with_one_bank("bert-large", 512, mbit=200)
    told = str(refused.value)
    assert "\n" not in told
    assert "memory.mbit = 200" in told
    assert "201.326592" in told
    for way in ("--tokens", "memory.kv_bits", "memory.mbit = 201.326592"):
        assert way in told
    for changes in ({"mbit": 201.326592}, {"mbit": 200, "kv_bits": 4}):
        with_one_bank("bert-large", 512, **changes)
    with_one_bank("bert-large", 508, mbit=200)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("banks", 0),
        ("banks", 1.5),
        ("base_ns", -1),
        ("bits_per_ns", 0),
        ("mbit", 0),
        ("kv_bits", 33),
        ("queries_per_read", 0),
        ("read_pj_per_bit", "0.4"),
        ("speed", 1),
    ],
)
def test_keys_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"memory\.{key}"):
        parse_hardware(remembering(chip(), **{key: value}), "hw")


def test_more_bits_than_can_be_counted_are_refused() -> None:
    """2 * 2^10 * 2^20 elements of 512 tokens are as many products as can be counted, and 32 times the bits."""
    heads = {"head_dim": 2**20, "num_attention_heads": 2**10, "num_key_value_heads": 2**10}
    config = narrow(**heads, max_position_embeddings=512)
    least_gaps(ask(config, "dense", remembering(chip(), mbit=1e9, kv_bits=1)))
    with pytest.raises(InputError, match="more work between two stages than can be counted"):
        least_gaps(ask(config, "dense", remembering(chip(), mbit=1e9, kv_bits=32)))


def test_a_slow_or_small_memory_is_doubted() -> None:
    def keys(**changes: Any) -> set[str]:
        spec = remembering(load_hardware("paper256").to_json(), **{**ONE_BANK, **changes})
        return {doubt.key for doubt in find_doubts(parse_hardware(spec, "hw")) if doubt.key.startswith("memory")}

    assert keys() == {"memory.bits_per_ns"}
    assert keys(banks=64) == set()
    assert keys(banks=64, mbit=150) == {"memory.mbit"}
    assert keys(banks=64, read_pj_per_bit=0) == {"memory.read_pj_per_bit"}
