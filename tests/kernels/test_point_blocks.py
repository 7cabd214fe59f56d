"""Points in blocks: layout, nearest centres with ties to the lowest, distances that do not depend on the place."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu.point_blocks import lowest_bit, nearer_in_block, nearest_in_block, packed_blocks
from netspectra.kernels.cpu.registers import GROUP
from netspectra.kernels.cpu.seeding import _sample

pytestmark = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@numba.njit
def all_nearest(blocks, centres, half_norms, labels, found, bits):
    lanes = blocks.shape[2]
    for b in range(blocks.shape[0]):
        bits[b] = nearest_in_block(blocks, b, centres, half_norms, labels, found)
        labels[b * lanes : (b + 1) * lanes] = found


@numba.njit
def all_nearer(blocks, centre, closest, out, sums):
    for b in range(blocks.shape[0]):
        sums[b] = nearer_in_block(blocks, b, centre, closest, out)


@numba.njit
def bits_of(word):
    places = []
    while word:
        places.append(lowest_bit(word))
        word &= word - np.uint64(1)
    return places


def nearest(points, centres):
    """Labels of the points, and the words of bits of a first pass (all labels -1) and of a second."""
    blocks = packed_blocks(points)
    n_blocks, d, lanes = blocks.shape
    k = -(-len(centres) // GROUP) * GROUP
    padded, half_norms = np.zeros((k, d), points.dtype), np.full(k, np.inf, points.dtype)
    padded[: len(centres)] = centres
    half_norms[: len(centres)] = ((centres * centres).sum(axis=1) / 2).astype(points.dtype)
    labels, found = np.full(n_blocks * lanes, -1, np.int32), np.empty(lanes, np.int32)
    passes = []
    for _ in range(2):
        bits = np.empty(n_blocks, np.uint64)
        all_nearest(blocks, padded, half_norms, labels, found, bits)
        passes.append(bits)
    return labels[: len(points)], passes


def nearer(points, centre, closest):
    """min(closest, squared distance) of the points, and its sums by block."""
    blocks = packed_blocks(points)
    before, out = np.zeros(blocks.shape[0] * blocks.shape[2], points.dtype), np.empty(0, points.dtype)
    before[: len(points)] = closest
    out, sums = np.empty_like(before), np.empty(blocks.shape[0])
    all_nearer(blocks, centre, before, out, sums)
    return out, sums


@pytest.mark.parametrize("n", [1, 15, 16, 31, 32, 33, 64, 100])
def test_blocks_hold_the_points_and_zeros(dtype, n):
    points = np.random.default_rng(n).standard_normal((n, 3)).astype(dtype)
    blocks = packed_blocks(points)
    assert blocks.flags.c_contiguous
    assert blocks.ctypes.data % 64 == 0
    flat = blocks.transpose(0, 2, 1).reshape(-1, 3)
    np.testing.assert_array_equal(flat[:n], points)
    assert not flat[n:].any()
    assert len(flat) - n < blocks.shape[2]


def test_points_without_features_are_all_equal(dtype):
    points = np.empty((40, 0), dtype)
    labels, _ = nearest(points, np.empty((3, 0), dtype))
    assert not labels.any()


@settings(max_examples=40)
@given(n=st.integers(1, 150), d=st.integers(1, 40), k=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_nearest_centres_are_those_of_the_full_table_of_distances(dtype, n, d, k, seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d)).astype(dtype)
    centres = points[rng.integers(0, n, k)] + rng.standard_normal((k, d)).astype(dtype) * dtype(0.3)
    labels, (first, second) = nearest(points, centres)
    table = ((points[:, None, :].astype(np.longdouble) - centres) ** 2).sum(axis=2)
    slack = 8 * (d + 4) * np.finfo(dtype).eps * (np.abs(points).max() + np.abs(centres).max()) ** 2
    assert (table[np.arange(n), labels] <= table.min(axis=1) + slack).all()
    clear = np.partition(table, 1, axis=1)[:, 1] - table.min(axis=1) > slack if k > 1 else np.ones(n, bool)
    np.testing.assert_array_equal(labels[clear], table.argmin(axis=1)[clear])
    lanes = packed_blocks(points).shape[2]
    assert (first == np.uint64(2**lanes - 1)).all()
    assert not second.any()


@settings(max_examples=20)
@given(d=st.integers(1, 13), k=st.integers(2, 13), seed=st.integers(0, 2**32))
def test_ties_go_to_the_lowest_centre_wherever_it_is(dtype, d, k, seed):
    """Every centre occurs twice, in random order: of equal centres only the lower may win, to the last bit."""
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((k, d)).astype(dtype)
    names = rng.permutation(np.repeat(np.arange(k), 2))
    labels, _ = nearest(rng.standard_normal((77, d)).astype(dtype), distinct[names])
    lowest = {name: int(np.argmax(names == name)) for name in range(k)}
    assert all(lowest[names[label]] == label for label in labels)


@settings(max_examples=20)
@given(n=st.integers(1, 90), d=st.integers(1, 13), seed=st.integers(0, 2**32))
def test_equal_points_are_equal_to_the_last_bit_wherever_they_lie(dtype, n, d, seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d)).astype(dtype)
    centres = rng.standard_normal((7, d)).astype(dtype)
    order = rng.permutation(n)
    np.testing.assert_array_equal(nearest(points[order], centres)[0], nearest(points, centres)[0][order])
    far = np.full(n, np.inf, dtype)
    np.testing.assert_array_equal(
        nearer(points[order], centres[0], far)[0][:n], nearer(points, centres[0], far)[0][order]
    )


def test_only_points_whose_label_changed_are_reported(dtype):
    points = np.arange(70, dtype=dtype)[:, None]
    blocks = packed_blocks(points)
    lanes = blocks.shape[2]
    centres, half_norms = np.array([[0], [69], [0], [0]], dtype), np.array([0, 69**2 / 2, np.inf, np.inf], dtype)
    labels = np.zeros(blocks.shape[0] * lanes, np.int32)
    bits = np.empty(blocks.shape[0], np.uint64)
    all_nearest(blocks, centres, half_norms, labels, np.empty(lanes, np.int32), bits)
    reported = [b * lanes + place for b, word in enumerate(bits) for place in bits_of(word)]
    assert reported == list(range(35, 70))


@settings(max_examples=30)
@given(n=st.integers(1, 120), d=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_nearer_is_the_lesser_distance_and_sums_are_in_float64(dtype, n, d, seed):
    rng = np.random.default_rng(seed)
    points, centre = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal(d).astype(dtype)
    closest = rng.random(n).astype(dtype) * dtype(4 * d)
    out, sums = nearer(points, centre, closest)
    exact = np.minimum(closest, ((points.astype(np.longdouble) - centre) ** 2).sum(axis=1))
    np.testing.assert_allclose(out[:n], exact.astype(np.float64), rtol=(d + 2) * np.finfo(dtype).eps)
    assert not out[n:].any()
    by_block = out.astype(np.float64).reshape(len(sums), -1).sum(axis=1)
    np.testing.assert_allclose(sums, by_block, rtol=1e-14)


@settings(max_examples=30)
@given(n=st.integers(1, 200), seed=st.integers(0, 2**32), zeros=st.floats(0, 1))
def test_a_draw_is_the_first_point_beyond_the_threshold(dtype, n, seed, zeros):
    rng = np.random.default_rng(seed)
    lanes = packed_blocks(np.zeros((1, 1), dtype)).shape[2]
    values = np.zeros(-(-n // lanes) * lanes, dtype)
    values[:n] = rng.integers(1, 9, n) * (rng.random(n) >= zeros)
    weights, cumulative = values.reshape(-1, lanes).sum(axis=1).astype(np.float64), np.cumsum(values[:n].astype(float))
    for threshold in [0.0, *(rng.random(5) * cumulative[-1]), *cumulative[rng.integers(0, n, 3)]]:
        expected = min(int(np.searchsorted(cumulative, threshold, side="right")), n - 1)
        assert _sample(values, weights, threshold, n) == expected
