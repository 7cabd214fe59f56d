"""``B^T X`` and ``B B^T X`` against the explicit matrix B that ``scaled_dense`` makes of the same blocks."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from netspectra.kernels.cpu import gram

ROWS, COLS = [3, 4, 2], [5, 1, 6]
"""Heights and widths of the panels of B."""


@st.composite
def cases(draw):
    """Some of nine blocks, in any storage, as (members, row, column, transposed), and a width of X."""
    rng, blocks = np.random.default_rng(draw(st.integers(0, 2**32))), []
    n_members = draw(st.sampled_from([1, 3]))
    dtype, storage = draw(st.sampled_from([np.float32, np.float64, ml_dtypes.bfloat16])), draw(st.sampled_from("CFS"))
    for number in draw(st.lists(st.integers(0, 8), min_size=1, max_size=9, unique=True)):
        i, j = divmod(number, 3)
        transposed = draw(st.booleans())
        shape = (COLS[j], ROWS[i]) if transposed else (ROWS[i], COLS[j])
        W = (rng.standard_normal((draw(st.sampled_from([1, n_members])), *shape))).astype(dtype)
        members = [sp.csr_array(w.astype(np.float32)) if storage == "S" else np.asarray(w, order=storage) for w in W]
        blocks.append((members, sum(ROWS[:i]), sum(COLS[:j]), transposed))
    return rng, blocks, n_members, draw(st.integers(1, 9))


@given(case=cases(), dtype=st.sampled_from([np.float32, np.float64]))
def test_both_images_are_those_of_the_explicit_matrix(backend, case, dtype):
    rng, blocks, n_members, c = case
    blocks = [(backend.load_block(members, symmetric=False), *place) for members, *place in blocks]
    rows, cols = (rng.random((n_members, sum(sizes))).astype(dtype) for sizes in (ROWS, COLS))
    X = rng.standard_normal((n_members, sum(ROWS), c)).astype(dtype)
    rows, cols, there = backend.asarray(rows), backend.asarray(cols), backend.asarray(X)
    B = backend.to_numpy(backend.scaled_dense((sum(ROWS), sum(COLS)), blocks, rows, cols)).astype(np.float64)
    Y, GX = map(backend.to_numpy, backend.scaled_gram(blocks, rows, cols, there))
    assert Y.dtype == GX.dtype == dtype
    BX = B.transpose(0, 2, 1) @ X
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(Y, BX, atol=60 * eps, rtol=0)
    np.testing.assert_allclose(GX, B @ BX, atol=600 * eps, rtol=0)


@pytest.mark.parametrize("c", [1, 4, 6])
def test_fused_products_are_taken_where_all_blocks_are_small_and_dense(cpu, monkeypatch, c):
    """And the others give the same."""
    rng = np.random.default_rng(0)
    blocks = [(cpu.load_block([rng.standard_normal((7, 5))], symmetric=False), 0, 0, False)]
    blocks += [(cpu.load_block([rng.standard_normal((4, 7))], symmetric=False), 0, 5, True)]
    rows, cols, X = rng.random((1, 7)), rng.random((1, 9)), rng.standard_normal((1, 7, c))
    assert gram.are_skinny(blocks, X)
    fused = cpu.scaled_gram(blocks, rows, cols, X)
    sparse = [(cpu.load_block([sp.csr_array(W.member(0))], symmetric=False), *place) for W, *place in blocks]
    assert not gram.are_skinny([*blocks, sparse[0]], X)
    for some in (sparse, [blocks[0], sparse[1]]):
        for a, b in zip(fused, cpu.scaled_gram(some, rows, cols, X), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)
