"""Philox4x32-10 against the known answers of Random123 (its file kat_vectors), in all four implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.kernels.cpu import random as cpu_random
from netspectra.kernels.philox import philox4x32, philox4x32_scalar
from netspectra.kernels.reference import random as reference_random

WORD = st.integers(0, 2**32 - 1)
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def scalar(counter, key):
    return philox4x32_scalar(counter, key)


def host_array(counter, key):
    return tuple(int(word[0]) for word in philox4x32(*(np.array([c], np.uint32) for c in counter), *key))


def cpu_kernel(counter, key):
    return tuple(int(word) for word in cpu_random.philox(*counter, np.array(key, np.uint32)))


def reference_kernel(counter, key):
    words = (np.array([c], np.int64) for c in counter)
    return tuple(int(word[0]) for word in reference_random.philox(*words, key))


IMPLEMENTATIONS = [scalar, host_array, cpu_kernel, reference_kernel]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(implementation, counter, key, expected):
    assert implementation(counter, key) == expected


@given(counter=st.tuples(WORD, WORD, WORD, WORD), key=st.tuples(WORD, WORD))
def test_implementations_agree(counter, key):
    assert len({implementation(counter, key) for implementation in IMPLEMENTATIONS}) == 1


def test_host_array_broadcasts_counters_against_keys():
    counters, keys = np.arange(5, dtype=np.uint32)[:, None], np.arange(3, dtype=np.uint32)[None, :]
    words = philox4x32(counters, 0, 0, 0, keys, 7)
    assert all(word.shape == (5, 3) and word.dtype == np.uint32 for word in words)
    assert tuple(int(word[4, 2]) for word in words) == philox4x32_scalar((4, 0, 0, 0), (2, 7))


@given(x=WORD, factor=st.integers(0, 2**32 - 1))
def test_products_of_words_by_limbs_are_exact(x, factor):
    high, low = reference_random.multiply_words(np.array([x], np.int64), factor)
    assert (int(high[0]) << 32) | int(low[0]) == x * factor


@given(key=st.tuples(WORD, WORD), counter=st.tuples(WORD, WORD, WORD))
def test_uniform_numbers_agree_to_the_bit_and_stay_below_one(key, counter):
    words = philox4x32_scalar((*counter, 0), key)
    exact = ((words[0] >> 5) * 2**26 + (words[1] >> 6)) / 2**53  # 27 bits of the first word, 26 of the second
    host = reference_random.uniform(np.array(key, np.uint32), *counter)
    assert host == exact == cpu_random.uniform_double(np.array(key, np.uint32), *counter)
    assert 0 <= host < 1
