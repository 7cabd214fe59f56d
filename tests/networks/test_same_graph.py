"""One network through PyTorch, ONNX, safetensors and Keras: the same layers, the same blocks, the same n-cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netspectra as ns
from netspectra.networks import graph_from_network

NAMES = (
    "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "inception_v3", "gpt2", "llama", "bert",
    "vit", "lstm",
)  # fmt: skip
SMALL = {"gpt2", "llama", "bert", "vit", "lstm"}


def entry(name: str) -> Any:
    """Module and inputs; of VGG an image for which its adaptive pooling has nothing to do."""
    import torch
    from networks import zoo

    found = zoo.entry(name)
    inputs = (torch.zeros(1, 3, 224, 224),) if name.startswith("vgg") else found.inputs
    return found.module.eval(), inputs


def dense(block: Any) -> np.ndarray:
    return np.abs(block.weights.toarray() if block.is_sparse else np.asarray(block.weights, np.float32))


def assert_same(first: Any, second: Any) -> None:
    """Equal layers and blocks, in order; gates that one format stores in another order are the same blocks."""
    assert [(x.size, x.kind) for x in first.layers] == [(x.size, x.kind) for x in second.layers]
    marks = [[(b.source, b.target, b.shape, b.learned, b.fixed_support) for b in g.blocks] for g in (first, second)]
    assert marks[0] == marks[1]
    ends = [(b.source, b.target) for b in first.blocks]
    for pair in sorted(set(ends)):
        parts = [[dense(b) for b, e in zip(g.blocks, ends, strict=True) if e == pair] for g in (first, second)]
        parts = [sorted(found, key=lambda a: float(a.sum())) for found in parts]
        for a, b in zip(*parts, strict=True):
            np.testing.assert_array_equal(a == 0, b == 0)
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def assert_same_ncut(first: Any, second: Any) -> None:
    cuts = [ns.spectral_clustering(graph, 4, seed=3) for graph in (first, second)]
    np.testing.assert_array_equal(cuts[0].labels, cuts[1].labels)
    assert cuts[0].ncut == pytest.approx(cuts[1].ncut, rel=1e-5)


@pytest.mark.requires("torch")
@pytest.mark.parametrize("name", NAMES)
def test_through_safetensors_with_the_architecture(require: Any, tmp_path: Path, name: str) -> None:
    require("torch")
    from safetensors.torch import save_file

    from netspectra.bindings.pytorch import network_from_module
    from netspectra.networks.architecture import save_architecture

    module, inputs = entry(name)
    network = network_from_module(module, inputs)
    save_architecture(network, tmp_path / "architecture.json")
    save_file({key: tensor.contiguous() for key, tensor in module.state_dict().items()}, tmp_path / "m.safetensors")
    again = ns.load(tmp_path / "m.safetensors", architecture=tmp_path / "architecture.json")
    own = graph_from_network(network)
    assert_same(own, again)
    assert [x.name for x in own.layers] == [x.name for x in again.layers]


@pytest.mark.requires("torch", "onnx", "onnxscript")
@pytest.mark.filterwarnings("ignore")  # what the exporter says about itself is no fault of ours
@pytest.mark.parametrize("name", NAMES)
def test_through_onnx(require: Any, tmp_path: Path, name: str) -> None:
    torch = require("torch")
    require("onnx")
    require("onnxscript")
    from netspectra.bindings.pytorch import graph_from_module

    module, inputs = entry(name)
    own = graph_from_module(module, inputs)
    torch.onnx.export(module, inputs, tmp_path / "m.onnx", dynamo=True, verbose=False, external_data=False)
    again = ns.load(tmp_path / "m.onnx")
    assert_same(own, again)
    if name in SMALL:
        assert_same_ncut(own, again)


def test_a_convolutional_network_through_keras_and_safetensors_in_order(require: Any, tmp_path: Path) -> None:
    """Channels last and kernels (h, w, in, out) there, channels first and (out, in, h, w) here."""
    require("h5py")
    from keras_files import layer, sequential, write_keras
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    convs = [rng.standard_normal((o, i, 3, 3)).astype(np.float32) for i, o in ((3, 8), (8, 6))]
    gamma, variance = (rng.uniform(0.5, 1.5, 8).astype(np.float32) for _ in range(2))
    matrices = [rng.standard_normal((10, 6 * 16)).astype(np.float32), rng.standard_normal((5, 10)).astype(np.float32)]
    tensors = {"conv0.weight": convs[0], "conv1.weight": convs[1], "fc.weight": matrices[0], "out.weight": matrices[1]}
    folded = {**tensors, "conv0.weight": convs[0] * (gamma / np.sqrt(variance + 1e-3))[:, None, None, None]}
    save_file(folded, tmp_path / "m.safetensors")
    first = ns.load(tmp_path / "m.safetensors", order=list(tensors), orientation="out-in")
    config = sequential(
        layer("InputLayer", "in", batch_shape=[None, 4, 4, 3]),
        layer("Conv2D", "conv0", filters=8, kernel_size=[3, 3], padding="same", use_bias=False),
        layer("BatchNormalization", "bn", axis=-1, epsilon=1e-3),
        layer("Conv2D", "conv1", filters=6, kernel_size=[3, 3], padding="same", use_bias=False),
        layer("Flatten", "flatten"),
        layer("Dense", "fc", units=10, use_bias=False),
        layer("Dense", "out", units=5, use_bias=False),
    )
    zeros = np.zeros(8, np.float32)
    channels_last = matrices[0].reshape(10, 6, 16).transpose(2, 1, 0).reshape(96, 10)
    held = {
        "conv2d": [convs[0].transpose(2, 3, 1, 0)],
        "batch_normalization": [gamma, zeros, zeros, variance],
        "conv2d_1": [convs[1].transpose(2, 3, 1, 0)],
        "dense": [channels_last],
        "dense_1": [matrices[1].T],
    }
    arrays = {f"layers/{name}/vars/{i}": a for name, some in held.items() for i, a in enumerate(some)}
    second = ns.load(write_keras(tmp_path / "m.keras", config, arrays))
    assert [x.size for x in first.layers] == [3, 8, 6, 10, 5]
    np.testing.assert_array_equal([x.size for x in first.layers], [x.size for x in second.layers])
    for a, b in zip(first.blocks, second.blocks, strict=True):
        np.testing.assert_allclose(dense(a), dense(b), rtol=1e-5)
    assert_same_ncut(first, second)


@pytest.mark.requires("torch")
def test_channels_of_vgg_16(require: Any) -> None:
    """4,227 nodes with the image channels and 1,634,496 edges, as the design says."""
    require("torch")
    from netspectra.bindings.pytorch import graph_from_module

    module, inputs = entry("vgg16")
    graph = graph_from_module(module, inputs, dense_head=False)
    assert (graph.n_nodes, graph.n_edges) == (4227, 1_634_496)
    published = graph_from_module(module, inputs, dense_head=False, input_layer=False)
    assert (published.n_nodes, published.n_edges) == (4224, 1_634_496 - 3 * 64)
