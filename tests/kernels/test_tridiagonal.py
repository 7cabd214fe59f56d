"""``A = Q T Q^T``: to rounding, for any size and any scale of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu.tridiagonal import apply_reflectors, tridiagonal


def factors_of(A, scale=1.0):
    """T and Q, (n, n)."""
    diagonal, beside, reflectors, factors = tridiagonal(A, scale)
    columns = np.eye(A.shape[0], dtype=A.dtype)
    apply_reflectors(reflectors, factors, columns)
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1), columns.T


def check(A, scale=1.0):
    before = A.copy()
    T, Q = (found.astype(np.float64) for found in factors_of(A, scale))
    np.testing.assert_array_equal(A, before)
    n, eps, wide = A.shape[0], np.finfo(A.dtype).eps, A.astype(np.float64) * scale
    assert np.abs(Q.T @ Q - np.eye(n)).max() < 8 * np.sqrt(n) * eps
    assert np.abs(Q @ T @ Q.T - wide).max() < 8 * np.sqrt(n) * eps * np.linalg.norm(wide, 2) + np.finfo(A.dtype).tiny


@settings(max_examples=60)
@given(n=st.integers(2, 90), seed=st.integers(0, 2**32), rank=st.integers(0, 90))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_matrix(dtype, n, seed, rank):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((n, min(n, rank))) * rng.choice([-1, 1], min(n, rank))
    A = B @ (B * rng.standard_normal(B.shape[1])).T / max(n, 1)
    check(((A + A.T) / 2).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [255, 256, 257, 300])
def test_several_hundred_rows(dtype, n):
    A = np.random.default_rng(n).standard_normal((n, n))
    check(((A + A.T) / np.sqrt(8 * n)).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_very_different_size(dtype):
    """Squares of the small ones are zero in the dtype."""
    A = np.random.default_rng(0).standard_normal((24, 24))
    rows = 10.0 ** -np.arange(24)
    for order in (rows, rows[::-1], rows[np.random.default_rng(1).permutation(24)]):
        check(((A + A.T) * order[:, None] * order).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "A",
    [
        np.diag(np.arange(1.0, 9)),
        np.diag(np.ones(8), 1) + np.diag(np.ones(8), -1),
        np.kron(np.eye(3), np.ones((5, 5))),
        np.fliplr(np.eye(7)),
    ],
    ids=["diagonal", "tridiagonal", "blocks", "exchange"],
)
def test_matrices_that_are_nearly_done(dtype, A):
    check(A.astype(dtype) / 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_the_matrix_only_the_lower_triangle_is_read(dtype):
    A = np.random.default_rng(2).standard_normal((37, 37)).astype(dtype)
    A = (A + A.T) / 8
    spoiled = A + np.triu(np.full_like(A, 1e3), 1)
    for one, other in zip(factors_of(A), factors_of(spoiled), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale(dtype):
    A = np.random.default_rng(3).standard_normal((20, 20))
    check(((A + A.T) * 1e-30).astype(dtype), 2.0**100)
