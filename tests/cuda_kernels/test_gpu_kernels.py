"""Every kernel on a real GPU, against the oracle and, where bits are promised, against the CPU.

The same questions are asked of the emulated device in ``test_cuda_*.py``; here NVRTC's code answers them.
"""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels.block_weights import REFERENCE, STORED, WORK, as_csr, random_weights
from cuda_kernels.kmeans_runs import KEYS, planted

from netspectra.kernels import get_backend
from netspectra.kernels.keys import shuffle_keys, stream_keys
from netspectra.kernels.weights import CsrWeights, DenseWeights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.requires("gpu"),
    pytest.mark.filterwarnings("default"),  # what CUDA's libraries say about themselves is no fault of ours
]
# m, n, vectors, members: single elements, ragged tiles, many panels, more vectors than one pass has room for
SHAPES = [(1, 1, 1, 1), (5, 7, 3, 2), (64, 64, 4, 1), (130, 200, 17, 2), (300, 65, 40, 1), (1500, 2100, 21, 3)]
REPLICATES = [0, 1, 7, 2**33]


@pytest.fixture(scope="module")
def machine(require):
    require("gpu")
    return get_backend("cuda")


@pytest.fixture(scope="module")
def cpu():
    return get_backend("cpu")


def orders(machine, W):
    """The same weights stored by rows, by columns, and with gaps."""
    by_columns = machine.asarray(np.ascontiguousarray(W.transpose(0, 2, 1)))
    spread = machine.asarray(np.repeat(np.repeat(W, 2, axis=1), 2, axis=2))
    return {
        "rows": machine.asarray(W),
        "columns": by_columns.transpose(0, 2, 1),
        "slice": spread[:, ::2, ::2],
    }


def random_vectors(shape, dtype, seed=1):
    m, n, c, members = shape
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((members, size + 3, c)).astype(dtype) for size in (m, n)]


def inner(vectors):
    """As the engine hands them over: slices of longer ones."""
    return [x[:, 2:-1] for x in vectors]


def close(machine, found, wanted, tolerance):
    found = machine.to_numpy(found)
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


def same_bits(machine, found, wanted):
    found = machine.to_numpy(found)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", STORED)
def test_the_product_is_that_of_the_oracle(machine, shape, dtype):
    W = random_weights(shape, dtype)
    for work, tolerance in WORK.items():
        vectors = random_vectors(shape, work)
        wanted = REFERENCE.block_product(DenseWeights(W.astype(np.float64)), *inner(vectors))
        for values in orders(machine, W).values():
            found = machine.block_product(DenseWeights(values), *inner([machine.asarray(x) for x in vectors]))
            for ours, theirs in zip(found, wanted, strict=True):
                assert ours.dtype == work
                close(machine, ours, theirs, tolerance * max(shape[:2]) ** 0.5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", STORED)
def test_csr_is_dense(machine, shape, index, dtype):
    W = random_weights(shape, dtype, density=0.1)
    weights, exact = as_csr(machine, W, index)
    for work, tolerance in WORK.items():
        vectors = random_vectors(shape, work)
        wanted = REFERENCE.block_product(exact, *(x.astype(np.float64) for x in inner(vectors)))
        found = machine.block_product(weights, *inner([machine.asarray(x) for x in vectors]))
        for ours, theirs in zip(found, wanted, strict=True):
            close(machine, ours, theirs, tolerance * max(shape[:2]) ** 0.5)
    for ours, theirs in zip(machine.block_degrees(weights), REFERENCE.block_degrees(exact), strict=True):
        close(machine, ours, theirs, 1e-14 * max(shape[:2]))


@pytest.mark.parametrize("dtype", STORED)
def test_degrees_are_exact_sums(machine, dtype):
    W = random_weights((700, 1300, 1, 2), dtype)
    exact = np.abs(W.astype(np.float64))
    for values in orders(machine, W).values():
        rows, cols = machine.block_degrees(DenseWeights(values))
        np.testing.assert_allclose(machine.to_numpy(rows), exact.sum(axis=2), rtol=1e-13)
        np.testing.assert_allclose(machine.to_numpy(cols), exact.sum(axis=1), rtol=1e-13)


def test_numbers_below_the_normal_range_count(machine):
    """NVRTC could be told to flush them to zero; on the CPU they are edges."""
    tiny = machine.asarray(np.full((1, 40, 30), 1e-42, np.float32))
    rows, _ = machine.block_degrees(DenseWeights(tiny))
    np.testing.assert_allclose(machine.to_numpy(rows), 30 * float(np.float32(1e-42)), rtol=1e-12)
    ones = machine.asarray(np.ones((1, 30, 4)))
    found, _ = machine.block_product(DenseWeights(tiny), None, ones)
    np.testing.assert_allclose(machine.to_numpy(found), 30 * float(np.float32(1e-42)), rtol=1e-12)


@pytest.mark.parametrize("n_clusters", [1, 3, 12, 40])
@pytest.mark.parametrize("dtype", STORED)
def test_cluster_sums_are_those_of_the_oracle(machine, n_clusters, dtype):
    shape = (1300, 450, 1, 2)
    W = random_weights(shape, dtype, density=0.4)
    csr, exact = as_csr(machine, W, np.int32)
    rng = np.random.default_rng(2)
    labels = [rng.integers(-1, n_clusters, (2, size)).astype(np.int32) for size in shape[:2]]
    wanted = REFERENCE.cluster_sums(exact, *labels, n_clusters)
    ends = [machine.asarray(end) for end in labels]
    for weights in (csr, *(DenseWeights(values) for values in orders(machine, W).values())):
        found = machine.to_numpy(machine.cluster_sums(weights, *ends, n_clusters))
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", STORED)
def test_the_explicit_matrix_is_that_of_the_oracle(machine, transposed, dtype):
    W = random_weights((30, 45, 1, 2), dtype, density=0.5)
    csr, exact = as_csr(machine, W, np.int32)
    size = (50, 33) if transposed else (33, 50)
    rng = np.random.default_rng(3)
    for work, tolerance in WORK.items():
        scales = [rng.random((2, n)).astype(work) for n in size]
        stored = orders(machine, W).values()
        blocks = [(csr, 1, 2, transposed), *((DenseWeights(values), 0, 0, transposed) for values in stored)]
        found = machine.scaled_dense(size, blocks, *(machine.asarray(scale) for scale in scales))
        wanted = REFERENCE.scaled_dense(size, [(exact, *block[1:]) for block in blocks], *scales)
        close(machine, found, wanted, tolerance)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (16, 16), (7, 37), (784, 256)], ids=str)
@pytest.mark.parametrize("dtype", STORED)
def test_shuffled_blocks_are_those_of_the_cpu(machine, cpu, shape, dtype):
    rng = np.random.default_rng(0)
    W = rng.standard_normal(shape).astype(dtype)
    keys = shuffle_keys(5, REPLICATES, 2, W.size)
    wanted = cpu.permute_dense(W, keys, None, None, shape).values
    for values in orders(machine, W[None]).values():
        same_bits(machine, machine.permute_dense(values[0], keys, None, None, shape).values, wanted)
    items = np.flatnonzero(rng.random(W.size) < 0.4).astype(np.int64)
    some = W.ravel()[items]
    found = machine.permute_dense(machine.asarray(some), keys, machine.asarray(items), None, shape)
    same_bits(machine, found.values, cpu.permute_dense(some, keys, items, None, shape).values)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("n", [1, 3, 50, 1 << 21])
def test_shuffled_patterns_are_those_of_the_cpu(machine, cpu, symmetric, n):
    m = n if symmetric else max(1, n // 2)
    size = n * (n - 1) // 2 if symmetric else m * n
    items = np.unique(np.random.default_rng(4).integers(0, max(size, 1), 50 if size else 0)).astype(np.int64)
    values, keys = np.arange(items.size, dtype=np.float32), shuffle_keys(1, REPLICATES, 0, size)
    wanted = cpu.permute_sparse(values, keys, items, (m, n), symmetric=symmetric)
    found = machine.permute_sparse(machine.asarray(values), keys, machine.asarray(items), (m, n), symmetric=symmetric)
    for name in ("values", "indices", "indptr"):
        same_bits(machine, getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("dtype", STORED)
def test_resampled_weights_are_those_of_the_oracle(machine, dtype):
    rng = np.random.default_rng(3)
    W = (rng.standard_normal((1, 90, 310)) * (rng.random((1, 90, 310)) < 0.4)).astype(dtype)
    keys = [stream_keys(0, stream, REPLICATES) for stream in ("kde-index", "kde-noise")]
    exact = W if dtype == np.float64 else W.astype(np.float32)
    found = machine.to_numpy(machine.resample_nonzero(DenseWeights(machine.asarray(W)), *keys, 0.01).values)
    wanted = REFERENCE.resample_nonzero(DenseWeights(exact), *keys, 0.01).values
    assert found.dtype == exact.dtype
    np.testing.assert_array_equal(found != 0, np.broadcast_to(W != 0, found.shape))
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 4e-6), (np.float64, 1e-14)])
def test_normals_are_those_of_the_cpu(machine, cpu, dtype, tolerance):
    keys = stream_keys(3, "start-block", [None, 0, 5])
    found, wanted = (b.standard_normals(keys, (410, 21), dtype) for b in (machine, cpu))
    np.testing.assert_allclose(machine.to_numpy(found), wanted, rtol=0, atol=tolerance)


# n, d, k: on chip; one that streams on every device; wide sums
@pytest.mark.parametrize("size", [(60, 3, 4), (1818, 11, 12), (6000, 15, 16), (900, 40, 41)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kmeans_finds_what_the_oracle_finds(machine, size, dtype):
    n, d, k = size
    points = planted(n, d, k, members=2, dtype=dtype, distance=8.0)
    live = np.ones((2, n), bool)
    live[1, ::7] = False
    options = {"max_iter": 300, "keep_all": True}
    tol = np.full(2, 1e-6)
    labels, inertia, rounds = (
        machine.to_numpy(a)
        for a in machine.kmeans(machine.asarray(points), machine.asarray(live), k, 4, KEYS[:2],
                                tol=machine.asarray(tol), **options)
    )  # fmt: skip
    wanted = REFERENCE.kmeans(points, live, k, 4, KEYS[:2], tol=tol, **options)
    assert (labels.dtype, inertia.dtype, rounds.dtype) == (np.int32, np.float64, np.int32)
    np.testing.assert_array_equal(labels < 0, np.broadcast_to(~live[:, None, :], labels.shape))
    if dtype == np.float64:
        assert np.mean(labels == wanted[0]) > 0.999
    np.testing.assert_allclose(inertia.min(axis=1), np.asarray(wanted[1]).min(axis=1), rtol=1e-3)
    again = machine.kmeans(
        machine.asarray(points), machine.asarray(live), k, 4, KEYS[:2], tol=machine.asarray(tol), **options
    )
    for one, other in zip((labels, inertia, rounds), again, strict=True):
        np.testing.assert_array_equal(one, machine.to_numpy(other))


@pytest.mark.parametrize("n", [1, 2, 33, 63, 130, 400])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenpairs_of_dense_matrices(machine, n, dtype):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((3, n, n)).astype(dtype)
    A = A + A.transpose(0, 2, 1)
    k = max(1, n // 3)
    for values, vectors in (machine.eigh(machine.asarray(A)), machine.largest_eigenpairs(machine.asarray(A), k)):
        w, X = machine.to_numpy(values), machine.to_numpy(vectors)
        bound = 60 * n * np.finfo(dtype).eps * max(1.0, float(np.abs(A).max()))
        assert np.abs(A @ X - X * w[:, None, :]).max() < bound
        assert np.abs(X.transpose(0, 2, 1) @ X - np.eye(X.shape[2])).max() < bound
    np.testing.assert_allclose(w, np.linalg.eigvalsh(A)[:, ::-1][:, :k], rtol=0, atol=bound)


def test_an_empty_pattern_is_all_zeros(machine):
    arrays = [np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int32), np.zeros((1, 4), np.int64)]
    empty = CsrWeights(*(machine.asarray(a) for a in arrays), (3, 2))
    ends = [machine.asarray(np.ones((1, size, 2), np.float32)) for size in (3, 2)]
    for found, rows in zip(machine.block_product(empty, *ends), (3, 2), strict=True):
        np.testing.assert_array_equal(machine.to_numpy(found), np.zeros((1, rows, 2)))
