"""The keyed bijection itself: that it is one, that it is uniform, and that both implementations are the same."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from netspectra.kernels.cpu import shuffle as cpu_shuffle
from netspectra.kernels.keys import MIX_1, MIX_2, ShuffleKeys, feistel_bits, shuffle_keys
from netspectra.kernels.reference import shuffle as reference_shuffle

MASK = 0xFFFFFFFF


def by_kernel(keys: ShuffleKeys, member: int = 0, places=None):
    """Images of `places` (default all) by the compiled kernel."""
    image = np.arange(keys.size, dtype=np.int64) if places is None else np.array(places, np.int64)
    cpu_shuffle.permute_positions(image, keys.size, *feistel_bits(keys.size), keys.rounds[member], keys.swaps[member])
    return image


def by_hand(place: int, keys: ShuffleKeys, member: int = 0) -> int:
    """Image of one place in plain Python integers, as the module's docstring tells it."""
    left_bits, right_bits = feistel_bits(keys.size)

    def mix(x: int) -> int:
        h = x * MIX_1 & MASK
        h ^= h >> 13
        h = h * MIX_2 & MASK
        return h ^ h >> 16

    while True:
        left, right = place >> right_bits, place & (1 << right_bits) - 1
        for number, key in enumerate(keys.rounds[member].tolist()):
            if number % 2 == 0:
                left ^= mix(right ^ key) & (1 << left_bits) - 1
            else:
                right ^= mix(left ^ key) & (1 << right_bits) - 1
        place = left << right_bits | right
        if place < keys.size:
            first, second = keys.swaps[member].tolist()
            return {first: second, second: first}.get(place, place)


def parity(permutation: list[int]) -> int:
    """0 for an even permutation, 1 for an odd one."""
    seen, odd = [False] * len(permutation), 0
    for start in range(len(permutation)):
        length, at = 0, start
        while not seen[at]:
            seen[at], at, length = True, permutation[at], length + 1
        odd ^= (length - 1) & 1 if length else 0
    return odd


def test_whole_permutations_are_frozen():
    keys = shuffle_keys(7, [0, 41], 2, 10)
    assert by_kernel(keys, 0).tolist() == [4, 0, 3, 8, 7, 1, 2, 6, 5, 9]
    assert by_kernel(keys, 1).tolist() == [4, 0, 3, 8, 5, 7, 9, 6, 2, 1]
    large = shuffle_keys(2**64 - 1, [2**33], 5, 399872)
    assert by_kernel(large, 0, range(5)).tolist() == [315888, 320019, 291089, 338885, 143916]


@settings(max_examples=50)
@given(
    size=st.integers(1, 5000), seed=st.integers(0, 2**64 - 1), replicate=st.integers(0, 2**40), block=st.integers(0, 9)
)
@example(size=1, seed=0, replicate=0, block=0)
@example(size=2, seed=0, replicate=0, block=0)
@example(size=256, seed=0, replicate=0, block=0)
@example(size=257, seed=0, replicate=0, block=0)
@example(size=4096, seed=0, replicate=0, block=0)
@example(size=4097, seed=0, replicate=0, block=0)
def test_it_is_a_bijection_and_the_same_everywhere(size, seed, replicate, block):
    keys = shuffle_keys(seed, [replicate], block, size)
    image = by_kernel(keys)
    assert np.array_equal(np.sort(image), np.arange(size))
    np.testing.assert_array_equal(image, reference_shuffle.permute_positions(np, np.arange(size), keys, 0))
    some = [0, size // 2, size - 1]
    assert image[some].tolist() == [by_hand(place, keys) for place in some]


@given(size=st.integers(2**31, 2**61), seed=st.integers(0, 2**64 - 1))
@example(size=2**61, seed=0)
def test_long_indices_do_not_overflow(size, seed):
    keys = shuffle_keys(seed, [0], 0, size)
    some = [0, 1, 2**31 - 1, size // 2, size - 1]
    image = by_kernel(keys, 0, some)
    assert image.tolist() == [by_hand(place, keys) for place in some]
    np.testing.assert_array_equal(image, reference_shuffle.permute_positions(np, np.array(some), keys, 0))


@pytest.mark.parametrize(("size", "n_replicates"), [(3, 6000), (4, 6000), (5, 12000)])
def test_every_permutation_of_few_elements_is_equally_likely(size, n_replicates):
    keys = shuffle_keys(11, range(n_replicates), 0, size)
    counts = dict.fromkeys(permutations(range(size)), 0)
    for member in range(n_replicates):
        counts[tuple(by_kernel(keys, member).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("size", [9, 12, 15, 16, 256])
def test_even_and_odd_permutations_are_equally_likely(size):
    keys = shuffle_keys(12, range(600), 0, size)
    odd = sum(parity(by_kernel(keys, member).tolist()) for member in range(600))
    assert abs(odd - 300) < 3.5 * np.sqrt(150)


@pytest.mark.parametrize("size", [17, 64, 100])
def test_an_element_lands_anywhere_with_equal_probability(size):
    keys = shuffle_keys(13, range(4000), 0, size)
    images = np.array([by_kernel(keys, member, [0, size // 3, size - 1]) for member in range(4000)])
    for column in images.T:
        assert stats.chisquare(np.bincount(column, minlength=size)).pvalue > 1e-3


def test_pairs_of_neighbours_land_independently():
    keys = shuffle_keys(14, range(8000), 0, 21)
    images = np.array([by_kernel(keys, member, [4, 5]) for member in range(8000)])
    counts = np.bincount(images[:, 0] * 21 + images[:, 1], minlength=441).reshape(21, 21)
    assert (np.diag(counts) == 0).all()
    assert stats.chisquare(counts[~np.eye(21, dtype=bool)]).pvalue > 1e-3


@pytest.mark.parametrize("size", [101, 1000, 4096])
def test_it_is_not_an_affine_map(size):
    """Steps between neighbours' images would be one number; of a random permutation 1 - 1/e of all steps occur."""
    image = by_kernel(shuffle_keys(15, [0], 0, size))
    steps = np.unique(np.diff(image) % size)
    assert abs(steps.size / size - (1 - np.exp(-1))) < 3 / np.sqrt(size)


def test_replicates_blocks_and_seeds_give_unlike_permutations():
    images = [by_kernel(shuffle_keys(seed, [replicate], block, 500)) for seed, replicate, block in np.ndindex(3, 3, 3)]
    for i, one in enumerate(images):
        for other in images[:i]:
            assert np.count_nonzero(one == other) < 10
