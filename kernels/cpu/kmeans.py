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
def _assign_tile(points, start, count, centres, half_norms, score, best, label):
    """Nearest centre of ``points[:, start:start+count]`` by ``|c|^2/2 - c.x``; sizes are padded to multiples of 4.

    `score` is one flat array of four tiles, not a 2-D one: with a constant distance between the rows LLVM can tell that
    the four stores never overlap, and vectorises.
    """
    one = points.dtype.type(1)
    for c in range(0, centres.shape[0], 4):
        a, b, d, e = centres[c], centres[c + 1], centres[c + 2], centres[c + 3]
        for j in range(4):
            score[j * TILE : j * TILE + count] = half_norms[c + j]
        for f in range(0, points.shape[0], 4):
            x0, x1 = points[f, start : start + count], points[f + 1, start : start + count]
            x2, x3 = points[f + 2, start : start + count], points[f + 3, start : start + count]
            a0, a1, a2, a3 = a[f], a[f + 1], a[f + 2], a[f + 3]
            b0, b1, b2, b3 = b[f], b[f + 1], b[f + 2], b[f + 3]
            d0, d1, d2, d3 = d[f], d[f + 1], d[f + 2], d[f + 3]
            e0, e1, e2, e3 = e[f], e[f + 1], e[f + 2], e[f + 3]
            for i in range(count):
                y0, y1, y2, y3 = x0[i], x1[i], x2[i], x3[i]
                score[i] -= a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                score[TILE + i] -= b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
                score[2 * TILE + i] -= d0 * y0 + d1 * y1 + d2 * y2 + d3 * y3
                score[3 * TILE + i] -= e0 * y0 + e1 * y1 + e2 * y2 + e3 * y3
        first = points.dtype.type(c)
        if c == 0:
            best[:count] = score[:count]
            label[:count] = 0
        for i in range(count):
            least, name = best[i], label[i]
            s = score[i]
            least, name = (s, first) if s < least else (least, name)
            s = score[TILE + i]
            least, name = (s, first + one) if s < least else (least, name)
            s = score[2 * TILE + i]
            least, name = (s, first + one + one) if s < least else (least, name)
            s = score[3 * TILE + i]
            least, name = (s, first + one + one + one) if s < least else (least, name)
            best[i], label[i] = least, name


@helper
def _squared_distance(points, n_features, i, centre):
    total = 0.0
    for f in range(n_features):
        d = np.float64(points[f, i]) - np.float64(centre[f])
        total += d * d
    return total


@helper
def _distances_to_point(points, i, out):
    """Squared distances from every point to point `i`, four (padded) features at a time."""
    n = points.shape[1]
    out[:] = 0
    for f in range(0, points.shape[0], 4):
        x0, x1, x2, x3 = points[f], points[f + 1], points[f + 2], points[f + 3]
        y0, y1, y2, y3 = x0[i], x1[i], x2[i], x3[i]
        for j in range(n):
            a, b, c, d = x0[j] - y0, x1[j] - y1, x2[j] - y2, x3[j] - y3
            out[j] += a * a + b * b + c * c + d * d


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
    _distances_to_point(points, first, closest)
    for c in range(1, n_clusters):
        total = 0.0
        for j in range(n):
            total += closest[j]
            cumulative[j] = total
        best_potential, best_candidate = np.inf, np.int64(0)
        for t in range(n_trials):
            candidate = _sample(cumulative, uniform_double(key, restart, c, t))
            _distances_to_point(points, candidate, trial)
            potential = 0.0
            for start in range(0, n, TILE):
                part, here, there = points.dtype.type(0), trial[start : start + TILE], closest[start : start + TILE]
                for j in range(here.shape[0]):
                    nearer = here[j] if here[j] < there[j] else there[j]  # noqa: FURB136  (min() is four times slower)
                    here[j] = nearer
                    part += nearer
                potential += part
            if potential < best_potential:
                best_potential, best_candidate = potential, candidate
                kept[:] = trial
        closest[:] = kept
        centres[c, :n_features] = points[:n_features, best_candidate]


@helper
def _assign(points, centres, half_norms, n_clusters, labels, score, tile_best, tile_label, sums, counts):
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
        _assign_tile(points, start, count, centres, half_norms, score, tile_best, tile_label)
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

    `sums`, `counts` and `labels` become those of the new clusters. Which are empty is settled before: one that gives
    its only point away stays so.
    """
    n, n_features = points.shape[1], sums.shape[1]
    empty = counts == 0
    for i in range(n):
        farthest[i] = _squared_distance(points, n_features, i, centres[labels[i]])
    for c in range(counts.shape[0]):
        if empty[c]:
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
def _lloyd(
    points, centres, half_norms, n_clusters, max_iter, tol, labels, score, tile_best, tile_label, sums, counts, far
):
    """Lloyd iterations until labels repeat or centres move by at most `tol`; return the number of iterations."""
    labels[:] = -1
    sums[:, :] = 0.0
    counts[:] = 0
    for iteration in range(1, max_iter + 1):
        moved = _assign(points, centres, half_norms, n_clusters, labels, score, tile_best, tile_label, sums, counts)
        if moved == 0 and iteration > 1:
            return iteration
        if counts.min() == 0:
            _relocate_empty(points, centres, labels, sums, counts, far)
        if _move_centres(centres, sums, counts) <= tol:
            _assign(points, centres, half_norms, n_clusters, labels, score, tile_best, tile_label, sums, counts)
            return iteration
    _assign(points, centres, half_norms, n_clusters, labels, score, tile_best, tile_label, sums, counts)
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
    score = np.empty(4 * TILE, points.dtype)
    tile_best, tile_label = np.empty(TILE, points.dtype), np.empty(TILE, points.dtype)
    sums, counts = np.zeros((n_clusters, n_features)), np.zeros(n_clusters, np.int64)
    best = np.inf
    for restart in range(first, last):
        row = restart - first
        _seed_centres(points, n_features, n_clusters, n_trials, key, restart, centres, closest, trial, kept, cumulative)
        n_iter[row] = _lloyd(
            points, centres, half_norms, n_clusters, max_iter, tol, current, score, tile_best, tile_label, sums, counts,
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
