"""The operators against explicit matrices: products, symmetry, dense forms, the trivial pair, the reduction."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from problems import PROBLEMS, Problem
from spectrum.acceptance import laplacian, live_nodes

from netspectra.graph.batch import load_batch
from netspectra.spectrum.assemble import laplacian_residuals
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency

DTYPES = ["float32", "float64"]
ATOL = {"float32": 4e-6, "float64": 1e-14}

every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@cache
def explicit(problem: Problem, dtype: str) -> tuple[Any, Any, Any]:
    """Graph, S in float64, live nodes."""
    graph = problem.graph(dtype)
    live = live_nodes(graph)
    return graph, np.diag(live.astype(float)) - laplacian(graph), live


def operators(problem: Problem, dtype: str, backend: Any) -> list[Any]:
    batch = load_batch([explicit(problem, dtype)[0]], backend)
    return [NormalizedAdjacency(batch), *([BipartiteGram(batch)] if batch.structure.sides else [])]


def matrix(operator: Any, problem: Problem, dtype: str) -> Any:
    """What the operator should be, in its own order of nodes."""
    _, S, _ = explicit(problem, dtype)
    if isinstance(operator, NormalizedAdjacency):
        return S
    small, large = operator.nodes(operator.small), operator.nodes(operator.large)
    B = S[np.ix_(small, large)]
    return B @ B.T


@every_problem
@every_dtype
def test_apply_is_the_explicit_matrix(problem: Problem, dtype: str, backend: Any) -> None:
    rng = np.random.default_rng(0)
    for operator in operators(problem, dtype, backend):
        X = rng.standard_normal((1, operator.size, 3)).astype(dtype)
        Y = backend.to_numpy(operator.apply(backend.asarray(X)))
        assert Y.dtype == dtype
        np.testing.assert_allclose(Y[0], matrix(operator, problem, dtype) @ X[0], rtol=0, atol=10 * ATOL[dtype])


@every_problem
def test_dense_is_apply_with_the_trivial_pair_moved_away(problem: Problem, backend: Any) -> None:
    for operator in operators(problem, "float64", backend):
        M = backend.to_numpy(operator.dense(backend.xp.float64))[0]
        t = backend.to_numpy(operator.trivial(backend.xp.float64))[0]
        dead = 1 - backend.to_numpy(operator.mask(backend.xp.float64))[0, :, 0]
        whole = isinstance(operator, NormalizedAdjacency)
        moved = M - matrix(operator, problem, "float64") + (4 if whole else 2) * (t @ t.T)
        np.testing.assert_allclose(moved, np.diag(np.diag(moved)) * dead * whole, rtol=0, atol=1e-13)
        places = -np.diag(moved)[dead > 0] if whole else np.array([])
        assert ((places > 3) & (places <= 4)).all()
        assert np.unique(places).size == places.size, "LAPACK may lose eigenvalues where a subset ends in a cluster"
        np.testing.assert_allclose(M @ t, (-3 if whole else -1) * t, rtol=0, atol=1e-13)


@every_problem
@every_dtype
def test_operators_are_symmetric(problem: Problem, dtype: str, backend: Any) -> None:
    """The adjoint test, <S x, y> = <x, S y>; and of the two halves of G, <B^T x, y> = <x, B y>."""
    rng = np.random.default_rng(1)
    for operator in operators(problem, dtype, backend):
        X, Y = (backend.asarray(rng.standard_normal((1, operator.size, 2)).astype(dtype)) for _ in range(2))
        pairs = [(operator.apply(X), Y, X, operator.apply(Y))]
        if isinstance(operator, BipartiteGram):
            n_large = operator.batch.structure.n_nodes - operator.size
            Z = backend.asarray(rng.standard_normal((1, n_large, 2)).astype(dtype))
            pairs.append((operator.to_large(X), Z, X, operator.to_small(Z)))
        for a, b, c, d in pairs:
            one, other = (float(np.sum(backend.to_numpy(p) * backend.to_numpy(q))) for p, q in ((a, b), (c, d)))
            assert one == pytest.approx(other, rel=0, abs=50 * ATOL[dtype])


@every_problem
def test_trivial_pair_is_exact(problem: Problem, backend: Any) -> None:
    for operator in operators(problem, "float64", backend):
        t = operator.trivial(backend.xp.float64)
        found = backend.to_numpy(operator.apply(t))
        t = backend.to_numpy(t)
        assert np.linalg.norm(t) == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(found, t, rtol=0, atol=1e-14)
        mask = backend.to_numpy(operator.mask(backend.xp.float64))
        np.testing.assert_array_equal(mask != 0, t > 0)


@every_problem
def test_spectrum_is_in_0_2_and_that_of_the_reduction_symmetric(problem: Problem, backend: Any) -> None:
    _, S, live = explicit(problem, "float64")
    values = np.linalg.eigvalsh(np.eye(live.sum()) - S[np.ix_(live, live)])
    assert values.min() >= -1e-13
    assert values.max() <= 2 + 1e-13
    for operator in operators(problem, "float64", backend)[1:]:
        np.testing.assert_allclose(values + values[::-1], 2, rtol=0, atol=1e-12)
        G = backend.to_numpy(operator.dense(backend.xp.float64))[0]
        sigma = np.sort(np.sqrt(np.maximum(np.linalg.eigvalsh(G), 0)))[::-1]
        positive = np.sort(1 - values)[::-1][1 : min(operator.size, problem.k)]
        np.testing.assert_allclose(sigma[: positive.size], positive, rtol=0, atol=1e-7)


@every_problem
def test_assemble_puts_nodes_back_in_order(problem: Problem, backend: Any) -> None:
    for operator in operators(problem, "float64", backend)[1:]:
        small, large = (operator.nodes(side).astype(float)[None, :, None] for side in (operator.small, operator.large))
        X = backend.to_numpy(operator.assemble(backend.asarray(small), backend.asarray(large)))
        np.testing.assert_array_equal(X[0, :, 0], np.arange(operator.batch.structure.n_nodes))


def test_residuals_are_those_of_the_explicit_laplacian(backend: Any) -> None:
    rng = np.random.default_rng(2)
    for problem in PROBLEMS:
        graph = problem.graph("float32")
        X, values = rng.standard_normal((1, graph.n_nodes, 3)).astype(np.float32), rng.random((1, 3))
        X[:, ~live_nodes(graph)] = 0.0
        batch = load_batch([graph], backend)
        found = backend.to_numpy(laplacian_residuals(batch, backend.asarray(values), backend.asarray(X)))
        expected = np.linalg.norm(laplacian(graph) @ X[0] - X[0] * values[0], axis=0)
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_a_graph_that_is_not_bipartite_has_no_reduction(backend: Any) -> None:
    problem = next(p for p in PROBLEMS if p.name == "even-skips")
    with pytest.raises(ValueError, match="not bipartite"):
        BipartiteGram(load_batch([problem.graph("float64")], backend))
