"""CSR blocks on the device: products, and the transposed pattern that makes their order fixed. See ``csr.cu``."""

from typing import Any

from netspectra.kernels.cuda.launcher import WARP, Launcher
from netspectra.kernels.cuda.layout import contiguous, csr_arguments, csr_types, dtype_name, element_strides, run_flat
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import CsrWeights

__all__ = ["csr_product", "transposed"]


def csr_product(xp: Any, launcher: Launcher, weights: CsrWeights, x: Any) -> Any:
    """``|CSR| x`` per member, (B, m, c)."""
    (members, _, c), m = x.shape, weights.shape[0]
    if int(c) > 1 and element_strides(x)[2] != 1:
        x = contiguous(x)
    y = xp.empty((members, m, c), dtype=x.dtype)
    lanes = min(WARP, 1 << max(int(c) - 1, 0).bit_length())
    kernel = Kernel("csr.cu", "csr_product", csr_types(weights, WORK=dtype_name(x)))
    member, row, _ = element_strides(x)
    run_flat(launcher, kernel, m * lanes, int(members), [*csr_arguments(weights), x, member, row, y, int(c), lanes])
    return y


def transposed(xp: Any, launcher: Launcher, weights: CsrWeights) -> CsrWeights:
    """The same block by columns; made once and kept with the weights (it doubles what they take)."""
    kept: CsrWeights | None = weights.derived.get("transposed")
    if kept is None:
        kept = weights.derived["transposed"] = _transpose(xp, launcher, weights)
    return kept


def _transpose(xp: Any, launcher: Launcher, weights: CsrWeights) -> CsrWeights:
    (m, n), n_stored = weights.shape, int(weights.indices.shape[1])
    patterns = int(weights.indices.shape[0])
    if n_stored == 0:
        empty = xp.zeros((patterns, n + 1), dtype=xp.int64)
        return CsrWeights(weights.values, weights.indices, empty, (n, m))
    rows = xp.empty((patterns, n_stored), dtype=weights.indices.dtype)
    kernel = Kernel("csr.cu", "csr_rows", csr_types(weights, WORK="float32"))
    run_flat(launcher, kernel, (m + 1) * WARP, patterns, [weights.indptr, m, n_stored, rows])
    order, indptr = _by_column(xp, weights.indices, rows, m, n)
    indices = xp.reshape(xp.take(xp.reshape(rows, (-1,)), order, axis=0), (patterns, n_stored))
    if patterns == weights.n_members:
        values = xp.reshape(xp.take(xp.reshape(weights.values, (-1,)), order, axis=0), weights.values.shape)
    else:
        values = xp.take(weights.values, order, axis=1)
    return CsrWeights(values, indices, indptr, (n, m))


def _by_column(xp: Any, cols: Any, rows: Any, m: int, n: int) -> tuple[Any, Any]:
    """Flat order of the stored values (patterns, n_stored) by (column, row), unused ones last; and column pointers.

    All patterns are sorted at once, each in a range of keys of its own.
    """
    patterns, n_stored = (int(length) for length in cols.shape)
    pattern = xp.arange(patterns, dtype=xp.int64)[:, None]
    used = xp.where(rows < m, xp.astype(cols, xp.int64), xp.full_like(cols, n, dtype=xp.int64))
    keys = xp.reshape(used + pattern * (n + 1), (-1,))
    order = xp.argsort(keys, stable=True)
    columns = xp.arange(n + 1, dtype=xp.int64)[None, :] + pattern * (n + 1)
    begin = xp.searchsorted(xp.take(keys, order, axis=0), xp.reshape(columns, (-1,)))
    return order, xp.reshape(xp.astype(begin, xp.int64), (patterns, n + 1)) - pattern * n_stored
