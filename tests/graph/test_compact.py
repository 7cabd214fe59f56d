"""Removal of isolated nodes: what is left is the same graph, and everything finds its way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from problems import PROBLEMS, layered
from spectrum.acceptance import adjacency, live_nodes

import netspectra as ns
from netspectra.graph.batch import load_batch
from netspectra.graph.compact import compact
from netspectra.kernels import get_backend


def compacted(graph: Any) -> Any:
    return compact(graph, load_batch([graph], get_backend("cpu")).degrees[0])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_what_is_left_is_the_same_graph(problem: Any) -> None:
    graph = problem.graph("float32")
    found, live = compacted(graph), live_nodes(graph)
    np.testing.assert_array_equal(found.live, live)
    assert found.n_isolated == np.count_nonzero(~live)
    assert (found.graph is graph) == live.all()
    np.testing.assert_array_equal(adjacency(found.graph).toarray(), adjacency(graph).toarray()[np.ix_(live, live)])
    assert [layer.name for layer in found.graph.layers] == [layer.name for layer in graph.layers]
    assert found.graph.dtype == graph.dtype
    for one, other in zip(found.graph.blocks, graph.blocks, strict=True):
        assert (one.is_sparse, one.learned, one.fixed_support) == (other.is_sparse, other.learned, other.fixed_support)
        values = one.weights.data if one.is_sparse else one.weights
        assert not values.flags.writeable


def test_values_come_back_in_their_places() -> None:
    graph = next(p for p in PROBLEMS if p.name == "isolated-and-low-rank").graph("float64")
    found = compacted(graph)
    values = np.arange(2.0 * found.graph.n_nodes).reshape(-1, 2)
    expanded = found.expand(values, np.nan)
    assert expanded.shape == (graph.n_nodes, 2)
    np.testing.assert_array_equal(expanded[found.live], values)
    assert np.isnan(expanded[~found.live]).all()
    labels = found.expand(np.zeros(found.graph.n_nodes, np.int32), -1)
    assert labels.dtype == np.int32
    assert set(labels[~found.live].tolist()) == {-1}


def test_blocks_that_lose_nothing_are_shared() -> None:
    A, B = np.ones((3, 4)), np.ones((4, 5))
    B[:, 2] = 0
    found = compacted(ns.LayerGraph.from_weights([A, B]))
    assert np.shares_memory(found.graph.blocks[0].weights, A)
    assert not np.shares_memory(found.graph.blocks[1].weights, B)
    assert [layer.size for layer in found.graph.layers] == [3, 4, 4]


def test_a_layer_may_vanish() -> None:
    graph = layered((0, 1, np.ones((2, 3))), (1, 2, np.zeros((3, 4))), sizes=(2, 3, 4))
    assert [layer.size for layer in compacted(graph).graph.layers] == [2, 3, 0]


def test_a_support_keeps_its_explicit_zeros_between_live_nodes() -> None:
    data, cols = np.array([1.0, 0.0, 0.0, 2.0, 0.0]), np.array([0, 1, 0, 1, 2])
    csr = sp.csr_array((data, cols, np.array([0, 2, 4, 5])), shape=(3, 3))
    layers = [ns.Layer("a", 3), ns.Layer("b", 3)]
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block("a", "b", csr, fixed_support=True, learned=False)])
    (block,) = compacted(graph).graph.blocks
    assert (block.shape, block.n_stored, block.count_nonzero()) == ((2, 2), 4, 2)
    assert block.weights.has_canonical_format
    assert (block.fixed_support, block.learned) == (True, False)


def test_self_loops_are_warned_of_once() -> None:
    M = np.ones((4, 4))
    M[2, :] = M[:, 2] = 0
    with pytest.warns(UserWarning, match="self-loops") as caught:
        graph = ns.LayerGraph.from_adjacency(M)
    assert len(caught) == 1
    assert compacted(graph).graph.n_nodes == 3  # warnings are errors here
