"""Dtypes: in which weights are stored, whatever their library calls it, and in which they are computed."""

from typing import Any

import array_api_compat
import ml_dtypes
import numpy as np

from netspectra.errors import GraphError

__all__ = ["real_floats", "storage_dtype", "widest_dtype", "working_dtype"]

_FLOATS = tuple(np.dtype(t) for t in (ml_dtypes.bfloat16, np.float16, np.float32, np.float64))


def storage_dtype(array: Any) -> np.dtype[Any]:
    """NumPy's dtype of the same name as an array's own.

    Raises
    ------
    TypeError
        If NumPy has none.
    """
    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        return dtype
    name = str(dtype).rpartition(".")[2]
    return np.dtype(getattr(ml_dtypes, name, name))


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


def real_floats(array: Any, what: str) -> Any:
    """Return an array as it is if its dtype is a native float's, in float64 if it holds bool or integers.

    Raises
    ------
    GraphError
        If it holds anything else; `what` is how the message calls it.
    """
    try:
        dtype = storage_dtype(array)
    except TypeError:
        dtype = np.dtype(object)
    if dtype in _FLOATS:
        return array
    if dtype.newbyteorder("=") in _FLOATS:
        return array.astype(dtype.newbyteorder("="))
    if dtype.kind in "biu":
        xp = array_api_compat.array_namespace(array)
        return xp.astype(array, xp.float64)
    msg = (
        f"{what}: expected real numbers (float16, bfloat16, float32, float64, bool or integers), got dtype "
        f"{array.dtype}; convert it first, e.g. with .real or .astype('float32')"
    )
    raise GraphError(msg)
