"""The spectral embedding that k-means clusters: eigenvectors divided by ``sqrt(d)``, times ``sqrt(vol)``.

This is scikit-learn's ``SpectralClustering(affinity="precomputed")`` up to the scale ``sqrt(vol)``, and reproduces the
published numbers. Its trivial column is constant, so it adds nothing to any distance and is left out.
"""

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array

__all__ = ["centred", "embed"]


def embed(batch: GraphBatch, vectors: Array) -> Array:
    """Embedding (B, n, k - 1), float64, of eigenvectors (B, n, k); zero rows for isolated nodes."""
    xp = batch.backend.xp
    scale = batch.inverse_sqrt_degrees(xp.float64) * xp.sqrt(batch.volume)[:, None]
    return xp.astype(vectors[:, :, 1:], xp.float64) * scale[:, :, None]


def centred(batch: GraphBatch, points: Array) -> Array:
    """Points minus their mean over live nodes, in float64: changes no distance and keeps digits in float32."""
    xp = batch.backend.xp
    live = xp.astype(batch.live, points.dtype)[:, :, None]
    return (points - xp.sum(points, axis=1, keepdims=True) / xp.sum(live, axis=1, keepdims=True)) * live
