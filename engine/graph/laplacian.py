"""The explicit adjacency matrix and normalized Laplacian, as SciPy sparse arrays."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from netspectra.graph.arrays import working_dtype
from netspectra.graph.layer_graph import LayerGraph
from netspectra.validation import require_graph

__all__ = ["adjacency", "normalized_laplacian"]


def adjacency(graph: LayerGraph) -> sp.csr_array:
    """Symmetric adjacency matrix ``A``, edge weight ``|w|``, blocks between the same layers added up.

    Returns
    -------
    scipy.sparse.csr_array, shape (n, n)
        In the working dtype (float64, or float32 for everything narrower), without explicit zeros.
    """
    dtype = working_dtype(graph.dtype)
    index = np.int32 if graph.n_nodes < 2**31 else np.int64  # scikit-learn takes 32-bit indices only
    rows, cols, values = [], [], []
    for block in graph.blocks:
        coo = sp.coo_array(block.weights if block.is_sparse else np.asarray(block.weights).astype(dtype))
        edge = coo.data != 0
        if block.is_symmetric:
            edge &= coo.row < coo.col
        rows.append(coo.row[edge].astype(index) + index(graph.offsets[int(block.source)]))
        cols.append(coo.col[edge].astype(index) + index(graph.offsets[int(block.target)]))
        values.append(np.abs(coo.data[edge]).astype(dtype))
    i, j, w = np.concatenate(rows), np.concatenate(cols), np.concatenate(values)
    ends: Any = (np.concatenate([i, j]), np.concatenate([j, i]))
    return sp.csr_array((np.concatenate([w, w]), ends), shape=(graph.n_nodes, graph.n_nodes))


def normalized_laplacian(graph: LayerGraph) -> sp.csr_array:
    """Symmetric normalized Laplacian ``L = I - D^-1/2 A D^-1/2``, spectrum in [0, 2].

    Rows and columns of isolated nodes are zero, as in SciPy and NetworkX.

    Parameters
    ----------
    graph : LayerGraph

    Returns
    -------
    scipy.sparse.csr_array, shape (n, n)
        In the working dtype (float64, or float32 for everything narrower). For looking at and for small graphs: the
        solvers of netspectra never build it.

    Raises
    ------
    GraphError
        If `graph` is no graph.
    """
    A = adjacency(require_graph("graph", graph, LayerGraph))
    degrees = np.asarray(A.sum(axis=1, dtype=np.float64)).ravel()
    live = degrees > 0
    scale = np.zeros_like(degrees)
    scale[live] = 1.0 / np.sqrt(degrees[live])
    coo = A.tocoo()
    values = -(coo.data * (scale[coo.row] * scale[coo.col]))  # symmetric to the last bit
    nodes = np.flatnonzero(live).astype(coo.row.dtype)
    ends: Any = (np.concatenate([coo.row, nodes]), np.concatenate([coo.col, nodes]))
    data = np.concatenate([values, np.ones(nodes.size)]).astype(A.dtype)
    return sp.csr_array((data, ends), shape=A.shape)
