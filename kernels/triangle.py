"""Row-major ranks of the strict upper triangle: the slots that a symmetric block's weights are shuffled among."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

__all__ = ["rank_upper", "strict_upper", "unrank_upper"]

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def strict_upper(members: Sequence[Any], *, symmetric: bool) -> list[Any]:
    """CSR blocks of several graphs, SciPy's or with an ``upper()`` of their own; of symmetric ones what counts."""
    if not symmetric:
        return list(members)
    return [W.upper() if hasattr(W, "upper") else sp.csr_array(sp.triu(W, k=1)) for W in members]


def rank_upper(rows: Any, cols: Any, size: int) -> Any:
    """Rank of entry (row, col), row < col, of an n x n matrix among the strict upper triangle in row-major order.

    Arrays of int64 of any library.
    """
    return rows * (2 * size - rows - 1) // 2 + (cols - rows - 1)


def unrank_upper(ranks: Ints, size: int) -> tuple[Ints, Ints]:
    """Invert :func:`rank_upper`, exactly for ``size`` up to 9e7 (a float64 guess, corrected in integers)."""
    p = np.asarray(ranks, np.int64)
    b = 2 * size - 1
    i = ((b - np.sqrt(np.maximum(float(b) * b - 8.0 * p, 0.0))) / 2).astype(np.int64)
    i = np.clip(i, 0, max(size - 2, 0))
    i -= (rank_upper(i, i + 1, size) > p).astype(np.int64)
    i += (rank_upper(i + 1, i + 2, size) <= p).astype(np.int64)
    return i, p - rank_upper(i, i + 1, size) + i + 1
