"""Shuffled blocks: the scatter through the bijection, bit for bit the same in every storage and on every backend."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu.shuffle import permute_positions
from netspectra.kernels.keys import feistel_bits, shuffle_keys
from netspectra.kernels.triangle import rank_upper, unrank_upper
from netspectra.kernels.weights import CsrWeights

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
LAYOUTS = ["C", "F", "strided", "reversed"]


def block(shape, dtype, layout="C", density=1.0, seed=0):
    """A read-only random block in some memory layout."""
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype)
    if layout == "F":
        values = np.asfortranarray(values)
    if layout == "strided":
        wide = np.zeros((2 * shape[0], 3 * shape[1]), dtype)
        wide[::2, 1::3] = values
        values = wide[::2, 1::3]
    if layout == "reversed":
        values = np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1]
    values.flags.writeable = False
    return values


def images(keys, places):
    """Images of `places` in every replicate, by the kernel that test_shuffle.py vouches for."""
    out = []
    for rounds, swap in zip(keys.rounds, keys.swaps, strict=True):
        image = np.array(places, np.int64)
        permute_positions(image, keys.size, *feistel_bits(keys.size), rounds, swap)
        out.append(image)
    return out


def bits(array):
    array = np.ascontiguousarray(array)
    return array.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[array.dtype.itemsize])


def dense_of(weights):
    """Every member of CSR weights as a dense array."""
    members = []
    for b in range(weights.n_members):
        pattern = b if weights.indices.shape[0] > 1 else 0
        indptr = np.asarray(weights.indptr[pattern])
        stop = indptr[-1]
        csr = (np.asarray(weights.values[b])[:stop], np.asarray(weights.indices[pattern])[:stop], indptr)
        members.append(sp.csr_array(csr, shape=weights.shape).toarray())
    return np.stack(members)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (23, 1), (7, 5), (3, 2048), (2, 4111), (64, 64)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dense_block_moves_by_row_major_position(cpu, dtype, layout, shape):
    W = block(shape, dtype, layout)
    keys = shuffle_keys(1, [0, 5], 3, W.size)
    found = cpu.permute_dense(cpu.asarray(W), keys, None, None, shape).values
    assert (found.dtype, found.shape) == (np.dtype(dtype), (2, *shape))
    for member, image in zip(found, images(keys, range(W.size)), strict=True):
        expected = np.empty(W.size, dtype)
        expected[image] = W.reshape(-1)
        np.testing.assert_array_equal(bits(member).reshape(-1), bits(expected))


def test_negative_zeros_and_subnormals_move_as_bits(backend):
    W = np.array([[-0.0, 1e-310, 5e-324], [0.0, -1.0, np.nextafter(1, 2)]])
    keys = shuffle_keys(1, [0], 0, 6)
    found = backend.to_numpy(backend.permute_dense(backend.asarray(W), keys, None, None, (2, 3)).values)
    assert sorted(bits(found).reshape(-1)) == sorted(bits(W).reshape(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reference_moves_the_same_values(cpu, reference, dtype):
    W = block((9, 11), dtype, "F")
    keys = shuffle_keys(2, [0, 1, 2], 0, W.size)
    ours = cpu.permute_dense(cpu.asarray(W), keys, None, None, W.shape).values
    twin = reference.permute_dense(reference.asarray(W), keys, None, None, W.shape).values
    wide = np.float64 if dtype is np.float64 else np.float32  # the standard knows no 16-bit floats; widening is exact
    np.testing.assert_array_equal(bits(ours.astype(wide)), bits(twin))


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    layout=st.sampled_from(LAYOUTS),
)
def test_storage_does_not_change_the_null(cpu, reference, shape, density, seed, layout):
    """All entries of a dense block; its non-zeros alone; a CSR block: one and the same shuffle."""
    W = block(shape, np.float32, layout, density, seed)
    keys = shuffle_keys(seed, [0, 7], 1, W.size)
    occupied = np.flatnonzero(W).astype(np.int64)
    values = W.reshape(-1)[occupied]
    whole = cpu.permute_dense(cpu.asarray(W), keys, None, None, shape).values
    for machine in (cpu, reference):
        load = machine.asarray
        np.testing.assert_array_equal(machine.permute_dense(load(W), keys, None, None, shape).values, whole)
        few = machine.permute_dense(load(values), keys, load(occupied), None, shape)
        np.testing.assert_array_equal(few.values, whole)
        sparse = machine.permute_sparse(load(values), keys, load(occupied), shape, symmetric=False)
        np.testing.assert_array_equal(dense_of(sparse), whole)


@settings(max_examples=40)
@given(shape=st.tuples(st.integers(1, 12), st.integers(1, 12)), density=st.floats(0.01, 1), seed=st.integers(0, 2**32))
def test_slots_confine_the_shuffle(cpu, reference, shape, density, seed):
    W = block(shape, np.float64, density=density, seed=seed)
    slots = np.flatnonzero(W).astype(np.int64)
    values, items = W.reshape(-1)[slots], np.arange(slots.size, dtype=np.int64)
    keys = shuffle_keys(seed, [0, 1], 0, slots.size)
    found = cpu.permute_dense(values, keys, items, slots, shape).values
    twin = reference.permute_dense(values, keys, items, slots, shape).values
    np.testing.assert_array_equal(found, twin)
    for member in found:
        np.testing.assert_array_equal(member != 0, W != 0)
        assert sorted(member[member != 0]) == sorted(values)


@settings(max_examples=40)
@given(size=st.integers(2, 14), density=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_symmetric_block_is_shuffled_among_its_triangle(cpu, reference, size, density, seed):
    W = np.triu(block((size, size), np.float64, density=density, seed=seed), k=1)
    rows, cols = np.nonzero(W)
    items, n_slots = rank_upper(rows, cols, size), size * (size - 1) // 2
    keys = shuffle_keys(seed, [3], 0, n_slots)
    expected = np.zeros((size, size))
    expected[unrank_upper(images(keys, items)[0], size)] = W[rows, cols]
    upper = np.flatnonzero(np.triu(np.ones((size, size), bool), k=1)).astype(np.int64)
    for machine in (cpu, reference):
        sparse = machine.permute_sparse(W[rows, cols], keys, items, (size, size), symmetric=True)
        np.testing.assert_array_equal(dense_of(sparse)[0], expected)
        dense = machine.permute_dense(W[rows, cols], keys, items, upper, (size, size))
        np.testing.assert_array_equal(dense.values[0], expected)


def test_sparse_nulls_are_canonical_and_identical(cpu, reference):
    W = sp.csr_array(block((40, 30), np.float32, density=0.2))
    rows, cols = W.nonzero()
    items = rows.astype(np.int64) * 30 + cols
    keys = shuffle_keys(4, [0, 1, 2], 0, 1200)
    ours, twin = (m.permute_sparse(W.data, keys, items, W.shape, symmetric=False) for m in (cpu, reference))
    for name in ("values", "indices", "indptr"):
        mine, theirs = getattr(ours, name), getattr(twin, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    for b in range(3):
        csr = sp.csr_array((ours.values[b], ours.indices[b], ours.indptr[b]), shape=W.shape)
        csr.check_format(full_check=True)
        assert csr.has_canonical_format


def test_an_empty_block_stays_empty(backend):
    keys = shuffle_keys(0, [0], 0, 12)
    none, nowhere = backend.asarray(np.empty(0, np.float32)), backend.asarray(np.empty(0, np.int64))
    assert not np.any(backend.to_numpy(backend.permute_dense(none, keys, nowhere, None, (3, 4)).values))
    sparse = backend.permute_sparse(none, keys, nowhere, (3, 4), symmetric=False)
    assert backend.to_numpy(sparse.indptr).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_a_pattern_keeps_its_places(cpu, reference, index_type):
    data = np.array([1.0, 2.0, 0.0, 4.0, 5.0, 0.0, 7.0])  # explicit zeros are places a weight may move to
    indices, indptr = np.array([0, 3, 1, 2, 4, 0, 4], index_type), np.array([0, 2, 5, 5, 7], np.int64)
    weights = CsrWeights(data[None], indices[None], indptr[None], (4, 5))
    keys = shuffle_keys(9, [0, 1], 0, 7)
    ours, twin = (machine.permute_pattern(weights, keys, None) for machine in (cpu, reference))
    np.testing.assert_array_equal(ours.values, twin.values)
    for row, image in zip(ours.values, images(keys, range(7)), strict=True):
        np.testing.assert_array_equal(row[image], data)
    assert ours.indices is weights.indices
    assert ours.indptr is weights.indptr


def test_a_pattern_can_be_shuffled_among_some_of_its_places(cpu, reference):
    data = np.array([[1.0, 2.0, 0.0, 4.0, 5.0, 0.0, 7.0]])
    weights = CsrWeights(data, np.array([[0, 3, 1, 2, 4, 0, 4]]), np.array([[0, 2, 5, 5, 7]]), (4, 5))
    slots = np.flatnonzero(data[0]).astype(np.int64)
    keys = shuffle_keys(9, [0, 1], 0, slots.size)
    ours, twin = (machine.permute_pattern(weights, keys, slots) for machine in (cpu, reference))
    np.testing.assert_array_equal(ours.values, twin.values)
    for row in ours.values:
        assert (row[[2, 5]] == 0).all()
        assert sorted(row[slots]) == [1, 2, 4, 5, 7]


def test_a_replicate_is_the_same_in_any_batch(backend):
    W = block((30, 20), np.float32)
    together = shuffle_keys(5, [4, 0, 9], 2, W.size)
    batch = backend.to_numpy(backend.permute_dense(backend.asarray(W), together, None, None, W.shape).values)
    for row, replicate in enumerate([4, 0, 9]):
        alone = backend.permute_dense(backend.asarray(W), shuffle_keys(5, [replicate], 2, W.size), None, None, W.shape)
        np.testing.assert_array_equal(batch[row], backend.to_numpy(alone.values)[0])
