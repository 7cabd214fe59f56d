"""The shuffles: every block keeps its multiset, and its pattern, support or triangle where the model says so."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

import netspectra as ns
from netspectra.nulls.model import NULL_MODELS, NullName

SHUFFLES: list[NullName] = ["shuffle", "shuffle-nonzero"]


def dense(block: ns.Block) -> np.ndarray[Any, Any]:
    """Return a block's weights as a dense array."""
    return block.weights.toarray() if block.is_sparse else np.asarray(block.weights)


def sparse_weights(m: int, n: int, density: float, seed: int = 0, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Draw weights of which about `density` are non-zero, and no row or column is empty."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, n)) * (rng.random((m, n)) < density)
    W[np.arange(max(m, n)) % m, np.arange(max(m, n)) % n] = rng.uniform(1, 2, max(m, n))
    return W.astype(dtype)


@given(st.data(), st.sampled_from(SHUFFLES), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_multisets_are_kept(data: st.DataObject, null: NullName, seed: int, index: int) -> None:
    m, n, p = (data.draw(st.integers(1, 6)) for _ in range(3))
    elements = st.sampled_from([0.0, 1.0, -2.0, 3.5, 1e-30])
    weights = [data.draw(arrays(np.float64, shape, elements=elements)) for shape in ((m, n), (n, p))]
    assume(all(W.any(axis=0).all() and W.any(axis=1).all() for W in weights))
    shuffled = ns.null_network(ns.LayerGraph.from_weights(weights), index, null, seed)
    for W, block in zip(weights, shuffled.blocks, strict=True):
        assert_array_equal(np.sort(dense(block), axis=None), np.sort(W, axis=None))
        if null == "shuffle-nonzero":
            assert_array_equal(dense(block) != 0, W != 0)


@pytest.mark.parametrize("density", [0.1, 0.45, 0.55, 1.0])
@pytest.mark.parametrize("null", SHUFFLES)
def test_dense_and_csr_storage_give_the_same_replicate(null: NullName, density: float) -> None:
    weights = [sparse_weights(13, 17, density), sparse_weights(17, 9, density, seed=1)]
    one = ns.LayerGraph.from_weights(weights)
    other = ns.LayerGraph.from_weights([sp.csr_array(W) for W in weights])
    for index in (0, 1, 1000):
        pair = [ns.null_network(graph, index, null, seed=3) for graph in (one, other)]
        for mine, theirs, given_ in zip(pair[0].blocks, pair[1].blocks, one.blocks, strict=True):
            assert (mine.is_sparse, theirs.is_sparse) == (False, True)
            assert_array_equal(mine.weights, theirs.weights.toarray())
            assert np.any(np.asarray(mine.weights) != given_.weights)


def test_storage_order_of_a_dense_block_does_not_matter() -> None:
    W = sparse_weights(13, 17, 1.0)
    graphs = [ns.LayerGraph.from_weights(*a) for a in (([W],), ([np.asfortranarray(W)],), ([W.T], "out-in"))]
    first, *others = (ns.null_network(graph, 2).blocks[0].weights for graph in graphs)
    for other in others:
        assert_array_equal(first, other)


def test_shuffle_moves_across_the_whole_block_and_nonzero_stays() -> None:
    W = sparse_weights(20, 20, 0.2)
    graph = ns.LayerGraph.from_weights([W])
    everywhere, inside = np.zeros(W.shape, bool), np.zeros(W.shape, bool)
    for index in range(60):
        everywhere |= dense(ns.null_network(graph, index, "shuffle").blocks[0]) != 0
        inside |= dense(ns.null_network(graph, index, "shuffle-nonzero").blocks[0]) != 0
    assert everywhere.all()
    assert_array_equal(inside, W != 0)


def test_every_place_gets_every_weight_equally_often() -> None:
    W = np.arange(1.0, 13.0).reshape(3, 4)
    graph = ns.LayerGraph.from_weights([W])
    draws = np.stack([ns.null_network(graph, i).blocks[0].weights.ravel() for i in range(600)]).astype(int)
    counts = np.stack([np.bincount(column, minlength=13)[1:] for column in draws.T])
    expected = 600 / 12
    chi2 = np.sum((counts - expected) ** 2 / expected)  # 11 x 11 degrees of freedom
    assert abs(chi2 - 121) < 4 * np.sqrt(2 * 121)


@pytest.mark.parametrize("null", NULL_MODELS)
@pytest.mark.parametrize("stored", [np.asarray, sp.csr_array])
def test_blocks_that_are_not_learned_stay_as_they_are(null: NullName, stored: Any) -> None:
    layers = [ns.Layer("a", 6), ns.Layer("b", 6)]
    skip = np.eye(6) + np.diag(np.full(5, -2.0), 1)
    blocks = [ns.Block(0, 1, np.ones((6, 6)) + skip), ns.Block(0, 1, stored(skip), learned=False)]
    graph = ns.LayerGraph.from_blocks(layers, blocks)
    null_blocks = ns.null_network(graph, 4, null).blocks
    assert [block.learned for block in null_blocks] == [True, False]
    assert_array_equal(dense(null_blocks[1]), skip)
    assert np.any(dense(null_blocks[0]) != dense(graph.blocks[0]))


def supported() -> tuple[ns.LayerGraph, np.ndarray[Any, Any]]:
    """Return a block-diagonal block whose support holds explicit zeros, and that support."""
    support = np.kron(np.eye(3), np.ones((4, 5))) > 0
    W = np.where(support, np.random.default_rng(0).standard_normal(support.shape), 0)
    stored = sp.csr_array(np.where(support, 1.0, 0.0))
    W[0, 1:], W[5, 5:8] = 0, 0
    stored.data[:] = W[stored.nonzero()]
    layers = [ns.Layer("a", 12), ns.Layer("b", 15)]
    return ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, stored, fixed_support=True)]), support


@pytest.mark.parametrize("null", NULL_MODELS)
def test_a_fixed_support_is_never_left(null: NullName) -> None:
    graph, support = supported()
    reached = np.zeros(support.shape, bool)
    for index in range(40):
        block = ns.null_network(graph, index, null).blocks[0]
        assert block.fixed_support
        assert block.weights.nnz == support.sum()
        reached |= dense(block) != 0
        if null in SHUFFLES:
            assert_array_equal(np.sort(block.weights.data), np.sort(graph.blocks[0].weights.data))
    if null in ("shuffle", "kde"):  # explicit zeros are places a weight may move to
        assert_array_equal(reached, support)
    else:
        assert_array_equal(reached, dense(graph.blocks[0]) != 0)


@pytest.mark.parametrize("stored", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("null", NULL_MODELS)
def test_a_symmetric_block_is_shuffled_in_its_upper_triangle(null: NullName, stored: Any) -> None:
    upper = np.triu(sparse_weights(14, 14, 0.4), k=1)
    upper[0, 1:] = 1.5  # nobody is isolated
    graph = ns.LayerGraph.from_adjacency(stored(upper + upper.T))
    shuffled = ns.null_network(graph, 3, null)
    A = np.triu(dense(shuffled.blocks[0]), k=1)
    assert shuffled.blocks[0].is_symmetric
    assert np.any(upper != A)
    if null in SHUFFLES:
        assert_array_equal(np.sort(A[A != 0]), np.sort(upper[upper != 0]))
    if null.endswith("nonzero"):
        assert_array_equal(A != 0, upper != 0)
    laplacian = ns.normalized_laplacian(shuffled).toarray()
    assert_allclose(laplacian, laplacian.T, rtol=1e-14)


@pytest.mark.parametrize("null", SHUFFLES)
def test_dense_and_csr_adjacency_give_the_same_replicate(null: NullName) -> None:
    upper = np.triu(sparse_weights(14, 14, 0.4), k=1)
    upper[0, 1:] = 1.5  # nobody is isolated
    A = upper + upper.T
    one, other = (ns.null_network(ns.LayerGraph.from_adjacency(f(A)), 5, null) for f in (np.asarray, sp.csr_array))
    assert_array_equal(np.triu(dense(one.blocks[0]), 1), np.triu(dense(other.blocks[0]), 1))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("density", [0.2, 1.0])
@pytest.mark.parametrize("null", SHUFFLES)
def test_the_storage_dtype_is_kept(null: NullName, density: float, dtype: Any) -> None:
    W = sparse_weights(15, 12, density, dtype=dtype)
    block = ns.null_network(ns.LayerGraph.from_weights([W]), 0, null).blocks[0]
    assert block.dtype == np.dtype(dtype)
    assert_array_equal(np.sort(block.weights.astype(np.float64), axis=None), np.sort(W.astype(np.float64), axis=None))


def test_the_dtype_does_not_change_where_weights_go() -> None:
    W = np.arange(1, 181).reshape(15, 12)
    moved = [
        ns.null_network(ns.LayerGraph.from_weights([W.astype(t)]), 7) for t in (np.float16, np.float32, np.float64)
    ]
    for other in moved[1:]:
        assert_array_equal(moved[0].blocks[0].weights, other.blocks[0].weights)


def test_several_blocks_between_two_layers_are_shuffled_apart() -> None:
    layers, W = [ns.Layer("a", 9), ns.Layer("b", 8)], sparse_weights(9, 8, 1.0)
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, W), ns.Block(0, 1, W)])
    one, other = (block.weights for block in ns.null_network(graph, 0).blocks)
    assert np.any(one != other)
