"""Weights as given: any array a caller may have becomes a read-only NumPy view or a canonical CSR array, uncopied.

float16, bfloat16, float32 and float64 are kept as they are; bool and integers become float64; complex and object are
errors (design: "Dtypes").
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError

__all__ = ["PANEL_ELEMENTS", "Weights", "as_weights", "row_panels", "widest_dtype", "working_dtype"]

Weights: TypeAlias = np.ndarray[Any, Any] | sp.csr_array

PANEL_ELEMENTS = 1 << 20
"""Elements of a dense block read at a time wherever something must be derived from it (4 MB in float32)."""

_FLOATS = tuple(np.dtype(t) for t in (ml_dtypes.bfloat16, np.float16, np.float32, np.float64))


def as_weights(weights: object, what: str, *, keep_zeros: bool = False, copy: bool = False) -> Weights:
    """Return `weights` as a read-only 2-D NumPy array (a view where possible) or a canonical CSR array.

    Parameters
    ----------
    weights : array_like, sparse array or matrix, or object with ``__dlpack__``
        Shape (n_source, n_target).
    what : str
        How an error message calls it.
    keep_zeros : bool, default False
        Keep the explicit zeros of a sparse array: its pattern is then a support.
    copy : bool, default False
        Copy even where a view would do.

    Raises
    ------
    GraphError
        If it is not a 2-D array of finite real numbers.
    """
    if sp.issparse(weights):
        return _canonical_csr(weights, what, keep_zeros=keep_zeros, copy=copy)
    array = _to_numpy(weights, what)
    if array.ndim != 2:
        msg = f"{what}: expected a 2-D array (n_source, n_target), got {array.ndim} dimension(s), shape {array.shape}"
        raise GraphError(msg)
    array = _real_floats(array, what)
    view = array.copy() if copy else array.view()
    view.flags.writeable = False
    for rows in row_panels(view):
        _require_finite(view[rows], what)
    return view


def row_panels(array: np.ndarray[Any, Any]) -> Iterator[slice]:
    """Slices of rows, each about :data:`PANEL_ELEMENTS` elements, that cover a 2-D array in order."""
    n_rows, n_cols = array.shape
    height = max(1, PANEL_ELEMENTS // max(1, n_cols))
    for start in range(0, n_rows, height):
        yield slice(start, min(start + height, n_rows))


def widest_dtype(dtypes: "list[np.dtype[Any]]") -> np.dtype[Any]:
    """Return the widest of several storage dtypes (float16 beside bfloat16 gives float32)."""
    distinct = set(dtypes)
    if len(distinct) == 1:
        return distinct.pop()
    if any(d == np.float64 for d in distinct):
        return np.dtype(np.float64)
    return np.dtype(np.float32)


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype in which weights stored as `dtype` are computed: float64 stays, everything narrower becomes float32."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _to_numpy(weights: Any, what: str) -> np.ndarray[Any, Any]:
    if np.ma.is_masked(weights):
        msg = f"{what}: some entries are masked; say what they are worth first, e.g. with .filled(0)"
        raise GraphError(msg)
    try:
        if hasattr(weights, "__dlpack__") and not hasattr(weights, "__array_interface__"):
            return _from_dlpack(weights)
        return np.asarray(weights)
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        msg = f"{what}: cannot be read as an array ({type(weights).__name__}): {error}"
        raise GraphError(msg) from error


def _from_dlpack(weights: Any) -> np.ndarray[Any, Any]:
    try:
        return np.from_dlpack(weights.detach() if hasattr(weights, "detach") else weights)
    except (BufferError, TypeError, RuntimeError):
        if not hasattr(weights, "__array__"):
            raise
        return np.asarray(weights)  # a dtype that NumPy's DLPack does not know, as JAX's bfloat16


def _real_floats(array: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    if array.dtype in _FLOATS:
        return array
    if array.dtype.newbyteorder("=") in _FLOATS:
        return array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    msg = (
        f"{what}: expected real numbers (float16, bfloat16, float32, float64, bool or integers), got dtype "
        f"{array.dtype}; convert it first, e.g. with .real or .astype('float32')"
    )
    raise GraphError(msg)


def _canonical_csr(weights: Any, what: str, *, keep_zeros: bool, copy: bool) -> sp.csr_array:
    if weights.ndim != 2:
        msg = f"{what}: expected a 2-D sparse array (n_source, n_target), got shape {weights.shape}"
        raise GraphError(msg)
    source = weights.tocsr()
    data = _real_floats(np.asarray(source.data), what)
    try:
        csr = sp.csr_array((data, source.indices, source.indptr), shape=source.shape, copy=copy)
        csr.check_format(full_check=True)  # an index out of range would be read as memory
    except ValueError as error:
        msg = f"{what}: not a valid sparse array ({error}); build it again"
        raise GraphError(msg) from error
    if not csr.has_canonical_format or (not keep_zeros and not np.all(csr.data)):
        csr = csr.copy()
        csr.sum_duplicates()
        if not keep_zeros:
            csr.eliminate_zeros()
    _require_finite(csr.data, what)
    for part in ("data", "indices", "indptr"):
        view = getattr(csr, part).view()
        view.flags.writeable = False
        setattr(csr, part, view)
    return csr


def _require_finite(values: np.ndarray[Any, Any], what: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        bad = values[~finite]
        msg = (
            f"{what}: weights must be finite, got {bad.size} NaN or infinite value(s), the first {bad.flat[0]}; "
            "check the checkpoint (diverged training?) or replace them"
        )
        raise GraphError(msg)
