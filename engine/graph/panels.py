"""Large blocks read panel by panel, on the host and on a device alike: nothing of the size of a block is made."""

from collections.abc import Iterator
from typing import Any

import array_api_compat
import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.device import current_device

__all__ = ["PANEL_ELEMENTS", "count_nonzero", "require_finite", "row_panels", "take_flat"]

PANEL_ELEMENTS = 1 << 20
"""Elements of a dense block read at a time wherever something must be derived from it (4 MB in float32)."""
DEVICE_PANEL_ELEMENTS = 1 << 24
"""The same on a device, which has more to do at a time and more room."""


def row_panels(array: Any) -> Iterator[slice]:
    """Slices of rows that cover an array in order, each a bounded number of elements (see :data:`PANEL_ELEMENTS`)."""
    elements = PANEL_ELEMENTS if isinstance(array, np.ndarray) else DEVICE_PANEL_ELEMENTS
    n_rows, n_cols = int(array.shape[0]), int(array.shape[1]) if array.ndim > 1 else 1
    height = max(1, elements // max(1, n_cols))
    for start in range(0, n_rows, height):
        yield slice(start, min(start + height, n_rows))


def require_finite(array: Any, what: str) -> None:
    """Refuse NaN and infinite values; `what` is how the message calls the array.

    Raises
    ------
    GraphError
        If there are any.
    """
    xp = array_api_compat.array_namespace(array)
    for rows in row_panels(array):
        panel = array[rows, ...]
        finite = xp.isfinite(panel)
        if not bool(xp.all(finite)):
            bad = panel[~finite]
            msg = (
                f"{what}: weights must be finite, got {int(bad.shape[0])} NaN or infinite value(s), the first "
                f"{float(bad[0])}; check the checkpoint (diverged training?) or replace them"
            )
            raise GraphError(msg)


def count_nonzero(array: Any, *, triangle: bool = False) -> int:
    """Count the non-zero entries of a dense block, or those of its strict upper triangle."""
    xp = array_api_compat.array_namespace(array)
    count = 0
    with current_device(array):
        for rows in row_panels(array):
            panel = array[rows, ...]
            if triangle:
                panel = xp.triu(panel != 0, k=rows.start + 1)
            count += int(xp.count_nonzero(panel))
    return count


def take_flat(array: Any, places: Any) -> Any:
    """Entries of a dense block at row-major places (a transposed view is not copied for it on the host)."""
    if isinstance(array, np.ndarray):
        return array[np.divmod(places, array.shape[1])]
    xp = array_api_compat.array_namespace(array)
    return xp.take(xp.reshape(array, (-1,)), places, axis=0)
