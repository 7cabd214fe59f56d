"""Large graphs at a size for watching changes: W3's shape (``--width``), and a planted partition (``--nodes``)."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.contest_rounds import time_side
from netspectra.bindings.bench.accuracy import adjusted_rand_index, require
from netspectra.bindings.bench.contests import OURS, Contest
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.planted import PlantedPartition
from netspectra.bindings.bench.solvers import EIGEN_PEERS, solver_contest
from netspectra.bindings.bench.workloads import DEEP, normal_weights
from netspectra.clustering import spectral_clustering
from netspectra.graph import LayerGraph
from netspectra.kernels import get_backend

ROUNDS = 3
N_INIT = 4


@pytest.fixture(scope="module")
def chain(pytestconfig: pytest.Config) -> Contest:
    """Eigenpairs of W3's layers in another width; ours is asked once, for the peers need its last eigenvalue."""
    width = pytestconfig.getoption("--width")
    weights, backend = normal_weights((width,) * DEEP.n_layers), get_backend("cpu", n_threads=n_cores())
    contest = solver_contest(f"W3 in width {width}: eigenpairs", weights, 16, backend, peer_seconds=120)
    contest.sides[OURS]()
    return contest


@pytest.mark.parametrize("side", [OURS, *EIGEN_PEERS])
def test_chain(benchmark: Any, chain: Contest, side: str) -> None:
    time_side(benchmark, chain, side, ROUNDS)


@pytest.fixture(scope="module")
def planted(pytestconfig: pytest.Config) -> Contest:
    """Clustering of a planted partition, the adjacency matrix ready-made for both."""
    from sklearn.cluster import SpectralClustering

    partition = PlantedPartition(pytestconfig.getoption("--nodes"))
    A, k = partition.adjacency(), partition.n_groups
    graph, backend = LayerGraph.from_adjacency(A), get_backend("cpu", n_threads=n_cores())
    peer = SpectralClustering(k, eigen_solver="lobpcg", affinity="precomputed", n_init=N_INIT, random_state=0)

    def check(side: str, labels: Any) -> dict[str, Any]:
        ari = adjusted_rand_index(labels, partition.labels)
        require(side != OURS or ari > 0.95, f"ARI {ari:.3f}")
        return {"ari": ari}

    sides = {
        OURS: lambda: spectral_clustering(graph, k, n_init=N_INIT, backend=backend).labels,
        "scikit-learn": lambda: peer.fit_predict(A),
    }
    return Contest(f"planted partition of {partition.n_nodes:,} nodes", sides, check, {"edges": A.nnz // 2})


@pytest.mark.parametrize("side", [OURS, "scikit-learn"])
def test_planted(benchmark: Any, planted: Contest, side: str) -> None:
    time_side(benchmark, planted, side, ROUNDS)
