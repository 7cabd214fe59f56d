"""Nested dictionaries of parameters: plain, frozen, of variables; Flax itself is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from netspectra.bindings.flax import graph_from_pytree, network_from_pytree
from netspectra.bindings.readers import network_from_tensors
from netspectra.errors import FileFormatError, GraphError
from netspectra.networks import Weight, graph_from_network
from netspectra.networks.architecture import architecture_from_json, architecture_to_json

RNG = np.random.default_rng(4)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def cnn() -> dict[str, Any]:
    """Return what linen's init of two convolutions, a normalisation and a dense layer returns."""
    return {
        "params": {
            "Conv_0": {"kernel": array(3, 3, 3, 4), "bias": array(4)},
            "BatchNorm_0": {"scale": array(4), "bias": array(4)},
            "Conv_1": {"kernel": array(3, 3, 4, 5), "bias": array(5)},
            "Dense_0": {"kernel": array(20, 2), "bias": array(2)},
        },
        "batch_stats": {"BatchNorm_0": {"mean": array(4), "var": np.abs(array(4)) + 1}},
    }


class Frozen(Mapping[str, Any]):
    """As flax.core.FrozenDict: a mapping that is no dict."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = {k: Frozen(v) if isinstance(v, dict) else v for k, v in content.items()}

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


class Variable:
    """As a variable of nnx."""

    def __init__(self, value: Any) -> None:
        self.value = value


def opened(tree: dict[str, Any]) -> dict[str, Any]:
    return {k: opened(v) if isinstance(v, dict) else Variable(v) for k, v in tree.items()}


def test_linen_s_variables_make_their_network() -> None:
    tree = cnn()
    network = network_from_pytree(tree)
    assert [(o.kind, o.name) for o in network.operations] == [
        ("convolution", "Conv_0"),
        ("scale", "BatchNorm_0"),
        ("convolution", "Conv_1"),
        ("pass", "Dense_0"),
        ("flatten", "Dense_0"),
        ("dense", "Dense_0"),
    ]
    graph = graph_from_pytree(tree)
    assert [layer.size for layer in graph.layers] == [3, 4, 5, 2]
    params, stats = tree["params"], tree["batch_stats"]
    factor = params["BatchNorm_0"]["scale"] / np.sqrt(stats["BatchNorm_0"]["var"] + 1e-5)
    first = np.abs(params["Conv_0"]["kernel"] * factor).sum((0, 1))
    np.testing.assert_allclose(np.abs(graph.blocks[0].weights), first, rtol=1e-5)
    last = np.abs(params["Dense_0"]["kernel"].reshape(4, 5, 2)).sum(0)  # positions first
    np.testing.assert_allclose(np.abs(graph.blocks[2].weights), last, rtol=1e-5)


@pytest.mark.parametrize("wrap", [Frozen, opened])
def test_frozen_dictionaries_and_variables_are_opened(wrap: Any) -> None:
    tree = cnn()
    one, other = graph_from_pytree(tree), graph_from_pytree(wrap(tree))
    assert one.layers == other.layers
    for a, b in zip(one.blocks, other.blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_the_order_of_creation_counts_and_order_names_paths() -> None:
    tree = {"up": {"kernel": array(3, 9)}, "down": {"kernel": array(9, 3)}}
    assert [layer.name for layer in graph_from_pytree(tree).layers] == ["input", "up", "down"]
    graph = graph_from_pytree(tree, order=["down/kernel", "up/kernel"])
    assert [layer.size for layer in graph.layers] == [9, 3, 9]
    listed = {"layers": [{"kernel": array(4, 3)}, {"kernel": array(3, 2)}]}
    assert [layer.name for layer in graph_from_pytree(listed).layers] == ["input", "layers/0", "layers/1"]


def test_a_transposed_tree_is_that_of_pytorch() -> None:
    kernels = [array(5, 4), array(4, 3)]
    flax = graph_from_pytree({f"Dense_{i}": {"kernel": kernel} for i, kernel in enumerate(kernels)})
    torch = graph_from_network(network_from_tensors({f"{i}.weight": kernel.T for i, kernel in enumerate(kernels)}))
    for a, b in zip(flax.blocks, torch.blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_an_architecture_is_applied_to_paths() -> None:
    tree = {"a": {"kernel": array(4, 3)}, "b": {"kernel": array(3, 2)}}
    topology = architecture_from_json(architecture_to_json(network_from_pytree(tree)))
    graph = graph_from_pytree(tree, architecture=topology, input_layer=False)
    assert [layer.size for layer in graph.layers] == [3, 2]
    assert all(isinstance(w, Weight) for o in topology.operations for w in o.weights.values())
    with pytest.raises(GraphError, match="leave order at its default"):
        graph_from_pytree(tree, architecture=topology, order=["a/kernel"])


def test_what_is_no_tree_of_a_chain_is_refused() -> None:
    with pytest.raises(GraphError, match="a nested dictionary of arrays, got list"):
        network_from_pytree([array(2, 2)])
    with pytest.raises(FileFormatError, match="expected at least one 2-D"):
        network_from_pytree({"params": {}})
    attention = {"attention": {"query": {"kernel": array(4, 2, 2)}, "out": {"kernel": array(2, 2, 4)}}}
    with pytest.raises(GraphError, match="tell of residual blocks, branches or attention"):
        network_from_pytree(attention)
    cyclic: dict[str, Any] = {}
    cyclic["again"] = cyclic
    with pytest.raises(GraphError, match="at most 64 levels"):
        network_from_pytree(cyclic)
    twice = {"params": {"a": {"kernel": array(2, 2)}}, "batch_stats": {"a": {"kernel": array(2, 2)}}}
    with pytest.raises(GraphError, match="two arrays have the path 'a/kernel'"):
        network_from_pytree(twice)


@pytest.mark.requires("jax")
def test_arrays_of_jax_are_taken(require: Any) -> None:
    jax = require("jax")
    kernel = jax.numpy.asarray(array(4, 3), dtype=jax.numpy.bfloat16)
    graph = graph_from_pytree({"Dense_0": {"kernel": kernel}, "Dense_1": {"kernel": jax.numpy.ones((3, 2))}})
    assert str(graph.blocks[0].dtype) == "bfloat16"
    np.testing.assert_array_equal(graph.blocks[0].weights.astype(np.float32), np.asarray(kernel, np.float32))
