"""An NVIDIA GPU through CuPy: arrays and memory."""

from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from netspectra.errors import BackendUnavailableError, GraphError
from netspectra.kernels.cuda.cupy_launcher import CupyLauncher
from netspectra.kernels.cuda.launcher import Launcher

__all__ = ["CupyMachine", "cuda_answers", "import_cupy"]

_INSTALL = "install it with pip install 'netspectra[cuda13]' (or [cuda12] for a CUDA 12 driver), or use backend='cpu'"
LIBRARIES = ("nvrtc", "cublas", "cusolver", "cusparse")
"""What CuPy's wheels do not carry: the extras bring it, and so does a CUDA toolkit."""
_OUT_OF_MEMORY = ("ALLOC_FAILED", "cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory")


def import_cupy() -> ModuleType:
    """Return CuPy, if it is installed and a device answers.

    Raises
    ------
    BackendUnavailableError
        Naming what to install.
    """
    try:
        import cupy
    except ImportError as error:
        msg = f"backend 'cuda': CuPy cannot be imported ({error}); {_INSTALL}"
        raise BackendUnavailableError(msg) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        msg = (
            f"backend 'cuda': CuPy is installed, but no CUDA device answers ({error}); check the driver with "
            "nvidia-smi, or use backend='cpu'"
        )
        raise BackendUnavailableError(msg) from error
    if count == 0:
        msg = "backend 'cuda': CuPy is installed, but this machine has no CUDA device; use backend='cpu'"
        raise BackendUnavailableError(msg)
    try:
        for library in LIBRARIES:
            import_module(f"cupy_backends.cuda.libs.{library}")
    except ImportError as error:
        msg = (
            f"backend 'cuda': a device answers, but CUDA's own libraries are missing ({error}); install them with pip "
            "install 'netspectra[cuda13]' (or [cuda12]), or the CUDA toolkit, or use backend='cpu'"
        )
        raise BackendUnavailableError(msg) from error
    return cupy  # type: ignore[no-any-return]


def cuda_answers() -> bool:
    """Whether the backend ``"cuda"`` can be used here."""
    try:
        import_cupy()
    except BackendUnavailableError:
        return False
    return True


class CupyMachine:
    """Device number `device`; see :class:`netspectra.kernels.cuda.machine.Machine`.

    Raises
    ------
    BackendUnavailableError
        If CuPy or the device is missing.
    GraphError
        If `device` is not the number of a device.
    """

    def __init__(self, device: int | None = None) -> None:
        self._cupy: Any = import_cupy()
        import array_api_compat.cupy

        self.xp: Any = array_api_compat.cupy
        number = self._cupy.cuda.Device().id if device is None else device
        count = self._cupy.cuda.runtime.getDeviceCount()
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < count:
            msg = f"device must be the number of a CUDA device (0 to {count - 1}) or None, got {device!r}"
            raise GraphError(msg)
        self._device = self._cupy.cuda.Device(int(number))
        self.name = f"cuda:{int(number)}"
        self.model = str(self._cupy.cuda.runtime.getDeviceProperties(int(number))["name"].decode())
        self.launcher: Launcher = CupyLauncher(self._cupy, self._device)

    def scope(self) -> AbstractContextManager[Any]:
        """The device as a context."""
        return self._device  # type: ignore[no-any-return]

    def owns(self, array: Any) -> bool:
        """Whether `array` is a CuPy array on this device."""
        return isinstance(array, self._cupy.ndarray) and array.device == self._device

    def adopt(self, array: Any) -> Any:
        """The same memory as a CuPy array; GraphError where it is on another device."""
        found = array if isinstance(array, self._cupy.ndarray) else self._cupy.from_dlpack(array)
        if found.device != self._device:
            msg = f"an array is on CUDA device {found.device.id}, the backend on {self.name}; use one device for both"
            raise GraphError(msg)
        return found

    def to_host(self, array: Any) -> Any:
        """NumPy copy."""
        return self._cupy.asnumpy(array)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        with self._device:
            self._cupy.cuda.get_current_stream().synchronize()

    def free_bytes(self) -> int:
        """Free on the device, or cached by CuPy."""
        with self._device:
            free, _ = self._cupy.cuda.runtime.memGetInfo()
            return int(free) + int(self._cupy.get_default_memory_pool().free_bytes())

    def total_bytes(self) -> int:
        """Memory of the device."""
        with self._device:
            return int(self._cupy.cuda.runtime.memGetInfo()[1])

    def release(self) -> None:
        """Give CuPy's cached blocks back."""
        with self._device:
            self._cupy.get_default_memory_pool().free_all_blocks()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether CuPy, cuBLAS, cuSOLVER or the driver say so."""
        return isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)

    def csr_array(self, values: Any, rows: Any, cols: Any, shape: tuple[int, int]) -> Any:
        """``cupyx.scipy.sparse.csr_matrix``."""
        from cupyx.scipy import sparse

        matrix = sparse.coo_matrix((values, (rows, cols)), shape=shape).tocsr()
        matrix.sum_duplicates()
        return matrix
