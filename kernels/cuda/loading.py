"""Blocks of graphs onto the device, stacked over members; what is there already is not copied for a single graph."""

from collections.abc import Callable
from typing import Any

from netspectra.kernels.cuda.layout import contiguous
from netspectra.kernels.triangle import strict_upper
from netspectra.kernels.weights import CsrWeights, DenseWeights

__all__ = ["load_csr", "load_dense"]


def load_dense(xp: Any, asarray: Callable[[Any], Any], members: list[Any], *, symmetric: bool) -> DenseWeights:
    """Stack dense blocks (m, n); of a symmetric one only the strict upper triangle is kept."""
    values = asarray(members[0])[None, :, :] if len(members) == 1 else xp.stack([asarray(W) for W in members])
    if symmetric:
        above = xp.arange(values.shape[1])[:, None] < xp.arange(values.shape[2])[None, :]
        bits = values.view(getattr(xp, f"uint{8 * values.dtype.itemsize}"))  # CuPy's where would widen bfloat16
        values = xp.where(above, bits, xp.zeros_like(bits)).view(values.dtype)
    return DenseWeights(values)


def load_csr(xp: Any, asarray: Callable[[Any], Any], members: list[Any], *, symmetric: bool) -> CsrWeights:
    """Stack CSR blocks, padded to the longest.

    `members` are SciPy's, or on the device: with ``data``, ``indices``, ``indptr``, ``shape`` and ``upper()``.
    """
    return _stacked(xp, strict_upper(members, symmetric=symmetric), asarray)


def _stacked(xp: Any, members: list[Any], asarray: Callable[[Any], Any]) -> CsrWeights:
    longest = max(int(W.data.shape[0]) for W in members)
    wide = any(str(W.indices.dtype) == "int64" for W in members)
    columns = []
    for name in ("data", "indices"):
        rows = []
        for W in members:
            array = contiguous(asarray(getattr(W, name)))
            if name == "indices":
                array = xp.astype(array, xp.int64 if wide else xp.int32, copy=False)
            missing = longest - int(array.shape[0])
            rows.append(xp.concat([array, xp.zeros((missing,), dtype=array.dtype)]) if missing else array)
        columns.append(rows[0][None, :] if len(rows) == 1 else xp.stack(rows))
    indptr = xp.stack([xp.astype(asarray(W.indptr), xp.int64) for W in members])
    shape: tuple[int, int] = members[0].shape
    return CsrWeights(columns[0], columns[1], indptr, shape)
