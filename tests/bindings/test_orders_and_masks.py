"""What a file of tensors does not say of itself: which group of names comes first, and that weights are pruned."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import netspectra as ns
from netspectra.bindings.readers.inspection import inspect_file
from netspectra.errors import GraphError
from netspectra.networks import GraphChoices, Network, Operation, Weight
from netspectra.networks.architecture import save_architecture

RNG = np.random.default_rng(0)


def matrices(prefix: str, *sizes: int) -> dict[str, np.ndarray]:
    """PyTorch's (n_out, n_in)."""
    shapes = enumerate(pairwise(sizes))
    return {f"{prefix}.{2 * i}.weight": RNG.standard_normal((b, a)).astype(np.float32) for i, (a, b) in shapes}


def sizes(graph: Any) -> list[int]:
    return [layer.size for layer in graph.layers]


def test_an_encoder_and_a_decoder_that_chain_either_way_are_refused(tmp_path: Path) -> None:
    tensors = matrices("net.encoder", 20, 16, 4) | matrices("net.decoder", 4, 16, 20)
    save_file(tensors, path := tmp_path / "m.safetensors")
    with pytest.raises(GraphError, match=r"more than one order \(decoder, encoder, .* and encoder, decoder\).*order="):
        ns.load(path, orientation="out-in")
    assert "more than one order" in (inspect_file(path, orientation="out-in").problem or "")
    assert sizes(ns.load(path, orientation="out-in", order=list(tensors))) == [20, 16, 4, 16, 20]


def test_groups_that_chain_one_way_only_need_no_order(tmp_path: Path) -> None:
    save_file(matrices("stem", 6, 5) | matrices("head", 5, 3), path := tmp_path / "m.safetensors")
    with pytest.raises(GraphError, match="do not"):
        ns.load(path, orientation="out-in")  # head, stem: the names sort so, and it does not chain
    save_file(matrices("body", 6, 5, 5) | matrices("head", 5, 3), path)
    assert sizes(ns.load(path)) == [6, 5, 5, 3]
    save_file(matrices("block1", 4, 4) | matrices("block2", 4, 4), path)
    assert sizes(ns.load(path, orientation="out-in")) == [4, 4, 4]


def pruned() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    whole = matrices("net", 5, 8, 3)
    masks = {name: (RNG.random(w.shape) < 0.5).astype(np.float32) for name, w in whole.items()}
    tensors = {f"{name}_orig": w for name, w in whole.items()} | {f"{name}_mask": m for name, m in masks.items()}
    return tensors, {name: w * masks[name] for name, w in whole.items()}


def test_masks_are_applied(tmp_path: Path) -> None:
    tensors, expected = pruned()
    save_file(tensors, path := tmp_path / "m.safetensors")
    graph = ns.load(path)
    for block, W in zip(graph.blocks, expected.values(), strict=True):
        np.testing.assert_array_equal(block.weights, W.T)
    assert graph.n_edges == sum(int(np.count_nonzero(W)) for W in expected.values())
    found = inspect_file(path)
    assert found.problem is None
    assert found.n_edges == graph.n_edges


def test_an_architecture_of_a_pruned_module_fits_its_file(tmp_path: Path) -> None:
    tensors, expected = pruned()
    save_file(tensors, path := tmp_path / "m.safetensors")
    operations, last = [], "x"
    for name, W in expected.items():
        weight = Weight.of(W, f"{name}_orig (computed)")
        operations.append(Operation("dense", name, (last,), (name,), {"weight": weight}, {"orientation": "out-in"}))
        last = name
    network = Network(tuple(operations), {"x": (1, 5)}, outputs=(last,))
    save_architecture(network, tmp_path / "a.json")
    graph = ns.load(path, architecture=tmp_path / "a.json")
    np.testing.assert_array_equal(graph.blocks[1].weights, expected["net.2.weight"].T)
    other = Weight.of(expected["net.0.weight"], "net.0.weight_g (computed)")
    normed = Network(
        (Operation("dense", "d", ("x",), ("y",), {"weight": other}, {"orientation": "out-in"}),), {"x": (1, 5)}
    )
    with pytest.raises(GraphError, match="make it permanent in the module"):
        ns.load(path, architecture=normed)


def test_what_is_no_architecture_is_told(tmp_path: Path) -> None:
    save_file(matrices("net", 5, 3), path := tmp_path / "m.safetensors")
    wrong: Any = GraphChoices()
    with pytest.raises(GraphError, match="network_from_module"):
        ns.load(path, architecture=wrong)
    with pytest.raises(GraphError, match="expected a Network, got GraphChoices"):
        save_architecture(wrong, tmp_path / "a.json")


@pytest.mark.requires("torch")
def test_the_model_that_is_read_of_several_is_named(
    require: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch = require("torch")
    models = {k: {"0.weight": torch.full((3, 5), v)} for k, v in (("model", 1.0), ("state_dict", 2.0), ("ema", 3.0))}
    torch.save(models, tmp_path / "m.pt")
    with caplog.at_level(logging.WARNING, "netspectra"):
        graph = ns.load(tmp_path / "m.pt", orientation="out-in")
    assert float(graph.blocks[0].weights[0, 0]) == 2.0
    assert "read 'state_dict'; left are 'model', 'ema'" in caplog.text
