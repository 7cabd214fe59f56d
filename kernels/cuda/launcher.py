"""Starting kernels: the small interface between the backend and whatever compiles and runs CUDA C++."""

from collections.abc import Sequence
from typing import Any, Protocol

from netspectra.kernels.cuda.sources import Kernel

__all__ = ["WARP", "Launcher"]

WARP = 32


class Launcher(Protocol):
    """Compiles kernels at first use and starts them on one device.

    Attributes
    ----------
    shared_limit : int
        Bytes of shared memory that one thread block may take.
    multiprocessors : int
    l2_bytes : int
        Size of the second-level cache.
    compile_seconds : float
        Spent on compiling so far.
    """

    shared_limit: int
    multiprocessors: int
    l2_bytes: int
    compile_seconds: float

    def launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: int,
        arguments: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Queue one kernel.

        Parameters
        ----------
        kernel : Kernel
        grid : tuple of 3 int
            Thread blocks; none is started if one of them is 0.
        block : int
            Threads of a block, a multiple of 32.
        arguments : sequence
            Arrays (their first element is pointed at, whatever their strides), integers (int64) and floats (float64).
        shared : int
            Bytes of dynamic shared memory.
        """
        ...
