"""Connected components on the machine itself: floods of 0/1 vectors through the block product.

``reached = reached or |W| reached > 0`` from several nodes at once, one column each, until nothing changes; columns
that meet are one component. A vector is set back to 0 and 1 after every step, so that nothing can overflow or fade
away, and only what is known of a few columns (which have met, how much they hold) goes to the host on the way.
"""

from typing import Any, TypeAlias

import numpy as np
from scipy.sparse.csgraph import connected_components

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array

__all__ = ["flood_components"]

Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

SEEDS = 16
"""Nodes that the first round floods from, few as most networks are one component; each further round takes twice as
many, up to :data:`MAX_SEEDS`."""
MAX_SEEDS = 256


def flood_components(batch: GraphBatch, index: int) -> tuple[int, Labels]:
    """Return what :func:`~netspectra.graph.components.component_labels` does, for a member of a batch on any machine.

    Returns
    -------
    count : int
        Components among the live nodes.
    labels : ndarray, shape (n,), int32
        Component of each node, numbered by their first nodes; -1 for isolated ones.
    """
    one = batch.member(index)
    live = one.backend.to_numpy(one.live)[0]
    labels = np.full(live.size, -1, np.int32)
    count, width = 0, SEEDS
    while (waiting := np.flatnonzero(live & (labels < 0))).size:
        n_seeds = min(width, waiting.size)
        far_apart = np.arange(n_seeds) * waiting.size // n_seeds  # so that a long chain takes fewer steps
        reached = _flood(one, waiting[far_apart], waiting.size)
        found, which = np.nonzero(reached)
        labels[found] = count + which
        count, width = count + reached.shape[1], min(2 * width, MAX_SEEDS)
    return count, _numbered_by_first(labels, count)


def _flood(one: GraphBatch, seeds: "np.ndarray[Any, Any]", n_waiting: int) -> "np.ndarray[Any, Any]":
    """Which nodes each component that holds a seed has, (n, n_found) bool on the host."""
    backend, xp = one.backend, one.backend.xp
    wide = any(weights.values.dtype == xp.float64 for weights in one.weights)
    dtype = xp.float64 if wide else xp.float32
    start = np.zeros((one.structure.n_nodes, seeds.size), bool)
    start[seeds, np.arange(seeds.size)] = True
    reached, held = xp.astype(backend.asarray(start), dtype), seeds.size
    while True:
        reached = _step(one, reached)
        # How many nodes two columns share; their own sizes on the diagonal. Exact below 2**24 nodes in float32, and
        # beyond that still zero only if there is none.
        shared = backend.to_numpy(xp.matmul(xp.matrix_transpose(reached), reached))
        merged = _merged(one, reached, shared)
        before, held = held, int(xp.count_nonzero(merged))
        settled = merged is reached and held == before  # without a merger, what is held can only grow
        reached = merged
        if settled or (int(reached.shape[1]) == 1 and held == n_waiting):
            return backend.to_numpy(reached) > 0


def _step(one: GraphBatch, reached: Array) -> Array:
    """What is reached, and everything one edge away from it, (n, c) of 0 and 1."""
    xp, structure = one.backend.xp, one.structure
    parts = [reached[structure.layer_slice(i), :] > 0 for i in range(len(structure.sizes))]
    for (source, target), weights in zip(structure.ends, one.weights, strict=True):
        ends = (reached[structure.layer_slice(end), :][None, ...] for end in (source, target))
        found = one.backend.block_product(weights, *ends)
        for layer, y in zip((source, target), found, strict=True):
            assert y is not None
            parts[layer] = parts[layer] | (y[0, ...] > 0)
    return xp.astype(xp.concat(parts, axis=0), reached.dtype)


def _merged(one: GraphBatch, reached: Array, shared: "np.ndarray[Any, Any]") -> Array:
    """Columns with a node in common made one."""
    count, group = connected_components(shared > 0, directed=False)
    if count == group.size:
        return reached
    xp = one.backend.xp
    chosen = one.backend.asarray((group[:, None] == np.arange(count)[None, :]).astype(np.float64))
    return xp.astype(xp.matmul(reached, xp.astype(chosen, reached.dtype)) > 0, reached.dtype)


def _numbered_by_first(labels: Labels, count: int) -> Labels:
    """The same components, numbered in the order of their first nodes."""
    if not count:
        return labels
    names, first = np.unique(labels, return_index=True)
    names, first = names[names >= 0], first[names >= 0]
    number = np.full(count + 1, -1, np.int32)
    number[names[np.argsort(first)]] = np.arange(count, dtype=np.int32)
    return number[labels]
