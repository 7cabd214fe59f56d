"""The symmetric block product on the device: panels and slabs of ``products.cu``, CSR halves of ``csr.cu``.

How the work is cut depends on the shape of the block and on the device alone, never on the number of members, and
partial results are added in a fixed order.
"""

from typing import Any

from netspectra.kernels.cuda.csr import csr_product, transposed
from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import contiguous, dense_view, dtype_name, element_strides
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["block_product"]

TILE, THREADS = 64, 256
WIDTHS = (4, 8, 16, 24, 32)
LARGEST_PANEL, SMALLEST_PANEL = 512, 128
PANELS_WANTED = 256
"""Panels of a large block: about two for each multiprocessor of an H100."""


def block_product(
    xp: Any, launcher: Launcher, weights: BlockWeights, x_source: Any, x_target: Any
) -> tuple[Any | None, Any | None]:
    """``(|W| x_target, |W|^T x_source)`` per member; see :class:`netspectra.kernels.backend.Backend`."""
    if x_source is None and x_target is None:
        return None, None
    if isinstance(weights, CsrWeights):
        y_source = None if x_target is None else csr_product(xp, launcher, weights, x_target)
        if x_source is None:
            return y_source, None
        return y_source, csr_product(xp, launcher, transposed(xp, launcher, weights), x_source)
    return _dense_product(xp, launcher, weights, x_source, x_target)


def _dense_product(
    xp: Any, launcher: Launcher, weights: DenseWeights, x_source: Any, x_target: Any
) -> tuple[Any | None, Any | None]:
    x = x_target if x_target is not None else x_source
    members, c = int(x.shape[0]), int(x.shape[2])
    W, member_stride, row_stride, swapped = dense_view(xp, weights, members)
    if swapped:
        x_source, x_target = x_target, x_source
    view = (W, member_stride, row_stride, int(W.shape[1]), int(W.shape[2]))
    step = max(width for width in WIDTHS if _shared_bytes(TILE, width, int(x.dtype.itemsize)) <= launcher.shared_limit)
    slabs = [(first, min(first + step, c)) for first in range(0, c, step)]
    parts = [_slab(xp, launcher, view, _columns(x_source, *slab), _columns(x_target, *slab)) for slab in slabs]
    y_source, y_target = (None if half[0] is None else _side_by_side(xp, half) for half in zip(*parts, strict=True))
    return (y_target, y_source) if swapped else (y_source, y_target)


def _slab(
    xp: Any, launcher: Launcher, view: tuple[Any, int, int, int, int], x_source: Any, x_target: Any
) -> tuple[Any | None, Any | None]:
    """As many vectors as one pass over W has room for."""
    W, member_stride, row_stride, m, n = view
    x = x_target if x_target is not None else x_source
    members, c = int(x.shape[0]), int(x.shape[2])
    width = next(w for w in WIDTHS if w >= c)
    item = int(x.dtype.itemsize)
    rows, cols = _panels(launcher, m, n, width, item)
    across, down = -(-n // cols), -(-m // rows)
    none = xp.empty((1,), dtype=x.dtype)
    y_source = none if x_target is None else xp.empty((across, members, m, c), dtype=x.dtype)
    y_target = none if x_source is None else xp.empty((down, members, n, c), dtype=x.dtype)
    types = (("STORE", dtype_name(W)), ("WORK", dtype_name(x)), ("WIDTH", str(width)))
    arguments = [W, member_stride, row_stride, m, n, *_vectors(x_source, none), *_vectors(x_target, none)]
    arguments += [y_source, y_target, c, rows, cols, across]
    kernel, shared = Kernel("products.cu", "block_product", types), _shared_bytes(rows, width, item)
    launcher.launch(kernel, (across * down, 1, members), THREADS, arguments, shared)
    return (
        None if x_target is None else _added(xp, y_source),
        None if x_source is None else _added(xp, y_target),
    )


def _panels(launcher: Launcher, m: int, n: int, width: int, item: int) -> tuple[int, int]:
    """Height and width of a panel: about :data:`PANELS_WANTED` of them, and sums over rows that fit on chip."""
    side = min(max(SMALLEST_PANEL, int((m * n / PANELS_WANTED) ** 0.5)), LARGEST_PANEL)
    side = -(-side // TILE) * TILE
    room = (launcher.shared_limit - _shared_bytes(0, width, item)) // (item * width)
    return min(side, room // TILE * TILE), side


def _shared_bytes(panel_rows: int, width: int, item: int) -> int:
    """A tile, the vectors beside and below it, and the sums over the rows of a panel."""
    return item * (TILE * (TILE + 1) + 2 * TILE * width + panel_rows * width)


def _vectors(x: Any, none: Any) -> list[Any]:
    """Pointer, strides of members and rows, and whether there are any."""
    if x is None:
        return [none, 0, 0, 0]
    member, row, _ = element_strides(x)
    return [x, member, row, 1]


def _columns(x: Any, first: int, last: int) -> Any:
    """Vectors `first` to `last`, with unit stride along them."""
    if x is None:
        return None
    if int(x.shape[2]) > 1 and element_strides(x)[2] != 1:
        x = contiguous(x)
    return x[:, :, first:last]


def _side_by_side(xp: Any, parts: "tuple[Any, ...]") -> Any:
    return parts[0] if len(parts) == 1 else xp.concat(list(parts), axis=2)


def _added(xp: Any, partial: Any) -> Any:
    """Partial results (P, B, rows, c), added in order."""
    return partial[0, ...] if partial.shape[0] == 1 else xp.sum(partial, axis=0)
