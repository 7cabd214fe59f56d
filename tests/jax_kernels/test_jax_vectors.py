"""Scales, deflation and Ritz pairs in JAX against the reference, traced and not."""

from __future__ import annotations

import numpy as np
import pytest

from netspectra.kernels.reference import ReferenceBackend

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

REFERENCE = ReferenceBackend()
EPS = float(np.finfo(np.float32).eps)


def close(machine, found, expected, factor=30):
    for ours, theirs in zip(found, expected, strict=True):
        assert machine.to_numpy(ours).dtype == np.float32
        np.testing.assert_allclose(machine.to_numpy(ours), theirs, atol=factor * EPS)


def test_scales_and_deflation(on_jax):
    rng = np.random.default_rng(0)
    degrees = rng.random((2, 9)).astype(np.float32)
    degrees[1, 3] = 0
    found = on_jax.degree_scales(on_jax.asarray(degrees), on_jax.xp.float32)
    scales = REFERENCE.degree_scales(degrees, np.dtype(np.float32))
    close(on_jax, found, scales)
    X = rng.standard_normal((2, 9, 3)).astype(np.float32)
    close(on_jax, [on_jax.deflated(on_jax.asarray(X), found[1])], [REFERENCE.deflated(X, scales[1])])


def test_ritz_pairs_in_a_basis_with_a_dependent_and_a_zero_column(on_jax):
    import jax

    rng = np.random.default_rng(1)
    A, Q = np.diag(np.linspace(1, -1, 20)), np.linalg.qr(rng.standard_normal((2, 20, 6)))[0]
    Q[:, :, 2], Q[:, :, 4] = 0, Q[:, :, 3]
    bases = [a.astype(np.float32) for a in (Q, A @ Q)]
    expected = REFERENCE.rayleigh_ritz(bases, 5)
    plain = on_jax.rayleigh_ritz([on_jax.asarray(a) for a in bases], 5)
    traced = jax.jit(lambda *bases: on_jax.rayleigh_ritz(bases, 5))(*bases)
    for found in (plain, traced):
        X, mine = (np.asarray(pairs.combined[0]) for pairs in (expected, found))
        close(on_jax, (found.values, found.residuals), (expected.values, expected.residuals))
        np.testing.assert_allclose(mine @ mine.transpose(0, 2, 1), X @ X.transpose(0, 2, 1), atol=60 * EPS)
