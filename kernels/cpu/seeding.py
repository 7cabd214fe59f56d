"""Greedy k-means++: of a few candidates drawn by squared distance, the one that leaves the least potential.

All candidates of a centre are tried in one pass over the points, and the nearest distances of the one that is kept are
those that the next centre starts from, without a copy. Weights are summed by block in float64, so a draw reads the sums
and one block.
"""

import numpy as np

from netspectra.kernels.cpu.jit import helper
from netspectra.kernels.cpu.point_blocks import nearer_in_block
from netspectra.kernels.cpu.random import uniform_double

__all__ = ["seed_centres"]


@helper
def seed_centres(blocks, n_points, n_clusters, key, restart, centres, candidates, nearest, weights):
    """Choose the first `n_clusters` rows of `centres` among the points; random numbers are keyed by centre and trial.

    candidates : (n_trials, d); nearest : (n_trials + 1, points padded); weights : (n_trials + 1, blocks) float64;
    the last three are scratch.
    """
    n_trials = candidates.shape[0]
    first = min(np.int64(uniform_double(key, restart, 0, 0) * n_points), n_points - 1)
    _copy_point(blocks, first, centres[0])
    nearest[0, :n_points] = np.inf
    nearest[0, n_points:] = 0
    for b in range(blocks.shape[0]):
        weights[0, b] = nearer_in_block(blocks, b, centres[0], nearest[0], nearest[0])
    kept, total = 0, _sum(weights[0])
    for c in range(1, n_clusters):
        for t in range(n_trials):
            threshold = uniform_double(key, restart, c, t) * total
            _copy_point(blocks, _sample(nearest[kept], weights[kept], threshold, n_points), candidates[t])
        for b in range(blocks.shape[0]):
            for t in range(n_trials):
                row = t if t < kept else t + 1
                weights[row, b] = nearer_in_block(blocks, b, candidates[t], nearest[kept], nearest[row])
        best, total = 0, np.inf
        for t in range(n_trials):
            potential = _sum(weights[t if t < kept else t + 1])
            if potential < total:
                best, total = t, potential
        kept = best if best < kept else best + 1
        centres[c] = candidates[best]


@helper
def _copy_point(blocks, i, out):
    lanes = blocks.shape[2]
    for f in range(blocks.shape[1]):
        out[f] = blocks[i // lanes, f, i % lanes]


@helper
def _sum(weights):
    """Sum in order: what :func:`_sample` reaches at the last block."""
    total = 0.0
    for b in range(weights.shape[0]):
        total = total + weights[b]
    return total


@helper
def _sample(values, weights, threshold, n_points):
    """First point at which the cumulative sum of `values`, whose sums by block are `weights`, exceeds `threshold`."""
    lanes = values.shape[0] // weights.shape[0]
    below, block = 0.0, 0
    while block < weights.shape[0] - 1 and below + weights[block] <= threshold:
        below += weights[block]
        block += 1
    for i in range(block * lanes, n_points):
        below += values[i]
        if below > threshold:
            return i
    return n_points - 1
