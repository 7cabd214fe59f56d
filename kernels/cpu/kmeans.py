"""k-means on one point set: greedy k-means++ and Lloyd iterations, all restarts of a range in one call.

A kernel, because scikit-learn's spends most of its time outside the arithmetic on sets this small and cannot be keyed.
The assignment step works on blocks of points as wide as a few vector registers and says which points changed their
cluster; the centre update only touches those.
Semantics are scikit-learn's (see :func:`netspectra.clustering.kmeans.kmeans`); random numbers are keyed by (restart,
centre, trial).
"""

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper
from netspectra.kernels.cpu.point_blocks import lowest_bit, nearest_in_block
from netspectra.kernels.cpu.registers import GROUP
from netspectra.kernels.cpu.seeding import seed_centres

__all__ = ["kmeans_restarts"]


@helper
def _own_distances(blocks, n_points, centres, labels, out):
    """Squared distance of every point to the centre of its label, float64."""
    n_features, lanes = blocks.shape[1], blocks.shape[2]
    for b in range(blocks.shape[0]):
        for lane in range(min(lanes, n_points - b * lanes)):
            i, total = b * lanes + lane, 0.0
            for f in range(n_features):
                d = np.float64(blocks[b, f, lane]) - np.float64(centres[labels[i], f])
                total += d * d
            out[i] = total


@helper
def _assign(blocks, n_points, centres, half_norms, labels, found, sums, counts):
    """Assign every point; keep `sums` (float64) and `counts` up to date by the points that moved. Return how many."""
    n_blocks, n_features, lanes = blocks.shape
    for c in range(counts.shape[0]):
        norm = blocks.dtype.type(0)
        for f in range(n_features):
            norm += centres[c, f] * centres[c, f]
        half_norms[c] = norm * blocks.dtype.type(0.5)
    moved = 0
    filled = np.uint64(n_points - (n_blocks - 1) * lanes)
    for b in range(n_blocks):
        differs = nearest_in_block(blocks, b, centres, half_norms, labels, found)
        if b == n_blocks - 1:
            differs &= (np.uint64(1) << filled) - np.uint64(1)
        while differs:
            lane = lowest_bit(differs)
            differs &= differs - np.uint64(1)
            i = b * lanes + lane
            new, old = found[lane], labels[i]
            moved += 1
            labels[i] = new
            counts[new] += 1
            for f in range(n_features):
                sums[new, f] += blocks[b, f, lane]
            if old >= 0:
                counts[old] -= 1
                for f in range(n_features):
                    sums[old, f] -= blocks[b, f, lane]
    return moved


@helper
def _relocate_empty(blocks, centres, labels, sums, counts, farthest):
    """Give each empty cluster the point farthest from its centre (ties to the lowest index), as scikit-learn does.

    `sums`, `counts` and `labels` become those of the new clusters. Which are empty is settled before: one that gives
    its only point away stays so. farthest : (points,) float64, scratch.
    """
    n_features, lanes = blocks.shape[1], blocks.shape[2]
    empty = counts == 0
    _own_distances(blocks, farthest.shape[0], centres, labels, farthest)
    for c in range(counts.shape[0]):
        if empty[c]:
            i = np.argmax(farthest)
            if farthest[i] <= 0:
                break
            farthest[i] = -1.0
            old = labels[i]
            for f in range(n_features):
                x = blocks[i // lanes, f, i % lanes]
                sums[old, f] -= x
                sums[c, f] = x
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
def _lloyd(blocks, n_points, centres, half_norms, max_iter, tol, labels, found, sums, counts, own):
    """Lloyd iterations until labels repeat or centres move by at most `tol`; return the number of iterations."""
    labels[:] = -1
    sums[:, :] = 0.0
    counts[:] = 0
    for iteration in range(1, max_iter + 1):
        moved = _assign(blocks, n_points, centres, half_norms, labels, found, sums, counts)
        if moved == 0 and iteration > 1:
            return iteration
        if counts.min() == 0:
            _relocate_empty(blocks, centres, labels, sums, counts, own)
        if _move_centres(centres, sums, counts) <= tol:
            _assign(blocks, n_points, centres, half_norms, labels, found, sums, counts)
            return iteration
    _assign(blocks, n_points, centres, half_norms, labels, found, sums, counts)
    return max_iter


@compiled(
    *(
        f"void({t}[:, :, ::1], int64, int64, int64, int64, int64, int64, float64, uint32[::1], "
        "int32[:, ::1], float64[::1], int32[::1], boolean)"
        for t in ("float32", "float64")
    )
)
def kmeans_restarts(
    blocks, n_points, n_clusters, first, last, n_trials, max_iter, tol, key, labels, inertia, n_iter, keep_all
):
    """Run restarts ``first .. last-1``.

    blocks : the points, as :func:`netspectra.kernels.cpu.point_blocks.packed_blocks` lays them out; key : (2,) uint32.
    labels : (restarts, n) with `keep_all`, else (1, n), which receives the labels of the range's best restart (ties to
    the lowest); inertia, n_iter : (last - first,), written for every restart.
    """
    n_blocks, n_features, lanes = blocks.shape
    padded = (n_clusters + GROUP - 1) // GROUP * GROUP
    centres = np.zeros((padded, n_features), blocks.dtype)
    half_norms = np.full(padded, np.inf, blocks.dtype)
    candidates = np.empty((n_trials, n_features), blocks.dtype)
    nearest, weights = np.empty((n_trials + 1, n_blocks * lanes), blocks.dtype), np.empty((n_trials + 1, n_blocks))
    current, found = np.empty(n_blocks * lanes, np.int32), np.empty(lanes, np.int32)
    sums, counts = np.zeros((n_clusters, n_features)), np.zeros(n_clusters, np.int64)
    own, best = np.empty(n_points), np.inf
    for restart in range(first, last):
        row = restart - first
        seed_centres(blocks, n_points, n_clusters, key, restart, centres, candidates, nearest, weights)
        n_iter[row] = _lloyd(
            blocks, n_points, centres, half_norms, max_iter, tol, current, found, sums, counts, own
        )  # fmt: skip
        _own_distances(blocks, n_points, centres, current, own)
        total = own.sum()
        inertia[row] = total
        if keep_all:
            labels[row] = current[:n_points]
        elif total < best:
            best = total
            labels[0] = current[:n_points]
