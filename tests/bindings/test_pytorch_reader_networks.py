"""Networks of the literature, from PyTorch modules to graphs: sizes, edges, names, sides; both doors agree."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from netspectra.graph.batch import Structure
from netspectra.networks import graph_from_network

pytestmark = pytest.mark.requires("torch")

CNNS = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "inception_v3")
TRANSFORMERS = ("gpt2", "llama", "bert", "vit", "lstm")


@cache
def network_of(name: str, door: str = "export") -> Any:
    """Network of a module of the zoo: reading is what takes time, and a network does not change."""
    from networks.zoo import entry

    from netspectra.bindings.pytorch import network_from_module

    module, inputs = entry(name)
    return network_from_module(module, inputs if door == "export" else None)


def graph_of(name: str, door: str = "export", **choices: Any) -> Any:
    return graph_from_network(network_of(name, door), **choices)


def sizes(graph: Any) -> dict[str, int]:
    return {layer.name: layer.size for layer in graph.layers}


def n_edges(graph: Any, *, learned: bool = True) -> int:
    """Edges of learned blocks: of their support where they are sparse."""
    blocks = [block for block in graph.blocks if block.learned == learned]
    return sum(getattr(block.weights, "nnz", None) or int(np.prod(block.weights.shape)) for block in blocks)


def side_of(graph: Any) -> Any:
    layers = tuple(layer.size for layer in graph.layers)
    return Structure(layers, tuple((block.source, block.target) for block in graph.blocks)).sides


def test_channels_of_vgg() -> None:
    graph = graph_of("vgg16", dense_head=False)
    assert sum(sizes(graph).values()) == 4_227
    assert n_edges(graph) == 1_634_496
    assert n_edges(graph, learned=False) == 0
    assert next(iter(sizes(graph))) == "images"
    assert list(sizes(graph))[1:] == [f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    assert side_of(graph) is not None
    without = graph_of("vgg16", dense_head=False, input_layer=False)
    assert (sum(sizes(without).values()), n_edges(without)) == (4_224, 1_634_496 - 3 * 64)
    deeper = graph_of("vgg19", dense_head=False)
    assert (sum(sizes(deeper).values()), n_edges(deeper)) == (4_227 + 1_280, 1_634_496 + 256**2 + 2 * 512**2)


def test_edges_of_a_kernel_are_norms_of_its_slices() -> None:
    from networks.zoo import entry

    from netspectra.bindings.pytorch import graph_from_module

    module, inputs = entry("vgg16")
    kernel = module.features[2].weight.detach().numpy()
    for norm, expected in {
        "l1": np.abs(kernel).sum((2, 3)).T,
        "l2": np.sqrt((kernel**2).sum((2, 3))).T,
        "operator-1": np.abs(kernel).sum(2).max(-1).T,
    }.items():
        graph = graph_from_module(module, inputs, norm=norm)
        np.testing.assert_allclose(graph.blocks[1].weights, expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "inner"), [("resnet18", 1), ("resnet34", 1), ("resnet50", 2)])
def test_residual_streams_of_resnets_are_one_layer_for_each_stage(name: str, inner: int) -> None:
    graph = graph_of(name)
    blocks = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}[name]
    widths = [64 << i for i in range(4)]
    streams = [width * (4 if inner == 2 else 1) for width in widths]
    # ResNet-18 and -34 add to the stem's channels in their first stage; ResNet-50 widens them first.
    expected = 3 + 64 + inner * sum(n * width for n, width in zip(blocks, widths, strict=True)) + 10
    expected += sum(streams) if inner == 2 else sum(streams[1:])
    assert sum(sizes(graph).values()) == expected
    apart = graph_of(name, residual="per-layer")
    # Each sum has its nodes, and so has each branch that writes to it, or they are tied: more than shared ones.
    assert sum(sizes(apart).values()) > expected
    assert n_edges(apart, learned=False) > 0
    assert n_edges(apart) == n_edges(graph)


def test_batch_normalisation_is_a_factor_of_the_channels_it_follows() -> None:
    from networks.zoo import entry

    from netspectra.bindings.pytorch import graph_from_module

    module, inputs = entry("resnet18")
    graph = graph_from_module(module, inputs)
    norm = module.bn1
    factor = (norm.weight.abs() / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    expected = np.abs(module.conv1.weight.detach().numpy()).sum((2, 3)).T * factor
    np.testing.assert_allclose(np.abs(graph.blocks[0].weights), expected, rtol=1e-4)


def test_depthwise_blocks_of_mobilenet_carry_their_support() -> None:
    graph = graph_of("mobilenet_v2")
    depthwise = [block for block in graph.blocks if hasattr(block.weights, "nnz")]
    assert len(depthwise) == 17
    for block in depthwise:
        n = block.weights.shape[0]
        assert block.weights.shape == (n, n)
        assert block.weights.nnz == n
        assert block.learned
    assert sizes(graph)["features.18.0"] == 1_280


def test_channels_of_inception_are_concatenated() -> None:
    graph = graph_of("inception_v3")
    assert sum(sizes(graph).values()) == 3 + 432 + 16_784 + 10
    into = {graph.layers[block.source].name for block in graph.blocks if graph.layers[block.target].name == "fc"}
    assert len(into) == 6
    names = [layer.name for layer in graph.layers]
    pooled = names.index("mixed.2.branch1x1.conv")  # what reads a pooling of a concatenation reads all its parts
    readers = {names[block.target] for block in graph.blocks if block.source == pooled}
    assert readers == {f"mixed.3.{part}.conv" for part in ("branch3x3", "branch3x3dbl.0")} | {
        f"mixed.4.{part}.conv" for part in ("branch1x1", "branch7x7.0", "branch7x7dbl.0", "branch_pool")
    }
    assert n_edges(graph, learned=False) == 0


@pytest.mark.parametrize("name", CNNS)
def test_both_doors_give_the_same_graph_of_a_convolutional_network(name: str) -> None:
    one, other = graph_of(name), graph_of(name, "trace")
    assert [(layer.name, layer.size, layer.kind) for layer in one.layers] == [
        (layer.name, layer.size, layer.kind) for layer in other.layers
    ]
    assert len(one.blocks) == len(other.blocks)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert (a.source, a.target, a.learned) == (b.source, b.target, b.learned)
        left, right = (getattr(block.weights, "data", block.weights) for block in (a, b))
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    assert not network_of(name).skipped
    assert not network_of(name, "trace").skipped


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_are_read_without_gaps(name: str) -> None:
    from networks.zoo import entry

    network = network_of(name)
    assert not network.skipped
    assert not [one for one in network.operations if one.kind == "opaque"]
    keys = {weight.key for one in network.operations for weight in one.weights.values()}
    assert keys <= set(entry(name).module.state_dict())


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_decoders_with_shared_streams_are_bipartite(name: str) -> None:
    graph = graph_of(name)
    assert side_of(graph) is not None
    assert all(block.learned for block in graph.blocks)
    stream = {"gpt2": "wte", "llama": "embed_tokens"}[name]
    ends = [{graph.layers[block.source].name, graph.layers[block.target].name} for block in graph.blocks]
    assert all(stream in pair for pair in ends)
    expected = {"gpt2": 17 + 12 + 2 * (12 + 12 + 48) + 17, "llama": 19 + 16 + 2 * (8 + 8 + 24) + 19}
    assert sum(sizes(graph).values()) == expected[name]


def test_attention_by_heads() -> None:
    assert sizes(graph_of("llama", attention="heads"))["layers.0.q_proj"] == 2
    assert sum(sizes(graph_of("gpt2", attention="heads")).values()) == 17 + 12 + 2 * (3 + 48) + 17


def test_patches_and_positions_of_a_vision_transformer_make_no_nodes() -> None:
    graph = graph_of("vit")
    assert sizes(graph) == {
        "images": 3,
        "conv_proj": 12,
        **{
            f"layers.{i}.{name}": size
            for i in range(2)
            for name, size in (("self_attn.in_proj[0:12]", 12), ("self_attn.in_proj[24:36]", 12), ("linear1", 24))
        },
        "head": 5,
    }


def joined(graph: Any) -> set[tuple[str, str]]:
    """Names of the layers that each block joins."""
    return {(graph.layers[block.source].name, graph.layers[block.target].name) for block in graph.blocks}


def test_squeezed_channels_gate_those_they_come_from() -> None:
    from torch import nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.down, self.up = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
            self.out = nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            x = self.conv(x)
            gate = self.up(nn.functional.silu(self.down(nn.functional.adaptive_avg_pool2d(x, 1)))).sigmoid()
            return self.out((x * gate).mean([2, 3]))

    expected = {("x", "conv"), ("conv", "down"), ("down", "conv"), ("conv", "out")}
    both_doors(Gated(), (1, 3, 8, 8), expected)


def test_a_u_net_joins_what_it_concatenates() -> None:
    import torch
    from torch import nn

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
            self.up, self.wide = nn.ConvTranspose2d(8, 4, 2, 2), nn.Upsample(scale_factor=2)
            self.out = nn.Conv2d(16, 2, 1)

        def forward(self, x: Any) -> Any:
            high = self.one(x).relu()
            low = self.two(nn.functional.max_pool2d(high, 2)).relu()
            return self.out(torch.cat([self.up(low), high, self.wide(low)], 1))

    expected = {("x", "one"), ("one", "two"), ("two", "up"), ("up", "out"), ("one", "out"), ("two", "out")}
    both_doors(UNet(), (1, 3, 8, 8), expected)


def both_doors(module: Any, shape: tuple[int, ...], expected: set[tuple[str, str]]) -> None:
    """The blocks of a module's graph join these layers, whichever way it is read."""
    import torch

    from netspectra.bindings.pytorch import graph_from_module

    assert joined(graph_from_module(module, torch.zeros(shape))) == expected
    assert joined(graph_from_module(module)) == expected


def test_windows_of_a_shifted_attention_are_the_same_channels() -> None:
    import torch
    from torch import nn

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.qkv, self.proj = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24), nn.Linear(8, 8)
            self.table, self.merge = nn.Parameter(torch.zeros(49, 2)), nn.Linear(32, 16, bias=False)
            self.register_buffer("places", torch.arange(256) % 49)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).permute(0, 2, 3, 1)
            b, h, w, c = x.shape
            y = torch.roll(x, (-2, -2), (1, 2)).view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5)
            q, k, v = self.qkv(y.reshape(-1, 16, c)).reshape(-1, 16, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
            bias = self.table[self.places].view(16, 16, 2).permute(2, 0, 1).unsqueeze(0)
            y = self.proj((((q @ k.mT) + bias).softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, c))
            y = y.view(b, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
            x = x + torch.roll(y, (2, 2), (1, 2))
            parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
            return self.merge(torch.cat(parts, -1))

    from netspectra.bindings.pytorch import network_from_module

    network = network_from_module(Windows(), torch.zeros(1, 3, 16, 16))
    assert not network.skipped
    graph = graph_from_network(network)
    query, value = "qkv[0:8]", "qkv[16:24]"
    expected = {("x", "patches"), ("patches", query), ("patches", value), (value, "patches"), ("patches", "merge")}
    assert joined(graph) == expected
    merge = next(block for block in graph.blocks if graph.layers[block.target].name == "merge")
    weight = next(one for one in network.operations if one.name == "merge").weights["weight"].read()
    np.testing.assert_allclose(merge.weights, np.abs(weight).reshape(16, 4, 8).sum(1).T, rtol=1e-5)
