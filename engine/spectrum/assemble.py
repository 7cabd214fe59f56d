"""From vectors of a symmetric operator to eigenpairs of the Laplacian, the trivial one in front.

One Rayleigh-Ritz step of S itself stands between the two, so that eigenvalues, residuals and orthonormality are those
of L whatever was iterated on. For the bipartite reduction that is the singular value decomposition of B between the
spans of U and ``B^T U``: dividing ``B^T u`` by sigma instead would amplify the rounding of u by ``1 / sigma^2``.
"""

from typing import Any

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency, SymmetricOperator
from netspectra.spectrum.orthonormal import inner, orthonormalize, projected
from netspectra.spectrum.solution import Solution

__all__ = ["as_solution", "laplacian_residuals", "to_laplacian"]


def to_laplacian(operator: SymmetricOperator, values: Array, vectors: Array, k: int, n_iterations: Array) -> Solution:
    """Assemble a :class:`Solution` from the largest non-trivial eigenpairs of an operator.

    Parameters
    ----------
    operator : BipartiteGram or NormalizedAdjacency
    values : array, shape (B, q), descending, q >= k - 1 (the reduction: q >= k)
        The k-th estimates the next eigenvalue.
    vectors : array, shape (B, size, q), orthonormal
    k : int
        Pairs wanted, the trivial one included; at least 2.
    n_iterations : array, shape (B,), int32
    """
    if isinstance(operator, BipartiteGram):  # the pair after the wanted ones comes along, so that the gap is accurate
        theta, X, residuals = _singular_ritz(operator, vectors[:, :, :k])
        following = theta[:, k - 1]
        theta, X, residuals = theta[:, : k - 1], X[:, :, : k - 1], residuals[:, : k - 1]
    else:
        theta, X, residuals = _symmetric_ritz(operator, vectors[:, :, : k - 1])
        following = _following(operator, values, k)
    return as_solution(operator.batch, theta, X, residuals, following, n_iterations)


def as_solution(
    batch: GraphBatch, theta: Array, X: Array, residuals: Array, following: Array, n_iterations: Array
) -> Solution:
    """Put the trivial pair before others of S: eigenvalues (B, k - 1), descending, and vectors (B, n, k - 1)."""
    xp = batch.backend.xp
    zero = xp.zeros((theta.shape[0], 1), dtype=xp.float64)
    # The spectrum is in [0, 2]; rounding may leave it by a few units in the last place.
    eigenvalues = xp.clip(1.0 - xp.astype(theta, xp.float64), 0.0, 2.0)
    return Solution(
        eigenvalues=xp.concat([zero, eigenvalues], axis=1),
        vectors=xp.concat([batch.trivial_vector(X.dtype)[:, :, None], X], axis=2),
        residual_norms=xp.concat([zero, xp.astype(residuals, xp.float64)], axis=1),
        next_eigenvalue=1.0 - xp.astype(following, xp.float64),
        n_iterations=n_iterations,
        status=("converged",) * theta.shape[0],
    )


def laplacian_residuals(batch: GraphBatch, eigenvalues: Array, vectors: Array) -> Array:
    """``|L x - lambda x|`` per column, (B, k), evaluated in float64."""
    xp = batch.backend.xp
    X = xp.astype(vectors, xp.float64)
    return _norms(xp, NormalizedAdjacency(batch).apply(X) - X * (1.0 - eigenvalues)[:, None, :])


def _following(operator: SymmetricOperator, values: Array, k: int) -> Array:
    """The k-th of `values`; NaN where there is none, or only what was moved out of the way."""
    xp = operator.batch.backend.xp
    nan = xp.full((values.shape[0],), xp.nan, dtype=values.dtype)
    return xp.where(values[:, k - 1] >= -1.1, values[:, k - 1], nan) if values.shape[1] >= k else nan


def _symmetric_ritz(operator: SymmetricOperator, X: Array) -> tuple[Array, Array, Array]:
    """Ritz values, descending, vectors and residual norms of S on the span of X."""
    backend, xp = operator.batch.backend, operator.batch.backend.xp
    SX = operator.apply(X)
    theta, C = backend.eigh(projected(backend, X, SX))
    theta, C = xp.flip(theta, axis=1), xp.flip(C, axis=2)
    X = xp.matmul(X, C)
    return theta, X, _norms(xp, xp.matmul(SX, C) - X * theta[:, None, :])


def _singular_ritz(operator: BipartiteGram, U: Array) -> tuple[Array, Array, Array]:
    """The same of S on the span of ``(U; 0)`` and ``(0; B^T U)``, its positive half."""
    backend, xp = operator.batch.backend, operator.batch.backend.xp
    BtU = operator.to_large(U)
    V = orthonormalize(backend, BtU)
    BV = operator.to_small(V)
    H = inner(backend, U, BV)
    C, sigma, Dt = xp.linalg.svd(xp.where(xp.isfinite(H), H, xp.zeros_like(H)), full_matrices=False)
    D = xp.matrix_transpose(Dt)
    u, v = xp.matmul(U, C), xp.matmul(V, D)
    R = xp.concat([xp.matmul(BV, D) - u * sigma[:, None, :], xp.matmul(BtU, C) - v * sigma[:, None, :]], axis=1)
    return sigma, operator.assemble(u, v) * 0.5**0.5, _norms(xp, R) * 0.5**0.5


def _norms(xp: Any, R: Array) -> Array:
    return xp.sqrt(xp.sum(R * R, axis=1))
