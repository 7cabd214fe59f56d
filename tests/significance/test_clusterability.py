"""The clusterability test as a whole: what it says of networks whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip, random_chain
from numpy.testing import assert_array_equal

import netspectra as ns
from netspectra.nulls.model import NULL_MODELS, NullName
from netspectra.significance.statistics import cohens_d, compare, tie_width


@pytest.fixture(scope="module")
def result() -> ns.ClusterabilityResult:
    """Test a network without modules in float32."""
    return ns.clusterability_test(random_chain(dtype=np.float32), 4, n_nulls=60, n_init=5, seed=8)


@pytest.mark.parametrize("make", [chain, csr_chain, even_skip, adjacency_graph])
def test_planted_modules_are_more_than_chance(make: type[ns.LayerGraph]) -> None:
    found = ns.clusterability_test(make(), 4, n_nulls=39, n_init=5)
    assert found.status == "ok"
    assert found.p_value == 1 / 40
    assert found.z_score is not None
    assert found.z_score < -10
    assert found.percentile == 0.0
    assert found.verdict.startswith(f"More modular than chance: n-cut {found.ncut:.4f} against {found.null_mean:.4f}")


@pytest.mark.parametrize("null", NULL_MODELS)
def test_every_null_model_is_told_from_planted_modules(null: NullName) -> None:
    found = ns.clusterability_test(chain(), 4, n_nulls=20, null=null, n_init=5)
    assert found.null == null
    assert found.n_failed == 0
    assert np.unique(found.null_ncuts).size == 20
    assert found.p_value == 1 / 21


def test_modules_in_the_pattern_are_seen_by_shuffle_but_not_by_what_keeps_the_pattern() -> None:
    inside = np.kron(np.eye(4), np.ones((6, 5)))
    W = np.where(inside + (np.random.default_rng(0).random(inside.shape) < 0.04), 1.0, 0.0)
    graph = ns.LayerGraph.from_weights([W * np.random.default_rng(1).uniform(0.9, 1.1, W.shape)])
    assert ns.clusterability_test(graph, 4, n_nulls=39, n_init=5).p_value == 1 / 40
    kept = ns.clusterability_test(graph, 4, n_nulls=39, n_init=5, null="shuffle-nonzero")
    assert kept.p_value is not None
    assert kept.p_value > 0.05


def test_the_partition_is_that_of_spectral_clustering(result: ns.ClusterabilityResult) -> None:
    part = ns.spectral_clustering(random_chain(dtype=np.float32), 4, n_init=5, seed=8)
    assert_array_equal(result.labels, part.labels)
    assert_array_equal(result.partition.eigenvalues, part.eigenvalues)
    assert (result.ncut, result.partition.ncut_lower_bound) == (part.ncut, part.ncut_lower_bound)


def test_statistics_are_those_of_the_nulls(result: ns.ClusterabilityResult) -> None:
    found = compare(result.ncut, result.null_ncuts, tie_width(4, float64=False))
    for name in ("p_value", "p_interval", "z_score", "percentile", "null_mean", "null_sd"):
        assert getattr(result, name) == getattr(found, name), name
    observed = np.append(result.seed_sensitivity.ncuts, result.ncut)
    assert result.cohens_d == pytest.approx(cohens_d(observed, result.null_ncuts))


def test_the_run_is_recorded(result: ns.ClusterabilityResult) -> None:
    recorded = (result.backend, result.device, result.dtype, result.solver, result.seed, result.null, result.select)
    assert recorded == ("cpu", "cpu", "float32", "dense", 8, "shuffle", "inertia")
    assert (result.n_clusters, result.n_nulls, result.n_failed, result.n_init, result.n_isolated) == (4, 60, 0, 5, 0)
    assert result.null_ncuts.shape == (60,)
    assert result.null_ncuts.dtype == np.float64
    assert sum(result.null_status.values()) == 60
    assert {"total", "compile"} <= result.timings.keys()
    assert result.batch_size == result.plan.batch_size
    assert result.version


def test_the_summary_ends_with_the_verdict(result: ns.ClusterabilityResult) -> None:
    assert result.summary().splitlines()[-1] == result.verdict
    assert "n-cut" in result.summary()
    assert f"ncut={result.ncut:.4f}" in repr(result)


def test_no_nulls_give_the_partition_alone() -> None:
    found = ns.clusterability_test(random_chain(), 4, n_nulls=0)
    assert found.status == "no_nulls"
    assert found.null_ncuts.shape == (0,)
    missing = ("p_value", "p_interval", "z_score", "percentile", "cohens_d", "null_mean", "null_sd")
    assert [getattr(found, name) for name in missing] == [None] * 7
    assert (found.seed_sensitivity.p_range, found.seed_sensitivity.z_range) == (None, None)
    assert found.verdict == f"Not tested: {found.partition.verdict}"
    assert found.summary().endswith(found.verdict)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nulls_that_are_all_the_network_itself_leave_it_open(dtype: type) -> None:
    layers = [ns.Layer(name, size) for name, size in (("a", 9), ("b", 8), ("c", 7), ("d", 6))]
    values = [(0, 1, 0.7), (1, 2, -0.01), (2, 3, 0.5)]  # equal within each block: every shuffle changes nothing
    blocks = [ns.Block(i, j, np.full((layers[i].size, layers[j].size), v, dtype)) for i, j, v in values]
    found = ns.clusterability_test(ns.LayerGraph.from_blocks(layers, blocks), 2, n_nulls=12)
    assert found.status == "degenerate_null"
    assert found.z_score is not None
    assert math.isnan(found.z_score)
    assert found.p_value == 1.0
    assert found.verdict.startswith("Cannot tell: ")
    assert found.summary().endswith(found.verdict)


def test_a_single_null_has_no_spread_but_a_verdict_that_holds() -> None:
    found = ns.clusterability_test(random_chain(), 4, n_nulls=1, n_init=3)
    assert found.z_score is not None
    assert math.isnan(found.z_score)
    assert found.p_value in (0.5, 1.0)
    assert "do not vary" not in found.verdict  # one value cannot


def test_one_block_that_is_shuffled_beside_one_that_is_not() -> None:
    layers = [ns.Layer("a", 20), ns.Layer("b", 20)]
    rng = np.random.default_rng(0)
    noise = np.abs(rng.standard_normal((20, 20)))
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, noise), ns.Block(0, 1, 20 * np.eye(20), learned=False)])
    found = ns.clusterability_test(graph, 4, n_nulls=20, n_init=5)
    assert found.null_mean == pytest.approx(found.ncut, rel=0.05)  # the identity dominates, and stays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_apart_are_compared_with_nulls_apart(dtype: type) -> None:
    layers = [ns.Layer(name, 60) for name in "abcdef"]
    rng = np.random.default_rng(0)
    blocks = [ns.Block(i, i + 1, rng.uniform(0.1, 1, (60, 60)).astype(dtype)) for i in (0, 2, 4)]
    found = ns.clusterability_test(ns.LayerGraph.from_blocks(layers, blocks), 3, n_nulls=20, n_init=3)
    assert found.partition.status == "disconnected"
    assert_array_equal(found.null_ncuts, np.zeros(20))
    assert found.null_status == {"disconnected": 20}
    assert (found.p_value, found.status) == (1.0, "degenerate_null")
    assert_array_equal(found.seed_sensitivity.ncuts, np.zeros(20))


def test_nulls_that_fall_apart_are_packed() -> None:
    graph = ns.LayerGraph.from_weights([sp.csr_array(np.eye(12) + 0.01 * np.eye(12, k=1) + 0.01 * np.eye(12, k=-11))])
    found = ns.clusterability_test(graph, 2, n_nulls=20, null="shuffle", n_init=3)
    assert found.partition.status == "converged"
    assert set(found.null_status) <= {"converged", "disconnected"}
    apart = [len(components(ns.null_network(graph, i))) > 1 for i in range(20)]
    assert any(apart)
    assert_array_equal(found.null_ncuts == 0, apart)


def components(graph: ns.LayerGraph) -> set[int]:
    """Return the numbers of the components that have an edge."""
    pattern = ns.normalized_laplacian(graph)
    _, labels = sp.csgraph.connected_components(pattern, directed=False)
    return set(labels[pattern.diagonal() > 0].tolist())


def test_a_seed_of_none_is_drawn_and_recorded() -> None:
    one, other = (ns.clusterability_test(random_chain(), 3, n_nulls=3, n_init=1, seed=None) for _ in range(2))
    assert one.seed != other.seed
    again = ns.clusterability_test(random_chain(), 3, n_nulls=3, n_init=1, seed=one.seed)
    assert_array_equal(one.null_ncuts, again.null_ncuts)
