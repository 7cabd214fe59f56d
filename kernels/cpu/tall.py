"""Operations on tall arrays, (B, n, c) with few columns, panel of rows by panel: nothing tall is made in between.

Blocks of vectors of a graph with millions of nodes fit no cache, and each pass over them counts: one iteration of
LOBPCG makes some dozens. A panel of rows stays in the cache while a function combines several arrays.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.workers import run_tasks

__all__ = ["row_sums", "rowwise"]

Array: TypeAlias = np.ndarray[Any, Any]
PANEL_ELEMENTS = 1 << 17
"""Elements of all arrays of one panel together: 0.5 MB in float32."""
PANELS_PER_TASK = 16
"""Panels that one thread does one after the other; results do not depend on it but by this constant."""


def rowwise(function: Callable[..., Array], arrays: tuple[Array, ...], n_threads: int) -> Array:
    """``function(*arrays)`` for a function that treats every row, axis 1, alone."""
    panels = _panels(arrays)
    if len(panels) == 1:
        return function(*arrays)
    first = function(*(array[:, panels[0]] for array in arrays))
    out = np.empty((first.shape[0], arrays[0].shape[1], *first.shape[2:]), first.dtype)
    out[:, panels[0]] = first

    def work(task: list[slice]) -> None:
        for rows in task:
            out[:, rows] = function(*(array[:, rows] for array in arrays))

    run_tasks(work, _tasks(panels[1:]), n_threads)
    return out


def row_sums(function: Callable[..., Array], arrays: tuple[Array, ...], n_threads: int) -> Array:
    """``function(*arrays)`` for a function that adds up over rows, axis 1."""
    panels = _panels(arrays)
    if len(panels) == 1:
        return function(*arrays)

    def work(task: list[slice]) -> Array:
        total = function(*(array[:, task[0]] for array in arrays))
        for rows in task[1:]:
            total = total + function(*(array[:, rows] for array in arrays))
        return total

    parts = run_tasks(work, _tasks(panels), n_threads)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _panels(arrays: tuple[Array, ...]) -> list[slice]:
    """Slices of rows, cut by shapes alone."""
    n, width = arrays[0].shape[1], sum(array.size // max(array.shape[1], 1) for array in arrays)
    height = max(64, PANEL_ELEMENTS // max(width, 1))
    if n <= 2 * height:
        return [slice(0, n)]
    return [slice(start, min(start + height, n)) for start in range(0, n, height)]


def _tasks(panels: list[slice]) -> list[list[slice]]:
    return [panels[i : i + PANELS_PER_TASK] for i in range(0, len(panels), PANELS_PER_TASK)]
