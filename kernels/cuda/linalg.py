"""Dense symmetric eigenproblems in batches: small matrices by our Jacobi kernel, larger ones by cuSOLVER.

The Rayleigh-Ritz problems of LOBPCG are thousands of matrices of 16 and of 48 rows per iteration, and cuSOLVER's
batched routine (``syevjBatched``) leaves its fast path at 32 rows: it would take longer than all the rest. That, and
every choice here, is modelled, not measured. Matrices beyond shared memory go to cuSOLVER, one by one (divide and
conquer, ``syevd``) or, up to 128 rows, in batches that its 32-bit sizes allow.
"""

from typing import Any

from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import dtype_name, element_strides
from netspectra.kernels.cuda.sources import Kernel

__all__ = ["block_size", "eigh", "largest_eigenpairs", "shared_bytes"]

JACOBI_SIZE = 128
"""Matrices up to this size are solved in batches by Jacobi rotations; the kernel's integers hold no larger ones."""
BATCH_ELEMENTS = 2**31 - 1
"""``n * n * batch`` that one batched call of cuSOLVER may have."""
_PARTS_BYTES, _PACK_BYTES = 128, 16  # as in eigh.cu


def eigh(xp: Any, launcher: Launcher, A: Any, batch_elements: int = BATCH_ELEMENTS) -> tuple[Any, Any]:
    """All eigenpairs of symmetric A (B, n, n), ascending: values (B, n) and vectors (B, n, n).

    Only the lower triangle is read. What the kernel solves is the same bit for bit in any batch, and a member that is
    not finite gets NaN and harms no other.
    """
    n = int(A.shape[1])
    if n <= JACOBI_SIZE and shared_bytes(n, int(A.dtype.itemsize)) <= launcher.shared_limit:
        return _by_kernel(xp, launcher, A)
    return _by_library(xp, A, batch_elements)


def largest_eigenpairs(xp: Any, launcher: Launcher, A: Any, k: int) -> tuple[Any, Any]:
    """The k largest eigenvalues (B, k), descending, and eigenvectors (B, n, k) of symmetric A."""
    values, vectors = eigh(xp, launcher, A)
    first = int(A.shape[1]) - k
    return xp.flip(values[:, first:], axis=1), xp.flip(vectors[:, :, first:], axis=2)


def shared_bytes(n: int, itemsize: int) -> int:
    """Shared memory that a matrix takes; divided alike in ``eigh.cu``."""
    even = n + n % 2
    half = even // 2
    packs = -(-even * itemsize // _PACK_BYTES)
    numbers = 2 * half + even + (even - 1) * (half + half % 2)
    return _PARTS_BYTES + even * packs * _PACK_BYTES + numbers * itemsize + 4 * even


def block_size(n: int) -> int:
    """Threads for a matrix: 2 to 16 pieces of work for each in every step, and at least one for each pair of rows."""
    return 32 if n <= 16 else 64 if n <= 32 else 128 if n <= 64 else 256


def _by_kernel(xp: Any, launcher: Launcher, A: Any) -> tuple[Any, Any]:
    members, n = int(A.shape[0]), int(A.shape[1])
    values, vectors = xp.empty((members, n), dtype=A.dtype), xp.empty((members, n, n), dtype=A.dtype)
    kernel = Kernel("eigh.cu", "symmetric_eigenpairs", (("WORK", dtype_name(A)),))
    if members and n:
        arguments = [A, *element_strides(A), n, values, vectors]
        launcher.launch(kernel, (members, 1, 1), block_size(n), arguments, shared_bytes(n, int(A.dtype.itemsize)))
    return values, vectors


def _by_library(xp: Any, A: Any, batch_elements: int) -> tuple[Any, Any]:
    members, n = int(A.shape[0]), int(A.shape[1])
    step = max(1, batch_elements // max(n * n, 1)) if n <= JACOBI_SIZE else 1
    if members <= step and n <= JACOBI_SIZE:
        values, vectors = xp.linalg.eigh(A)
        return values, vectors
    parts = []
    for first in range(0, members, step):
        values, vectors = xp.linalg.eigh(A[first : first + step, ...] if step > 1 else A[first, ...])
        parts.append((values, vectors) if step > 1 else (values[None, ...], vectors[None, ...]))
    return xp.concat([values for values, _ in parts], axis=0), xp.concat([vectors for _, vectors in parts], axis=0)
