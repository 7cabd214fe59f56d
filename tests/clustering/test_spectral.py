"""Spectral clustering finds what was planted, the same way whatever the storage, the batch and the threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip, modules, planted_labels, random_chain
from numpy.testing import assert_array_equal
from sklearn.metrics import adjusted_rand_score

import netspectra as ns
from netspectra.errors import GraphError

SIZES = (20, 16, 12)
PLANTED: list[tuple[Callable[..., ns.LayerGraph], Any]] = [
    (chain, planted_labels(SIZES, 4)),
    (csr_chain, planted_labels(SIZES, 4)),
    (even_skip, planted_labels(SIZES, 4)),
    (adjacency_graph, modules(40, 4)),
    (lambda seed: adjacency_graph(sparse=True, seed=seed), modules(40, 4)),
]


def same_bits(one: ns.Partition, other: ns.Partition) -> None:
    """Assert that two partitions agree in every bit that depends on numbers."""
    for name in ("labels", "eigenvalues", "residual_norms"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("ncut", "ncut_lower_bound", "inertia", "gap", "n_iterations", "status"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.clusters == other.clusters


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("number", range(len(PLANTED)))
def test_planted_modules_are_found(number: int, solver: str) -> None:
    make, planted = PLANTED[number]
    for seed in range(3):
        graph = make(seed=seed)
        part = ns.spectral_clustering(graph, 4, solver=solver, seed=seed)
        assert part.converged
        assert adjusted_rand_score(planted, part.labels) == 1.0
        assert part.ncut == pytest.approx(ns.ncut(graph, planted), rel=1e-12)


def test_planted_modules_are_found_on_every_backend(backend: Any) -> None:
    part = ns.spectral_clustering(chain(), 4, n_init=3, backend=backend)
    assert adjusted_rand_score(planted_labels(SIZES, 4), part.labels) == 1.0
    assert part.backend == backend.name


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("make", [chain, random_chain, even_skip, csr_chain])
def test_a_sequence_is_solved_as_one_by_one(make: Callable[..., ns.LayerGraph], solver: str) -> None:
    graphs = [make(seed=seed) for seed in range(4)]
    together = ns.spectral_clustering(graphs, 4, n_init=3, solver=solver)
    assert isinstance(together, list)
    for graph, part in zip(graphs, together, strict=True):
        same_bits(part, ns.spectral_clustering(graph, 4, n_init=3, solver=solver))


@pytest.mark.parametrize("select", ["inertia", "ncut"])
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_threads_change_no_bit(solver: str, select: str) -> None:
    graph = random_chain((40, 60, 30), dtype=np.float32)
    one, two = (
        ns.spectral_clustering(graph, 6, solver=solver, select=select, backend=ns.get_backend("cpu", n_threads=n))
        for n in (1, 2)
    )
    same_bits(one, two)


def test_a_power_of_two_in_the_weights_changes_no_bit() -> None:
    graph = random_chain()
    scaled = ns.LayerGraph.from_weights([block.weights * 4.0 for block in graph.blocks])
    one, other = (ns.spectral_clustering(g, 4) for g in (graph, scaled))
    assert_array_equal(one.labels, other.labels)
    assert one.ncut == other.ncut


def test_orientation_and_storage_of_the_weights_do_not_matter() -> None:
    graph = random_chain()
    flipped = ns.LayerGraph.from_weights([np.ascontiguousarray(b.weights.T) for b in graph.blocks], "out-in")
    one, other = (ns.spectral_clustering(g, 4) for g in (graph, flipped))
    assert adjusted_rand_score(one.labels, other.labels) == 1.0
    assert other.ncut == pytest.approx(one.ncut, rel=1e-12)


def test_the_order_of_the_nodes_does_not_matter_to_planted_modules() -> None:
    rng = np.random.default_rng(0)
    graph = chain()
    order = [rng.permutation(layer.size) for layer in graph.layers]
    moved = ns.LayerGraph.from_weights([b.weights[np.ix_(order[i], order[i + 1])] for i, b in enumerate(graph.blocks)])
    planted = np.concatenate([modules(size, 4)[o] for size, o in zip(SIZES, order, strict=True)])
    assert adjusted_rand_score(planted, ns.spectral_clustering(moved, 4).labels) == 1.0


def test_float32_and_float64_agree() -> None:
    wide, narrow = (ns.spectral_clustering(chain(dtype=t), 4) for t in (np.float64, np.float32))
    assert (wide.dtype, narrow.dtype) == ("float64", "float32")
    assert adjusted_rand_score(wide.labels, narrow.labels) == 1.0
    assert narrow.ncut == pytest.approx(wide.ncut, rel=1e-5)
    assert np.abs(wide.eigenvalues - narrow.eigenvalues).max() < 1e-5
    assert ns.spectral_clustering(chain(dtype=np.float32), 4, tol=1e-7).dtype == "float64"


@pytest.mark.parametrize("seed", range(3))
def test_the_restart_of_least_ncut_is_never_worse_than_that_of_least_inertia(seed: int) -> None:
    graph = random_chain((24, 30, 20), seed=seed)
    by_inertia, by_ncut = (ns.spectral_clustering(graph, 5, select=s, seed=seed) for s in ("inertia", "ncut"))
    assert by_ncut.ncut <= by_inertia.ncut
    assert by_inertia.inertia <= by_ncut.inertia


@pytest.mark.parametrize("k", [4, 7, 12])
def test_more_clusters_than_the_smallest_layer_has_nodes(k: int) -> None:
    graph = random_chain((20, 15, 2))
    part = ns.spectral_clustering(graph, k)
    assert part.converged
    assert part.n_nonempty == k
    assert part.ncut_lower_bound <= part.ncut < k


def test_as_many_clusters_as_nodes() -> None:
    graph = random_chain((5, 4, 3))
    part = ns.spectral_clustering(graph, 12)
    assert sorted(part.labels) == list(range(12))
    assert part.ncut == pytest.approx(12.0)
    assert part.ncut_lower_bound <= 12.0 + 1e-9


def test_isolated_nodes_are_in_no_cluster() -> None:
    graph = chain()
    W = [np.array(block.weights) for block in graph.blocks]
    W[0][3], W[0][:, 5], W[1][5] = 0, 0, 0
    part = ns.spectral_clustering(ns.LayerGraph.from_weights(W), 4)
    gone = [3, 20 + 5]
    assert_array_equal(np.flatnonzero(part.labels == -1), gone)
    assert part.n_isolated == 2
    kept = np.delete(np.arange(48), gone)
    assert adjusted_rand_score(planted_labels(SIZES, 4)[kept], part.labels[kept]) == 1.0


def test_a_seed_of_none_is_drawn_and_recorded() -> None:
    graph = random_chain()
    part = ns.spectral_clustering(graph, 4, seed=None, solver="lobpcg")
    assert part.seed != ns.spectral_clustering(graph, 4, seed=None).seed
    same_bits(part, ns.spectral_clustering(graph, 4, seed=part.seed, solver="lobpcg"))


def test_members_of_a_sequence_must_have_the_same_layers() -> None:
    with pytest.raises(GraphError, match=r"equal layer sizes.*graph 1 is .*solve them one by one"):
        ns.spectral_clustering([chain(), random_chain()], 4)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("factor", [1e-200, 1e300])
def test_a_member_out_of_the_dtypes_range_goes_to_float64_and_leaves_the_others_alone(backend, solver, factor):
    """In float32 its weights are zero or infinite."""
    if backend.name == "cuda":
        machine = type(backend)(dtype="float32", machine=backend._machine)
    else:
        machine = ns.get_backend(backend.name, dtype="float32")
    W = [np.random.default_rng(i).standard_normal((12, 9)) for i in range(2)]
    graphs = [ns.LayerGraph.from_weights([w]) for w in (W[0], W[1] * factor, W[0])]
    found = ns.eigenpairs(graphs, 3, solver=solver, backend=machine)
    assert [pairs.status for pairs in found] == ["converged", "escalated_float64", "converged"]
    exact = ns.eigenpairs(ns.LayerGraph.from_weights([W[1]]), 3, solver=solver, backend="cpu")
    np.testing.assert_allclose(found[1].eigenvalues, exact.eigenvalues, atol=1e-4)
    np.testing.assert_array_equal(found[0].eigenvalues, found[2].eigenvalues)
