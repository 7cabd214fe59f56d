"""Whole questions: one clustering of the trained network, and an ensemble of its null networks.

The peer of the ensemble is the official pipeline on all cores, one process per core; of the single clustering,
scikit-learn with its default threads and with one. `ratio_table.py` measures the same with interleaved repeats; these
suites are for watching changes.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import netspectra as ns
from benchmarks.accuracy import (
    RESIDUAL_LIMIT,
    largest_residual,
    require_same_distribution,
)
from benchmarks.machine import n_cores
from benchmarks.official_pipeline import official_adjacency, official_clustering
from benchmarks.official_pool import OfficialPool, PeerSamples
from benchmarks.workloads import Workload

ENSEMBLE_ROUNDS = 3
CLUSTERING_ROUNDS = 10
PEER_ROUNDS = 5


# -- the ensemble of null networks; the peer comes first, its n-cuts are what ours are compared with


def test_ensemble_official(benchmark: Any, workload: Workload, peer_samples: PeerSamples) -> None:
    benchmark.group = f"{workload.name} ensemble"
    with OfficialPool(workload, n_cores()) as pool:
        ncuts = benchmark.pedantic(pool.ncuts, (peer_samples.seeds,), rounds=1)
    peer_samples.keep(workload, ncuts)
    _record_per_null(benchmark, len(ncuts))
    benchmark.extra_info["processes"] = n_cores()


@pytest.mark.parametrize("threads", ["all", "one"])
def test_ensemble(
    benchmark: Any, workload: Workload, peer_samples: PeerSamples, threads: str, pytestconfig: Any
) -> None:
    n_nulls = pytestconfig.getoption("--nulls")
    n_threads = n_cores() if threads == "all" else 1
    backend = ns.get_backend("cpu", n_threads=n_threads)
    laps: list[float] = []

    def ensemble(n: int = n_nulls) -> ns.ClusterabilityResult:
        result = ns.clusterability_test(
            workload.graph, workload.k, n_nulls=n, n_init=workload.n_init, backend=backend, progress=False
        )
        laps.append(result.timings["nulls"])
        return result

    benchmark.group = f"{workload.name} ensemble"
    ensemble(n_threads)
    laps.clear()
    result = benchmark.pedantic(ensemble, rounds=ENSEMBLE_ROUNDS)
    p = require_same_distribution(result.null_ncuts, peer_samples.of(workload, n_cores()))
    benchmark.extra_info.update(
        seconds_per_null=float(np.median(laps)) / n_nulls,
        nulls=n_nulls,
        threads=n_threads,
        ks_p=p,
        solver=result.solver,
        null_status=result.null_status,
    )


def _record_per_null(benchmark: Any, n_nulls: int) -> None:
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["seconds_per_null"] = benchmark.stats.stats.median / n_nulls
    benchmark.extra_info["nulls"] = n_nulls


# -- one clustering of the trained network


def test_clustering(benchmark: Any, workload: Workload) -> None:
    backend = ns.get_backend("cpu", n_threads=n_cores())
    benchmark.group = f"{workload.name} one clustering"

    def cluster() -> ns.Partition:
        return ns.spectral_clustering(workload.graph, workload.k, n_init=workload.n_init, backend=backend)

    part = benchmark.pedantic(cluster, rounds=CLUSTERING_ROUNDS, warmup_rounds=1)
    pairs = ns.eigenpairs(workload.graph, workload.k, backend=backend)
    residual = largest_residual(workload.weights, pairs.eigenvalues, pairs.eigenvectors)
    assert residual <= RESIDUAL_LIMIT
    np.testing.assert_allclose(part.eigenvalues, pairs.eigenvalues, atol=RESIDUAL_LIMIT)
    benchmark.extra_info.update(ncut=part.ncut, residual=residual, iterations=part.n_iterations)


@pytest.mark.parametrize("threads", ["default", "one"])
def test_clustering_sklearn(benchmark: Any, workload: Workload, threads: str) -> None:
    adjacency = official_adjacency(workload.weights)
    benchmark.group = f"{workload.name} one clustering"
    with threadpool_limits(limits=1) if threads == "one" else nullcontext():
        _, ncut = benchmark.pedantic(
            official_clustering, (adjacency, workload.k, workload.n_init, 0), rounds=PEER_ROUNDS, warmup_rounds=1
        )
    benchmark.extra_info["ncut"] = ncut
