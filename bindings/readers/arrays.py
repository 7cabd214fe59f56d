"""Arrays of any library on the host as tensors that are read on request, bfloat16 included."""

import math
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.bindings.readers.tensors import Array, Tensor
from netspectra.errors import GraphError
from netspectra.graph.dtypes import storage_dtype
from netspectra.networks import Weight

__all__ = ["tensor_from"]


def tensor_from(name: str, value: Any) -> Tensor:
    """Return an array or a weight as a tensor of that name; nothing is copied before it is read.

    Raises
    ------
    GraphError
        If it has no shape and dtype.
    """
    if isinstance(value, Weight):
        return _tensor(name, value.shape, value.dtype, value.read)
    if isinstance(value, int | float | bool | list | tuple):
        value = np.asarray(value)
    try:
        shape = tuple(int(side) for side in value.shape)
        dtype: Any = storage_dtype(value)
    except (AttributeError, TypeError, ValueError) as error:
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return Tensor(name, tuple(value.shape), str(value.dtype), None, 0, lambda: host_array(value))
        msg = f"tensor {name!r}: expected an array, got {type(value).__name__}"
        raise GraphError(msg) from error
    return _tensor(name, shape, dtype, lambda: host_array(value))


def host_array(value: Any) -> Array:
    """Return a NumPy array of a host array's memory where it can be shared.

    Raises
    ------
    GraphError
        If the array cannot be brought to the host.
    """
    if hasattr(value, "detach"):
        value = value.detach()
        if str(value.dtype) == "torch.bfloat16":
            int16 = value.new_empty(0).short().dtype  # PyTorch's own, without importing it here
            return np.asarray(value.view(int16)).view(ml_dtypes.bfloat16)
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"expected an array on the host, got {type(value).__name__} ({error}); copy it to the host first"
        raise GraphError(msg) from error


def _tensor(name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]", read: Any) -> Tensor:
    known = dtype == ml_dtypes.bfloat16 or dtype.kind in "biuf"
    stored = dtype.name
    return Tensor(name, shape, stored, dtype if known else None, math.prod(shape) * dtype.itemsize, read)
