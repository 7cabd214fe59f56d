"""The matrix ``B B^T`` of a bipartite graph, from B: what backends do that have nothing better."""

from collections.abc import Sequence

from netspectra.kernels.backend import Array, Backend
from netspectra.kernels.weights import BlockWeights

__all__ = ["explicit_gram"]


def explicit_gram(
    backend: Backend, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, unit: Array
) -> Array:
    """See :meth:`netspectra.kernels.backend.Backend.explicit_gram`."""
    xp, B = backend.xp, backend.scaled_dense((int(rows.shape[1]), int(cols.shape[1])), blocks, rows, cols)
    return xp.matmul(B, xp.matrix_transpose(B)) - xp.matmul(2 * unit, xp.matrix_transpose(unit))
