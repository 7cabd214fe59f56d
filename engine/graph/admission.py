"""What a graph must have before anything is asked of its spectrum: weights in every learned block, and enough nodes."""

from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch
from netspectra.graph.layer_graph import LayerGraph
from netspectra.validation import require_clusters, require_graph

__all__ = ["as_graphs", "check_live"]


def as_graphs(graph: Any) -> list[LayerGraph]:
    """Return the argument `graph` of a call, one graph or a sequence of them, as a list.

    Raises
    ------
    GraphError
        If it, or a member, is no graph.
    """
    members = list(graph) if isinstance(graph, list | tuple) else [graph]
    return [
        require_graph("graph" if len(members) == 1 else f"graph[{i}]", g, LayerGraph) for i, g in enumerate(members)
    ]


def check_live(batch: GraphBatch, graphs: list[LayerGraph], name: str, k: int) -> None:
    """Refuse a learned block without any weight, and more clusters than there are non-isolated nodes.

    Raises
    ------
    GraphError
        Naming the block, or `name`, the argument that holds `k`.
    """
    backend = batch.backend
    for number, block in enumerate(graphs[0].blocks):
        rows, _ = backend.block_degrees(batch.weights[number])
        empty = np.flatnonzero(backend.to_numpy(rows).max(axis=1, initial=0.0) == 0)
        if block.learned and empty.size:
            layers = graphs[int(empty[0])].layers
            msg = (
                f"blocks[{number}] ({layers[int(block.source)].name} -> {layers[int(block.target)].name}): all weights "
                "are zero, expected at least one non-zero; the layers it joins are cut apart: check the checkpoint or "
                "its pruning, or leave the block out"
            )
            raise GraphError(msg)
    for n_live in backend.to_numpy(batch.live).sum(axis=1):
        require_clusters(name, k, 1, int(n_live))
