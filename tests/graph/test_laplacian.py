"""`normalized_laplacian` against SciPy's, and its conventions."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from graph.fake_device import FakeDeviceBackend, device_graph, get
from problems import PROBLEMS, chain, layered
from scipy.sparse.csgraph import laplacian as scipy_laplacian
from spectrum.acceptance import adjacency as explicit_adjacency
from spectrum.acceptance import laplacian, live_nodes

import netspectra as ns
from netspectra.errors import GraphError
from netspectra.graph.laplacian import adjacency


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_scipys(problem: Any, dtype: str) -> None:
    graph = problem.graph(dtype)
    L = ns.normalized_laplacian(graph)
    assert isinstance(L, sp.csr_array)
    assert (L.shape, L.dtype) == ((graph.n_nodes, graph.n_nodes), np.dtype(dtype))
    expected = scipy_laplacian(explicit_adjacency(graph), normed=True).toarray()
    np.testing.assert_allclose(L.toarray(), expected, rtol=0, atol=3 * np.finfo(dtype).eps)
    np.testing.assert_allclose(laplacian(graph), expected, rtol=0, atol=1e-15)  # the tests' own


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_is_symmetric_with_spectrum_in_0_2(problem: Any) -> None:
    L = ns.normalized_laplacian(problem.graph("float64"))
    assert abs(L - L.T).max() <= 1e-15
    assert L.has_canonical_format
    values = np.linalg.eigvalsh(L.toarray())
    assert values.min() >= -1e-13
    assert values.max() <= 2 + 1e-13


def test_isolated_nodes_have_zero_rows_and_columns() -> None:
    """As in SciPy and NetworkX; a unit diagonal would add a spurious eigenvalue 1."""
    W = np.zeros((3, 4))
    W[0, 1] = W[2, 3] = 2.0
    L = ns.normalized_laplacian(ns.LayerGraph.from_weights([W])).toarray()
    live = [0, 2, 4, 6]
    joined = np.eye(4) - np.kron([[0, 1], [1, 0]], np.eye(2))
    np.testing.assert_allclose(L[np.ix_(live, live)], joined, rtol=0, atol=1e-15)
    dead = [1, 3, 5]
    assert not L[dead].any()
    assert not L[:, dead].any()


def test_an_empty_graph_has_a_zero_laplacian() -> None:
    L = ns.normalized_laplacian(ns.LayerGraph.from_weights([np.zeros((2, 3))]))
    assert (L.shape, L.nnz) == ((5, 5), 0)


def test_blocks_add_up_and_self_blocks_count_their_upper_triangle() -> None:
    one, two, own = np.array([[1.0, -2]]), np.array([[3.0, 0]]), np.array([[9.0, 5], [7, 9]])
    with pytest.warns(UserWarning, match="self-loops"):
        graph = layered((0, 1, one), (1, 0, two.T), (1, 1, own), sizes=(1, 2))
    np.testing.assert_array_equal(adjacency(graph).toarray(), [[0, 4, 2], [4, 0, 5], [2, 5, 0]])
    assert graph.n_edges == 4


@pytest.mark.parametrize("storage", [np.float16, ml_dtypes.bfloat16, np.int8])
def test_working_dtype(storage: Any) -> None:
    W = np.random.default_rng(0).integers(-9, 9, (4, 5))
    L = ns.normalized_laplacian(chain(np.dtype(storage), [W]))
    assert L.dtype == (np.float64 if storage is np.int8 else np.float32)
    expected = ns.normalized_laplacian(chain(np.dtype("float64"), [W]))
    np.testing.assert_allclose(L.toarray(), expected.toarray(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_a_device_it_is_assembled_there(problem: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, machine = problem.graph(dtype), FakeDeviceBackend()
    monkeypatch.setattr("netspectra.graph.laplacian.backend_for", lambda _: machine)
    for function in (adjacency, ns.normalized_laplacian):
        there, here = function(device_graph(graph)), function(graph)
        assert there.on_device
        triplets = get(there.data), (get(there.row), get(there.col))
        assert (triplets[0].dtype, triplets[1][0].dtype) == (here.dtype, here.indices.dtype)
        found = sp.csr_array(triplets, shape=there.shape)
        assert found.nnz == here.nnz
        np.testing.assert_allclose(found.toarray(), here.toarray(), rtol=16 * np.finfo(dtype).eps)


def test_what_is_no_graph() -> None:
    with pytest.raises(GraphError, match="graph must be a LayerGraph, got ndarray; make one with"):
        ns.normalized_laplacian(np.eye(3))  # type: ignore[arg-type]


def test_sqrt_of_the_degrees_is_in_the_null_space() -> None:
    for problem in PROBLEMS:
        graph = problem.graph("float64")
        root = np.sqrt(adjacency(graph).sum(axis=1))
        assert np.abs(ns.normalized_laplacian(graph) @ root).max() <= 1e-14 * root.max()
        np.testing.assert_array_equal(root > 0, live_nodes(graph))
