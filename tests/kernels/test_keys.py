"""Frozen random keys: every null network of every released version hangs on these vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.kernels import keys
from netspectra.kernels.keys import derive_seed, feistel_bits, shuffle_keys, stream_keys

# seed 20260101, block 3; rows: the real network, replicates 0, 1 and 2**32
STREAM_VECTORS = {
    "shuffle": [
        (0x2D46BE8F, 0x0D500611), (0xCF4AC05A, 0x63485C03),
        (0x547951C6, 0x9A0AD567), (0xB15F4A6E, 0xF4D3D25C),
    ],
    "kde-index": [
        (0x088ECDD0, 0x2D5F2DE5), (0x472E655A, 0x933A6843),
        (0x23C1878C, 0x1DC7CFB0), (0x4231580A, 0x733BE925),
    ],
    "kde-noise": [
        (0xB04B9E54, 0xD80799D3), (0x9C39ED6D, 0x99BF3D6F),
        (0xA302EC4D, 0x75EE909C), (0x4FD4A29F, 0x154FFA3C),
    ],
    "start-block": [
        (0xBDD5338C, 0x67AD8BC5), (0x2CCFA9D4, 0xA884CD28),
        (0xE3BCFD7C, 0xD5000597), (0xE748D02A, 0x93359762),
    ],
    "k-means": [
        (0x2146A04E, 0xC8F4D1C9), (0xA87AAD2B, 0x8FD6B85E),
        (0xF8F4D2C5, 0x74F0E814), (0xB17D1B1E, 0xD932DD54),
    ],
    "seed": [
        (0xB63D9449, 0xE3EE87B1), (0xB9FF2797, 0xB2DFC2C8),
        (0x28FE5C6B, 0xD18A8D3B), (0x295178B5, 0xF69837C4),
    ],
}  # fmt: skip
REPLICATES = [None, 0, 1, 2**32]
ROUND_KEYS = [  # seed 7, replicate 0, block 2
    0x2E4522A8, 0x832E05D6, 0x06ABCFEB, 0x01883C32, 0xB8488AFA, 0x09D5B647, 0xA824A951, 0x6462B35F,
    0x388C3579, 0x327DE99A, 0x9FBD7C76, 0x18BADBD2, 0xE415E342, 0x89502992, 0x7B63FC7B, 0xA463606F,
    0x7538CC54, 0x0CC1A138, 0xF29863D8, 0xA285C6FC, 0xEE1872DE, 0xE5736D7F, 0x1C534EEA, 0xD785354B,
]  # fmt: skip


@pytest.mark.parametrize("stream", STREAM_VECTORS)
def test_stream_keys_are_frozen(stream):
    found = stream_keys(20260101, stream, REPLICATES, 3)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, np.array(STREAM_VECTORS[stream], np.uint32))


def test_every_stream_has_a_vector():
    assert STREAM_VECTORS.keys() == keys._STREAM_WORD.keys()
    assert len(set(keys._STREAM_WORD.values())) == len(STREAM_VECTORS)


def test_round_keys_and_transpositions_are_frozen():
    found = shuffle_keys(7, [0, 41], 2, 10)
    assert found.rounds[0].tolist() == ROUND_KEYS
    assert found.rounds[1, [0, -1]].tolist() == [0x10B81065, 0x666E7677]
    assert found.swaps.tolist() == [[5, 2], [0, 1]]
    assert (found.rounds.dtype, found.swaps.dtype, found.size) == (np.uint32, np.int64, 10)


def test_largest_seed_and_a_long_replicate_are_frozen():
    found = shuffle_keys(2**64 - 1, [2**33], 5, 399872)
    assert found.rounds[0, [0, -1]].tolist() == [0xC5BD9498, 0xBBECA47C]
    assert found.swaps.tolist() == [[0, 0]]


def test_derived_seeds_are_frozen():
    assert derive_seed(0, 0) == 0xB2CF2A8335ED74DE
    assert derive_seed(0, 1) == 0xE70B366264FCD689
    assert derive_seed(2**64 - 1, 5) == 0xC4AEC70047B524C0


@given(
    seed=st.integers(0, 2**64 - 1),
    replicates=st.lists(st.integers(0, 2**40), min_size=1, max_size=4),
    block=st.integers(0, 99),
)
def test_a_replicate_has_the_same_keys_in_any_batch(seed, replicates, block):
    together = shuffle_keys(seed, replicates, block, 77)
    for row, replicate in enumerate(replicates):
        alone = shuffle_keys(seed, [replicate], block, 77)
        np.testing.assert_array_equal(together.rounds[row], alone.rounds[0])
        np.testing.assert_array_equal(together.swaps[row], alone.swaps[0])


def test_no_two_streams_replicates_blocks_or_seeds_share_a_key():
    seen = [
        tuple(row)
        for seed in (0, 1, 2**32, 2**63)
        for stream in STREAM_VECTORS
        for block in range(4)
        for row in stream_keys(seed, stream, [None, *range(20), 2**32 - 1, 2**32], block).tolist()
    ]
    assert len(set(seen)) == len(seen)


def test_no_replicates_give_no_keys():
    assert stream_keys(0, "k-means", []).shape == (0, 2)
    assert shuffle_keys(0, [], 0, 5).rounds.shape == (0, keys.ROUNDS)


@given(size=st.integers(0, 2**62))
def test_feistel_words_cover_the_slots_in_at_least_eight_bits(size):
    left, right = feistel_bits(size)
    assert 0 <= right - left <= 1
    assert 2 ** (left + right) >= size
    assert left + right == 8 or 2 ** (left + right - 1) < size
    assert right <= 32


@pytest.mark.parametrize("size", [2, 3, 10, 2**20, 2**62])
def test_transpositions_exchange_two_different_outputs_every_other_time(size):
    swaps = shuffle_keys(3, range(400), 0, size).swaps
    assert ((swaps >= 0) & (swaps < size)).all()
    different = int((swaps[:, 0] != swaps[:, 1]).sum())
    assert abs(different - 200) < 3.5 * 10
    assert (swaps[swaps[:, 0] == swaps[:, 1]] == 0).all()


@pytest.mark.parametrize("size", [0, 1])
def test_a_single_slot_is_never_exchanged(size):
    assert not shuffle_keys(3, range(20), 0, size).swaps.any()


@pytest.mark.parametrize("seed", [0, 7, 2**63 + 5])
@pytest.mark.parametrize("size", [1, 4, 1000, 10**13])
def test_many_replicates_get_the_keys_of_each(seed, size):
    """Long batches take another way to the same numbers."""
    replicates = [0, 1, 2, 5, 2**32 - 1, 2**32, 2**40, 17, 3, 2**63]
    together = shuffle_keys(seed, replicates, 3, size)
    for row, replicate in enumerate(replicates):
        alone = shuffle_keys(seed, [replicate], 3, size)
        np.testing.assert_array_equal(together.rounds[row], alone.rounds[0])
        np.testing.assert_array_equal(together.swaps[row], alone.swaps[0])
        np.testing.assert_array_equal(
            stream_keys(seed, "k-means", [None, *replicates])[row + 1], stream_keys(seed, "k-means", [replicate])[0]
        )
