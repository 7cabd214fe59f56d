"""Against scikit-learn's SpectralClustering, the procedure of the published numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.brute_force import dense_adjacency
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip, random_chain
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

import netspectra as ns


def peer_labels(graph: ns.LayerGraph, k: int, seed: int) -> np.ndarray:
    """Cluster a graph's adjacency matrix with scikit-learn."""
    peer = SpectralClustering(
        k, eigen_solver="arpack", affinity="precomputed", assign_labels="kmeans", n_init=25, random_state=seed
    )
    return np.asarray(peer.fit_predict(sp.csr_array(dense_adjacency(graph))))


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("make", [chain, csr_chain, even_skip, adjacency_graph])
def test_equal_on_well_separated_modules(make: Callable[..., ns.LayerGraph], k: int) -> None:
    graph = make(**({"n": 90} if make is adjacency_graph else {"sizes": (40, 30, 20)}), k=k)
    theirs = peer_labels(graph, k, 0)
    part = ns.spectral_clustering(graph, k)
    assert adjusted_rand_score(theirs, part.labels) == 1.0
    assert part.ncut == pytest.approx(ns.ncut(graph, theirs), rel=1e-12)


def test_as_good_on_graphs_without_modules() -> None:
    graphs = [random_chain((60, 50, 40), seed=seed) for seed in range(10)]
    ours = np.array([part.ncut for part in ns.spectral_clustering(graphs, 6)])
    theirs = np.array([ns.ncut(graph, peer_labels(graph, 6, seed)) for seed, graph in enumerate(graphs)])
    assert abs(np.median(ours - theirs)) < 0.01
    assert np.abs(ours - theirs).max() < 0.1
