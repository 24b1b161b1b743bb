"""ONNX graphs as models: the same steps as by a config, and one clear line for what is not understood."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cimsolve.errors import InputError
from cimsolve.model.families import parse_model
from cimsolve.model.load import load_model
from cimsolve.model.model import Model, Operation, Step
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.weights.folder import weights_beside
from cimsolve.weights.monarch import Monarch
from makers.command_line import Cli
from makers.onnx_graphs import CONFIG, Net, encoder


def work(step: Step) -> dict[str, int]:
    return {operation.name: operation.elements for operation in step.operations}


def two_layers(tmp_path: Path, op: str, *reads: str, **attributes: object) -> Path:
    """A matrix, an operation on what it makes, and another matrix."""
    net = Net({"x": ["batch", 8]}, opset=20)
    made = net(op, net.linear("up", "x", 8, 16), *reads, name="/between", **attributes)
    return net.save(tmp_path / "net.onnx", net.linear("down", made, 16, 4))


@pytest.mark.parametrize("in_parts", [False, True])
def test_an_encoder_is_what_its_config_says(tmp_path: Path, in_parts: bool) -> None:
    model = load_model(encoder(tmp_path / "bert.onnx", in_parts=in_parts), 24)
    expected = parse_model(CONFIG, "config", "bert", 24)
    for mine, theirs in zip(model.steps, expected.steps, strict=True):
        assert [(x.name, x.n_in, x.n_out) for x in mine.linears] == [(x.name, x.n_in, x.n_out) for x in theirs.linears]
        assert (mine.reads, mine.phase, mine.cache) == (theirs.reads, theirs.phase, theirs.cache)
        assert mine.operations == theirs.operations
    assert model.tails == expected.tails
    assert model.tokens == 24


def test_a_model_is_built_again_from_what_a_solution_records(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encoder(tmp_path / "bert.onnx")
    asked = ("--hw", "paper256", "--strategy", "spread", "--out", str(out), "--tokens", "24")
    assert cli("--model", str(tmp_path / "bert.onnx"), *asked).code == 0
    (answer,) = out.glob("*.json")
    assert cli("check", str(answer)).code == 0
    config = json.loads(answer.read_text())["model"]
    assert config["onnx"]["found"] == {"activation": 1, "add": 2, "attention_mac": 2, "layer_norm": 2, "softmax": 1}
    rebuilt = parse_model(config, "model", "bert", 24)
    assert rebuilt.steps == load_model(tmp_path / "bert.onnx", 24).steps
    with pytest.raises(InputError, match="tokens: the work listed is for 24, not for 12"):
        parse_model(config, "model", "bert", 12)


def test_rotary_positions_gates_and_norms_without_a_mean_are_what_a_llama_does(tmp_path: Path) -> None:
    net = Net({"x": ["batch", "sequence", 8]}, opset=20)
    q, k, v = (net.linear(name, "x", 8, 8, bias=False) for name in "qkv")

    def turned(read: str) -> str:
        one, other = net("Split", read, outputs=2, axis=-1, num_outputs=2)
        rotated = net("Concat", net("Neg", other), one, axis=-1)
        along = net("Mul", read, net.tensor(f"cos{read}", 1, 1, 8))
        return str(net("Add", along, net("Mul", rotated, net.tensor(f"sin{read}", 1, 1, 8))))

    scores = net("Mul", net("MatMul", turned(q), net("Transpose", turned(k), perm=[0, 2, 1])), net.scalar(0.35))
    places = net("Range", net.numbers(0), net("Gather", net("Shape", "x"), net.numbers(1)), net.numbers(1))
    late = net("Greater", places, net("Unsqueeze", places, net.numbers([1])))
    scores = net("Where", late, net.scalar(-1e9), scores)
    x = net("Add", net.linear("o", net("MatMul", net("Softmax", scores), v), 8, 8, bias=False), "x")
    mean = net("ReduceMean", net("Pow", x, net.scalar(2)), net.numbers([-1]))
    root = net("Reciprocal", net("Sqrt", net("Add", mean, net.scalar(1e-6))))
    normed = net("Mul", net.tensor("gain", 8), net("Mul", x, root))
    gate, up = (net.linear(name, normed, 8, 16, bias=False) for name in ("gate", "up"))
    gated = net("Mul", net("Mul", gate, net("Sigmoid", gate)), up)
    config = {
        "model_type": "llama",
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 16,
        "max_position_embeddings": 64,
    }
    down = net.linear("down", gated, 16, 8, bias=False)
    model = load_model(net.save(tmp_path / "llama.onnx", net("Add", down, x)), 10)
    expected = parse_model(config, "config", "llama", 10)
    assert [sorted(work(step).items()) for step in model.steps] == [
        sorted(work(step).items()) for step in expected.steps
    ]
    assert [step.cache for step in model.steps] == [step.cache for step in expected.steps]
    assert model.is_causal


def linears(model: Model) -> list[tuple[str, int, int]]:
    return [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]


def test_matrices_are_found_on_either_side_turned_and_behind_their_levels(tmp_path: Path) -> None:
    net = Net({"x": [1, 8]}, opset=20)
    a = net("Gemm", "x", net.tensor("a.weight", 16, 8), net.tensor("a.bias", 16), transB=1)
    b = net("MatMul", net.tensor("b.weight", 4, 16), net("Transpose", a, perm=[1, 0]))
    levels = net.numbers([[1, 2, 3]] * 4, "int8")
    weight = net("DequantizeLinear", levels, net.scalar(0.5))
    read = net("Transpose", b, perm=[1, 0])
    read = net("DequantizeLinear", net("QuantizeLinear", read, net.scalar(0.1)), net.scalar(0.1))
    model = load_model(net.save(tmp_path / "net.onnx", net("MatMul", read, weight, name="/c/MatMul")))
    assert linears(model) == [("a", 8, 16), ("b", 16, 4), ("c", 4, 3)]
    assert [step.operations for step in model.steps] == [(), (), ()]
    assert model.tokens == 1


def test_branches_are_edges_and_what_they_share_is_paid_once(tmp_path: Path) -> None:
    net = Net({"x": ["batch", 8]}, opset=20)
    shared = net("Relu", net.linear("first", "x", 8, 8))
    one = net.linear("one", shared, 8, 8)
    two = net.linear("two", net("Abs", shared), 8, 8)
    last = net.linear("last", net("Mul", net("Add", one, two), shared), 8, 8)
    model = load_model(net.save(tmp_path / "net.onnx", last))
    assert [step.reads for step in model.steps] == [(), (0,), (0,), (1, 2)]
    assert [work(step) for step in model.steps] == [{}, {"activation": 8}, {"add": 8}, {"add": 8, "multiply": 8}]


def test_what_runs_once_a_sequence_is_named_and_not_mapped(tmp_path: Path) -> None:
    net = Net({"x": ["batch", "sequence", 8]}, opset=20)
    made = net("Relu", net.linear("layer", "x", 8, 16))
    first = net("Gather", made, net.numbers(0), axis=1)
    head = net("Tanh", net.linear("pooler", first, 16, 16))
    model = load_model(net.save(tmp_path / "net.onnx", net.linear("classifier", head, 16, 2)), 12)
    assert linears(model) == [("layer", 8, 16)]
    assert any("classifier, pooler" in told for told in model.unmapped)
    tail = model.tails["token"]
    assert (tail.operations, tail.transfer_elements) == ((Operation("activation", 16),), 16)


def test_weights_that_are_shared_are_told(tmp_path: Path) -> None:
    net = Net({"x": ["batch", 8]}, opset=20)
    weight = net.tensor("w.weight", 8, 8)
    made = net("MatMul", net("Relu", net("MatMul", "x", weight)), weight)
    model = load_model(net.save(tmp_path / "net.onnx", made))
    assert len(linears(model)) == 2
    assert any("shared (w.weight)" in told for told in model.unmapped)


def test_an_operation_that_is_not_understood_is_refused_or_counted_as_asked(cli: Cli, tmp_path: Path) -> None:
    path = two_layers(tmp_path, "Det2")
    with pytest.raises(InputError, match=r"node /between \(Det2\).*--digital Det2|shape of"):
        load_model(path)
    path = two_layers(tmp_path, "Einsum", equation="ij->ij")
    with pytest.raises(InputError, match=r"node /between \(Einsum\): .* is not mapped; --digital Einsum"):
        load_model(path)
    for pattern in ("Einsum", "/betw*"):
        assert work(load_model(path, digital=[pattern]).steps[1]) == {"activation": 16}
    asked = ("--model", str(path), "--digital", "Einsum", "--hw", "paper256", "--strategy", "spread")
    result = cli(*asked, "--json", "--out", str(tmp_path / "out"))
    assert json.loads(result.out)["question"]["onnx"]["digital"] == ["Einsum"]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["net-digital=Einsum--paper256--spread.json"]
    with pytest.raises(InputError, match=r"--digital Einsun: no node .* did you mean Einsum"):
        load_model(path, digital=["Einsun"])


def test_a_matrix_can_be_digital_work(tmp_path: Path) -> None:
    path = two_layers(tmp_path, "Relu")
    model = load_model(path, digital=["down"])
    assert linears(model) == [("up", 8, 16)]
    assert model.tails["token"].operations == (
        Operation("activation", 16),
        Operation("attention_mac", 64),
        Operation("add", 4),
    )


def test_where_a_shape_is_lost_is_told(tmp_path: Path) -> None:
    """An operation of nobody's, two nodes before the matrix that needs to know its size."""
    net = Net({"x": ["batch", 4, 8]})
    read = net("Relu", net("Mine", net("MatMul", "x", net.tensor("v", 8, 8)), name="strange", domain="of.mine"))
    path = net.save(tmp_path / "net.onnx", net("MatMul", read, net.tensor("w", 8, 8), name="last"))
    with pytest.raises(InputError, match=r"last \(MatMul\): the shape of .* node strange \(of\.mine\.Mine\) makes"):
        load_model(path)


def test_sizes_are_given_or_asked_for(tmp_path: Path) -> None:
    net = Net({"x": ["batch", 4, "height", "width"]}, opset=20)
    read = net("Flatten", "x")
    weight = net("Reshape", net.tensor("w", 96, 2), net.numbers([96, 2]))
    path = net.save(tmp_path / "net.onnx", net("MatMul", read, weight))
    with pytest.raises(InputError, match=r"the size of height, width is not known; give it by --dim height=N --dim w"):
        load_model(path)
    model = load_model(path, dims={"height": 4, "width": 6})
    assert [(n_in, n_out) for _, n_in, n_out in linears(model)] == [(96, 2)]
    with pytest.raises(InputError, match=r"node .*MatMul.*does not fit"):
        load_model(path, dims={"height": 4, "width": 7})
    with pytest.raises(InputError, match=r"--dim depth: .* it has: batch, height, width"):
        load_model(path, dims={"depth": 4})
    with pytest.raises(InputError, match=r"--dim: .* is a config"):
        load_model("minilm-l6", dims={"depth": 4})


def test_a_fixed_length_is_the_number_of_tokens(tmp_path: Path) -> None:
    net = Net({"x": [1, 20, 8]})
    path = net.save(tmp_path / "net.onnx", net.linear("w", "x", 8, 8))
    assert load_model(path).tokens == 20
    with pytest.raises(InputError, match=r"--tokens: 24: the matrices of .* fire 20 times; expected 20"):
        load_model(path, 24)


def test_a_sequence_longer_than_a_table_of_positions_is_refused(tmp_path: Path) -> None:
    net = Net({"x": ["batch", "sequence", 8]})
    places = net("Range", net.numbers(0), net("Gather", net("Shape", "x"), net.numbers(1)), net.numbers(1))
    read = net("Add", "x", net("Gather", net.tensor("positions", 16, 8), places))
    path = net.save(tmp_path / "net.onnx", net.linear("w", read, 8, 8))
    assert load_model(path, 16).tokens == 16
    with pytest.raises(InputError, match="asks for row 16 of 16"):
        load_model(path, 17)


def test_what_depends_on_values_is_refused(tmp_path: Path) -> None:
    net = Net({"x": [1, 8]})
    branch = helper.make_graph([], "b", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])])
    made = net("If", net.numbers(True, bool), name="/choice", then_branch=branch, else_branch=branch)
    with pytest.raises(InputError, match=r"node /choice \(If\)"):
        load_model(net.save(tmp_path / "net.onnx", net.linear("w", made, 8, 8)))


def small_cnn(path: Path) -> Path:
    """Two convolutions, one behind a norm, pools and a head."""
    net = Net({"x": ["batch", 3, 8, 8]})
    first = net("Conv", "x", net.tensor("first.weight", 4, 3, 3, 3), net.tensor("first.bias", 4))
    scales = [net.tensor(name, 4) for name in ("scale", "offset", "mean", "variance")]
    pooled = net("MaxPool", net("Relu", net("BatchNormalization", first, *scales)), kernel_shape=[2, 2], strides=[2, 2])
    second = net("Conv", pooled, net.tensor("second.weight", 6, 4, 3, 3), pads=[1, 1, 1, 1])
    beside = net("Conv", pooled, net.tensor("beside.weight", 6, 4, 1, 1))
    joined = net("Relu", net("Add", second, beside))
    flat = net("Flatten", net("GlobalAveragePool", joined))
    return net.save(path, net("Gemm", flat, net.tensor("head.weight", 5, 6), transB=1))


def test_a_convolution_is_a_matrix_that_fires_at_its_positions(tmp_path: Path) -> None:
    model = load_model(small_cnn(tmp_path / "cnn.onnx"))
    assert linears(model) == [("first", 27, 4), ("second", 36, 6), ("beside", 4, 6), ("head", 6, 5)]
    assert [step.positions for step in model.steps] == [36, 9, 9, 1]
    assert [step.reads for step in model.steps] == [(), (0,), (0,), (1, 2)]
    assert [step.moved_elements for step in model.steps] == [36 * 27, 9 * 36, 9 * 4, 6]
    pooled = {"activation": 144, "add": 36 * 4}
    assert [work(step) for step in model.steps] == [{}, pooled, {}, {"add": 54 + 54, "activation": 54}]
    assert model.tokens == 1
    with pytest.raises(InputError, match=r"--tokens: 4: a pass of .* is that of its whole input"):
        load_model(tmp_path / "cnn.onnx", 4)


def test_what_fires_at_many_positions_is_mapped_and_passes_the_checker(cli: Cli, tmp_path: Path) -> None:
    path, out = small_cnn(tmp_path / "cnn.onnx"), tmp_path / "out"
    asked = ("--model", str(path), "--hw", "paper256", "--out", str(out), "--set", "array.rows=32", "-q")
    assert cli(*asked, "--simulate", "all").code == 0
    answers = sorted(out.glob("*.json"))
    assert len(answers) == 6
    assert cli("check", *map(str, answers)).code == 0
    assert cli("replay", str(answers[0])).code == 0
    content = json.loads(answers[0].read_text())
    content["stages"][0]["positions"] = 35
    answers[0].write_text(json.dumps(content))
    assert cli("check", str(answers[0])).code == 1
    assert "has a network" in cli("--model", str(path), "--hw", "paper256-mesh").err


def test_convolutions_in_groups_and_turned_ones_are_digital_work_where_asked(tmp_path: Path) -> None:
    net = Net({"x": ["batch", 4, 8, 8]})
    made = net("Conv", "x", net.tensor("w.weight", 4, 4, 1, 1))
    made = net("Conv", made, net.tensor("g", 4, 1, 3, 3), group=4, name="/each")
    path = net.save(tmp_path / "net.onnx", net("Conv", made, net.tensor("v.weight", 2, 4, 1, 1)))
    model = load_model(path, digital=["GroupedConv"])
    assert work(model.steps[1]) == {"attention_mac": 36 * 9 * 4}
    net = Net({"x": ["batch", 4, 8, 8]})
    made = net("ConvTranspose", net("Conv", "x", net.tensor("w.weight", 4, 4, 1, 1)), net.tensor("t", 4, 2, 3, 3))
    path = net.save(tmp_path / "net.onnx", net("Conv", made, net.tensor("v.weight", 2, 2, 1, 1)))
    assert work(load_model(path, digital=["ConvTranspose"]).steps[1]) == {"attention_mac": 4 * 64 * 2 * 9}


def small_mobile_net(path: Path) -> Path:
    """A kernel for each channel between kernels of one place, then one in groups, with strides and paddings."""
    net = Net({"x": ["batch", 3, 10, 10]})
    made = net("Relu", net("Conv", "x", net.tensor("stem.weight", 8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]))
    made = net("Relu", net("Conv", made, net.tensor("each.weight", 8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]))
    made = net("Conv", made, net.tensor("point.weight", 12, 8, 1, 1))
    made = net("Conv", made, net.tensor("quarters.weight", 16, 3, 3, 3), group=4)
    flat = net("Flatten", net("GlobalAveragePool", made))
    return net.save(path, net("Gemm", flat, net.tensor("head.weight", 5, 16), transB=1))


def test_a_convolution_in_groups_is_block_diagonal(tmp_path: Path) -> None:
    model = load_model(small_mobile_net(tmp_path / "net.onnx"))
    assert linears(model) == [
        ("stem", 27, 8),
        ("each", 72, 8),
        ("point", 8, 12),
        ("quarters", 108, 16),
        ("head", 16, 5),
    ]
    assert [step.positions for step in model.steps] == [25, 25, 25, 9, 1]
    assert model.weight_count == 27 * 8 + 8 * 9 + 8 * 12 + 16 * 27 + 16 * 5
    for structure in ("sqrt", "dense", "lowrank:2"):
        asked = ask(model, "paper256", structure=structure)
        blocks = {each.linear: each for each in Problem(asked).workload.factors}
        assert [blocks["each"].kind, *model.linears[1].block] == ["dense", 8, 9, 1]
        assert (blocks["quarters"].blocks, blocks["quarters"].block_rows, blocks["quarters"].block_cols) == (4, 27, 4)
    with pytest.raises(InputError, match="'quarters' is 4,4,1: it has 4 blocks as it is"):
        ask(model, "paper256", structure="quarters=4,4,1")


def test_weights_in_groups_make_what_the_graph_makes(tmp_path: Path) -> None:
    """Windows by hand, times the blocks on a diagonal, are what ONNX's own evaluator makes of each convolution."""
    path = small_mobile_net(tmp_path / "net.onnx")
    model, proto = load_model(path), onnx.load(path)
    weights = weights_beside(model, path)
    assert weights is not None
    x = np.random.default_rng(1).normal(size=(1, 3, 10, 10)).astype(np.float32)
    for number, name in enumerate(["stem", "each", "point", "quarters"]):
        node = [each for each in proto.graph.node if each.op_type == "Conv"][number]
        given = {node.input[0]: x, node.input[1]: numpy_helper.to_array(proto.graph.initializer[number])}
        (made,) = ReferenceEvaluator(node).run(None, given)
        linear, held = model.linears[number], weights[name]
        assert not isinstance(held, Monarch)
        groups, rows, cols = linear.block
        blocks = held.reshape(groups, rows, cols)
        keys = {each.name: list(each.ints) for each in node.attribute if each.ints}
        before, stride, side = keys.get("pads", [0])[0], keys.get("strides", [1])[0], given[node.input[1]].shape[2]
        padded = np.pad(x, [(0, 0), (0, 0), (before, before), (before, before)])
        for row, col in np.ndindex(made.shape[2:]):
            top, left = row * stride, col * stride
            window = padded[0, :, top : top + side, left : left + side].reshape(groups, rows)
            assert np.allclose(np.einsum("gr,grc->gc", window, blocks).ravel(), made[0, :, row, col], atol=1e-4)
        x = made


def test_what_is_in_groups_is_mapped_simulated_checked_and_replayed(cli: Cli, tmp_path: Path) -> None:
    path, out = small_mobile_net(tmp_path / "net.onnx"), tmp_path / "out"
    asked = ("--model", str(path), "--hw", "paper256", "--out", str(out), "--set", "array.rows=48")
    asked += ("--strategy", "linear,densemap,optimal")
    shown = cli(*asked, "--simulate", "all", "-v")
    assert shown.code == 0
    assert "8 of 9x1, as is" in shown.out
    answers = sorted(out.glob("*.json"))
    assert len(answers) == 3
    assert cli("check", *map(str, answers)).code == 0
    assert cli("replay", str(answers[0])).code == 0
    found = {json.loads(each.read_text())["strategy"]: json.loads(each.read_text())["metrics"] for each in answers}
    # `linear` has tiles of an array for the others, and puts blocks on the diagonals of theirs.
    assert found["linear"]["arrays"] == 1 + 2 + 1 + 4 + 1
    assert found["optimal"]["arrays"] < found["linear"]["arrays"]
    content = json.loads(answers[0].read_text())
    content["model"]["steps"][1]["linears"][0]["groups"] = 3
    answers[0].write_text(json.dumps(content))
    told = " ".join(cli("check", str(answers[0])).out.split())
    assert "groups = 3 does not divide" in told


def test_patches_and_tokens_of_one_graph_are_a_pass_of_the_whole(tmp_path: Path) -> None:
    net = Net({"x": ["batch", 3, 8, 8]})
    patches = net("Conv", "x", net.tensor("patch.weight", 16, 3, 4, 4), strides=[4, 4])
    tokens = net("Transpose", net("Reshape", patches, net.numbers([1, 16, 4])), perm=[0, 2, 1])
    tokens = net("Concat", net.tensor("class", 1, 1, 16), tokens, axis=1)
    tokens = net("Add", tokens, net.tensor("positions", 1, 5, 16))
    model = load_model(net.save(tmp_path / "vit.onnx", net.linear("layer", tokens, 16, 16)))
    assert [step.positions for step in model.steps] == [4, 5]
    assert work(model.steps[1]) == {"add": 80}


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x09", b"\x08\x09\x3a\x00\x42\x02\x10\x11"])
def test_what_is_no_graph_is_refused(cli: Cli, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    result = cli("--model", str(tmp_path / "net.onnx"))
    assert result.code == 2
    assert "net.onnx: " in result.err
    assert len(result.err.splitlines()) == 1


def test_a_graph_without_matrices_is_refused(tmp_path: Path) -> None:
    net = Net({"x": [1, 8]})
    with pytest.raises(InputError, match="no MatMul, Gemm or Conv with weights"):
        load_model(net.save(tmp_path / "net.onnx", net("Relu", "x")))


def test_a_graph_that_reads_what_nothing_makes_is_refused(tmp_path: Path) -> None:
    net = Net({"x": [1, 8]})
    with pytest.raises(InputError, match=r"node .*Relu.* reads nothing_made_it"):
        load_model(net.save(tmp_path / "net.onnx", net.linear("w", net("Relu", "nothing_made_it"), 8, 8)))


# Weights


def test_the_weights_that_a_file_holds_are_simulated(tmp_path: Path) -> None:
    path = small_cnn(tmp_path / "cnn.onnx")
    model = load_model(path)
    weights = weights_beside(model, path)
    assert weights is not None
    held = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    assert np.array_equal(weights["first"], held["first.weight"].reshape(4, 27).T)
    assert np.array_equal(weights["head"], held["head.weight"].T)
    net = Net({"x": [1, 8]})
    made = net.linear("w", "x", 8, 4)
    turned = net("Transpose", net("Identity", net.tensor("t", 3, 4)), perm=[1, 0])
    path = net.save(tmp_path / "net.onnx", net("MatMul", made, turned, name="/t/MatMul"))
    found = weights_beside(load_model(path), path)
    assert found is not None
    assert found["w"].shape == (8, 4)
    assert np.array_equal(found["t"], (np.arange(12, dtype=np.float32).reshape(3, 4) / 7 - 1).T)


def test_weights_beside_a_file_are_read_from_its_folder_alone(cli: Cli, tmp_path: Path) -> None:
    net = Net({"x": [1, 256]})
    path, folder = tmp_path / "a" / "net.onnx", tmp_path / "a"
    folder.mkdir()
    onnx.save(net.proto(net.linear("w", "x", 256, 8)), path, save_as_external_data=True, location="net.data")
    model, asked = load_model(path), ("--model", str(path), "--strategy", "spread", "--out", str(tmp_path / "out"))
    found = weights_beside(model, path)
    assert found is not None
    assert found["w"][0, 1] == np.float32(1 / 7) - 1
    data = (folder / "net.data").rename(tmp_path / "net.data")
    assert "the weights of w are not there" in cli(*asked).err
    for place, wrong in (("../net.data", "expected a file beside it"), (str(data), "expected a file beside it")):
        proto = onnx.load(path, load_external_data=False)
        (entry,) = (e for e in proto.graph.initializer[0].external_data if e.key == "location")
        entry.value = place
        path.write_bytes(proto.SerializeToString())
        result = cli(*asked)
        assert (result.code, len(result.err.splitlines())) == (2, 1)
        assert wrong in result.err
    entry.value = "link"
    path.write_bytes(proto.SerializeToString())
    (folder / "link").symlink_to(data)
    assert "is a link" in cli(*asked).err
    (folder / "link").unlink()
    (folder / "link").write_bytes(data.read_bytes()[:4000])
    assert "takes 8192 bytes" in cli(*asked).err


# Graphs of others


def test_resnet_50_of_the_onnx_package_has_its_published_counts() -> None:
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"
    if not path.exists():
        pytest.skip("this onnx comes without its test data")
    model = load_model(path)
    # 25,557,032 parameters, of which 53,120 are of norms and 1000 biases; 4.09 G multiplications.
    assert model.weight_count == 25_502_912
    assert len(model.linears) == 54
    assert sum(step.positions * linear.weights for step in model.steps for linear in step.linears) == 4_089_184_256
    assert model.config["onnx"]["found"] == {"activation": 49, "add": 18, "softmax": 1}
