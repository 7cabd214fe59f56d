"""Sums and products over blocks: degrees, the symmetric product, cluster sums, the dense scaled matrix."""

from __future__ import annotations

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu import products

STORAGES = ["C", "F", "strided", "csr32", "csr64"]
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def stored(values, storage):
    """The same 2-D block in some storage; CSR has no 16-bit floats."""
    if storage == "F":
        return np.asfortranarray(values)
    if storage == "strided":
        wide = np.zeros((2 * values.shape[0], 3 * values.shape[1]), values.dtype)
        wide[::2, 1::3] = values
        return wide[::2, 1::3]
    if storage.startswith("csr"):
        csr = sp.csr_array(values.astype(np.float64 if values.dtype == np.float64 else np.float32))
        csr.indices, csr.indptr = (
            a.astype(np.int64 if storage == "csr64" else np.int32) for a in (csr.indices, csr.indptr)
        )
        return csr
    return values


def make(shape, n_blocks, dtype, storage, seed, density=0.8):
    """Random members in a storage, and ``|W|`` in float64, exactly."""
    rng = np.random.default_rng(seed)
    dense = [(rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype) for _ in range(n_blocks)]
    absolute = np.abs(np.stack(dense).astype(np.float64))
    return SimpleNamespace(members=[stored(W, storage) for W in dense], absolute=absolute, rng=rng)


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 19), st.integers(1, 19)))
    n_blocks = draw(st.sampled_from([1, 1, 3]))
    dtype, storage = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(STORAGES))
    return make(shape, n_blocks, dtype, storage, draw(st.integers(0, 2**32)), draw(st.sampled_from([0.0, 0.3, 1.0])))


WORKING = st.sampled_from([np.float32, np.float64])


@pytest.fixture(params=[False, True], ids=["whole", "panels"])
def panels(request, monkeypatch):
    """Whole blocks, or panels of a few rows and many groups of work, ragged at the end."""
    if request.param:
        monkeypatch.setattr(products, "PANEL_ELEMENTS", 40)
        monkeypatch.setattr(products, "GROUP_ELEMENTS", 60)


def close(found, expected, dtype=np.float64, n_terms=1):
    """Equal to a few ulps of the largest sum."""
    expected = np.asarray(expected)
    scale = float(np.max(np.abs(expected), initial=1e-30))
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * np.sqrt(n_terms) * np.finfo(dtype).eps * scale)


# -- against NumPy, on every backend -----------------------------------------------------------------------------------


@given(case=cases())
def test_degrees_are_row_and_column_sums(backend, case):
    rows, cols = backend.block_degrees(backend.load_block(case.members, symmetric=False))
    rows, cols = backend.to_numpy(rows), backend.to_numpy(cols)
    assert rows.dtype == cols.dtype == np.float64
    close(rows, case.absolute.sum(axis=2))
    close(cols, case.absolute.sum(axis=1))


@given(case=cases(), dtype=WORKING, width=st.integers(1, 7))
def test_the_product_is_that_of_the_absolute_weights(backend, case, dtype, width):
    n_members = max(3, len(case.members))
    (m, n), rng = case.absolute.shape[1:], case.rng
    x_source, x_target = (rng.standard_normal((n_members, size, width)).astype(dtype) for size in (m, n))
    weights = backend.load_block(case.members, symmetric=False)
    y_source, y_target = map(
        backend.to_numpy, backend.block_product(weights, backend.asarray(x_source), backend.asarray(x_target))
    )
    assert y_source.dtype == y_target.dtype == dtype
    close(y_source, case.absolute @ x_target, dtype, n)
    close(y_target, np.swapaxes(case.absolute, 1, 2) @ x_source, dtype, m)


@given(case=cases(), width=st.integers(1, 3))
def test_the_two_halves_are_adjoint(backend, case, width):
    """``<|W| x, y> = <x, |W|^T y>``."""
    (m, n), rng = case.absolute.shape[1:], case.rng
    y, x = (rng.standard_normal((len(case.members), size, width)) for size in (m, n))
    weights = backend.load_block(case.members, symmetric=False)
    Wx, Wty = map(backend.to_numpy, backend.block_product(weights, backend.asarray(y), backend.asarray(x)))
    np.testing.assert_allclose(np.sum(Wx * y), np.sum(x * Wty), rtol=1e-12, atol=1e-12 * np.abs(case.absolute).sum())


def test_none_in_none_out(backend):
    case = make((6, 5), 2, np.float32, "C", 0)
    weights = backend.load_block(case.members, symmetric=False)
    x_source, x_target = (backend.asarray(case.rng.standard_normal((2, size, 3))) for size in (6, 5))
    both = backend.block_product(weights, x_source, x_target)
    no_source, y_target = backend.block_product(weights, x_source, None)
    y_source, no_target = backend.block_product(weights, None, x_target)
    assert no_source is None
    assert no_target is None
    np.testing.assert_array_equal(backend.to_numpy(y_source), backend.to_numpy(both[0]))
    np.testing.assert_array_equal(backend.to_numpy(y_target), backend.to_numpy(both[1]))
    assert backend.block_product(weights, None, None) == (None, None)


@given(case=cases(), n_clusters=st.integers(1, 6))
def test_cluster_sums_keep_label_minus_one_in_the_last_place(backend, case, n_clusters):
    n_members = max(3, len(case.members))
    (m, n), rng = case.absolute.shape[1:], case.rng
    source, target = (rng.integers(-1, n_clusters, (n_members, size)).astype(np.int32) for size in (m, n))
    weights = backend.load_block(case.members, symmetric=False)
    sums = backend.to_numpy(backend.cluster_sums(weights, backend.asarray(source), backend.asarray(target), n_clusters))
    expected = np.zeros((n_members, n_clusters + 1, n_clusters + 1))
    absolute = np.broadcast_to(case.absolute, (n_members, m, n))
    for b, i, j in np.ndindex(n_members, m, n):
        expected[b, source[b, i], target[b, j]] += absolute[b, i, j]  # -1 is the last place
    assert sums.dtype == np.float64
    close(sums, expected)
    np.testing.assert_array_equal(sums == 0, expected == 0)


@given(case=cases(), dtype=WORKING, transposed=st.booleans(), corner=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_the_dense_matrix_is_scaled_on_both_sides(backend, case, dtype, transposed, corner):
    n_members, rng = max(3, len(case.members)), case.rng
    placed = np.swapaxes(case.absolute, 1, 2) if transposed else case.absolute
    shape = (placed.shape[1] + 5, placed.shape[2] + 6)
    rows, cols = (rng.random((n_members, size)).astype(dtype) for size in shape)
    blocks = [(backend.load_block(case.members, symmetric=False), *corner, transposed)]
    found = backend.to_numpy(backend.scaled_dense(shape, blocks, backend.asarray(rows), backend.asarray(cols)))
    expected = np.zeros((n_members, *shape))
    expected[:, corner[0] : corner[0] + placed.shape[1], corner[1] : corner[1] + placed.shape[2]] = placed
    assert (found.dtype, found.shape) == (np.dtype(dtype), expected.shape)
    close(found, expected * rows[:, :, None] * cols[:, None, :], dtype)


@pytest.mark.parametrize("storage", STORAGES)
def test_blocks_on_the_same_place_add_up(backend, storage):
    one, other = (make((5, 7), 1, np.float32, storage, seed) for seed in (1, 2))
    rows, cols = np.ones((1, 9)), np.ones((1, 9))
    blocks = [
        (backend.load_block(one.members, symmetric=False), 0, 0, False),
        (backend.load_block(other.members, symmetric=False), 0, 1, False),
        (backend.load_block(other.members, symmetric=False), 2, 0, True),
    ]
    found = backend.to_numpy(backend.scaled_dense((9, 9), blocks, backend.asarray(rows), backend.asarray(cols)))[0]
    expected = np.zeros((9, 9))
    expected[:5, :7] += one.absolute[0]
    expected[:5, 1:8] += other.absolute[0]
    expected[2:9, :5] += other.absolute[0].T
    close(found, expected)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("transposed", [False, True])
def test_scales_of_tiny_degrees_do_not_overflow(backend, storage, transposed):
    """``1e-30 * 1e20 * 1e20`` fits float32, ``1e20 * 1e20`` does not."""
    W = stored(np.full((35, 33), 1e-30, np.float32), storage)
    shape = (33, 35) if transposed else (35, 33)
    rows, cols = (backend.asarray(np.full((1, size), 1e20, np.float32)) for size in shape)
    blocks = [(backend.load_block([W], symmetric=False), 0, 0, transposed)]
    np.testing.assert_allclose(backend.to_numpy(backend.scaled_dense(shape, blocks, rows, cols)), 1e10, rtol=1e-5)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n_members", [1, 2])
def test_a_symmetric_block_keeps_its_upper_triangle_only(backend, storage, n_members):
    case = make((8, 8), n_members, np.float32, storage, 3)
    weights = backend.load_block(case.members, symmetric=True)
    rows, cols = map(backend.to_numpy, backend.block_degrees(weights))
    upper = np.triu(case.absolute, k=1)
    close(rows, upper.sum(axis=2))
    close(cols, upper.sum(axis=1))
    assert (weights.n_members, weights.shape) == (n_members, (8, 8))


# -- the CPU against the oracle, panel by panel and thread by thread ---------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (17, 13), (33, 64), (70, 41)])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cpu_agrees_with_the_reference(cpu, reference, panels, shape, storage, dtype):
    case = make(shape, 1, dtype, storage, 5)
    (m, n), rng, k = shape, case.rng, 3
    x_source, x_target = (rng.standard_normal((2, size, 4)).astype(np.float32) for size in shape)
    source, target = (rng.integers(-1, k, (2, size)).astype(np.int32) for size in shape)
    scales = [rng.random((2, size)).astype(np.float32) for size in (m + n, n + m)]
    results = []
    for machine in (cpu, reference):
        weights = machine.load_block(case.members, symmetric=False)
        corners = [(weights, 0, 0, False), (weights, m, n, True)]
        results.append(
            (
                *machine.block_degrees(weights),
                *machine.block_product(weights, x_source, x_target),
                machine.cluster_sums(weights, source, target, k),
                machine.scaled_dense((m + n, n + m), corners, *scales),
            )
        )
    for mine, theirs in zip(*results, strict=True):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        close(mine, theirs, mine.dtype, max(shape))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("halves", ["both", "source", "target"])
def test_threads_change_no_bit(cpu, cpu_two, panels, storage, halves):
    case = make((83, 59), 1, np.float32, storage, 6)
    x_source, x_target = (case.rng.standard_normal((1, size, 5)).astype(np.float32) for size in (83, 59))
    x = (None if halves == "target" else x_source, None if halves == "source" else x_target)
    one, two = (
        machine.block_product(machine.load_block(case.members, symmetric=False), *x) for machine in (cpu, cpu_two)
    )
    for a, b in zip(one, two, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)


@settings(max_examples=20)
@given(case=cases())
def test_a_batch_is_its_members_bit_for_bit(cpu, case):
    weights = cpu.load_block(case.members, symmetric=False)
    together = cpu.block_degrees(weights)
    for b, member in enumerate(case.members):
        alone = cpu.block_degrees(cpu.load_block([member], symmetric=False))
        for whole, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[b], one[0])


def test_a_large_block_is_read_without_a_copy(cpu):
    W = np.ones((4, 3), np.float32)
    assert np.shares_memory(cpu.load_block([W], symmetric=False).values, W)
    csr = sp.csr_array(W)
    assert np.shares_memory(cpu.load_block([csr], symmetric=False).values, csr.data)
