"""Null networks of ours in scikit-learn's pipeline: a module of its own, so that worker processes can import it.

With 25 restarts chosen by inertia, the n-cut of one network scatters over k-means seeds about as much as n-cuts do over
null networks. So each null network is scored under several seeds on both sides, and the means are compared: what is
left is a difference between the pipelines.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import k_means
from sklearn.manifold import spectral_embedding
from threadpoolctl import threadpool_limits

import netspectra as ns
from netspectra.bindings.bench.official_pipeline import official_adjacency, official_ncut

__all__ = ["OUR_SEED", "mean_ncuts"]

OUR_SEED, THEIR_SEEDS = 1, range(6)
K, N_INIT = 12, 25


def mean_ncuts(task: tuple[str, int]) -> tuple[float, float]:
    """Return the mean n-cut over k-means seeds of one null network: ours (21 seeds) and scikit-learn's (6)."""
    name, index = task
    null = ns.null_network(ns.example_graph(name), index, seed=OUR_SEED)
    with threadpool_limits(limits=1):
        found = ns.clusterability_test(null, K, n_nulls=0, n_init=N_INIT, backend=ns.get_backend("cpu", n_threads=1))
        theirs = _peer_ncuts([np.asarray(block.weights) for block in null.blocks])
    return float(np.mean([found.ncut, *found.seed_sensitivity.ncuts])), float(np.mean(theirs))


def _peer_ncuts(weights: list[np.ndarray]) -> list[float]:
    """Do what ``SpectralClustering(12, eigen_solver="arpack", affinity="precomputed", n_init=25)`` does, per seed."""
    adjacency = official_adjacency(weights)
    maps = spectral_embedding(adjacency, n_components=K, eigen_solver="arpack", random_state=0, drop_first=False)
    labels = [k_means(maps, K, n_init=N_INIT, random_state=seed)[1] for seed in THEIR_SEEDS]
    return [official_ncut(adjacency, each) for each in labels]
