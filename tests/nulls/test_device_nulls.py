"""Null networks of weights that are on a device: the same ones, drawn there, and given back there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graph.fake_device import DEVICE as FAKE
from graph.fake_device import FakeDeviceBackend, device_graph, get, name_of
from nulls.test_shuffle import dense, sparse_weights
from problems import layered

import netspectra as ns
from netspectra.graph.batch import load_batch
from netspectra.nulls.model import NULL_MODELS, NullName, prepare_null
from netspectra.nulls.network import graph_of


def graphs() -> dict[str, Any]:
    M = sparse_weights(12, 12, 0.7)
    M = np.triu(M, 1) + np.triu(M, 1).T
    support = sp.csr_array(sparse_weights(9, 8, 0.4))
    support.data[::3] = 0.0
    holes = sparse_weights(9, 8, 0.5)
    holes[4], holes[:, 2] = 0, 0
    layers = [ns.Layer("a", 9), ns.Layer("b", 8)]
    return {
        "dense": ns.LayerGraph.from_weights([sparse_weights(9, 8, 1.0), sparse_weights(8, 7, 0.3, seed=1)]),
        "transposed": ns.LayerGraph.from_weights([sparse_weights(8, 9, 0.8), sparse_weights(7, 8, 0.2)], "out-in"),
        "csr": ns.LayerGraph.from_weights([sp.csr_array(sparse_weights(9, 8, 0.4))]),
        "support": ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, support, fixed_support=True)]),
        "symmetric": ns.LayerGraph.from_adjacency(M),
        "symmetric-csr": ns.LayerGraph.from_adjacency(sp.csr_array(M)),
        "isolated": ns.LayerGraph.from_weights([holes, sp.csr_array(sparse_weights(8, 7, 0.5))[:, [0, 1]]]),
        "not-learned": layered((0, 1, sparse_weights(9, 8, 0.9)), (0, 1, np.eye(9, 8), False), sizes=(9, 8)),
    }


GRAPHS = graphs()


def host(block: ns.Block) -> Any:
    """Weights of a block as a dense NumPy array."""
    if not block.is_sparse:
        return get(block.weights)
    csr = block.weights
    return sp.csr_array((get(csr.data), get(csr.indices), get(csr.indptr)), shape=csr.shape).toarray()


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "isolated"])
@pytest.mark.parametrize("null", NULL_MODELS)
def test_drawn_on_the_device_they_are_the_same(name: str, null: NullName) -> None:
    fake, reference, graph = FakeDeviceBackend(), ns.get_backend("reference"), GRAPHS[name]
    drawn = []
    for machine, own in ((fake, device_graph(graph)), (reference, graph)):
        batch = prepare_null(own, load_batch([own], machine), null, 11).draw(machine, [3, 0])
        drawn.append([graph_of(own, batch, i) for i in range(2)])
    for there, here in zip(*drawn, strict=True):
        assert (there.device, here.device) == (name_of(FAKE), "cpu")
        for mine, theirs in zip(there.blocks, here.blocks, strict=True):
            assert (mine.is_sparse, mine.learned, mine.dtype) == (theirs.is_sparse, theirs.learned, theirs.dtype)
            np.testing.assert_array_equal(host(mine), dense(theirs))


@pytest.mark.parametrize("name", GRAPHS)
def test_null_network_of_a_device_graph(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, machine, graph = [], FakeDeviceBackend(), GRAPHS[name]

    def backend_for(graph: Any, backend: str) -> Any:
        asked.append(backend)
        return machine if graph.device == machine.device else ns.get_backend(backend)

    monkeypatch.setattr("netspectra.nulls.network.backend_for", backend_for)
    there, here = (ns.null_network(own, 5, "shuffle", 2) for own in (device_graph(graph), graph))
    assert asked == ["auto", "cpu"]
    assert there.layers == here.layers
    for mine, theirs in zip(there.blocks, here.blocks, strict=True):
        assert mine.device == name_of(FAKE)
        np.testing.assert_array_equal(host(mine), dense(theirs))


@pytest.mark.parametrize("name", ["dense", "symmetric-csr", "isolated"])
def test_the_whole_test_runs_where_the_weights_are(name: str) -> None:
    options: dict[str, Any] = {"n_nulls": 4, "n_init": 2, "seed": 1}
    there = ns.clusterability_test(device_graph(GRAPHS[name]), 3, backend=FakeDeviceBackend(), **options)
    here = ns.clusterability_test(GRAPHS[name], 3, backend="reference", **options)
    assert there.device == name_of(FAKE)
    assert there.ncut == pytest.approx(here.ncut, rel=1e-12)
    np.testing.assert_allclose(there.null_ncuts, here.null_ncuts, rtol=1e-12)
    np.testing.assert_array_equal(there.labels, here.labels)


def test_components_of_nulls_that_fall_apart_are_counted_where_they_are() -> None:
    graph = ns.LayerGraph.from_weights([np.eye(12)])
    there = ns.clusterability_test(device_graph(graph), 2, backend=FakeDeviceBackend(), n_nulls=3, n_init=1)
    assert there.null_status == {"disconnected": 3}
    assert there.partition.status == "disconnected"
    assert there.ncut == 0
