"""Which machine a call on graphs takes: the one that works where their weights are."""

from collections.abc import Sequence
from typing import Any

from netspectra.errors import GraphError
from netspectra.graph.device import HOST, cuda_backend
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels import Backend, get_backend

__all__ = ["backend_for"]

_TO_HOST = "e.g. w.get() of CuPy, w.cpu() of PyTorch"


def backend_for(graphs: LayerGraph | Sequence[LayerGraph], backend: Any = "auto") -> Backend:
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


def _shared_device(graphs: Sequence[LayerGraph]) -> str:
    devices = [graph.device for graph in graphs]
    for number, device in enumerate(devices):
        if device != devices[0]:
            msg = (
                f"graphs of one call must be on one device: graph 0 is on {devices[0]}, graph {number} on {device}; "
                f"copy them to one device first ({_TO_HOST}), or solve them one by one"
            )
            raise GraphError(msg)
    return devices[0] if devices else HOST
