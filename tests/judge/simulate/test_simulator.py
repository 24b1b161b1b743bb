"""The array simulator: lossless it gives the exact integers, by every path, encoding, strategy and shipped spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve.api import make_problem
from cimsolve.chip.read import load_hardware
from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.judge.simulate import ArraySimulator, Noise, simulate, study
from cimsolve.judge.simulate.products import Packing
from cimsolve.judge.simulate.quantise import quantise_inputs
from cimsolve.model.structure import Structure
from cimsolve.study.solving import problem_for, solve
from cimsolve.weights.monarch import Monarch, apply, project
from makers.hardware_specs import FLAT
from makers.small_arrays import (
    CHAIN,
    build,
    drawn_converters,
    drawn_hardware,
    drawn_pieces,
    drawn_shape,
    placed,
    scheduled,
    shelves,
    small_hardware,
    small_problem,
    tiles,
)


def expected(simulator: ArraySimulator, factor: int, values: Ints) -> Ints:
    """Plain integer products, block after block."""
    made = simulator.operands.workload.factors[factor]
    blocks = simulator.operands.weights(made).astype(np.int64)
    x = values.reshape(len(values), made.blocks, made.block_rows)
    return np.concatenate([x[:, b] @ blocks[b] for b in range(made.blocks)], axis=1)


def assert_exact(simulator: ArraySimulator, tokens: int = 3, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    bits = simulator.problem.hardware.input.bits
    for name in simulator.linears:
        for factor in simulator.factors_of(name):
            values = random.integers(0, 1 << bits, (tokens, factor.blocks * factor.block_rows))
            got = simulator.integers(factor.id, values)
            assert got.tolist() == expected(simulator, factor.id, values).tolist()


@pytest.mark.parametrize("signed", ["differential", "offset", "none"])
@pytest.mark.parametrize("tokens", [1, 20, 130])
def test_structures_are_exact(signed: str, tokens: int) -> None:
    problem = small_problem(CHAIN, small_hardware(weight__signed=signed))
    assert_exact(build(problem, tiles(problem)), tokens)
    assert_exact(build(problem, shelves(problem, tiles(problem, 5, 3))), tokens)


@pytest.mark.parametrize("strategy", ["linear", "sparsemap", "densemap", "spread", "optimal"])
@pytest.mark.parametrize("name", FLAT)
def test_every_strategy_and_shipped_spec_is_exact(strategy: str, name: str) -> None:
    """But for the rounding of the two whose converters have too few bits."""
    hardware = load_hardware(name)
    shapes = [[(64, 64, "8,8,1"), (64, 64, "8,8,1")], [(64, 32, "4,8,2")]]
    solution = solve(small_problem(shapes, hardware), strategy)
    dense = [[(n_in, n_out, "dense") for n_in, n_out, _ in step] for step in shapes]
    question = small_problem(dense if strategy == "linear" else shapes, hardware)
    as_shipped = ArraySimulator(question, solution.pieces, solution.activations)
    assert as_shipped.lossy == (name in ("paper256", "pcm256"))
    assert_exact(ArraySimulator(question, solution.pieces, solution.activations, rounds=not as_shipped.lossy), 17)
    # Every driven row is computed where empty cells may be stuck; here none is.
    leaking = Noise(stuck_on=1e-30)
    options: dict[str, Any] = {"noise": leaking, "rounds": not as_shipped.lossy}
    assert_exact(ArraySimulator(question, solution.pieces, solution.activations, **options), 2)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["linear", "sparsemap", "densemap", "spread", "optimal"])
@pytest.mark.parametrize("name", FLAT)
def test_a_whole_model_is_exact(strategy: str, name: str) -> None:
    problem = problem_for(strategy, make_problem("minilm-l6", name))
    solution = solve(make_problem("minilm-l6", name), strategy)
    layers = [0] if strategy == "linear" else None
    options: dict[str, Any] = {"layers": layers, "rounds": name not in ("paper256", "pcm256")}
    simulator = ArraySimulator(problem, solution.pieces, solution.activations, **options)
    assert_exact(simulator, 64)


def test_stacked_pieces_share_one_conversion() -> None:
    problem = small_problem([[(24, 8, "dense")]])
    stacked = placed(tiles(problem, rows=8), [0, 0, 0], [20, 10, 0], [3, 3, 3])
    assert_exact(build(problem, stacked, [0, 0, 0]))
    assert_exact(build(problem, stacked))
    # Together they need 24 rows' worth of bits, one conversion of three.
    three, one = build(problem, stacked), build(problem, stacked, [0, 0, 0])
    assert [len(three._groups[0]), len(one._groups[0])] == [1, 1]
    assert (three._groups[0][0].windows.stacked, one._groups[0][0].windows.stacked) == (8, 24)


def test_parts_of_one_output_in_different_columns_are_added_up() -> None:
    """Two halves of a block on a diagonal, fired together: with empty cells that may be stuck, all rows count."""
    problem = small_problem([[(8, 4, "dense")]])
    diagonal = placed(tiles(problem, rows=4), [0, 0], [0, 4], [0, 4])
    assert_exact(build(problem, diagonal, [0, 0]))
    assert_exact(build(problem, diagonal, [0, 0], noise=Noise(stuck_on=1e-30)))


@settings(max_examples=25)
@given(st.data())
def test_packed_phases_equal_phases_one_by_one(data: st.DataObject) -> None:
    """All encodings, cell and phase widths; lossless and lossy converters; both readings of a pair."""
    draw = data.draw
    hardware = drawn_hardware(draw, adc__bits_rule=draw(st.sampled_from(["lossless", "log2_rows"])))
    k, rows = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    problem = small_problem([[drawn_shape(draw, k, rows, 4, 6)]], hardware)
    pieces = drawn_pieces(draw, problem)
    options = drawn_converters(draw, hardware)
    plain = build(problem, pieces, noise=Noise(read=1e-30), **options)  # sums with noise are not packed
    packed = build(problem, pieces, **options)
    tokens = draw(st.sampled_from([1, 16, 40]))
    random = np.random.default_rng(options["seed"])
    for factor in problem.workload.factors:
        values = random.integers(0, 1 << hardware.input.bits, (tokens, factor.blocks * factor.block_rows))
        assert plain.integers(factor.id, values).tolist() == packed.integers(factor.id, values).tolist()
        if not plain.lossy:
            assert plain.integers(factor.id, values).tolist() == expected(plain, factor.id, values).tolist()


def test_packing_by_hand() -> None:
    """Sums of 0 ... 255 take 8 bits: 3 digits in 24 bits, so 8 phases take 3 operands, of 3, 3 and 2 digits."""
    assert Packing.of(0, 255, 8) == Packing(3, 8)
    assert Packing.of(0, 256, 8) == Packing(2, 9)
    assert Packing.of(0, 15, 8) == Packing(4, 4)  # six would fit; two operands of four are as few
    assert Packing.of(0, 4095, 8) == Packing(2, 12)
    assert Packing.of(0, 4096, 8) == Packing()
    assert Packing.of(0, 1, 1) == Packing()
    # Of -127 ... 127 too, a half of 256 being more than all that follows a digit.
    assert Packing.of(127, 100, 8) == Packing(3, 8, signed=True)
    assert Packing.of(1, 128, 8) == Packing(2, 9, signed=True)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (127, 127)])
def test_digits_at_both_ends_are_taken_out_one_by_one(low: int, high: int) -> None:
    packing = Packing.of(low, high, 3)
    for digits in ((high, high, high), (-low, -low, -low), (high, -low, high), (0, -low, high)):
        total = np.array([sum(digit * 2.0 ** (-8 * place) for place, digit in enumerate(digits))], dtype=np.float32)
        assert [packing.take_digit(total)[0] for _ in digits] == list(digits)


def test_full_digits_do_not_carry() -> None:
    """85 rows of 2-bit cells at 3, driven by ones in every phase: each sum is 255, all its 8 bits set."""
    hardware = small_hardware(rows=85, cols=8, weight__bits=2, weight__signed="none", cell__bits=2, input__bits=8)
    problem = small_problem([[(85, 2, "dense")]], hardware)
    simulator = build(problem, tiles(problem), weights={"s0.0": np.ones((85, 2))})
    assert simulator._groups[0][0].operand.high == 255
    values = np.full((40, 85), 255)
    assert (simulator.integers(0, values) == 85 * 3 * 255).all()


@pytest.mark.parametrize("signed", ["differential", "offset"])
@pytest.mark.parametrize("rule", ["lossless", "log2_rows"])
def test_agrees_with_the_simulation_of_the_schedule(signed: str, rule: str) -> None:
    """Bit for bit where nothing is lost; else as large an error, to the rounding of ties."""
    problem = small_problem(CHAIN, small_hardware(adc__bits_rule=rule, weight__signed=signed))
    ordered = scheduled(problem, shelves(problem, tiles(problem)))
    verified = simulate(problem, *ordered, vectors=30)

    found = study(problem, *ordered, vectors=30)
    if rule == "lossless":
        assert found.lossless
        assert found.overall().mismatches == verified.mismatches == 0
    else:
        assert not found.lossless
        assert found.overall().error_energy == pytest.approx(verified.overall.error_energy, rel=0.02)


# Real inputs


@pytest.mark.parametrize("scale", ["tensor", "token"])
def test_inputs_are_quantised_over_their_range(scale: Any) -> None:
    """By hand, 2 bits: -1 ... 2 in steps of 1, zero point 1."""
    inputs = np.array([[-1.0, 0.0, 2.0], [0.4, 0.6, 1.9]])
    found = quantise_inputs(inputs, 2, scale)
    if scale == "tensor":
        assert found.scale.tolist() == [[1.0]]
        assert found.zero_point.tolist() == [[1]]
        assert found.values.tolist() == [[0, 1, 3], [1, 2, 3]]
    else:
        assert found.scale[:, 0].tolist() == pytest.approx([1.0, 1.9 / 3])
        assert found.zero_point.tolist() == [[1], [0]]
        assert found.values.tolist() == [[0, 1, 3], [1, 1, 3]]
    assert np.abs((found.values - found.zero_point) * found.scale - inputs).max() <= found.scale.max() / 2 + 1e-12


@pytest.mark.parametrize("structure", ["dense", "4,4,1", "2,4,2"])
@pytest.mark.parametrize("options", [{}, {"input_scale": "token"}, {"weight_scale": "column"}])
def test_a_linear_is_its_product_but_for_quantisation(structure: str, options: dict[str, Any]) -> None:
    """The error of 8-bit weights and inputs is about 1 % of the signal."""
    hardware = small_hardware(cols=256, weight__bits=8, input__bits=8)
    problem = small_problem([[(16, 24, structure)]], hardware)
    random = np.random.default_rng(1)
    weight, x = random.normal(size=(16, 24)), random.normal(size=(50, 16)) + 0.5
    if structure == "dense":
        want = x @ weight
        given_as: list[dict[str, Any]] = [{"weights": {"s0.0": weight}}]
    else:
        factors = project(weight, Structure.parse(structure))
        want = apply(factors, x)
        given_as = [
            {"weights": {"s0.0": weight}},
            {"weights": {"s0.0": factors}},
            {"factors": {"s0.0": (factors.R, factors.L)}, "weights": {"s0.0": np.zeros_like(weight)}},
        ]
    for each in given_as:
        got = build(problem, tiles(problem), **each, **options).linear("s0.0", x)
        assert got.shape == want.shape
        assert np.linalg.norm(got - want) < 0.03 * np.linalg.norm(want)


def test_columns_of_their_own_scale_lose_less() -> None:
    """One column 100 times the others: with one scale the small ones keep about one bit of eight."""
    problem = small_problem([[(16, 8, "dense")]], small_hardware(weight__bits=8, input__bits=8))
    random = np.random.default_rng(0)
    weight, x = random.normal(size=(16, 8)), random.normal(size=(40, 16))
    weight[:, 3] *= 100
    errors = []
    for scale in ("tensor", "column"):
        got = build(problem, tiles(problem), weights={"s0.0": weight}, weight_scale=scale).linear("s0.0", x)
        others = np.arange(8) != 3
        errors.append(np.linalg.norm((got - x @ weight)[:, others]) / np.linalg.norm((x @ weight)[:, others]))
    assert errors[1] < 0.02 < 0.2 < errors[0]


def test_zero_inputs_and_weights_give_zero() -> None:
    problem = small_problem([[(16, 24, "4,4,1")]])
    simulator = build(problem, tiles(problem), weights={"s0.0": np.zeros((16, 24))})
    assert (simulator.linear("s0.0", np.ones((3, 16))) == 0).all()
    simulator = build(problem, tiles(problem), weights={"s0.0": np.ones((16, 24))})
    assert (simulator.linear("s0.0", np.zeros((3, 16))) == 0).all()


def test_layers_choose_what_is_programmed() -> None:
    problem = small_problem(CHAIN)
    simulator = build(problem, shelves(problem, tiles(problem)), layers=[1])
    assert simulator.linears == ("s1.0",)
    assert_exact(simulator)
    with pytest.raises(InputError, match=r"'s0\.0' is not programmed; expected one of s1\.0"):
        simulator.linear("s0.0", np.zeros((1, 16)))


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adc_bits_max": 0}, "adc_bits_max = 0: expected"),
        ({"adc_bits_max": 25}, "expected a whole number from 1 to 24"),
        ({"layers": [9]}, "not all in the model"),
        ({"weights": {"nobody": np.ones((2, 2))}}, "no linear"),
        ({"factors": {"s1.0": Monarch(np.ones((1, 24, 1)), np.ones((1, 1, 12)))}}, "expected"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    problem = small_problem(CHAIN)
    with pytest.raises(InputError, match=message):
        build(problem, tiles(problem), **options)


def test_more_cells_than_memory_should_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_problem(CHAIN)
    monkeypatch.setattr(
        "cimsolve.judge.simulate.prepare.CELLS_MAX", 24 * 12 * 4
    )  # 4-bit weights in pairs of two slices
    build(problem, tiles(problem), layers=[1])
    with pytest.raises(InputError, match="expected 1152 or fewer, fewer layers"):
        build(problem, tiles(problem))


def test_arrays_in_turn_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_problem(CHAIN)
    tables = scheduled(problem, shelves(problem, tiles(problem, 5, 3)))
    noise, x = Noise(programming=0.1, stuck_on=0.01, adc_gain=0.1), np.ones((2, 16))
    whole = ArraySimulator(problem, *tables, noise=noise).linear("s0.0", x)
    monkeypatch.setattr("cimsolve.judge.simulate.prepare.CHUNK_CELLS", 1)
    assert ArraySimulator(problem, *tables, noise=noise).linear("s0.0", x).tolist() == whole.tolist()


def test_only_differential_pairs_can_be_subtracted() -> None:
    problem = small_problem(CHAIN, small_hardware(weight__signed="offset"))
    with pytest.raises(InputError, match="expected differential"):
        build(problem, tiles(problem), pairs="subtracted")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 15)), r"expected \(tokens, 16\)"),
        (np.zeros(16), r"expected \(tokens, 16\)"),
        (np.zeros((0, 16)), r"expected \(tokens, 16\)"),
        (np.full((1, 16), np.inf), "NaN or infinite"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: Any, message: str) -> None:
    problem = small_problem(CHAIN)
    with pytest.raises(InputError, match=message):
        build(problem, tiles(problem)).linear("s0.0", inputs)
    if np.isfinite(inputs).all():
        with pytest.raises(InputError, match=message):  # compiled code would read beyond them
            build(problem, tiles(problem), kernel="numba").integers(0, inputs.astype(np.int64))


@pytest.mark.parametrize("quantile", [0.0, 1.5, float("nan")])
def test_quantiles_out_of_range_are_refused(quantile: float) -> None:
    problem = small_problem(CHAIN)
    with pytest.raises(InputError, match="quantile"):
        build(problem, tiles(problem), adc_range="calibrated").calibrate("s0.0", np.ones((2, 16)), quantile)
