"""How kernels see arrays: strides in elements, dtype names, grids."""

from typing import Any

from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import CsrWeights, DenseWeights

__all__ = [
    "contiguous",
    "csr_arguments",
    "csr_types",
    "dense_view",
    "dtype_name",
    "element_strides",
    "flat_grid",
    "run_flat",
]

BLOCK = 256
MAX_GRID_YZ = 65535
_BLOCKS_PER_MULTIPROCESSOR = 16


def dtype_name(array: Any) -> str:
    """Name of an array's dtype, e.g. ``"bfloat16"``."""
    return str(array.dtype.name)


def contiguous(array: Any) -> Any:
    """The same array with its elements side by side in row-major order, copied where they are not.

    ``reshape`` alone does not see to that: it gives a view wherever strides allow one.
    """
    return array if array.flags.c_contiguous else array.copy(order="C")


def element_strides(array: Any) -> tuple[int, ...]:
    """Strides counted in elements."""
    return tuple(int(stride) // int(array.dtype.itemsize) for stride in array.strides)


def flat_grid(launcher: Launcher, n_items: int, members: int) -> tuple[int, int, int]:
    """Grid (any, members, 1) for kernels that step through `n_items` whatever the number of thread blocks."""
    enough = max(1, _BLOCKS_PER_MULTIPROCESSOR * launcher.multiprocessors // max(members, 1))
    return min(-(-n_items // BLOCK), max(enough, 1)), members, 1


def run_flat(launcher: Launcher, kernel: Kernel, n_items: int, members: int, arguments: list[Any]) -> None:
    """Start a kernel over `n_items` of each member; nothing to do starts nothing."""
    if n_items and members:
        launcher.launch(kernel, flat_grid(launcher, n_items, members), BLOCK, arguments)


def dense_view(xp: Any, weights: DenseWeights, members: int) -> tuple[Any, int, int, bool]:
    """Weights with unit stride along their last axis: (values, member stride, row stride, transposed).

    Weights stored column by column are read along memory, as their transpose; what has neither order is copied.
    """
    values, transposed = weights.values, False
    if values.shape[2] > 1 and element_strides(values)[2] != 1:
        if values.shape[1] <= 1 or element_strides(values)[1] == 1:
            values, transposed = xp.matrix_transpose(values), True
        else:
            values = contiguous(values)
    member, row, _ = element_strides(values)
    return values, member if weights.n_members > 1 and members > 1 else 0, row, transposed


def csr_arguments(weights: CsrWeights) -> list[Any]:
    """Values, columns and row pointers with their member strides (0 where shared), and the number of rows."""
    out: list[Any] = []
    for array in (weights.values, weights.indices, weights.indptr):
        out += [array, int(array.shape[1]) if array.shape[0] > 1 else 0]
    return [*out, int(weights.shape[0])]


def csr_types(weights: CsrWeights, **more: str) -> tuple[tuple[str, str], ...]:
    """STORE and INDEX of a CSR block, and what else a kernel needs."""
    return (("STORE", dtype_name(weights.values)), ("INDEX", dtype_name(weights.indices)), *more.items())
