"""Graphs against influences that are found by probing PyTorch's own layers: same support, same magnitude."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")


def check(module, example, nodes, norm="l1", layers=None, **choices):
    """Every influence is an edge, every edge an influence; `layers`: the layer of a probed module's nodes."""
    from networks.probing import influences

    from netspectra.bindings.pytorch import graph_from_module

    module = module.eval()
    parts = dict(module.named_modules())
    found = influences(module, {name: parts[name] for name in nodes}, example, norm)
    graph = graph_from_module(module, (example,), norm=norm, **choices)
    names = [layer.name for layer in graph.layers]
    where = {"input": names[0], **(layers or {})}
    expected: dict = {}
    for (a, b), values in found.items():
        ends = where.get(a, a), where.get(b, b)
        if ends[0] != ends[1]:
            known = expected.get(ends)
            if known is not None:  # one edge that several positions of a shared stream show
                np.testing.assert_allclose(known, values, rtol=1e-5, atol=1e-6)
            expected[ends] = values
    edges: dict = {}
    for block in graph.blocks:
        W = block.weights.toarray() if block.is_sparse else np.asarray(block.weights, np.float64)
        ends = names[block.source], names[block.target]
        edges[ends] = edges.get(ends, 0) + np.abs(W)
    assert edges.keys() == expected.keys()
    for ends, values in expected.items():
        np.testing.assert_array_equal(edges[ends] > 1e-12, values > 1e-12, err_msg=str(ends))
        np.testing.assert_allclose(edges[ends], values, rtol=2e-5, atol=1e-6, err_msg=str(ends))
    return graph


def residual_net(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
            self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
            self.down = nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else None
            self.sum = nn.Identity()

        def forward(self, x):
            y = self.bn2(self.conv2(self.bn1(self.conv1(x))))
            return self.sum(y + (x if self.down is None else self.down(x)))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), Block(4, 4), Block(4, 6)
            self.fc = nn.Linear(6 * 7 * 7, 5)

        def forward(self, x):
            return self.fc(torch.flatten(self.b(self.a(self.stem(x))), 1))

    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_var.uniform_(0.5, 2)
                part.weight.uniform_(-2, 2)
    return net


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_residual_sums_per_layer(require, norm):
    torch = require("torch")
    nodes = ["stem", "a.bn1", "a.sum", "b.bn1", "b.sum", "fc"]
    layers = {"a.bn1": "a.conv1", "a.sum": "a.conv2", "b.bn1": "b.conv1", "b.sum": "b.conv2"}
    graph = check(residual_net(torch), torch.zeros(1, 3, 7, 7), nodes, norm, layers, residual="per-layer")
    assert [block.learned for block in graph.blocks].count(False) == 1


def test_a_shared_stream(require):
    torch = require("torch")
    nodes = ["stem", "a.bn1", "a.sum", "b.bn1", "b.sum", "fc"]
    layers = {"a.bn1": "a.conv1", "a.sum": "stem", "b.bn1": "b.conv1", "b.sum": "b.conv2"}
    check(residual_net(torch), torch.zeros(1, 3, 7, 7), nodes, layers=layers)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_concatenation_groups_depthwise_and_flatten(require, norm):
    torch = require("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 2, 1)
            self.grouped = nn.Conv2d(6, 8, 3, padding=1, groups=2)
            self.depthwise = nn.Conv2d(8, 16, 3, padding=1, groups=8)
            self.pool, self.fc = nn.AvgPool2d(2), nn.Linear((16 + 4) * 9, 5)

        def forward(self, x):
            a = self.a(x)
            h = self.depthwise(self.grouped(torch.cat([a, self.b(x)], 1)))
            return self.fc(torch.flatten(self.pool(torch.cat([h, a], 1)), 1))

    torch.manual_seed(1)
    example, nodes = torch.zeros(1, 3, 6, 6), ["a", "b", "grouped", "depthwise", "fc"]
    if norm == "l2":  # a mean over four positions halves the root of squares
        net = Net()
        net.pool = nn.Identity()
        net.fc = nn.Linear(20 * 36, 5)
        check(net, example, nodes, norm)
    else:
        check(Net(), example, nodes, norm)


def test_one_and_three_dimensions_transposed_and_strided(require):
    torch = require("torch")
    nn = torch.nn
    torch.manual_seed(2)
    one = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 6, 3, padding=1, groups=2))
    check(one, torch.zeros(1, 2, 9), ["0", "1"])
    three = nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.Conv3d(3, 4, 1))
    check(three, torch.zeros(1, 2, 5, 5, 5), ["0", "1"])
    strided = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.Conv2d(4, 3, 3, padding=1, dilation=2))
    check(strided, torch.zeros(1, 2, 17, 17), ["0", "1"])


def test_a_transposed_convolution(require):
    torch = require("torch")
    nn = torch.nn
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ConvTranspose2d(4, 6, 3, padding=1, groups=2))
    check(net, torch.zeros(1, 2, 7, 7), ["0", "1"])


def test_dense_networks_with_normalisation_between(require):
    torch = require("torch")
    nn = torch.nn
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 4), nn.Identity(), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        net[1].running_var.uniform_(0.5, 2)
    check(net, torch.zeros(1, 5), ["1", "2", "4"], layers={"1": "0"})


def test_channel_shuffle_and_split(require):
    torch = require("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.a, self.b = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 8, 1, groups=4), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            h = self.a(self.stem(x).view(1, 2, 4, 5, 5).transpose(1, 2).reshape(1, 8, 5, 5))
            left, right = h.chunk(2, dim=1)
            return self.b(right.flip(1)) + 0 * left.mean()

    torch.manual_seed(5)
    from networks.probing import influences

    from netspectra.bindings.pytorch import graph_from_module

    net = Net().eval()
    example = torch.zeros(1, 2, 5, 5)
    graph = graph_from_module(net, (example,))
    parts = dict(net.named_modules())
    found = influences(net, {n: parts[n] for n in ("stem", "a", "b")}, example)
    names = [layer.name for layer in graph.layers]
    edges = {names[b.target]: np.abs(b.weights.toarray()) for b in graph.blocks if names[b.source] == "stem"}
    for part, columns in (("a[0:4]", slice(0, 4)), ("a[4:8]", slice(4, 8))):
        np.testing.assert_allclose(edges[part], found["stem", "a"][:, columns], rtol=1e-5, atol=1e-6)
    last = next(b for b in graph.blocks if names[b.target] == "b")
    np.testing.assert_allclose(np.abs(last.weights), found["a", "b"][4:], rtol=1e-5, atol=1e-6)
