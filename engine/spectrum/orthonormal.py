"""Orthonormal bases of fixed shape, in batches.

SVQB (A. Stathopoulos, K. Wu, "A block orthogonalization procedure with constant synchronization requirements", SIAM J.
Sci. Comput. 23, 2002): one Gram matrix and one small ``eigh`` per pass, no failure on dependent columns. Deviation:
directions that are numerically dependent become *zero columns* instead of being dropped, so that shapes stay fixed.
"""

from netspectra.kernels.backend import Array, Backend

__all__ = ["combined", "inner", "orthonormalize", "project_out", "projected", "side_by_side", "symmetric"]


def inner(backend: Backend, X: Array, Y: Array) -> Array:
    """``X^T Y`` per member: (B, n, p), (B, n, q) -> (B, p, q)."""
    return backend.row_sums(lambda x, y: _times(backend, x, y), X, Y)


def side_by_side(backend: Backend, *parts: Array) -> Array:
    """Columns of several blocks beside one another."""
    return parts[0] if len(parts) == 1 else backend.xp.concat(parts, axis=2)


def projected(backend: Backend, X: Array, AX: Array) -> Array:
    """``X^T A X``, made :func:`symmetric`."""
    return symmetric(backend, inner(backend, X, AX))


def symmetric(backend: Backend, H: Array) -> Array:
    """A Gram matrix made symmetric; what is not finite becomes zero.

    LAPACK must not see a NaN, which in a batch would end the other members too. The residual of such a member is not
    finite either, and so flags it.
    """
    xp = backend.xp
    H = (H + xp.matrix_transpose(H)) / 2
    return xp.where(xp.isfinite(H), H, xp.zeros_like(H))


def combined(backend: Backend, C: Array, *parts: Array) -> Array:
    """``[parts] C``: (B, n, p) for coefficients C (B, sum of the parts' columns, p)."""
    return backend.rowwise(lambda *p: backend.xp.matmul(side_by_side(backend, *p), C), *parts)


def project_out(backend: Backend, X: Array, *bases: Array, times: int = 2) -> Array:
    """Remove from X (B, n, c) its components along orthonormal `bases`, twice ("twice is enough", W. Kahan).

    The bases are orthonormal together, so all are removed at once.
    """
    if not bases:
        return X
    for _ in range(times):
        C = backend.row_sums(lambda x, *q: _times(backend, side_by_side(backend, *q), x), X, *bases)
        X = backend.rowwise(lambda x, *q, C=C: x - backend.xp.matmul(side_by_side(backend, *q), C), X, *bases)
    return X


def orthonormalize(backend: Backend, X: Array, *bases: Array) -> Array:
    """Orthonormal basis of the part of X (B, n, c) that is orthogonal to `bases`; dependent columns become zero.

    Each pass over a tall block costs as much as any other, so columns are made unit vectors in the small Gram matrix
    and in its coefficients. The second sweep removes what the first one's scaling has let grow out of rounding, for
    which once is enough.
    """
    xp = backend.xp
    epsilon = float(xp.finfo(X.dtype).eps)
    X, before = _unit_columns(backend, X)
    for sweep in range(2):
        X = project_out(backend, X, *bases, times=2 - sweep)
        squares = inner(backend, X, X)
        norms = xp.sqrt(xp.linalg.diagonal(squares))
        # What is left of a column that lay in the span of the bases is rounding noise: drop it.
        left = (norms > 100 * epsilon * before) & xp.isfinite(norms)
        inverse = xp.where(left, 1.0 / xp.where(left, norms, xp.ones_like(norms)), xp.zeros_like(norms))
        values, vectors = backend.eigh(symmetric(backend, inverse[:, :, None] * squares * inverse[:, None, :]))
        top = values[:, -1:]
        keep = (values > 10 * X.shape[2] * epsilon * top) & (values > 0) if sweep == 0 else values > 0.5
        safe = xp.where(keep, values, xp.ones_like(values))
        scale = xp.where(keep, 1.0 / xp.sqrt(safe), xp.zeros_like(values))
        X = combined(backend, inverse[:, :, None] * vectors * scale[:, None, :], X)
        before = xp.ones_like(norms)
    return X


def _times(backend: Backend, X: Array, Y: Array) -> Array:
    return backend.xp.matmul(backend.xp.matrix_transpose(X), Y)


def _unit_columns(backend: Backend, X: Array) -> tuple[Array, Array]:
    """Columns made unit vectors, zero where norms are tiny or not finite; and which are which (1, 0), (B, c)."""
    xp = backend.xp
    tiny = float(xp.finfo(X.dtype).smallest_normal) ** 0.5
    norms = xp.sqrt(backend.row_sums(lambda x: xp.sum(x * x, axis=1, keepdims=True), X))
    nonzero = (norms > tiny) & xp.isfinite(norms)
    lengths = xp.where(nonzero, norms, xp.ones_like(norms))
    unit = backend.rowwise(lambda x: xp.where(nonzero, x / lengths, xp.zeros_like(x)), X)
    return unit, xp.astype(nonzero, X.dtype)[:, 0, :]
