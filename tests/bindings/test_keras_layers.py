"""Each layer of Keras as operations: shapes by Keras' rules, weights where and as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_files import called, functional, kernel, layer, sequential, source, tensor, write_keras

from netspectra.bindings.keras import graph_from_keras, network_from_keras
from netspectra.errors import FileFormatError
from netspectra.networks import Network, Operation

pytestmark = pytest.mark.requires("h5py")


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Return ``read(input shape, layer record, weights, name of its group)``: the network of one layer."""

    def one(shape: tuple[int | None, ...], record: dict[str, Any], *weights: np.ndarray, group: str = "") -> Network:
        config = sequential(layer("InputLayer", "in", batch_shape=[None, *shape]), record)
        places = {f"layers/{group}/vars/{i}": weight for i, weight in enumerate(weights)}
        return network_from_keras(write_keras(tmp_path / "m.keras", config, places))

    return one


def run(network: Network, x: np.ndarray) -> np.ndarray:
    """Run operations that need no sliding window on an array."""
    values = dict.fromkeys(network.inputs, x)
    for operation in network.operations:
        value, options = values[operation.inputs[0]], operation.options
        if operation.kind == "dense":
            matrix = operation.weights["weight"].read()
            value = value @ (matrix if options["orientation"] == "in-out" else matrix.T)
        elif operation.kind == "transpose":
            value = value.transpose(options["permutation"])
        elif operation.kind == "slice":
            cut = [slice(None)] * value.ndim
            cut[options["axis"]] = slice(options["start"], options["stop"], options.get("step", 1))
            value = value[tuple(cut)]
        elif operation.kind == "pad":
            margins = [(0, 0)] * value.ndim
            margins[options["axis"]] = (options["before"], options["after"])
            value = np.pad(value, margins)
        elif operation.kind == "reduce":
            value = value.sum(axis=options["axes"], keepdims=options["keepdims"])
        elif operation.kind == "expand":
            value = np.broadcast_to(value, operation.shape)
        elif operation.kind == "product":
            value = value @ values[operation.inputs[1]]
        else:
            assert operation.kind in ("reshape", "flatten", "pass"), operation.kind
            value = value.reshape(operation.shape)
        assert value.shape == operation.shape
        values[operation.outputs[0]] = value
    return values[network.outputs[0]]


def only(network: Network) -> Operation:
    (operation,) = network.operations
    return operation


@pytest.mark.parametrize(
    ("config", "window", "n_in", "n_out", "shape"),
    [
        ({}, (3, 2), 2, 5, (1, 5, 7, 5)),
        ({"padding": "same", "strides": [2, 3]}, (3, 2), 2, 5, (1, 4, 3, 5)),
        ({"dilation_rate": [2, 1]}, (3, 2), 2, 5, (1, 3, 7, 5)),
        ({"groups": 2, "padding": "same"}, (3, 2), 1, 6, (1, 7, 8, 6)),
        ({"strides": 2}, (3, 2), 2, 5, (1, 3, 4, 5)),
    ],
)
def test_convolutions(read: Any, config: Any, window: Any, n_in: int, n_out: int, shape: Any) -> None:
    record, K = layer("Conv2D", "c", use_bias=False, **config), kernel(*window, n_in, n_out)
    operation = only(read((7, 8, 2), record, K, group="conv2d"))
    assert (operation.kind, operation.shape) == ("convolution", shape)
    assert operation.options == {"layout": "hwio", "groups": config.get("groups", 1), "axis": -1}
    first = layer("Conv2D", "c", use_bias=False, data_format="channels_first", **config)
    operation = only(read((2, 7, 8), first, K, group="conv2d"))
    assert operation.shape == (1, shape[3], *shape[1:3])
    assert operation.options["axis"] == 1


@pytest.mark.parametrize(("padding", "n_out"), [("valid", 4), ("same", 5), ("causal", 5)])
def test_padding_of_sequences(read: Any, padding: str, n_out: int) -> None:
    record = layer("Conv1D", "c", use_bias=False, padding=padding, strides=2)
    assert only(read((10, 2), record, kernel(3, 2, 4), group="conv1d")).shape == (1, n_out, 4)
    assert only(read((None, 2), record, kernel(3, 2, 4), group="conv1d")).shape == (1, 1, 4)


@pytest.mark.parametrize(
    ("config", "side"),
    [
        ({}, 7),
        ({"strides": 2}, 11),
        ({"strides": 2, "padding": "same"}, 10),
        ({"strides": 4}, 20),
        ({"output_padding": 1}, 8),
    ],
)
def test_transposed_convolutions(read: Any, config: Any, side: int) -> None:
    K = kernel(3, 3, 6, 2)
    operation = only(
        read((5, 5, 2), layer("Conv2DTranspose", "c", use_bias=False, **config), K, group="conv2d_transpose")
    )
    assert operation.shape == (1, side, side, 6)
    assert operation.options["layout"] == "hwoi"
    np.testing.assert_array_equal(operation.weights["weight"].read(), K)


def test_a_depthwise_kernel_is_a_grouped_one(read: Any) -> None:
    K = kernel(3, 3, 4, 2)
    operation = only(read((5, 5, 4), layer("DepthwiseConv2D", "c", use_bias=False), K, group="depthwise_conv2d"))
    grouped = operation.weights["weight"]
    assert (grouped.shape, operation.options["groups"], operation.shape) == ((3, 3, 1, 8), 4, (1, 3, 3, 8))
    for channel in range(4):
        for multiple in range(2):
            made = grouped.read()[:, :, 0, 2 * channel + multiple]
            np.testing.assert_array_equal(made, K[:, :, channel, multiple])


def test_a_separable_convolution_is_two(read: Any) -> None:
    record = layer("SeparableConv1D", "c", strides=2, padding="same", use_bias=False)
    network = read((9, 4), record, kernel(3, 4, 2), kernel(1, 8, 5), group="separable_conv1d")
    depthwise, pointwise = network.operations
    assert (depthwise.name, depthwise.shape, depthwise.options["groups"]) == ("c/depthwise", (1, 5, 8), 4)
    assert (pointwise.name, pointwise.shape, pointwise.options["groups"]) == ("c/pointwise", (1, 5, 5), 1)


@pytest.mark.parametrize(
    ("equation", "shape", "weights"),
    [
        ("abc,cd->abd", (4, 6), (6, 5)),
        ("abc,dc->abd", (4, 6), (5, 6)),
        ("abc,cde->abde", (4, 6), (6, 2, 3)),
        ("abcd,cde->abe", (4, 2, 3), (2, 3, 5)),
        ("abcd,dce->aeb", (4, 2, 3), (3, 2, 5)),
        ("abc,bd->adc", (4, 6), (4, 5)),
        ("...x,xy->...y", (4, 6), (6, 5)),
        ("abc,dec->abed", (4, 6), (2, 3, 6)),
    ],
)
def test_einstein_sums_are_matrix_products(read: Any, equation: str, shape: Any, weights: Any) -> None:
    K, x = kernel(*weights), kernel(1, *shape, seed=1)
    network = read(shape, layer("EinsumDense", "e", equation=equation), K, group="einsum_dense")
    assert [operation.kind for operation in network.operations].count("dense") == 1
    np.testing.assert_allclose(run(network, x), np.einsum(equation, x, K), rtol=1e-5, atol=1e-5)


def test_einstein_sums_with_a_weight_per_position_are_opaque(read: Any) -> None:
    network = read((4, 6), layer("EinsumDense", "e", equation="abc,bcd->abd"), kernel(4, 6, 5), group="einsum_dense")
    assert only(network).kind == "opaque"
    assert "no product with a matrix" in network.skipped[0].reason


@pytest.mark.parametrize(
    ("record", "shape", "expected"),
    [
        (layer("Flatten", "f"), (2, 3, 4), lambda x: x.reshape(1, 24)),
        (
            layer("Flatten", "f", data_format="channels_first"),
            (2, 3, 4),
            lambda x: x.transpose(0, 2, 3, 1).reshape(1, 24),
        ),
        (layer("Reshape", "r", target_shape=[4, -1]), (2, 3, 4), lambda x: x.reshape(1, 4, 6)),
        (layer("Permute", "p", dims=[3, 1, 2]), (2, 3, 4), lambda x: x.transpose(0, 3, 1, 2)),
        (layer("RepeatVector", "r", n=3), (4,), lambda x: np.stack([x] * 3, axis=1)),
        (layer("Cropping2D", "c", cropping=[[1, 0], [0, 2]]), (3, 4, 2), lambda x: x[:, 1:, :2]),
        (layer("Cropping1D", "c", cropping=[1, 2]), (5, 2), lambda x: x[:, 1:3]),
        (layer("ZeroPadding1D", "z", padding=2), (5, 2), lambda x: np.pad(x, [(0, 0), (2, 2), (0, 0)])),
        (layer("GlobalAveragePooling2D", "g"), (3, 4, 2), lambda x: x.sum(axis=(1, 2))),
        (layer("GlobalMaxPooling1D", "g", keepdims=True), (3, 2), lambda x: x.sum(axis=1, keepdims=True)),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else "",
)
def test_what_moves_numbers_about(read: Any, record: Any, shape: Any, expected: Any) -> None:
    x = kernel(1, *shape)
    np.testing.assert_allclose(run(read(shape, record), x), expected(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("record", "shape", "expected"),
    [
        (layer("MaxPooling2D", "p", pool_size=[2, 2], strides=None), (7, 8, 2), (3, 4, 2)),
        (layer("AveragePooling2D", "p", pool_size=3, strides=2, padding="same"), (7, 8, 2), (4, 4, 2)),
        (layer("MaxPooling2D", "p", pool_size=2, data_format="channels_first"), (2, 7, 8), (2, 3, 4)),
        (layer("AdaptiveAveragePooling2D", "p", output_size=[2, 3]), (7, 8, 2), (2, 3, 2)),
        (layer("UpSampling2D", "u", size=[2, 3]), (7, 8, 2), (14, 24, 2)),
        (layer("Resizing", "r", height=5, width=6), (7, 8, 2), (5, 6, 2)),
        (layer("Dropout", "d", rate=0.5), (7, 2), (7, 2)),
        (layer("Activation", "a", activation="gelu"), (7, 2), (7, 2)),
        (layer("UnitNormalization", "n"), (7, 2), (7, 2)),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else "",
)
def test_what_passes_channels_on(read: Any, record: Any, shape: Any, expected: Any) -> None:
    operation = only(read(shape, record))
    assert (operation.kind, operation.shape) == ("pass", (1, *expected))


def test_normalisations_are_factors_per_channel(read: Any) -> None:
    factors = np.arange(1, 7, dtype="f4").reshape(3, 2)
    gamma, beta, variance = factors
    batch = layer("BatchNormalization", "n", axis=[2], epsilon=0.25)
    operation = only(read((4, 2), batch, gamma, beta, beta, variance, group="batch_normalization"))
    assert operation.options == {"axis": 2, "epsilon": 0.25}
    np.testing.assert_array_equal(operation.weights["variance"].read(), variance)
    bare = layer("BatchNormalization", "n", axis=-1, scale=False, center=False)
    assert set(only(read((4, 2), bare, beta, variance, group="batch_normalization")).weights) == {"variance"}
    plain = layer("LayerNormalization", "n", axis=-1)
    np.testing.assert_array_equal(
        only(read((4, 2), plain, gamma, beta, group="layer_normalization")).weights["scale"].read(), gamma
    )
    group = layer("GroupNormalization", "n", axis=-1, groups=1)
    assert only(read((4, 2), group, gamma, beta, group="group_normalization")).kind == "scale"
    assert only(read((4, 2), layer("RMSNormalization", "n"), gamma, group="rms_normalization")).kind == "scale"


def test_a_normalisation_over_several_axes_is_passed_and_named(read: Any) -> None:
    record = layer("LayerNormalization", "n", axis=[1, 2], center=False)
    network = read((4, 2), record, kernel(4, 2), group="layer_normalization")
    assert only(network).kind == "pass"
    assert [(s.name, "together" in s.reason) for s in network.skipped] == [("n", True)]


def test_merges_and_products(tmp_path: Path) -> None:
    config = functional(
        [["a", 0, 0], ["b", 0, 0]],
        [["s", 0, 0], ["m", 0, 0], ["c", 0, 0], ["d", 0, 0]],
        source("a", 4, 6),
        source("b", 4, 6),
        called(layer("Subtract", "s"), [[tensor("a"), tensor("b")]]),
        called(layer("Multiply", "m"), [[tensor("a"), tensor("b")]]),
        called(layer("Concatenate", "c", axis=1), [[tensor("a"), tensor("b")]]),
        called(layer("Dot", "d", axes=[2, 2]), [[tensor("a"), tensor("b")]]),
    )
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, {}))
    made = {operation.name: (operation.kind, operation.shape) for operation in network.operations}
    assert made == {
        "s": ("add", (1, 4, 6)),
        "m": ("multiply", (1, 4, 6)),
        "c": ("concatenate", (1, 8, 6)),
        "d": ("product", (1, 4, 4)),
    }
    assert len(network.outputs) == 4


@pytest.mark.parametrize(
    ("axes", "shapes"), [((1, 1), ((5,), (5,))), ((1, 1), ((4, 3), (4, 2))), (2, ((4, 3), (2, 3)))]
)
def test_dot_is_an_einstein_sum(tmp_path: Path, axes: Any, shapes: Any) -> None:
    config = functional(
        [["a", 0, 0], ["b", 0, 0]],
        ["d", 0, 0],
        *(source(name, *shape) for name, shape in zip("ab", shapes, strict=True)),
        called(layer("Dot", "d", axes=list(axes) if isinstance(axes, tuple) else axes), [[tensor("a"), tensor("b")]]),
    )
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, {}))
    a, b = kernel(1, *shapes[0]), kernel(1, *shapes[1], seed=1)
    first, second = axes if isinstance(axes, tuple) else (axes, axes)
    expected = np.tensordot(a[0], b[0], (first - 1, second - 1)).reshape(network.operations[-1].shape)
    values = {"a": a, "b": b}
    for operation in network.operations:
        x = values[operation.inputs[0]]
        if operation.kind == "product":
            x = x @ values[operation.inputs[1]]
        elif operation.kind == "transpose":
            x = x.transpose(operation.options["permutation"])
        values[operation.outputs[0]] = x.reshape(operation.shape)
    np.testing.assert_allclose(values[network.outputs[0]], expected, rtol=1e-5)


def test_embeddings_forth_and_back(tmp_path: Path) -> None:
    config = functional(
        ["in", 0, 0],
        ["e", 1, 0],
        source("in", 4),
        called(layer("ReversibleEmbedding", "e"), [tensor("in")], ([tensor("e")], {"reverse": True})),
    )
    path = write_keras(tmp_path / "m.keras", config, {"layers/reversible_embedding/vars/0": kernel(9, 3)})
    there, back = network_from_keras(path).operations
    assert (there.kind, there.shape) == ("embedding", (1, 4, 3))
    assert (back.kind, back.shape, back.options["orientation"]) == ("dense", (1, 4, 9), "out-in")


def test_attention_has_its_projections_and_heads(tmp_path: Path) -> None:
    record = layer("GroupQueryAttention", "att", head_dim=3, num_query_heads=4, num_key_value_heads=2, use_bias=False)
    config = functional(
        [["q", 0, 0], ["v", 0, 0]],
        ["att", 0, 0],
        source("q", 5, 6),
        source("v", 7, 6),
        called(record, [tensor("q"), tensor("v")]),
    )
    held = {"query": (6, 4, 3), "key": (6, 2, 3), "value": (6, 2, 3), "output": (4, 3, 6)}
    places = {f"layers/grouped_query_attention/_{k}_dense/vars/0": kernel(*shape) for k, shape in held.items()}
    path = write_keras(tmp_path / "m.keras", config, places)
    network = network_from_keras(path)
    attention = next(operation for operation in network.operations if operation.kind == "attention")
    shapes = {operation.outputs[0]: operation.shape for operation in network.operations}
    assert [shapes[name] for name in attention.inputs] == [(1, 4, 5, 3), (1, 4, 7, 3), (1, 4, 7, 3)]
    repeats = [operation.options for operation in network.operations if operation.kind == "repeat"]
    assert repeats == [{"axis": 1, "times": 2}] * 2
    dense = {op.name: op.weights["weight"].shape for op in network.operations if op.kind == "dense"}
    assert dense == {"att/query": (6, 12), "att/key": (6, 6), "att/value": (6, 6), "att/attention_output": (12, 6)}
    assert network.operations[-1].shape == (1, 5, 6)
    assert {la.name: la.size for la in graph_from_keras(path).layers} == {
        "q": 6,
        "v": 6,
        "att/query": 6,  # a dimension of a key, and of the two queries that it is multiplied with
        "att/value": 6,
        "att/attention_output": 6,
    }


@pytest.mark.parametrize(("kind", "gates"), [("SimpleRNN", 1), ("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("sequences", [False, True])
def test_recurrent_layers(tmp_path: Path, kind: str, gates: int, sequences: bool) -> None:
    record = layer(kind, "r", units=3, use_bias=False, return_sequences=sequences)
    config = sequential(layer("InputLayer", "in", batch_shape=[None, 5, 2]), record)
    group = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}[kind]
    places = {f"layers/{group}/cell/vars/0": kernel(2, 3 * gates), f"layers/{group}/cell/vars/1": kernel(3, 3 * gates)}
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, places))
    cell = network.operations[0]
    assert (cell.kind, cell.name, cell.options["gates"]) == ("recurrent", "r", gates)
    assert network.operations[-1].shape == ((1, 5, 3) if sequences else (1, 3))


def test_both_directions_and_stacked_cells(tmp_path: Path) -> None:
    cells = [layer("LSTMCell", f"c{i}", units=3, use_bias=False) for i in (0, 1)]
    stack = {"class_name": "StackedRNNCells", "config": {"name": "s", "cells": cells}}
    config = sequential(
        layer("InputLayer", "in", batch_shape=[None, 5, 2]),
        layer("Bidirectional", "b", layer=layer("GRU", "forward_g", use_bias=False, return_sequences=True)),
        layer("RNN", "r", cell=stack),
    )
    places = {f"layers/bidirectional/{d}_layer/cell/vars/0": kernel(2, 12) for d in ("forward", "backward")}
    places |= {f"layers/bidirectional/{d}_layer/cell/vars/1": kernel(4, 12) for d in ("forward", "backward")}
    for i, n_in in ((0, 8), (1, 3)):
        at = f"layers/rnn/cell/cells/lstm_cell{'_1' * i}"
        places |= {f"{at}/vars/0": kernel(n_in, 12), f"{at}/vars/1": kernel(3, 12)}
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, places))
    names = [operation.name for operation in network.operations if operation.kind == "recurrent"]
    assert names == ["b/forward_g", "b/backward_g", "r/c0", "r/c1"]
    assert next(operation for operation in network.operations if operation.kind == "concatenate").shape == (1, 5, 8)
    assert network.operations[-1].shape == (1, 3)


def test_a_layer_at_each_time(tmp_path: Path) -> None:
    """The times stand in the batch meanwhile, so that windows do not reach from one into the next."""
    inner = layer("Conv2D", "c", use_bias=False, padding="same")
    config = sequential(
        layer("InputLayer", "in", batch_shape=[None, 5, 8, 8, 2]), layer("TimeDistributed", "t", layer=inner)
    )
    path = write_keras(tmp_path / "m.keras", config, {"layers/time_distributed/layer/vars/0": kernel(3, 3, 2, 4)})
    before, convolution, after = network_from_keras(path).operations
    assert [o.shape for o in (before, convolution, after)] == [(5, 8, 8, 2), (5, 8, 8, 4), (1, 5, 8, 8, 4)]
    assert convolution.name == "t/c"


def test_code_and_unknown_layers_are_opaque_and_never_run(tmp_path: Path) -> None:
    code = layer("Lambda", "l", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}})
    config = functional(
        ["in", 0, 0],
        ["d", 0, 0],
        source("in", 4),
        called(code, [tensor("in")]),
        called(
            {**layer("Own", "o"), "module": "their.code", "registered_name": "theirs>Own"},
            [tensor("l", shape=[None, 7])],
        ),
        called(layer("Dense", "d", use_bias=False), [tensor("o", shape=[None, 6])]),
    )
    places = {"layers/own/vars/0": kernel(7, 6), "layers/dense/vars/0": kernel(6, 3)}
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, places))
    assert [(o.kind, o.shape) for o in network.operations] == [
        ("opaque", (1, 7)),
        ("opaque", (1, 6)),
        ("dense", (1, 3)),
    ]
    reasons = {s.name: s.reason for s in network.skipped}
    assert "never run" in reasons["l"]
    assert "no layer that is known" in reasons["o"]
    assert reasons["layers/own/vars/0"] == "no operation uses it"


def test_operations_on_tensors(tmp_path: Path) -> None:
    """x[:, 1:, ::-1] + 2 x, of keras.ops."""

    def operation(kind: str, name: str, **config: Any) -> dict[str, Any]:
        return {**layer(kind, name, **config), "module": "keras.src.ops.numpy"}

    def cut(start: Any, stop: Any, step: Any) -> dict[str, Any]:
        return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}

    config = functional(
        ["in", 0, 0],
        ["r", 0, 0],
        source("in", 3, 4),
        called(operation("GetItem", "g"), [tensor("in"), [cut(None, None, None), 1, cut(0, 2, None)]]),
        called(operation("Multiply", "m"), [tensor("g"), 2.0]),
        called(operation("ExpandDims", "e", axis=1), [tensor("m")]),
        called(operation("Mean", "r", axis=1, keepdims=False), [tensor("e")]),
    )
    network = network_from_keras(write_keras(tmp_path / "m.keras", config, {}))
    x = kernel(1, 3, 4)
    np.testing.assert_array_equal(run(network, x), x[:, 1, :2])


@pytest.mark.parametrize(
    ("record", "shape", "weights", "message"),
    [
        (layer("Dense", "d"), (4,), (), "'d' .Dense.: expected its kernel"),
        (layer("Dense", "d"), (4,), (kernel(2, 3, 4),), "a kernel of 2 axes, got shape .2, 3, 4."),
        (layer("Reshape", "r", target_shape=[5]), (4,), (), "a shape of 4 elements, got .1, 5."),
        (layer("Reshape", "r", target_shape="5"), (4,), (), "expected integers target_shape, got '5'"),
        (layer("MaxPooling2D", "p", pool_size=9), (4, 4, 2), (), "a window of 9 places .* does not fit into 4"),
        (layer("MaxPooling2D", "p", pool_size=[1, 2, 3]), (4, 4, 2), (), "expected 2 positive integers pool_size"),
        (layer("Cropping1D", "c", cropping=[3, 3]), (4, 2), (), "cuts 3 and 3 of 4 places off"),
        (layer("ZeroPadding1D", "c", padding="x"), (4, 2), (), "expected 1 pairs of margins"),
        (layer("Permute", "p", dims=[1, 1]), (4, 2), (), "expected an order of the axes"),
        (layer("RepeatVector", "r", n=None), (4,), (), "expected an integer n, got None"),
    ],
)
def test_layers_that_make_no_sense(read: Any, record: Any, shape: Any, weights: Any, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(shape, record, *weights, group="dense")
