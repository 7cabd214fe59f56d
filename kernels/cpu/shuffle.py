"""Keyed shuffle of a block's weights: a scatter through the bijection of :mod:`netspectra.kernels.keys`.

A kernel, because no library permutes by key without a sort: every element finds its own place in O(1), the inner loops
are plain 32-bit integer arithmetic that LLVM vectorises, and elements that fall outside {0 .. N-1} are walked on as a
compacted list of survivors (1.7 ns an element against 20 one by one). Values are moved as bits (uint16, uint32 or
uint64), so every storage dtype is permuted by the same code.
"""

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper
from netspectra.kernels.keys import MIX_1, MIX_2

__all__ = ["permute_positions", "scatter_dense", "scatter_items"]

CHUNK = 2048
_C1, _C2 = np.uint32(MIX_1), np.uint32(MIX_2)
_U = np.uint32


@helper
def _feistel(left, right, count, left_bits, right_bits, rounds):
    """All rounds on `count` (left, right) pairs of words, in place."""
    left_mask = _U((np.uint64(1) << np.uint64(left_bits)) - np.uint64(1))
    right_mask = _U((np.uint64(1) << np.uint64(right_bits)) - np.uint64(1))
    for r in range(0, rounds.shape[0], 2):
        even, odd = rounds[r], rounds[r + 1]
        for i in range(count):
            h = _U(_U(right[i] ^ even) * _C1)
            h = _U(h ^ _U(h >> _U(13)))
            h = _U(h * _C2)
            h = _U(h ^ _U(h >> _U(16)))
            x = _U(left[i] ^ _U(h & left_mask))
            left[i] = x
            g = _U(_U(x ^ odd) * _C1)
            g = _U(g ^ _U(g >> _U(13)))
            g = _U(g * _C2)
            g = _U(g ^ _U(g >> _U(16)))
            right[i] = _U(right[i] ^ _U(g & right_mask))


@helper
def _permute_chunk(place, count, size, left_bits, right_bits, rounds, swap, left, right, who):
    """Replace ``place[:count]``, each in {0 .. size-1}, by its image; `left`, `right`, `who` are scratch."""
    right_mask = (np.int64(1) << np.int64(right_bits)) - np.int64(1)
    for i in range(count):
        left[i] = _U(place[i] >> np.int64(right_bits))
        right[i] = _U(place[i] & right_mask)
        who[i] = i
    walking = count
    while walking > 0:
        _feistel(left, right, walking, left_bits, right_bits, rounds)
        survivors = 0
        for i in range(walking):  # without branches: which elements survive cannot be predicted
            image = (np.int64(left[i]) << np.int64(right_bits)) | np.int64(right[i])
            place[who[i]] = image
            left[survivors] = left[i]
            right[survivors] = right[i]
            who[survivors] = who[i]
            survivors += np.int64(image >= size)
        walking = survivors
    if swap[0] != swap[1]:
        for i in range(count):
            if place[i] == swap[0]:
                place[i] = swap[1]
            elif place[i] == swap[1]:
                place[i] = swap[0]


@compiled("void(int64[::1], int64, int64, int64, uint32[::1], int64[::1])")
def permute_positions(places, size, left_bits, right_bits, rounds, swap):
    """Replace every entry of `places` (int64, each in {0 .. size-1}) by its image under the keyed bijection."""
    left, right = np.empty(CHUNK, np.uint32), np.empty(CHUNK, np.uint32)
    who = np.empty(CHUNK, np.int64)
    for start in range(0, places.shape[0], CHUNK):
        count = min(CHUNK, places.shape[0] - start)
        _permute_chunk(places[start:], count, size, left_bits, right_bits, rounds, swap, left, right, who)


@compiled(
    *(
        f"void(const({bits}[:, :]), {bits}[::1], int64, int64, uint32[::1], int64[::1])"
        for bits in ("uint16", "uint32", "uint64")
    )
)
def scatter_dense(values, out, left_bits, right_bits, rounds, swap):
    """``out[pi(p)] = values.flat[p]`` for every element of a dense block, in row-major order of a strided view."""
    n_rows, n_cols = values.shape
    size = np.int64(n_rows) * np.int64(n_cols)
    place = np.empty(CHUNK, np.int64)
    left, right = np.empty(CHUNK, np.uint32), np.empty(CHUNK, np.uint32)
    who = np.empty(CHUNK, np.int64)
    for row in range(n_rows):
        for start in range(0, n_cols, CHUNK):
            count = min(CHUNK, n_cols - start)
            first = np.int64(row) * n_cols + start
            for i in range(count):
                place[i] = first + i
            _permute_chunk(place, count, size, left_bits, right_bits, rounds, swap, left, right, who)
            for i in range(count):
                out[place[i]] = values[row, start + i]


@compiled(
    *(
        f"void(const({bits}[::1]), const(int64[::1]), const(int64[::1]), {bits}[::1], "
        "int64, int64, int64, uint32[::1], int64[::1])"
        for bits in ("uint16", "uint32", "uint64")
    )
)
def scatter_items(values, items, slots, out, size, left_bits, right_bits, rounds, swap):
    """``out[slots[pi(items[j])]] = values[j]``; an empty `slots` stands for the identity."""
    place = np.empty(CHUNK, np.int64)
    left, right = np.empty(CHUNK, np.uint32), np.empty(CHUNK, np.uint32)
    who = np.empty(CHUNK, np.int64)
    for start in range(0, items.shape[0], CHUNK):
        count = min(CHUNK, items.shape[0] - start)
        place[:count] = items[start : start + count]
        _permute_chunk(place, count, size, left_bits, right_bits, rounds, swap, left, right, who)
        if slots.shape[0]:
            for i in range(count):
                out[slots[place[i]]] = values[start + i]
        else:
            for i in range(count):
                out[place[i]] = values[start + i]
