"""What PyTorch's two exporters write of one module: the same graph, made of the module's own weights."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

from netspectra.graph import LayerGraph

pytestmark = [pytest.mark.requires("onnx", "onnxscript", "torch"), pytest.mark.slow]  # for the exporters are

LENGTH = 6


def modules() -> dict[str, tuple[Any, Any]]:
    """Small networks and an input of each."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.norm(self.conv(x)) + x)

    class Branches(nn.Module):
        """Concatenation of a grouped and a depthwise convolution, squeezed and excited."""

        def __init__(self) -> None:
            super().__init__()
            self.grouped, self.depthwise = nn.Conv2d(4, 6, 1, groups=2), nn.Conv2d(4, 4, 3, groups=4, padding=1)
            self.squeeze, self.excite, self.last = nn.Linear(10, 3), nn.Linear(3, 10), nn.Conv2d(10, 2, 1)

        def forward(self, x: Any) -> Any:
            y = torch.cat([self.grouped(x), self.depthwise(x)], 1)
            gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
            return self.last(y * gate[:, :, None, None])

    class Upsampled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8)
            self.up, self.shuffled, self.out = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(8, 16, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x: Any) -> Any:
            h = torch.nn.functional.silu(self.norm(self.down(x)))
            return self.out(torch.cat([self.up(h), functional.pixel_shuffle(self.shuffled(h), 2)], 1))

    class Norm(nn.Module):
        """RMS norm in parts: the older exporter does not know PyTorch's own."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(width) + 0.5)

        def forward(self, x: Any) -> Any:
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight

    class Block(nn.Module):
        """LLaMA's kind: RMS norm, rotary positions, shared heads, gated."""

        def __init__(self, width: int = 16, heads: int = 4, shared: int = 2, hidden: int = 24) -> None:
            super().__init__()
            self.heads, self.shared = heads, shared
            self.emb, self.head = nn.Embedding(20, width), nn.Linear(width, 20, bias=False)
            self.norm1, self.norm2 = Norm(width), Norm(width)
            half = width * shared // heads
            sizes = {"q": width, "k": half, "v": half, "o": width, "gate": hidden, "up": hidden}
            for name, size in sizes.items():
                setattr(self, name, nn.Linear(width, size, bias=False))
            self.down = nn.Linear(hidden, width, bias=False)
            self.register_buffer("inverse", 1 / 100 ** (torch.arange(0, 4, 2).float() / 4))

        def turned(self, x: Any) -> Any:
            a, b = x.chunk(2, -1)
            angle = torch.outer(torch.arange(x.shape[2]).float(), self.inverse)
            angle = torch.cat([angle, angle], -1)
            return x * angle.cos() + torch.cat([-b, a], -1) * angle.sin()

        def split(self, x: Any, heads: int) -> Any:
            return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

        def forward(self, tokens: Any) -> Any:
            x = self.emb(tokens)
            n = self.norm1(x)
            q, k = self.turned(self.split(self.q(n), self.heads)), self.turned(self.split(self.k(n), self.shared))
            v = self.split(self.v(n), self.shared)
            k, v = (t.repeat_interleave(self.heads // self.shared, 1) for t in (k, v))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.o(y.transpose(1, 2).reshape(*x.shape))
            n = self.norm2(x)
            return self.head(x + self.down(functional.silu(self.gate(n)) * self.up(n)))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb, self.pos = nn.Embedding(20, 16), nn.Embedding(12, 16)
            self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
            self.out = nn.Linear(16, 3)

        def forward(self, tokens: Any) -> Any:
            return self.out(self.layer(self.emb(tokens) + self.pos(torch.arange(tokens.shape[1])))[:, 0])

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(5, 7, batch_first=True, bidirectional=True), nn.Linear(14, 3)

        def forward(self, x: Any) -> Any:
            return self.out(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    image, tokens = torch.randn(1, 3, 14, 14), torch.randint(0, 20, (1, LENGTH))
    built = {
        "convolutional": (nn.Sequential(*stem, nn.Flatten(), nn.Linear(4 * 36, 5)), image),
        "residual": (nn.Sequential(*stem, Residual(), Residual(), *pooled, nn.Linear(4, 5)), image),
        "branches": (nn.Sequential(nn.Conv2d(3, 4, 3), Branches()), image),
        "upsampled": (Upsampled(), image),
        "decoder": (Block(), tokens),
        "encoder": (Encoder(), tokens),
        "recurrent": (Recurrent(), torch.randn(1, LENGTH, 5)),
    }
    for module, _ in built.values():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_var.uniform_(0.5, 2)
                nn.init.uniform_(part.weight, 0.5, 2)
    return {name: (module.eval(), example) for name, (module, example) in built.items()}


NAMES = ("convolutional", "residual", "branches", "upsampled", "decoder", "encoder", "recurrent")

#: Sizes of the layers, the input's first, then in the order of the graph.
SIZES = {
    "convolutional": [3, 4, 5],
    "residual": [3, 4, 4, 4, 5],
    "encoder": [20, 16, 16, 16, 32, 3],
    "decoder": [20, 16, 8, 8, 24, 20],
}


@pytest.fixture(scope="module")
def exported(require: Any) -> dict[tuple[str, str], Any]:
    """Every module by both exporters, as ModelProtos."""
    onnx, torch, found = require("onnx"), require("torch"), {}
    require("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        for name, (module, example) in modules().items():
            found["new", name] = torch.onnx.export(module, (example,), dynamo=True, verbose=False).model_proto
            stream = io.BytesIO()
            torch.onnx.export(module, (example,), stream, dynamo=False)
            found["old", name] = onnx.load_from_string(stream.getvalue())
    return found


def graph(proto: Any, **choices: Any) -> LayerGraph:
    from netspectra.bindings.onnx import graph_from_onnx

    return graph_from_onnx(proto, **choices)


def matrices(of: LayerGraph) -> list[np.ndarray]:
    """Blocks in the graph's order; several between the same layers sorted by their sums, and none of direction."""
    dense = [(sorted((b.source, b.target)), _matrix(b.weights)) for b in of.blocks]
    return [array for _, array in sorted(dense, key=lambda pair: (pair[0], round(float(pair[1].sum()), 4)))]


def _matrix(weights: Any) -> np.ndarray:
    return np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float64)


@pytest.mark.parametrize("name", NAMES)
def test_both_exporters_give_one_graph(exported: dict[tuple[str, str], Any], name: str) -> None:
    new, old = graph(exported["new", name]), graph(exported["old", name])
    assert [layer.size for layer in new.layers] == [layer.size for layer in old.layers]
    for one, other in zip(matrices(new), matrices(old), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["new", "old"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_skipped(exported: dict[tuple[str, str], Any], kind: str, name: str) -> None:
    from netspectra.bindings.onnx import network_from_onnx

    assert network_from_onnx(exported[kind, name]).skipped == ()


@pytest.mark.parametrize("kind", ["new", "old"])
@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_layers(exported: dict[tuple[str, str], Any], kind: str, name: str) -> None:
    assert [layer.size for layer in graph(exported[kind, name]).layers] == SIZES[name]


@pytest.mark.parametrize("kind", ["new", "old"])
def test_the_blocks_of_a_convolutional_network(exported: dict[tuple[str, str], Any], kind: str) -> None:
    """By hand: kernels times the batch norm's factor, summed over positions, as is what a channel is flattened to."""
    module, _ = modules()["convolutional"]
    conv, norm, last = module[0], module[1], module[5]
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    kernel = np.abs(conv.weight.detach().numpy() * factor[:, None, None, None]).sum((2, 3)).T
    flat = np.abs(last.weight.detach().numpy().reshape(5, 4, 36)).sum(2).T
    found = matrices(graph(exported[kind, "convolutional"]))
    for one, other in zip(found, (kernel, flat), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("kind", ["new", "old"])
def test_names_are_paths_of_modules(exported: dict[tuple[str, str], Any], kind: str) -> None:
    names = [layer.name for layer in graph(exported[kind, "residual"]).layers]
    assert names[1:] == ["0", "4.conv", "5.conv", "8"]
    from netspectra.bindings.onnx import network_from_onnx

    decoder = network_from_onnx(exported[kind, "decoder"])
    weighted = [operation.name for operation in decoder.operations if operation.kind in ("dense", "embedding")]
    assert weighted == ["emb", "q", "k", "v", "o", "gate", "up", "down", "head"]


def test_free_batch_and_length(require: Any) -> None:
    """Exported with free sizes, a transformer gives the graph that it gives with fixed ones."""
    torch, onnx = require("torch"), require("onnx")
    module, example = modules()["decoder"]
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"tokens": {0: "batch", 1: "length"}}
        torch.onnx.export(module, (example,), stream, dynamo=False, input_names=["tokens"], dynamic_axes=axes)
        dims = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
        example = torch.cat([example, example])
        new = torch.onnx.export(module, (example,), dynamo=True, verbose=False, dynamic_shapes=dims).model_proto
    graphs = [graph(proto) for proto in (onnx.load_from_string(stream.getvalue()), new)]
    for one in graphs:
        assert [layer.size for layer in one.layers] == SIZES["decoder"]
    for one, other in zip(*map(matrices, graphs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
