"""PyTorch: clusterable initialisation and rescaling in place, on real modules; what they refuse to touch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from netspectra.errors import GraphError
from netspectra.training.initialisation import clusterable_init

pytestmark = pytest.mark.requires("torch")


def mlp(*between: Any) -> Any:
    """Return 12-9-8-5 with ReLU, `between` put in after the first layer."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(12, 9),
        *between,
        nn.ReLU(),
        nn.Linear(9, 8, bias=False),
        nn.ReLU(),
        nn.Linear(8, 5),
        nn.Softmax(dim=1),
    )


def cnn() -> Any:
    """Return a network for (B, 2, 8, 8): two convolutions, pooling, flatten, two dense layers; nested modules."""
    from torch import nn

    features = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.LeakyReLU())
    return nn.Sequential(
        features, nn.Dropout(0.5), nn.Flatten(), nn.Linear(6 * 4, 7), nn.ReLU(), nn.Linear(7, 3)
    ).eval()


def seeded(build: Any, *arguments: Any) -> Any:
    import torch

    torch.manual_seed(0)
    return build(*arguments)


def weights_of(net: Any) -> list[np.ndarray]:
    """Return copies of the weight arrays of a module, in order."""
    return [p.detach().clone().numpy() for name, p in net.named_parameters() if name.endswith("weight")]


@pytest.mark.parametrize("build", [mlp, cnn])
def test_weights_are_multiplied_in_place(build: Any) -> None:
    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    net = seeded(build)
    before, parameters = weights_of(net), list(net.parameters())
    biases = [p.detach().clone() for p in parameters if p.ndim == 1]
    labels = clusterable_init_(net, n_modules=3, seed=5)
    expected, drawn = clusterable_init(before, 3, None, 5, "out-in")
    for a, b in zip(expected, weights_of(net), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(drawn, labels, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(now is then for now, then in zip(net.parameters(), parameters, strict=True))
    assert all(p.requires_grad and p.is_leaf and p.grad is None for p in parameters)
    for now, then in zip((p for p in parameters if p.ndim == 1), biases, strict=True):
        np.testing.assert_array_equal(now.detach().numpy(), then.numpy())


def test_a_channels_inputs_are_its_own() -> None:
    import torch

    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    net = cnn()
    dense = net[3]
    with torch.no_grad():
        dense.weight.fill_(1)
    labels = clusterable_init_(net, n_modules=3, beta=0.5)
    inside = dense.weight.detach().numpy().reshape(7, 6, 4) == 2  # flatten is channel-major
    np.testing.assert_array_equal(inside, np.broadcast_to((labels[3][:, None] == labels[2])[..., None], (7, 6, 4)))
    assert 0 < inside.sum() < inside.size


def test_a_list_of_layers_is_as_good() -> None:
    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    one, two = seeded(mlp), seeded(mlp)
    clusterable_init_(one, seed=2)
    clusterable_init_([layer for layer in two if hasattr(layer, "weight")], seed=2)
    for a, b in zip(weights_of(one), weights_of(two), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pytorchs_generator_is_left_alone_and_the_first_layer_may_be() -> None:
    import torch

    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    net = seeded(mlp)
    before, state = weights_of(net), torch.get_rng_state()
    clusterable_init_(net, first_layer=False)
    assert torch.equal(torch.get_rng_state(), state)
    same = [np.array_equal(a, b) for a, b in zip(before, weights_of(net), strict=True)]
    assert same == [True, False, False]


@pytest.mark.parametrize(("build", "shape"), [(mlp, (16, 12)), (cnn, (16, 2, 8, 8))])
def test_rescaling_keeps_the_function(build: Any, shape: tuple[int, ...]) -> None:
    import torch

    from netspectra.bindings.pytorch.initialisation import rescale_relu_

    net, x = seeded(build).double(), torch.randn(shape, dtype=torch.float64)
    before, old = net(x), weights_of(net)
    rescale_relu_(net)
    torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)
    layers = [m for m in net.modules() if hasattr(m, "weight")]
    for layer, weight in zip(layers[:-1], old, strict=False):
        rows = layer.weight.detach().flatten(1)
        together = rows if layer.bias is None else torch.cat([rows, layer.bias.detach()[:, None]], dim=1)
        np.testing.assert_allclose(together.norm(dim=1).numpy(), np.sqrt(2), rtol=1e-13)
        assert np.any(layer.weight.detach().numpy() != weight)


def test_rescaling_during_training_keeps_the_gradients_path() -> None:
    import torch

    from netspectra.bindings.pytorch.initialisation import rescale_relu_

    net = seeded(mlp)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        net(torch.ones(4, 12)).pow(2).sum().backward()
        optimiser.step()
        rescale_relu_(net)
    norms = torch.cat([net[0].weight.detach(), net[0].bias.detach()[:, None]], dim=1).norm(dim=1)
    np.testing.assert_allclose(norms.numpy(), np.sqrt(2), rtol=1e-5)


def refused() -> dict[str, tuple[Any, str]]:
    """Return modules and lists that make no chain, with what the message says."""
    import torch
    from torch import nn
    from torch.nn.utils import prune

    pruned = nn.Linear(4, 4)
    prune.l1_unstructured(pruned, "weight", 0.5)
    shared = nn.Linear(4, 4)
    return {
        "nothing": (nn.ReLU(), r"found no Linear, Conv1d, Conv2d or Conv3d layer; pass the layers as a list"),
        "tensor": (torch.ones(2, 2), r"expected a torch.nn.Module or a list of its layers, got Tensor"),
        "another layer": ([nn.Linear(4, 4), nn.Bilinear(4, 4, 4)], r"layer 1 is a Bilinear, expected Linear"),
        "transposed": (nn.Sequential(nn.ConvTranspose2d(4, 4, 2)), r"layer 0 is a ConvTranspose2d, expected Linear"),
        "groups": (nn.Sequential(nn.Conv2d(4, 4, 2, groups=2)), r"layer 0 is a Conv2d in 2 groups, expected one group"),
        "pruned": (pruned, r"layer 0: the weight of this Linear is computed from other parameters \(pruning"),
        "lazy": (nn.LazyLinear(4), r"layer 0 is a LazyLinear whose shape is not known yet; run one batch"),
        "twice": ([shared, shared], r"the same weights occur twice"),
        "no chain": ([nn.Linear(4, 3), nn.Linear(4, 3)], r"weights\[0\] and weights\[1\] do not chain as 'out-in'"),
    }


REFUSED = ("nothing", "tensor", "another layer", "transposed", "groups", "pruned", "lazy", "twice", "no chain")


def test_every_refusal_is_tried() -> None:
    assert tuple(refused()) == REFUSED


@pytest.mark.parametrize("case", REFUSED)
def test_messages(case: str) -> None:
    from netspectra.bindings.pytorch.initialisation import clusterable_init_, rescale_relu_

    subject, message = refused()[case]
    for call in (clusterable_init_, rescale_relu_):
        with pytest.raises(GraphError, match=message):
            call(subject)


def test_nothing_changes_when_an_argument_is_wrong() -> None:
    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    net = seeded(mlp)
    before = weights_of(net)
    with pytest.raises(GraphError, match=r"beta must be a number in \(0, 1\]"):
        clusterable_init_(net, beta=2)
    for a, b in zip(before, weights_of(net), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rescaling_refuses_what_it_would_change() -> None:
    from torch import nn

    from netspectra.bindings.pytorch.initialisation import clusterable_init_, rescale_relu_

    for part in (nn.Tanh(), nn.BatchNorm1d(9), nn.BatchNorm1d(9, affine=False), nn.LayerNorm(9), nn.Bilinear(9, 9, 9)):
        net = mlp(part)
        before = weights_of(net)
        with pytest.raises(GraphError, match=rf"{type(part).__name__} does not commute with a positive factor"):
            rescale_relu_(net)
        for a, b in zip(before, weights_of(net), strict=True):
            np.testing.assert_array_equal(a, b)
    for part in (nn.Dropout(), nn.PReLU(9), nn.Identity()):
        rescale_relu_(mlp(part))
    assert len(clusterable_init_(mlp(nn.Tanh(), nn.BatchNorm1d(9)))) == 4  # the initialisation keeps no function


@pytest.mark.parametrize(("kernel", "beta"), list(itertools.product((False, True), (None, 0.7))))
def test_default_beta(kernel: bool, beta: float | None) -> None:
    import torch
    from torch import nn

    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    layer = nn.Conv1d(20, 20, 3) if kernel else nn.Linear(20, 20)
    with torch.no_grad():
        layer.weight.fill_(1)
    clusterable_init_(layer, beta=beta)
    across = beta or (0.8 if kernel else 0.6)
    found = np.unique(layer.weight.detach().numpy())
    np.testing.assert_allclose(found, [across, 1 + (1 - across) * 9], rtol=1e-6)
