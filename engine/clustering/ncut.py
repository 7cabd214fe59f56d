"""The normalized cut of a partition: ``sum_c cut(c) / vol(c)``.

Source: J. Shi, J. Malik, IEEE TPAMI 22 (2000), for k clusters as in arXiv:2103.03386; clusters of zero volume
contribute nothing (the official code adds 1e-8 to the denominator instead).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.errors import LimitError
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.placement import backend_for
from netspectra.kernels import Backend
from netspectra.kernels.backend import Array
from netspectra.validation import require_graph, require_labels

__all__ = ["ClusterVolumes", "cluster_volumes", "ncut", "ncut_of"]


MAX_LABELS = 10_000
"""Distinct labels whose pairwise sums are still kept in memory (800 MB)."""


@dataclass(frozen=True)
class ClusterVolumes:
    """Volumes and cuts of every member's clusters, both (B, k) float64: degrees inside, and weight leaving."""

    volume: Array
    cut: Array


def cluster_volumes(batch: GraphBatch, labels: Array, n_clusters: int) -> ClusterVolumes:
    """Volume (sum of degrees) and cut (weight to any other node) of each cluster, for int32 labels (B, n).

    Cuts are summed over the edges that are cut, never as a difference: the cut of a component is exactly 0.
    """
    xp, structure = batch.backend.xp, batch.structure
    total: Any = 0.0
    for (source, target), block in zip(structure.ends, batch.weights, strict=True):
        sums = batch.backend.cluster_sums(
            block, labels[:, structure.layer_slice(source)], labels[:, structure.layer_slice(target)], n_clusters
        )
        total = total + sums + xp.matrix_transpose(sums)
    rows = total[:, :n_clusters, :]
    inside = xp.eye(n_clusters, n_clusters + 1, dtype=xp.float64)[None, :, :]
    return ClusterVolumes(xp.sum(rows, axis=2), xp.sum(rows * (1.0 - inside), axis=2))


def ncut_of(batch: GraphBatch, volumes: ClusterVolumes) -> Array:
    """n-cut of every member, (B,) float64."""
    xp = batch.backend.xp
    positive = volumes.volume > 0
    safe = xp.where(positive, volumes.volume, xp.ones_like(volumes.volume))
    return xp.sum(xp.where(positive, volumes.cut / safe, xp.zeros_like(safe)), axis=1)


def ncut(graph: LayerGraph, labels: Any, *, backend: "str | Backend" = "auto") -> float:
    """Normalized cut of a labelling: ``sum_c cut(c) / vol(c)``, between 0 and the number of clusters.

    Parameters
    ----------
    graph : LayerGraph
    labels : array_like, shape (n,), integer
        Any non-negative integers; label -1 is no cluster (its nodes count only as outside the others).
    backend : str or Backend

    Returns
    -------
    float

    Raises
    ------
    GraphError
        If there is not one integer label of at least -1 per node.
    LimitError
        If there are more than 10,000 distinct labels.

    Examples
    --------
    >>> import numpy as np, netspectra as ns
    >>> graph = ns.LayerGraph.from_weights([np.eye(2)])
    >>> ns.ncut(graph, [0, 1, 0, 1])
    0.0
    """
    require_graph("graph", graph, LayerGraph)
    wanted = require_labels(labels, graph.n_nodes)
    names, compact = np.unique(wanted[wanted >= 0], return_inverse=True)
    dense = np.full(wanted.size, -1, np.int32)
    dense[wanted >= 0] = compact
    if names.size > MAX_LABELS:
        msg = f"labels: at most {MAX_LABELS:,} distinct clusters, got {names.size:,}; merge some"
        raise LimitError(msg)
    machine = backend_for(graph, backend)
    with machine.session():
        batch = load_batch([graph], machine)
        volumes = cluster_volumes(batch, machine.asarray(dense[None]), max(1, names.size))
        return float(machine.to_numpy(ncut_of(batch, volumes))[0])
