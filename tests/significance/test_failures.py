"""Null networks that cannot be solved: counted, conservative in p, warned about, and too many of them an error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import netspectra as ns
from netspectra.errors import NullFailureError
from netspectra.significance.statistics import compare, tie_width


def sparse_graph() -> ns.LayerGraph:
    """Return a 10-10 block of 16 edges in which no node is isolated; shuffled, it leaves 12 to 20 nodes alive."""
    rng = np.random.default_rng(0)
    W = np.diag(rng.uniform(0.5, 1.5, 10))
    places = rng.choice(np.flatnonzero(W == 0), 6, replace=False)
    W.ravel()[places] = rng.uniform(0.5, 1.5, 6)
    return ns.LayerGraph.from_weights([W])


def n_live(graph: ns.LayerGraph) -> int:
    """Count the nodes that have an edge."""
    edges = np.asarray(graph.blocks[0].weights) != 0
    return int(edges.any(axis=0).sum() + edges.any(axis=1).sum())


def test_few_failures_are_counted_and_warned_about() -> None:
    graph, k, n_nulls = sparse_graph(), 13, 300
    too_few = np.array([n_live(ns.null_network(graph, i)) < k for i in range(n_nulls)])
    assert 0 < too_few.sum() <= 3
    message = (
        rf"{too_few.sum()} of 300 null networks failed \(.*{too_few.sum()} too_few_nodes.*\); each counts as at or"
    )
    with pytest.warns(RuntimeWarning, match=message) as caught:
        result = ns.clusterability_test(graph, k, n_nulls=n_nulls, n_init=1)
    assert caught[0].filename == __file__
    assert result.n_failed == too_few.sum() == result.null_status["too_few_nodes"]
    np.testing.assert_array_equal(np.isnan(result.null_ncuts), too_few)
    below = int(np.sum(result.null_ncuts <= result.ncut + tie_width(k, float64=True))) + result.n_failed
    assert result.p_value == (1 + below) / (1 + n_nulls)
    assert result.null_mean == pytest.approx(np.nanmean(result.null_ncuts))
    assert f"{result.n_failed} failed" in result.summary()


def test_many_failures_are_an_error_that_carries_the_result() -> None:
    graph, k = sparse_graph(), 17
    with pytest.raises(NullFailureError, match="the p-value would mean little: take fewer clusters") as caught:
        ns.clusterability_test(graph, k, n_nulls=50, n_init=1)
    partial = caught.value.partial_result
    assert isinstance(partial, ns.ClusterabilityResult)
    assert isinstance(caught.value, RuntimeError)
    assert partial.n_failed > 0.01 * 50
    assert partial.n_failed == sum(n_live(ns.null_network(graph, i)) < k for i in range(50))
    expected = compare(partial.ncut, partial.null_ncuts, tie_width(k, float64=True))
    assert partial.p_value == expected.p_value
    assert f"{partial.n_failed} of 50 null networks failed" in str(caught.value)


def test_the_limit_is_one_in_a_hundred() -> None:
    graph = sparse_graph()
    short = [i for i in range(300) if n_live(ns.null_network(graph, i)) < 13]
    assert len(short) == 1
    assert short[0] < 98
    with pytest.raises(NullFailureError, match=r"^1 of 99 "):
        ns.clusterability_test(graph, 13, n_nulls=99, n_init=1)
    with pytest.warns(RuntimeWarning, match=r"^1 of 100 "):
        ns.clusterability_test(graph, 13, n_nulls=100, n_init=1)


def test_as_many_live_nodes_as_clusters_are_enough() -> None:
    graph = sparse_graph()
    fewest = min(n_live(ns.null_network(graph, i)) for i in range(300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = ns.clusterability_test(graph, fewest, n_nulls=300, n_init=1)
    assert result.n_failed == 0
    assert np.isfinite(result.null_ncuts).all()


def test_without_failures_nobody_is_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ns.clusterability_test(sparse_graph(), 4, n_nulls=30, n_init=1).n_failed == 0
