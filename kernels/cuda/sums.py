"""Weight between clusters on the device: see ``sums.cu``."""

from typing import Any

from netspectra.errors import LimitError
from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import MAX_GRID_YZ, contiguous, csr_arguments, csr_types, dense_view, dtype_name
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["cluster_sums"]

SPAN, THREADS = 8, 256
WEIGHTS_PER_PART = 1 << 21
"""Stored weights that one thread block may have to pass over."""


def cluster_sums(xp: Any, launcher: Launcher, weights: BlockWeights, source: Any, target: Any, n_clusters: int) -> Any:
    """Sums of ``|W|`` from cluster to cluster, (B, k + 1, k + 1); see :class:`netspectra.kernels.backend.Backend`."""
    members, k = int(source.shape[0]), n_clusters + 1
    sparse = isinstance(weights, CsrWeights)
    n_stored = int(weights.values.shape[1]) if sparse else weights.shape[0] * weights.shape[1]
    parts = max(1, min(-(-n_stored // WEIGHTS_PER_PART), MAX_GRID_YZ // k))
    if k > MAX_GRID_YZ:
        msg = f"at most {MAX_GRID_YZ - 1:,} clusters on a GPU, got {n_clusters:,}"
        raise LimitError(msg)
    out = xp.empty((members, parts, k, k), dtype=xp.float64)
    ends = [contiguous(labels) for labels in (source, target)]  # slices of longer rows
    swapped = False
    if isinstance(weights, CsrWeights):
        kernel = Kernel("sums.cu", "cluster_sums_csr", csr_types(weights))
        arguments = [*csr_arguments(weights), weights.shape[1]]
    else:
        W, member, row, swapped = dense_view(xp, weights, members)
        kernel = Kernel("sums.cu", "cluster_sums_dense", (("STORE", dtype_name(W)), ("INDEX", "int32")))
        arguments = [W, member, row, int(W.shape[1]), int(W.shape[2])]
    grid = (-(-k // SPAN), k * parts, members)
    launcher.launch(kernel, grid, THREADS, [*arguments, *(ends[::-1] if swapped else ends), n_clusters, parts, out])
    total = out[:, 0, :, :] if parts == 1 else xp.sum(out, axis=1)
    return xp.matrix_transpose(total) if swapped else total
