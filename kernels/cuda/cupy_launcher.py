"""Starting kernels on an NVIDIA GPU through CuPy, compiled at first use."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from netspectra.kernels.cuda.compiler import compiled_file
from netspectra.kernels.cuda.sources import Kernel

__all__ = ["CupyLauncher"]


ALL_SHARED = 100
"""Percentage of a multiprocessor's on-chip memory to use as shared memory rather than as cache."""


class CupyLauncher:
    """Launcher of one device; see :class:`netspectra.kernels.cuda.launcher.Launcher`.

    Parameters
    ----------
    cupy : module
    device : cupy.cuda.Device
    """

    def __init__(self, cupy: Any, device: Any) -> None:
        self._cupy, self._capability = cupy, str(device.compute_capability)
        self._modules: dict[str, Any] = {}
        self._functions: dict[Kernel, Any] = {}
        self._shared: dict[Kernel, int] = {}
        self.shared_limit = int(device.attributes["MaxSharedMemoryPerBlockOptin"])
        self.multiprocessors = int(device.attributes["MultiProcessorCount"])
        self.l2_bytes = int(device.attributes["L2CacheSize"])
        self.compile_seconds = 0.0

    def launch(
        self, kernel: Kernel, grid: tuple[int, int, int], block: int, arguments: Sequence[Any], shared: int = 0
    ) -> None:
        """Queue a kernel on the current stream."""
        if 0 in grid:
            return
        function = self._functions.get(kernel) or self._load(kernel)
        if shared > self._shared.get(kernel, 0):
            self._shared[kernel] = function.max_dynamic_shared_size_bytes = shared
            function.preferred_shared_memory_carveout = ALL_SHARED  # else fewer blocks may share a multiprocessor
        function(grid, (block, 1, 1), tuple(_as_argument(value) for value in arguments), shared_mem=shared)

    def _load(self, kernel: Kernel) -> Any:
        started = time.perf_counter()
        if kernel.source not in self._modules:
            path = compiled_file(self._cupy.cuda.nvrtc, kernel.source, self._capability)
            self._modules[kernel.source] = self._cupy.RawModule(path=str(path))
        function = self._functions[kernel] = self._modules[kernel.source].get_function(kernel.name)
        self.compile_seconds += time.perf_counter() - started
        return function


def _as_argument(value: Any) -> Any:
    """Arrays as they are, integers as int64, floats as float64."""
    if isinstance(value, int | np.integer):
        return np.int64(value)
    return np.float64(value) if isinstance(value, float | np.floating) else value
