"""Tensors and a backend's arrays: the same memory under two names, never a move between host and device."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from netspectra.errors import GraphError
from netspectra.graph.device import HOST, cuda_backend
from netspectra.kernels import Backend, get_backend

__all__ = ["device_scope", "from_backend", "machine_of", "require_alike", "to_backend"]

SMALL = 1 << 20
"""Weights of a network up to which BLAS is left as it is."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def require_alike(tensors: Sequence[Any]) -> None:
    """Refuse an empty list, what is no dense floating tensor, and tensors of several devices or dtypes.

    Raises
    ------
    GraphError
        Naming the first that does not fit, and what to do.
    """
    if not tensors:
        msg = "weights must hold the weight of at least one layer, got an empty list"
        raise GraphError(msg)
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, torch.Tensor):
            hint = "; pass its .weight" if isinstance(tensor, torch.nn.Module) else ""
            msg = f"weights[{i}]: expected a tensor, got {type(tensor).__name__}{hint}"
            raise GraphError(msg)
        if tensor.layout != torch.strided or tensor.dtype not in _FLOATS:
            msg = f"weights[{i}]: expected a dense tensor of real floats, got {tensor.dtype} in layout {tensor.layout}"
            raise GraphError(msg)
        for what in ("device", "dtype"):
            first, here = getattr(tensors[0], what), getattr(tensor, what)
            if here != first:
                msg = f"weights must share one {what}: weights[0] has {first}, weights[{i}] has {here}; convert one"
                raise GraphError(msg)


def machine_of(tensor: torch.Tensor, backend: Any) -> Backend:
    """Backend that works where a tensor is: ``"cpu"`` or ``"cuda"`` for ``"auto"``, else the one asked for.

    Raises
    ------
    GraphError
        If the backend asked for works elsewhere, or none works there.
    BackendUnavailableError
        If the backend of that device cannot work here; the message names what to install.
    """
    device = tensor.device
    if device.type not in ("cpu", "cuda"):
        msg = f"weights are on {device}, where no backend works; move the layers to the CPU or to a CUDA device"
        raise GraphError(msg)
    if device.type == "cuda" and isinstance(backend, str) and backend in ("auto", "cuda"):
        return cuda_backend(f"cuda:{torch.cuda.current_device() if device.index is None else device.index}")
    machine = get_backend("cpu" if isinstance(backend, str) and backend == "auto" else backend)
    if machine.device != str(device):
        msg = f"weights are on {device}, but backend {machine.name!r} works on {machine.device}; use backend='auto'"
        raise GraphError(msg)
    return machine


def device_scope(backend: Backend, n_weights: int = 0) -> AbstractContextManager[None]:
    """A backend's session; nothing on the host where a network is small, or no BLAS is called.

    A session on the host holds BLAS to one thread, which took 40 microseconds of a training step. The matrices of a
    small network's penalty are too small for BLAS to share them out anyway.
    """
    return nullcontext() if backend.device == HOST and n_weights <= SMALL else backend.session()


def to_backend(backend: Backend, tensor: torch.Tensor) -> Any:
    """A tensor's values as an array of the backend on its device: its own memory; 16-bit floats widened to float32."""
    plain = tensor.detach()
    if plain.dtype in (torch.float16, torch.bfloat16):
        plain = plain.float()
    return backend.asarray(plain.numpy() if plain.is_cpu else plain)


def from_backend(array: Any) -> torch.Tensor:
    """A backend's array as a tensor on its device: the same memory."""
    if isinstance(array, np.ndarray | np.generic):
        return torch.from_numpy(np.asarray(array))
    return torch.from_dlpack(array)
