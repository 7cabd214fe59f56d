"""Ritz pairs in a basis that need not be orthonormal: exact in an invariant subspace, the same on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from netspectra.kernels.cpu.rayleigh_ritz import WIDEST

DTYPES = [np.float32, np.float64]
N = 31


def symmetric(values, seed=0):
    """A matrix of these eigenvalues, descending, and its eigenvectors."""
    Z = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    return (Z * values) @ Z.T, Z


def spectrum():
    return np.linspace(1, -1, N)


def pairs(machine, A, Q, m, dtype, others=()):
    """What a backend finds, as NumPy arrays in float64, and that its dtype is the basis's."""
    bases = [machine.asarray(np.asarray(X, dtype)) for X in (Q, A @ Q, *others)]
    found = machine.rayleigh_ritz(bases, m)
    arrays = [machine.to_numpy(a) for a in (found.values, found.coefficients, found.residuals, *found.combined)]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    values, C, residuals, *combined = (a.astype(np.float64) for a in arrays)
    return values, C, residuals, combined


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1, 4, 7, WIDEST, WIDEST + 1])
def test_an_invariant_subspace_has_its_eigenpairs(backend, dtype, c):
    A, Z = symmetric(spectrum())
    U, V = np.linalg.qr(np.random.default_rng(1).standard_normal((2, 2, c, c)))[0]
    mixed = U * np.linspace(1, 3, c) @ V
    Q = Z[:, :c] @ mixed
    Q /= np.linalg.norm(Q, axis=1, keepdims=True)
    eps = np.finfo(dtype).eps
    values, C, residuals, (X, AX, other) = pairs(backend, A, Q, c, dtype, [2 * Q[:, :5]])
    np.testing.assert_allclose(values, np.broadcast_to(spectrum()[:c], (2, c)), atol=30 * eps)
    np.testing.assert_allclose(X.transpose(0, 2, 1) @ X, np.broadcast_to(np.eye(c), (2, c, c)), atol=100 * eps)
    np.testing.assert_allclose(np.abs(Z[:, :c].T @ X), np.broadcast_to(np.eye(c), (2, c, c)), atol=300 * eps)
    np.testing.assert_allclose(X, Q @ C, atol=30 * eps)
    np.testing.assert_allclose(AX, A @ X, atol=30 * eps)
    np.testing.assert_allclose(other, 2 * X[:, :5], atol=30 * eps)
    assert residuals.max() <= 100 * eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_subspace_has_the_best_pairs_and_honest_residuals(backend, dtype):
    """For an orthonormal Q those of ``Q^T A Q``."""
    A, _ = symmetric(spectrum())
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((3, N, 12)))[0]
    values, _, residuals, (X, _) = pairs(backend, A, Q, 4, dtype)
    exact = np.linalg.eigvalsh(Q.transpose(0, 2, 1) @ A @ Q)[:, :-5:-1]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(values, exact, atol=30 * eps)
    np.testing.assert_allclose(residuals, np.linalg.norm(A @ X - X * values[:, None, :], axis=1), atol=60 * eps)
    assert residuals.min() > 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [6, WIDEST + 2])
def test_dependent_and_zero_columns_are_left_out(backend, dtype, c):
    A, Z = symmetric(spectrum())
    Q = np.zeros((1, N, c))
    Q[0, :, 0], Q[0, :, 2], Q[0, :, 4] = Z[:, 5], Z[:, 3], -Z[:, 5]  # two directions in three columns
    values, C, residuals, (X, _) = pairs(backend, A, Q, 4, dtype)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(values[0], [spectrum()[3], spectrum()[5], -1, -1], atol=30 * eps)
    np.testing.assert_allclose(np.linalg.norm(X[0], axis=0), [1, 1, 0, 0], atol=30 * eps)
    assert not C[0, :, 2:].any()
    assert residuals.max() <= 30 * eps


def test_members_do_not_touch_each_other_and_what_is_not_finite_counts_as_zero(backend):
    A, _ = symmetric(spectrum())
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((2, N, 4)))[0]
    AQ = A @ Q
    AQ[1, 0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found = backend.rayleigh_ritz([backend.asarray(Q), backend.asarray(AQ)], 4)
    alone = pairs(backend, A, Q[:1], 4, np.float64)
    np.testing.assert_allclose(backend.to_numpy(found.values)[0], alone[0][0], atol=1e-14)
    assert np.isfinite(backend.to_numpy(found.values)).all()
    assert np.isnan(backend.to_numpy(found.residuals)[1]).any()


def test_equal_eigenvalues_and_a_diagonal_matrix(backend):
    Q = np.eye(N)[None, :, :5]
    values, _, residuals, (X, _) = pairs(backend, np.diag([0.5, 0.5, 0.25, 0, 0, *[-1.0] * (N - 5)]), Q, 3, np.float64)
    np.testing.assert_allclose(values[0], [0.5, 0.5, 0.25], atol=1e-15)
    np.testing.assert_allclose(X[0].T @ X[0], np.eye(3), atol=1e-15)
    assert residuals.max() <= 1e-15
