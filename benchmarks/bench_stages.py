"""The stages of one null network, one thread on both sides: shuffle, Gram matrix, eigenpairs, k-means, n-cut.

Peers work on the same null network: NumPy's permutation, SciPy's ``eigh``, ``eigsh`` and ``lobpcg``, scikit-learn's
spectral embedding and k-means, the official n-cut. Every result is checked before its time is reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
from sklearn.cluster import KMeans
from sklearn.manifold import spectral_embedding

import netspectra as ns
from benchmarks.accuracy import INERTIA_TOLERANCE, RESIDUAL_LIMIT, inertia_difference, largest_residual
from benchmarks.null_stages import NullStages, prepare_stages
from benchmarks.official_pipeline import official_adjacency, official_ncut
from benchmarks.workloads import Workload

pytestmark = pytest.mark.usefixtures("one_core")

REPLICATE = 0
ROUNDS = 20
PEER_ROUNDS = 5
KMEANS_SETS = 100  # the median over 20 still has a standard deviation of 0.1%


@pytest.fixture(scope="module")
def stages(workload: Workload) -> NullStages:
    return prepare_stages(workload)


@pytest.fixture(scope="module")
def null(stages: NullStages) -> Any:
    """Return the drawn network, its solution, and the adjacency matrix that peers get."""
    with stages.backend.session():
        batch = stages.shuffle(REPLICATE)
        return batch, stages.solve(batch, REPLICATE), official_adjacency(stages.weights(batch))


def timed(benchmark: Any, group: str, function: Any, *arguments: Any, rounds: int = ROUNDS) -> Any:
    """Time a call after a warm-up, and return its result."""
    benchmark.group = group
    return benchmark.pedantic(function, arguments, rounds=rounds, warmup_rounds=1)


# -- shuffle


def test_shuffle(benchmark: Any, workload: Workload, stages: NullStages) -> None:
    batch = timed(benchmark, f"{workload.name} shuffle", stages.shuffle, REPLICATE)
    for drawn, block in zip(stages.weights(batch), stages.live_weights, strict=True):
        np.testing.assert_array_equal(np.sort(drawn, axis=None), np.sort(block, axis=None))


def test_shuffle_numpy(benchmark: Any, workload: Workload, stages: NullStages) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    live = stages.live_weights

    def shuffle() -> list[Any]:
        return [rng.permutation(weight.ravel()).reshape(weight.shape) for weight in live]

    timed(benchmark, f"{workload.name} shuffle", shuffle)


# -- Gram matrix


def test_gram(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, _ = null
    gram = timed(benchmark, f"{workload.name} build", stages.gram, batch)
    largest = np.linalg.eigvalsh(gram[0].astype(np.float64))[::-1][: workload.k - 1]
    np.testing.assert_allclose(1 - np.sqrt(largest), solution.eigenvalues[0, 1:], atol=RESIDUAL_LIMIT)


def test_adjacency_official(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    timed(benchmark, f"{workload.name} build", official_adjacency, stages.weights(null[0]))


# -- eigenpairs


def test_eigen(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, _ = null
    timed(benchmark, f"{workload.name} eigen", stages.eigen, stages.gram(batch))
    residual = largest_residual(stages.weights(batch), solution.eigenvalues[0], solution.vectors[0])
    assert residual <= RESIDUAL_LIMIT
    assert solution.status == ("converged",)
    benchmark.extra_info.update(residual=residual, iterations=0)


def test_eigen_lobpcg(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, _ = null
    graph = ns.LayerGraph.from_weights(stages.weights(batch))
    pairs = timed(benchmark, f"{workload.name} eigen", lambda: eigenpairs_by_lobpcg(graph, workload.k, stages))
    residual = largest_residual(stages.weights(batch), pairs.eigenvalues, pairs.eigenvectors)
    assert residual <= RESIDUAL_LIMIT
    np.testing.assert_allclose(pairs.eigenvalues, solution.eigenvalues[0], atol=RESIDUAL_LIMIT)
    benchmark.extra_info.update(residual=residual, iterations=pairs.n_iterations)


def eigenpairs_by_lobpcg(graph: ns.LayerGraph, k: int, stages: NullStages) -> ns.Eigenpairs:
    return ns.eigenpairs(graph, k, solver="lobpcg", backend=stages.backend)


def test_eigen_scipy_eigh(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    gram = stages.gram(null[0])[0]
    n = gram.shape[0]

    def eigh() -> Any:
        return scipy.linalg.eigh(gram, subset_by_index=[n - workload.k, n - 1])

    values, _ = timed(benchmark, f"{workload.name} eigen", eigh)
    sigma = np.sqrt(values[::-1][: workload.k - 1])
    np.testing.assert_allclose(1 - sigma, null[1].eigenvalues[0, 1:], atol=RESIDUAL_LIMIT)


def test_eigen_scipy_eigsh(benchmark: Any, workload: Workload, null: Any) -> None:
    S = normalized(null[2])
    start = np.random.default_rng(0).uniform(-1, 1, S.shape[0])

    def eigsh() -> Any:
        return scipy.sparse.linalg.eigsh(S, workload.k, which="LA", v0=start, tol=1e-5)

    values, _ = timed(benchmark, f"{workload.name} eigen", eigsh, rounds=PEER_ROUNDS)
    np.testing.assert_allclose(1 - values[::-1], null[1].eigenvalues[0], atol=RESIDUAL_LIMIT)


def test_eigen_scipy_lobpcg(benchmark: Any, workload: Workload, null: Any) -> None:
    S = normalized(null[2])
    start = np.random.default_rng(0).standard_normal((S.shape[0], workload.k + 4))
    history: list[Any] = []

    def lobpcg() -> Any:
        values, vectors, residuals = scipy.sparse.linalg.lobpcg(
            S, start, tol=1e-5, maxiter=200, largest=True, retResidualNormsHistory=True
        )
        history[:] = residuals
        return values, vectors

    values, _ = timed(benchmark, f"{workload.name} eigen", lobpcg, rounds=PEER_ROUNDS)
    np.testing.assert_allclose(1 - values[: workload.k], null[1].eigenvalues[0], atol=10 * RESIDUAL_LIMIT)
    benchmark.extra_info.update(iterations=len(history), residual=float(np.max(history[-1])))


def test_eigen_sklearn(benchmark: Any, workload: Workload, null: Any) -> None:
    def embedding() -> Any:
        return spectral_embedding(
            null[2], n_components=workload.k, eigen_solver="arpack", random_state=0, drop_first=False
        )

    assert timed(benchmark, f"{workload.name} eigen", embedding, rounds=PEER_ROUNDS).shape[1] == workload.k


def normalized(adjacency: Any) -> Any:
    """``S = D^-1/2 A D^-1/2`` of an adjacency matrix without isolated nodes."""
    scale = scipy.sparse.dia_array((1 / np.sqrt(adjacency.sum(axis=1)), 0), shape=adjacency.shape)
    return scipy.sparse.csr_array(scale @ adjacency @ scale)


# -- k-means and n-cut


def test_kmeans(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, _ = null
    points = stages.embed(batch, solution)
    found = timed(benchmark, f"{workload.name} k-means", stages.kmeans, batch, points, REPLICATE)
    ours, theirs = [], []
    for replicate in range(KMEANS_SETS):
        batch = stages.shuffle(replicate)
        points = stages.embed(batch, stages.solve(batch, replicate))
        ours.append(stages.kmeans(batch, points, replicate).inertia.min())
        live = points[0][batch.live[0]]
        theirs.append(KMeans(workload.k, n_init=workload.n_init, random_state=replicate).fit(live).inertia_)
    difference = inertia_difference(ours, theirs)
    assert abs(difference) <= INERTIA_TOLERANCE
    iterations = float(np.median(found.n_iter))
    benchmark.extra_info.update(inertia_difference=difference, sets=KMEANS_SETS, iterations=iterations)


def test_kmeans_sklearn(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, _ = null
    points = stages.embed(batch, solution)[0][batch.live[0]]
    peer = KMeans(workload.k, n_init=workload.n_init, random_state=0)
    timed(benchmark, f"{workload.name} k-means", peer.fit, points, rounds=PEER_ROUNDS)


def test_ncut(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, adjacency = null
    labels = stages.kmeans(batch, stages.embed(batch, solution), REPLICATE).labels[:, 0, :]
    score = timed(benchmark, f"{workload.name} n-cut", stages.ncut, batch, labels)
    assert score == pytest.approx(official_ncut(adjacency, labels[labels >= 0]), rel=1e-9)


def test_ncut_official(benchmark: Any, workload: Workload, stages: NullStages, null: Any) -> None:
    batch, solution, adjacency = null
    labels = stages.kmeans(batch, stages.embed(batch, solution), REPLICATE).labels[0, 0]
    timed(benchmark, f"{workload.name} n-cut", official_ncut, adjacency, labels[labels >= 0])


# -- all of it


def test_null(benchmark: Any, workload: Workload, stages: NullStages) -> None:
    outcome = timed(benchmark, f"{workload.name} whole null", stages.whole, REPLICATE)
    assert outcome.status == "converged"
    benchmark.extra_info.update(residual=outcome.residual, iterations=outcome.n_iterations)
