"""The spectral embedding that k-means clusters: eigenvectors divided by ``sqrt(d)``, times ``sqrt(vol)``.

This is scikit-learn's ``SpectralClustering(affinity="precomputed")`` up to the scale ``sqrt(vol)``, and reproduces the
published numbers. Its trivial column is constant, so it adds nothing to any distance and is left out.
"""

from typing import Any

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array

__all__ = ["embed"]


def embed(batch: GraphBatch, vectors: Array) -> Array:
    """Centred embedding (B, n, k - 1) of eigenvectors (B, n, k), zero rows for isolated nodes.

    Centring changes no distance and keeps digits. In the dtype of `vectors`.
    """
    xp = batch.backend.xp
    scale = batch.inverse_sqrt_degrees(xp.float64) * xp.sqrt(batch.volume)[:, None]
    points = vectors[:, :, 1:] * xp.astype(scale, vectors.dtype)[:, :, None]
    live = xp.astype(batch.live, vectors.dtype)[:, :, None]
    return (points - _mean(xp, points, live)) * live


def _mean(xp: Any, points: Array, live: Array) -> Array:
    """Mean over live nodes, (B, 1, d); isolated rows of `points` are zero already."""
    return xp.sum(points, axis=1, keepdims=True) / xp.sum(live, axis=1, keepdims=True)
