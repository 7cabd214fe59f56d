"""Arrays of weights on whatever library they came with: admitted, widened to compute with, given back in their dtype.

Only shapes and dtypes are looked at, never values, so that everything built on this file can be traced by ``jax.jit``
and differentiated by a framework's own autograd.
"""

from typing import Any

import array_api_compat
import ml_dtypes
import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.device import current_device
from netspectra.graph.dtypes import storage_dtype, working_dtype

__all__ = ["as_array", "back_in_dtype", "beside", "require_one_library", "widened"]

_FLOATS = tuple(np.dtype(t) for t in (ml_dtypes.bfloat16, np.float16, np.float32, np.float64))


def as_array(values: Any, what: str) -> Any:
    """Return an array of the caller's own library; anything else (nested lists) becomes NumPy's.

    Raises
    ------
    GraphError
        If it is no array, or holds anything but real floats and integers; `what` is how the message calls it.
    """
    if not array_api_compat.is_array_api_obj(values):
        try:
            values = np.asarray(values)
        except (TypeError, ValueError) as error:
            msg = f"{what}: cannot be read as an array ({type(values).__name__}): {error}"
            raise GraphError(msg) from error
    dtype = _native_dtype(values)
    if dtype not in _FLOATS and dtype.kind not in "iu":
        msg = (
            f"{what}: expected real numbers (float16, bfloat16, float32, float64 or integers), got dtype "
            f"{values.dtype}; convert it first, e.g. with .real or .astype('float32')"
        )
        raise GraphError(msg)
    return values


def require_one_library(array: Any, other: Any, what: str, beside_what: str) -> None:
    """Refuse arrays of two libraries; `what` is how the message calls the first."""
    try:
        array_api_compat.array_namespace(array, other)
    except TypeError as error:
        msg = (
            f"{what}: expected an array of the same library as {beside_what} ({type(other).__name__}), got "
            f"{type(array).__name__}; convert one of them first"
        )
        raise GraphError(msg) from error


def widened(array: Any) -> Any:
    """Return an admitted array in the dtype it is computed in: 16-bit floats in float32, integers in float64.

    JAX without x64 has no float64; there integers become float32.
    """
    xp, dtype = array_api_compat.array_namespace(array), _native_dtype(array)
    if dtype in _FLOATS:
        wide = working_dtype(dtype).name
    else:
        known = xp.__array_namespace_info__().dtypes(kind="real floating")
        wide = "float64" if "float64" in known else "float32"
    return xp.astype(array, getattr(xp, wide), copy=False)


def back_in_dtype(result: Any, array: Any) -> Any:
    """Return a result in an admitted array's own floating dtype; where that array holds integers, as it is."""
    if result.dtype == array.dtype:
        return result
    if _native_dtype(array) not in _FLOATS:
        return result
    return array_api_compat.array_namespace(result).astype(result, array.dtype, copy=False)


def beside(host: "np.ndarray[Any, Any]", array: Any) -> Any:
    """Return a small host array on another array's library and device."""
    if isinstance(array, np.ndarray):
        return host
    xp = array_api_compat.array_namespace(array)
    if array_api_compat.is_jax_namespace(xp):  # follows what it meets; a traced array has no device to name
        return xp.asarray(host)
    with current_device(array):
        return xp.asarray(host, device=array_api_compat.device(array))


def _native_dtype(array: Any) -> np.dtype[Any]:
    """NumPy's dtype of the same name in this machine's byte order; that of objects where there is none."""
    try:
        dtype = storage_dtype(array)
    except TypeError:
        return np.dtype(object)
    return dtype if dtype in _FLOATS else dtype.newbyteorder("=")
