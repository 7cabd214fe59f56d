"""Clusterability as the official code of arXiv:2103.03386 measures it.

The graph of a multi-layer perceptron has the absolute weights as edges and no
biases; nodes without edges are removed; scikit-learn's spectral clustering
labels the nodes; and the score is ``sum_c cut(c) / vol(c)``. A null network
permutes every weight matrix within itself. netspectra is compared with this
module in the tests and timed against it in the benchmarks, so nothing in it is
faster or slower than that pipeline, and nothing of netspectra is used in it.
scikit-learn is imported where it is called.

Known departures: the denominator of the n-cut has no 1e-8 added, a null network
uses one seed for its shuffle and its clustering, and the shuffle draws from PCG64.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["official_adjacency", "official_clustering", "official_ncut", "official_null"]

Weights = Sequence[NDArray[np.floating[Any]]]


def official_adjacency(weights: Weights) -> sp.csr_array:
    """Build the weighted adjacency matrix of a network without its isolated nodes.

    Parameters
    ----------
    weights : sequence of (n_in, n_out) arrays
        Weight matrices in the order of the layers.

    Returns
    -------
    csr_array of float64, shape (n_live, n_live)
        Symmetric; nodes in the order of the layers, those of degree 0 left out.
    """
    live = _live_weights(weights)
    n_layers = len(live) + 1
    blocks: list[list[Any]] = [[None] * n_layers for _ in range(n_layers)]
    for i, weight in enumerate(live):
        block = sp.csr_array(np.abs(weight, dtype=np.float64))
        blocks[i][i + 1] = block
        blocks[i + 1][i] = block.T
    return sp.csr_array(sp.block_array(blocks, format="csr"))


def official_ncut(adjacency: sp.csr_array, labels: NDArray[np.integer[Any]]) -> float:
    """Sum over the clusters of the weight that leaves them by their volume.

    Parameters
    ----------
    adjacency : csr_array of float64, shape (n, n)
        Symmetric, every node of positive degree.
    labels : integer array, shape (n,)
        Cluster of each node, from 0.

    Returns
    -------
    float
        ``sum_c cut(c) / vol(c)``; labels that no node has contribute nothing.
    """
    _, cluster = np.unique(labels, return_inverse=True)
    n = len(cluster)
    membership = sp.csr_array((np.ones(n), (np.arange(n), cluster)))
    between = (membership.T @ adjacency @ membership).toarray()
    volume = between.sum(axis=1)
    return float(np.sum((volume - np.diag(between)) / volume))


def official_clustering(adjacency: sp.csr_array, k: int, n_init: int, seed: int) -> tuple[NDArray[np.int32], float]:
    """Cluster a graph with scikit-learn and score the partition.

    Parameters
    ----------
    adjacency : csr_array of float64, shape (n, n)
        Symmetric, every node of positive degree.
    k : int
        Number of clusters.
    n_init : int
        Restarts of k-means.
    seed : int
        Random state of ARPACK's start vector and of k-means.

    Returns
    -------
    labels : int32 array, shape (n,)
        Cluster of each node.
    ncut : float
        Score of `labels`, see `official_ncut`.
    """
    from sklearn.cluster import SpectralClustering

    clustering = SpectralClustering(
        n_clusters=k,
        eigen_solver="arpack",
        affinity="precomputed",
        assign_labels="kmeans",
        n_init=n_init,
        random_state=seed,
    )
    labels = clustering.fit_predict(adjacency)
    return labels, official_ncut(adjacency, labels)


def official_null(weights: Weights, seed: int, k: int, n_init: int) -> float:
    """Score one null network, whose weight matrices are permuted within themselves.

    Nodes that are isolated in the observed network are removed before the
    shuffle, those that the shuffle isolates after it.

    Parameters
    ----------
    weights : sequence of (n_in, n_out) arrays
        Weight matrices of the observed network, in the order of the layers.
    seed : int
        Seed of the permutations (``Generator(PCG64(seed))``, one generator for
        the layers in their order) and random state of the clustering.
    k : int
        Number of clusters.
    n_init : int
        Restarts of k-means.

    Returns
    -------
    float
        The n-cut of the null network.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    shuffled = [rng.permutation(weight.ravel()).reshape(weight.shape) for weight in _live_weights(weights)]
    _, ncut = official_clustering(official_adjacency(shuffled), k, n_init, seed)
    return ncut


def _live_weights(weights: Weights) -> list[NDArray[np.floating[Any]]]:
    """Restrict the weight matrices to the nodes that have an edge at all."""
    nonzero = [weight != 0 for weight in weights]
    live = [nonzero[0].any(axis=1)]
    live += [left.any(axis=0) | right.any(axis=1) for left, right in pairwise(nonzero)]
    live += [nonzero[-1].any(axis=0)]
    return [weight[np.ix_(live[i], live[i + 1])] for i, weight in enumerate(weights)]
