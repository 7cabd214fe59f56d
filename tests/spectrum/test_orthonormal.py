"""`orthonormalize`: whatever the rank, columns come out orthonormal or zero, and span what went in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.spectrum.orthonormal import inner, orthonormalize, project_out, projected

seeds = st.integers(0, 2**32 - 1)


def random_of_rank(rng: np.random.Generator, n: int, width: int, rank: int, dtype: str) -> Any:
    return (rng.standard_normal((n, rank)) @ rng.standard_normal((rank, width))).astype(dtype)


def orthonormal_part(Q: Any) -> Any:
    """The non-zero columns, after a check that they are orthonormal and the others exactly zero."""
    zero = ~Q.any(axis=0)
    kept = Q[:, ~zero].astype(np.float64)
    assert np.abs(kept.T @ kept - np.eye(kept.shape[1])).max(initial=0) <= 10 * Q.shape[0] * np.finfo(Q.dtype).eps
    return kept


@given(seeds, st.integers(1, 40), st.integers(1, 12), st.integers(0, 12), st.sampled_from(["float32", "float64"]))
def test_columns_are_orthonormal_or_zero(backend: Any, seed: int, n: int, width: int, rank: int, dtype: str) -> None:
    X = random_of_rank(np.random.default_rng(seed), n, width, rank, dtype)
    Q = backend.to_numpy(orthonormalize(backend, backend.asarray(X[None])))[0]
    assert (Q.shape, Q.dtype) == (X.shape, X.dtype)
    kept = orthonormal_part(Q)
    assert kept.shape[1] <= min(rank, n)
    if dtype == "float64":  # the span is kept, but for directions below the threshold that is near 1e-7
        missing = X - kept @ (kept.T @ X)
        assert np.abs(missing).max(initial=0) <= 1e-5 * max(np.abs(X).max(initial=0), 1e-300)


@given(seeds, st.integers(12, 40), st.integers(1, 6), st.integers(0, 6), st.integers(0, 5))
def test_result_is_orthogonal_to_the_bases(backend: Any, seed: int, n: int, width: int, q: int, inside: int) -> None:
    """Even where columns lie in the span of the bases, up to rounding: those become zero."""
    rng = np.random.default_rng(seed)
    base = np.linalg.qr(rng.standard_normal((n, max(q, 1))))[0][:, :q]
    X = rng.standard_normal((n, width))
    X[:, : min(inside, width)] = base @ rng.standard_normal((q, min(inside, width)))
    bases = [backend.asarray(base[None, :, : q // 2]), backend.asarray(base[None, :, q // 2 :])]
    Q = backend.to_numpy(orthonormalize(backend, backend.asarray(X[None]), *bases))[0]
    kept = orthonormal_part(Q)
    assert kept.shape[1] == width - min(inside, width)
    assert np.abs(base.T @ kept).max(initial=0) <= 10 * n * np.finfo(np.float64).eps


@given(seeds, st.floats(-30, 30), st.floats(-30, 30))
def test_scale_of_a_column_does_not_matter(backend: Any, seed: int, one: float, other: float) -> None:
    """Residual blocks hold columns of 1e-3 beside columns of 1e-15: both are directions."""
    X = np.random.default_rng(seed).standard_normal((1, 30, 4))
    X[:, :, 1] *= 10.0**one
    X[:, :, 2] *= 10.0**other
    Q = backend.to_numpy(orthonormalize(backend, backend.asarray(X)))[0]
    assert orthonormal_part(Q).shape[1] == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_becomes_zero(bad: float, backend: Any) -> None:
    X = np.random.default_rng(0).standard_normal((2, 20, 4))
    X[0, 3, 1] = bad
    with np.errstate(invalid="ignore"):
        Q = backend.to_numpy(orthonormalize(backend, backend.asarray(X)))
    assert orthonormal_part(Q[0]).shape[1] == 3
    assert orthonormal_part(Q[1]).shape[1] == 4


def test_rows_of_zeros_stay_zero(backend: Any) -> None:
    X = np.random.default_rng(1).standard_normal((1, 20, 5))
    X[:, [2, 7]] = 0.0
    Q = backend.to_numpy(orthonormalize(backend, backend.asarray(X)))
    assert not Q[:, [2, 7]].any()


def test_members_do_not_mix(backend: Any) -> None:
    X = np.random.default_rng(2).standard_normal((3, 20, 5))
    X[1] = 0.0
    together = backend.to_numpy(orthonormalize(backend, backend.asarray(X)))
    assert not together[1].any()
    for i in (0, 2):
        alone = backend.to_numpy(orthonormalize(backend, backend.asarray(X[i : i + 1])))
        np.testing.assert_allclose(together[i], alone[0], rtol=0, atol=1e-13)


def test_project_out_is_a_projection(backend: Any) -> None:
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((25, 6)))[0][None]
    X = rng.standard_normal((1, 25, 4))
    once = project_out(backend, backend.asarray(X), backend.asarray(Q))
    assert np.abs(backend.to_numpy(inner(backend, backend.asarray(Q), once))).max() <= 1e-15
    twice = project_out(backend, once, backend.asarray(Q))
    np.testing.assert_allclose(backend.to_numpy(twice), backend.to_numpy(once), rtol=0, atol=1e-15)
    np.testing.assert_allclose(backend.to_numpy(once)[0], X[0] - Q[0] @ (Q[0].T @ X[0]), rtol=0, atol=1e-14)


def test_projected_is_symmetric_and_finite(backend: Any) -> None:
    rng = np.random.default_rng(4)
    X, AX = rng.standard_normal((2, 1, 10, 3))
    AX[0, 0, 1] = np.nan
    H = backend.to_numpy(projected(backend, backend.asarray(X), backend.asarray(AX)))[0]
    np.testing.assert_array_equal(H, H.T)
    np.testing.assert_array_equal(H[1], 0.0)
    assert H[0, 0] == pytest.approx(float(X[0, :, 0] @ AX[0, :, 0]))
