"""Batched k-means on the embedding, with scikit-learn's semantics and keyed random numbers.

Greedy k-means++ with ``2 + floor(ln k)`` candidates per centre; at most 300 Lloyd iterations; stop when labels repeat
or the sum of squared centre movements is at most 1e-4 times the mean feature variance, then one more assignment; an
empty cluster takes the point farthest from its centre. Random numbers are keyed by (seed, replicate, restart, centre,
trial).
Deviation: the trivial, constant column of the embedding is left out (its variance, 0, still counts in the mean).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.clustering.recipe import Recipe
from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.kernels.keys import stream_keys

__all__ = ["MAX_ITER", "KMeansResult", "kmeans"]

MAX_ITER = 300
RELATIVE_TOL = 1e-4
_SPREAD_LIMIT = 1e3
"""Ratio of the largest to the median row norm above which float32 points are clustered in float64."""


@dataclass(frozen=True)
class KMeansResult:
    """Labels int32 (B, R, n), R = n_init when selecting by n-cut and else 1; inertia and n_iter (B, n_init)."""

    labels: Array
    inertia: Array
    n_iter: Array


def kmeans(
    batch: GraphBatch, points: Array, recipe: Recipe, seeds: list[int], replicates: "list[int | None]"
) -> KMeansResult:
    """Cluster the embedding `points` (B, n, d) of every member, whose key is its entry in `seeds` and `replicates`.

    Only the labels of the restart of least inertia are kept, ties to the lowest, unless the recipe selects by n-cut.
    """
    backend, xp = batch.backend, batch.backend.xp
    if points.dtype != xp.float64 and _is_spread(batch, points):
        points = xp.astype(points, xp.float64)
    live = xp.astype(batch.live, xp.float64)
    n_live = xp.sum(live, axis=1)
    squares = xp.astype(points, xp.float64) ** 2
    tol = RELATIVE_TOL * xp.sum(squares, axis=(1, 2)) / n_live / recipe.n_clusters  # points are centred
    keys = np.concatenate([stream_keys(s, "k-means", [i]) for s, i in zip(seeds, replicates, strict=True)])
    labels, inertia, n_iter = backend.kmeans(
        points,
        batch.live,
        recipe.n_clusters,
        recipe.n_init,
        keys,
        max_iter=MAX_ITER,
        tol=tol,
        keep_all=recipe.select == "ncut",
    )
    return KMeansResult(labels, inertia, n_iter)


def _is_spread(batch: GraphBatch, points: Array) -> bool:
    """Whether some member's largest row is out of proportion with its median row."""
    norms: Any = batch.backend.to_numpy(batch.backend.xp.sum(points * points, axis=2))
    live = batch.backend.to_numpy(batch.live)
    return any(
        row[alive].max() > _SPREAD_LIMIT**2 * max(np.median(row[alive]), np.finfo(row.dtype).tiny)
        for row, alive in zip(norms, live, strict=True)
    )
