"""Components counted over the blocks themselves: as SciPy counts them, whatever the storage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from problems import PROBLEMS, layered
from scipy.sparse.csgraph import connected_components
from spectrum.acceptance import adjacency, live_nodes

import netspectra as ns
from netspectra.graph.components import component_labels


def assert_scipys(graph: Any) -> int:
    live = live_nodes(graph)
    count, labels = component_labels(graph, live)
    expected_count, expected = connected_components(adjacency(graph)[live][:, live], directed=False)
    assert labels.dtype == np.int32
    assert (labels[~live] == -1).all()
    assert count == expected_count
    pairs = set(zip(labels[live].tolist(), expected.tolist(), strict=True))
    assert len(pairs) == count, "the same partition, perhaps under other names"
    assert set(labels[live].tolist()) == set(range(count))
    return count


@st.composite
def random_graphs(draw: Any) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=5)))
    layer = st.integers(0, len(sizes) - 1)
    density = draw(st.sampled_from([0.03, 0.1, 0.3, 1.0]))
    storage = draw(st.sampled_from(["dense", "csr", "mixed"]))
    blocks = []
    for i, j in draw(st.lists(st.tuples(layer, layer), min_size=1, max_size=6)):
        W = rng.standard_normal((sizes[i], sizes[j])) * (rng.random((sizes[i], sizes[j])) < density)
        if i == j:
            np.fill_diagonal(W, 0)
        sparse = storage == "csr" or (storage == "mixed" and draw(st.booleans()))
        blocks.append((i, j, sp.csr_array(W) if sparse else W))
    return layered(*blocks, sizes=sizes)


@given(random_graphs())
def test_components_of_any_layer_graph(graph: Any) -> None:
    assert_scipys(graph)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("storage", ["float16", "float64"])
def test_components_of_the_table(problem: Any, storage: str) -> None:
    graph = problem.graph("float64")
    if storage == "float16":  # dense 16-bit blocks; weights that vanish there cut the graph, for SciPy too
        with np.errstate(over="ignore", under="ignore"):
            blocks = [(b.source, b.target, _dense(b).astype(np.float16)) for b in graph.blocks]
        graph = layered(*blocks, sizes=tuple(layer.size for layer in graph.layers))
    assert_scipys(graph)


def _dense(block: Any) -> Any:
    return block.weights.toarray() if block.is_sparse else np.asarray(block.weights)


@pytest.mark.parametrize(
    ("name", "count"),
    [("path", 1), ("union-of-3", 3), ("union-of-8", 8), ("union-of-9-bipartite", 9), ("nearly-disconnected", 1)],
)
def test_known_counts(name: str, count: int) -> None:
    assert assert_scipys(next(p for p in PROBLEMS if p.name == name).graph("float64")) == count


def test_explicit_zeros_join_nothing() -> None:
    csr = sp.csr_array((np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    blocks = [ns.Block(0, 1, csr, fixed_support=True)]
    layers = [ns.Layer("a", 2), ns.Layer("b", 2), ns.Layer("c", 1)]
    assert assert_scipys(ns.LayerGraph.from_blocks(layers, blocks)) == 2
    with_dense = [*blocks, ns.Block(1, 2, np.array([[1.0], [0.0]]))]
    assert assert_scipys(ns.LayerGraph.from_blocks(layers, with_dense)) == 2


def test_the_lower_triangle_of_a_self_block_joins_nothing() -> None:
    W = np.array([[0, 1, 0], [1, 0, 0], [5, 0, 0.0]])
    for weights in (W, sp.csr_array(W)):
        graph = layered((0, 0, weights), sizes=(3,))
        assert assert_scipys(graph) == 1
        assert not live_nodes(graph)[2]


def test_a_long_path_beside_a_dense_block_takes_no_time() -> None:
    """One step of the search per node: each must cost what it reads, not a pass over the block."""
    n = 3000
    chain = sp.csr_array(sp.diags_array(np.ones(n - 1), offsets=1))
    graph = layered((0, 0, chain), (0, 1, np.ones((n, 1))[::-1] * (np.arange(n)[:, None] == 0)), sizes=(n, 1))
    count, _ = component_labels(graph, np.ones(n + 1, bool))
    assert count == 1


def test_panels_of_a_large_dense_block() -> None:
    """Two halves of 1,500 x 1,500: rows are read in several panels."""
    W = np.kron(np.eye(2, dtype=np.float32), np.ones((1500, 1500), np.float32))
    count, labels = component_labels(ns.LayerGraph.from_weights([W]), np.ones(6000, bool))
    assert count == 2
    np.testing.assert_array_equal(labels, np.tile(np.repeat([0, 1], 1500), 2))
