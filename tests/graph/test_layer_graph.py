"""The graph types: constructors, what they keep, what they refuse, and what their messages say."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp

from netspectra import Block, Layer, LayerGraph
from netspectra.errors import GraphError

A, B = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
LAYERS = [Layer("in", 2), Layer("mid", 3), Layer("out", 4)]


# -- constructors ------------------------------------------------------------------------------------------------------


def test_chain_of_weights() -> None:
    graph = LayerGraph.from_weights([A, B])
    assert [(layer.name, layer.size, layer.kind) for layer in graph.layers] == [
        ("layer0", 2, "dense"),
        ("layer1", 3, "dense"),
        ("layer2", 4, "dense"),
    ]
    assert [(b.source, b.target, b.shape, b.learned) for b in graph.blocks] == [
        (0, 1, (2, 3), True),
        (1, 2, (3, 4), True),
    ]
    assert (graph.n_nodes, graph.n_edges, graph.n_stored) == (9, 16, 18)  # one zero in each matrix
    assert graph.offsets.tolist() == [0, 2, 5, 9]
    assert graph.layer_slice(1) == slice(2, 5)
    assert repr(graph) == "LayerGraph(2-3-4: 9 nodes, 2 blocks, float64)"
    assert repr(graph.blocks[0]) == "Block(0 -> 1, 2 x 3 float64 dense)"


def test_both_orientations_view_the_same_memory() -> None:
    graph = LayerGraph.from_weights([A.T, B.T], orientation="out-in", names=["in", "mid", "out"])
    assert [layer.name for layer in graph.layers] == ["in", "mid", "out"]
    for block, W in zip(graph.blocks, (A, B), strict=True):
        np.testing.assert_array_equal(block.weights, W)
        assert np.shares_memory(block.weights, W)
        assert not block.weights.flags.writeable
    sparse = LayerGraph.from_weights([sp.csr_array(A.T), sp.csc_array(B.T)], orientation="out-in")
    for block, W in zip(sparse.blocks, (A, B), strict=True):
        assert block.weights.has_canonical_format
        np.testing.assert_array_equal(block.weights.toarray(), W)


def test_a_stack_of_square_matrices_is_a_chain() -> None:
    graph = LayerGraph.from_weights(np.ones((3, 5, 5)))
    assert [layer.size for layer in graph.layers] == [5, 5, 5, 5]


def test_any_iterable_of_weights() -> None:
    assert LayerGraph.from_weights(W for W in (A, B)).n_nodes == 9


def test_blocks_are_resolved_and_sorted() -> None:
    blocks = [
        Block("mid", "out", B),
        Block(2, 0, np.ones((4, 2)), learned=False),
        Block("in", 1, A),
        Block(0, 1, 2 * A),
    ]
    graph = LayerGraph.from_blocks(LAYERS, blocks)
    assert [(b.source, b.target) for b in graph.blocks] == [(0, 1), (0, 1), (1, 2), (2, 0)]
    assert [b.learned for b in graph.blocks] == [True, True, True, False]
    np.testing.assert_array_equal(graph.blocks[1].weights, 2 * A)  # equal ends keep the order given
    assert all(np.shares_memory(b.weights, W) for b, W in zip((graph.blocks[0], graph.blocks[2]), (A, B), strict=True))
    assert "not learned" in repr(graph.blocks[3])


def test_adjacency_is_one_layer() -> None:
    M = np.array([[0, 1, 0], [1, 0, -2], [0, -2, 0.0]])
    for given_matrix in (M, sp.csr_array(M), sp.coo_matrix(M), M.tolist()):
        graph = LayerGraph.from_adjacency(given_matrix, names=["cells"])
        assert [(layer.name, layer.size, layer.kind) for layer in graph.layers] == [("cells", 3, "nodes")]
        assert graph.blocks[0].is_symmetric
        assert graph.n_edges == 2
    assert LayerGraph.from_adjacency(M).layers[0].name == "nodes"
    assert np.shares_memory(LayerGraph.from_adjacency(M).blocks[0].weights, M)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_adjacency_of_any_dtype_and_size(dtype: Any) -> None:
    M = np.triu(np.random.default_rng(0).standard_normal((600, 600)), 1)
    M = (M + M.T).astype(dtype)
    graph = LayerGraph.from_adjacency(M)
    assert graph.dtype == dtype
    M = M.copy()
    M[550, 20] = -M[550, 20]
    with pytest.raises(GraphError, match="A must be symmetric"):
        LayerGraph.from_adjacency(M)


def test_adjacency_symmetric_to_rounding() -> None:
    M = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    M = M + M.T
    np.fill_diagonal(M, 0)
    M[1, 2] *= 1 + 2e-7
    assert LayerGraph.from_adjacency(M).n_nodes == 5


def test_fixed_support_keeps_explicit_zeros() -> None:
    csr = sp.csr_array((np.array([1.0, 0.0]), np.array([0, 2]), np.array([0, 1, 2])), shape=(2, 3))
    assert Block(0, 1, csr).n_stored == 1
    block = Block(0, 1, csr, fixed_support=True)
    assert (block.n_stored, block.count_nonzero(), block.fixed_support) == (2, 1, True)
    assert "fixed support" in repr(block)
    with pytest.raises(GraphError, match="block 0 -> 1: fixed_support needs sparse weights"):
        Block(0, 1, A, fixed_support=True)


def test_edges_of_a_self_block_are_its_upper_triangle() -> None:
    W = np.triu(np.ones((4, 4)), 1)
    for weights in (W, W + W.T, sp.csr_array(W + W.T)):
        assert LayerGraph.from_blocks([Layer("a", 4)], [Block("a", "a", weights)]).n_edges == 6


def test_a_copy_on_request() -> None:
    assert not np.shares_memory(Block(0, 1, A, copy=True).weights, A)


def test_dtype_is_the_widest() -> None:
    assert LayerGraph.from_weights([A.astype(np.float16), B.astype(np.float32)]).dtype == np.float32
    assert LayerGraph.from_weights([A.astype(bool), B.astype(np.float16)]).dtype == np.float64


def test_graphs_are_immutable() -> None:
    graph = LayerGraph.from_weights([A, B])
    for thing, name in ((graph, "layers"), (graph, "blocks"), (graph.blocks[0], "weights"), (graph.layers[0], "size")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)
    for array in (graph.offsets, graph.blocks[0].weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert isinstance(graph.layers, tuple)
    assert isinstance(graph.blocks, tuple)


def test_long_graphs_have_a_short_repr() -> None:
    assert repr(LayerGraph.from_weights(np.ones((20, 3, 3)))).startswith("LayerGraph(3-3-3-3-3-…-3-3-3-3-3: 63 nodes")


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ([], {}, "weights must hold at least one weight matrix, got an empty list"),
        (A, {}, r"weights must be a list of 2-D arrays, got a single 2-D array; write \[weights\]"),
        (sp.csr_array(A), {}, r"got a single 2-D array; write \[weights\]"),
        (None, {}, "weights must be a list of 2-D arrays, got NoneType"),
        ("model.npz", {}, "weights must be a list of 2-D arrays, got str"),
        (np.ones(3), {}, r"weights\[0\]: expected a 2-D array"),
        ([A, np.ones(3)], {}, r"weights\[1\]: expected a 2-D array .* got 1 dimension"),
        ([A, B * np.nan], {}, r"weights\[1\]: weights must be finite"),
        ([A, B.astype(object)], {}, r"weights\[1\]: expected real numbers .* got dtype object"),
        ([A * 1j], {}, r"weights\[0\]: expected real numbers .* got dtype complex128"),
        (
            [A.T, B.T],
            {},
            r"weights\[0\] and weights\[1\] do not chain as 'in-out': shapes \(3, 2\) and \(4, 3\); they do chain",
        ),
        ([A, B], {"orientation": "out-in"}, "they do chain the other way: pass orientation='in-out'"),
        (
            [A, np.ones((5, 4))],
            {},
            r"shapes \(2, 3\) and \(5, 4\); check their order, or use LayerGraph.from_blocks for networks that are not",
        ),
        ([B, A], {}, r"shapes \(3, 4\) and \(2, 3\); they do chain the other way"),
        ([A, B, A], {}, r"weights\[1\] and weights\[2\] do not chain as 'in-out'.*check their order"),
        ([A, B], {"orientation": "rows"}, "orientation must be 'in-out' or 'out-in', got 'rows'"),
        ([A, B], {"names": ["a", "b"]}, r"names: expected one name per layer \(3\), got 2"),
        ([A, B], {"names": "abc"}, r"names: expected one name per layer \(3\), got 1"),
        ([A, B], {"names": 3}, r"names: expected one name per layer \(3\), got 1"),
        ([A, B], {"names": ["a", "b", "a"]}, "layer names must be unique, got 'a' more than once"),
        ([A, B], {"names": ["a", "", "c"]}, "a layer's name must be a non-empty string, got ''"),
        ([A, B], {"names": ["a", 2, "c"]}, "a layer's name must be a non-empty string, got 2"),
    ],
)
def test_weights_that_make_no_chain(weights: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        LayerGraph.from_weights(weights, **options)


@pytest.mark.parametrize(
    ("layers", "blocks", "message"),
    [
        ([], [Block(0, 1, A)], "a graph needs at least one layer, got none"),
        (LAYERS, [], "a graph needs at least one block of weights, got none"),
        (LAYERS, [Block("in", "exit", A)], r"a block names layer 'exit', but the layers are \['in', 'mid', 'out'\]"),
        (LAYERS, [Block(0, 3, A)], r"a block names layer 3, but there are 3 layers \(0 to 2\)"),
        (LAYERS, [Block(-1, 1, A)], "a block names layer -1, but there are 3 layers"),
        (LAYERS, [Block(0.5, 1, A)], "a block names layer 0.5, but there are 3 layers"),  # type: ignore[arg-type]
        (LAYERS, [Block(False, 1, A)], "a block names layer False, but there are 3 layers"),
        (LAYERS, [Block(None, 1, A)], "a block names layer None, but there are 3 layers"),  # type: ignore[arg-type]
        (
            LAYERS,
            [Block(0, 1, A.T)],
            r"block in -> mid: expected weights of shape \(2, 3\), got \(3, 2\) \(its transpose would fit: rows belong",
        ),
        (LAYERS, [Block("mid", "out", A)], r"block mid -> out: expected weights of shape \(3, 4\), got \(2, 3\)$"),
        (LAYERS, [Block(1, 1, np.ones((3, 4)))], r"block mid -> mid: expected weights of shape \(3, 3\), got \(3, 4\)"),
        ([*LAYERS, Layer("in", 5)], [Block(0, 1, A)], "layer names must be unique, got 'in' more than once"),
        (["in", "mid"], [Block(0, 1, A)], r"layers must be Layer objects, got str; write Layer\(name, size\)"),
        (LAYERS, [A], r"blocks must be Block objects, got ndarray; write Block\(source, target, weights\)"),
    ],
)
def test_blocks_that_make_no_graph(layers: Any, blocks: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        LayerGraph.from_blocks(layers, blocks)


def test_a_block_names_itself_in_messages() -> None:
    with pytest.raises(GraphError, match=r"block in -> mid: weights must be finite, got 6 NaN"):
        Block("in", "mid", A * np.nan)


@pytest.mark.parametrize("size", [-1, 2.5, "3", None, True, np.nan])
def test_sizes_that_are_no_size(size: Any) -> None:
    with pytest.raises(GraphError, match="layer 'a': size must be a non-negative integer, got"):
        Layer("a", size)


def test_sizes_may_be_numpy_integers() -> None:
    assert type(Layer("a", np.int64(3)).size) is int  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (A, r"A must be a square adjacency matrix, got shape \(2, 3\)"),
        (
            np.triu(np.ones((3, 3)), 1),
            r"A must be symmetric, got entries that differ by 1 from their mirror; try \(A \+",
        ),
        (sp.csr_array(np.triu(np.ones((3, 3)), 1)), "A must be symmetric"),
        (np.array([[0, 1.0], [-1.0, 0]]), "A must be symmetric, got entries that differ by 2"),
        (np.array([[0, 6e4], [-6e4, 0]], np.float16), "A must be symmetric"),
        (np.full((2, 2), np.inf), "A: weights must be finite"),
        (np.ones(4), "A: expected a 2-D array"),
        (np.eye(2, dtype=complex), "A: expected real numbers"),
    ],
)
def test_matrices_that_are_no_adjacency(matrix: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        LayerGraph.from_adjacency(matrix)


def test_adjacency_has_one_name() -> None:
    with pytest.raises(GraphError, match=r"names: expected one name per layer \(1\), got 2"):
        LayerGraph.from_adjacency(np.ones((2, 2)) - np.eye(2), names=["a", "b"])


@pytest.mark.parametrize("sparse", [False, True])
def test_self_loops_are_warned_of_where_the_caller_is(sparse: bool) -> None:
    M = np.ones((3, 3))
    weights = sp.csr_array(M) if sparse else M
    with pytest.warns(UserWarning, match="block nodes -> itself: the non-zero diagonal .* is ignored") as caught:
        graph = LayerGraph.from_adjacency(weights)
    assert caught[0].filename == __file__
    assert graph.n_edges == 3
    with pytest.warns(UserWarning, match="block a -> itself") as caught:
        LayerGraph.from_blocks([Layer("a", 3)], [Block("a", "a", weights)])
    assert caught[0].filename == __file__
