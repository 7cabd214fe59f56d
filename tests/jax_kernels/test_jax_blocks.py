"""Sums and products over blocks in JAX against the reference: dense of every dtype, CSR, symmetric, shared or not."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from jax_kernels.x64 import x64

from netspectra.errors import LimitError
from netspectra.kernels.reference import ReferenceBackend

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

REFERENCE = ReferenceBackend()
SHAPE, WIDTH, MEMBERS, CLUSTERS = (7, 5), 3, 3, 4
FLOATS = [np.float32, np.float16, ml_dtypes.bfloat16]


def drawn(n_members, shape=SHAPE, dtype=np.float32, density=0.7, seed=0):
    """Signed weights with zeros, more of them from member to member."""
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal(shape) * (rng.random(shape) < density / (b + 1))).astype(dtype) for b in range(n_members)
    ]


def loaded(on_jax, members, *, symmetric=False):
    """The block on JAX, and its exact weights on the reference, dense or CSR as they come."""
    exact = [W.astype(np.float64) for W in members]
    return on_jax.load_block(members, symmetric=symmetric), REFERENCE.load_block(exact, symmetric=symmetric)


def verbs(machine, weights, dtype):
    """Every verb of a block on the same arguments, as NumPy arrays by name."""
    rng, (m, n) = np.random.default_rng(1), weights.shape
    x_source, x_target = (rng.standard_normal((MEMBERS, size, WIDTH)).astype(dtype) for size in (m, n))
    source, target = (rng.integers(-1, CLUSTERS, (MEMBERS, size)).astype(np.int32) for size in (m, n))
    rows, cols = (rng.random((MEMBERS, m + n + 1)).astype(dtype) for _ in range(2))
    corners = [(weights, 1, 0, False), (weights, m + 1, n, True), (weights, 0, 0, False)]
    put = machine.asarray
    found = {
        "degrees": machine.block_degrees(weights),
        "product": machine.block_product(weights, put(x_source), put(x_target)),
        "cluster sums": [machine.cluster_sums(weights, put(source), put(target), CLUSTERS)],
        "scaled": [machine.scaled_dense((m + n + 1, m + n + 1), corners, put(rows), put(cols))],
    }
    corners, sides = [(weights, 0, 0, False), (weights, m, n, True)], [put(a) for a in (rows[:, 1:], cols[:, 1:])]
    found["gram"] = machine.scaled_gram(corners, *sides, put(np.concatenate([x_source, x_target], axis=1)))
    if weights.n_members in (1, MEMBERS):
        ends = [rng.random((weights.n_members, size)).astype(dtype) for size in (m, n)]
        vectors = [rng.standard_normal((weights.n_members, size, WIDTH)).astype(dtype) for size in (m, n)]
        found["gradient"] = [machine.edge_gradient(weights, *map(put, (*ends, *vectors)))]
    return {name: [machine.to_numpy(array) for array in arrays] for name, arrays in found.items()}


def assert_same(on_jax, pair, dtype=np.float32):
    mine, theirs = (verbs(machine, w, dtype) for machine, w in zip((on_jax, REFERENCE), pair, strict=True))
    tolerance = 30 * np.finfo(dtype).eps
    for name, arrays in theirs.items():
        for found, expected in zip(mine[name], arrays, strict=True):
            assert found.dtype == dtype, name
            scale = max(float(np.abs(expected).max(initial=0)), 1e-30)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_members", [1, MEMBERS])
def test_dense_blocks(on_jax, dtype, n_members):
    weights, exact = loaded(on_jax, drawn(n_members, dtype=dtype))
    assert weights.values.dtype == dtype, "16 bits are stored as they are"
    assert_same(on_jax, (weights, exact))


@pytest.mark.parametrize("n_members", [1, MEMBERS])
def test_csr_blocks_whose_members_have_different_numbers_of_weights(on_jax, n_members):
    members = [sp.csr_array(W) for W in drawn(n_members)]
    assert len({W.nnz for W in members}) == n_members
    weights, exact = loaded(on_jax, members)
    assert weights.values.shape == (n_members, members[0].nnz)
    assert_same(on_jax, (weights, exact))


@pytest.mark.parametrize("n_members", [1, MEMBERS])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_symmetric_blocks_keep_their_upper_triangle(on_jax, storage, n_members):
    members = [storage(W) for W in drawn(n_members, (8, 8))]
    weights, exact = loaded(on_jax, members, symmetric=True)
    assert_same(on_jax, (weights, exact))
    upper = np.stack([np.triu(np.abs(W), 1) for W in drawn(n_members, (8, 8))])
    np.testing.assert_allclose(on_jax.block_degrees(weights)[0], upper.sum(axis=2), rtol=1e-5)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_float64_blocks_with_x64(on_jax, storage):
    with x64():
        assert_same(
            on_jax, loaded(on_jax, [storage(W) for W in drawn(MEMBERS, dtype=np.float64)]), np.dtype(np.float64)
        )


def test_degrees_of_float32_weights_are_added_up_in_float64_with_x64(on_jax):
    members = [np.full(SHAPE, 0.1, np.float32)]
    with x64():
        rows, cols = map(on_jax.to_numpy, on_jax.block_degrees(on_jax.load_block(members, symmetric=False)))
    assert rows.dtype == cols.dtype == np.float64
    np.testing.assert_allclose(cols, 7 * np.float64(np.float32(0.1)), rtol=1e-15)


@pytest.mark.parametrize("panel", [1, 11, 33])
@pytest.mark.parametrize("n_members", [1, MEMBERS])
def test_panels_of_rows_change_nothing(n_members, panel):
    """Panels of one row, of two (the last one overlaps), and of six or two."""
    import jax

    from netspectra.kernels.jax.products import block_product
    from netspectra.kernels.weights import DenseWeights

    rng = np.random.default_rng(2)
    W = np.stack(drawn(n_members))
    x_source, x_target = (rng.standard_normal((MEMBERS, size, WIDTH)).astype(np.float32) for size in SHAPE)
    for sides in ((x_source, x_target), (None, x_target), (x_source, None)):
        found = jax.jit(lambda W, *x: block_product(DenseWeights(W), *x, panel=panel))(W, *sides)
        expected = REFERENCE.block_product(DenseWeights(W.astype(float)), *sides)
        for mine, theirs in zip(found, expected, strict=True):
            assert (mine is None) == (theirs is None)
            if theirs is not None:
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)


def test_none_in_none_out(on_jax):
    weights, _ = loaded(on_jax, drawn(1))
    x = on_jax.asarray(np.ones((2, 5, 2), np.float32))
    assert on_jax.block_product(weights, None, x)[1] is None
    assert on_jax.block_product(weights, None, None) == (None, None)


def test_scales_of_tiny_degrees_do_not_overflow(on_jax):
    """``1e-30 * 1e20 * 1e20`` fits float32, ``1e20 * 1e20`` does not."""
    W = np.full(SHAPE, 1e-30, np.float32)
    rows, cols = (on_jax.asarray(np.full((1, size), 1e20, np.float32)) for size in SHAPE)
    for members in ([W], [sp.csr_array(W)]):
        blocks = [(on_jax.load_block(members, symmetric=False), 0, 0, False)]
        np.testing.assert_allclose(on_jax.scaled_dense(SHAPE, blocks, rows, cols), 1e10, rtol=1e-5)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("value", [1e60, 1e-60, 4e38, 1e-46])
def test_what_does_not_fit_32_bits_is_refused(on_jax, storage, value):
    W = np.ones(SHAPE)
    W[3, 2] = -value
    with pytest.raises(LimitError, match=r"no 64-bit numbers here.*float64 do not fit float32.*JAX_ENABLE_X64=1"):
        on_jax.load_block([storage(W)], symmetric=False)


def test_what_fits_32_bits_is_rounded(on_jax):
    members = drawn(1, dtype=np.float64)
    weights = on_jax.load_block(members, symmetric=False)
    np.testing.assert_array_equal(weights.values[0], members[0].astype(np.float32))
    with pytest.raises(LimitError, match="int64 do not fit int32"):
        on_jax.asarray(np.array([0, 1 << 31]))


def test_long_row_pointers_become_short_ones(on_jax):
    A = sp.csr_array(drawn(1)[0])
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    weights = on_jax.load_block([A], symmetric=False)
    assert (weights.indices.dtype, weights.indptr.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(weights.indices[0], A.indices)


def test_inside_somebodys_jit_and_vmap(on_jax):
    """The verbs are plain functions of arrays: nothing is compiled apart, nothing is looked at."""
    import jax

    from netspectra.kernels.weights import DenseWeights

    def degrees(W):
        return on_jax.block_degrees(DenseWeights(W[None]))[0][0]

    members, before = np.stack(drawn(MEMBERS)), on_jax.n_compiled
    for run in (partial(jax.jit(jax.vmap(degrees))), jax.vmap(degrees)):
        np.testing.assert_allclose(run(members), np.abs(members).sum(axis=2), rtol=1e-5)
    assert on_jax.n_compiled == before
