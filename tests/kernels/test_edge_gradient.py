"""The derivative by every stored weight: one formula, in every storage, on every backend."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.cpu import edge_gradient as fused
from netspectra.kernels.weights import CsrWeights

STORAGES = ["C", "F", "strided", "csr"]


def stored(values, storage):
    if storage == "F":
        return np.asfortranarray(values)
    if storage == "strided":
        wide = np.zeros((2 * values.shape[0], 3 * values.shape[1]), values.dtype)
        wide[::2, 1::3] = values
        return wide[::2, 1::3]
    return sp.csr_array(values) if storage == "csr" else values


def by_the_formula(W, rows, cols, U, V):
    """(B, m, n), in float64."""
    rows, cols, U, V = (a.astype(np.float64) for a in (rows, cols, U, V))
    return np.sign(W.astype(np.float64)) * (rows[:, :, None] + cols[:, None, :] - U @ V.transpose(0, 2, 1))


@st.composite
def cases(draw):
    m, n, c = (draw(st.integers(1, high)) for high in (19, 19, 9))
    n_weights, storage = draw(st.sampled_from([1, 1, 3])), draw(st.sampled_from(STORAGES))
    members = n_weights if n_weights > 1 else draw(st.sampled_from([1, 2]))
    plain = [np.float32, np.float64]
    dtype = draw(st.sampled_from(plain if storage == "csr" else [*plain, np.float16, ml_dtypes.bfloat16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    W = rng.standard_normal((n_weights, m, n)) * (rng.random((n_weights, m, n)) < 0.7)
    working = draw(st.sampled_from(plain))
    factors = [rng.standard_normal(shape).astype(working) for shape in ((m,), (n,), (m, c), (n, c)) for _ in "x"]
    factors = [np.stack([f * (1 + b) for b in range(members)]) for f in factors]
    return W.astype(dtype), storage, factors


@given(case=cases())
def test_every_storage_gives_the_formula(backend, case):
    W, storage, factors = case
    block = backend.load_block([stored(w, storage) for w in W], symmetric=False)
    found = backend.to_numpy(backend.edge_gradient(block, *(backend.asarray(f) for f in factors)))
    expected = by_the_formula(W, *factors)
    assert found.dtype == factors[0].dtype
    if isinstance(block, CsrWeights):
        for b in range(expected.shape[0]):
            csr = sp.csr_array(W[b if len(W) > 1 else 0])
            i, j = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)), csr.indices
            np.testing.assert_allclose(
                found[b, : csr.nnz], expected[b][i, j], atol=60 * np.finfo(found.dtype).eps, rtol=1e-5
            )
            assert not found[b, csr.nnz :].any()  # the unused tail of a shorter member
        return
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=60 * np.finfo(found.dtype).eps, rtol=1e-5)
    assert not found[np.broadcast_to(W == 0, found.shape)].any()


@pytest.mark.parametrize("storage", ["C", "F", "strided"])
def test_threads_and_groups_change_nothing(monkeypatch, storage):
    rng = np.random.default_rng(0)
    W = stored(rng.standard_normal((37, 23)), storage)
    factors = [rng.standard_normal(shape) for shape in ((1, 37), (1, 23), (1, 37, 3), (1, 23, 3))]

    def gradient(n_threads):
        machine = CpuBackend(n_threads)
        return machine.edge_gradient(machine.load_block([W], symmetric=False), *factors)

    whole = gradient(1)
    monkeypatch.setattr(fused, "GROUP_ELEMENTS", 100)
    np.testing.assert_array_equal(gradient(1), whole)
    np.testing.assert_array_equal(gradient(2), whole)


def test_a_transposed_view_gets_a_gradient_laid_out_as_it_is():
    rng = np.random.default_rng(0)
    machine, W = CpuBackend(1), rng.standard_normal((5, 7)).T
    factors = [rng.standard_normal(shape) for shape in ((1, 7), (1, 5), (1, 7, 2), (1, 5, 2))]
    gradient = machine.edge_gradient(machine.load_block([W], symmetric=False), *factors)
    assert gradient[0].strides == W.strides
