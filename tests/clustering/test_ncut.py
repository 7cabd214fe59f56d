"""The n-cut of a labelling: its definition, what it does not depend on, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clustering.brute_force import dense_adjacency, ncut_by_definition, small_graphs
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip, random_chain
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import netspectra as ns
from netspectra.clustering.ncut import cluster_volumes
from netspectra.errors import GraphError
from netspectra.graph.batch import load_batch

GRAPHS = [chain, csr_chain, even_skip, adjacency_graph]


@given(small_graphs(), st.data())
def test_equals_the_definition(graph: ns.LayerGraph, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(-1, 3), min_size=graph.n_nodes, max_size=graph.n_nodes))
    expected = ncut_by_definition(dense_adjacency(graph), np.array(labels))
    assert ns.ncut(graph, labels) == pytest.approx(expected, abs=1e-12)


@given(small_graphs(), st.data())
def test_does_not_depend_on_the_names_of_the_clusters(graph: ns.LayerGraph, data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=graph.n_nodes, max_size=graph.n_nodes)))
    names = np.array(data.draw(st.permutations([0, 5, 2, 900])))
    assert ns.ncut(graph, names[labels]) == pytest.approx(ns.ncut(graph, labels), abs=1e-12)


@pytest.mark.parametrize("make", GRAPHS)
def test_is_the_trace_of_the_laplacian_over_cluster_indicators(make: Callable[[], ns.LayerGraph]) -> None:
    graph = make()
    labels = np.random.default_rng(0).integers(0, 5, graph.n_nodes)
    degrees = dense_adjacency(graph).sum(axis=1)
    H = np.sqrt(degrees)[:, None] * (labels[:, None] == np.arange(5))
    H /= np.linalg.norm(H, axis=0)
    assert ns.ncut(graph, labels) == pytest.approx(np.trace(H.T @ (ns.normalized_laplacian(graph) @ H)), rel=1e-12)


@pytest.mark.parametrize("make", GRAPHS)
def test_is_the_number_of_clusters_less_the_shares_that_stay_inside(make: Callable[[], ns.LayerGraph]) -> None:
    graph, A = make(), dense_adjacency(make())
    labels = np.random.default_rng(1).integers(0, 4, graph.n_nodes)
    inside = [A[np.ix_(labels == c, labels == c)].sum() / A[labels == c].sum() for c in range(4)]
    assert ns.ncut(graph, labels) == pytest.approx(4 - sum(inside), rel=1e-12)


@pytest.mark.parametrize("factor", [2.0**-20, 1e-9, 3.0, 1e9])
def test_does_not_depend_on_the_scale_of_the_weights(factor: float) -> None:
    graph = random_chain()
    scaled = ns.LayerGraph.from_weights([-factor * block.weights for block in graph.blocks])
    labels = np.arange(graph.n_nodes) % 3
    assert ns.ncut(scaled, labels) == pytest.approx(ns.ncut(graph, labels), rel=1e-14)


def test_moves_with_the_nodes() -> None:
    graph, rng = random_chain(), np.random.default_rng(0)
    order = [rng.permutation(layer.size) for layer in graph.layers]
    moved = ns.LayerGraph.from_weights([b.weights[np.ix_(order[i], order[i + 1])] for i, b in enumerate(graph.blocks)])
    labels = rng.integers(0, 4, graph.n_nodes)
    by_layer = [labels[graph.layer_slice(i)][order[i]] for i in range(len(order))]
    assert ns.ncut(moved, np.concatenate(by_layer)) == pytest.approx(ns.ncut(graph, labels), rel=1e-13)


def test_label_minus_one_is_no_cluster_but_still_outside() -> None:
    path = ns.LayerGraph.from_adjacency(np.diag([1.0, 2.0, 4.0], 1) + np.diag([1.0, 2.0, 4.0], -1))
    assert ns.ncut(path, [0, 0, -1, -1]) == pytest.approx(2 / (1 + 3))
    assert ns.ncut(path, [-1, 0, 1, -1]) == pytest.approx((1 + 2) / 3 + (2 + 4) / 6)
    assert ns.ncut(path, [-1] * 4) == 0.0


def test_is_exactly_zero_for_components_whatever_their_weights() -> None:
    rng = np.random.default_rng(0)
    W = np.zeros((9, 6))
    for c in range(3):
        W[3 * c : 3 * c + 3, 2 * c : 2 * c + 2] = rng.uniform(0.1, 1, (3, 2)) * 10.0 ** rng.integers(-6, 6, (3, 2))
    labels = np.concatenate([np.arange(9) // 3, np.arange(6) // 2])
    assert ns.ncut(ns.LayerGraph.from_weights([W]), labels) == 0.0


def test_one_cluster_cuts_nothing_and_single_nodes_cut_everything() -> None:
    graph = random_chain()
    assert ns.ncut(graph, np.zeros(graph.n_nodes, int)) == 0.0
    assert ns.ncut(graph, np.arange(graph.n_nodes)) == pytest.approx(graph.n_nodes)


def test_isolated_nodes_and_empty_clusters_contribute_nothing() -> None:
    W = np.random.default_rng(0).random((5, 4))
    W[2], W[:, 1] = 0, 0
    graph = ns.LayerGraph.from_weights([W])
    labels = np.array([0, 1, 7, 0, 1, 0, 9, 1, 0])
    expected = ns.ncut(graph, np.where(labels > 1, -1, labels))
    assert ns.ncut(graph, labels) == pytest.approx(expected, rel=1e-14)


def test_parallel_blocks_add_up() -> None:
    rng = np.random.default_rng(0)
    one, two = np.abs(rng.standard_normal((2, 6, 5)))
    layers = [ns.Layer("a", 6), ns.Layer("b", 5)]
    both = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, one), ns.Block(0, 1, two)])
    labels = rng.integers(0, 3, 11)
    assert ns.ncut(both, labels) == pytest.approx(ns.ncut(ns.LayerGraph.from_weights([one + two]), labels), rel=1e-13)


def test_storage_and_dtype_change_only_the_rounding() -> None:
    graph = csr_chain()
    labels = np.random.default_rng(0).integers(0, 4, graph.n_nodes)
    dense = ns.LayerGraph.from_weights([block.weights.toarray() for block in graph.blocks])
    narrow = ns.LayerGraph.from_weights([block.weights.toarray().astype(np.float32) for block in graph.blocks])
    assert ns.ncut(dense, labels) == pytest.approx(ns.ncut(graph, labels), rel=1e-13)
    assert ns.ncut(narrow, labels) == pytest.approx(ns.ncut(graph, labels), rel=1e-6)


def test_volumes_and_cuts_add_up(backend: Any) -> None:
    graph = even_skip()
    labels = np.random.default_rng(0).integers(-1, 4, (1, graph.n_nodes)).astype(np.int32)
    with backend.session():
        batch = load_batch([graph], backend)
        found = cluster_volumes(batch, backend.asarray(labels), 4)
        volume, cut = backend.to_numpy(found.volume)[0], backend.to_numpy(found.cut)[0]
    A = dense_adjacency(graph)
    for c in range(4):
        mine = labels[0] == c
        assert_allclose([volume[c], cut[c]], [A[mine].sum(), A[np.ix_(mine, ~mine)].sum()], rtol=1e-12)
    assert ns.ncut(graph, labels[0], backend=backend) == pytest.approx(float(np.sum(cut / volume)), rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "came"),
    [
        (np.zeros(37, int), r"\(37,\)"),
        (np.zeros(0, int), r"\(0,\)"),
        (np.zeros((38, 1), int), r"\(38, 1\)"),
        (3, r"\(\)"),
        (None, r"\(\)"),
    ],
)
def test_labels_of_the_wrong_length_are_refused(labels: Any, came: str) -> None:
    with pytest.raises(GraphError, match=rf"labels must hold one label per node \(38\).*{came}"):
        ns.ncut(random_chain(), labels)


@pytest.mark.parametrize(
    ("label", "came"), [(-2, "-2"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (2**31, "2147483648")]
)
def test_a_label_that_is_none_is_named(label: float, came: str) -> None:
    labels = [0] * 37 + [label]
    with pytest.raises(GraphError, match=rf"labels must be integers of at least -1.*{came}"):
        ns.ncut(random_chain(), labels)


@pytest.mark.parametrize("labels", [np.zeros(38, bool), ["a"] * 38, np.zeros(38, complex), np.array([None] * 38)])
def test_labels_that_are_no_integers_are_refused(labels: Any) -> None:
    with pytest.raises(GraphError, match="labels must be integers of at least -1"):
        ns.ncut(random_chain(), labels)


def test_ragged_labels_are_refused() -> None:
    with pytest.raises(GraphError, match="labels"):
        ns.ncut(random_chain(), [[0], [1, 2]])


def test_something_else_than_a_graph_is_refused() -> None:
    with pytest.raises(GraphError, match="graph must be a LayerGraph, got ndarray; make one with"):
        ns.ncut(np.eye(3), [0, 1, 2])  # type: ignore[arg-type]
