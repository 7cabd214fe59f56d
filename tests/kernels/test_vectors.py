"""Scales of nodes and deflation of blocks of vectors: identities, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("members", [1, 3])
def test_scales_are_roots_of_the_degrees(backend, dtype, members):
    degrees = np.random.default_rng(0).random((members, 9)) * np.arange(1, members + 1)[:, None]
    degrees[:, 4] = 0
    scale, root = backend.degree_scales(backend.asarray(degrees), getattr(backend.xp, np.dtype(dtype).name))
    scale, root = backend.to_numpy(scale), backend.to_numpy(root)
    assert scale.dtype == root.dtype == dtype
    live = np.arange(9) != 4
    eps = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(scale[:, live] ** 2 * degrees[:, live], 1, rtol=eps)
    np.testing.assert_allclose(np.sum(root.astype(np.float64) ** 2, axis=1), 1, rtol=eps)
    np.testing.assert_allclose(root**2 * degrees.sum(axis=1, keepdims=True), degrees, rtol=eps, atol=0)
    assert not scale[:, 4].any()
    assert not root[:, 4].any()


def test_extreme_degrees_neither_overflow_nor_vanish(backend):
    degrees = np.array([[1e-150, 1e150, 0.0]])
    scale, root = map(backend.to_numpy, backend.degree_scales(backend.asarray(degrees), backend.xp.float64))
    np.testing.assert_allclose(scale, [[1e75, 1e-75, 0]], rtol=1e-15)
    np.testing.assert_allclose(root, [[1e-150, 1, 0]], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_deflation_is_a_projection(backend, dtype, order):
    rng = np.random.default_rng(1)
    unit, X = rng.standard_normal((2, 50)), rng.standard_normal((2, 50, 3))
    unit[1, :7] = 0
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    unit, X = unit.astype(dtype), np.asarray(X.astype(dtype), order=order)
    once = backend.deflated(backend.asarray(X), backend.asarray(unit))
    found, twice = backend.to_numpy(once), backend.to_numpy(backend.deflated(once, backend.asarray(unit)))
    expected = np.where(unit[:, :, None] == 0, 0, X)
    expected = expected - unit[:, :, None] * (unit[:, None, :] @ expected)
    eps = np.finfo(dtype).eps
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=30 * eps)
    np.testing.assert_allclose(twice, found, atol=30 * eps)
    np.testing.assert_allclose(unit[:, None, :] @ found, 0, atol=30 * eps)
    assert not found[1, :7].any()


def test_rows_that_are_left_out_may_hold_anything(backend):
    X = np.ones((1, 3, 1))
    X[0, 1] = np.nan
    with np.errstate(invalid="ignore"):
        found = backend.deflated(backend.asarray(X), backend.asarray(np.array([[0.6, 0, 0.8]])))
    np.testing.assert_allclose(backend.to_numpy(found)[0, :, 0], [1 - 0.6 * 1.4, 0, 1 - 0.8 * 1.4], atol=1e-15)
