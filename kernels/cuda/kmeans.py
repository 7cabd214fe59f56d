"""k-means on the device, all restarts of a wave in one launch: see ``kmeans.cu``."""

import math
from dataclasses import dataclass
from typing import Any

from netspectra.errors import LimitError
from netspectra.kernels.backend import Array, KMeansOutput
from netspectra.kernels.cuda.launcher import WARP, Launcher
from netspectra.kernels.cuda.layout import MAX_GRID_YZ, dtype_name
from netspectra.kernels.cuda.sources import Kernel

__all__ = ["MAX_CLUSTERS", "kmeans"]

MAX_CLUSTERS = 65534
"""Labels are 16 bits on the device, and one value says that there is none yet."""
BLOCKS_PER_MULTIPROCESSOR = 16
"""Thread blocks wanted: several times what runs at once, so that the last of them end together."""
SCRATCH_BYTES = 1 << 28
"""Device memory for what does not fit into shared memory, unless a single member needs more."""
_EXCHANGE_BYTES, _TRIALS = 1104, 4  # as in kmeans_problem.cuh
_WIDE_SUMS = 512


def kmeans(
    xp: Any,
    launcher: Launcher,
    points: Array,
    live: Array,
    n_clusters: int,
    n_init: int,
    keys: Any,
    *,
    max_iter: int,
    tol: Array,
    keep_all: bool,
) -> KMeansOutput:
    """Labels, inertia and iterations of all restarts; see :class:`netspectra.kernels.backend.Backend`.

    A member without any live node gets inertia 0 and no iteration.

    Raises
    ------
    LimitError
        If there are more than 65,534 clusters.
    """
    if n_clusters > MAX_CLUSTERS:
        msg = f"k-means on a GPU takes at most {MAX_CLUSTERS:,} clusters, got {n_clusters:,}; use backend='cpu'"
        raise LimitError(msg)
    members, n, d = (int(size) for size in points.shape)
    packed, order, n_live = _pack(xp, points, live)
    stride, block = int(packed.shape[2]), block_size(n_clusters, d)
    plan = Plan.of(stride, d, n_clusters, block, int(points.dtype.itemsize), launcher.shared_limit)
    groups = min(n_init, max(1, -(-BLOCKS_PER_MULTIPROCESSOR * launcher.multiprocessors // max(1, members))))
    groups = min(groups, max(1, SCRATCH_BYTES // plan.scratch))
    labels = xp.full((members, n_init if keep_all else groups, n), -1, dtype=xp.int32)
    inertia = xp.empty((members, n_init), dtype=xp.float64)
    n_iter = xp.empty((members, n_init), dtype=xp.int32)
    keys, tol = xp.asarray(keys, dtype=xp.uint32), xp.asarray(tol, dtype=xp.float64)

    step = max(1, min(MAX_GRID_YZ, SCRATCH_BYTES // (groups * plan.scratch)))
    scratch = xp.empty((min(step, members) * groups * plan.scratch,), dtype=xp.uint8)
    kernel = Kernel("kmeans.cu", plan.kernel, (("WORK", dtype_name(points)),))
    sizes = [n, stride, d, n_clusters, n_init, 2 + int(math.log(n_clusters)), max_iter, int(keep_all)]
    for start in range(0, members, step):
        arrays = [a[start : start + step, ...] for a in (packed, order, n_live, keys, tol, labels, inertia, n_iter)]
        grid = (groups, int(arrays[0].shape[0]), 1)
        arguments = [*arrays, scratch, plan.scratch, *sizes, plan.n_sums, int(plan.centres_near)]
        launcher.launch(kernel, grid, block, arguments, plan.shared)
    if not keep_all and groups > 1:
        labels = _labels_of_best(xp, labels, inertia)
    return labels, inertia, n_iter


def block_size(n_clusters: int, d: int) -> int:
    """Threads of a block, by the size of the sums that each of its warps keeps: what fixes every order of summation."""
    return 512 if n_clusters * d <= _WIDE_SUMS else 256


@dataclass(frozen=True)
class Plan:
    """Where the arrays of a thread block are.

    Attributes
    ----------
    kernel : str
        ``"kmeans_on_chip"``, with everything in shared memory, or ``"kmeans_streaming"``.
    shared, scratch : int
        Bytes of shared memory, and of device memory beside it.
    n_sums : int
        Size of the array of sums, which holds other things while seeding.
    centres_near : bool
        Whether sums and centres are in shared memory.
    """

    kernel: str
    shared: int
    scratch: int
    n_sums: int
    centres_near: bool

    @classmethod
    def of(cls, stride: int, d: int, n_clusters: int, block: int, itemsize: int, shared_limit: int) -> "Plan":
        """Put what fits into `shared_limit` bytes of shared memory; divided alike in ``kmeans_problem.cuh``."""
        padded = -(-n_clusters // 4) * 4
        n_sums = max(block // WARP * n_clusters * d, block, -(-_TRIALS * d * itemsize // 8))
        n_sums += n_sums % 2
        centres = 8 * n_sums + (d + 1) * padded * itemsize + 4 * padded
        per_point = (itemsize + 2) * stride
        points = d * itemsize * stride
        if _EXCHANGE_BYTES + centres + points + per_point <= shared_limit:
            return cls("kmeans_on_chip", _EXCHANGE_BYTES + centres + points + per_point, 16, n_sums, True)
        near = _EXCHANGE_BYTES + centres <= shared_limit
        scratch = per_point if near else centres + per_point
        shared = _EXCHANGE_BYTES + (centres if near else 0)
        return cls("kmeans_streaming", shared, -(-scratch // 16) * 16, n_sums, near)


def _pack(xp: Any, points: Array, live: Array) -> tuple[Array, Array, Array]:
    """Points (B, d, n rounded up to odd), live ones first; the node of each (B, n) int32; how many live (B,) int32."""
    members, n, d = points.shape
    order = xp.argsort(xp.astype(~live, xp.int32), axis=1, stable=True)
    packed = xp.zeros((members, d, n | 1), dtype=points.dtype)
    packed[:, :, :n] = xp.matrix_transpose(xp.take_along_axis(points, order[:, :, None], axis=1))
    return packed, xp.astype(order, xp.int32), xp.sum(live, axis=1, dtype=xp.int32)


def _labels_of_best(xp: Any, labels: Array, inertia: Array) -> Array:
    """Of the labels kept by each group (B, groups, n) those of the restart of least inertia, (B, 1, n)."""
    members, groups, n = labels.shape
    group = ((xp.argmin(inertia, axis=1) + 1) * groups - 1) // inertia.shape[1]
    flat = xp.reshape(labels, (members * groups, n))
    return xp.take(flat, xp.arange(members) * groups + group, axis=0)[:, None, :]
