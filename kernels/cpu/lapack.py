"""Subset symmetric eigensolver through SciPy's LAPACK pointers, called without the GIL.

``scipy.linalg.eigh`` holds the GIL (0.94 to 1.0 times on two threads); the same routine called through its
``scipy.linalg.cython_lapack`` pointer with ctypes, which releases it, runs on two threads at once.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np

__all__ = ["largest_eigenpairs"]

_CAPSULE_NAME = ctypes.pythonapi.PyCapsule_GetName
_CAPSULE_NAME.restype, _CAPSULE_NAME.argtypes = ctypes.c_char_p, [ctypes.py_object]
_CAPSULE_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_CAPSULE_POINTER.restype, _CAPSULE_POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@cache
def _syevr(dtype: "np.dtype[Any]") -> Any:
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__["ssyevr" if dtype == np.float32 else "dsyevr"]
    pointer = _CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule))
    return ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 21))(pointer)


def largest_eigenpairs(A: "np.ndarray[Any, Any]", k: int) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Return the `k` largest eigenvalues (descending) and their orthonormal eigenvectors (n, k) of a symmetric `A`.

    `A` (n, n), float32 or float64, C-contiguous, is left as it is. Where ``syevr`` finds fewer than `k` (it happens
    when the subset ends inside an exactly repeated eigenvalue), all are computed.

    Raises
    ------
    numpy.linalg.LinAlgError
        If LAPACK's ``syevr`` reports a failure.
    """
    n = A.shape[0]
    values, vectors, found, info = _call_syevr(A.copy(), k)
    if info == 0 and found < k < n:
        values, vectors, found, info = _call_syevr(A.copy(), n)
    if info != 0 or found < k:
        msg = f"LAPACK syevr failed on a {n} x {n} matrix: info {info}, {found} of {k} eigenpairs found"
        raise np.linalg.LinAlgError(msg)
    return values[found - k : found][::-1].copy(), vectors[found - k : found][::-1].T.copy()


def _call_syevr(A: "np.ndarray[Any, Any]", k: int) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int, int]":
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
        _syevr(A.dtype)(
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
