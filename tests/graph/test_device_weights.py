"""Weights on a device stay there: the same array, checked and counted where it is, never copied to the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import array_api_strict as strict
import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from graph.fake_device import DEVICE, ELSEWHERE, FakeCsr, device_graph, get, name_of, put
from problems import PROBLEMS
from spectrum.acceptance import live_nodes

from netspectra import Block, Layer, LayerGraph
from netspectra.errors import GraphError
from netspectra.graph import arrays, panels
from netspectra.graph.arrays import as_weights
from netspectra.graph.compact import compact
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.dtypes import storage_dtype

A, B = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4) - 4


@pytest.fixture
def small_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read even the smallest block in several panels."""
    monkeypatch.setattr(panels, "DEVICE_PANEL_ELEMENTS", 8)


# -- as_weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_are_the_same_array(dtype: str) -> None:
    W = put(A.astype(dtype))
    assert as_weights(W, "W") is W
    copied = as_weights(W, "W", copy=True)
    W[0, 0] = 7.0
    assert (float(copied[0, 0]), copied.device) == (0.0, DEVICE)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
def test_booleans_and_integers_become_float64_on_the_device(dtype: Any) -> None:
    W = as_weights(put(A.astype(dtype)), "W")
    assert (W.dtype, W.device) == (strict.float64, DEVICE)
    np.testing.assert_array_equal(get(W), A.astype(dtype))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"W: expected a 2-D array \(n_source, n_target\), got 1 dimension\(s\), shape \(3,\)"),
        (np.ones((2, 2, 2)), r"got 3 dimension\(s\), shape \(2, 2, 2\)"),
        (np.ones((2, 2), complex), r"W: expected real numbers .*complex128; convert it first"),
    ],
)
def test_what_is_no_matrix_of_real_numbers(weights: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        as_weights(put(weights), "W")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.usefixtures("small_panels")
def test_what_is_not_finite(bad: float) -> None:
    W = np.ones((30, 4))
    W[21, 2:] = bad
    message = rf"W: weights must be finite, got 2 NaN or infinite value\(s\), the first {bad}; check the checkpoint"
    for weights in (put(W), FakeCsr.of(W)):
        with pytest.raises(GraphError, match=message):
            as_weights(weights, "W")


@pytest.mark.parametrize(
    ("own", "name"),
    [("torch.bfloat16", "bfloat16"), ("torch.float16", "float16"), ("torch.bool", "bool"), ("x.float64", "float64")],
)
def test_dtypes_of_other_libraries_by_their_names(own: str, name: str) -> None:
    assert storage_dtype(SimpleNamespace(dtype=own)) == np.dtype(getattr(ml_dtypes, name, name))


def test_a_dtype_that_numpy_does_not_have() -> None:
    with pytest.raises(TypeError):
        storage_dtype(SimpleNamespace(dtype="torch.qint8"))


class OnlyExchanged:
    """What has DLPack and no array namespace."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 1


def test_what_only_has_dlpack_comes_by_the_backend_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, W = [], put(A)
    machine = SimpleNamespace(asarray=lambda given: asked.append(given) or W)
    monkeypatch.setattr(arrays, "cuda_backend", lambda device: asked.append(device) or machine)
    weights = OnlyExchanged(2)
    assert as_weights(weights, "W") is W
    assert asked == ["cuda:1", weights]
    message = r"W: cannot be read as an array \(OnlyExchanged\): it is on DLPack device \(8, 1\), where"
    with pytest.raises(GraphError, match=message):
        as_weights(OnlyExchanged(8), "W")


# -- blocks and graphs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
def test_a_chain_on_the_device(orientation: Any) -> None:
    chain = [A, B] if orientation == "in-out" else [A.T, B.T]
    graph = LayerGraph.from_weights([put(W) for W in chain], orientation)
    assert [layer.size for layer in graph.layers] == [2, 3, 4]
    assert (graph.n_nodes, graph.n_edges, graph.n_stored) == (9, 16, 18)
    assert repr(graph) == f"LayerGraph(2-3-4: 9 nodes, 2 blocks, float64, {name_of(DEVICE)})"
    assert repr(graph.blocks[0]) == f"Block(0 -> 1, 2 x 3 float64 dense, {name_of(DEVICE)})"
    assert graph.device == graph.blocks[0].device == name_of(DEVICE)
    for block, W in zip(graph.blocks, (A, B), strict=True):
        np.testing.assert_array_equal(get(block.weights), W)


def test_transposed_weights_are_views() -> None:
    W = put(A.T)
    graph = LayerGraph.from_weights([W], "out-in")
    W[0, 0] = 9.0
    assert float(graph.blocks[0].weights[0, 0]) == 9.0


def test_a_stack_of_square_matrices_is_a_chain() -> None:
    assert [layer.size for layer in LayerGraph.from_weights(put(np.ones((3, 5, 5)))).layers] == [5, 5, 5, 5]
    with pytest.raises(GraphError, match=r"got a single 2-D array; write \[weights\]"):
        LayerGraph.from_weights(put(np.ones((5, 5))))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.usefixtures("small_panels")
def test_counts_of_the_table(problem: Any) -> None:
    graph = problem.graph("float32")
    there = device_graph(graph)
    assert (there.n_edges, there.n_stored, there.dtype) == (graph.n_edges, graph.n_stored, graph.dtype)
    for one, other in zip(there.blocks, graph.blocks, strict=True):
        assert (one.shape, one.is_sparse, one.is_symmetric) == (other.shape, other.is_sparse, other.is_symmetric)


@pytest.mark.parametrize("form", [put, FakeCsr.of])
def test_adjacency_on_the_device(form: Any) -> None:
    M = np.triu(np.random.default_rng(0).standard_normal((40, 40)), 1)
    M += M.T
    graph = LayerGraph.from_adjacency(form(M), names=["cells"])
    assert (graph.n_edges, graph.layers[0].name) == (780, "cells")
    M[30, 2] += 3.0
    with pytest.raises(GraphError, match="A must be symmetric, got entries that differ by 3 from their mirror"):
        LayerGraph.from_adjacency(form(M))
    with pytest.raises(GraphError, match=r"A must be a square adjacency matrix, got shape \(2, 3\)"):
        LayerGraph.from_adjacency(form(A))


@pytest.mark.parametrize("form", [put, FakeCsr.of])
def test_self_loops_on_the_device(form: Any) -> None:
    with pytest.warns(UserWarning, match="block nodes -> itself: the non-zero diagonal"):
        assert LayerGraph.from_adjacency(form(np.ones((4, 4)))).n_edges == 6


def test_a_large_adjacency_is_compared_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspectra.graph.consistency._DEVICE_TILE", 16)
    M = np.random.default_rng(1).random((50, 50))
    M = np.triu(M, 1) + np.triu(M, 1).T
    assert LayerGraph.from_adjacency(put(M)).n_nodes == 50
    M[47, 1] = 5.0
    with pytest.raises(GraphError, match="A must be symmetric"):
        LayerGraph.from_adjacency(put(M))


@pytest.mark.parametrize(
    "places",
    [
        (lambda W: W, put),
        (put, lambda W: put(W, ELSEWHERE)),
        (sp.csr_array, put),
        (lambda W: W, FakeCsr.of),
    ],
)
def test_blocks_on_two_devices(places: Any) -> None:
    layers = [Layer("a", 2), Layer("b", 3), Layer("c", 4)]
    first, second = (put_there(W) for put_there, W in zip(places, (A, B), strict=True))
    message = r"blocks of a graph must be on one device: block . -> . is on .*; block . -> . is on .*; copy them to one"
    with pytest.raises(GraphError, match=message) as caught:
        LayerGraph.from_blocks(layers, [Block(0, 1, first), Block(1, 2, second)])
    assert "a -> b" in str(caught.value)
    assert "b -> c" in str(caught.value)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_isolated_nodes_are_removed_on_the_device(problem: Any) -> None:
    graph = problem.graph("float64")
    degrees = live_nodes(graph).astype(float)
    here, there = compact(graph, degrees), compact(device_graph(graph), degrees)
    np.testing.assert_array_equal(here.live, there.live)
    assert [layer.size for layer in here.graph.layers] == [layer.size for layer in there.graph.layers]
    for one, other in zip(there.graph.blocks, here.graph.blocks, strict=True):
        assert one.device == name_of(DEVICE)
        if one.is_sparse:
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(get(getattr(one.weights, part)), getattr(other.weights, part))
        else:
            np.testing.assert_array_equal(get(one.weights), other.weights)


# -- sparse ------------------------------------------------------------------------------------------------------------


def test_canonical_csr_keeps_its_arrays() -> None:
    csr = FakeCsr.of(np.eye(3, dtype=np.float32))
    W = as_weights(csr, "W")
    assert isinstance(W, DeviceCsr)
    assert all(getattr(W, part) is getattr(csr, part) for part in ("data", "indices", "indptr"))
    assert as_weights(W, "W") is W
    assert as_weights(csr, "W", copy=True).data is not csr.data


def test_csr_is_made_canonical() -> None:
    """Unsorted, with a duplicate, an explicit zero, and a pair that cancels; as on the host."""
    data, cols = np.array([1.0, 2.0, 3.0, 0.0, 4.0, -4.0]), np.array([2, 0, 2, 1, 3, 3])
    csr = FakeCsr(put(data), put(cols), put(np.array([0, 4, 6])), (2, 4))
    W = as_weights(csr, "W")
    assert [get(a).tolist() for a in (W.data, W.indices, W.indptr)] == [[2.0, 4.0], [0, 2], [0, 2, 2]]
    assert get(csr.data).tolist() == data.tolist(), "the caller's array is left alone"
    block = Block(0, 1, csr, fixed_support=True)
    assert [get(a).tolist() for a in (block.weights.data, block.weights.indices)] == [[2.0, 0, 4, 0], [0, 1, 2, 3]]
    assert (block.n_stored, block.count_nonzero()) == (4, 2)
    assert repr(block) == f"Block(0 -> 1, 2 x 4 float64 csr, fixed support, {name_of(DEVICE)})"


def test_integers_are_widened_before_duplicates_are_added() -> None:
    csr = FakeCsr(put(np.array([True, True])), put(np.array([0, 0])), put(np.array([0, 2])), (1, 1))
    assert get(as_weights(csr, "W").data).tolist() == [2.0]


@pytest.mark.parametrize(
    ("indices", "indptr", "why"),
    [
        ([0, 3, 2], [0, 1, 2, 3], "column indices must be from 0 to 2"),
        ([0, -1, 2], [0, 1, 2, 3], "column indices must be from 0 to 2"),
        ([0, 1, 2], [0, 2, 1, 3], "index pointers must grow from 0 to the number of stored values"),
        ([0, 1, 2], [1, 1, 2, 3], "index pointers must grow"),
        ([0, 1, 2], [0, 1, 2, 4], "index pointers must grow"),
        ([0, 1, 2], [0, 1, 3], "index pointers, indices and data do not fit the shape"),
        ([0, 1], [0, 1, 2, 3], "index pointers, indices and data do not fit the shape"),
    ],
)
def test_csr_that_would_read_other_memory(indices: list[int], indptr: list[int], why: str) -> None:
    csr = FakeCsr(put(np.ones(3)), put(np.array(indices)), put(np.array(indptr)), (3, 3))
    with pytest.raises(GraphError, match=rf"W: not a valid sparse array \({why}.*; build it again"):
        as_weights(csr, "W")


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
def test_a_sparse_chain_on_the_device(orientation: Any) -> None:
    chain = [A, B] if orientation == "in-out" else [A.T, B.T]
    graph = LayerGraph.from_weights([FakeCsr.of(W) for W in chain], orientation)
    for block, W in zip(graph.blocks, (A, B), strict=True):
        csr = block.weights
        found = sp.csr_array((get(csr.data), get(csr.indices), get(csr.indptr)), shape=csr.shape)
        assert found.has_canonical_format
        np.testing.assert_array_equal(found.toarray(), W)
