"""CSR weights on a device: three arrays, and the few operations on them that a graph needs.

Only the array-API standard is used, so nothing here names a library, and nothing leaves the device but a few numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import array_api_compat
import numpy as np

from netspectra.graph.device import current_device
from netspectra.kernels.backend import Array
from netspectra.kernels.weights import stored_rows

__all__ = ["DeviceCsr"]

P = ParamSpec("P")
R = TypeVar("R")


def _there(method: "Callable[Concatenate[DeviceCsr, P], R]") -> "Callable[Concatenate[DeviceCsr, P], R]":
    """Run a method with the device of its arrays as the current one, where its library makes new arrays."""

    @wraps(method)
    def run(self: "DeviceCsr", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with current_device(self.data):
            return method(self, *args, **kwargs)

    return run


@dataclass(frozen=True, eq=False, repr=False)
class DeviceCsr:
    """CSR weights whose arrays are on one device.

    Attributes
    ----------
    data : array, shape (nnz,)
    indices : array, shape (nnz,), int32 or int64
        Column of each value, ascending within a row.
    indptr : array, shape (m + 1,), integer
    shape : (m, n)
    """

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    @property
    def xp(self) -> Any:
        """Array namespace."""
        return array_api_compat.array_namespace(self.data)

    @property
    def nnz(self) -> int:
        """Stored weights."""
        return int(self.data.shape[0])

    @property
    @_there
    def rows(self) -> Array:
        """Row of each stored weight, (nnz,) int64."""
        return stored_rows(self.xp, self.indptr, self.nnz)

    @property
    @_there
    def T(self) -> "DeviceCsr":
        """The transpose."""
        xp, rows = self.xp, self.rows
        order = xp.argsort(self.indices, stable=True)
        taken = (xp.take(a, order, axis=0) for a in (self.data, self.indices, rows))
        return _of_sorted(*taken, shape=self.shape[::-1], index_type=self.indices.dtype)

    @_there
    def fault(self) -> str:
        """Say what makes the arrays no CSR array (an index out of range would be read as memory); empty if nothing."""
        xp, (m, n) = self.xp, self.shape
        if tuple(self.indptr.shape) != (m + 1,) or self.data.shape != self.indices.shape or self.data.ndim != 1:
            return "index pointers, indices and data do not fit the shape"
        starts = xp.astype(self.indptr, xp.int64)
        if int(starts[0]) != 0 or int(starts[m]) != self.nnz or bool(xp.any(starts[1:] < starts[:-1])):
            return "index pointers must grow from 0 to the number of stored values"
        if self.nnz and (int(xp.min(self.indices)) < 0 or int(xp.max(self.indices)) >= n):
            return f"column indices must be from 0 to {n - 1}"
        return ""

    @_there
    def is_canonical(self) -> bool:
        """Whether columns ascend within each row, none of them twice."""
        if self.nnz < 2:
            return True
        rows, cols = self.rows, self.indices
        return bool(self.xp.all((rows[1:] > rows[:-1]) | (cols[1:] > cols[:-1])))

    @_there
    def where(self, mask: Array) -> "DeviceCsr":
        """Only the stored weights that `mask`, (nnz,) bool, marks."""
        xp = self.xp
        kept = xp.nonzero(mask)[0]
        taken = (xp.take(a, kept, axis=0) for a in (self.data, self.rows, self.indices))
        return _of_sorted(*taken, shape=self.shape, index_type=self.indices.dtype)

    @_there
    def upper(self) -> "DeviceCsr":
        """The strict upper triangle."""
        return self.where(self.xp.astype(self.indices, self.xp.int64) > self.rows)

    @_there
    def between(self, rows: "np.ndarray[Any, Any]", cols: "np.ndarray[Any, Any]") -> "DeviceCsr":
        """Rows and columns that two host masks mark, the others removed."""
        xp, device = self.xp, array_api_compat.device(self.data)
        live = [xp.asarray(mask.astype(np.int64), device=device) for mask in (rows, cols)]
        places = [xp.cumulative_sum(mask) - 1 for mask in live]
        ends = (self.rows, xp.astype(self.indices, xp.int64))
        inside = [xp.take(mask, end, axis=0) for mask, end in zip(live, ends, strict=True)]
        kept = xp.nonzero(inside[0] * inside[1])[0]
        i, j = (xp.take(place, xp.take(end, kept, axis=0), axis=0) for place, end in zip(places, ends, strict=True))
        shape = (int(np.count_nonzero(rows)), int(np.count_nonzero(cols)))
        return _of_sorted(xp.take(self.data, kept, axis=0), i, j, shape=shape, index_type=self.indices.dtype)

    @_there
    def asymmetry(self) -> tuple[float, float]:
        """Largest ``|A - A^T|`` and largest ``|A|`` of a square matrix."""
        xp = self.xp
        if not self.nnz:
            return 0.0, 0.0
        mirror = self.T
        keys = [a.rows * self.shape[1] + xp.astype(a.indices, xp.int64) for a in (self, mirror)]
        order = xp.argsort(xp.concat(keys), stable=True)
        key = xp.take(xp.concat(keys), order, axis=0)
        values = [xp.astype(self.data, xp.float64), -xp.astype(mirror.data, xp.float64)]
        value = xp.take(xp.concat(values), order, axis=0)
        # A canonical matrix and its transpose have at most two values at one place: next to each other now.
        never = key[:1] != key[:1]
        paired = xp.concat([key[1:] == key[:-1], never])
        second = xp.concat([never, paired[:-1]])
        other = xp.concat([value[1:], xp.zeros_like(value[:1])])
        difference = xp.where(paired, value + other, xp.where(second, xp.zeros_like(value), value))
        return float(xp.max(xp.abs(difference))), float(xp.max(xp.abs(value)))


def _of_sorted(data: Array, rows: Array, cols: Array, *, shape: tuple[int, int], index_type: Any) -> DeviceCsr:
    """CSR of triplets that are in row-major order."""
    xp = array_api_compat.array_namespace(data)
    starts = xp.arange(shape[0] + 1, dtype=xp.int64, device=array_api_compat.device(data))
    indptr = xp.astype(xp.searchsorted(xp.astype(rows, xp.int64), starts), xp.int64)
    return DeviceCsr(data, xp.astype(cols, index_type), indptr, shape)
