"""Operations that any machine does as fast as it can, for stages to be compared with: a GEMM, a copy."""

from collections.abc import Callable

import numpy as np

__all__ = ["copy", "gemm"]


def gemm(size: int) -> Callable[[], object]:
    """Return a product of two (size, size) float32 matrices, ``2 size^3`` operations."""
    A = np.random.default_rng(0).standard_normal((size, size), np.float32)
    C = np.empty_like(A)
    return lambda: np.matmul(A, A, out=C)


def copy(n_bytes: int) -> Callable[[], object]:
    """Return a copy of an array of so many bytes, as float32: it moves twice as many."""
    source = np.ones(max(n_bytes // 4, 1), np.float32)
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)
