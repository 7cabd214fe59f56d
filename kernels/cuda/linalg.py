"""Dense symmetric eigenproblems in batches, by what cuSOLVER does best at each size.

Small matrices go to the batched Jacobi routine (``syevjBatched``), in batches that its 32-bit sizes allow; larger ones
one by one to divide and conquer (``syevd``), which is faster there than Jacobi rotations.
"""

from typing import Any

__all__ = ["eigh", "largest_eigenpairs"]

JACOBI_SIZE = 128
"""Matrices up to this size are solved in batches by Jacobi rotations."""
BATCH_ELEMENTS = 2**31 - 1
"""``n * n * batch`` that one batched call may have."""


def eigh(xp: Any, A: Any, batch_elements: int = BATCH_ELEMENTS) -> tuple[Any, Any]:
    """All eigenpairs of symmetric A (B, n, n), ascending: values (B, n) and vectors (B, n, n)."""
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


def largest_eigenpairs(xp: Any, A: Any, k: int) -> tuple[Any, Any]:
    """The k largest eigenvalues (B, k), descending, and eigenvectors (B, n, k) of symmetric A."""
    values, vectors = eigh(xp, A)
    first = int(A.shape[1]) - k
    return xp.flip(values[:, first:], axis=1), xp.flip(vectors[:, :, first:], axis=2)
