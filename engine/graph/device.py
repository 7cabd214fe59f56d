"""Where arrays are, and which machine a call on them takes: nothing moves between host and device unasked."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np

from netspectra.errors import GraphError
from netspectra.kernels import Backend, get_backend

if TYPE_CHECKING:
    from netspectra.graph.layer_graph import LayerGraph

__all__ = ["HOST", "backend_for", "cuda_backend", "current_device", "device_of"]

HOST = "cpu"
_HOST_KINDS = (1, 3, 11)  # of DLPack: CPU, and what CUDA and ROCm have pinned in host memory
_CUDA_KINDS = (2, 13)  # CUDA, and what it manages itself
_TO_HOST = "e.g. w.get() of CuPy, w.cpu() of PyTorch"


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


def backend_for(graphs: "LayerGraph | Sequence[LayerGraph]", backend: Any = "auto") -> Backend:
    """Return the backend of a call on `graphs`, by name or as it is, and see to it that it works where they are.

    Parameters
    ----------
    graphs : LayerGraph or sequence of LayerGraph
        On the host: any backend will do. On a CUDA device: ``"auto"`` and ``"cuda"`` mean the CUDA backend of that
        device.
    backend : str or Backend

    Raises
    ------
    GraphError
        If the graphs are on several devices, or on one that the backend does not work on.
    BackendUnavailableError
        If that backend exists but cannot work here.
    """
    device = _shared_device(list(graphs) if isinstance(graphs, Sequence) else [graphs])
    if device == HOST:
        return get_backend(backend)
    on_cuda = device.startswith("cuda:")
    named = isinstance(backend, str)
    if named and backend in ("auto", "cuda") and on_cuda:
        return cuda_backend(device)
    if named and backend == "auto":
        msg = (
            f"weights are on {device}, where no backend of netspectra works by itself; copy them to the host first "
            f"({_TO_HOST}), or pass the backend object of that device"
        )
        raise GraphError(msg)
    machine = get_backend(backend)
    if machine.device != device:
        instead = ", or use backend='cuda'" if on_cuda else ""
        msg = (
            f"weights are on {device}, but backend {machine.name!r} works on {machine.device}; copy them to the host "
            f"first ({_TO_HOST}){instead}"
        )
        raise GraphError(msg)
    return machine


@cache
def cuda_backend(device: str) -> Backend:
    """Return the CUDA backend of a device, ``"cuda:0"`` …: one each, for it keeps its compiled kernels.

    Raises
    ------
    BackendUnavailableError
        If it cannot work here.
    """
    return get_backend("cuda", device=int(device.removeprefix("cuda:")))


def _shared_device(graphs: "Sequence[LayerGraph]") -> str:
    devices = [graph.device for graph in graphs]
    for number, device in enumerate(devices):
        if device != devices[0]:
            msg = (
                f"graphs of one call must be on one device: graph 0 is on {devices[0]}, graph {number} on {device}; "
                f"copy them to one device first ({_TO_HOST}), or solve them one by one"
            )
            raise GraphError(msg)
    return devices[0] if devices else HOST
