"""Arrays with a guard on either side: a kernel that writes past one is found, one that reads past it reads NaN.

Each run of memory that the arguments of a launch cover is copied into the middle of a buffer of its own, and back.
Arguments that overlap stay so. What lies between two rows of a strided view belongs to the view.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

__all__ = ["GuardedMemory"]

GUARD = 4096
_WORD = np.uint64(0xFFFF0001FFFF0001)  # NaN as two float32 or a float64, a negative int32 or int64
_ALIGNMENT = 256  # CuPy's; the copy has the same place in it as the array


class GuardedMemory:
    """Guarded copies of arrays.

    Parameters
    ----------
    arrays : sequence of ndarray
    written : sequence of bool
        Which of them are copied back.
    """

    def __init__(self, arrays: Sequence[np.ndarray[Any, Any]], written: Sequence[bool]) -> None:
        runs: list[_Run] = []
        for low, high, out in sorted((*byte_bounds(a), w) for a, w in zip(arrays, written, strict=True) if a.size):
            if runs and low < runs[-1].high:
                runs[-1].high = max(runs[-1].high, high)
                runs[-1].written |= out
            else:
                runs.append(_Run(low, high, out))
        for run in runs:
            run.copy_in()
        self._runs = runs
        self._nowhere = np.full(GUARD // 8, _WORD)

    def address(self, array: np.ndarray[Any, Any]) -> int:
        """Where the copy of the array's first element is."""
        place = array.ctypes.data
        for run in self._runs:
            if array.size and run.low <= place < run.high:
                return run.start + place - run.low
        return self._nowhere.ctypes.data  # an array without elements: nothing to read there, nothing to write

    def overrun(self, array: np.ndarray[Any, Any]) -> int | None:
        """Return how many bytes past the end (or, negative, from the start) of the array's memory were written."""
        place = array.ctypes.data
        run = next((run for run in self._runs if array.size and run.low <= place < run.high), None)
        if run is None:
            changed = np.flatnonzero(self._nowhere != _WORD)
            return int(changed[0]) * 8 if changed.size else None
        return run.overrun()

    def copy_back(self) -> None:
        """Put what was written where the arrays are."""
        for run in self._runs:
            if run.written:
                _bytes_at(run.low, run.high - run.low)[:] = run.buffer[run.offset : run.offset + run.high - run.low]


class _Run:
    """Bytes from `low` to `high`, and their copy at `start`."""

    def __init__(self, low: int, high: int, written: bool) -> None:
        self.low, self.high, self.written = low, high, written

    def copy_in(self) -> None:
        size = self.high - self.low
        self.buffer = np.full((size + 2 * GUARD + 2 * _ALIGNMENT) // 8 + 1, _WORD).view(np.uint8)
        base = self.buffer.ctypes.data
        self.offset = GUARD + (self.low - base - GUARD) % _ALIGNMENT
        self.start = base + self.offset
        self.pristine = (self.buffer[: self.offset].copy(), self.buffer[self.offset + size :].copy())
        self.buffer[self.offset : self.offset + size] = _bytes_at(self.low, size)

    def overrun(self) -> int | None:
        before, after = self.pristine
        changed = np.flatnonzero(self.buffer[len(self.buffer) - len(after) :] != after)
        if changed.size:
            return int(changed[0])
        changed = np.flatnonzero(self.buffer[: self.offset] != before)
        return int(changed[-1]) - self.offset if changed.size else None


def _bytes_at(address: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)
