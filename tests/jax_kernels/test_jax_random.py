"""Philox in JAX against the host's, and the numbers made of it, with and without 64-bit numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from jax_kernels.x64 import x64

from netspectra.kernels.keys import stream_keys
from netspectra.kernels.philox import philox4x32, philox4x32_scalar
from netspectra.kernels.reference import random as reference

pytestmark = pytest.mark.requires("jax")

KEYS = stream_keys(0, "kde-noise", [0, 1, 2], 4)
EDGES = np.array([0, 1, 0xFFFF, 0x10000, 0xFFFF0000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF], np.uint32)


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def wide(request):
    with x64(request.param):
        yield request.param


def own():
    from netspectra.kernels.jax import random

    return random


def ulps(found, expected, dtype):
    """Largest distance in units of the last place of `expected`, a float64 array, in `dtype`."""
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    return float(np.max(np.abs(np.asarray(found, np.float64) - expected) / unit))


def test_products_of_words_are_exact(wide):
    x, y = np.meshgrid(np.concatenate([EDGES, KEYS.reshape(-1)]), EDGES)
    high, low = own().multiply_words(x, y)
    product = x.astype(object) * y.astype(object)
    assert (np.asarray(high).astype(object) * 2**32 + np.asarray(low).astype(object) == product).all()
    assert high.dtype == low.dtype == np.uint32


def test_words_are_the_hosts(wide):
    import jax

    rng = np.random.default_rng(0)
    counters = [
        np.concatenate([EDGES, rng.integers(2**32, size=200, dtype=np.uint32)])[shift:][:200] for shift in range(4)
    ]
    for key in KEYS:
        found = jax.jit(own().philox)(*counters, key)
        for mine, theirs in zip(found, philox4x32(*counters, *key), strict=True):
            assert mine.dtype == np.uint32
            np.testing.assert_array_equal(mine, theirs)


def test_counters_broadcast(wide):
    found = own().philox(np.arange(5, dtype=np.uint32)[:, None], 3, np.arange(2, dtype=np.uint32), 0, KEYS[0])
    assert all(word.shape == (5, 2) for word in found)
    expected = philox4x32_scalar((4, 3, 1, 0), tuple(KEYS[0].tolist()))
    assert tuple(int(word[4, 1]) for word in found) == expected


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 2**31 + 5, 2**32 - 1])
def test_indices_are_high_words_of_products(wide, count):
    import jax

    elements = np.arange(500, dtype=np.uint32)
    found = jax.jit(own().indices)(elements, np.uint32(count), KEYS[0])
    first, second, _, _ = philox4x32(elements, 0, 0, 0, *KEYS[0])
    expected = [((int(a) << 32 | int(b)) * count) >> 64 for a, b in zip(first, second, strict=True)]
    assert found.tolist() == expected


def test_as_many_indices_as_weights_are_the_references(wide):
    found = own().indices(np.arange(700, dtype=np.uint32), 700, KEYS[0])
    np.testing.assert_array_equal(found, reference.indices(np, 700, KEYS[0]))


def test_the_lower_word_is_carried_into_the_index(wide):
    """Element 14 of replicate 2399, found by search: without the carry it would draw 929."""
    key = stream_keys(0, "kde-index", [2399], 4)[0]
    assert int(own().indices(np.array([14], np.uint32), 1200, key)[0]) == 930
    assert philox4x32_scalar((14, 0, 0, 0), tuple(key.tolist()))[0] * 1200 >> 32 == 929


def test_uniforms_are_the_references_or_their_upper_bits(wide):
    restart, trial = np.arange(40, dtype=np.uint32)[:, None], np.arange(4, dtype=np.uint32)
    found = own().uniform(restart, 7, trial, KEYS[1])
    expected = np.array([[reference.uniform(KEYS[1], r, 7, t) for t in range(4)] for r in range(40)])
    assert found.dtype == (np.float64 if wide else np.float32)
    np.testing.assert_array_equal(found, expected if wide else np.floor(expected * 2**24) / 2**24)
    assert (np.asarray(found) < 1).all()


def test_normals_agree_to_four_ulps(wide):
    import jax

    dtype = np.float64 if wide else np.float32
    for key in KEYS:
        found = jax.jit(own().normals)(np.arange(20000, dtype=np.uint32), key)
        assert found.dtype == dtype
        assert ulps(found, reference.normals(np, 20000, key), dtype) <= 4


def test_normals_without_64_bits_keep_their_digits_at_the_edges():
    """Next to u = 1 and to a zero of the cosine, where plain float32 has none left."""
    words = np.concatenate([EDGES, np.arange(8, dtype=np.uint32) << 29, 3 + (np.arange(8, dtype=np.uint32) << 29)])
    with x64(False):
        log, cosine = own()._log_fraction(words), own()._cos_turns(words)
    fractions = [(int(word) + 0.5) / 2**32 for word in words]  # exact in float64
    assert ulps(log, np.array([math.log1p(f - 1) if f > 0.5 else math.log(f) for f in fractions]), np.float32) <= 2
    turned = [math.cos(2 * math.pi * int(word) / 2**32) for word in words]
    np.testing.assert_allclose(cosine, turned, rtol=3e-7, atol=1e-15)
