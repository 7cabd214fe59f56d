"""Keyed normal numbers and resampled weights on the device: see ``draws.cu``."""

from typing import Any

from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import contiguous, dtype_name, run_flat
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["resample_nonzero", "standard_normals"]


def standard_normals(xp: Any, launcher: Launcher, keys: Any, shape: tuple[int, int], dtype: Any) -> Any:
    """Keyed standard normals (B, *shape), element number row-major."""
    members, count = len(keys), shape[0] * shape[1]
    out = xp.empty((members, *shape), dtype=dtype)
    kernel = Kernel("draws.cu", "standard_normals", _types("float32", dtype_name(out)))
    run_flat(launcher, kernel, count, members, [xp.asarray(keys), count, out])
    return out


def resample_nonzero(
    xp: Any, launcher: Launcher, weights: BlockWeights, index_keys: Any, noise_keys: Any, bandwidth: float
) -> BlockWeights:
    """Replace the r-th non-zero (row-major) by ``|w_j + bandwidth z|`` with j and z keyed by r."""
    given, members = weights.n_members, len(index_keys)
    values = contiguous(xp.reshape(weights.values, (given, -1)))
    count, store = int(values.shape[1]), dtype_name(values)
    work = "float64" if store == "float64" else "float32"
    out = xp.zeros((members, count), dtype=getattr(xp, work))
    if count:
        marks = xp.empty((given, count), dtype=xp.int64)
        types = _types(store, work)
        run_flat(launcher, Kernel("draws.cu", "mark_nonzero", types), count, given, [values, count, marks])
        ranks = xp.cumulative_sum(marks, axis=1)
        packed = xp.zeros((given, count), dtype=out.dtype)
        run_flat(launcher, Kernel("draws.cu", "pack_nonzero", types), count, given, [values, ranks, count, packed])
        shared = int(given == 1)
        keys = [xp.asarray(index_keys), xp.asarray(noise_keys)]
        arguments = [ranks, packed, shared, count, *keys, float(bandwidth), out]
        run_flat(launcher, Kernel("draws.cu", "resample", types), count, members, arguments)
    fresh = xp.reshape(out, (members, *weights.values.shape[1:]))
    if isinstance(weights, CsrWeights):
        return CsrWeights(fresh, weights.indices, weights.indptr, weights.shape)
    return DenseWeights(fresh)


def _types(store: str, work: str) -> tuple[tuple[str, str], ...]:
    return (("STORE", store), ("WORK", work))
