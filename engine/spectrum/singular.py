"""The whole bottom of a bipartite graph's spectrum from the singular value decomposition of B, null spaces included.

For ``B = U diag(sigma) V^T`` without rows and columns of isolated nodes, smaller side first, the eigenpairs of
``S = [[0, B], [B^T, 0]]`` are, from the largest down: ``(u; v) / sqrt(2)`` with sigma; ``(0; z)`` with 0, z orthogonal
to V; ``(u; -v) / sqrt(2)`` with -sigma. Nothing is squared, so every pair is accurate to rounding: this is where a
narrow graph goes (k beyond the smaller side, a star), and one whose wanted singular values are lost in ``G = B B^T``.
"""

from typing import Any

import numpy as np

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.spectrum.assemble import as_solution, laplacian_residuals
from netspectra.spectrum.operator import BipartiteGram
from netspectra.spectrum.solution import Solution

__all__ = ["solve_singular"]


def solve_singular(batch: GraphBatch, k: int, dtype: Any, keys: Any) -> Solution:
    """Return the k bottom eigenpairs of the Laplacian of a batch of *one* bipartite graph.

    Parameters
    ----------
    batch : GraphBatch
        One member: isolated nodes are removed, so shapes depend on its weights.
    k : int
        At least 2 and at most the number of its live nodes.
    dtype : dtype
    keys : array
        Philox key of the member's starting block, for a basis of the null space.
    """
    xp, operator = batch.backend.xp, BipartiteGram(batch)
    live = batch.backend.to_numpy(batch.live)[0]
    sides = [nodes[live[nodes]] for nodes in (operator.nodes(operator.small), operator.nodes(operator.large))]
    B = _live_block(operator, live, dtype)
    if B.shape[1] > B.shape[2]:
        B, sides = xp.matrix_transpose(B), sides[::-1]
    theta, X = _bottom(batch, B, k, keys)
    X = _in_node_order(batch, X, np.concatenate(sides))
    nan = xp.full((1,), xp.nan, dtype=dtype)
    following = theta[:, k] if theta.shape[1] > k else nan
    theta, X = theta[:, 1:k], X[:, :, 1:k]
    residuals = laplacian_residuals(batch, 1.0 - xp.astype(theta, xp.float64), X)
    return as_solution(batch, theta, X, residuals, following, xp.zeros((1,), dtype=xp.int32))


def _live_block(operator: BipartiteGram, live: "np.ndarray[Any, Any]", dtype: Any) -> Array:
    """B between live nodes, (1, n_small, n_large), its trivial singular value moved from 1 to 2: it comes first."""
    backend, xp = operator.batch.backend, operator.batch.backend.xp
    trivial = operator.batch.trivial_vector(dtype)
    sides = [operator.nodes(side) for side in (operator.small, operator.large)]
    u, v = (xp.take(trivial, backend.asarray(nodes[live[nodes]]), axis=1) for nodes in sides)
    rows, cols = (backend.asarray(np.flatnonzero(live[nodes])) for nodes in sides)
    B = xp.take(xp.take(operator.dense_block(dtype), rows, axis=1), cols, axis=2)
    return B + 2 * u[:, :, None] * v[:, None, :]


def _bottom(batch: GraphBatch, B: Array, k: int, keys: Any) -> tuple[Array, Array]:
    """Eigenvalues of S, descending, and eigenvectors: at least k, and one more if there is one. B (1, m, n), m <= n."""
    xp = batch.backend.xp
    m, n = int(B.shape[1]), int(B.shape[2])
    U, sigma, Vt = xp.linalg.svd(xp.where(xp.isfinite(B), B, xp.zeros_like(B)), full_matrices=False)
    sigma = xp.concat([xp.ones_like(sigma[:, :1]), sigma[:, 1:]], axis=1)
    U, V = U * 0.5**0.5, xp.matrix_transpose(Vt)
    n_null = min(k, n - m)
    random = batch.backend.standard_normals(keys, (n, n_null), B.dtype)
    # Householder's Q is orthonormal however the random columns lie, and its first m columns span V.
    Q, _ = xp.linalg.qr(xp.concat([V, random], axis=2))
    V = V * 0.5**0.5
    plus, minus = xp.concat([U, V], axis=1), xp.concat([U, -V], axis=1)
    null = xp.concat([xp.zeros((1, m, n_null), dtype=B.dtype), Q[:, :, m:]], axis=1)
    theta = xp.concat([sigma, xp.zeros((1, n_null), dtype=B.dtype), -xp.flip(sigma, axis=1)], axis=1)
    return theta, xp.concat([plus, null, xp.flip(minus, axis=2)], axis=2)


def _in_node_order(batch: GraphBatch, X: Array, nodes: "np.ndarray[Any, Any]") -> Array:
    """Vectors (1, n, c) whose rows `nodes` are those of X, the others zero."""
    xp, n_live = batch.backend.xp, nodes.size
    place = np.full(batch.structure.n_nodes, n_live, np.int64)
    place[nodes] = np.arange(n_live)
    padded = xp.concat([X, xp.zeros((1, 1, X.shape[2]), dtype=X.dtype)], axis=1)
    return xp.take(padded, batch.backend.asarray(place), axis=1)
