"""Whether a verdict hangs on the k-means seed is told with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clustering.planted import chain, random_chain

import netspectra as ns
from netspectra.kernels.keys import derive_seed
from netspectra.significance.sensitivity import N_SEEDS, seed_sensitivity
from netspectra.significance.statistics import compare


@pytest.fixture(scope="module")
def result() -> ns.ClusterabilityResult:
    """Test a network without modules with one restart, so that seeds matter."""
    return ns.clusterability_test(random_chain((40, 50, 30)), 6, n_nulls=30, n_init=1, seed=5)


def test_the_further_seeds_are_those_derived_from_the_run(result: ns.ClusterabilityResult) -> None:
    found = result.seed_sensitivity
    assert found.n_seeds == N_SEEDS == 20
    graph = random_chain((40, 50, 30))
    alone = [ns.spectral_clustering(graph, 6, n_init=1, seed=derive_seed(5, i)).ncut for i in range(20)]
    np.testing.assert_array_equal(found.ncuts, alone)
    assert np.unique(found.ncuts).size > 1


def test_ranges_hold_the_run_and_all_further_seeds(result: ns.ClusterabilityResult) -> None:
    found, every = result.seed_sensitivity, [*result.seed_sensitivity.ncuts, result.ncut]
    assert found.ncut_range == (min(every), max(every))
    each = [compare(value, result.null_ncuts, 6e-9) for value in every]
    assert found.p_range == (min(s.p_value for s in each), max(s.p_value for s in each))
    assert found.z_range == (min(s.z_score for s in each), max(s.z_score for s in each))
    assert found.p_range[0] <= result.p_value <= found.p_range[1]


@pytest.mark.parametrize(
    ("observed", "further", "sensitive"),
    [
        (0.5, [0.5, 0.6], False),  # p = 1/40 for every seed
        (0.5, [0.6, 5.0], True),  # one seed above the nulls
        (5.0, [6.0, 0.5], True),  # the run itself above them, another seed not
        (5.0, [6.0, 7.0], False),  # never below 0.05
    ],
)
def test_sensitive_is_where_the_range_of_p_crosses_the_level(
    observed: float, further: list[float], sensitive: bool
) -> None:
    nulls = np.linspace(1, 2, 39)
    assert seed_sensitivity(observed, np.array(further), nulls, 1e-9).sensitive is sensitive


def test_p_of_exactly_the_level_is_significant() -> None:
    nulls = np.linspace(1, 2, 19)  # p = 1/20 below them all, 2/20 above one
    assert not seed_sensitivity(0.0, np.array([0.5]), nulls, 1e-9).sensitive
    assert seed_sensitivity(0.0, np.array([1.01]), nulls, 1e-9).sensitive


def test_without_nulls_there_is_a_range_of_ncuts_only() -> None:
    found = seed_sensitivity(1.0, np.array([2.0, 0.5]), np.empty(0), 1e-9)
    assert found.ncut_range == (0.5, 2.0)
    assert (found.z_range, found.p_range, found.sensitive) == (None, None, False)


def test_a_sensitive_verdict_says_so_and_what_to_choose(result: ns.ClusterabilityResult) -> None:
    unsure = replace(result.seed_sensitivity, sensitive=True, p_range=(0.008, 0.24))
    found = replace(result, seed_sensitivity=unsure)
    assert found.verdict.startswith("Seed-sensitive: ")
    assert "p goes from 0.008 to 0.24" in found.verdict
    assert "select='ncut'" in found.verdict
    assert found.summary().endswith(found.verdict)


def test_planted_modules_hang_on_no_seed() -> None:
    found = ns.clusterability_test(chain(), 4, n_nulls=39)
    assert not found.seed_sensitivity.sensitive
    assert np.ptp(found.seed_sensitivity.ncuts) < 1e-12
    assert found.verdict.endswith("for every k-means seed tried.")
