"""One null network is a pure function of (graph, index, null, seed), and the one that the test scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import chain, even_skip, random_chain
from nulls.test_shuffle import dense, sparse_weights
from numpy.testing import assert_array_equal

import netspectra as ns
from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.nulls.model import NULL_MODELS, NullModel, NullName, prepare_null
from netspectra.nulls.network import graph_of


def bits(graph: ns.LayerGraph) -> bytes:
    """Return all weights of a graph as bytes."""
    return b"".join(np.ascontiguousarray(dense(block)).tobytes() for block in graph.blocks)


@pytest.fixture(scope="module")
def mixed() -> ns.LayerGraph:
    """Graph with a dense, a CSR and an unlearned block."""
    layers = [ns.Layer("a", 9), ns.Layer("b", 8), ns.Layer("c", 7)]
    blocks = [
        ns.Block(0, 1, sparse_weights(9, 8, 0.8)),
        ns.Block(1, 2, sp.csr_array(sparse_weights(8, 7, 0.3, seed=1))),
        ns.Block(0, 2, sparse_weights(9, 7, 0.1, seed=2), learned=False),
    ]
    return ns.LayerGraph.from_blocks(layers, blocks)


@pytest.mark.parametrize("null", NULL_MODELS)
def test_is_a_pure_function_of_seed_and_index(mixed: ns.LayerGraph, null: NullName) -> None:
    keys = [(seed, index) for seed in (0, 1, 2**64 - 1) for index in (0, 1, 2**32, 2**40)]
    drawn = [bits(ns.null_network(mixed, index, null, seed)) for seed, index in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn == [bits(ns.null_network(mixed, index, null, seed)) for seed, index in keys]


@pytest.mark.parametrize("null", NULL_MODELS)
def test_is_member_of_any_batch(mixed: ns.LayerGraph, null: NullName, backend: Any) -> None:
    wanted = [5, 0, 3]
    with backend.session():
        observed = load_batch([mixed], backend)
        drawn = prepare_null(mixed, observed, null, 11).draw(backend, wanted)
        members = [graph_of(mixed, drawn, place) for place in range(3)]
    for index, member in zip(wanted, members, strict=True):
        alone = ns.null_network(mixed, index, null, seed=11)
        for mine, theirs in zip(member.blocks, alone.blocks, strict=True):
            if null.startswith("kde") and backend.name != "cpu":
                np.testing.assert_allclose(dense(mine), dense(theirs), rtol=1e-12)  # log and cos may differ
            else:
                assert_array_equal(dense(mine), dense(theirs))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("null", NULL_MODELS)
def test_is_what_the_test_scores(
    mixed: ns.LayerGraph, null: NullName, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, bytes] = {}
    draw = NullModel.draw

    def spy(model: NullModel, backend: Any, replicates: list[int]) -> GraphBatch:
        batch = draw(model, backend, replicates)
        drawn.update((index, bits(graph_of(mixed, batch, place))) for place, index in enumerate(replicates))
        return batch

    monkeypatch.setattr(NullModel, "draw", spy)
    ns.clusterability_test(mixed, 3, n_nulls=10, null=null, seed=4, n_init=1, batch_size=batch_size)
    monkeypatch.undo()
    assert sorted(drawn) == list(range(10))
    assert [drawn[index] for index in range(10)] == [
        bits(ns.null_network(mixed, index, null, 4)) for index in range(10)
    ]


def test_isolated_nodes_are_removed_before_the_shuffle() -> None:
    W = [sparse_weights(9, 8, 0.5), sparse_weights(8, 7, 0.5, seed=1)]
    W[0][4], W[0][:, 2], W[1][2] = 0, 0, 0
    graph = ns.LayerGraph.from_weights(W, names=["a", "b", "c"])
    smaller = [np.delete(np.delete(W[0], 4, axis=0), 2, axis=1), np.delete(W[1], 2, axis=0)]
    assert [(layer.name, layer.size) for layer in ns.null_network(graph, 0).layers] == [("a", 8), ("b", 7), ("c", 7)]
    for null in NULL_MODELS:
        expected = ns.null_network(ns.LayerGraph.from_weights(smaller), 3, null)
        assert bits(ns.null_network(graph, 3, null)) == bits(expected)
        csr = ns.LayerGraph.from_weights([sp.csr_array(w) for w in W])
        assert [dense(block).shape for block in ns.null_network(csr, 3, null).blocks] == [(8, 7), (7, 7)]


def test_a_layer_without_any_edge_is_left_empty() -> None:
    layers = [ns.Layer("a", 6), ns.Layer("b", 5), ns.Layer("c", 4)]
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, sparse_weights(6, 5, 1.0))])
    assert [layer.size for layer in ns.null_network(graph, 0).layers] == [6, 5, 0]
    result = ns.clusterability_test(graph, 2, n_nulls=5, n_init=1)
    assert result.n_isolated == 4
    assert np.isfinite(result.null_ncuts).all()


def test_what_is_shuffled_stays_a_network_like_the_one_given(mixed: ns.LayerGraph) -> None:
    drawn = ns.null_network(mixed, 0)
    assert drawn.layers == mixed.layers
    for mine, theirs in zip(drawn.blocks, mixed.blocks, strict=True):
        assert (mine.source, mine.target, mine.shape) == (theirs.source, theirs.target, theirs.shape)
        assert (mine.is_sparse, mine.learned, mine.dtype) == (theirs.is_sparse, theirs.learned, theirs.dtype)
        assert mine.count_nonzero() == theirs.count_nonzero()


def test_a_null_network_can_itself_be_shuffled() -> None:
    once = ns.null_network(even_skip(), 0)
    twice = ns.null_network(once, 0)
    assert bits(once) != bits(twice)
    for mine, theirs in zip(twice.blocks, even_skip().blocks, strict=True):
        assert_array_equal(np.sort(mine.weights, axis=None), np.sort(theirs.weights, axis=None))


def test_planted_modules_do_not_survive() -> None:
    graph = chain()
    ncuts = [ns.spectral_clustering(ns.null_network(graph, i), 4, n_init=3).ncut for i in range(5)]
    assert min(ncuts) > 4 * ns.spectral_clustering(graph, 4).ncut


@pytest.mark.parametrize("number", [2**63, 2**64 - 2])
def test_large_indices_and_seeds_are_keys_like_any_other(number: int) -> None:
    graph = random_chain()
    drawn = {bits(ns.null_network(graph, i, seed=s)) for i in (0, number) for s in (0, number)}
    assert len(drawn) == 4


def test_no_learned_block_leaves_nothing_to_shuffle() -> None:
    layers = [ns.Layer("a", 6), ns.Layer("b", 5)]
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, sparse_weights(6, 5, 1.0), learned=False)])
    with pytest.raises(GraphError, match=r"no block is learned, so there is nothing to shuffle.*learned=True"):
        ns.null_network(graph, 0)
    with pytest.raises(GraphError, match="no block is learned"):
        ns.clusterability_test(graph, 2, n_nulls=3)
    assert ns.clusterability_test(graph, 2, n_nulls=0).p_value is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index must be an integer of at least 0, got -1"),
        ({"index": True}, "index must be an integer of at least 0, got True"),
        ({"index": 1.5}, "index must be an integer of at least 0, got 1.5"),
        ({"index": 2**64}, "index must be .* got 18446744073709551616"),
        ({"index": None}, "index must be an integer of at least 0, got None"),
        ({"seed": -1}, "seed must be an integer in .* got -1"),
        ({"seed": 2**64}, "seed must be an integer in .* got 18446744073709551616"),
        ({"seed": "0"}, "seed must be an integer in .* got '0'"),
        ({"null": "layer"}, r"null must be one of \['shuffle', 'shuffle-nonzero', 'kde', 'kde-nonzero'\], got 'layer'"),
        ({"null": None}, "null must be one of .* got None"),
        ({"graph": [np.eye(2)]}, "graph must be a LayerGraph, got list; make one with"),
    ],
)
def test_arguments_that_make_no_sense_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        ns.null_network(**{"graph": random_chain(), "index": 0, **arguments})
