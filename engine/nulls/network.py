"""One null network as a graph of its own."""

from typing import Any

import scipy.sparse as sp

from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.block import Block
from netspectra.graph.compact import compact
from netspectra.graph.device import HOST
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.placement import backend_for
from netspectra.kernels.weights import BlockWeights, CsrWeights
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
        Of a graph on a device: on that device, its blocks arrays of the backend there (CuPy).

    Raises
    ------
    GraphError
        If an argument makes no sense.
    """
    require_graph("graph", graph, LayerGraph)
    require_choice("null", null, NULL_MODELS)
    index, seed = require_index("index", index), require_seed(seed)
    machine = backend_for(graph, "cpu" if graph.device == HOST else "auto")
    with machine.session():
        whole = load_batch([graph], machine)
        small = compact(graph, machine.to_numpy(whole.degrees)[0]).graph
        observed = whole if small is graph else load_batch([small], machine)
        drawn = prepare_null(small, observed, null, seed).draw(machine, [index])
    return graph_of(small, drawn, 0)


def graph_of(like: LayerGraph, batch: GraphBatch, index: int) -> LayerGraph:
    """Member `index` of a batch as a graph with the layers and block marks of `like`; on the host if `like` is."""
    blocks = []
    for block, weights in zip(like.blocks, batch.select([index]).weights, strict=True):
        array = _host_weights(batch, weights) if like.device == HOST else _device_weights(weights)
        blocks.append(
            Block(block.source, block.target, array, learned=block.learned, fixed_support=block.fixed_support)
        )
    return LayerGraph(like.layers, tuple(blocks))


def _host_weights(batch: GraphBatch, weights: BlockWeights) -> Any:
    values = batch.backend.to_numpy(weights.values)[0]
    if not isinstance(weights, CsrWeights):
        return values
    indices, indptr = (batch.backend.to_numpy(a)[0] for a in (weights.indices, weights.indptr))
    stop = int(indptr[-1])
    return sp.csr_array((values[:stop], indices[:stop], indptr), shape=weights.shape)


def _device_weights(weights: BlockWeights) -> Any:
    if not isinstance(weights, CsrWeights):
        return weights.member(0)
    values, indices, indptr = weights.member(0)
    stop = int(indptr[weights.shape[0]])
    return DeviceCsr(values[:stop], indices[:stop], indptr, weights.shape)
