"""What the null n-cuts do not depend on: wave, threads, progress; and what they depend on by rounding only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from clustering.planted import chain, csr_chain, even_skip, planted_labels, random_chain
from numpy.testing import assert_array_equal
from scipy import stats
from sklearn.metrics import adjusted_rand_score

import netspectra as ns

WAVES = [(1, 1), (7, 1), (64, 1), (1, 2), (7, 2), (64, 2)]


def every_bit(result: ns.ClusterabilityResult) -> list[Any]:
    """Return all that the numbers of a result consist of."""
    part, seeds = result.partition, result.seed_sensitivity
    arrays = (result.null_ncuts, seeds.ncuts, part.labels, part.eigenvalues, part.residual_norms)
    return [
        *(a.tobytes() for a in arrays),
        result.ncut,
        part.inertia,
        result.p_value,
        result.z_score,
        result.null_status,
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "lobpcg"},
        {"select": "ncut"},
        {"null": "shuffle-nonzero"},
        {"null": "kde"},
        {"tol": 1e-7},
    ],
    ids=str,
)
def test_waves_and_threads_change_no_bit(options: dict[str, Any]) -> None:
    graph = random_chain((30, 24, 18), dtype=np.float32)
    found = []
    for batch_size, n_threads in WAVES:
        machine = ns.get_backend("cpu", n_threads=n_threads)
        result = ns.clusterability_test(
            graph, 4, n_nulls=70, n_init=2, seed=1, batch_size=batch_size, backend=machine, progress=False, **options
        )
        assert (result.batch_size, result.n_threads) == (batch_size, n_threads)
        found.append(every_bit(result))
    assert all(other == found[0] for other in found[1:])
    assert np.unique(np.frombuffer(found[0][0])).size == 70


@pytest.mark.parametrize("make", [csr_chain, even_skip])
def test_waves_and_threads_change_no_bit_of_other_graphs(make: Any) -> None:
    found = []
    for batch_size, n_threads in ((1, 1), (7, 2)):
        machine = ns.get_backend("cpu", n_threads=n_threads)
        result = ns.clusterability_test(make(), 4, n_nulls=15, n_init=2, batch_size=batch_size, backend=machine)
        found.append(every_bit(result))
    assert found[0] == found[1]


def test_tests_run_side_by_side_do_not_meet() -> None:
    graphs = [random_chain((30, 24, 18), dtype=np.float32, seed=seed) for seed in range(4)]

    def run(graph: ns.LayerGraph) -> list[Any]:
        return every_bit(ns.clusterability_test(graph, 4, n_nulls=20, n_init=2, progress=False))

    alone = [run(graph) for graph in graphs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, graphs)) == alone


def test_more_nulls_only_append() -> None:
    graph = random_chain()
    few, many = (ns.clusterability_test(graph, 4, n_nulls=n, n_init=2) for n in (5, 12))
    assert_array_equal(few.null_ncuts, many.null_ncuts[:5])


def test_another_seed_draws_other_nulls() -> None:
    graph = random_chain()
    one, other = (ns.clusterability_test(graph, 4, n_nulls=10, n_init=2, seed=seed) for seed in (0, 1))
    assert not set(one.null_ncuts) & set(other.null_ncuts)


def test_reference_and_cpu_agree_null_by_null() -> None:
    graph = random_chain((40, 30, 20, 10))
    one, other = (
        ns.clusterability_test(graph, 4, n_nulls=40, n_init=5, solver="dense", backend=name)
        for name in ("reference", "cpu")
    )
    assert (one.backend, other.backend) == ("reference", "cpu")
    assert (one.dtype, other.dtype) == ("float64", "float64")
    assert np.mean(np.abs(one.null_ncuts - other.null_ncuts) < 1e-6) >= 0.95
    assert np.abs(one.partition.eigenvalues - other.partition.eigenvalues).max() < 1e-10


@pytest.mark.parametrize("options", [{"null": "kde"}, {"select": "ncut"}], ids=str)
def test_reference_and_cpu_agree_in_the_other_modes(options: dict[str, Any]) -> None:
    graph = random_chain((20, 16, 12))
    one, other = (
        ns.clusterability_test(graph, 3, n_nulls=20, n_init=3, solver="dense", backend=name, **options)
        for name in ("reference", "cpu")
    )
    assert np.mean(np.abs(one.null_ncuts - other.null_ncuts) < 1e-6) >= 0.95


def test_both_solvers_sample_the_same_distribution() -> None:
    graph = random_chain((60, 50, 40), dtype=np.float32)
    dense, lobpcg = (ns.clusterability_test(graph, 5, n_nulls=150, n_init=5, solver=s) for s in ("dense", "lobpcg"))
    assert (dense.solver, lobpcg.solver) == ("dense", "lobpcg")
    assert dense.n_failed == lobpcg.n_failed == 0
    assert stats.ks_2samp(dense.null_ncuts, lobpcg.null_ncuts, method="asymp").pvalue > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenvalues_of_nulls_agree_across_solvers(dtype: type) -> None:
    graph = random_chain((60, 50, 40), dtype=dtype)
    nulls = [ns.null_network(graph, i) for i in range(10)]
    dense, lobpcg = (ns.eigenpairs(nulls, 5, solver=s) for s in ("dense", "lobpcg"))
    for one, other in zip(dense, lobpcg, strict=True):
        assert one.converged
        assert other.converged
        assert np.abs(one.eigenvalues - other.eigenvalues).max() <= 10 * other.tol


def test_eigenvalues_of_nulls_agree_across_dtypes() -> None:
    for i in range(10):
        narrow, wide = (
            ns.eigenpairs(ns.null_network(random_chain((60, 50, 40), dtype=t), i), 5) for t in (np.float32, np.float64)
        )
        assert np.abs(narrow.eigenvalues - wide.eigenvalues).max() <= 10 * narrow.tol


def test_labels_agree_where_the_gap_is_open(backend: Any) -> None:
    for options in ({"solver": "dense"}, {"solver": "lobpcg"}, {"tol": 1e-8}):
        found = ns.clusterability_test(chain(), 4, n_nulls=0, n_init=3, backend=backend, **options)
        assert found.partition.gap > 0.5
        assert adjusted_rand_score(planted_labels((20, 16, 12), 4), found.labels) == 1.0
