"""Components by floods on the machine: the ones that the host counts, whatever the storage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graph.fake_device import FakeDeviceBackend, device_graph
from graph.test_components import random_graphs
from hypothesis import given
from problems import PROBLEMS, layered, path
from spectrum.acceptance import live_nodes

import netspectra as ns
from netspectra.graph import flood
from netspectra.graph.batch import load_batch
from netspectra.graph.components import component_labels, components_of
from netspectra.graph.flood import flood_components


def assert_the_hosts(graph: Any, machine: Any, given: Any = None) -> int:
    """Equal to `component_labels` up to its numbering, which for dense blocks follows the search."""
    with machine.session():
        count, labels = flood_components(load_batch([graph if given is None else given], machine), 0)
    live = live_nodes(graph)
    expected_count, expected = component_labels(graph, live)
    assert (count, labels.dtype, labels.shape) == (expected_count, np.int32, (graph.n_nodes,))
    np.testing.assert_array_equal(labels, expected)
    return count


@given(graph=random_graphs())
def test_components_of_any_layer_graph(graph: Any, backend: Any) -> None:
    assert_the_hosts(graph, backend)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_components_of_the_table(problem: Any, dtype: str, backend: Any) -> None:
    assert_the_hosts(problem.graph(dtype), backend)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_components_on_a_device(problem: Any) -> None:
    graph = problem.graph("float64")
    assert_the_hosts(graph, FakeDeviceBackend(), device_graph(graph))


@pytest.mark.parametrize("seeds", [1, 2, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_path_takes_many_steps(seeds: int, sparse: bool, monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    monkeypatch.setattr(flood, "SEEDS", seeds)
    A = path(150)
    assert assert_the_hosts(ns.LayerGraph.from_adjacency(A if sparse else A.toarray()), backend) == 1


@pytest.mark.parametrize("pieces", [1, 15, 16, 17, 100])
def test_more_components_than_seeds(pieces: int, backend: Any) -> None:
    order = np.random.default_rng(pieces).permutation(2 * pieces)
    W = np.kron(np.eye(pieces), np.ones((2, 3)))[order]
    assert assert_the_hosts(ns.LayerGraph.from_weights([W, np.zeros((3 * pieces, 4))]), backend) == pieces


def test_two_neighbours_that_are_a_component(backend: Any) -> None:
    """Both are seeds: what is held is two nodes before the step, and two after it and the merger."""
    graph = ns.LayerGraph.from_weights([np.eye(2), np.eye(2)])
    assert assert_the_hosts(graph, backend) == 2


@pytest.mark.parametrize("scale", [1e-300, 5e-324, 1e300])
def test_weights_of_any_size_join(scale: float, backend: Any) -> None:
    assert assert_the_hosts(ns.LayerGraph.from_adjacency(path(40) * scale), backend) == 1


def test_a_graph_without_edges(backend: Any) -> None:
    assert assert_the_hosts(ns.LayerGraph.from_weights([np.zeros((2, 3))]), backend) == 0


def test_members_of_a_batch(backend: Any) -> None:
    rng = np.random.default_rng(0)
    graphs = [
        layered((0, 1, sp.csr_array(rng.random((9, 8)) * (rng.random((9, 8)) < d))), sizes=(9, 8))
        for d in (0.05, 0.15, 0.9)
    ]
    batch = load_batch(graphs, backend)
    counts = []
    for i, graph in enumerate(graphs):
        count, labels = flood_components(batch, i)
        np.testing.assert_array_equal(labels, component_labels(graph, live_nodes(graph))[1])
        counts.append(count)
    assert len(set(counts)) > 1


def test_the_host_counts_its_own() -> None:
    graph = ns.LayerGraph.from_weights([np.eye(3)])
    calls = []

    def as_graph() -> Any:
        calls.append(graph)
        return graph

    here = components_of(load_batch([graph], ns.get_backend("cpu")), 0, as_graph)
    assert len(calls) == 1
    there = components_of(load_batch([device_graph(graph)], FakeDeviceBackend()), 0, as_graph)
    assert len(calls) == 1, "on a device no graph is made of the batch"
    assert here[0] == there[0] == 3
    np.testing.assert_array_equal(here[1], there[1])
