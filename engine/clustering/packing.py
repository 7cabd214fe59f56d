"""Graphs with at least k components: no eigenproblem, the components are packed into k clusters and nothing is cut."""

import heapq
from typing import Any

import numpy as np

__all__ = ["pack_components"]


def pack_components(
    components: "np.ndarray[Any, np.dtype[np.int32]]", degrees: "np.ndarray[Any, np.dtype[np.float64]]", n_clusters: int
) -> "np.ndarray[Any, np.dtype[np.int32]]":
    """Labels (n,) int32: components by volume, the largest first, each into the lightest cluster so far.

    `components` (n,) numbers the component of each node, -1 for isolated nodes, which get label -1.
    """
    live = components >= 0
    volume = np.bincount(components[live], weights=degrees[live])
    order = np.argsort(-volume, kind="stable")
    cluster_of = np.full(volume.size, -1, np.int32)
    lightest = [(0.0, cluster) for cluster in range(n_clusters)]
    for component in order:
        weight, cluster = heapq.heappop(lightest)
        cluster_of[component] = cluster
        heapq.heappush(lightest, (weight + float(volume[component]), cluster))
    return np.where(live, cluster_of[components], np.int32(-1))
