"""Where arrays are: nothing moves between host and device unasked."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import array_api_compat
import numpy as np

from netspectra.kernels import Backend, get_backend

__all__ = ["HOST", "cuda_backend", "current_device", "device_of"]

HOST = "cpu"
_HOST_KINDS = (1, 3, 11)  # of DLPack: CPU, and what CUDA and ROCm have pinned in host memory
_CUDA_KINDS = (2, 13)  # CUDA, and what it manages itself


def device_of(array: Any) -> str:
    """Return where an array's memory is: ``"cpu"``, ``"cuda:0"``, or what its library calls the device.

    Anything that is no array of the array-API standard and has no ``__dlpack_device__`` is on the host.
    """
    if isinstance(array, np.ndarray):
        return HOST
    own = str(array_api_compat.device(array)) if array_api_compat.is_array_api_obj(array) else ""
    kind, index = array.__dlpack_device__() if hasattr(array, "__dlpack_device__") else (_HOST_KINDS[0], 0)
    if kind in _CUDA_KINDS:
        return f"cuda:{int(index)}"
    if kind in _HOST_KINDS and (not own or "cpu" in own.lower()):
        return HOST
    return own or f"DLPack device ({int(kind)}, {int(index)})"


def current_device(array: Any) -> AbstractContextManager[Any]:
    """Context in which an array's device is the one its library works on, where the library has such a notion."""
    device = getattr(array, "device", None)
    return device if isinstance(device, AbstractContextManager) else nullcontext()


@cache
def cuda_backend(device: str) -> Backend:
    """Return the CUDA backend of a device, ``"cuda:0"`` …: one each, for it keeps its compiled kernels.

    Raises
    ------
    BackendUnavailableError
        If it cannot work here.
    """
    return get_backend("cuda", device=int(device.removeprefix("cuda:")))
