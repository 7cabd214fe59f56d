"""Connected components of a layer graph, counted once on the host.

Sparse blocks go to ``scipy.sparse.csgraph``; a graph with dense blocks is searched breadth-first over the blocks
themselves, every node's row or column read at most once, and nothing of the size of a block is allocated.
"""

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from netspectra.graph.layer_graph import LayerGraph

__all__ = ["component_labels"]

Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
_CHUNK = 4096


def component_labels(graph: LayerGraph, live: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, Labels]:
    """Return (number of components among `live` nodes, component of each node (n,) int32, -1 for the others).

    `live` (n,) bool marks the nodes that have an edge.
    """
    if all(block.is_sparse for block in graph.blocks):
        return _sparse_components(graph, live)
    waiting, finished = -1, -2
    labels = np.where(live, waiting, finished).astype(np.int32)
    count = 0
    while (unseen := np.flatnonzero(labels == waiting)).size:
        _flood(graph, labels, int(unseen[0]), count)
        count += 1
    labels[labels == finished] = -1
    return count, labels


def _sparse_components(graph: LayerGraph, live: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, Labels]:
    rows, cols = [], []
    for block in graph.blocks:
        weights: Any = block.weights
        coo = weights.tocoo()
        edge = coo.data != 0
        if block.is_symmetric:
            edge &= coo.row < coo.col
        rows.append(coo.row[edge] + graph.offsets[int(block.source)])
        cols.append(coo.col[edge] + graph.offsets[int(block.target)])
    i, j = np.concatenate(rows), np.concatenate(cols)
    pattern = sp.csr_array((np.ones(i.size, np.int8), (i, j)), shape=(graph.n_nodes, graph.n_nodes))
    _, every = connected_components(pattern, directed=False)
    names, labels = np.unique(every[live], return_inverse=True)
    out = np.full(graph.n_nodes, -1, np.int32)
    out[live] = labels
    return int(names.size), out


def _flood(graph: LayerGraph, labels: Labels, start: int, number: int) -> None:
    """Label everything that can be reached from `start`."""
    labels[start] = number
    frontier = np.array([start])
    while frontier.size:
        found = []
        for block in graph.blocks:
            source, target = graph.layer_slice(int(block.source)), graph.layer_slice(int(block.target))
            for here, there, by_row in ((source, target, True), (target, source, False)):
                nodes = frontier[(frontier >= here.start) & (frontier < here.stop)] - here.start
                waiting = np.flatnonzero(labels[there] == -1)
                if nodes.size and waiting.size:
                    hit = there.start + waiting[_reached(block, nodes, by_row)[waiting]]
                    labels[hit] = number
                    found.append(hit)
        frontier = np.concatenate(found) if found else np.empty(0, np.int64)


def _reached(block: Any, nodes: np.ndarray[Any, Any], by_row: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which nodes at the other end of a block have an edge to any of `nodes`."""
    W = block.weights
    if block.is_sparse:
        support = (sp.triu(W, k=1) if block.is_symmetric else W) != 0
        part = sp.csr_array(support)[nodes] if by_row else sp.csr_array(support.T)[nodes]
        return np.asarray(part.sum(axis=0)).ravel() > 0
    out = np.zeros(W.shape[1 if by_row else 0], bool)
    step = max(1, _CHUNK * 256 // max(1, out.size))
    for first in range(0, nodes.size, step):
        some = nodes[first : first + step]
        part = np.asarray(W[some] if by_row else W[:, some].T) != 0
        if block.is_symmetric:
            other = np.arange(out.size)[None, :]
            part &= (other > some[:, None]) if by_row else (other < some[:, None])
        out |= part.any(axis=0)
        if out.all():
            break
    return out
