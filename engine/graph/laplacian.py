"""The explicit adjacency matrix and normalized Laplacian, sparse, where the weights are.

For a graph on the host they are SciPy's arrays; for one on a device its backend assembles them there.
"""

from typing import Any

import array_api_compat.numpy
import numpy as np
import scipy.sparse as sp

from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.device import HOST
from netspectra.graph.dtypes import working_dtype
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.panels import take_flat
from netspectra.graph.placement import backend_for
from netspectra.kernels.backend import Array
from netspectra.kernels.weights import stored_rows
from netspectra.validation import require_graph

__all__ = ["adjacency", "normalized_laplacian"]

Triplets = tuple[Array, Array, Array]


def adjacency(graph: LayerGraph) -> Any:
    """Symmetric adjacency matrix ``A``, edge weight ``|w|``, blocks between the same layers added up.

    Returns
    -------
    scipy.sparse.csr_array, shape (n, n)
        In the working dtype (float64, or float32 for everything narrower), without explicit zeros. Of a graph on a
        device the sparse array of its backend, on that device.
    """
    if graph.device == HOST:
        return _host_csr(_both_ways(array_api_compat.numpy, _host_edges(graph)), graph.n_nodes)
    machine = backend_for(graph)
    with machine.session():
        batch = load_batch([graph], machine)
        values, rows, cols = _both_ways(machine.xp, _batch_edges(graph, batch))
        return machine.csr_array(values, rows, cols, (graph.n_nodes, graph.n_nodes))


def normalized_laplacian(graph: LayerGraph) -> Any:
    """Symmetric normalized Laplacian ``L = I - D^-1/2 A D^-1/2``, spectrum in [0, 2].

    Rows and columns of isolated nodes are zero, as in SciPy and NetworkX.

    Parameters
    ----------
    graph : LayerGraph

    Returns
    -------
    scipy.sparse.csr_array, shape (n, n)
        In the working dtype (float64, or float32 for everything narrower). For looking at and for small graphs: the
        solvers of netspectra never build it. Of a graph on a CUDA device a ``cupyx.scipy.sparse.csr_matrix`` on it.

    Raises
    ------
    GraphError
        If `graph` is no graph.
    """
    require_graph("graph", graph, LayerGraph)
    if graph.device == HOST:
        edges = _host_edges(graph)
        values, rows, cols = edges
        degrees = sum(np.bincount(end, values, graph.n_nodes) for end in (rows, cols))
        return _host_csr(_laplacian_triplets(array_api_compat.numpy, edges, degrees), graph.n_nodes)
    machine = backend_for(graph)
    with machine.session():
        batch = load_batch([graph], machine)
        triplets = _laplacian_triplets(machine.xp, _batch_edges(graph, batch), batch.degrees[0, :])
        return machine.csr_array(*triplets, (graph.n_nodes, graph.n_nodes))


def _host_edges(graph: LayerGraph) -> Triplets:
    stored = [(b.weights.data, b.weights.indices, b.weights.indptr) if b.is_sparse else b.weights for b in graph.blocks]
    return _edges(array_api_compat.numpy, graph, stored)


def _batch_edges(graph: LayerGraph, batch: GraphBatch) -> Triplets:
    return _edges(batch.backend.xp, graph, [weights.member(0) for weights in batch.weights])


def _edges(xp: Any, graph: LayerGraph, stored: list[Any]) -> Triplets:
    """Every edge once: ``|w|`` in the working dtype, source node, target node."""
    dtype = getattr(xp, working_dtype(graph.dtype).name)
    index = xp.int32 if graph.n_nodes < 2**31 else xp.int64  # scikit-learn takes 32-bit indices only
    parts: list[list[Array]] = [[], [], []]
    for block, weights in zip(graph.blocks, stored, strict=True):
        values, rows, cols = _stored_edges(xp, weights, block.shape, symmetric=block.is_symmetric)
        parts[0].append(xp.abs(xp.astype(values, dtype)))
        parts[1].append(xp.astype(rows + int(graph.offsets[int(block.source)]), index))
        parts[2].append(xp.astype(cols + int(graph.offsets[int(block.target)]), index))
    values, rows, cols = (xp.concat(part) for part in parts)
    return values, rows, cols


def _stored_edges(xp: Any, weights: Any, shape: tuple[int, int], *, symmetric: bool) -> Triplets:
    """Non-zero weights of a block and their rows and columns (of the upper triangle if symmetric)."""
    if not isinstance(weights, tuple):
        mask = xp.triu(weights != 0, k=1) if symmetric else weights != 0
        rows, cols = xp.nonzero(mask)
        return take_flat(weights, rows * shape[1] + cols), rows, cols
    data, indices, indptr = weights
    cols = xp.astype(indices, xp.int64)
    rows = stored_rows(xp, indptr, int(data.shape[0]))
    kept = xp.nonzero((data != 0) & (rows < cols) if symmetric else data != 0)[0]
    values, rows, cols = (xp.take(array, kept, axis=0) for array in (data, rows, cols))
    return values, rows, cols


def _both_ways(xp: Any, edges: Triplets) -> Triplets:
    values, rows, cols = edges
    return xp.concat([values, values]), xp.concat([rows, cols]), xp.concat([cols, rows])


def _laplacian_triplets(xp: Any, edges: Triplets, degrees: Array) -> Triplets:
    """Entries of ``L``: the edges both ways, and a one on the diagonal of every node that has any."""
    values, rows, cols = edges
    live = degrees > 0
    scale = xp.where(live, 1.0 / xp.sqrt(xp.where(live, degrees, xp.ones_like(degrees))), xp.zeros_like(degrees))
    scaled = -(values * (xp.take(scale, rows, axis=0) * xp.take(scale, cols, axis=0)))  # symmetric to the last bit
    entries, i, j = _both_ways(xp, (xp.astype(scaled, values.dtype), rows, cols))
    nodes = xp.astype(xp.nonzero(live)[0], rows.dtype)
    ones = xp.ones_like(xp.take(degrees, nodes, axis=0), dtype=values.dtype)
    return xp.concat([entries, ones]), xp.concat([i, nodes]), xp.concat([j, nodes])


def _host_csr(triplets: Triplets, n_nodes: int) -> sp.csr_array:
    values, rows, cols = triplets
    ends: Any = (rows, cols)
    return sp.csr_array((values, ends), shape=(n_nodes, n_nodes))
