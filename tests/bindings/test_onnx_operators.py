"""Networks read from ONNX against ONNX's own reference evaluator: the same numbers, wherever both can be run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import find, kinds, model, node, normal, run, tokens

from netspectra.errors import FileFormatError, GraphError

pytestmark = pytest.mark.requires("onnx")

RNG = np.random.default_rng(3)
INDICES = np.array([[2, 0], [1, -1]])
X = {"x": [1, 6, 4]}

#: Bias-free linear models: nodes, inputs, parameters.
LINEAR: dict[str, tuple[list[tuple[Any, ...]], dict[str, Any], dict[str, Any]]] = {
    "gemm": ([("Gemm", "x w", "y")], {"x": [2, 3]}, {"w": normal(3, 5)}),
    "gemm turned": ([("Gemm", "x w", "y", {"transA": 1, "transB": 1})], {"x": [3, 2]}, {"w": normal(5, 3)}),
    "gemm, weights first": ([("Gemm", "w x", "y", {"transB": 1})], {"x": [2, 3]}, {"w": normal(5, 3)}),
    "gemm, weights first, turned": ([("Gemm", "w x", "y", {"transA": 1})], {"x": [3, 2]}, {"w": normal(3, 5)}),
    "gemm of two": ([("Gemm", "x a", "y", {"transB": 1})], {"x": [2, 3], "a": [4, 3]}, {}),
    "gemm plus what flows": ([("Gemm", "x w a", "y")], {"x": [2, 3], "a": [2, 5]}, {"w": normal(3, 5)}),
    "matmul": ([("MatMul", "x w", "y")], X, {"w": normal(4, 5)}),
    "matmul from the left": ([("MatMul", "w x", "y")], X, {"w": normal(3, 6)}),
    "matmul of two": ([("MatMul", "x a", "y")], {"x": [2, 3, 4], "a": [4, 5]}, {}),
    "matmul, vector": ([("MatMul", "x w", "y")], X, {"w": normal(4)}),
    "matmul, vector from the left": ([("MatMul", "w x", "y")], X, {"w": normal(6)}),
    "matmul, stack of one": ([("MatMul", "x w", "y")], X, {"w": normal(1, 1, 4, 5)}),
    "matmul, transposed weights": (
        [("Transpose", "w", "t", {"perm": [1, 0]}), ("MatMul", "x t", "y")], X, {"w": normal(5, 4)}
    ),
    "convolution": ([("Conv", "x w", "y")], {"x": [1, 4, 5, 5]}, {"w": normal(6, 4, 1, 1)}),
    "convolution, 1-D, groups": ([("Conv", "x w", "y", {"group": 2})], {"x": [1, 4, 5]}, {"w": normal(6, 2, 1)}),
    "convolution, depthwise": ([("Conv", "x w", "y", {"group": 4})], {"x": [2, 4, 5]}, {"w": normal(8, 1, 1)}),
    "transposed convolution": ([("ConvTranspose", "x w", "y")], {"x": [1, 4, 3, 3]}, {"w": normal(4, 6, 1, 1)}),
    "embedding": ([("Gather", "w x", "y")], {"x": tokens(2, 3)}, {"w": normal(7, 4)}),
    "batch norm": (
        [("BatchNormalization", "x s b m v", "y")],
        {"x": [1, 4, 3]},
        {"s": normal(4), "b": np.zeros(4, "f4"), "m": np.zeros(4, "f4"), "v": normal(4) ** 2},
    ),
    "scale by a parameter": ([("Mul", "x w", "y")], X, {"w": normal(6, 1)}),
    "divided by a parameter": ([("Div", "x w", "y")], X, {"w": normal(4)}),
    "gemma's scale": ([("Add", "w one", "f"), ("Mul", "x f", "y")], X, {"w": normal(4), "one": np.float32(1)}),
    "add": ([("Add", "x a", "y")], {**X, "a": [4]}, {}),
    "sum of three": ([("Sum", "x a x", "y")], {**X, "a": [4]}, {}),
    "multiply": ([("Mul", "x a", "y")], {**X, "a": [6, 1]}, {}),
    "concatenation": ([("Concat", "x a", "y", {"axis": -1})], {**X, "a": [1, 6, 2]}, {}),
    "split, equal": ([("Split", "x", "y z", {"axis": 1, "num_outputs": 2})], X, {}),
    "split": ([("Split", "x s", "y z", {"axis": -1})], X, {"s": np.array([1, 3])}),
    "slice": (
        [("Slice", "x a b c d", "y")],
        X,
        {"a": np.array([1, -1]), "b": np.array([1 << 60, -(1 << 60)]), "c": np.array([1, 2]), "d": np.array([2, -1])},
    ),
    "gather, a row": ([("Gather", "x i", "y", {"axis": 1})], X, {"i": np.array(-2)}),
    "gather, rows": ([("Gather", "x i", "y", {"axis": 2})], X, {"i": np.array([3, 0, 0])}),
    "gather, a table of rows": ([("Gather", "x i", "y", {"axis": 1})], X, {"i": INDICES}),
    "gather, one to choose": ([("Gather", "x i", "y")], {**X, "i": tokens(2)}, {}),
    "reshape": ([("Reshape", "x s", "y")], X, {"s": np.array([0, 2, -1, 4])}),
    "flatten": ([("Flatten", "x", "y", {"axis": 2})], X, {}),
    "transpose": ([("Transpose", "x", "y", {"perm": [2, 0, 1]})], X, {}),
    "transpose by default": ([("Transpose", "x", "y")], X, {}),
    "squeeze": ([("Squeeze", "x", "y")], X, {}),
    "squeeze an axis": ([("Squeeze", "x a", "y")], X, {"a": np.array([-3])}),
    "unsqueeze": ([("Unsqueeze", "x a", "y")], X, {"a": np.array([0, -1])}),
    "expand": ([("Expand", "x s", "y")], X, {"s": np.array([2, 3, 6, 1])}),
    "tile": ([("Tile", "x s", "y")], X, {"s": np.array([3, 1, 2])}),
    "pad": ([("Pad", "x s - a", "y")], X, {"s": np.array([1, 2, 0, 3]), "a": np.array([1, 2])}),
    "pad, reflected": ([("Pad", "x s", "y", {"mode": "reflect"})], X, {"s": np.array([0, 2, 0, 0, 1, 3])}),
    "mean": ([("ReduceMean", "x a", "y", {"keepdims": 0})], X, {"a": np.array([-1])}),
    "mean of all": ([("ReduceMean", "x", "y")], X, {}),
    "global pooling": ([("GlobalAveragePool", "x", "y")], X, {}),
    "depth to space": ([("DepthToSpace", "x", "y", {"blocksize": 2})], {"x": [1, 8, 2, 3]}, {}),
    "pixel shuffle": ([("DepthToSpace", "x", "y", {"blocksize": 2, "mode": "CRD"})], {"x": [1, 8, 2, 3]}, {}),
    "space to depth": ([("SpaceToDepth", "x", "y", {"blocksize": 2})], {"x": [1, 2, 4, 6]}, {}),
    "einsum of two": (
        [("Einsum", "x a", "y", {"equation": "bhid,bhjd->bihj"})], {"x": [2, 3, 4, 5], "a": [2, 3, 6, 5]}, {}
    ),
    "einsum with weights": ([("Einsum", "x w", "y", {"equation": "...d,hdk->h...k"})], X, {"w": normal(3, 4, 5)}),
    "einsum of one": ([("Einsum", "x", "y", {"equation": "bij->ji"})], X, {}),
    "einsum of constants": (
        [("Einsum", "a b", "w", {"equation": "i,j->ij"}), ("MatMul", "x w", "y")], X, {"a": normal(4), "b": normal(5)}
    ),
    "quantised weights": (
        [("DequantizeLinear", "w s z", "f", {"axis": 1}), ("MatMul", "x f", "y")],
        X,
        {"w": RNG.integers(0, 255, (4, 5), np.uint8), "s": normal(5) ** 2, "z": RNG.integers(0, 9, 5, np.uint8)},
    ),
    "weights of two parameters": (
        [("Mul", "v g", "w"), ("Cast", "w", "c", {"to": 11}), ("Cast", "x", "d", {"to": 11}), ("MatMul", "d c", "y")],
        X,
        {"v": normal(4, 5), "g": normal(1, 5)},
    ),
    "shape arithmetic": (
        [
            ("Shape", "x", "s"), ("Gather", "s zero", "n"), ("Mul", "n two", "m"), ("Unsqueeze", "m first", "u"),
            ("Concat", "u rest", "t", {"axis": 0}), ("Reshape", "x t", "y"),
        ],
        X,
        {"zero": np.array(1), "two": np.array(2), "first": np.array([0]), "rest": np.array([-1])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_same_numbers_as_the_reference(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    from netspectra.bindings.onnx import network_from_onnx

    nodes, inputs, parameters = LINEAR[name]
    built = [node(*parts[:3], **(parts[3] if len(parts) > 3 else {})) for parts in nodes]
    outputs = nodes[-1][2].split()
    proto = model(built, inputs, parameters, *outputs)
    rng = np.random.default_rng(1)
    given = {
        key: rng.integers(0, 1 if key == "i" else 7, shape[0])
        if isinstance(shape[0], list)
        else rng.standard_normal(shape).astype(np.float32)
        for key, shape in inputs.items()
    }
    expected = ReferenceEvaluator(proto).run(None, given)
    found = run(network_from_onnx(proto), given)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def read(*arguments: Any, **more: Any) -> Any:
    from netspectra.bindings.onnx import network_from_onnx

    return network_from_onnx(model(*arguments, **more))


@pytest.mark.parametrize(
    ("op", "attributes", "size", "after"),
    [
        ("Conv", {"strides": [2, 2], "pads": [1, 1, 1, 1]}, 7, 4),
        ("Conv", {"dilations": [2, 2]}, 7, 3),
        ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 7, 4),
        ("ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, 4, 8),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}, 8, 3),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, 8, 4),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0]}, 5, 3),
    ],
)
def test_windows_as_the_reference(op: str, attributes: dict[str, Any], size: int, after: int) -> None:
    from onnx.reference import ReferenceEvaluator

    weights = {} if "Pool" in op else {"w": normal(4, 4, 3, 3)}
    proto = model([node(op, " ".join(["x", *weights]), "y", **attributes)], {"x": [1, 4, size, size]}, weights, "y")
    from netspectra.bindings.onnx import network_from_onnx

    (operation,) = network_from_onnx(proto).operations
    assert operation.shape == (1, 4, after, after)
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": normal(1, 4, size, size)})
    assert expected.shape == operation.shape


def test_a_negative_pad_cuts() -> None:
    network = read([node("Pad", "x s", "y")], X, {"s": np.array([0, -1, 0, 0, -2, 1])}, "y")
    given = normal(1, 6, 4)
    (found,) = run(network, {"x": given})
    np.testing.assert_array_equal(found, np.pad(given[:, 1:4], [(0, 0), (0, 0), (0, 1)]))


def test_biases_and_masks_change_nothing() -> None:
    network = read(
        [
            node("Gemm", "x w b", "h"),
            node("Add", "h c", "i"),
            node("Where", "mask i low", "j"),
            node("Mul", "j half", "k"),
            node("Relu", "k", "y"),
        ],
        {"x": [1, 3]},
        {
            "w": normal(3, 4), "b": normal(4), "c": normal(4), "mask": np.array([True] * 4), "low": np.float32(-9),
            "half": np.float32(0.5),
        },
        "y",
    )  # fmt: skip
    assert kinds(network) == ["dense", "pass", "pass", "pass", "pass"]
    assert network.skipped == ()


def test_normalisations_keep_their_factor() -> None:
    s, zeros = normal(4), np.zeros(4, np.float32)
    nodes = [
        node("LayerNormalization", "x s", "a"),
        node("RMSNormalization", "a s", "b"),
        node("SimplifiedLayerNormalization", "b s", "c"),
        node("SkipLayerNormalization", "c a s", "d - - e", domain="com.microsoft"),
        node("Transpose", "d", "t", perm=[0, 2, 1]),
        node("InstanceNormalization", "t s z", "f"),
        node("GroupNormalization", "f s z", "g", num_groups=2),
        node("Transpose", "e", "u", perm=[0, 2, 1]),
        node("Add", "u g", "y"),
    ]
    network = read(nodes, {"x": [1, 5, 4]}, {"s": s, "z": zeros}, "y", opset=23, domains=["com.microsoft"])
    scales = [operation for operation in network.operations if operation.kind == "scale"]
    assert [operation.options["axis"] for operation in scales] == [-1, -1, -1, -1, 1, 1]
    assert all(np.array_equal(operation.weights["scale"].read(), s) for operation in scales)


def test_a_group_norm_as_exporters_write_it() -> None:
    nodes = [
        node("Reshape", "x shape", "a"), node("InstanceNormalization", "a one zero", "b"),
        node("Reshape", "b back", "c"), node("Mul", "c w", "d"), node("Add", "d v", "y"),
    ]  # fmt: skip
    parameters = {
        "shape": np.array([0, 2, -1]), "one": np.ones(2, "f4"), "zero": np.zeros(2, "f4"),
        "back": np.array([1, 4, 3, 3]), "w": normal(4, 1, 1), "v": normal(4, 1, 1),
    }  # fmt: skip
    network = read(nodes, {"x": [1, 4, 3, 3]}, parameters, "y")
    scale = find(network, "scale")
    assert scale.options["axis"] == -3
    np.testing.assert_array_equal(scale.weights["scale"].read(), parameters["w"].reshape(-1))


def test_a_norm_over_several_axes_is_skipped_by_name() -> None:
    network = read([node("LayerNormalization", "x s", "y", axis=1)], {"x": [1, 5, 4]}, {"s": normal(5, 4)}, "y")
    assert kinds(network) == ["pass"]
    assert "several axes" in network.skipped[0].reason


@pytest.mark.parametrize(("gates", "op"), [(1, "RNN"), (3, "GRU"), (4, "LSTM")])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_recurrent_cells(gates: int, op: str, direction: str) -> None:
    n = 2 if direction == "bidirectional" else 1
    w, r = normal(n, gates * 3, 5), normal(n, gates * 3, 3)
    nodes = [node(op, "x w r", "y h", hidden_size=3, direction=direction)]
    network = read(nodes, {"x": [6, 2, 5]}, {"w": w, "r": r}, "y", "h")
    cells = [operation for operation in network.operations if operation.kind == "recurrent"]
    assert [cell.options for cell in cells] == [{"orientation": "out-in", "gates": gates}] * n
    for which, cell in enumerate(cells):
        np.testing.assert_array_equal(cell.weights["input_weight"].read(), w[which])
        np.testing.assert_array_equal(cell.weights["hidden_weight"].read(), r[which])
    shapes = {name: operation.shape for operation in network.operations for name in operation.outputs}
    assert [shapes[name] for name in network.outputs] == [(6, n, 2, 3), (n, 2, 3)]


def test_attention_of_flat_tensors_with_shared_heads() -> None:
    nodes = [node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2)]
    network = read(nodes, {"q": [1, 5, 16], "k": [1, 7, 8], "v": [1, 7, 12]}, {}, "y", opset=23)
    attention = find(network, "attention")
    assert attention.shape == (1, 4, 5, 6)
    assert [operation.options for operation in network.operations if operation.kind == "repeat"] == [
        {"axis": 1, "times": 2}
    ] * 2
    assert network.operations[-1].shape == (1, 5, 24)


def test_fused_operators_of_onnx_runtime() -> None:
    ms = {"domain": "com.microsoft"}
    nodes = [
        node("EmbedLayerNormalization", "ids - words positions - g b", "e", **ms),
        node("Attention", "e w c", "a", num_heads=2, **ms),
        node("FusedMatMul", "a m", "f", transB=1, **ms),
        node("BiasGelu", "f b", "h", **ms),
        node("MultiHeadAttention", "h h h", "i", num_heads=2, **ms),
        node("GroupQueryAttention", "i i i past_k past_v n n", "y key value", num_heads=2, kv_num_heads=2, **ms),
    ]
    parameters = {
        "words": normal(9, 4), "positions": normal(5, 4), "g": normal(4), "b": normal(4), "w": normal(4, 12),
        "c": normal(12), "m": normal(4, 4), "n": np.array([3], np.int32),
    }  # fmt: skip
    given = {"ids": tokens(1, 3), "past_k": [1, 2, 6, 2], "past_v": [1, 2, 6, 2]}
    network = read(nodes, given, parameters, "y", "key", domains=["com.microsoft"])
    assert network.skipped == ()
    assert kinds(network).count("attention") == 3
    shapes = {name: operation.shape for operation in network.operations for name in operation.outputs}
    assert [shapes[name] for name in network.outputs] == [(1, 3, 4), (1, 2, 9, 2)]


@pytest.mark.parametrize(
    ("nodes", "inputs", "parameters", "error", "words"),
    [
        ([("Conv", "x w", "y")], {"x": [1, 3, 5, 5]}, {"w": normal(4, 2, 3, 3)}, GraphError, "2 channels"),
        ([("Gemm", "x w", "y")], {"x": [1, 3]}, {"w": normal(4, 2)}, GraphError, "4 values"),
        ([("Add", "x a", "y")], {"x": [1, 3], "a": [2, 4]}, {}, GraphError, "broadcast"),
        ([("Concat", "x a", "y", {"axis": 1})], {"x": [1, 3], "a": [2, 4]}, {}, GraphError, "axis 1 only"),
        ([("Reshape", "x s", "y")], {"x": [1, 3]}, {"s": np.array([2, 2])}, GraphError, "3 elements"),
        ([("Transpose", "x", "y", {"perm": [0, 0]})], {"x": [1, 3]}, {}, FileFormatError, "permutation"),
        ([("Concat", "x x", "y", {"axis": 9})], {"x": [1, 3]}, {}, FileFormatError, "axis"),
        ([("Conv", "x w", "y", {"strides": [0]})], {"x": [1, 2, 5]}, {"w": normal(2, 2, 3)}, FileFormatError, "stride"),
        ([("Conv", "x w", "y", {"group": 0})], {"x": [1, 2, 5]}, {"w": normal(2, 2, 3)}, FileFormatError, "groups"),
        ([("Gemm", "x", "y")], {"x": [1, 3]}, {}, FileFormatError, "input number 1"),
        ([("Relu", "z", "y")], {"x": [1, 3]}, {}, FileFormatError, "nothing makes it"),
        ([("Add", "x z", "y"), ("Relu", "y", "z")], {"x": [1, 3]}, {}, FileFormatError, "cyclic"),
        ([("Relu", "x", "y"), ("Relu", "x", "y")], {"x": [1, 3]}, {}, FileFormatError, "made again"),
        ([("Relu", "x", "z")], {"x": [1, 3]}, {}, FileFormatError, "that something makes"),
        ([("Relu", "x", "y")], {"x": [1, -3]}, {}, FileFormatError, "possible shape"),
    ],
)
def test_what_makes_no_sense_is_refused(
    nodes: list[Any], inputs: dict[str, Any], parameters: dict[str, Any], error: type[Exception], words: str
) -> None:
    built = [node(*parts[:3], **(parts[3] if len(parts) > 3 else {})) for parts in nodes]
    with pytest.raises(error, match=words):
        read(built, inputs, parameters, "y")
