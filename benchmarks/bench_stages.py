"""The stages of one null network, one thread on all sides, each beside its peers on the same null network.

See :mod:`netspectra.bindings.bench.stages` for who they are. Every result is checked before its time is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from benchmarks.contest_rounds import time_side
from netspectra.bindings.bench.contests import OURS
from netspectra.bindings.bench.inertia import compare_inertia
from netspectra.bindings.bench.stages import StageContests
from netspectra.bindings.bench.workloads import ChainWorkload

pytestmark = pytest.mark.usefixtures("one_core")

ROUNDS, PEER_ROUNDS = 20, 5
KMEANS_SETS = 100

PEERS = {
    "shuffle": ("NumPy permutation",),
    "build": ("official adjacency matrix",),
    "operator": ("SciPy CSR S X (both halves)",),
    "dense eigenpairs": ("SciPy eigh",),
    "eigen": ("SciPy eigsh", "SciPy lobpcg", "scikit-learn spectral_embedding"),
    "k-means": ("scikit-learn KMeans",),
    "n-cut": ("official n-cut",),
    "whole null": ("official pipeline",),
}
CASES = [(stage, side) for stage, peers in PEERS.items() for side in (OURS, *peers)]


@pytest.fixture(scope="module")
def contests() -> Callable[[ChainWorkload], StageContests]:
    """Return contests of a workload, prepared once."""
    return cache(StageContests)


@pytest.mark.parametrize(("stage", "side"), CASES)
def test_stage(
    benchmark: Any, workload: ChainWorkload, contests: Callable[[Any], StageContests], stage: str, side: str
) -> None:
    prepared = contests(workload)
    if stage not in prepared.names:
        pytest.skip(f"{workload.name} has no stage {stage!r}")
    time_side(benchmark, prepared.contest(stage), side, ROUNDS if side == OURS else PEER_ROUNDS)


def test_inertia(benchmark: Any, workload: ChainWorkload, contests: Callable[[Any], StageContests]) -> None:
    if workload.graph.n_edges > 1_000_000:
        pytest.skip("scikit-learn takes minutes for so many embeddings of this size")
    benchmark.group = f"{workload.name} inertia of {KMEANS_SETS} embeddings"
    figures = benchmark.pedantic(compare_inertia, (contests(workload), KMEANS_SETS))
    benchmark.extra_info.update(figures)
