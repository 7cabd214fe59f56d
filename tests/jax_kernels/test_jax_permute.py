"""Shuffled blocks in JAX: equal to the reference in every storage, and moved as bits."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest
from jax_kernels.x64 import x64

from netspectra.kernels.keys import shuffle_keys
from netspectra.kernels.triangle import rank_upper
from netspectra.kernels.weights import CsrWeights

pytestmark = pytest.mark.requires("jax")


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def wide(request):
    with x64(request.param):
        yield request.param


@pytest.fixture(scope="module")
def reference():
    from netspectra.kernels.reference import ReferenceBackend

    return ReferenceBackend()


def permuted(name, keys, *arrays, **sizes):
    """One of the functions, compiled, on `arrays` (None allowed)."""
    import jax
    import jax.numpy as jnp

    from netspectra.kernels.jax import permute

    given = [None if array is None else jnp.asarray(narrow(array)) for array in arrays]
    return jax.jit(partial(getattr(permute, name), **sizes))(given[0], keys.rounds, keys.swaps, *given[1:])


def narrow(array):
    """Without x64 JAX cuts an int64 by itself; said here, so that a test means it."""
    import jax

    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))


def block(shape, dtype=np.float32, density=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype)


def bits(array):
    array = np.ascontiguousarray(array)
    return array.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[array.dtype.itemsize])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 5), (64, 64)])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_a_dense_block_moves_by_row_major_position(wide, reference, dtype, shape):
    W = block(shape, dtype)
    keys = shuffle_keys(1, [0, 5, 6], 3, W.size)
    found = permuted("permute_dense", keys, W, None, None, size=keys.size, shape=shape)
    assert (found.dtype, found.shape) == (W.dtype, (3, *shape))
    number = np.arange(1.0, W.size + 1).reshape(shape)
    moved = reference.permute_dense(number, keys, None, None, shape).values.astype(int) - 1
    np.testing.assert_array_equal(bits(found), bits(W).reshape(-1)[moved])


@pytest.mark.parametrize("density", [0.1, 0.9])
def test_zeros_subnormals_and_nans_move_as_bits(wide, density):
    smallest = [0x80000000, 1, 0x80000001, 0x007FFFFF, 0x7FC00001, 0xFFC12345, 0x7F800000]
    values = np.array(smallest, np.uint32).view(np.float32)
    size = int(len(smallest) / density)
    keys = shuffle_keys(1, [0, 1], 0, size)
    found = permuted("permute_dense", keys, values, np.arange(len(smallest)), None, size=size, shape=(1, size))
    for member in bits(found):
        assert sorted(member[0].tolist()) == sorted([*smallest, *[0] * (size - len(smallest))])


def test_double_values_move_with_x64(reference):
    W = block((13, 9), np.float64)
    keys = shuffle_keys(2, [0, 1], 0, W.size)
    with x64(True):
        found = permuted("permute_dense", keys, W, None, None, size=W.size, shape=W.shape)
    np.testing.assert_array_equal(found, reference.permute_dense(W, keys, None, None, W.shape).values)


@pytest.mark.parametrize("density", [0.05, 0.4, 0.8])
def test_storage_does_not_change_the_null(wide, reference, density):
    """All entries of a dense block; its non-zeros alone, few (sent) or many (looked up); a CSR block."""
    W = block((23, 17), density=density, seed=3)
    keys, occupied = shuffle_keys(8, [0, 7], 1, W.size), np.flatnonzero(W)
    values, sizes = W.reshape(-1)[occupied], {"size": W.size, "shape": W.shape}
    whole = reference.permute_dense(W, keys, None, None, W.shape).values
    np.testing.assert_array_equal(permuted("permute_dense", keys, W, None, None, **sizes), whole)
    np.testing.assert_array_equal(permuted("permute_dense", keys, values, occupied, None, **sizes), whole)
    mine = permuted("permute_sparse", keys, values, occupied, **sizes, symmetric=False)
    theirs = reference.permute_sparse(values, keys, occupied, W.shape, symmetric=False)
    for array, name in zip(mine, ("values", "indices", "indptr"), strict=True):
        np.testing.assert_array_equal(array, getattr(theirs, name))
    assert mine[1].dtype == np.int32
    assert mine[2].dtype == (np.int64 if wide else np.int32)


@pytest.mark.parametrize("density", [0.05, 0.8])
def test_slots_confine_the_shuffle(wide, reference, density):
    """Values among their own slots, and a few values among all the slots of a support."""
    W = block((19, 14), density=density, seed=4)
    slots = np.flatnonzero(W)
    values, keys = W.reshape(-1)[slots], shuffle_keys(9, [0, 1], 0, slots.size)
    for items in (np.arange(slots.size), np.arange(0, slots.size, 3)):
        found = permuted("permute_dense", keys, values[items], items, slots, size=slots.size, shape=W.shape)
        expected = reference.permute_dense(values[items], keys, items, slots, W.shape).values
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("density", [0.1, 0.9])
def test_a_symmetric_block_is_shuffled_among_its_triangle(wide, reference, density):
    size = 15
    W = np.triu(block((size, size), density=density, seed=5), k=1)
    rows, cols = np.nonzero(W)
    values, items, n_slots = W[rows, cols], rank_upper(rows, cols, size), size * (size - 1) // 2
    keys = shuffle_keys(10, [3, 4], 0, n_slots)
    sizes = {"size": n_slots, "shape": (size, size)}
    mine = permuted("permute_sparse", keys, values, items, **sizes, symmetric=True)
    theirs = reference.permute_sparse(values, keys, items, (size, size), symmetric=True)
    for array, name in zip(mine, ("values", "indices", "indptr"), strict=True):
        np.testing.assert_array_equal(array, getattr(theirs, name))
    upper = np.flatnonzero(np.triu(np.ones((size, size)), k=1))
    dense = permuted("permute_dense", keys, values, items, upper, **sizes)
    np.testing.assert_array_equal(dense, reference.permute_dense(values, keys, items, upper, (size, size)).values)


def test_a_triangle_whose_ranks_nearly_fill_31_bits(wide, reference):
    """65,000 nodes: what is multiplied on the way to a row's first rank is twice as large."""
    size = 65_000
    n_slots = size * (size - 1) // 2
    items = np.linspace(0, n_slots - 1, 12).astype(np.int64)
    keys, values = shuffle_keys(11, [0], 0, n_slots), np.arange(1, 13, dtype=np.float32)
    mine = permuted("permute_sparse", keys, values, items, size=n_slots, shape=(size, size), symmetric=True)
    theirs = reference.permute_sparse(values, keys, items, (size, size), symmetric=True)
    for array, name in zip(mine, ("values", "indices", "indptr"), strict=True):
        np.testing.assert_array_equal(array, getattr(theirs, name))


@pytest.mark.parametrize("some", [False, True])
def test_a_pattern_keeps_its_places(wide, reference, some):
    data = np.array([1.0, 2.0, 0.0, 4.0, 5.0, 0.0, 7.0], np.float32)  # explicit zeros are places a weight may move to
    weights = CsrWeights(data[None], np.array([[0, 3, 1, 2, 4, 0, 4]]), np.array([[0, 2, 5, 5, 7]]), (4, 5))
    slots = np.flatnonzero(data) if some else None
    keys = shuffle_keys(9, [0, 1], 0, 5 if some else 7)
    found = permuted("permute_pattern", keys, data, slots, size=keys.size)
    np.testing.assert_array_equal(found, reference.permute_pattern(weights, keys, slots).values)


def test_an_empty_block_stays_empty(wide):
    keys = shuffle_keys(0, [0, 1], 0, 12)
    none, nowhere = np.empty(0, np.float32), np.empty(0, np.int64)
    dense = permuted("permute_dense", keys, none, nowhere, None, size=12, shape=(3, 4))
    assert dense.shape == (2, 3, 4)
    assert not dense.any()
    values, indices, indptr = permuted("permute_sparse", keys, none, nowhere, size=12, shape=(3, 4), symmetric=False)
    assert values.shape == indices.shape == (2, 0)
    assert indptr.tolist() == [[0, 0, 0, 0]] * 2


def test_a_support_without_places_permutes_nothing(wide):
    keys = shuffle_keys(0, [0], 0, 0)
    none, nowhere = np.empty(0, np.float32), np.empty(0, np.int64)
    assert not permuted("permute_dense", keys, none, nowhere, nowhere, size=0, shape=(2, 2)).any()
    assert permuted("permute_pattern", keys, np.zeros(3, np.float32), nowhere, size=0).tolist() == [[0, 0, 0]]
