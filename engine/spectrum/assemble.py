"""From eigenpairs of a symmetric operator to eigenpairs of the Laplacian, the trivial one in front."""

from typing import Any

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency, SymmetricOperator
from netspectra.spectrum.solution import Solution

__all__ = ["SIGMA_FLOOR", "laplacian_residuals", "smallest_sigma", "to_laplacian"]

SIGMA_FLOOR = {"float32": 1e-2, "float64": 1e-6}
"""Singular values below this are lost in the rounding of their squares: such members are solved without reduction."""


def smallest_sigma(xp: Any, gram_values: Array) -> Array:
    """Least singular value behind the eigenvalues (B, q) of G, (B,)."""
    return xp.sqrt(xp.maximum(xp.min(gram_values, axis=1), xp.asarray(0.0, dtype=gram_values.dtype)))


def to_laplacian(
    operator: SymmetricOperator, values: Array, vectors: Array, applied: Array, k: int, n_iterations: Array
) -> Solution:
    """Assemble a :class:`Solution` from the largest non-trivial eigenpairs of an operator.

    Parameters
    ----------
    operator : BipartiteGram or NormalizedAdjacency
    values : array, shape (B, q), descending, q >= k - 1; the k-th, if there, estimates the next eigenvalue
    vectors : array, shape (B, size, >= k - 1)
    applied : array, shape (B, size, >= k - 1)
        The operator times `vectors`, for the residuals.
    k : int
        Pairs wanted, the trivial one included.
    n_iterations : array, shape (B,), int32
    """
    batch, xp = operator.batch, operator.batch.backend.xp
    wanted, vectors, applied = k - 1, vectors[:, :, : k - 1], applied[:, :, : k - 1]
    residuals = xp.sqrt(xp.sum((applied - vectors * values[:, None, :wanted]) ** 2, axis=1))
    if isinstance(operator, BipartiteGram):
        sigma = xp.sqrt(xp.maximum(values, xp.full_like(values, 1e-30)))
        top = sigma[:, None, :wanted]
        vectors = operator.assemble(vectors, operator.to_large(vectors) / top) * 0.5**0.5
        residuals = residuals / (sigma[:, :wanted] * 2**0.5)
    else:
        sigma = values
    eigenvalues = 1.0 - xp.astype(sigma, xp.float64)
    zero = xp.zeros((values.shape[0], 1), dtype=xp.float64)
    following = eigenvalues[:, wanted] if values.shape[1] > wanted else zero[:, 0] + xp.nan
    following = xp.where(following > 2.5, zero[:, 0] + xp.nan, following)  # a pair that was moved out of the way
    return Solution(
        eigenvalues=xp.concat([zero, eigenvalues[:, :wanted]], axis=1),
        vectors=xp.concat([batch.trivial_vector(vectors.dtype)[:, :, None], vectors], axis=2),
        residual_norms=xp.concat([zero, xp.astype(residuals, xp.float64)], axis=1),
        next_eigenvalue=following,
        n_iterations=n_iterations,
        status=("converged",) * values.shape[0],
    )


def laplacian_residuals(batch: GraphBatch, eigenvalues: Array, vectors: Array) -> Array:
    """``|L x - lambda x|`` per column, (B, k), evaluated in float64."""
    xp = batch.backend.xp
    X = xp.astype(vectors, xp.float64)
    R = NormalizedAdjacency(batch).apply(X) - X * (1.0 - eigenvalues)[:, None, :]
    return xp.sqrt(xp.sum(R * R, axis=1))
