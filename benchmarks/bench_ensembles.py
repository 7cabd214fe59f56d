"""Whole questions: one clustering of a network, and an ensemble of its null networks.

The peer of the ensemble is the official pipeline on all cores, one process per core; of the single clustering,
scikit-learn with its default threads and with one. ``python -m benchmarks.run ensembles`` measures the same with
interleaved repeats; these suites are for watching changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.contest_rounds import time_side
from benchmarks.peer_samples import PeerSamples
from netspectra.bindings.bench.accuracy import require_same_distribution
from netspectra.bindings.bench.clusterings import clustering_contest
from netspectra.bindings.bench.contests import OURS
from netspectra.bindings.bench.ensembles import our_ensemble
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.official_pool import OfficialPool
from netspectra.bindings.bench.workloads import ChainWorkload

ENSEMBLE_ROUNDS = 3
CLUSTERING_ROUNDS, PEER_ROUNDS = 10, 5


# -- the ensemble of null networks; the peer comes first, its n-cuts are what ours are compared with


def test_ensemble_official(benchmark: Any, workload: ChainWorkload, peer_samples: PeerSamples) -> None:
    benchmark.group = f"{workload.name} ensemble"
    seeds = peer_samples.seeds(workload)
    with OfficialPool(workload, n_cores()) as pool:
        ncuts = benchmark.pedantic(pool.ncuts, (seeds,), rounds=1)
    peer_samples.keep(workload, ncuts)
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["seconds_per_null"] = benchmark.stats.stats.median / len(seeds)
    benchmark.extra_info.update(nulls=len(seeds), processes=n_cores())


@pytest.mark.parametrize("threads", ["all", "one"])
def test_ensemble(
    benchmark: Any, workload: ChainWorkload, peer_samples: PeerSamples, threads: str, n_nulls: int
) -> None:
    n_threads = n_cores() if threads == "all" else 1
    laps: list[float] = []

    def ensemble(count: int = n_nulls) -> Any:
        result = our_ensemble(workload, n_threads, count, seed=0)
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


# -- one clustering


@pytest.mark.parametrize("side", [OURS, "scikit-learn", "scikit-learn, one thread"])
def test_clustering(benchmark: Any, workload: ChainWorkload, side: str) -> None:
    time_side(benchmark, clustering_contest(workload), side, CLUSTERING_ROUNDS if side == OURS else PEER_ROUNDS)
