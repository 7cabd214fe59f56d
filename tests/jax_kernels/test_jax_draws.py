"""Keyed draws in JAX: the KDE null models' weights and LOBPCG's starting block."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from jax_kernels.x64 import x64

from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import random as reference_random
from netspectra.kernels.weights import CsrWeights, DenseWeights

pytestmark = pytest.mark.requires("jax")

INDEX_KEYS = stream_keys(0, "kde-index", [0, 1, 2], 4)
NOISE_KEYS = stream_keys(0, "kde-noise", [0, 1, 2], 4)


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def wide(request):
    with x64(request.param):
        yield request.param


@pytest.fixture(scope="module")
def reference():
    from netspectra.kernels.reference import ReferenceBackend

    return ReferenceBackend()


def resampled(values, bandwidth=0.01, members=slice(None)):
    import jax

    from netspectra.kernels.jax.draws import resample_nonzero

    return np.asarray(jax.jit(resample_nonzero)(values, INDEX_KEYS[members], NOISE_KEYS[members], bandwidth))


def holes(shape, dtype=np.float32, density=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype)


def test_indices_are_bit_identical(wide):
    """Without noise the r-th non-zero becomes ``|w_j|``, and w_j = -(j + 1) tells j."""
    W = holes((40, 30)) != 0
    count = int(W.sum())
    values = np.zeros(W.shape, np.float32)
    values[W] = -np.arange(1, count + 1)
    drawn = resampled(values[None], 0.0)
    for member, key in zip(drawn, INDEX_KEYS, strict=True):
        np.testing.assert_array_equal(member != 0, W)
        np.testing.assert_array_equal(member[W].astype(int) - 1, reference_random.indices(np, count, key))


def test_each_replicate_resamples_its_own_or_the_shared_weights(wide, reference):
    members = np.stack([holes((17, 12), seed=seed, density=density) for seed, density in enumerate((0.2, 0.5, 1.0))])
    for values in (members, members[:1]):
        expected = reference.resample_nonzero(DenseWeights(values), INDEX_KEYS, NOISE_KEYS, 0.01).values
        drawn = resampled(values)
        assert drawn.dtype == np.float32
        np.testing.assert_array_equal(drawn != 0, np.broadcast_to(values != 0, drawn.shape))
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=4 * np.finfo(np.float32).eps * np.abs(values).max())


def test_double_weights_are_resampled_in_double(reference):
    values = holes((17, 12), np.float64)[None]
    expected = reference.resample_nonzero(DenseWeights(values), INDEX_KEYS, NOISE_KEYS, 0.01).values
    with x64(True):
        drawn = resampled(values)
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=4 * np.finfo(np.float64).eps * np.abs(values).max())


def test_stored_values_are_drawn_as_the_dense_block(wide, reference):
    """The pattern plays no part, explicit zeros stay."""
    W = holes((12, 9))
    stored = np.concatenate([W[W != 0], [0.0, 3.0, 0.0]]).astype(np.float32)
    pattern = np.zeros((1, stored.size), np.int64)
    csr = CsrWeights(stored[None], pattern, np.array([[0, stored.size]]), (1, 200))
    expected = reference.resample_nonzero(csr, INDEX_KEYS, NOISE_KEYS, 0.01).values
    drawn = resampled(stored[None])
    np.testing.assert_array_equal(drawn == 0, np.broadcast_to(stored == 0, drawn.shape))
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(resampled(W[None])[:, W != 0], resampled(W[W != 0][None]))


def test_noise_alone_agrees_to_four_ulps(wide):
    """Around weights of 1e-30 nothing is left but the noise."""
    drawn = resampled(np.full((1, 600), 1e-30, np.float32), 1.0)
    for member, key in zip(drawn, NOISE_KEYS, strict=True):
        expected = np.abs(reference_random.normals(np, 600, key))
        assert np.max(np.abs(member - expected) / np.spacing(expected.astype(np.float32))) <= 4


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_short_weights_are_resampled_in_float32(wide, reference, dtype):
    values = holes((10, 10), dtype)[None]
    expected = reference.resample_nonzero(DenseWeights(values.astype(np.float32)), INDEX_KEYS, NOISE_KEYS, 0.01).values
    drawn = resampled(values)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=2e-6)


def test_a_block_without_weights_stays_empty(wide):
    assert resampled(np.zeros((1, 4, 5), np.float32)).tolist() == np.zeros((3, 4, 5)).tolist()
    assert resampled(np.zeros((1, 0), np.float32)).shape == (3, 0)


def test_standard_normals_are_the_references(wide, reference):
    from netspectra.kernels.jax.draws import standard_normals

    for shape in ((50, 7), (1, 350)):
        found = standard_normals(NOISE_KEYS, shape, np.float64)
        assert found.dtype == (np.float64 if wide else np.float32)
        assert found.shape == (3, *shape)
        expected = reference.standard_normals(NOISE_KEYS, shape, np.float64)
        assert (
            np.max(np.abs(np.asarray(found, np.float64) - expected) / np.spacing(np.abs(expected).astype(found.dtype)))
            <= 4
        )


def test_float32_normals_are_rounded_once_with_x64(reference):
    from netspectra.kernels.jax.draws import standard_normals

    expected = reference.standard_normals(NOISE_KEYS, (300, 20), np.float32)
    with x64(True):
        found = np.asarray(standard_normals(NOISE_KEYS, (300, 20), np.float32))
    assert found.dtype == np.float32
    assert np.mean(found == expected) > 0.99
    np.testing.assert_array_max_ulp(found, expected, 1)
