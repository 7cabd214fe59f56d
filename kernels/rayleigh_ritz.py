"""Rayleigh-Ritz in a basis that need not be orthonormal, in the array-API standard.

The Gram matrix M of the basis is taken apart, its numerically dependent directions left out, and the operator is
projected on what remains: SVQB (A. Stathopoulos, K. Wu, SIAM J. Sci. Comput. 23, 2002), then one more small ``eigh``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

__all__ = ["RitzPairs", "dependent_below", "rayleigh_ritz"]

Array: TypeAlias = Any


class RitzPairs(NamedTuple):
    """Ritz pairs of a symmetric A in a basis Q, the largest values first.

    Attributes
    ----------
    values : array, shape (B, m)
    coefficients : array, shape (B, c, m)
        Of the Ritz vectors in the basis.
    combined : tuple of array, shapes (B, ., m)
        What was given, Q and A Q first, times the coefficients.
    residuals : array, shape (B, m)
        ``|A x - theta x|``.
    """

    values: Array
    coefficients: Array
    combined: tuple[Array, ...]
    residuals: Array


def dependent_below(epsilon: float) -> float:
    """Eigenvalue of a Gram matrix of about unit columns below which a direction is rounding noise."""
    return float(epsilon**0.5)


def rayleigh_ritz(xp: Any, eigh: Callable[[Array], tuple[Array, Array]], bases: Sequence[Array], m: int) -> RitzPairs:
    """See :meth:`netspectra.kernels.backend.Backend.rayleigh_ritz`."""
    Q, AQ, *_ = bases
    dependent, transposed = dependent_below(float(xp.finfo(Q.dtype).eps)), xp.matrix_transpose(Q)
    M, H = xp.matmul(transposed, Q), xp.matmul(transposed, AQ)
    H = (H + xp.matrix_transpose(H)) / 2
    H = xp.where(xp.isfinite(H), H, xp.zeros_like(H))  # LAPACK must not see a NaN: it would end the other members too
    values, E = eigh(M)
    kept = values > dependent
    scales = xp.where(kept, 1.0 / xp.sqrt(xp.where(kept, values, xp.ones_like(values))), xp.zeros_like(values))
    E = E * scales[:, None, :]
    # Of A + I, whose spectrum is in [0, 2]: a direction that was left out has 0, and is never chosen before others.
    theta, C = eigh(xp.matmul(xp.matrix_transpose(E), xp.matmul(H + M, E)))
    first = Q.shape[2] - m
    theta, C = xp.flip(theta[:, first:], axis=1) - 1.0, xp.matmul(E, xp.flip(C[:, :, first:], axis=2))
    X, AX, *others = (xp.matmul(A, C) for A in bases)
    R = AX - X * theta[:, None, :]
    return RitzPairs(theta, C, (X, AX, *others), xp.sqrt(xp.sum(R * R, axis=1)))
