"""Host and device arrays never meet: whole runs on a device whose arrays refuse NumPy's, as CuPy's do."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import adjacency_graph, chain, csr_chain, even_skip
from cuda_kernels.strict_machine import DeviceArray, strict_backend

import netspectra as ns

pytestmark = pytest.mark.requires("cxx")
GRAPHS = {
    "dense": lambda: chain((30, 24, 18)),
    "csr": lambda: csr_chain((30, 24, 18)),
    "not bipartite": even_skip,
    "adjacency": adjacency_graph,
    "bfloat16": lambda: chain((30, 24, 18), dtype=ml_dtypes.bfloat16),
    "with dead neurons": lambda: ns.LayerGraph.from_weights([np.pad(chain().blocks[0].weights, ((0, 2), (1, 0)))]),
    "disconnected": lambda: ns.LayerGraph.from_weights([sp.csr_array(np.kron(np.eye(5), np.ones((3, 2))))]),
    "far-spread degrees": lambda: ns.LayerGraph.from_weights(
        [np.concatenate([chain().blocks[0].weights, np.full((1, 16), 1e-16)]).astype(np.float32)]
    ),
}


@pytest.fixture(scope="module")
def machine():
    return strict_backend()


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("null", ["shuffle", "shuffle-nonzero", "kde"])
def test_whole_tests(machine, name, solver, null):
    graph = GRAPHS[name]()
    options = {
        "n_nulls": 3,
        "n_init": 2,
        "null": null,
        "solver": solver,
        "select": "ncut" if null == "kde" else "inertia",
    }
    ours, theirs = (ns.clusterability_test(graph, 3, backend=b, **options) for b in (machine, "cpu"))
    assert ours.null_status == theirs.null_status
    assert ours.partition.status == theirs.partition.status
    np.testing.assert_allclose(ours.partition.eigenvalues, theirs.partition.eigenvalues, atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_eigenpairs_and_ncuts(machine, name):
    graph = GRAPHS[name]()
    pairs = ns.eigenpairs([graph, graph], 3, solver="lobpcg", backend=machine)[1]
    assert not isinstance(pairs.eigenvectors, DeviceArray)  # a graph on the host has its vectors on the host
    labels = np.arange(graph.n_nodes) % 2
    np.testing.assert_allclose(
        ns.ncut(graph, labels, backend=machine), ns.ncut(graph, labels, backend="cpu"), rtol=1e-5
    )


def test_the_stand_in_is_strict(machine):
    array = machine.asarray(np.ones(3))
    for mixed in (lambda: array + np.ones(3), lambda: machine.xp.take(array, np.array([0]), axis=0)):
        with pytest.raises(TypeError, match=r"unsupported type numpy\.ndarray"):
            mixed()
    with pytest.raises(TypeError, match="is not on the device"):
        machine.to_numpy(np.ones(3))
