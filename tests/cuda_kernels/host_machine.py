"""The CUDA backend without a GPU: NumPy for CuPy, emulated kernels for compiled ones.

Its memory is counted, not held: a test may say how many bytes there are, and let a wave run out of them.
"""

from __future__ import annotations

import contextlib
from typing import Any

import array_api_compat.numpy
import numpy as np
import scipy.sparse as sp

from netspectra.kernels.cuda import CudaBackend


class HostMachine:
    """One emulated device; see ``netspectra.kernels.cuda.machine.Machine``."""

    xp: Any = array_api_compat.numpy

    def __init__(self, launcher: Any, *, name: str = "cuda:emulated", total: int = 80 << 30) -> None:
        self.launcher, self.name, self.model = launcher, name, "emulated GPU"
        self.total = self.free = total
        self.released = 0

    def scope(self) -> Any:
        return contextlib.nullcontext()

    def owns(self, array: Any) -> bool:
        return isinstance(array, np.ndarray)

    def adopt(self, array: Any) -> Any:
        return np.from_dlpack(array)

    def to_host(self, array: Any) -> Any:
        return np.array(array)

    def synchronize(self) -> None:
        """Nothing is queued."""

    def free_bytes(self) -> int:
        return self.free

    def total_bytes(self) -> int:
        return self.total

    def release(self) -> None:
        self.released += 1

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError) or "ALLOC_FAILED" in str(error)

    def csr_array(self, values: Any, rows: Any, cols: Any, shape: tuple[int, int]) -> Any:
        return sp.csr_array((values, (rows, cols)), shape=shape)


def emulated_backend(launcher: Any, **options: Any) -> CudaBackend:
    """CUDA backend on an emulated device."""
    dtype = options.pop("dtype", None)
    return CudaBackend(dtype=dtype, machine=HostMachine(launcher, **options))
