"""Modules without example inputs: what a symbolic trace tells, and what it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from netspectra.errors import GraphError

pytestmark = pytest.mark.requires("torch")


def read(module: Any, *example: Any) -> Any:
    from netspectra.bindings.pytorch import network_from_module

    return network_from_module(module, *example)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [("Linear(3, 2)", (1, 3)), ("Conv1d(2, 3, 2)", (1, 2, 5)), ("ConvTranspose2d(2, 4, 3, groups=2)", (1, 2, 4, 4))],
)
def test_a_layer_by_itself_is_a_module(layer: str, shape: tuple[int, ...]) -> None:
    import torch
    from torch import nn

    module = eval(f"nn.{layer}", {"nn": nn})
    (one,), (other,) = read(module, torch.zeros(shape)).operations, read(module).operations
    assert (one.kind, dict(one.weights)["weight"].key) == (other.kind, dict(other.weights)["weight"].key)
    assert dict(one.options) == {**other.options, **{k: v for k, v in one.options.items() if k == "axis"}}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x.view(-1, 4)", "view needs shapes"),
        ("x.transpose(0, 1)", "transpose needs shapes"),
        ("x[:, 0]", "getitem needs shapes"),
        ("x.view(x.size(1), -1)", "view needs shapes"),
        ("self.attention(x, x, x)[0]", "attention, a MultiheadAttention, is not known"),
    ],
)
def test_what_needs_shapes_asks_for_example_inputs(code: str, reason: str) -> None:
    from torch import nn

    class Shaped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.attention = nn.Linear(4, 2), nn.MultiheadAttention(4, 2)

        def forward(self, x: Any) -> Any:
            return self.layer(eval(code, {"x": x, "self": self}))

    with pytest.raises(GraphError, match=f"without example_inputs this module cannot be read: .*{reason}.*; pass"):
        read(Shaped())


def test_functions_of_a_trace_are_those_of_an_export() -> None:
    import torch
    from torch import nn
    from torch.nn import functional

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate = nn.Conv2d(3, 4, 3), nn.Parameter(torch.ones(4, 1, 1))
            self.norm, self.up = nn.GroupNorm(2, 8), nn.ConvTranspose2d(8, 6, 2, 2)
            self.out = nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.conv(x), inplace=True)
            x = torch.cat([x, functional.max_pool2d(x, 3, 1, 1) * self.gate], dim=1)
            x = self.up(self.norm(x).sigmoid()) + 1.0
            x = functional.interpolate(x.mean((2, 3), keepdim=True), scale_factor=2) / x.size(1)
            x = functional.adaptive_avg_pool2d(x, 1)
            return functional.log_softmax(self.out(x.view(x.size(0), -1)), dim=1)

    one, other = read(Mixed(), torch.zeros(1, 3, 6, 6)), read(Mixed())
    kinds = [[op.kind for op in network.operations if op.kind != "pass"] for network in (one, other)]
    assert [kind.replace("flatten", "reshape") for kind in kinds[1]] == kinds[0]
    assert [(op.name, dict(op.options).get("groups")) for op in one.operations if op.weights] == [
        (op.name, dict(op.options).get("groups")) for op in other.operations if op.weights
    ]


def test_torchvisions_stochastic_depth_is_nothing_in_evaluation() -> None:
    from netspectra.bindings.pytorch.recorder import Flow
    from netspectra.bindings.pytorch.traced_calls import arguments_of_function

    flow = Flow("x", None)
    assert arguments_of_function("stochastic_depth", [flow, 0.1, "row"], {"training": False}) == (
        "clone",
        {"self": flow},
    )
    assert arguments_of_function("nms", [flow], {}) is None
