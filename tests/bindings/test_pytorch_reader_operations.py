"""PyTorch's operations: each is written down so that the network, run on numbers, computes what the module does."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.requires("torch")

SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    # a change of axes, as code of x, before a dense layer over the last axis; the shape of x
    "view": ("x.view(2, 3, 20)", (2, 12, 5)),
    "reshape": ("x.reshape(-1, 6)", (2, 3, 6)),
    "reshape_copy": ("x.transpose(1, 2).reshape(2, -1)", (2, 3, 6)),
    "flatten": ("torch.flatten(x, 1, 2)", (2, 3, 4, 5)),
    "unflatten": ("x.unflatten(-1, (2, 3))", (2, 6)),
    "permute": ("x.permute(2, 0, 1)", (2, 3, 4)),
    "transpose": ("x.transpose(-1, 0)", (2, 3, 4)),
    "t": ("x.t()", (3, 4)),
    "T": ("x.T", (3, 4)),
    "mT": ("x.mT", (2, 3, 4)),
    "movedim": ("x.movedim((0, 2), (1, 0))", (2, 3, 4, 5)),
    "squeeze": ("x.squeeze(1).unsqueeze(0)", (2, 1, 4)),
    "expand": ("x.expand(3, -1, 4)", (3, 2, 1)),
    "repeat": ("x.repeat(2, 1, 3)", (3, 4)),
    "tile": ("x.tile(3)", (2, 4)),
    "interleave": ("x.repeat_interleave(3, dim=1)", (2, 4)),
    "interleave_all": ("x.repeat_interleave(2)", (2, 4)),
    "slice": ("x[:, 1:-1:2, -3:]", (2, 7, 5)),
    "negative_steps": ("x.flip(-1, 0)", (2, 3, 4)),
    "narrow": ("x.narrow(1, 2, 3)", (2, 7)),
    "select": ("x[:, -1]", (2, 3, 4)),
    "index_select": ("x.index_select(1, torch.tensor([2, 0, 0]))", (2, 3)),
    "index": ("x[:, torch.tensor([[0, 2], [1, 1]])]", (2, 3, 4)),
    "index_two": ("x[:, torch.tensor([0, -1]), torch.tensor([[1], [2]])]", (2, 3, 4, 5)),
    "index_mask": ("x[torch.tensor([[True, False, True], [True, True, False]])]", (2, 3, 4)),
    "roll": ("x.roll((1, -2), (0, 2))", (2, 3, 5)),
    "chunk": ("torch.cat(x.chunk(3, 1)[::-1], 1)", (2, 7, 4)),
    "split": ("torch.cat([x.split([1, 4], -1)[1], x.split(2, -1)[2]], -1)", (2, 5)),
    "unbind": ("torch.stack(x.unbind(1)[::-1], -1)", (2, 3, 4)),
    "stack": ("torch.stack([x, x], 1)", (2, 4)),
    "hstack": ("torch.hstack([x, x])", (2, 4)),
    "vstack": ("torch.vstack([x[0], x])", (2, 4)),
    "constant_part": ("torch.cat([torch.zeros(2, 3), x], 1)", (2, 4)),
    "pad": ("F.pad(x, (1, 2, -1, 1))", (2, 3, 4)),
    "mean": ("x.mean((0, 2))", (2, 3, 4)),
    "mean_all": ("x.mean().reshape(1)", (2, 3)),
    "mean_kept": ("x.mean(1, keepdim=True)", (2, 3, 4)),
    "pixel_shuffle": ("F.pixel_shuffle(x, 2)", (1, 8, 3, 3)),
    "pixel_unshuffle": ("F.pixel_unshuffle(x, 2)", (1, 2, 4, 6)),
    "channel_shuffle": ("F.channel_shuffle(x, 2)", (1, 6, 2, 3)),
    "write": ("overwritten(x)", (2, 3, 4)),
    "glu_less": ("x[..., :2] * x[..., 2:]", (2, 4)),
    "double": ("x + x * x + x[:1]", (2, 4)),
    "broadcast": ("x[:, None] + x[None]", (2, 4)),
    "no_grad": ("under_no_grad(x)", (2, 3, 4)),
    "einsum_permute": ("torch.einsum('abc->cab', x)", (2, 3, 4)),
    "einsum_product": ("torch.einsum('bhqd,bhkd->bhqk', x, x)", (2, 3, 4, 5)),
    "einsum_ellipsis": ("torch.einsum('...d,...e->...de', x, x)", (2, 3, 4)),
    "einsum_outer": ("torch.einsum('i,j->ij', x, x)", (4,)),
    "vector_product": ("(x[0, 0] @ x).reshape(-1)", (2, 3, 3)),
    "matmul_broadcast": ("x @ x[0].mT", (2, 3, 4)),
}

LINEAR: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    # a product with a parameter w, as code; shapes of x and w
    "linear": ("F.linear(x, w)", (2, 3, 4), (5, 4)),
    "matmul": ("x @ w", (2, 3, 4), (4, 5)),
    "mm": ("torch.mm(x, w.t())", (3, 4), (5, 4)),
    "addmm": ("torch.addmm(torch.zeros(5), x, w)", (3, 4), (4, 5)),
    "left": ("w @ x", (2, 3, 4), (5, 3)),
    "left_of_vector": ("torch.mv(w, x)", (3,), (5, 3)),
    "vector": ("x @ w", (2, 3, 4), (4,)),
    "bmm": ("torch.bmm(x, w)", (2, 3, 4), (2, 4, 5)),
    "batched": ("x @ w", (7, 2, 3, 4), (2, 4, 5)),
    "batched_shared": ("x @ w", (3, 4), (2, 4, 5)),
    "batched_left": ("w @ x", (7, 2, 4, 3), (2, 5, 4)),
    "part": ("x @ w[1:5].reshape(2, 8).t()", (3, 8), (6, 4)),
    "einsum": ("torch.einsum('bsd,de->bse', x, w)", (2, 3, 4), (4, 5)),
    "einsum_heads": ("torch.einsum('bsd,hde->bhse', x, w)", (2, 3, 4), (3, 4, 5)),
    "einsum_merge": ("torch.einsum('bshe,hed->bsd', x, w)", (2, 3, 4, 5), (4, 5, 6)),
    "einsum_each": ("torch.einsum('hde,bhsd->bhse', w, x)", (2, 3, 7, 4), (3, 4, 5)),
    "einsum_sum": ("torch.einsum('bd,dh->b', x, w)", (2, 4), (4, 5)),
    "einsum_scale": ("torch.einsum('bsd,d->bsd', x, w)", (2, 3, 4), (4,)),
    "scale": ("x * w", (2, 4, 3, 3), (4, 1, 1)),
    "inverse": ("x / w", (2, 4), (4,)),
    "conv1d": ("F.conv1d(x, w)", (2, 3, 9), (4, 3, 3)),
    "conv2d_grouped": ("F.conv2d(x, w, groups=2)", (2, 4, 5, 5), (6, 2, 3, 2)),
    "conv3d": ("F.conv3d(x, w)", (1, 2, 4, 4, 4), (3, 2, 2, 2, 2)),
    "conv_without_batch": ("F.conv2d(x, w)", (3, 5, 5), (4, 3, 3, 3)),
    "conv_transpose1d": ("F.conv_transpose1d(x, w)", (2, 3, 5), (3, 4, 2)),
    "conv_transpose2d_grouped": ("F.conv_transpose2d(x, w, groups=2)", (2, 4, 5, 5), (4, 3, 3, 2)),
    "batch_norm": ("F.batch_norm(x, torch.zeros(4), w.abs(), w)", (2, 4, 3), (4,)),
    "batch_norm_plain": ("F.batch_norm(x, torch.zeros(4), w.abs())", (2, 4, 3), (4,)),
}


def module_of(code: str, shape: tuple[int, ...] | None, n_last: int | None = None) -> Any:
    """Module whose forward is `code` of x and the parameter w; a dense layer of `n_last` inputs behind it."""
    import torch
    from torch import nn
    from torch.nn import functional

    def overwritten(x: Any) -> Any:
        whole = torch.zeros_like(x)
        whole[:, 1:] = x[:, :2]
        whole[0] = x[1]
        return whole

    def under_no_grad(x: Any) -> Any:
        with torch.no_grad():
            return x.transpose(0, 1) + 0

    names = {"torch": torch, "F": functional, "overwritten": overwritten, "under_no_grad": under_no_grad}

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            if shape is not None:
                self.w = nn.Parameter(torch.rand(shape, generator=generator) + 0.5)
            self.last = nn.Linear(n_last, 2, bias=False) if n_last else nn.Identity()

        def forward(self, x: Any) -> Any:
            return self.last(eval(code, {**names, "x": x, "w": getattr(self, "w", None)}))

    return Module()


def check(module: Any, shape: tuple[int, ...]) -> None:
    """The network that is read, run on numbers, computes what the module does."""
    import torch
    from networks.replay import replay

    from netspectra.bindings.pytorch import network_from_module

    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    network = network_from_module(module, x)
    assert not network.skipped
    assert network.inputs == {"x": shape}
    with torch.no_grad():
        (found,) = replay(network, (x,))
        torch.testing.assert_close(found, module.eval()(x))


@pytest.mark.parametrize("name", SHAPES)
def test_changes_of_axes_are_written_down_as_they_are(name: str) -> None:
    import torch

    code, shape = SHAPES[name]
    with torch.no_grad():
        made = module_of(code, None)(torch.zeros(shape))
    check(module_of(code, None, made.shape[-1]), shape)


@pytest.mark.parametrize("name", LINEAR)
def test_products_with_parameters_are_weighted_operations(name: str) -> None:
    code, shape, size = LINEAR[name]
    check(module_of(code, size), shape)


def test_attention_of_fewer_key_heads_is_repeated_in_groups() -> None:
    code = "F.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], enable_gqa=True)"
    check(module_of(code, None, 5), (2, 4, 3, 5))


def test_rotation_of_complex_pairs_keeps_them() -> None:
    from netspectra.bindings.pytorch import network_from_module

    code = "torch.view_as_real(torch.view_as_complex(x.reshape(2, 3, 4, 2)) * torch.polar(w, w)).flatten(2)"
    import torch

    network = network_from_module(module_of(code, (3, 1), 8), torch.zeros(2, 3, 8))
    assert [operation.kind for operation in network.operations] == ["reshape", "pass", "reshape", "dense"]
    assert network.operations[1].shape == (2, 3, 4, 2)


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("F.max_pool2d(F.relu(x), 2)", (1, 4, 4, 4)),
        ("F.interpolate(F.gelu(x), scale_factor=2, mode='bilinear')", (1, 4, 4, 4)),
        ("F.adaptive_max_pool2d(x, 3, return_indices=True)[0]", (1, 4, 4, 4)),
        ("F.pad(F.avg_pool2d(x, 2, 1), (1, 1, 1, 1), mode='reflect')", (1, 4, 4, 4)),
        ("F.layer_norm(x, (4, 4, 4)).softmax(1)", (1, 4, 4, 4)),
        ("F.instance_norm(torch.where(x > 0, x, 0.0))", (1, 4, 4, 4)),
        ("F.group_norm(x.masked_fill(x < 0, 1.0), 2) * 3 / 2 - 1", (1, 4, 4, 4)),
        ("F.dropout(torch.clamp(x, 0, 1) + torch.arange(4.0), 0.5)", (1, 4, 4, 4)),
        ("torch.maximum(x, torch.zeros(4)).exp()", (1, 4, 4, 4)),
    ],
)
def test_what_keeps_channels_passes_them(code: str, shape: tuple[int, ...]) -> None:
    import torch

    from netspectra.bindings.pytorch import network_from_module

    module = module_of(f"F.conv2d({code}, w)", (5, 4, 1, 1))
    with torch.no_grad():
        size = tuple(module_of(code, None)(torch.zeros(shape)).shape)
    network = network_from_module(module, torch.zeros(shape))
    kinds = [operation.kind for operation in network.operations]
    assert set(kinds[:-1]) <= {"pass"}
    assert kinds[-1] == "convolution"
    assert not network.skipped
    assert network.operations[-2].shape == size


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("F.conv1d(x, x[:, :, :1]) @ w", "opaque", "kernel depends on the inputs"),
        ("x.sort(-1).values @ w", "opaque", "by their order"),
        ("x.cumsum(-1) @ w", "opaque", "by their order"),
        ("torch.fft.fft(x).real @ w", "opaque", "changes the shape|not known|complex"),
        ("w[:, x[0, :, 0].long()].t() @ w", "opaque", "indexed by the inputs"),
        ("x.gather(1, x[:, :1, :1].long()) @ w[:1] + 0 * x", "opaque", "along other axes"),
        ("torch.nn.functional.bilinear(x, x, w[None].expand(4, 4, 4)) @ w", "opaque", "takes parameters"),
        ("torch.einsum('ijk,ijk,ijk->ijk', x, x, x) @ w", "opaque", "more than two tensors"),
        ("(x * w[None, :3]) @ w", "multiply", "along several axes"),
        ("F.layer_norm(x, (3, 4), w[:3], w[:3]) @ w", "pass", "over 2 axes"),
        ("F.prelu(x, w[0, :3]) @ w", "pass", "slopes"),
    ],
)
def test_what_is_not_known_is_skipped_with_its_reason(code: str, kind: str, reason: str) -> None:
    import re

    import torch

    from netspectra.bindings.pytorch import network_from_module

    network = network_from_module(module_of(f"{code} + x @ w", (4, 4)), torch.zeros(3, 3, 4))
    assert kind in [operation.kind for operation in network.operations]
    assert any(re.search(reason, skipped.reason) for skipped in network.skipped), network.skipped


@pytest.mark.parametrize(
    "code",
    [
        "x[torch.arange(2), x[:, :, 0].argmax(1)]",
        "x.gather(1, x[:, :1].long())[:, 0]",
        "x.topk(1, 1).values[:, 0]",
        "x[:, (x[0, 0, :1] > 0).long()].squeeze(1)",
    ],
)
def test_positions_that_the_inputs_choose_keep_their_channels(code: str) -> None:
    import numpy as np
    import torch

    from netspectra.bindings.pytorch import network_from_module
    from netspectra.networks import graph_from_network

    network = network_from_module(module_of(f"F.linear({code}, w)", (5, 4)), torch.zeros(2, 3, 4))
    assert not network.skipped
    graph = graph_from_network(network)
    assert [layer.size for layer in graph.layers] == [4, 5]
    weight = network.operations[-1].weights["weight"].read()
    np.testing.assert_allclose(np.abs(graph.blocks[0].weights), np.abs(weight).T)
