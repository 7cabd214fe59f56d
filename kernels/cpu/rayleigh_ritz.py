"""Rayleigh-Ritz in a basis of few columns, in one call.

A kernel, because the matrices are 4 x 4 to 16 x 16: NumPy takes thirty calls, each of which costs more than its
arithmetic, and a training step finds all of their code outside the cache (130 microseconds there; this takes 22).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper
from netspectra.kernels.rayleigh_ritz import RitzPairs, dependent_below
from netspectra.kernels.rayleigh_ritz import rayleigh_ritz as by_library

__all__ = ["rayleigh_ritz"]

Array: TypeAlias = np.ndarray[Any, Any]
WIDEST = 16
"""Columns up to which Jacobi's rotations are quicker than LAPACK."""
SWEEPS = 30
"""Of Jacobi's method, which converges quadratically: six or seven are usual."""
_TYPES = ("float32", "float64")


def rayleigh_ritz(bases: Sequence[Array], m: int) -> RitzPairs:
    """Ritz pairs, columns along memory; see :class:`netspectra.kernels.backend.Backend`."""
    (members, _, c), dtype = bases[0].shape, bases[0].dtype
    if c > WIDEST:
        return by_library(np, np.linalg.eigh, bases, m)
    Q, AQ, *others = (np.ascontiguousarray(A.transpose(0, 2, 1)) for A in bases)
    C, theta, residuals = np.empty((members, c, m), dtype), np.empty((members, m), dtype), np.empty((members, m), dtype)
    X, AX = np.empty((members, m, Q.shape[2]), dtype), np.empty((members, m, Q.shape[2]), dtype)
    _rayleigh_ritz(Q, AQ, dependent_below(float(np.finfo(dtype).eps)), C, theta)
    _combine(Q, C, X)
    _combine(AQ, C, AX)
    _residuals(X, AX, theta, residuals)
    combined = [X, AX]
    for A in others:
        combined.append(np.empty((members, m, A.shape[2]), dtype))
        _combine(A, C, combined[-1])
    return RitzPairs(theta, C, tuple(A.transpose(0, 2, 1) for A in combined), residuals)


@helper
def _diagonalize(A, V):  # type: ignore[no-untyped-def]
    """Make A diagonal by Jacobi's rotations, cyclic by rows; eigenvector k becomes ``V[k]``."""
    c, one = A.shape[0], A.dtype.type(1)
    negligible = np.finfo(A.dtype).eps ** 2
    V[:] = 0
    for p in range(c):
        V[p, p] = one
    for _ in range(SWEEPS):
        off, total = 0.0, 0.0
        for p in range(c):
            total += A[p, p] * A[p, p]
            for q in range(p):
                off += A[p, q] * A[p, q]
        if not off > negligible * total:  # of a NaN, too
            break
        for p in range(c - 1):
            for q in range(p + 1, c):
                if A[p, q] == 0:
                    continue
                tau = (A[q, q] - A[p, p]) / (2 * A[p, q])
                t = one / (abs(tau) + np.sqrt(one + tau * tau))
                t = -t if tau < 0 else t
                cosine = one / np.sqrt(one + t * t)
                sine = t * cosine
                for k in range(c):
                    left, right = A[p, k], A[q, k]
                    A[p, k], A[q, k] = cosine * left - sine * right, sine * left + cosine * right
                    left, right = V[p, k], V[q, k]
                    V[p, k], V[q, k] = cosine * left - sine * right, sine * left + cosine * right
                for k in range(c):
                    left, right = A[k, p], A[k, q]
                    A[k, p], A[k, q] = cosine * left - sine * right, sine * left + cosine * right
                A[p, q] = A[q, p] = 0


@helper
def _inner(A, B, out):  # type: ignore[no-untyped-def]
    """``out = A B^T``, sums along memory."""
    for i in range(A.shape[0]):
        for j in range(B.shape[0]):
            left, right, total = A[i], B[j], out.dtype.type(0)
            for k in range(left.shape[0]):
                total += left[k] * right[k]
            out[i, j] = total


@compiled(
    *(f"void(const({t}[:, :, ::1]), const({t}[:, :, ::1]), float64, {t}[:, :, ::1], {t}[:, ::1])" for t in _TYPES)
)
def _rayleigh_ritz(Q, AQ, dependent, C, theta):  # type: ignore[no-untyped-def]
    """Steps and names are those of :mod:`netspectra.kernels.rayleigh_ritz`; vectors are rows here, Q and E included."""
    (members, c, m), dtype = C.shape, Q.dtype
    M, H, K = np.empty((c, c), dtype), np.empty((c, c), dtype), np.empty((c, c), dtype)
    E, F = np.empty((c, c), dtype), np.empty((c, c), dtype)
    for b in range(members):
        _inner(Q[b], Q[b], M)
        _inner(Q[b], AQ[b], K)
        for i in range(c):
            for j in range(c):
                mean = (K[i, j] + K[j, i]) / 2
                H[i, j] = M[i, j] + (mean if abs(mean) < np.inf else 0)  # isfinite is folded away here
        _diagonalize(M, E)
        for k in range(c):
            E[k] *= 1 / np.sqrt(M[k, k]) if M[k, k] > dependent else 0
        _inner(E, H, F)
        _inner(F, E, K)
        _diagonalize(K, F)
        for chosen in range(m):
            best = 0
            for k in range(1, c):
                best = k if K[k, k] > K[best, best] else best
            theta[b, chosen] = K[best, best] - 1
            K[best, best] = -np.inf
            for i in range(c):
                total = dtype.type(0)
                for k in range(c):
                    total += F[best, k] * E[k, i]
                C[b, i, chosen] = total


@compiled(*(f"void(const({t}[:, :, ::1]), {t}[:, :, ::1], {t}[:, :, ::1])" for t in _TYPES))
def _combine(A, C, out):  # type: ignore[no-untyped-def]
    """``out = C^T A``."""
    out[:] = 0
    for b in range(A.shape[0]):
        for k in range(C.shape[2]):
            for i in range(C.shape[1]):
                x, y, coefficient = A[b, i], out[b, k], C[b, i, k]
                for j in range(x.shape[0]):
                    y[j] += coefficient * x[j]


@compiled(*(f"void({t}[:, :, ::1], {t}[:, :, ::1], {t}[:, ::1], {t}[:, ::1])" for t in _TYPES))
def _residuals(X, AX, theta, out):  # type: ignore[no-untyped-def]
    """``out = |AX - theta X|``."""
    for b in range(X.shape[0]):
        for k in range(X.shape[1]):
            x, y, value, total = X[b, k], AX[b, k], theta[b, k], out.dtype.type(0)
            for i in range(x.shape[0]):
                r = y[i] - value * x[i]
                total += r * r
            out[b, k] = np.sqrt(total)
