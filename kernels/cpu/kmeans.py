"""k-means on one point set: greedy k-means++ and Lloyd iterations, all restarts of a range in one call.

A kernel, because scikit-learn's spends most of its time outside the arithmetic on sets this small and cannot be keyed.
The assignment step works on feature-major points in tiles that stay in the first-level cache, four features and four
centres at a time, the inner loop over points; the centre update only touches points that changed their cluster.
Semantics are scikit-learn's (see :func:`netspectra.clustering.kmeans.kmeans`); random numbers are keyed by (restart,
centre, trial).
"""

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper
from netspectra.kernels.cpu.random import uniform_double

__all__ = ["kmeans_restarts"]

TILE = 256


@helper
def _assign_tile(points, start, count, centres, half_norms, best, label):
    """Nearest centre of ``points[:, start:start+count]`` by ``|c|^2/2 - c.x``; sizes are padded to multiples of 4."""
    n_features, n_centres = points.shape[0], centres.shape[0]
    score = np.empty((4, TILE), points.dtype)
    for c in range(0, n_centres, 4):
        for j in range(4):
            score[j, :count] = half_norms[c + j]
        for f in range(0, n_features, 4):
            x0, x1 = points[f, start : start + count], points[f + 1, start : start + count]
            x2, x3 = points[f + 2, start : start + count], points[f + 3, start : start + count]
            for j in range(0, 4, 2):
                a, b = score[j], score[j + 1]
                a0, a1, a2, a3 = centres[c + j, f], centres[c + j, f + 1], centres[c + j, f + 2], centres[c + j, f + 3]
                b0, b1 = centres[c + j + 1, f], centres[c + j + 1, f + 1]
                b2, b3 = centres[c + j + 1, f + 2], centres[c + j + 1, f + 3]
                for i in range(count):
                    a[i] -= a0 * x0[i] + a1 * x1[i] + a2 * x2[i] + a3 * x3[i]
                    b[i] -= b0 * x0[i] + b1 * x1[i] + b2 * x2[i] + b3 * x3[i]
        for j in range(4):
            s, number = score[j], points.dtype.type(c + j)
            for i in range(count):
                better = (s[i] < best[i]) | (c + j == 0)
                best[i] = s[i] if better else best[i]
                label[i] = number if better else label[i]


@helper
def _squared_distance(points, n_features, i, centre):
    total = 0.0
    for f in range(n_features):
        d = np.float64(points[f, i]) - np.float64(centre[f])
        total += d * d
    return total


@helper
def _distances_to_point(points, n_features, i, out):
    """Squared distances from every point to point `i`."""
    n = points.shape[1]
    out[:] = 0
    for f in range(n_features):
        row, x = points[f], points[f, i]
        for j in range(n):
            d = row[j] - x
            out[j] += d * d


@helper
def _sample(cumulative, u):
    """First index whose cumulative weight exceeds ``u * total``."""
    n = cumulative.shape[0]
    return min(np.searchsorted(cumulative, u * cumulative[n - 1], side="right"), n - 1)


@helper
def _seed_centres(points, n_features, n_clusters, n_trials, key, restart, centres, closest, trial, kept, cumulative):
    """Greedy k-means++: of `n_trials` candidates drawn by squared distance, keep the one of least potential."""
    n = points.shape[1]
    first = min(np.int64(uniform_double(key, restart, 0, 0) * n), n - 1)
    centres[0, :n_features] = points[:n_features, first]
    _distances_to_point(points, n_features, first, closest)
    for c in range(1, n_clusters):
        total = 0.0
        for j in range(n):
            total += closest[j]
            cumulative[j] = total
        best_potential, best_candidate = np.inf, np.int64(0)
        for t in range(n_trials):
            candidate = _sample(cumulative, uniform_double(key, restart, c, t))
            _distances_to_point(points, n_features, candidate, trial)
            potential = 0.0
            for start in range(0, n, TILE):
                part = points.dtype.type(0)
                for j in range(start, min(start + TILE, n)):
                    trial[j] = min(trial[j], closest[j])
                    part += trial[j]
                potential += part
            if potential < best_potential:
                best_potential, best_candidate = potential, candidate
                kept[:] = trial
        closest[:] = kept
        centres[c, :n_features] = points[:n_features, best_candidate]


@helper
def _assign(points, centres, half_norms, n_clusters, labels, tile_best, tile_label, sums, counts):
    """Assign every point; keep `sums` (float64) and `counts` up to date by the points that moved. Return how many."""
    n, n_features = points.shape[1], sums.shape[1]
    for c in range(n_clusters):
        norm = points.dtype.type(0)
        for f in range(n_features):
            norm += centres[c, f] * centres[c, f]
        half_norms[c] = norm * points.dtype.type(0.5)
    moved = 0
    for start in range(0, n, TILE):
        count = min(TILE, n - start)
        _assign_tile(points, start, count, centres, half_norms, tile_best, tile_label)
        for i in range(count):
            new, old = np.int32(tile_label[i]), labels[start + i]
            if new != old:
                moved += 1
                labels[start + i] = new
                counts[new] += 1
                for f in range(n_features):
                    sums[new, f] += points[f, start + i]
                if old >= 0:
                    counts[old] -= 1
                    for f in range(n_features):
                        sums[old, f] -= points[f, start + i]
    return moved


@helper
def _relocate_empty(points, centres, labels, sums, counts, farthest):
    """Give each empty cluster the point farthest from its centre (ties to the lowest index), as scikit-learn does.

    `sums` and `counts` become those of the new centres; `labels` still names the old clusters, and the caller restores
    them by the next assignment.
    """
    n, n_features = points.shape[1], sums.shape[1]
    for i in range(n):
        farthest[i] = _squared_distance(points, n_features, i, centres[labels[i]])
    for c in range(counts.shape[0]):
        if counts[c] == 0:
            i = np.argmax(farthest)
            if farthest[i] <= 0:
                break
            farthest[i] = -1.0
            old = labels[i]
            for f in range(n_features):
                sums[old, f] -= points[f, i]
                sums[c, f] = points[f, i]
            counts[old] -= 1
            counts[c] = 1
            labels[i] = c


@helper
def _move_centres(centres, sums, counts):
    """Centres become cluster means (empty ones stay); return the sum of squared movements."""
    shift = 0.0
    for c in range(counts.shape[0]):
        if counts[c] > 0:
            for f in range(sums.shape[1]):
                mean = sums[c, f] / counts[c]
                d = mean - np.float64(centres[c, f])
                shift += d * d
                centres[c, f] = mean
    return shift


@helper
def _lloyd(points, centres, half_norms, n_clusters, max_iter, tol, labels, tile_best, tile_label, sums, counts, far):
    """Lloyd iterations until labels repeat or centres move by at most `tol`; return (iterations, labels final)."""
    labels[:] = -1
    sums[:, :] = 0.0
    counts[:] = 0
    for iteration in range(1, max_iter + 1):
        moved = _assign(points, centres, half_norms, n_clusters, labels, tile_best, tile_label, sums, counts)
        if moved == 0 and iteration > 1:
            return iteration
        if counts.min() == 0:
            _relocate_empty(points, centres, labels, sums, counts, far)
        if _move_centres(centres, sums, counts) <= tol:
            _assign(points, centres, half_norms, n_clusters, labels, tile_best, tile_label, sums, counts)
            return iteration
    _assign(points, centres, half_norms, n_clusters, labels, tile_best, tile_label, sums, counts)
    return max_iter


@compiled(
    *(
        f"void({t}[:, ::1], int64, int64, int64, int64, int64, int64, float64, uint32[::1], "
        "int32[:, ::1], float64[::1], int32[::1], boolean)"
        for t in ("float32", "float64")
    )
)
def kmeans_restarts(
    points, n_features, n_clusters, first, last, n_trials, max_iter, tol, key, labels, inertia, n_iter, keep_all
):
    """Run restarts ``first .. last-1``.

    points : (n_features padded to a multiple of 4 with zero rows, n); key : (2,) uint32.
    labels : (restarts, n) with `keep_all`, else (1, n), which receives the labels of the range's best restart (ties to
    the lowest); inertia, n_iter : (last - first,), written for every restart.
    """
    n = points.shape[1]
    padded = (n_clusters + 3) // 4 * 4
    centres = np.zeros((padded, points.shape[0]), points.dtype)
    half_norms = np.full(padded, np.inf, points.dtype)
    closest, trial, kept = np.empty(n, points.dtype), np.empty(n, points.dtype), np.empty(n, points.dtype)
    cumulative, current = np.empty(n, np.float64), np.empty(n, np.int32)
    tile_best, tile_label = np.empty(TILE, points.dtype), np.empty(TILE, points.dtype)
    sums, counts = np.zeros((n_clusters, n_features)), np.zeros(n_clusters, np.int64)
    best = np.inf
    for restart in range(first, last):
        row = restart - first
        _seed_centres(points, n_features, n_clusters, n_trials, key, restart, centres, closest, trial, kept, cumulative)
        n_iter[row] = _lloyd(
            points, centres, half_norms, n_clusters, max_iter, tol, current, tile_best, tile_label, sums, counts,
            cumulative,
        )  # fmt: skip
        total = 0.0
        for i in range(n):
            total += _squared_distance(points, n_features, i, centres[current[i]])
        inertia[row] = total
        if keep_all:
            labels[row] = current
        elif total < best:
            best = total
            labels[0] = current
