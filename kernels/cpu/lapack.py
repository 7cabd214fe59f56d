"""Subset symmetric eigensolver: our reduction to tridiagonal form, then SciPy's LAPACK pointers, without the GIL.

Eigenvalues of the tridiagonal matrix by bisection (``stebz``), its vectors by inverse iteration (``stein``), as in
``syevr`` for a subset; what these two refuse goes to ``syevr`` itself. ``scipy.linalg.eigh`` holds the GIL (0.94 to 1.0
times on two threads); the same routines called through their ``scipy.linalg.cython_lapack`` pointers with ctypes, which
releases it, run on two threads at once.
"""

import ctypes
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.tridiagonal import apply_reflectors, tridiagonal

__all__ = ["largest_eigenpairs"]

Array: TypeAlias = np.ndarray[Any, Any]

_CAPSULE_NAME = ctypes.pythonapi.PyCapsule_GetName
_CAPSULE_NAME.restype, _CAPSULE_NAME.argtypes = ctypes.c_char_p, [ctypes.py_object]
_CAPSULE_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_CAPSULE_POINTER.restype, _CAPSULE_POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@cache
def _routine(name: str, dtype: "np.dtype[Any]", n_arguments: int) -> Any:
    from scipy.linalg import cython_lapack

    capsule = dict(cython_lapack.__pyx_capi__)[("s" if dtype == np.float32 else "d") + name]
    pointer = _CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule))
    return ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * n_arguments))(pointer)


def largest_eigenpairs(A: Array, k: int) -> tuple[Array, Array]:
    """Return the `k` largest eigenvalues (descending) and their orthonormal eigenvectors (n, k) of a symmetric `A`.

    `A` (n, n), float32 or float64, C-contiguous, is left as it is. Where LAPACK finds fewer than `k` (it happens
    when the subset ends inside an exactly repeated eigenvalue), all are computed.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `A` is not finite, or LAPACK's ``syevr`` reports a failure.
    """
    n, largest = A.shape[0], max(float(A.max(initial=0)), -float(A.min(initial=0)))
    if not np.isfinite(largest):  # on a NaN LAPACK may not come to an end
        msg = f"expected a finite {n} x {n} matrix, got one with elements that are not"
        raise np.linalg.LinAlgError(msg)
    found = _subset(A, k, largest) if k < n and largest > 0 else None
    if found is not None:
        return found
    values, vectors, count, info = _call_syevr(A.copy(), k)
    if info == 0 and count < k < n:
        values, vectors, count, info = _call_syevr(A.copy(), n)
    if info != 0 or count < k:
        msg = f"LAPACK syevr failed on a {n} x {n} matrix: info {info}, {count} of {k} eigenpairs found"
        raise np.linalg.LinAlgError(msg)
    return values[count - k : count][::-1].copy(), vectors[count - k : count][::-1].T.copy()


def _subset(A: Array, k: int, largest: float) -> tuple[Array, Array] | None:
    """The `k` largest by way of the tridiagonal form; None where LAPACK does not find them all."""
    exponent = 0 if 2.0**-20 < largest < 2.0**20 else max(int(np.frexp(largest)[1]), np.finfo(A.dtype).minexp)
    scale = 0.5**exponent
    diagonal, beside, reflectors, factors = tridiagonal(A, scale)
    values, blocks, splits = _bisect(diagonal, beside, k)
    if values.size < k:
        return None
    vectors = _iterate_inversely(diagonal, beside, values, blocks, splits)
    if vectors is None:
        return None
    apply_reflectors(reflectors, factors, vectors)
    order = np.argsort(-values, kind="stable")
    return values[order] / A.dtype.type(scale), vectors[order].T.copy()


def _bisect(diagonal: Array, beside: Array, k: int) -> tuple[Array, Array, Array]:
    """The `k` largest eigenvalues, by blocks into which the matrix falls apart, ascending in each (``stebz``)."""
    n, dtype = diagonal.size, diagonal.dtype
    real = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    values, blocks, splits = np.empty(n, dtype), np.empty(n, np.intc), np.empty(n, np.intc)
    order, first, zero, found, info = (
        ctypes.c_int(n),
        ctypes.c_int(n - k + 1),
        real(0.0),
        ctypes.c_int(0),
        ctypes.c_int(0),
    )
    work, iwork, n_blocks, ref = np.empty(4 * n, dtype), np.empty(3 * n, np.intc), ctypes.c_int(0), ctypes.byref
    _routine("stebz", dtype, 18)(
        ctypes.c_char_p(b"I"), ctypes.c_char_p(b"B"), ref(order), ref(zero), ref(zero), ref(first), ref(order),
        ref(zero), diagonal.ctypes.data, beside.ctypes.data, ref(found), ref(n_blocks), values.ctypes.data,
        blocks.ctypes.data, splits.ctypes.data, work.ctypes.data, iwork.ctypes.data, ref(info),
    )  # fmt: skip
    return values[: found.value if info.value == 0 else 0], blocks, splits


def _iterate_inversely(diagonal: Array, beside: Array, values: Array, blocks: Array, splits: Array) -> Array | None:
    """Eigenvectors of the tridiagonal matrix, one a row (``stein``); None if one did not converge."""
    n, dtype, k = diagonal.size, diagonal.dtype, values.size
    vectors, ref = np.empty((k, n), dtype), ctypes.byref
    order, count, info = ctypes.c_int(n), ctypes.c_int(k), ctypes.c_int(0)
    work, iwork, failed = np.empty(5 * n, dtype), np.empty(n, np.intc), np.empty(k, np.intc)
    _routine("stein", dtype, 13)(
        ref(order), diagonal.ctypes.data, beside.ctypes.data, ref(count), values.ctypes.data, blocks.ctypes.data,
        splits.ctypes.data, vectors.ctypes.data, ref(order), work.ctypes.data, iwork.ctypes.data, failed.ctypes.data,
        ref(info),
    )  # fmt: skip
    return vectors if info.value == 0 else None


def _call_syevr(A: Array, k: int) -> tuple[Array, Array, int, int]:
    """Call ``syevr`` for the `k` largest (all, if k = n); A is overwritten. Values ascend, vectors are rows."""
    n = A.shape[0]
    values, vectors = np.empty(n, A.dtype), np.empty((k, n), A.dtype)
    support, found, info = np.empty(2 * max(k, 1), np.intc), ctypes.c_int(0), ctypes.c_int(0)
    real = ctypes.c_float if A.dtype == np.float32 else ctypes.c_double
    first, last, order = ctypes.c_int(n - k + 1), ctypes.c_int(n), ctypes.c_int(n)
    zero, bound = real(0.0), real(0.0)
    span = ctypes.c_char_p(b"A" if k == n else b"I")

    def call(work: Any, lwork: int, iwork: Any, liwork: int) -> None:
        length, ilength = ctypes.c_int(lwork), ctypes.c_int(liwork)
        ref = ctypes.byref
        _routine("syevr", A.dtype, 21)(
            ctypes.c_char_p(b"V"), span, ctypes.c_char_p(b"L"), ref(order), A.ctypes.data, ref(order),
            ref(zero), ref(zero), ref(first), ref(last), ref(bound), ref(found), values.ctypes.data,
            vectors.ctypes.data, ref(order), support.ctypes.data, work.ctypes.data, ref(length), iwork.ctypes.data,
            ref(ilength), ref(info),
        )  # fmt: skip

    work, iwork = np.empty(1, A.dtype), np.empty(1, np.intc)
    call(work, -1, iwork, -1)
    lwork, liwork = int(work[0]), int(iwork[0])
    call(np.empty(lwork, A.dtype), lwork, np.empty(liwork, np.intc), liwork)
    return values, vectors, found.value, info.value
