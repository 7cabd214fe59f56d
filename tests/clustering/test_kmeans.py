"""k-means on the embedding: scikit-learn's optimum, restarts by key, and no member that changes another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clustering.planted import adjacency_graph, chain, even_skip, random_chain
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans

import netspectra as ns
from netspectra.clustering import Recipe, SelectName
from netspectra.clustering.embedding import centred, embed
from netspectra.clustering.kmeans import kmeans
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.spectrum import Solution, SolverPlan, plan_solver, solve


def embedded(graphs: list[ns.LayerGraph], k: int, backend: Any) -> tuple[GraphBatch, Any]:
    """Return the graphs as a batch, and their embeddings (B, n, k - 1)."""
    batch = load_batch(graphs, backend)
    solution: Solution = solve(batch, k, plan_solver(batch, k, "dense", None, None, 0), [None] * len(graphs))
    return batch, centred(batch, embed(batch, solution.vectors))


@pytest.mark.parametrize("make", [chain, even_skip, adjacency_graph, random_chain])
def test_embedding_is_the_eigenvectors_over_root_degree_times_root_volume(
    make: Callable[[], ns.LayerGraph], backend: Any
) -> None:
    graph = make()
    with backend.session():
        batch, points = embedded([graph], 4, backend)
        points, degrees = backend.to_numpy(points)[0], backend.to_numpy(batch.degrees)[0]
    vectors = ns.eigenpairs(graph, 4, solver="dense").eigenvectors[:, 1:]
    expected = vectors * np.sqrt(degrees.sum() / degrees)[:, None]
    expected -= expected.mean(axis=0)
    assert_allclose(points @ points.T, expected @ expected.T, atol=1e-9)  # signs and bases are the solver's choice


def test_embedding_of_isolated_nodes_is_zero(backend: Any) -> None:
    W = np.random.default_rng(0).random((8, 7))
    W[2], W[:, 4] = 0, 0
    with backend.session():
        _, points = embedded([ns.LayerGraph.from_weights([W])], 3, backend)
        points = backend.to_numpy(points)[0]
    assert_array_equal(points[[2, 8 + 4]], 0)
    assert_allclose(points.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("make", [chain, even_skip, adjacency_graph, random_chain])
def test_inertia_is_what_scikit_learn_reaches(make: Callable[[], ns.LayerGraph]) -> None:
    graph, machine = make(), ns.get_backend("cpu")
    with machine.session():
        _, points = embedded([graph], 4, machine)
    peer = KMeans(4, n_init=25, random_state=0).fit(points[0]).inertia_
    assert ns.spectral_clustering(graph, 4, n_init=100).inertia == pytest.approx(peer, rel=1e-3)


def test_restarts_are_keyed_so_that_more_of_them_only_help() -> None:
    graph = random_chain((60, 70, 50))
    values = [ns.spectral_clustering(graph, 9, n_init=n).inertia for n in (1, 2, 5, 25)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_the_seed_is_the_key() -> None:
    graph = random_chain((30, 40, 20))
    one, again, other = (ns.spectral_clustering(graph, 6, n_init=1, seed=seed) for seed in (5, 5, 6))
    assert_array_equal(one.labels, again.labels)
    assert one.inertia != other.inertia
    assert_array_equal(one.eigenvalues, other.eigenvalues)  # a dense solve has no random start


def test_inertia_is_the_sum_of_squared_distances_to_the_centres(backend: Any) -> None:
    with backend.session():
        batch, points = embedded([random_chain(), chain((16, 12, 10))], 4, backend)
        found = kmeans(batch, points, recipe(3, "ncut"), [0, 7], [None, 5])
        X, labels = backend.to_numpy(points), backend.to_numpy(found.labels)
        inertia, n_iter = backend.to_numpy(found.inertia), backend.to_numpy(found.n_iter)
    assert labels.shape == (2, 3, 38)
    assert n_iter.min() >= 1
    for b, restart in np.ndindex(2, 3):
        own = [X[b][labels[b, restart] == c] for c in range(4)]
        assert inertia[b, restart] == pytest.approx(sum(((x - x.mean(axis=0)) ** 2).sum() for x in own), rel=1e-9)


def test_the_kept_restart_is_the_first_of_least_inertia() -> None:
    machine = ns.get_backend("cpu")
    with machine.session():
        batch, points = embedded([random_chain()], 4, machine)
        every = kmeans(batch, points, recipe(12, "ncut"), [3], [None])
        best = kmeans(batch, points, recipe(12), [3], [None])
    assert_array_equal(every.inertia, best.inertia)
    assert_array_equal(best.labels[:, 0], every.labels[:, int(np.argmin(every.inertia[0]))])


def recipe(n_init: int, select: SelectName = "inertia") -> Recipe:
    """Settle four clusters; the plan of the solver is not asked for."""
    return Recipe(4, n_init, select, SolverPlan("dense", np.float64, 1e-5, 1, 0))


WIDE = (1800, 40, 400)


def with_a_stray_pair(graph: ns.LayerGraph, weight: float, dtype: Any) -> ns.LayerGraph:
    """Tie the first nodes of the first two layers to each other and, ten thousand times less, to the third layer.

    An eigenvector then stands on that pair: its rows of the embedding grow as ``1 / sqrt(weight)``.
    """
    W = [np.array(block.weights, dtype) for block in graph.blocks]
    W[0][0], W[0][1:, 0], W[1][0] = 0, 0, 0
    W[0][0, 0], W[1][0, 0] = weight, 1e-4 * weight
    return ns.LayerGraph.from_weights(W)


@pytest.mark.parametrize("weight", [1e-4, 1e-8, 1e-10, 1e-12])
def test_rows_out_of_proportion_cost_no_digits_in_float32(weight: float) -> None:
    narrow, wide = (with_a_stray_pair(chain((60, 50, 40)), weight, t) for t in (np.float32, np.float64))
    expected, found = ns.spectral_clustering(wide, 5), ns.spectral_clustering(narrow, 5)
    assert found.n_nonempty == expected.n_nonempty == 5
    assert found.ncut == pytest.approx(expected.ncut, rel=0.05)
    assert found.inertia == pytest.approx(expected.inertia, rel=0.05)


def test_a_member_out_of_proportion_changes_no_other() -> None:
    graphs = [random_chain(WIDE, seed=seed, dtype=np.float32) for seed in range(3)]
    graphs[1] = with_a_stray_pair(graphs[1], 1e-8, np.float32)
    for graph, part in zip(graphs, ns.spectral_clustering(graphs, 4, n_init=5), strict=True):
        alone = ns.spectral_clustering(graph, 4, n_init=5)
        assert_array_equal(part.labels, alone.labels)
        assert part.inertia == alone.inertia
