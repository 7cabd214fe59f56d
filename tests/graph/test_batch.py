"""Graphs on a backend: degrees, live nodes, selection of members, and the two-colouring of the layers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from problems import PROBLEMS, chain, layered, random_chain
from spectrum.acceptance import adjacency, live_nodes

from netspectra import Block, Layer, LayerGraph
from netspectra.errors import GraphError
from netspectra.graph.batch import Structure, load_batch


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_degrees_volume_and_live_nodes(problem: Any, dtype: str, backend: Any) -> None:
    graph = problem.graph(dtype)
    batch = load_batch([graph], backend)
    degrees = adjacency(graph).sum(axis=1)
    found = backend.to_numpy(batch.degrees)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[0], degrees, rtol=1e-14)
    np.testing.assert_array_equal(backend.to_numpy(batch.live)[0], live_nodes(graph))
    assert float(backend.to_numpy(batch.volume)[0]) == pytest.approx(degrees.sum(), rel=1e-13)
    assert batch.dtype == getattr(backend.xp, dtype)
    root = backend.to_numpy(batch.trivial_vector(backend.xp.float64))[0]
    np.testing.assert_allclose(root, np.sqrt(degrees / degrees.sum()), rtol=1e-13)
    scale = backend.to_numpy(batch.inverse_sqrt_degrees(backend.xp.float64))[0]
    np.testing.assert_allclose(scale * root, np.where(degrees > 0, degrees.sum() ** -0.5, 0), rtol=1e-13)


def some_graphs(sparse: bool) -> list[Any]:
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        W = rng.standard_normal(shape) * (rng.random(shape) < rng.random())
        return sp.csr_array(W) if sparse else W

    return [LayerGraph.from_weights([weights(6, 5), weights(5, 7)]) for _ in range(4)]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("members", [[0], [3], [2, 0], [1, 1, 3], [0, 1, 2, 3]])
def test_select_is_the_batch_of_the_selected(sparse: bool, members: list[int], backend: Any) -> None:
    graphs = some_graphs(sparse)
    chosen = load_batch(graphs, backend).select(members)
    loaded = load_batch([graphs[i] for i in members], backend)
    assert chosen.n_members == len(members)
    X = backend.asarray(np.random.default_rng(1).standard_normal((len(members), 7, 2)))
    for one, other in zip(chosen.weights, loaded.weights, strict=True):
        assert one.shape == other.shape
        rows = [backend.to_numpy(backend.block_product(w, None, X[:, : one.shape[1], :])[0]) for w in (one, other)]
        np.testing.assert_allclose(rows[0], rows[1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(backend.to_numpy(chosen.degrees), backend.to_numpy(loaded.degrees), rtol=1e-14)


def test_all_members_are_the_batch_itself(backend: Any) -> None:
    batch = load_batch(some_graphs(sparse=False), backend)
    assert batch.select([0, 1, 2, 3]) is batch
    assert batch.member(2).n_members == 1


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ([], "expected at least one graph, got an empty sequence"),
        ([random_chain(np.dtype("f8"), s) for s in ((3, 4), (4, 3))], "equal layer sizes.*graph 1 is LayerGraph"),
        ([random_chain(np.dtype(t), (3, 4)) for t in ("f8", "f4")], "storage and dtypes; graph 0 is"),
        (
            [LayerGraph.from_weights([W]) for W in (np.ones((3, 4)), sp.csr_array(np.ones((3, 4))))],
            "solve them one by one instead",
        ),
        (
            [
                LayerGraph.from_blocks([Layer("a", 3), Layer("b", 3)], [Block(*ends, np.ones((3, 3)))])
                for ends in ((0, 1), (1, 0))
            ],
            "graphs of one batch must have equal layer sizes, blocks",
        ),
        ([chain(np.dtype("f8"), [np.full((9, 9), 1e307)])], "their sum overflows float64 .divide them by a common"),
    ],
)
def test_graphs_that_make_no_batch(graphs: Any, message: str, backend: Any) -> None:
    with np.errstate(over="ignore"), pytest.raises(GraphError, match=message):
        load_batch(graphs, backend)


# -- two-colouring -----------------------------------------------------------------------------------------------------


def test_a_chain_has_two_sides_the_smaller_first() -> None:
    structure = Structure((784, 256, 256, 256, 256, 10), tuple(pairwise(range(6))))
    assert structure.sides == ((1, 3, 5), (0, 2, 4))
    assert structure.reduced_size == 522
    assert structure.offsets == (0, 784, 1040, 1296, 1552, 1808, 1818)
    assert structure.layer_slice(5) == slice(1808, 1818)


@pytest.mark.parametrize(
    ("n_layers", "ends", "bipartite"),
    [
        (4, ((0, 1), (1, 2), (2, 3), (0, 3)), True),  # a skip of odd length
        (4, ((0, 1), (1, 2), (2, 3), (0, 2)), False),  # of even length
        (2, ((0, 1), (1, 0), (0, 1)), True),
        (2, ((0, 1), (1, 1)), False),  # a self-block
        (1, ((0, 0),), False),
        (5, ((0, 1), (0, 2), (3, 0), (4, 0)), True),  # a residual stream
        (6, ((0, 1), (2, 3), (4, 5)), True),  # several pieces
        (6, ((0, 1), (2, 3), (3, 4), (4, 2)), False),  # a triangle elsewhere
        (3, ((0, 2),), True),  # a layer that no block touches
    ],
)
def test_sides(n_layers: int, ends: Any, bipartite: bool) -> None:
    structure = Structure((3,) * n_layers, ends)
    assert (structure.sides is not None) == bipartite
    if not bipartite:
        assert structure.reduced_size == structure.n_nodes


@given(st.lists(st.integers(1, 9), min_size=2, max_size=8), st.data())
def test_sides_are_a_proper_colouring(sizes: list[int], data: Any) -> None:
    colour = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    all_ends = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if colour[i] != colour[j]]
    ends = data.draw(st.lists(st.sampled_from(all_ends), max_size=10)) if all_ends else []
    structure = Structure(tuple(sizes), tuple(ends))
    assert structure.sides is not None
    small, large = structure.sides
    assert sorted(small + large) == list(range(len(sizes)))
    assert all((i in small) != (j in small) for i, j in ends)
    assert structure.reduced_size == sum(sizes[i] for i in small) <= sum(sizes[i] for i in large)


def test_a_self_block_keeps_its_upper_triangle(backend: Any) -> None:
    W = np.array([[0, 1, 2], [7, 0, 3], [8, 9, 0.0]])
    for weights in (W, sp.csr_array(W)):
        batch = load_batch([layered((0, 0, weights), sizes=(3,))], backend)
        assert backend.to_numpy(batch.degrees)[0].tolist() == [3.0, 4.0, 5.0]
