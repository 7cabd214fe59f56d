"""Shuffled weights on the emulated GPU, bit for bit those of the CPU, and keyed draws."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import emulated_backend

from netspectra.kernels import get_backend
from netspectra.kernels.keys import shuffle_keys, stream_keys
from netspectra.kernels.reference import ReferenceBackend
from netspectra.kernels.weights import CsrWeights, DenseWeights

pytestmark = pytest.mark.requires("cxx")
SHAPES = [(1, 1), (2, 3), (3, 3), (16, 16), (7, 37), (257, 10)]
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
REPLICATES = [0, 1, 7, 2**33]


@pytest.fixture(scope="module")
def machine():
    return emulated_backend(EmulatedLauncher())


@pytest.fixture(scope="module")
def cpu():
    return get_backend("cpu")


def keys_for(size):
    return shuffle_keys(5, REPLICATES, 2, size)


def same_bits(found, wanted):
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_blocks(machine, cpu, shape, dtype):
    W = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    keys = keys_for(W.size)
    wanted = cpu.permute_dense(W, keys, None, None, shape).values
    same_bits(machine.permute_dense(W, keys, None, None, shape).values, wanted)
    same_bits(machine.permute_dense(np.asfortranarray(W), keys, None, None, shape).values, wanted)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_items_among_slots(machine, cpu, shape, dtype):
    rng = np.random.default_rng(1)
    size = shape[0] * shape[1]
    items = np.flatnonzero(rng.random(size) < 0.4).astype(np.int64)
    values = rng.standard_normal(items.size).astype(dtype)
    plans = [(keys_for(size), items, None)]
    if items.size:
        plans.append((keys_for(items.size), np.arange(items.size), items))
    for keys, which, slots in plans:
        found, wanted = (b.permute_dense(values, keys, which, slots, shape).values for b in (machine, cpu))
        same_bits(found, wanted)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("symmetric", [False, True])
def test_sparse_blocks(machine, cpu, shape, symmetric):
    m, n = (shape[0], shape[0]) if symmetric else shape
    size = m * (m - 1) // 2 if symmetric else m * n
    rng = np.random.default_rng(2)
    items = np.flatnonzero(rng.random(size) < 0.3).astype(np.int64)
    values = rng.standard_normal(items.size).astype(np.float32)
    found, wanted = (
        b.permute_sparse(values, keys_for(size), items, (m, n), symmetric=symmetric) for b in (machine, cpu)
    )
    for name in ("values", "indices", "indptr"):
        same_bits(getattr(found, name), getattr(wanted, name))


STRIDED = {
    "a column": lambda W: W[:, :1],
    "every other of a row": lambda W: W[:1, ::2],
    "reversed": lambda W: W[::-1, ::-1],
    "columns": np.asfortranarray,
}


@pytest.mark.parametrize("view", STRIDED)
def test_views_of_any_strides(machine, cpu, view):
    """``reshape`` makes a view, and no copy, of some of these."""
    W = STRIDED[view](np.random.default_rng(5).standard_normal((6, 8)).astype(np.float32))
    exact = np.ascontiguousarray(W)
    drawn = [b.permute_dense(a, keys_for(W.size), None, None, W.shape).values for b, a in ((machine, W), (cpu, exact))]
    same_bits(*drawn)
    keys = [stream_keys(0, stream, REPLICATES) for stream in ("kde-index", "kde-noise")]
    found, wanted = (
        b.resample_nonzero(DenseWeights(a[None]), *keys, 0.0).values for b, a in ((machine, W), (cpu, exact))
    )
    same_bits(found, wanted)


@pytest.mark.parametrize("slots", [None, np.array([0, 2, 3], np.int64)], ids=["all", "some"])
def test_patterns(machine, cpu, slots):
    csr = CsrWeights(
        np.array([[1.0, 0.0, 3.0, 4.0]], np.float32), np.array([[0, 1, 0, 2]], np.int32), np.array([[0, 2, 4]]), (2, 3)
    )
    keys = keys_for(4 if slots is None else 3)
    found, wanted = (b.permute_pattern(csr, keys, slots) for b in (machine, cpu))
    same_bits(found.values, wanted.values)
    assert found.indices is csr.indices


def test_every_permutation_of_four_comes_up_alike(machine):
    """Uniform over 24 permutations: chi-square of 24,000 draws far below its 1e-6 quantile, 73."""
    items = np.arange(4, dtype=np.int64)
    keys = shuffle_keys(0, range(24_000), 0, 4)
    drawn = machine.permute_dense(np.arange(4.0), keys, items, None, (1, 4)).values.reshape(-1, 4)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert counts.size == 24
    assert np.sum((counts - 1000.0) ** 2 / 1000.0) < 73


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [True, False])
def test_resampled_weights_are_those_of_the_oracle(machine, dtype, shared):
    reference, rng = ReferenceBackend(), np.random.default_rng(3)
    W = (rng.standard_normal((1 if shared else 4, 9, 31)) * (rng.random((1, 9, 31)) < 0.4)).astype(dtype)
    keys = [stream_keys(0, stream, REPLICATES) for stream in ("kde-index", "kde-noise")]
    found = machine.resample_nonzero(DenseWeights(W), *keys, 0.01).values
    exact = W if dtype == np.float64 else W.astype(np.float32)
    wanted = reference.resample_nonzero(DenseWeights(exact), *keys, 0.01).values
    assert found.dtype == exact.dtype
    np.testing.assert_array_equal(found != 0, np.broadcast_to(W != 0, found.shape))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_resampling_without_bandwidth_draws_the_same_indices(machine, cpu):
    W = np.arange(1.0, 1001.0)[None, None]
    keys = [stream_keys(0, stream, REPLICATES) for stream in ("kde-index", "kde-noise")]
    same_bits(
        machine.resample_nonzero(DenseWeights(W), *keys, 0.0).values,
        cpu.resample_nonzero(DenseWeights(W), *keys, 0.0).values,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normals_are_those_of_the_cpu(machine, cpu, dtype):
    keys = stream_keys(3, "start-block", [None, 0, 5])
    found, wanted = (b.standard_normals(keys, (41, 7), dtype) for b in (machine, cpu))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=4 * np.finfo(dtype).eps * 5)
    assert abs(float(found.mean())) < 0.15
    assert abs(float(found.std()) - 1) < 0.1


@pytest.mark.parametrize("symmetric", [False, True])
def test_places_beyond_32_bits(machine, cpu, symmetric):
    """A block of 2**41 places, of which some are occupied: far beyond what an int32 could number."""
    m, n = (1 << 21, 1 << 21) if symmetric else (1 << 20, 1 << 21)
    size = m * (m - 1) // 2 if symmetric else m * n
    items = np.sort(np.random.default_rng(4).integers(0, size, 50)).astype(np.int64)
    keys = shuffle_keys(1, [0], 0, size)
    found, wanted = (
        b.permute_sparse(np.arange(50.0), keys, items, (m, n), symmetric=symmetric) for b in (machine, cpu)
    )
    for name in ("values", "indices", "indptr"):
        same_bits(getattr(found, name), getattr(wanted, name))
