"""Keyed random numbers of the KDE null models and of LOBPCG's starting block."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netspectra.kernels.cpu import random as cpu_random
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.philox import philox4x32_scalar
from netspectra.kernels.reference import random as reference_random
from netspectra.kernels.weights import CsrWeights, DenseWeights

INDEX_KEYS = stream_keys(0, "kde-index", [0, 1, 2], 4)
NOISE_KEYS = stream_keys(0, "kde-noise", [0, 1, 2], 4)


def words(key, element):
    return philox4x32_scalar((element & 0xFFFFFFFF, element >> 32, 0, 0), tuple(key.tolist()))


def index_by_hand(key, element, count):
    first, second, _, _ = words(key, element)
    return ((first << 32 | second) * count) >> 64


def normal_by_hand(key, element):
    first, second, _, _ = words(key, element)
    return math.sqrt(-2 * math.log((first + 0.5) / 2**32)) * math.cos(2 * math.pi * second / 2**32)


def ulps(found, expected):
    """Largest distance in units of the last place of `expected`."""
    return float(np.max(np.abs(found.astype(np.float64) - expected) / np.spacing(np.abs(expected)).astype(np.float64)))


def holes(values, shape, density, seed=0):
    """A block whose non-zeros are `values`, in row-major order."""
    place = np.sort(np.random.default_rng(seed).permutation(shape[0] * shape[1])[: len(values)])
    out = np.zeros(shape[0] * shape[1], np.asarray(values).dtype)
    out[place] = values
    return out.reshape(shape)


# -- indices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_indices_are_bit_identical_everywhere(backend, count, dtype):
    """Without noise the r-th non-zero becomes ``|w_j|``, and w_j = -(j + 1) tells j."""
    W = holes(-np.arange(1, count + 1, dtype=dtype), (40, 30), 0.5)
    weights = backend.load_block([W], symmetric=False)
    drawn = backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS, NOISE_KEYS, 0.0).values)
    assert drawn.dtype == dtype
    for member, key in zip(drawn, INDEX_KEYS, strict=True):
        np.testing.assert_array_equal(member != 0, W != 0)
        assert (member[W != 0].astype(int) - 1).tolist() == [index_by_hand(key, r, count) for r in range(count)]


def test_the_lower_word_is_carried_into_the_index(backend):
    """In one element of 8 million the lower 32 bits decide: element 14 of replicate 2399, found by search."""
    keys = stream_keys(0, "kde-index", [2399], 4)
    assert index_by_hand(keys[0], 14, 1200) == 930 != words(keys[0], 14)[0] * 1200 >> 32
    weights = backend.load_block([np.arange(1, 1201, dtype=np.float64).reshape(40, 30)], symmetric=False)
    drawn = backend.to_numpy(backend.resample_nonzero(weights, keys, NOISE_KEYS[:1], 0.0).values)
    assert drawn[0, 0, 14] == 931


@given(count=st.integers(1, 2**32 - 1))
def test_indices_stay_in_range_up_to_the_largest_block(count):
    """The product of 64 random bits and the count, in limbs of 16 bits, on a few elements of a block of any size."""
    first, second = (np.array([w[i] for w in (words(INDEX_KEYS[0], r) for r in range(6))], np.int64) for i in (0, 1))
    high, low = reference_random.multiply_words(first, count)
    found = high + ((low + reference_random.multiply_words(second, count)[0]) >> 32)
    assert found.tolist() == [index_by_hand(INDEX_KEYS[0], r, count) for r in range(6)]
    assert (found < count).all()


def test_every_weight_is_drawn_equally_often():
    found = reference_random.indices(np, 4000, INDEX_KEYS[0])
    assert stats.chisquare(np.bincount(found // 100, minlength=40)).pvalue > 1e-3


# -- noise -------------------------------------------------------------------------------------------------------------


def test_noise_agrees_to_four_ulps(backend):
    """Around weights of 1e-300 nothing is left but the noise."""
    W = holes(np.full(600, 1e-300), (40, 30), 0.5)
    weights = backend.load_block([W], symmetric=False)
    drawn = backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS, NOISE_KEYS, 1.0).values)
    for member, key in zip(drawn, NOISE_KEYS, strict=True):
        expected = np.array([normal_by_hand(key, r) for r in range(600)])
        assert ulps(member[W != 0], np.abs(expected)) <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cpu_and_reference_resample_alike(cpu, reference, dtype):
    W = holes(np.random.default_rng(1).standard_normal(500).astype(dtype), (40, 30), 0.5)
    mine, theirs = (
        machine.resample_nonzero(machine.load_block([W], symmetric=False), INDEX_KEYS, NOISE_KEYS, 0.01).values
        for machine in (cpu, reference)
    )
    assert (mine >= 0).all()
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=4 * np.finfo(dtype).eps * np.abs(W).max())


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_short_weights_are_resampled_in_float32(backend, dtype):
    W = holes((np.arange(1, 51) / 64).astype(dtype), (10, 10), 0.5)
    weights = backend.load_block([W], symmetric=False)
    drawn = backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS[:1], NOISE_KEYS[:1], 0.01).values)
    z = np.array([normal_by_hand(NOISE_KEYS[0], r) for r in range(50)])
    chosen = np.array([index_by_hand(INDEX_KEYS[0], r, 50) for r in range(50)])
    assert drawn.dtype == np.float32
    expected = np.abs(W[W != 0].astype(np.float64)[chosen] + 0.01 * z)
    np.testing.assert_allclose(drawn[0][W != 0], expected, rtol=1e-6, atol=1e-7)


def test_csr_and_dense_storage_draw_alike(backend):
    W = holes(np.random.default_rng(2).standard_normal(60), (12, 9), 0.5)
    rows, cols = np.nonzero(W)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=12))])
    load = backend.asarray
    sparse = CsrWeights(load(W[rows, cols][None]), load(cols[None]), load(indptr[None]), (12, 9))
    dense = DenseWeights(load(W[None]))
    from_csr, from_dense = (
        backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS, NOISE_KEYS, 0.01).values)
        for weights in (sparse, dense)
    )
    np.testing.assert_array_equal(from_csr, from_dense[:, rows, cols])


def test_explicit_zeros_stay_zero(backend):
    load = backend.asarray
    values = np.array([[1.0, 0.0, -2.0, 0.0, 3.0]])
    weights = CsrWeights(load(values), load(np.array([[0, 2, 1, 0, 2]])), load(np.array([[0, 2, 3, 5]])), (3, 3))
    drawn = backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS, NOISE_KEYS, 0.01).values)
    assert drawn.shape == (3, 5)
    np.testing.assert_array_equal(drawn != 0, np.broadcast_to(values != 0, (3, 5)))


def test_each_replicate_resamples_its_own_weights(backend):
    """After a shuffle (the model "kde") every member has weights of its own."""
    members = np.stack([holes(np.arange(1.0, 31.0) * 10**b, (8, 8), 0.5, b) for b in range(3)])
    together = backend.resample_nonzero(DenseWeights(backend.asarray(members)), INDEX_KEYS, NOISE_KEYS, 0.01).values
    for b in range(3):
        one = DenseWeights(backend.asarray(members[b : b + 1]))
        alone = backend.resample_nonzero(one, INDEX_KEYS[b : b + 1], NOISE_KEYS[b : b + 1], 0.01).values
        np.testing.assert_array_equal(backend.to_numpy(together)[b], backend.to_numpy(alone)[0])


def test_a_block_without_weights_stays_empty(backend):
    weights = DenseWeights(backend.asarray(np.zeros((1, 4, 5), np.float32)))
    drawn = backend.to_numpy(backend.resample_nonzero(weights, INDEX_KEYS, NOISE_KEYS, 0.01).values)
    assert drawn.shape == (3, 4, 5)
    assert not drawn.any()


# -- standard normals --------------------------------------------------------------------------------------------------


def test_normals_agree_to_four_ulps(backend):
    found = backend.to_numpy(backend.standard_normals(NOISE_KEYS, (50, 7), backend.xp.float64))
    for member, key in zip(found, NOISE_KEYS, strict=True):
        expected = np.array([normal_by_hand(key, r) for r in range(350)]).reshape(50, 7)
        assert (np.sign(member) == np.sign(expected)).all()
        assert ulps(np.abs(member), np.abs(expected)) <= 4


def test_normals_in_float32_are_rounded_once(cpu, reference):
    mine, theirs = (machine.standard_normals(NOISE_KEYS, (300, 20), np.float32) for machine in (cpu, reference))
    assert mine.dtype == theirs.dtype == np.float32
    assert ulps(np.abs(mine), np.abs(theirs)) <= 1
    assert np.mean(mine == theirs) > 0.99


def test_normals_are_numbered_row_major(backend):
    one = backend.to_numpy(backend.standard_normals(NOISE_KEYS, (24, 1), backend.xp.float64))
    other = backend.to_numpy(backend.standard_normals(NOISE_KEYS, (4, 6), backend.xp.float64))
    np.testing.assert_array_equal(one.reshape(3, 4, 6), other)


def test_element_numbers_run_on_beyond_32_bits():
    out = np.empty(6)
    cpu_random.standard_normals(NOISE_KEYS[0], 2**32 - 3, out)
    expected = np.array([normal_by_hand(NOISE_KEYS[0], 2**32 - 3 + r) for r in range(6)])
    np.testing.assert_allclose(out, expected, rtol=1e-14)


def test_moments_of_normals(backend):
    z = backend.to_numpy(backend.standard_normals(NOISE_KEYS, (200, 100), backend.xp.float64)).reshape(-1)
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(stats.skew(z)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(z)) < 4 * np.sqrt(24 / n)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / np.sqrt(n)


def test_replicates_have_unlike_normals(backend):
    z = backend.to_numpy(backend.standard_normals(NOISE_KEYS, (50, 40), backend.xp.float64)).reshape(3, -1)
    assert np.abs(np.corrcoef(z) - np.eye(3)).max() < 4 / np.sqrt(2000)
