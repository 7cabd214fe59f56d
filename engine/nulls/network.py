"""One null network as a graph of its own."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.block import Block
from netspectra.graph.compact import compact
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels import get_backend
from netspectra.kernels.weights import CsrWeights
from netspectra.nulls.model import NULL_MODELS, NullName, prepare_null
from netspectra.validation import require_choice, require_graph, require_index, require_seed

__all__ = ["graph_of", "null_network"]


def null_network(graph: LayerGraph, index: int, null: NullName = "shuffle", seed: int | None = 0) -> LayerGraph:
    """Null replicate `index` of a graph: exactly the network that ``clusterability_test`` scores under that number.

    Parameters
    ----------
    graph : LayerGraph
    index : int
        Replicate number, at least 0.
    null : {"shuffle", "shuffle-nonzero", "kde", "kde-nonzero"}
    seed : int, optional
        In [0, 2**64).

    Returns
    -------
    LayerGraph
        The layers of `graph` without its isolated nodes (weights are shuffled after their removal), so smaller where
        there are any; storage of each block as in `graph`, except that the KDE models give 16-bit blocks in float32.

    Raises
    ------
    GraphError
        If an argument makes no sense.
    """
    require_graph("graph", graph, LayerGraph)
    require_choice("null", null, NULL_MODELS)
    index, seed = require_index("index", index), require_seed(seed)
    machine = get_backend("cpu")
    with machine.session():
        whole = load_batch([graph], machine)
        small = compact(graph, whole.degrees[0]).graph
        observed = whole if small is graph else load_batch([small], machine)
        drawn = prepare_null(small, observed, null, seed).draw(machine, [index])
    return graph_of(small, drawn, 0)


def graph_of(like: LayerGraph, batch: GraphBatch, index: int) -> LayerGraph:
    """Member `index` of a batch as a graph on the host, with the layers and block marks of `like`."""
    blocks = []
    for block, weights in zip(like.blocks, batch.select([index]).weights, strict=True):
        values = batch.backend.to_numpy(weights.values)[0]
        array: sp.csr_array | np.ndarray[Any, Any] = values
        if isinstance(weights, CsrWeights):
            indices, indptr = (batch.backend.to_numpy(a)[0] for a in (weights.indices, weights.indptr))
            stop = int(indptr[-1])
            array = sp.csr_array((values[:stop], indices[:stop], indptr), shape=weights.shape)
        blocks.append(
            Block(block.source, block.target, array, learned=block.learned, fixed_support=block.fixed_support)
        )
    return LayerGraph(like.layers, tuple(blocks))
