"""The certificate: no partition at all is below ``ncut_lower_bound``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from clustering.brute_force import best_two_way, dense_adjacency, small_graphs
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip, random_chain
from hypothesis import assume, given
from hypothesis import strategies as st

import netspectra as ns
from netspectra.clustering.certificate import certify

GRAPHS = [chain, csr_chain, even_skip, adjacency_graph, random_chain]


@given(small_graphs())
def test_the_best_of_all_partitions_in_two_lies_between_bound_and_ncut(graph: ns.LayerGraph) -> None:
    A = dense_adjacency(graph)
    live = A.sum(axis=1) > 0
    part = ns.spectral_clustering(graph, 2, n_init=3)
    best = best_two_way(A[np.ix_(live, live)])
    assert part.ncut_lower_bound <= best + 1e-12
    assert best <= part.ncut + 1e-12


@given(small_graphs(), st.data())
def test_no_partition_is_below_the_bound(graph: ns.LayerGraph, data: st.DataObject) -> None:
    A = dense_adjacency(graph)
    live = np.flatnonzero(A.sum(axis=1))
    k = data.draw(st.integers(2, min(4, live.size)))
    names = data.draw(st.lists(st.integers(0, k - 1), min_size=live.size, max_size=live.size))
    assume(len(set(names)) == k)
    labels = np.full(graph.n_nodes, -1)
    labels[live] = names
    part = ns.spectral_clustering(graph, k, n_init=1)
    assume(part.n_nonempty == k)
    assert ns.ncut(graph, labels) >= part.ncut_lower_bound - 1e-12


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("make", GRAPHS)
def test_the_bound_is_the_sum_of_the_eigenvalues_less_what_is_not_known(
    make: Callable[[], ns.LayerGraph], solver: str
) -> None:
    graph = make()
    part = ns.spectral_clustering(graph, 4, solver=solver)
    exact = np.linalg.eigvalsh(ns.normalized_laplacian(graph).toarray())[:4].sum()
    assert part.ncut_lower_bound <= exact + 1e-12
    assert part.ncut_lower_bound >= exact - 4 * (part.residual_norms.max() + 1e-4)
    assert part.relative_gap == pytest.approx((part.ncut - part.ncut_lower_bound) / part.ncut)


def test_only_a_dense_solve_proves() -> None:
    graph = chain()
    assert ns.spectral_clustering(graph, 4, solver="dense").bound_status == "proved"
    assert ns.spectral_clustering(graph, 4, solver="lobpcg").bound_status == "conditional"


def test_counts_as_many_eigenvalues_as_there_are_clusters() -> None:
    values, slack = np.array([0.0, 0.1, 0.3, 0.5]), np.zeros(4)
    for n_nonempty, bound in [(4, 0.9), (3, 0.4), (1, 0.0)]:
        assert certify(values, slack, n_nonempty, 1.0, proved=True).ncut_lower_bound == pytest.approx(bound)


def test_slack_lowers_each_eigenvalue_but_not_below_zero() -> None:
    proof = certify(np.array([0.0, 0.1, 0.3]), np.array([0.5, 0.03, 0.5]), 3, 0.7, proved=False)
    assert proof.ncut_lower_bound == pytest.approx(0.07)
    assert proof.relative_gap == pytest.approx((0.7 - 0.07) / 0.7)
    assert certify(np.zeros(2), np.zeros(2), 2, 0.0, proved=True).relative_gap == 0.0


def test_float32_stays_below_what_float64_knows() -> None:
    wide, narrow = (ns.spectral_clustering(random_chain(dtype=t), 5) for t in (np.float64, np.float32))
    assert narrow.ncut_lower_bound <= wide.eigenvalues.sum()
    assert narrow.ncut_lower_bound == pytest.approx(wide.ncut_lower_bound, abs=1e-3)
