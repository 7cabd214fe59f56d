"""Orthonormal bases of fixed shape, in batches.

SVQB (A. Stathopoulos, K. Wu, "A block orthogonalization procedure with constant synchronization requirements", SIAM J.
Sci. Comput. 23, 2002): one Gram matrix and one small ``eigh`` per pass, no failure on dependent columns. Deviation:
directions that are numerically dependent become *zero columns* instead of being dropped, so that shapes stay fixed.
"""

from typing import Any

from netspectra.kernels.backend import Array, Backend

__all__ = ["inner", "orthonormalize", "project_out", "projected"]


def inner(backend: Backend, X: Array, Y: Array) -> Array:
    """``X^T Y`` per member: (B, n, p), (B, n, q) -> (B, p, q)."""
    return backend.xp.matmul(backend.xp.matrix_transpose(X), Y)


def projected(backend: Backend, X: Array, AX: Array) -> Array:
    """``X^T A X``, symmetric; what is not finite becomes zero.

    LAPACK must not see a NaN, which in a batch would end the other members too. The residual of such a member is not
    finite either, and so flags it.
    """
    xp = backend.xp
    H = inner(backend, X, AX)
    H = (H + xp.matrix_transpose(H)) / 2
    return xp.where(xp.isfinite(H), H, xp.zeros_like(H))


def project_out(backend: Backend, X: Array, *bases: Array) -> Array:
    """Remove from X (B, n, c) its components along orthonormal `bases`, twice ("twice is enough", W. Kahan)."""
    for _ in range(2):
        for Q in bases:
            X = X - backend.xp.matmul(Q, inner(backend, Q, X))
    return X


def orthonormalize(backend: Backend, X: Array, *bases: Array) -> Array:
    """Orthonormal basis of the part of X (B, n, c) that is orthogonal to `bases`; dependent columns become zero."""
    xp = backend.xp
    epsilon = float(xp.finfo(X.dtype).eps)
    X = _unit_columns(xp, X, tiny=float(xp.finfo(X.dtype).smallest_normal) ** 0.5)
    for sweep in range(2):
        before = X
        X = project_out(backend, X, *bases)
        # What is left of a column that lay in the span of the bases is rounding noise: drop it.
        kept = _norms(xp, X) > 100 * epsilon * _norms(xp, before)
        X = _unit_columns(xp, xp.where(kept, X, xp.zeros_like(X)), tiny=epsilon)
        values, vectors = backend.eigh(inner(backend, X, X))
        top = values[:, -1:]
        keep = (values > 10 * X.shape[2] * epsilon * top) & (values > 0) if sweep == 0 else values > 0.5
        safe = xp.where(keep, values, xp.ones_like(values))
        scale = xp.where(keep, 1.0 / xp.sqrt(safe), xp.zeros_like(values))
        X = xp.matmul(X, vectors * scale[:, None, :])
    return X


def _norms(xp: Any, X: Array) -> Array:
    return xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))


def _unit_columns(xp: Any, X: Array, tiny: float) -> Array:
    norms = _norms(xp, X)
    nonzero = (norms > tiny) & xp.isfinite(norms)
    return xp.where(nonzero, X / xp.where(nonzero, norms, xp.ones_like(norms)), xp.zeros_like(X))
