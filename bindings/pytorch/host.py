"""Parameters as weights: views of a module's memory on the host, in their own dtype."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch

from netspectra.errors import GraphError
from netspectra.networks import Weight

__all__ = ["host_array", "host_weight"]


def host_weight(read: Callable[[], Any], shape: tuple[int, ...], dtype: Any, key: str) -> Weight:
    """Weight of a tensor that `read` returns: read when asked for, not before."""
    return Weight(tuple(shape), _numpy_dtype(dtype, key), lambda: host_array(read(), key), key)


def host_array(tensor: Any, key: str) -> Any:
    """Values of a tensor as a NumPy array: its own memory on the CPU, a copy in its own dtype from elsewhere.

    Raises
    ------
    GraphError
        If it is sparse, quantised, or on the meta device, and so holds no such values.
    """
    tensor = tensor.detach()
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        msg = (
            f"{key}: expected a dense tensor with values, got {tensor.dtype} in layout {tensor.layout} on "
            f"{tensor.device}; materialise, densify or dequantise the module first"
        )
        raise GraphError(msg)
    dtype = _numpy_dtype(tensor.dtype, key)
    tensor = tensor.cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy knows none, so its bits travel as integers of the same width
        return tensor.view(torch.int16).numpy().view(dtype)
    return tensor.numpy()


def _numpy_dtype(dtype: Any, key: str) -> np.dtype[Any]:
    name = str(dtype).rpartition(".")[2]
    kind = ml_dtypes.bfloat16 if name == "bfloat16" else getattr(np, name, None)
    if kind is None:
        msg = f"{key}: expected float16, bfloat16, float32 or float64, got {dtype}; convert the module first"
        raise GraphError(msg)
    found: np.dtype[Any] = np.dtype(kind)
    return found
