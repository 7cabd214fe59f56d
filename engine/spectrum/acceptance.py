"""The acceptance test of a solution: residuals of L, and orthonormal vectors. What is not finite never passes."""

from typing import Any

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.spectrum.orthonormal import inner
from netspectra.spectrum.solution import Solution

__all__ = ["accepted", "lapack_bound", "orthonormality_defect"]

LAPACK_RATIO = 30
ORTHONORMAL_RATIO = 10


def lapack_bound(batch: GraphBatch, dtype: Any) -> float:
    """``30 n ulp``: what LAPACK's test suite allows the residual of a matrix of norm 1 (that of L is at least 1)."""
    return LAPACK_RATIO * batch.structure.n_nodes * float(batch.backend.xp.finfo(dtype).eps)


def accepted(batch: GraphBatch, solution: Solution, bound: float) -> Array:
    """Whether each member's residuals are at most `bound` and its vectors orthonormal to ``10 n ulp``, (B,) bool."""
    xp = batch.backend.xp
    ulp = float(xp.finfo(solution.vectors.dtype).eps)
    defect = orthonormality_defect(batch, solution.vectors)
    orthonormal = defect <= ORTHONORMAL_RATIO * batch.structure.n_nodes * ulp
    small = xp.max(solution.residual_norms, axis=1) <= bound  # a NaN compares False and so fails
    return small & orthonormal


def orthonormality_defect(batch: GraphBatch, vectors: Array) -> Array:
    """``max |X^T X - I|`` per member, (B,), float64."""
    xp = batch.backend.xp
    X = xp.astype(vectors, xp.float64)
    return xp.max(xp.abs(inner(batch.backend, X, X) - xp.eye(X.shape[2], dtype=xp.float64)), axis=(1, 2))
