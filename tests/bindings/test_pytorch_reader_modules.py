"""What PyTorch modules are made of, as operations: names, shared weights, recurrence, constants, masks, regions."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.requires("torch")


def read(module: Any, *example: Any) -> Any:
    from netspectra.bindings.pytorch import network_from_module

    return network_from_module(module, *example)


def test_names_of_weights_say_which_of_several_a_module_has() -> None:
    import torch
    from torch import nn

    module = nn.TransformerEncoderLayer(8, 2, 6, batch_first=True)
    network = read(module, torch.zeros(1, 3, 8))
    names = [one.name for one in network.operations if one.kind == "dense"]
    assert names == ["self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2"]
    assert [one.name for one in network.operations if one.kind == "scale"] == ["norm1", "norm2"]
    assert not network.skipped


def test_tied_weights_and_modules_called_twice() -> None:
    import torch
    from torch import nn

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.layer, self.head = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.wte.weight

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(self.layer(self.wte(x))))

    network = read(Tied(), torch.zeros(1, 2, dtype=torch.long))
    assert [one.name for one in network.operations if one.weights] == ["wte", "layer", "layer", "head"]
    assert network.operations[-1].weights["weight"].key in ("wte.weight", "head.weight")
    assert not network.skipped


def test_parameters_without_effect_are_skipped_and_named() -> None:
    import torch
    from torch import nn

    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.aside, self.other = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(2, 2, bias=False)

        def forward(self, x: Any) -> Any:
            self.other(self.aside(x))
            return self.used(x)

    for network in (read(Aside(), torch.zeros(1, 3)), read(Aside())):
        assert [one.name for one in network.operations if one.weights] == ["used"]
        assert {skipped.name for skipped in network.skipped} == {"aside.weight", "aside.bias", "other.weight"}
        assert {skipped.reason for skipped in network.skipped} == {"no output depends on it"}


def test_constants_are_named_with_their_shapes() -> None:
    import torch
    from torch import nn

    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.layer = nn.Parameter(torch.zeros(1, 1, 3)), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.layer(torch.cat([self.token.expand(len(x), -1, -1), x], 1))

    network = read(Token(), torch.zeros(2, 4, 3))
    assert list(network.constants.values()) == [(2, 1, 3)]
    assert network.operations[0].inputs == (*network.constants, "x")
    assert not network.skipped


@pytest.mark.parametrize("door", ["export", "trace"])
def test_recurrent_layers_are_unrolled_once(door: str) -> None:
    import torch
    from torch import nn

    for kind, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        module = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True)
        network = read(module, torch.zeros(4, 1, 3)) if door == "export" else read(module)
        layers = [one for one in network.operations if one.kind == "recurrent"]
        assert [one.name for one in layers] == ["l0", "l0_reverse", "l1", "l1_reverse"]
        assert layers[2].weights["input_weight"].shape == (gates * 5, 10)
        assert layers[2].weights["hidden_weight"].key == "weight_hh_l1"
        assert dict(layers[0].options) == {"orientation": "out-in", "gates": gates}
        assert not network.skipped


def test_a_recurrent_cell_in_a_loop_is_one_layer() -> None:
    import torch
    from torch import nn

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.LSTMCell(3, 4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            state = None
            for step in x.unbind(0):
                state = self.cell(step, state)
            return self.out(state[0])

    network = read(Loop(), torch.zeros(5, 1, 3))
    assert [one.name for one in network.operations if one.weights] == ["cell", "out"]
    assert not network.skipped


def test_a_projected_recurrence_says_what_it_leaves_out() -> None:
    import torch
    from torch import nn

    network = read(nn.LSTM(3, 5, proj_size=2), torch.zeros(4, 1, 3))
    weighted = [(one.kind, one.name) for one in network.operations if one.weights]
    assert weighted == [("recurrent", "l0"), ("dense", "l0.projection")]
    assert [skipped.name for skipped in network.skipped] == ["weight_hh_l0"]


def test_a_mask_of_integers_is_no_input_of_nodes() -> None:
    import torch
    from torch import nn

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.layer = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, tokens: Any, mask: Any) -> Any:
            x = self.embedding(tokens.clamp(max=8))
            x = x + (1.0 - mask[..., None].to(x.dtype)) * torch.finfo(x.dtype).min
            return self.layer((x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))

    tokens = torch.zeros(1, 3, dtype=torch.long)
    network = read(Masked(), (tokens, torch.ones(1, 3, dtype=torch.long)))
    assert list(network.inputs) == ["tokens"]
    kinds = [one.kind for one in network.operations]
    assert kinds == ["pass", "embedding", "pass", "multiply", "reduce", "pass", "dense"]
    assert not network.skipped


def test_pixels_of_integers_are_an_input() -> None:
    import torch
    from torch import nn

    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Any) -> Any:
            return self.conv(x.float() / 255)

    network = read(Pixels(), torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    assert network.inputs == {"x": (1, 3, 2, 2)}
    assert [one.kind for one in network.operations] == ["pass", "convolution"]


def test_regions_of_autocast_and_gradients_are_looked_into() -> None:
    import torch
    from torch import nn

    class Regions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
            self.register_buffer("speed", torch.arange(4.0))

        def forward(self, x: Any) -> Any:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                turned = torch.outer(torch.arange(x.shape[1]).float(), self.speed).cos()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = self.one(x) * turned
            with torch.enable_grad():
                y = self.two(y)
            return x + y

    network = read(Regions(), torch.zeros(1, 3, 4))
    assert [(one.kind, one.name) for one in network.operations if one.weights] == [("dense", "one"), ("dense", "two")]
    assert [one.kind for one in network.operations] == ["dense", "multiply", "dense", "add"]
    assert list(network.constants.values()) == [(3, 4)]
