"""The networks that the benchmarks run on: W1 (dense), W1p (pruned) and one of 2e8 edges.

W1 and W1p are the two trained networks that ship in the package, 784-256-256-256-256-10, clustered into 12 with 25
restarts of k-means, as arXiv:2103.03386 does. Both sides of a benchmark get the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import netspectra as ns

__all__ = ["WIDE_EDGES", "WORKLOADS", "Workload", "wide_weights"]

_WIDE_BLOCKS = 5
_WIDE_SIZE = 6325
WIDE_EDGES = _WIDE_BLOCKS * _WIDE_SIZE**2


@dataclass(frozen=True)
class Workload:
    """One trained network and what is asked of it.

    Attributes
    ----------
    name : str
        As the design calls it.
    title : str
        As a table shows it.
    network : str
        Name for :func:`netspectra.example_graph`.
    k, n_init : int
        Clusters, restarts of k-means.
    """

    name: str
    title: str
    network: str
    k: int = 12
    n_init: int = 25

    @cached_property
    def graph(self) -> ns.LayerGraph:
        """The network as a user loads it."""
        return ns.example_graph(self.network)

    @cached_property
    def weights(self) -> list[NDArray[np.float32]]:
        """Its weight matrices (n_in, n_out) in memory, row-major: no peer pays for a file or a stride."""
        return [np.array(block.weights, order="C") for block in self.graph.blocks]


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", "W1: 784-256x4-10, dense", "mnist-mlp"),
        Workload("W1p", "W1p: the same, 90% pruned", "mnist-mlp-pruned"),
    )
}


def wide_weights(seed: int = 0) -> list[NDArray[np.float32]]:
    """Draw 5 dense blocks of 6,325 x 6,325 standard normals: 2e8 edges, 800 MB.

    Nothing larger than one block is ever allocated, so that a measurement of memory may follow.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = []
    for _ in range(_WIDE_BLOCKS):
        block = np.empty((_WIDE_SIZE, _WIDE_SIZE), np.float32)
        rng.standard_normal(out=block, dtype=np.float32)
        weights.append(block)
    return weights
