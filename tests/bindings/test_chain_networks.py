"""Named tensors as chains: convolutions, flattening, normalisations; what is no chain is refused, never guessed."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from netspectra.bindings.readers import load, network_from_tensors
from netspectra.errors import AmbiguousOrientationError, FileFormatError, GraphError
from netspectra.networks import Network, graph_from_network

RNG = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def vgg() -> dict[str, np.ndarray]:
    """Two convolutions with a normalisation, one without, and a classifier, as PyTorch stores them."""
    norm = {"weight": array(4), "bias": array(4), "running_mean": array(4), "running_var": np.abs(array(4)) + 0.1}
    return {
        "features.0.weight": array(4, 3, 3, 3),
        "features.0.bias": array(4),
        **{f"features.1.{role}": value for role, value in norm.items()},
        "features.1.num_batches_tracked": np.array(7),
        "features.3.weight": array(5, 4, 3, 3),
        "features.10.weight": array(6, 5, 3, 3),
        "classifier.0.weight": array(8, 6 * 2 * 2),
        "classifier.2.weight": array(3, 8),
    }


def kinds(network: Network) -> list[str]:
    return [operation.kind for operation in network.operations]


def in_keras_order(tensors: dict[str, np.ndarray], positions: int) -> dict[str, np.ndarray]:
    """The same network as Keras stores it: (height, width, in, out), and flattened by positions first."""
    turned = {}
    for name, value in tensors.items():
        if value.ndim == 4:
            turned[name] = value.transpose(2, 3, 1, 0)
        elif name == "classifier.0.weight":
            n_out, n_in = value.shape
            turned[name] = value.reshape(n_out, n_in // positions, positions).transpose(2, 1, 0).reshape(n_in, n_out)
        else:
            turned[name] = value.T
    return turned


def test_a_convolutional_chain_is_read_with_its_flattening_and_normalisation() -> None:
    tensors = vgg()
    network = network_from_tensors(tensors)
    assert kinds(network) == ["convolution", "scale", "convolution", "convolution", "pass", "flatten", "dense", "dense"]
    assert [o.name for o in network.operations if o.weights] == [
        "features.0",
        "features.1",
        "features.3",
        "features.10",
        "classifier.0",
        "classifier.2",
    ]
    graph = graph_from_network(network)
    assert [layer.size for layer in graph.layers] == [3, 4, 5, 6, 8, 3]
    factor = tensors["features.1.weight"] / np.sqrt(tensors["features.1.running_var"] + 1e-5)
    first = np.abs(tensors["features.0.weight"] * factor[:, None, None, None]).sum((2, 3)).T
    np.testing.assert_allclose(np.abs(graph.blocks[0].weights), first, rtol=1e-5)
    flat = np.abs(tensors["classifier.0.weight"].reshape(8, 6, 4)).sum(2).T
    np.testing.assert_allclose(np.abs(graph.blocks[3].weights), flat, rtol=1e-5)


def test_both_ways_of_storing_give_the_same_graph() -> None:
    tensors = vgg()
    one = graph_from_network(network_from_tensors(tensors))
    other_network = network_from_tensors(in_keras_order(tensors, 4))
    assert {o.options.get("layout") for o in other_network.operations} == {"hwio", None}
    other = graph_from_network(other_network)
    assert one.layers == other.layers
    for a, b in zip(one.blocks, other.blocks, strict=True):
        np.testing.assert_allclose(np.abs(a.weights), np.abs(b.weights), rtol=1e-5)


def test_normalisations_follow_the_layer_of_their_name() -> None:
    tensors = {"bn1.weight": array(4), "bn1.running_var": np.ones(4, np.float32), "bn1.bias": array(4)}
    tensors |= {"bn2.weight": array(5), "bn2.running_var": np.ones(5, np.float32), "ln9.weight": array(4)}
    tensors |= {"conv1.weight": array(4, 3, 3, 3), "conv2.weight": array(5, 4, 3, 3), "fc.weight": array(2, 5)}
    network = network_from_tensors(tensors)
    assert [(o.kind, o.name) for o in network.operations] == [
        ("convolution", "conv1"),
        ("scale", "bn1"),
        ("convolution", "conv2"),
        ("scale", "bn2"),
        ("reduce", "fc"),
        ("dense", "fc"),
    ]
    reasons = {s.name: s.reason for s in network.skipped}
    assert "follows no layer that could be told" in reasons["ln9.weight"]
    assert reasons["bn1.bias"].startswith("1-D: a bias")


def test_keras_and_flax_names_of_normalisations() -> None:
    keras = {"conv2d/kernel": array(3, 3, 3, 4), "batch_normalization/gamma": array(4)}
    keras |= {"batch_normalization/moving_variance": np.ones(4, np.float32), "dense/kernel": array(4, 2)}
    (scale,) = [o for o in network_from_tensors(keras).operations if o.kind == "scale"]
    assert scale.options == {"axis": 3, "epsilon": 1e-3}
    without = {"conv2d/kernel": array(3, 3, 3, 4), "batch_normalization/moving_variance": np.ones(4, np.float32)}
    (scale,) = [
        o for o in network_from_tensors({**without, "dense/kernel": array(4, 2)}).operations if o.kind == "scale"
    ]
    np.testing.assert_array_equal(scale.weights["scale"].read(), np.ones(4))


def test_depthwise_kernels_are_grouped() -> None:
    torch_like = {"0.weight": array(6, 3, 3, 3), "1.weight": array(6, 1, 3, 3), "2.weight": array(4, 6, 1, 1)}
    network = network_from_tensors(torch_like)
    assert [o.options["groups"] for o in network.operations] == [1, 6, 1]
    depth = array(3, 3, 6, 2)
    keras_like = {"a_conv/kernel": array(3, 3, 3, 6), "b_depthwise/depthwise_kernel": depth}
    keras_like["c_pointwise/kernel"] = array(1, 1, 12, 4)
    network = network_from_tensors(keras_like)
    assert [o.options["groups"] for o in network.operations] == [1, 6, 1]
    graph = graph_from_network(network)
    edges: Any = np.abs(graph.blocks[1].weights.toarray())
    expected = np.zeros((6, 12), np.float32)
    for channel in range(6):
        expected[channel, 2 * channel : 2 * channel + 2] = np.abs(depth[:, :, channel]).sum((0, 1))
    np.testing.assert_allclose(edges, expected, rtol=1e-5)


def test_kernels_of_one_and_three_axes_of_positions() -> None:
    for n_axes in (1, 3):
        shape = (3,) * n_axes
        network = network_from_tensors({"a.weight": array(8, 4, *shape), "b.weight": array(16, 8, *shape)})
        assert [layer.size for layer in graph_from_network(network).layers] == [4, 8, 16]


def test_kernels_that_chain_both_ways_lie_as_the_smaller_ones() -> None:
    square = {"a.weight": array(3, 3, 3, 3), "b.weight": array(3, 3, 3, 3)}
    with pytest.raises(AmbiguousOrientationError):
        network_from_tensors(square)
    assert network_from_tensors(square, orientation="in-out").operations[0].options["layout"] == "hwio"
    lenet = {"a.weight": array(6, 1, 5, 5), "b.weight": array(16, 6, 5, 5)}
    assert network_from_tensors(lenet).operations[0].options["layout"] == "oihw"


def test_the_order_of_a_mapping_counts_where_it_is_not_the_sorted_one() -> None:
    encoder, decoder = array(3, 9), array(9, 3)
    names = [
        o.name
        for o in network_from_tensors(
            {"encoder.weight": encoder, "decoder.weight": decoder}, orientation="out-in"
        ).operations
    ]
    assert names == ["encoder", "decoder"]
    with pytest.raises(GraphError, match="more than one order"):
        network_from_tensors({"decoder.weight": decoder, "encoder.weight": encoder}, orientation="out-in")


RESIDUAL = {
    "conv1.weight": (8, 3, 3, 3),
    "layer1.0.conv1.weight": (8, 8, 3, 3),
    "layer1.0.conv2.weight": (8, 8, 3, 3),
    "fc.weight": (2, 8),
}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"layer1.0.downsample.0.weight": (8, 8, 1, 1)},
        {"encoder.attention.query.weight": (8, 8)},
        {"rnn.weight_hh_l0": (8, 8)},
        {"Mixed_5b.branch1x1.conv.weight": (8, 8, 1, 1)},
    ],
)
def test_what_names_tell_to_be_no_chain_is_refused(extra: dict[str, tuple[int, ...]]) -> None:
    shapes = RESIDUAL | extra if not extra or "layer" in next(iter(extra)) else {"conv1.weight": (8, 8, 3, 3), **extra}
    tensors = {name: array(*shape) for name, shape in shapes.items()}
    with pytest.raises(GraphError, match=r"tell of residual blocks, .* architecture=.*order=\[") as caught:
        network_from_tensors(tensors)
    assert "tensors:" in str(caught.value)


def test_an_order_is_believed_whatever_the_names() -> None:
    tensors = {name: array(*shape) for name, shape in RESIDUAL.items()}
    network = network_from_tensors(tensors, order=list(RESIDUAL))
    assert [layer.size for layer in graph_from_network(network).layers] == [3, 8, 8, 8, 2]


def test_shapes_that_do_not_chain_offer_an_architecture() -> None:
    with pytest.raises(GraphError, match=r"do not in either orientation.*order=\[.*architecture="):
        network_from_tensors({"a.weight": array(5, 3), "b.weight": array(9, 7)})
    with pytest.raises(GraphError, match="do not in either orientation"):
        network_from_tensors({"a.weight": array(5, 3, 3, 3), "b.weight": array(8, 7)})


def test_arrays_of_any_kind_are_taken_and_others_refused() -> None:
    weights = {"a": array(3, 2).astype(ml_dtypes.bfloat16), "b": [[1.0, 2.0], [3.0, 4.0]]}
    graph = graph_from_network(network_from_tensors(weights))
    assert [layer.size for layer in graph.layers] == [3, 2, 2]
    assert graph.blocks[0].dtype == ml_dtypes.bfloat16
    with pytest.raises(GraphError, match="tensor 'a': expected an array, got object"):
        network_from_tensors({"a": object()})
    with pytest.raises(GraphError, match="a mapping from names to arrays, got list"):
        network_from_tensors([array(2, 2)])  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match="the file is empty"):
        network_from_tensors({})
    with pytest.raises(GraphError, match="orientation must be"):
        network_from_tensors({"a": array(3, 2)}, orientation="up")  # type: ignore[arg-type]


@pytest.mark.requires("torch")
def test_tensors_of_pytorch_are_taken_in_bfloat16(require: Any) -> None:
    torch = require("torch")
    state = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)).bfloat16().state_dict()
    graph = graph_from_network(network_from_tensors(state))
    assert graph.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(graph.blocks[0].weights.astype(np.float32), state["0.weight"].float().numpy().T)


def test_choices_reach_the_graph(tmp_path: Any) -> None:
    np.savez(tmp_path / "net.npz", **vgg())
    graph = load(tmp_path / "net.npz", input_layer=False, dense_head=False, norm="l2")
    assert [layer.size for layer in graph.layers] == [4, 5, 6]
    kernel = vgg()["features.3.weight"]
    assert graph.blocks[0].shape == kernel.shape[1::-1]
    for wrong in ({"norm": "l3"}, {"residual": "none"}, {"attention": "all"}, {"input_layer": "no"}):
        with pytest.raises(GraphError, match=next(iter(wrong))):
            load(tmp_path / "net.npz", **wrong)
