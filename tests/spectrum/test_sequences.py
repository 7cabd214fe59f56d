"""A sequence of graphs is one batch: every member gets the answer, and the verdict, that it gets alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from problems import block_chain, chain, random_chain
from spectrum.acceptance import assert_accepted, laplacian

import netspectra as ns
from netspectra.errors import GraphError

SIZES = (18, 18, 18, 18)


def family(dtype: str) -> list[Any]:
    """Five graphs of equal layers: quick and slow to converge, disconnected, of low rank, nearly disconnected."""
    weights = [W.copy() for W in block_chain(4, 3, 6, 0.125)[0]]
    halves = [np.kron(np.eye(2), np.random.default_rng(3).random((9, 9))) for _ in range(3)]
    hardly = [np.where(W == 0, 1e-9, W) for W in halves]
    low_rank = [np.outer(np.arange(1.0, 19), np.arange(2.0, 20)) for _ in range(3)]
    cube = [W**3 for W in np.random.default_rng(4).standard_normal((3, 18, 18))]
    return [chain(np.dtype(dtype), W) for W in (weights, halves, low_rank, cube, hardly)]


def assert_same(one: ns.Eigenpairs, other: ns.Eigenpairs) -> None:
    assert (one.status, one.n_iterations) == (other.status, other.n_iterations)
    for name in ("eigenvalues", "eigenvectors", "residual_norms"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_equal(one.gap, other.gap)


@pytest.mark.parametrize("solver", ["dense", "lobpcg", "auto"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_batched_equals_looped(solver: Any, dtype: str, k: int) -> None:
    graphs = family(dtype)
    together = ns.eigenpairs(graphs, k, solver=solver)
    assert isinstance(together, list)
    for graph, pairs in zip(graphs, together, strict=True):
        assert_same(pairs, ns.eigenpairs(graph, k, solver=solver))
        assert_accepted(pairs, graph, np.linalg.eigvalsh(laplacian(graph)))


def test_members_converge_at_different_times() -> None:
    pairs = ns.eigenpairs(family("float64"), 5, solver="lobpcg", tol=1e-9)
    assert len({p.n_iterations for p in pairs}) >= 3
    assert {p.status for p in pairs} == {"converged", "escalated_dense"}


def test_one_escalation_leaves_the_others_untouched() -> None:
    graphs = family("float32")
    alone = ns.eigenpairs([graphs[0], graphs[3]], 5, solver="lobpcg")
    beside = ns.eigenpairs([graphs[0], graphs[2], graphs[3]], 5, solver="lobpcg")
    assert [p.status for p in beside] == ["converged", "escalated_dense", "converged"]
    assert_same(beside[0], alone[0])
    assert_same(beside[2], alone[1])


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_sparse_members_with_different_patterns(solver: Any) -> None:
    rng = np.random.default_rng(5)
    graphs = [
        ns.LayerGraph.from_weights([sp.random_array((30, 24), density=p, rng=rng, format="csr")])
        for p in (0.1, 0.3, 0.6)
    ]
    for graph, pairs in zip(graphs, ns.eigenpairs(tuple(graphs), 4, solver=solver), strict=True):
        assert_same(pairs, ns.eigenpairs(graph, 4, solver=solver))


def test_a_sequence_of_one_gives_a_list_of_one() -> None:
    graph = random_chain(np.dtype("float64"), (8, 9))
    (pairs,) = ns.eigenpairs([graph], 3)
    assert_same(pairs, ns.eigenpairs(graph, 3))


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(GraphError, match="at least one graph, got an empty sequence"):
        ns.eigenpairs([], 3)


def test_members_of_different_sizes_are_refused() -> None:
    graphs = [random_chain(np.dtype("float64"), sizes) for sizes in ((8, 9), (9, 8))]
    with pytest.raises(GraphError, match=r"equal layer sizes.*graph 1 is LayerGraph\(9-8.*one by one"):
        ns.eigenpairs(graphs, 3)


def test_members_of_different_dtypes_are_refused() -> None:
    graphs = [random_chain(np.dtype(dtype), (8, 9)) for dtype in ("float32", "float64")]
    with pytest.raises(GraphError, match="storage and dtypes"):
        ns.eigenpairs(graphs, 3)


def test_a_member_that_is_no_graph_is_named() -> None:
    graph = random_chain(np.dtype("float64"), (8, 9))
    with pytest.raises(GraphError, match=r"graph\[1\] must be a LayerGraph, got ndarray"):
        ns.eigenpairs([graph, np.eye(3)], 3)  # type: ignore[list-item]
