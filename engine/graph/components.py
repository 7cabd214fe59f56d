"""Connected components of a layer graph: on the host over its blocks, on a device by floods through its backend.

On the host, sparse blocks go to ``scipy.sparse.csgraph``; a graph with dense blocks is searched breadth-first over the
blocks themselves, every node's row or column read at most once, and nothing of the size of a block is allocated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from netspectra.graph.batch import GraphBatch
from netspectra.graph.block import Block
from netspectra.graph.device import HOST
from netspectra.graph.flood import flood_components
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.panels import PANEL_ELEMENTS

__all__ = ["component_labels", "components_of"]

Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


def components_of(batch: GraphBatch, index: int, graph: Callable[[], LayerGraph]) -> tuple[int, Labels]:
    """Components among the live nodes of member `index` of a batch, as :func:`component_labels` returns them.

    `graph` gives that member as a graph on the host; it is not called where the machine is another.
    """
    if batch.backend.device != HOST:
        return flood_components(batch, index)
    return component_labels(graph(), batch.backend.to_numpy(batch.live)[index])


def component_labels(graph: LayerGraph, live: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, Labels]:
    """Return (number of components among `live` nodes, component of each node (n,) int32, -1 for the others).

    The graph is on the host; `live` (n,) bool marks the nodes that have an edge.
    """
    if all(block.is_sparse for block in graph.blocks):
        return _sparse_components(graph, live)
    waiting, finished = -1, -2
    labels = np.where(live, waiting, finished).astype(np.int32)
    halves = [half for block in graph.blocks for half in _halves(graph, block)]
    count = 0
    while (unseen := np.flatnonzero(labels == waiting)).size:
        _flood(halves, labels, int(unseen[0]), count)
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


@dataclass(frozen=True)
class _Half:
    """One direction of a block: row i of `edges` holds what joins node i of `here` to the nodes of `there`."""

    here: slice
    there: slice
    edges: Any
    triangle: int
    """1 or -1 where only entries right or left of the diagonal count (a dense symmetric block), else 0."""

    def reached(self, nodes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which nodes of `there` have an edge to any of `nodes`."""
        out = np.zeros(self.edges.shape[1], bool)
        if not isinstance(self.edges, np.ndarray):
            out[self.edges[nodes].indices] = True
            return out
        step = max(1, PANEL_ELEMENTS // max(1, out.size))
        for first in range(0, nodes.size, step):
            some = nodes[first : first + step]
            part = self.edges[some] != 0
            if self.triangle:
                part &= self.triangle * (np.arange(out.size)[None, :] - some[:, None]) > 0
            out |= part.any(axis=0)
            if out.all():
                break
        return out


def _halves(graph: LayerGraph, block: Block) -> list[_Half]:
    """Both directions of a block."""
    source, target = graph.layer_slice(int(block.source)), graph.layer_slice(int(block.target))
    edges: Any = block.weights
    if block.is_sparse:
        edges = sp.csr_array(sp.triu(edges, k=1)) if block.is_symmetric else edges.copy()
        edges.eliminate_zeros()
        return [_Half(source, target, edges, 0), _Half(target, source, edges.T.tocsr(), 0)]
    triangle = int(block.is_symmetric)
    return [_Half(source, target, edges, triangle), _Half(target, source, edges.T, -triangle)]


def _flood(halves: list[_Half], labels: Labels, start: int, number: int) -> None:
    """Label everything that can be reached from `start`."""
    labels[start] = number
    frontier = np.array([start])
    while frontier.size:
        found = []
        for half in halves:
            nodes = frontier[(frontier >= half.here.start) & (frontier < half.here.stop)] - half.here.start
            waiting = np.flatnonzero(labels[half.there] == -1)
            if nodes.size and waiting.size:
                hit = half.there.start + waiting[half.reached(nodes)[waiting]]
                labels[hit] = number
                found.append(hit)
        frontier = np.concatenate(found) if found else np.empty(0, np.int64)
