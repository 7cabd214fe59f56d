"""The numbers that the method stands on: scikit-learn's pipeline and the published mean, on the shipped networks.

``tests/reference/official_nulls.npz`` holds null n-cuts made by ``netspectra.bindings.bench.official_pipeline`` with
NumPy permutations; ``make_official_nulls.py`` beside it made the file.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clustering.planted import chain
from scipy import stats
from significance.handover import OUR_SEED, mean_ncuts

import netspectra as ns
from netspectra.bindings.bench.official_pipeline import official_adjacency, official_clustering

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("mnist-mlp", "mnist-mlp-pruned")
N_NULLS = 200


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    """Return one process per core, at most four."""
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def sample() -> Callable[[str], np.ndarray]:
    """Return a reader of the committed null n-cuts of a network."""
    with np.load(ROOT / "tests" / "reference" / "official_nulls.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    assert (header["k"], header["n_init"]) == (12, 25)
    return lambda name: arrays[f"{name.replace('-', '_')}_nulls"]


@pytest.fixture(scope="module", params=NETWORKS)
def tested(request: pytest.FixtureRequest) -> tuple[str, ns.ClusterabilityResult]:
    """Test a shipped network with 200 nulls, as published."""
    graph = ns.example_graph(request.param)
    return request.param, ns.clusterability_test(graph, 12, n_nulls=N_NULLS, seed=OUR_SEED, progress=False)


@pytest.mark.slow
def test_our_null_networks_score_the_same_in_scikit_learns_pipeline(
    tested: tuple[str, ns.ClusterabilityResult], workers: ProcessPoolExecutor
) -> None:
    name, result = tested
    n_handed_over = {"mnist-mlp": 30, "mnist-mlp-pruned": 20}[name]  # the dense one scatters more over seeds
    ours, theirs = np.array(list(workers.map(mean_ncuts, [(name, index) for index in range(n_handed_over)]))).T
    assert result.null_sd is not None
    assert abs(float(np.median(ours - theirs))) < result.null_sd / 4
    assert np.corrcoef(ours, theirs)[0, 1] > 0.6  # null by null, not only on the whole


def test_the_pipeline_handed_to_is_the_official_one() -> None:
    weights = [np.asarray(block.weights) for block in chain((40, 30, 20), 3).blocks]
    adjacency = official_adjacency(weights)
    labels, ncut = official_clustering(adjacency, 3, 5, 0)
    assert ncut == pytest.approx(ns.ncut(chain((40, 30, 20), 3), labels), rel=1e-12)


def test_our_nulls_are_distributed_as_those_of_the_official_pipeline(
    tested: tuple[str, ns.ClusterabilityResult], sample: Callable[[str], np.ndarray]
) -> None:
    name, result = tested
    theirs = sample(name)
    assert theirs.shape == (N_NULLS,)
    assert result.n_failed == 0
    assert stats.ks_2samp(result.null_ncuts, theirs).pvalue > 0.01


def test_the_pruned_network_is_more_modular_than_chance(tested: tuple[str, ns.ClusterabilityResult]) -> None:
    name, result = tested
    assert result.z_score is not None
    if name == "mnist-mlp-pruned":
        assert result.z_score < -3
        assert result.p_value == 1 / (1 + N_NULLS)
    else:
        assert abs(result.z_score) < 3


def test_untrained_networks_have_the_published_ncut() -> None:
    sizes, graphs = (784, 256, 256, 256, 256, 10), []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        limits = [np.sqrt(6 / (m + n)) for m, n in pairwise(sizes)]  # Glorot uniform
        weights = [
            rng.uniform(-a, a, shape).astype(np.float32) for a, shape in zip(limits, pairwise(sizes), strict=True)
        ]
        graphs.append(ns.LayerGraph.from_weights(weights))
    ncuts = [ns.spectral_clustering(graph, 12, select="inertia").ncut for graph in graphs]
    assert np.mean(ncuts) == pytest.approx(10.295, abs=0.02)
    assert np.std(ncuts, ddof=1) == pytest.approx(0.0317, abs=0.015)
