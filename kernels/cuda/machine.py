"""What the backend needs of a device: an array namespace, a launcher, memory. :mod:`.cupy_machine` is the real one."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from netspectra.kernels.cuda.launcher import Launcher

__all__ = ["Machine"]


class Machine(Protocol):
    """One device. The tests stand NumPy and emulated kernels in for it.

    Attributes
    ----------
    xp : namespace
        Of the array-API standard, with NumPy's views (``array.view(dtype)``) and strides.
    launcher : Launcher
    name : str
        E.g. ``"cuda:0"``.
    model : str
        E.g. ``"NVIDIA H100 80GB HBM3"``.
    """

    xp: Any
    launcher: Launcher
    name: str
    model: str

    def scope(self) -> AbstractContextManager[Any]:
        """Context in which this device is the current one."""
        ...

    def owns(self, array: Any) -> bool:
        """Whether an array is of this namespace, on this device."""
        ...

    def adopt(self, array: Any) -> Any:
        """Array of this namespace over the memory of another library's array on this device (DLPack), or an error."""
        ...

    def to_host(self, array: Any) -> Any:
        """NumPy copy."""
        ...

    def synchronize(self) -> None:
        """Wait for what is queued."""
        ...

    def free_bytes(self) -> int:
        """Bytes that can be allocated now."""
        ...

    def total_bytes(self) -> int:
        """Bytes the device has."""
        ...

    def release(self) -> None:
        """Give cached memory back to the device."""
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an exception says that device memory ran out."""
        ...

    def csr_array(self, values: Any, rows: Any, cols: Any, shape: tuple[int, int]) -> Any:
        """Canonical sparse matrix of coordinate triplets, duplicates added."""
        ...
