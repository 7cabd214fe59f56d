"""The acceptance test of eigenpairs, independent of the package: the explicit Laplacian, LAPACK in float64, residuals.

That Laplacian is assembled here, from the blocks alone, so that nothing under test vouches for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from problems import Problem

from netspectra import Eigenpairs, LayerGraph

__all__ = [
    "adjacency",
    "all_eigenvalues",
    "assert_accepted",
    "assert_orthonormal",
    "laplacian",
    "live_nodes",
    "residual_norms",
    "sine_of_angle",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]


def adjacency(graph: LayerGraph) -> sp.csr_array:
    """Symmetric adjacency matrix in float64: weights ``|w|``, blocks added up, self-blocks by their upper triangle."""
    A = sp.lil_array((graph.n_nodes, graph.n_nodes)).tocsr()
    for block in graph.blocks:
        W = block.weights.toarray() if block.is_sparse else np.asarray(block.weights)
        W = np.abs(W.astype(np.float64))
        W = np.triu(W, 1) if block.is_symmetric else W
        i, j = np.nonzero(W)
        ends = (i + graph.offsets[int(block.source)], j + graph.offsets[int(block.target)])
        half = sp.csr_array((W[i, j], ends), shape=A.shape)
        A = A + half + half.T
    return sp.csr_array(A)


def live_nodes(graph: LayerGraph) -> Any:
    """Which nodes have an edge, (n,) bool."""
    return np.asarray(adjacency(graph).sum(axis=1)).ravel() > 0


def laplacian(graph: LayerGraph) -> Floats:
    """Normalized Laplacian, dense float64, zero rows for isolated nodes."""
    A = adjacency(graph).toarray()
    d = A.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(d), out=np.zeros_like(d), where=d > 0)
    return np.diag((d > 0).astype(float)) - A * scale[:, None] * scale[None, :]


def all_eigenvalues(problem: Problem, graph: LayerGraph) -> Floats:
    """All eigenvalues on the non-isolated nodes, ascending."""
    if problem.spectrum is not None:
        return np.sort(problem.spectrum)
    live = live_nodes(graph)
    return np.asarray(scipy.linalg.eigvalsh(laplacian(graph)[np.ix_(live, live)]))


def residual_norms(L: Floats, pairs: Eigenpairs) -> Floats:
    """``|L x - lambda x|`` of every pair."""
    X = pairs.eigenvectors.astype(np.float64)
    return np.asarray(np.linalg.norm(L @ X - X * pairs.eigenvalues, axis=0))


def sine_of_angle(X: Any, Y: Any) -> float:
    """Sine of the largest principal angle between the spans of two orthonormal blocks of equal width."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    return float(np.linalg.norm(X - Y @ (Y.T @ X), 2))


def assert_orthonormal(X: Any) -> None:
    """``|X^T X - I| <= 10 n ulp``."""
    ulp, G = np.finfo(X.dtype).eps, X.astype(np.float64).T @ X.astype(np.float64)
    assert np.abs(G - np.eye(X.shape[1])).max() <= 10 * X.shape[0] * ulp


def assert_accepted(pairs: Eigenpairs, graph: LayerGraph, spectrum: Floats) -> None:
    """What the package promises of every answer that is not flagged, for the `spectrum` that is true."""
    L, X, k = laplacian(graph), pairs.eigenvectors, pairs.eigenvalues.size
    ulp, n = float(np.finfo(X.dtype).eps), graph.n_nodes
    assert pairs.converged
    assert str(X.dtype) == pairs.dtype
    assert X.shape == (n, k)
    assert pairs.eigenvalues[0] == 0
    assert (np.diff(pairs.eigenvalues) >= 0).all()
    assert pairs.eigenvalues[-1] <= 2
    assert not X[~live_nodes(graph)].any(), "rows of isolated nodes must be zero"
    assert_orthonormal(X)
    R = L @ X.astype(np.float64) - X.astype(np.float64) * pairs.eigenvalues
    if pairs.solver == "dense":
        assert np.linalg.norm(R, 1) / (np.linalg.norm(L, 1) * n * ulp) < 30, "LAPACK's rule"
        error = 30 * n * ulp
    else:
        error = 2 * pairs.tol
        assert np.linalg.norm(R, axis=0).max() <= error
    assert np.abs(pairs.eigenvalues - spectrum[:k]).max() <= error
    # Their own word on the residuals is the truth, up to rounding in the working dtype.
    np.testing.assert_allclose(pairs.residual_norms, np.linalg.norm(R, axis=0), rtol=1e-3, atol=4 * n * ulp)
    if k == spectrum.size:
        assert np.isnan(pairs.gap)
    elif pairs.solver == "dense":
        assert abs(pairs.gap - (spectrum[k] - spectrum[k - 1])) <= 2 * error
    else:  # an estimate from above (beyond 1 from below), and perhaps the root of a rounded square
        assert pairs.gap >= min(spectrum[k], 1.0) - spectrum[k - 1] - 2 * error - ulp**0.5
