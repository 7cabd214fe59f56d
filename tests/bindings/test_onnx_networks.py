"""ONNX beyond single operators: constants folded, functions and branches, names, and what is not represented."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from onnx_models import find, kinds, model, node, normal, run, tokens

from netspectra.errors import FileFormatError, GraphError, LimitError

pytestmark = pytest.mark.requires("onnx")


def read(proto: Any, **more: Any) -> Any:
    from netspectra.bindings.onnx import network_from_onnx

    return network_from_onnx(proto, **more)


def test_free_sizes_are_one_or_what_the_caller_says() -> None:
    from onnx import helper

    nodes = [node("Shape", "x", "s"), node("Slice", "s a b", "n"), node("Concat", "n w", "t", axis=0)]
    nodes.append(node("Reshape", "x t", "y"))
    proto = model(nodes, {"x": [2]}, {"a": np.array([0]), "b": np.array([1]), "w": np.array([-1, 2])}, "y")
    given = helper.make_tensor_value_info("x", 1, ["batch", None, 4])
    proto.graph.input[0].CopyFrom(given)
    assert read(proto).operations[-1].shape == (1, 2, 2)
    assert read(proto, sizes={"batch": 3}).operations[-1].shape == (3, 2, 2)
    with pytest.raises(GraphError, match="sizes must map names"):
        read(proto, sizes={"batch": 0})


def test_weights_are_read_when_they_are_asked_for() -> None:
    """A large transposed, cast parameter is a weight whose values nobody has looked at."""
    w = normal(300, 200)
    nodes = [node("Cast", "w", "c", to=11), node("Transpose", "c", "t"), node("MatMul", "x t", "y")]
    dense = find(read(model(nodes, {"x": [1, 200]}, {"w": w}, "y")), "dense")
    weight = dense.weights["weight"]
    assert (weight.shape, weight.dtype, weight.key) == ((200, 300), np.dtype(np.float64), "w")
    np.testing.assert_array_equal(weight.read(), w.T.astype(np.float64))


def test_every_number_format_of_weights(require: Any) -> None:
    onnx = require("onnx")
    values = np.array([[1.0, -2.0], [0.5, 3.0]])
    ml = require("onnx").helper
    for kind, name in [(1, "float32"), (10, "float16"), (11, "float64"), (16, "bfloat16")]:
        for raw in (False, True):
            stored = values.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
            vals = stored.tobytes() if raw else values.reshape(-1)
            proto = model([node("MatMul", "x w", "y")], {"x": [1, 2]}, {}, "y")
            proto.graph.initializer.append(ml.make_tensor("w", kind, (2, 2), vals, raw=raw))
            weight = find(read(proto), "dense").weights["weight"]
            assert weight.dtype.name == name
            np.testing.assert_array_equal(weight.read().astype(np.float64), values)


def test_rotary_tables_are_no_scales() -> None:
    """Sines and rows of a position table multiply; they are no parameters of channels, even at one position."""
    nodes = [
        node("Mul", "inverse position", "angle"),
        node("Cos", "angle", "cos"),
        node("Mul", "x cos", "a"),
        node("Gather", "table where", "row", axis=0),
        node("Mul", "a row", "y"),
    ]
    parameters = {"inverse": normal(4), "position": np.float32(1), "table": normal(9, 4), "where": np.array([0])}
    network = read(model(nodes, {"x": [1, 1, 4]}, parameters, "y"))
    assert [kind for kind in kinds(network) if kind != "pass"] == ["multiply", "multiply"]
    assert set(network.constants) == {"cos", "row"}


def test_a_class_token_is_a_constant_of_the_network() -> None:
    nodes = [node("Expand", "token s", "t"), node("Concat", "t x", "c", axis=1), node("Add", "c positions", "y")]
    parameters = {"token": normal(1, 1, 4), "s": np.array([1, 1, 4]), "positions": normal(1, 6, 4)}
    network = read(model(nodes, {"x": [1, 5, 4]}, parameters, "y"))
    assert kinds(network) == ["concatenate", "pass"]
    assert network.constants == {"t": (1, 1, 4)}
    assert network.operations[0].shape == (1, 6, 4)


def test_functions_are_followed() -> None:
    from onnx import helper

    inner = [node("Gemm", "a w", "h"), node("Relu", "h", "b")]
    inner[0].attribute.add(name="transB", ref_attr_name="turn", type=2)
    body = helper.make_function("own", "block", ["a", "w"], ["b"], inner, [helper.make_opsetid("", 21)], ["turn"])
    nodes = [node("block", "x v", "m", domain="own", turn=1), node("block", "m u", "y", domain="own", turn=0)]
    proto = model(nodes, {"x": [1, 3]}, {"v": normal(4, 3), "u": normal(4, 2)}, "y", domains=["own"], functions=[body])
    network = read(proto)
    assert kinds(network) == ["dense", "pass", "dense", "pass"]
    assert [operation.options for operation in network.operations[::2]] == [
        {"orientation": "out-in"},
        {"orientation": "in-out"},
    ]


def test_a_function_that_calls_itself_is_refused() -> None:
    from onnx import helper

    for calls in (1, 2):
        inner = [node("loop", "a", f"b{i}" if i else "b", domain="own") for i in range(calls)]
        body = helper.make_function("own", "loop", ["a"], ["b"], inner, [helper.make_opsetid("", 21)])
        proto = model([node("loop", "x", "y", domain="own")], {"x": [3]}, {}, "y", domains=["own"], functions=[body])
        with pytest.raises(FileFormatError, match="deep"):
            read(proto)


def test_functions_that_multiply_are_refused() -> None:
    from onnx import helper

    bodies = []
    for level in range(8):
        op = f"f{level + 1}" if level < 7 else "Relu"
        inner = [node(op, f"t{i}", f"t{i + 1}", domain="own" if level < 7 else "") for i in range(10)]
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        bodies.append(helper.make_function("own", f"f{level}", ["t0"], ["t10"], inner, opsets))
    proto = model([node("f0", "x", "y", domain="own")], {"x": [3]}, {}, "y", domains=["own"], functions=bodies)
    with pytest.raises(LimitError, match="nodes, functions included"):
        read(proto)


def test_a_branch_whose_condition_is_constant_is_followed() -> None:
    from onnx import helper

    def branch(w: str) -> Any:
        made = helper.make_empty_tensor_value_info(f"{w}y")
        return helper.make_graph([node("MatMul", f"x {w}", f"{w}y")], w, [], [made])

    branches = {"then_branch": branch("w"), "else_branch": branch("v")}
    parameters = {"w": normal(3, 4), "v": normal(3, 5), "yes": np.array([False])}
    network = read(model([node("If", "yes", "y", **branches)], {"x": [1, 3]}, parameters, "y"))
    assert find(network, "dense").shape == (1, 5)
    assert [skipped.name for skipped in network.skipped] == ["w"]

    decided = model([node("If", "c", "y", **branches)], {"x": [1, 3], "c": ([1], 9)}, parameters, "y")
    network = read(decided)
    assert kinds(network) == ["opaque"]
    assert "depends on the data" in network.skipped[0].reason


def test_what_is_not_represented_is_named() -> None:
    nodes = [
        node("TopK", "x k", "values places"),
        node("MatMul", "values w", "y"),
        node("Strange", "x u", "z", domain="somewhere"),
    ]
    parameters = {"k": np.array([2]), "w": normal(2, 4), "u": normal(3, 3), "unread": normal(2)}
    network = read(model(nodes, {"x": [1, 3]}, parameters, "y", "z", domains=["somewhere"]))
    assert kinds(network) == ["opaque", "dense", "opaque"]
    reasons = {skipped.name: skipped.reason for skipped in network.skipped}
    assert "TopK" in reasons["TopK_0"]
    assert "somewhere.Strange" in reasons["Strange_2"]
    assert "reads it" in reasons["unread"]


def test_an_unknown_activation_passes() -> None:
    from onnx import helper

    nodes = [node("MyRelu", "x", "h", domain="own"), node("MatMul", "h w", "y")]
    info = [helper.make_tensor_value_info("h", 1, [1, 3])]
    proto = model(nodes, {"x": [1, 3]}, {"w": normal(3, 4)}, "y", domains=["own"], value_info=info)
    assert kinds(read(proto)) == ["pass", "dense"]


def test_weights_that_are_no_numbers_are_skipped() -> None:
    from onnx import helper

    proto = model([node("MatMul", "x w", "y")], {"x": [1, 2]}, {}, "y")
    proto.graph.initializer.append(helper.make_tensor("w", 14, (2, 2), [1 + 1j] * 4))
    network = read(proto)
    assert kinds(network) == ["opaque"]
    assert "unsupported type" in network.skipped[0].reason


@pytest.mark.parametrize(
    ("name", "metadata", "key", "expected"),
    [
        ("/layer1/layer1.0/conv1/Conv", {}, "onnx::Conv_1", "layer1.0.conv1"),
        ("/h.0/attn/c_attn/MatMul", {}, "onnx::MatMul_1", "h.0.attn.c_attn"),
        ("node_1", {"pkg.torch.onnx.name_scopes": "['', 'a', 'a.b', 'linear']"}, "val_3", "a.b"),
        ("node_1", {"pkg.torch.onnx.name_scopes": "['', 'a', 'mm']"}, "a.out_proj.weight", "a.out_proj"),
        ("node_1", {"pkg.torch.onnx.name_scopes": "['', 'head', 'linear']"}, "wte.weight", "head"),
        (
            "node_1",
            {"pkg.torch.onnx.name_scopes": "['', 'bn1', 'x']", "pkg.onnxscript.rewriter.rule_name": "FuseBatchNorm"},
            "conv1.weight",
            "conv1",
        ),
        ("node_1", {"pkg.torch.onnx.name_scopes": "[" * 2000}, "fc.weight", "fc"),
        ("", {}, "w1", "MatMul_0"),
    ],
)
def test_names_of_operations(name: str, metadata: dict[str, str], key: str, expected: str) -> None:
    proto = model([node("MatMul", f"x {key}", "y", name=name)], {"x": [1, 3]}, {key: normal(3, 4)}, "y")
    for entry, value in metadata.items():
        proto.graph.node[0].metadata_props.add(key=entry, value=value)
    assert read(proto).operations[0].name == expected


def test_a_graph_of_a_small_network() -> None:
    """Residual and embedding, through to the layer graph."""
    from netspectra.bindings.onnx import graph_from_onnx

    nodes = [
        node("Gather", "table ids", "e", name="/emb/Gather"),
        node("MatMul", "e u", "h", name="/up/MatMul"),
        node("Gelu", "h", "g"),
        node("MatMul", "g d", "f", name="/down/MatMul"),
        node("Add", "f e", "y"),
    ]
    parameters = {"table": normal(7, 4), "u": normal(4, 6), "d": normal(6, 4)}
    graph = graph_from_onnx(model(nodes, {"ids": tokens(1, 3)}, parameters, "y"))
    assert sorted(layer.size for layer in graph.layers) == [4, 6, 7]
    assert sum(block.shape[0] * block.shape[1] for block in graph.blocks) == 7 * 4 + 4 * 6 + 6 * 4


def test_constants_that_would_grow_are_not_computed() -> None:
    """Doubling a constant sixty times, and then reading it, takes no time and no memory."""
    nodes = [node("Add", f"t{i} t{i}", f"t{i + 1}") for i in range(60)]
    nodes += [node("Expand", "t60 large", "e"), node("MatMul", "x e", "y")]
    parameters = {"t0": normal(200, 100), "large": np.array([1 << 20, 200, 100])}
    began = time.perf_counter()
    with pytest.raises(LimitError, match="max_bytes"):
        read(model(nodes, {"x": [1, 200]}, parameters, "y"))
    nodes[60:] = [node("MatMul", "x t60", "y")]
    network = read(model(nodes, {"x": [1, 200]}, parameters, "y"))
    assert kinds(network) == ["opaque"]
    assert time.perf_counter() - began < 1


def test_einsum_of_constants_that_would_take_forever() -> None:
    nodes = [node("Einsum", "a b c d", "s", equation="i,j,k,l->"), node("Mul", "x s", "y")]
    parameters = {name: normal(4000) for name in "abcd"}
    began = time.perf_counter()
    network = read(model(nodes, {"x": [1, 3]}, parameters, "y"))
    assert "products of constants" in network.skipped[0].reason
    assert time.perf_counter() - began < 1


def test_constants_are_computed_within_a_budget() -> None:
    nodes = [node("Sin", f"t{i}", f"t{i + 1}") for i in range(3000)]
    nodes += [node("ReduceSum", "t3000", "s"), node("Mul", "x s", "y")]
    began = time.perf_counter()
    read(model(nodes, {"x": [1, 3]}, {"t0": normal(16_000)}, "y"))
    assert time.perf_counter() - began < 1


def test_inputs_of_unknown_rank() -> None:
    nodes = [node("Conv", "x k", "a"), node("Relu", "a", "b"), node("Flatten", "b", "c"), node("Gemm", "c w", "y")]
    proto = model(nodes, {"x": [1]}, {"k": normal(4, 3, 3, 3), "w": normal(16, 5)}, "y")
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    network = read(proto)
    assert kinds(network) == ["convolution", "pass", "flatten", "dense"]
    assert network.inputs == {"x": None}
    assert network.skipped == ()


def test_sequences_are_taken_apart() -> None:
    nodes = [
        node("SplitToSequence", "x two", "s", axis=-1),
        node("SequenceAt", "s last", "a"),
        node("SequenceAt", "s first", "b"),
        node("SequenceConstruct", "a b", "t"),
        node("ConcatFromSequence", "t", "c", axis=1),
        node("ConcatFromSequence", "t", "y", axis=-1, new_axis=1),
        node("SequenceLength", "t", "n"),
        node("Mul", "n two", "m"),
        node("Reshape", "c m", "r"),
        node("MatMul", "r w", "z"),
    ]
    parameters = {"two": np.array(2), "last": np.array(-1), "first": np.array(0), "w": normal(4, 5)}
    network = read(model(nodes, {"x": [1, 4]}, parameters, "y", "z"))
    given = normal(1, 4)
    stacked, product = run(network, {"x": given})
    np.testing.assert_allclose(stacked, np.stack([given[:, 2:], given[:, :2]], -1))
    np.testing.assert_allclose(product, given[0, [2, 3, 0, 1]] @ parameters["w"], rtol=1e-5)
    lost = read(model([*nodes[:1], node("Relu", "s", "y")], {"x": [1, 4]}, parameters, "y"))
    assert "Relu of a sequence" in lost.skipped[0].reason


def test_constants_are_cast_like_what_flows() -> None:
    nodes = [node("CastLike", "half x", "h"), node("Cast", "ids", "f", to=1), node("CastLike", "three f", "t")]
    nodes += [node("CastLike", "three ids", "n"), node("Add", "ids n", "i"), node("MatMul", "x w", "m")]
    nodes += [node("Range", "zero n one", "r"), node("Gather", "m r", "y")]
    parameters = {"half": np.float64(0.5), "three": np.float32(3), "w": normal(4, 5), "zero": np.array(0)}
    network = read(
        model(nodes, {"x": [6, 4], "ids": tokens(2)}, {**parameters, "one": np.array(1)}, "y", "i", "t", "h")
    )
    assert network.operations[-1].options["indices"].tolist() == [0, 1, 2]
    assert network.constants == {"t": (), "h": ()}
