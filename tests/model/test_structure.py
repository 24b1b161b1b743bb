"""Structures: canonical text, what fits a linear, and the policies that choose one per linear."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.errors import InputError
from cimsolve.model.structure import FactorShape, Structure, StructurePolicy, sqrt_blocks

COUNTS = st.integers(1, 999_999_999)
LINEARS = [
    ("layer.0.attention.query", 384, 384),
    ("layer.0.attention.output", 384, 384),
    ("layer.0.ffn.up", 384, 1536),
    ("layer.0.ffn.down", 1536, 384),
]


@given(COUNTS, COUNTS, COUNTS)
def test_text_of_a_structure_reads_back(k: int, blocks_out: int, rank: int) -> None:
    structure = Structure.monarch(k, blocks_out, rank)
    assert str(structure) == f"{k},{blocks_out},{rank}"
    assert Structure.parse(str(structure)) == structure


def test_dense_reads_back() -> None:
    assert Structure.parse("dense") == Structure.dense()
    assert str(Structure.dense()) == "dense"
    assert Structure.dense().is_dense
    assert Structure.dense().stored_weights(3, 5) == 15
    Structure.dense().validate(3, 5, "any")
    with pytest.raises(ValueError, match="no R and L"):
        Structure.dense().factors(3, 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dense",
        "4,4",
        "4,4,1,1",
        "0,4,1",
        "4,-4,1",
        "4,4,0",
        "4, 4,1",
        "04,4,1",
        "4,4,1\n",
        "4,4,x",
        "4.0,4,1",
        "sqrt",
        "lowrank:3",
        "\N{ARABIC-INDIC DIGIT FOUR},4,1",
        "9" * 5000 + ",1,1",
    ],
)
def test_other_text_is_no_structure(text: str) -> None:
    with pytest.raises(InputError, match=": expected dense or k,l,T"):
        Structure.parse(text)


@pytest.mark.parametrize("numbers", [(0, 0, 0), (0, 1, 1), (1, 1, 0), (-1, 4, 1)])
def test_numbers_below_one_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="must be 1 or more"):
        Structure.monarch(*numbers)


def test_shapes_of_a_rectangular_linear() -> None:
    structure = Structure.monarch(4, 6, 2)
    structure.validate(20, 18, "w")
    assert structure.factors(20, 18) == (FactorShape(4, 5, 12), FactorShape(6, 8, 3))
    assert structure.stored_weights(20, 18) == 2 * (6 * 20 + 4 * 18)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_stored_weights_are_the_cells_of_both_factors(k: int, blocks_out: int, rank: int, rows: int, cols: int) -> None:
    n_in, n_out = k * rows, blocks_out * cols
    structure = Structure.monarch(k, blocks_out, rank)
    assert structure.stored_weights(n_in, n_out) == sum(math.prod(f) for f in structure.factors(n_in, n_out))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10,16,1", r"linear q \(384 x 1536\), structure 10,16,1: k = 10 does not divide n_in = 384; "
                    r"nearest divisors: 8 and 12"),
        ("16,1000,1", "l = 1000 does not divide n_out = 1536; nearest divisors: 768 and 1536"),
        ("500,1,1", "k = 500 does not divide n_in = 384; nearest divisors: 384$"),
        ("16,16,25", "T = 25 is more than the rank of a 24 x 96 slice; T can be 1 to 24"),
        ("1,1,385", "T can be 1 to 384"),
    ],
)  # fmt: skip
def test_misfit_says_what_would_fit(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Structure.parse(text).validate(384, 1536, "q")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("n_in", "n_out", "blocks"),
    [
        (1024, 4096, 32),
        (4096, 1024, 32),
        (384, 384, 16),
        (576, 576, 24),
        (576, 192, 12),
        (36, 45, 9),  # 3 and 9 are equally far from 6
        (7, 7, 1),  # sqrt(7) = 2.65 is nearer to 1 than to 7
        (7, 11, 1),
        (1, 1, 1),
    ],
)
def test_sqrt_blocks(n_in: int, n_out: int, blocks: int) -> None:
    assert sqrt_blocks(n_in, n_out) == blocks


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_sqrt_blocks_is_the_nearest_divisor(n_in: int, n_out: int) -> None:
    with localcontext() as context:
        context.prec = 60
        root = Decimal(min(n_in, n_out)).sqrt()
        gcd = math.gcd(n_in, n_out)
        divisors = [d for d in range(1, gcd + 1) if gcd % d == 0]
        assert sqrt_blocks(n_in, n_out) == min(divisors, key=lambda d: (abs(d - root), -d))


def test_sqrt_blocks_is_exact_where_floats_are_not() -> None:
    side = 2**40
    assert sqrt_blocks(side, side) == 2**20


def test_no_text_means_the_default() -> None:
    assert StructurePolicy.parse([]).choose("any", 384, 384) == Structure.monarch(16, 16)
    assert StructurePolicy.parse([], default="dense").choose("any", 384, 384).is_dense


def test_last_match_wins() -> None:
    policy = StructurePolicy.parse(["lowrank:7", "*.attention.*=dense", "*.output = 4, 4, 2"])
    assert policy.resolve(LINEARS) == {
        "layer.0.attention.query": Structure.dense(),
        "layer.0.attention.output": Structure.monarch(4, 4, 2),
        "layer.0.ffn.up": Structure.monarch(1, 1, 7),
        "layer.0.ffn.down": Structure.monarch(1, 1, 7),
    }
    overruled = StructurePolicy.parse(["*.attention.*=dense", "sqrt"]).resolve(LINEARS)
    assert overruled["layer.0.attention.query"] == Structure.monarch(16, 16)


def test_patterns_mind_case_and_may_hold_an_equals_sign() -> None:
    policy = StructurePolicy.parse(["*.FFN.*=dense", "a=b=dense"])
    assert not policy.choose("layer.0.ffn.up", 384, 384).is_dense
    assert policy.choose("a=b", 384, 384).is_dense


@pytest.mark.parametrize("text", ["", "root", "4,4", "lowrank", "lowrank:0", "lowrank:-1", "*.q=", "*.q=sqrt,1"])
def test_bad_policy_text(text: str) -> None:
    with pytest.raises(InputError, match=": expected dense, sqrt, k,l,T"):
        StructurePolicy.parse([text])


def test_policy_text_without_a_pattern_before_the_equals_sign() -> None:
    with pytest.raises(InputError, match="no pattern before the ="):
        StructurePolicy.parse(["=dense"])


def test_pattern_that_matches_nothing_names_what_is_near() -> None:
    with pytest.raises(InputError, match=r"'\*\.atention\.query' matches no linear.*layer\.0\.attention\.query"):
        StructurePolicy.parse(["*.atention.query=dense"]).resolve(LINEARS)
    with pytest.raises(InputError, match="near names: layer"):
        StructurePolicy.parse(["zzz=dense"]).resolve(LINEARS)
    with pytest.raises(InputError, match="the model has no linears"):
        StructurePolicy.parse(["zzz=dense"]).resolve([])


def test_policy_that_does_not_fit_names_the_linear() -> None:
    with pytest.raises(InputError, match=r"linear layer\.0\.ffn\.up \(384 x 1536\).*l = 5 "):
        StructurePolicy.parse(["*.up=4,5,1"]).resolve(LINEARS)
    with pytest.raises(InputError, match="T = 400 is more than the rank"):
        StructurePolicy.parse(["lowrank:400"]).resolve(LINEARS)
