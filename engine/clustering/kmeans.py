"""Batched k-means on the embedding, with scikit-learn's semantics and keyed random numbers.

Greedy k-means++ with ``2 + floor(ln k)`` candidates per centre; at most 300 Lloyd iterations; stop when labels repeat
or the sum of squared centre movements is at most 1e-4 times the mean feature variance, then one more assignment; an
empty cluster takes the point farthest from its centre. Random numbers are keyed by (seed, replicate, restart, centre,
trial).
Deviation: the trivial, constant column of the embedding is left out (its variance, 0, still counts in the mean).
"""

from dataclasses import dataclass

import numpy as np

from netspectra.clustering.embedding import centred
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

    The work is done in the run's dtype, or in float64 for members whose points are out of proportion.

    Only the labels of the restart of least inertia are kept, ties to the lowest, unless the recipe selects by n-cut.
    """
    backend, xp = batch.backend, batch.backend.xp
    keys = np.concatenate([stream_keys(s, "k-means", [i]) for s, i in zip(seeds, replicates, strict=True)])
    spread = _is_spread(batch, points) if recipe.dtype == "float32" else [True] * batch.n_members
    points = backend.run(centred, batch, points)
    n_live = xp.sum(xp.astype(batch.live, xp.float64), axis=1)
    tol = RELATIVE_TOL * xp.sum(points * points, axis=(1, 2)) / n_live / recipe.n_clusters
    parts, order = [], []
    for dtype, wide in ((xp.float32, False), (xp.float64, True)):
        members = [i for i, far in enumerate(spread) if far == wide]
        if not members:
            continue
        chosen = backend.asarray(np.asarray(members, dtype=np.int64))
        order += members
        parts.append(
            backend.kmeans(
                xp.astype(xp.take(points, chosen, axis=0), dtype),
                xp.take(batch.live, chosen, axis=0),
                recipe.n_clusters,
                recipe.n_init,
                keys[members],
                max_iter=MAX_ITER,
                tol=xp.take(tol, chosen, axis=0),
                keep_all=recipe.select == "ncut",
            )
        )
    back = backend.asarray(np.argsort(np.asarray(order)))
    return KMeansResult(*(xp.take(xp.concat(columns, axis=0), back, axis=0) for columns in zip(*parts, strict=True)))


def _is_spread(batch: GraphBatch, points: Array) -> list[bool]:
    """Members whose largest row is out of proportion with their median row (the trivial column, 1, counted in)."""
    xp = batch.backend.xp
    norms = xp.sum(points * points, axis=2) + 1.0
    ranked = xp.sort(xp.where(batch.live, norms, xp.full_like(norms, xp.inf)), axis=1)
    last = xp.sum(xp.astype(batch.live, xp.int64), axis=1, keepdims=True) - 1
    largest, median = (xp.take_along_axis(ranked, place, axis=1)[:, 0] for place in (last, last // 2))
    return [bool(far) for far in batch.backend.to_numpy(largest > _SPREAD_LIMIT**2 * median)]
