"""k-means on one point set, as plainly as it can be written: the twin of :mod:`netspectra.kernels.cpu.kmeans`.

Greedy k-means++ and Lloyd iterations with scikit-learn's semantics; every sum is made anew in float64. Random numbers
are the uniform doubles of Philox counter (restart, centre, trial, 0).
"""

import math
from typing import Any

from netspectra.kernels.backend import Array
from netspectra.kernels.reference.random import uniform

__all__ = ["kmeans_restart", "one_hot"]


def kmeans_restart(
    xp: Any, points: Array, n_clusters: int, restart: int, key: Any, max_iter: int, tol: float
) -> tuple[Array, float, int]:
    """Labels (n,) int32, inertia and iterations of one restart on points (n, d)."""
    centres = _seed_centres(xp, points, n_clusters, restart, key)
    previous = None
    for iteration in range(1, max_iter + 1):
        labels = _nearest(xp, points, centres)
        if previous is not None and bool(xp.all(labels == previous)):
            return labels, _inertia(xp, points, centres, labels), iteration
        previous = _relocate_empty(xp, points, centres, labels)
        centres, shift = _move_centres(xp, points, centres, previous)
        if shift <= tol:
            break
    labels = _nearest(xp, points, centres)
    return labels, _inertia(xp, points, centres, labels), iteration


def one_hot(xp: Any, labels: Array, n_clusters: int) -> Array:
    """Who is in which cluster, (..., n, k) float64 of zeros and ones, for int32 labels (..., n)."""
    return xp.astype(labels[..., None] == xp.arange(n_clusters, dtype=xp.int32), xp.float64)


def _seed_centres(xp: Any, points: Array, n_clusters: int, restart: int, key: Any) -> Array:
    """Of ``2 + floor(ln k)`` candidates drawn by squared distance, keep the one of least potential."""
    n = points.shape[0]
    chosen = [min(int(uniform(key, restart, 0, 0) * n), n - 1)]
    closest = _distances(xp, points, points[chosen[0], :])
    for c in range(1, n_clusters):
        cumulative = xp.cumulative_sum(xp.astype(closest, xp.float64))
        best, least, kept = 0, math.inf, closest
        for t in range(2 + int(math.log(n_clusters))):
            threshold = uniform(key, restart, c, t) * float(cumulative[-1])
            candidate = min(int(xp.sum(xp.astype(cumulative <= threshold, xp.int64))), n - 1)
            trial = xp.minimum(closest, _distances(xp, points, points[candidate, :]))
            potential = float(xp.sum(xp.astype(trial, xp.float64)))
            if potential < least:
                best, least, kept = candidate, potential, trial
        chosen.append(best)
        closest = kept
    return xp.take(points, xp.asarray(chosen, dtype=xp.int64), axis=0)


def _distances(xp: Any, points: Array, centre: Array) -> Array:
    return xp.sum((points - centre) ** 2, axis=1)


def _centre_distances(xp: Any, points: Array, centres: Array) -> Array:
    """Squared distance of every point to every centre, (n, k) float64."""
    P, C = xp.astype(points, xp.float64), xp.astype(centres, xp.float64)
    return xp.stack([_distances(xp, P, C[c, :]) for c in range(C.shape[0])], axis=1)


def _nearest(xp: Any, points: Array, centres: Array) -> Array:
    """Nearest centre of every point, ties to the lowest."""
    return xp.astype(xp.argmin(_centre_distances(xp, points, centres), axis=1), xp.int32)


def _own_distances(xp: Any, points: Array, centres: Array, labels: Array) -> Array:
    return _distances(xp, xp.astype(points, xp.float64), xp.astype(xp.take(centres, labels, axis=0), xp.float64))


def _inertia(xp: Any, points: Array, centres: Array, labels: Array) -> float:
    return float(xp.sum(_own_distances(xp, points, centres, labels)))


def _relocate_empty(xp: Any, points: Array, centres: Array, labels: Array) -> Array:
    """Give each empty cluster the point farthest from its centre, ties to the lowest, each point once."""
    counts = xp.sum(one_hot(xp, labels, centres.shape[0]), axis=0)
    position = xp.arange(labels.shape[0], dtype=xp.int64)
    far = _own_distances(xp, points, centres, labels)
    for c in range(centres.shape[0]):
        if float(counts[c]) == 0:
            i = int(xp.argmax(far))
            if float(far[i]) <= 0:
                break
            far = xp.where(position == i, xp.full_like(far, -1.0), far)
            labels = xp.where(position == i, xp.full_like(labels, c), labels)
    return labels


def _move_centres(xp: Any, points: Array, centres: Array, labels: Array) -> tuple[Array, float]:
    """Centres become cluster means, empty ones stay; with the sum of squared movements."""
    own = one_hot(xp, labels, centres.shape[0])
    counts = xp.sum(own, axis=0)[:, None]
    old = xp.astype(centres, xp.float64)
    sums = xp.matmul(xp.matrix_transpose(own), xp.astype(points, xp.float64))
    means = xp.where(counts > 0, sums / xp.where(counts > 0, counts, xp.ones_like(counts)), old)
    return xp.astype(means, centres.dtype), float(xp.sum((means - old) ** 2))
