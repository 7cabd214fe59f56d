"""Removal of isolated nodes: they are no part of any cluster, and no weight may be shuffled onto them."""

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
import scipy.sparse as sp

from netspectra.graph.block import Block
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.layer import Layer
from netspectra.graph.layer_graph import LayerGraph

__all__ = ["CompactGraph", "compact"]


@dataclass(frozen=True)
class CompactGraph:
    """A graph without its isolated nodes, and where the others stood.

    Attributes
    ----------
    graph : LayerGraph
        The same layers, smaller by their isolated nodes (blocks that lose none are shared, not copied).
    live : ndarray, shape (n_original,), bool
        Which nodes of the original graph are left.
    """

    graph: LayerGraph
    live: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def n_isolated(self) -> int:
        """Nodes removed."""
        return int(self.live.size - np.count_nonzero(self.live))

    def expand(self, values: np.ndarray[Any, Any], fill: float) -> np.ndarray[Any, Any]:
        """Per-node values (n_left, …) in the original node order, `fill` for isolated nodes."""
        if self.n_isolated == 0:
            return values
        out = np.full((self.live.size, *values.shape[1:]), fill, values.dtype)
        out[self.live] = values
        return out


def compact(graph: LayerGraph, degrees: np.ndarray[Any, np.dtype[np.float64]]) -> CompactGraph:
    """Remove the nodes whose degree, shape (n,) on the host, is zero; weights on a device stay there."""
    live = degrees > 0
    if live.all():
        return CompactGraph(graph, live)
    kept = [live[graph.layer_slice(i)] for i in range(len(graph.layers))]
    layers = tuple(
        Layer(layer.name, int(np.count_nonzero(mask)), layer.kind)
        for layer, mask in zip(graph.layers, kept, strict=True)
    )
    blocks = tuple(_compact_block(block, kept[int(block.source)], kept[int(block.target)]) for block in graph.blocks)
    return CompactGraph(LayerGraph(layers, blocks), live)


def _compact_block(block: Block, rows: np.ndarray[Any, Any], cols: np.ndarray[Any, Any]) -> Block:
    if rows.all() and cols.all():
        return block
    W: Any = block.weights
    if isinstance(W, DeviceCsr):
        smaller: Any = W.between(rows, cols)
    elif block.is_sparse:
        smaller = sp.csr_array(W[np.flatnonzero(rows)][:, np.flatnonzero(cols)])
        smaller.sort_indices()
        smaller.data.flags.writeable = False
    elif isinstance(W, np.ndarray):
        smaller = W[np.ix_(rows, cols)]
        smaller.flags.writeable = False
    else:
        smaller = _between(W, rows, cols)
    return Block.of_checked(
        int(block.source), int(block.target), smaller, learned=block.learned, fixed_support=block.fixed_support
    )


def _between(W: Any, rows: np.ndarray[Any, Any], cols: np.ndarray[Any, Any]) -> Any:
    """Marked rows and columns of a dense array on a device; only their numbers travel."""
    xp, device = array_api_compat.array_namespace(W), array_api_compat.device(W)
    for axis, mask in enumerate((rows, cols)):
        if not mask.all():
            W = xp.take(W, xp.asarray(np.flatnonzero(mask).astype(np.int64), device=device), axis=axis)
    return W
