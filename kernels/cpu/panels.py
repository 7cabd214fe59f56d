"""Row panels of a dense block, in a form that compiled kernels read: C-contiguous float32 or float64."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

__all__ = ["PANEL_ELEMENTS", "contiguous_panels", "is_plain"]

Array: TypeAlias = np.ndarray[Any, Any]

PANEL_ELEMENTS = 1 << 20
"""Elements of a block read at a time (4 MB in float32)."""
_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))


def is_plain(W: Array) -> bool:
    """Whether kernels read a block as it is: not empty, C-contiguous, float32 or float64."""
    return W.dtype in _PLAIN and W.flags.c_contiguous and W.shape[0] > 0


def contiguous_panels(W: Array) -> list[tuple[int, int, Callable[[slice], tuple[Array, bool]]]]:
    """Row panels of a 2-D block as (first row, last row, function that reads it as (array, transposed)).

    The array is C-contiguous float32 or float64; `transposed` says that it holds the panel's transpose. Nothing is
    copied where the block already is C- or F-contiguous in a working dtype.
    """
    if is_plain(W):
        return [(0, W.shape[0], lambda rows: (W[rows], False))]
    plain = W.dtype in _PLAIN
    height = max(1, PANEL_ELEMENTS // max(1, W.shape[1]))
    if plain and W.flags.f_contiguous:
        height = max(1, W.shape[0])

    def read(rows: slice) -> tuple[Array, bool]:
        panel = W[rows] if plain else W[rows].astype(np.float32)
        if panel.flags.f_contiguous and not panel.flags.c_contiguous:
            return panel.T, True
        return np.ascontiguousarray(panel), False

    return [(a, min(a + height, W.shape[0]), read) for a in range(0, W.shape[0], height)]
