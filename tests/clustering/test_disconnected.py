"""Graphs that fall apart: components are packed into clusters, and nothing is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import random_chain
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.metrics import adjusted_rand_score

import netspectra as ns
from netspectra.clustering.packing import pack_components


def islands(sizes: list[tuple[int, int]], *, seed: int = 0, sparse: bool = False) -> ns.LayerGraph:
    """One component per pair (m, n), complete bipartite with random weights."""
    rng = np.random.default_rng(seed)
    W: Any = sp.block_diag([rng.uniform(0.5, 1.5, size) for size in sizes], format="csr")
    return ns.LayerGraph.from_weights([W if sparse else W.toarray()])


def component_of(sizes: list[tuple[int, int]]) -> np.ndarray[Any, Any]:
    ends = [[c] * size[end] for end in (0, 1) for c, size in enumerate(sizes)]
    return np.concatenate([np.array(part, int) for part in ends])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_with_at_least_k_components_nothing_is_cut(k: int, sparse: bool) -> None:
    sizes = [(5, 4), (3, 3), (4, 2), (2, 2)]
    part = ns.spectral_clustering(islands(sizes, sparse=sparse), k)
    assert part.status == "disconnected"
    assert (part.ncut, part.ncut_lower_bound, part.relative_gap) == (0.0, 0.0, 0.0)
    assert (part.bound_status, part.converged, part.n_nonempty) == ("proved", True, k)
    assert np.isnan(part.inertia)
    assert_array_equal(part.eigenvalues, np.zeros(k))
    assert part.in_out_ratio == float("inf")
    for c in range(4):  # no component is torn
        assert np.unique(part.labels[component_of(sizes) == c]).size == 1
    assert part.verdict.startswith("The graph falls apart: ")


def test_components_go_largest_first_into_the_lightest_cluster() -> None:
    components = np.repeat(np.arange(5), [1, 1, 2, 1, 1])
    degrees = np.array([3.0, 9.0, 2.0, 2.0, 5.0, 1.0])  # volumes 3, 9, 4, 5, 1
    labels = pack_components(components.astype(np.int32), degrees, 2)
    # cluster 0 gets 9, cluster 1 gets 5 and 4; the tie goes to cluster 0 (3), what is left to cluster 1 (1)
    assert_array_equal(labels, [0, 0, 1, 1, 1, 1])


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=12), st.integers(2, 5))
def test_packing_is_balanced_and_tears_nothing(volumes: list[float], k: int) -> None:
    k = min(k, len(volumes))
    components, degrees = np.repeat(np.arange(len(volumes)), 2), np.repeat(volumes, 2) / 2
    alone = np.r_[components, -1].astype(np.int32)
    labels = pack_components(alone, np.r_[degrees, 0.0], k)
    assert labels[-1] == -1
    assert_array_equal(labels[:-1:2], labels[1:-1:2])
    loads = np.bincount(labels[:-1], weights=degrees, minlength=k)
    assert loads.min() > 0
    assert loads.max() <= sum(volumes) / k + max(volumes)  # Graham's bound for list scheduling


def test_fewer_components_than_clusters_are_solved() -> None:
    sizes = [(8, 6), (6, 8), (7, 7)]
    graph = islands(sizes)
    part = ns.spectral_clustering(graph, 5)
    assert part.status == "converged"
    assert np.count_nonzero(np.abs(part.eigenvalues) < 1e-12) == 3
    for c in range(3):  # what is inside a cluster is inside a component
        mine = component_of(sizes) == c
        assert not set(part.labels[mine]) & set(part.labels[~mine])
    assert ns.spectral_clustering(graph, 3).status == "disconnected"


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_one_component_too_few_gives_the_same_as_all_components(solver: str) -> None:
    sizes = [(8, 6), (6, 8), (7, 7)]
    bridged = islands(sizes)
    W = np.array(bridged.blocks[0].weights)
    W[0, 10] = 1e-9
    part = ns.spectral_clustering(ns.LayerGraph.from_weights([W]), 3, solver=solver)
    assert part.converged
    assert adjusted_rand_score(component_of(sizes), part.labels) == 1.0
    assert 0 < part.ncut < 1e-9


def test_isolated_nodes_are_no_components() -> None:
    W = np.zeros((6, 5))
    W[:2, :2], W[3:5, 3:] = 1, 1
    part = ns.spectral_clustering(ns.LayerGraph.from_weights([W]), 2)
    assert part.status == "disconnected"
    assert_array_equal(np.flatnonzero(part.labels < 0), [2, 5, 8])
    assert part.n_nonempty == 2


@pytest.mark.parametrize("select", ["inertia", "ncut"])
def test_a_sequence_may_hold_both_kinds(select: str) -> None:
    whole = random_chain((9, 8))
    apart = islands([(3, 3), (4, 3), (2, 2)])
    graphs = [whole, apart, random_chain((9, 8), seed=1)]
    parts = ns.spectral_clustering(graphs, 3, n_init=3, select=select)
    assert [part.status for part in parts] == ["converged", "disconnected", "converged"]
    for graph, part in zip(graphs, parts, strict=True):
        alone = ns.spectral_clustering(graph, 3, n_init=3, select=select)
        assert_array_equal(part.labels, alone.labels)
        assert_array_equal([part.ncut, part.inertia, part.gap], [alone.ncut, alone.inertia, alone.gap])
        assert_array_equal(part.eigenvalues, alone.eigenvalues)


def test_all_of_a_sequence_apart() -> None:
    graphs = [islands([(3, 3), (4, 3), (2, 2)], seed=seed) for seed in range(3)]
    for graph, part in zip(graphs, ns.spectral_clustering(graphs, 2), strict=True):
        assert part.status == "disconnected"
        assert ns.ncut(graph, part.labels) == 0.0
