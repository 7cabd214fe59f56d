"""Products, sums, degrees and explicit matrices on the emulated GPU, against the oracle: shapes, storage, strides."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from cuda_kernels.block_weights import REFERENCE, STORED, WORK, as_csr, random_weights
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import emulated_backend

import netspectra as ns
from netspectra.errors import LimitError
from netspectra.graph.device_csr import DeviceCsr
from netspectra.kernels.weights import CsrWeights, DenseWeights

pytestmark = pytest.mark.requires("cxx")
# m, n, vectors, members: single elements, ragged tiles, several panels, more vectors than one pass has room for
SHAPES = [
    (1, 1, 1, 1),
    (5, 7, 3, 2),
    (64, 64, 4, 1),
    (130, 200, 17, 2),
    (300, 65, 40, 1),
    (70, 66, 21, 1),
    (3, 600, 5, 2),
]
ORDERS = {
    "rows": lambda W: W,
    "columns": lambda W: np.ascontiguousarray(W.transpose(0, 2, 1)).transpose(0, 2, 1),
    "slice": lambda W: np.repeat(np.repeat(W, 2, axis=1), 2, axis=2)[:, ::2, ::2],
}


@pytest.fixture(scope="module")
def machine():
    return emulated_backend(EmulatedLauncher(order="alternating"))


def random_vectors(shape, dtype, seed=1):
    """Vectors as the engine hands them over: slices of longer ones."""
    m, n, c, members = shape
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((members, size + 3, c)).astype(dtype)[:, 2 : size + 2] for size in (m, n)]


def close(found, wanted, tolerance):
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("order", ORDERS)
def test_the_product_is_that_of_the_oracle(machine, shape, dtype, order):
    W = random_weights(shape, dtype)
    weights = DenseWeights(ORDERS[order](W))
    for work, tolerance in WORK.items():
        x_source, x_target = random_vectors(shape, work)
        found = machine.block_product(weights, x_source, x_target)
        wanted = REFERENCE.block_product(DenseWeights(W.astype(np.float64)), *random_vectors(shape, work))
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.dtype == work
            close(ours, theirs, tolerance * max(shape[:2]) ** 0.5)


@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_one_half_of_a_product_is_bit_for_bit_that_of_both(machine, shape):
    weights = DenseWeights(random_weights(shape, np.float32))
    x_source, x_target = random_vectors(shape, np.float32)
    both = machine.block_product(weights, x_source, x_target)
    for half, (xs, xt) in enumerate([(None, x_target), (x_source, None)]):
        found = machine.block_product(weights, xs, xt)
        np.testing.assert_array_equal(found[half], both[half])
        assert found[1 - half] is None
    assert machine.block_product(weights, None, None) == (None, None)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", STORED)
def test_csr_is_dense(machine, shape, index, dtype):
    W = random_weights(shape, dtype, density=0.3)
    weights, exact = as_csr(machine, W, index)
    for work, tolerance in WORK.items():
        x_source, x_target = random_vectors(shape, work)
        wanted = REFERENCE.block_product(exact, x_source.astype(np.float64), x_target.astype(np.float64))
        for ours, theirs in zip(machine.block_product(weights, x_source, x_target), wanted, strict=True):
            close(ours, theirs, tolerance * max(shape[:2]) ** 0.5)
    for ours, theirs in zip(machine.block_degrees(weights), REFERENCE.block_degrees(exact), strict=True):
        close(ours, theirs, 1e-14 * max(shape[:2]))


def test_csr_arrays_of_any_strides(machine):
    W = random_weights((9, 7, 1, 1), np.float32, density=0.5)[0]
    A = sp.csr_array(W)
    wide = np.repeat(A.data, 2)
    for backend in (machine, "cpu"):
        graph = ns.LayerGraph.from_weights([sp.csr_array((wide[::2], A.indices, A.indptr), A.shape)])
        exact = ns.LayerGraph.from_weights([W])
        labels = np.arange(16) % 3
        np.testing.assert_allclose(ns.ncut(graph, labels, backend=backend), ns.ncut(exact, labels), rtol=1e-6)


@pytest.mark.parametrize("dtype", STORED)
def test_a_symmetric_block_keeps_its_storage(machine, dtype):
    W = random_weights((5, 5, 1, 1), dtype)[0]
    loaded = machine.load_block([W], symmetric=True).values
    assert loaded.dtype == W.dtype
    np.testing.assert_array_equal(loaded[0], np.triu(W, k=1))


def test_csr_of_the_device_keeps_its_upper_triangle(machine):
    A = sp.csr_array(random_weights((6, 6, 1, 1), np.float32, density=0.6)[0])
    given = DeviceCsr(A.data, A.indices, A.indptr, A.shape)
    loaded, wanted = (machine.load_block([W], symmetric=True) for W in (given, A))
    for field in ("values", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(loaded, field), getattr(wanted, field))


def test_the_transposed_pattern_is_made_once(machine):
    weights, _ = as_csr(machine, random_weights(SHAPES[3], np.float32, density=0.2), np.int32)
    machine.block_product(weights, random_vectors(SHAPES[3], np.float32)[0], None)
    kept = weights.derived["transposed"]
    machine.block_product(weights, random_vectors(SHAPES[3], np.float32)[0], None)
    assert weights.derived["transposed"] is kept
    dense = [sp.csr_array((kept.values[b], kept.indices[b], kept.indptr[b]), kept.shape) for b in range(2)]
    for ours, member in zip(dense, random_weights(SHAPES[3], np.float32, density=0.2), strict=True):
        np.testing.assert_array_equal(ours.toarray(), member.T)


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("order", ORDERS)
def test_degrees_are_exact_sums(machine, dtype, order):
    W = random_weights((130, 70, 1, 2), dtype)
    rows, cols = machine.block_degrees(DenseWeights(ORDERS[order](W)))
    exact = np.abs(W.astype(np.float64))
    np.testing.assert_allclose(rows, exact.sum(axis=2), rtol=1e-14)
    np.testing.assert_allclose(cols, exact.sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("n_clusters", [1, 3, 8, 12])
@pytest.mark.parametrize("dtype", STORED)
def test_cluster_sums_are_those_of_the_oracle(machine, n_clusters, dtype):
    shape = (130, 45, 1, 2)
    W = random_weights(shape, dtype, density=0.4)
    csr, exact = as_csr(machine, W, np.int32)
    rng = np.random.default_rng(2)
    source, target = (rng.integers(-1, n_clusters, (2, size)).astype(np.int32) for size in shape[:2])
    wanted = REFERENCE.cluster_sums(exact, source, target, n_clusters)
    for weights in (csr, *(DenseWeights(make(W)) for make in ORDERS.values())):
        np.testing.assert_allclose(machine.cluster_sums(weights, source, target, n_clusters), wanted, rtol=1e-13)


def test_cluster_sums_in_parts_are_the_whole(machine, monkeypatch):
    monkeypatch.setattr("netspectra.kernels.cuda.sums.WEIGHTS_PER_PART", 100)
    test_cluster_sums_are_those_of_the_oracle(machine, 3, np.float32)


def test_too_many_clusters_are_refused(machine):
    labels = np.zeros((1, 1), np.int32)
    with pytest.raises(LimitError, match="at most 65,534 clusters on a GPU, got 70,000"):
        machine.cluster_sums(DenseWeights(np.ones((1, 1, 1))), labels, labels, 70_000)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", STORED)
def test_the_explicit_matrix_is_that_of_the_oracle(machine, transposed, dtype):
    shape = (30, 45, 1, 2)
    W = random_weights(shape, dtype, density=0.5)
    csr, exact = as_csr(machine, W, np.int32)
    size = (50, 33) if transposed else (33, 50)
    rng = np.random.default_rng(3)
    for work, tolerance in WORK.items():
        rows, cols = (rng.random((2, n)).astype(work) for n in size)
        blocks = [(csr, 1, 2, transposed), *((DenseWeights(make(W)), 0, 0, transposed) for make in ORDERS.values())]
        found = machine.scaled_dense(size, blocks, rows, cols)
        wanted = REFERENCE.scaled_dense(size, [(exact, *block[1:]) for block in blocks], rows, cols)
        close(found, wanted, tolerance)


def test_scaling_by_tiny_degrees_does_not_overflow(machine):
    tiny = DenseWeights(np.full((1, 1, 1), 1e-30, np.float32))
    scale = np.full((1, 1), 1e15, np.float32) * np.float32(1e4)
    found = machine.scaled_dense((1, 1), [(tiny, 0, 0, False)], scale, scale)
    np.testing.assert_allclose(found, 1e8, rtol=1e-5)


def test_an_empty_pattern_is_all_zeros(machine):
    empty = CsrWeights(np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int32), np.zeros((1, 4), np.int64), (3, 2))
    for found, rows in zip(
        machine.block_product(empty, np.ones((1, 3, 2), np.float32), np.ones((1, 2, 2), np.float32)),
        (3, 2),
        strict=True,
    ):
        np.testing.assert_array_equal(found, np.zeros((1, rows, 2)))


@pytest.mark.parametrize("shared_limit", [48 << 10, 99 << 10, 163 << 10])
def test_panels_fit_every_device(shared_limit):
    """The emulator refuses a launch that asks for more shared memory than the device has."""
    small = emulated_backend(EmulatedLauncher(shared_limit=shared_limit))
    weights = DenseWeights(random_weights((700, 90, 1, 1), np.float32))
    for work, vectors in ((np.float32, 32), (np.float64, 16)):
        x = np.ones((1, 90, vectors), work)
        wanted = np.abs(weights.values.astype(np.float64)).sum(axis=2)[:, :, None].repeat(vectors, axis=2)
        np.testing.assert_allclose(small.block_product(weights, None, x)[0], wanted, rtol=1e-5)
