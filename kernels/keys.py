"""Random keys, frozen: null replicate *i* is a pure function of (seed, i, block), on every backend.

Every stream of random numbers has its own constant below, so that no two streams ever share a Philox counter. Changing
anything in this file changes every null network; ``tests/kernels/test_keys.py`` holds test vectors.

The shuffle is a keyed bijection of ``{0 .. N-1}``: an alternating unbalanced Feistel network on ``b = max(8,
ceil(log2 N))`` bits, cycle-walked into range, then one keyed transposition. The transposition is there because on
N = 16, 32, 64, 256 every permutation that such a network makes is even. Source: R. Mitchell, D. Stokes, E. Frank,
G. Holmes, "Bandwidth-optimal random shuffling for GPUs", 2021 (arXiv:2106.06161); deviation: the round function is a
two-multiply mix of 32-bit words (Philox makes only the round keys), four times faster at equal uniformity in our tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from netspectra.kernels.philox import philox4x32, philox4x32_scalar

__all__ = [
    "ROUNDS",
    "SEED_LIMIT",
    "ShuffleKeys",
    "Stream",
    "derive_seed",
    "feistel_bits",
    "shuffle_keys",
    "stream_keys",
]

Stream = Literal["shuffle", "kde-index", "kde-noise", "start-block", "k-means", "seed"]

_STREAM_WORD: dict[str, int] = {
    "shuffle": 0x53485546,
    "kde-index": 0x4B444549,
    "kde-noise": 0x4B44454E,
    "start-block": 0x53545254,
    "k-means": 0x4B4D4541,
    "seed": 0x53454544,
}
ROUNDS = 24
"""Feistel rounds of the shuffle."""
MIX_1, MIX_2 = 0x85EBCA6B, 0xC2B2AE35
"""Multipliers of the round function ``h = (x ^ key) * MIX_1; h ^= h >> 13; h *= MIX_2; h ^= h >> 16`` (mod 2**32)."""
SEED_LIMIT = 1 << 64
MANY = 8
"""Replicates from which on NumPy is faster at Philox than Python's integers."""
_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class ShuffleKeys:
    """Keys of one block's permutations, one row per replicate.

    Attributes
    ----------
    rounds : ndarray, shape (B, 24), uint32
        Round keys.
    swaps : ndarray, shape (B, 2), int64
        The two outputs that the final transposition exchanges; equal where it exchanges nothing.
    size : int
        N, the number of slots permuted.
    """

    rounds: "np.ndarray[Any, np.dtype[np.uint32]]"
    swaps: "np.ndarray[Any, np.dtype[np.int64]]"
    size: int


def stream_key(seed: int, stream: Stream, replicate: int | None, block: int = 0) -> tuple[int, int]:
    """Philox key of one stream of one replicate (None: the real network) and block."""
    number = 0 if replicate is None else replicate + 1
    counter = (number & _MASK, number >> 32, block, _STREAM_WORD[stream])
    words = philox4x32_scalar(counter, (seed & _MASK, seed >> 32))
    return words[0], words[1]


def stream_keys(
    seed: int, stream: Stream, replicates: Sequence[int | None], block: int = 0
) -> "np.ndarray[Any, np.dtype[np.uint32]]":
    """Philox keys of several replicates, shape (B, 2), uint32."""
    if len(replicates) < MANY:
        return np.array([stream_key(seed, stream, i, block) for i in replicates], dtype=np.uint32).reshape(-1, 2)
    numbers = np.array([0 if i is None else i + 1 for i in replicates], dtype=np.uint64)
    low, high = numbers & np.uint64(_MASK), numbers >> np.uint64(32)
    words = philox4x32(low, high, block, _STREAM_WORD[stream], seed & _MASK, seed >> 32)
    return np.stack(words[:2], axis=1)


def derive_seed(seed: int, number: int) -> int:
    """Further seed `number` of a run: what the seed-sensitivity check clusters the real network with."""
    low, high = stream_key(seed, "seed", number)
    return (high << 32) | low


def feistel_bits(size: int) -> tuple[int, int]:
    """Bits of the left and right word for N = `size`: together ``max(8, ceil(log2 N))``."""
    bits = max(8, (max(size, 1) - 1).bit_length())
    return bits // 2, bits - bits // 2


def shuffle_keys(seed: int, replicates: Sequence[int], block: int, size: int) -> ShuffleKeys:
    """Round keys and final transposition of the permutation of `size` slots, for each replicate."""
    keys, n_counters = stream_keys(seed, "shuffle", replicates, block), ROUNDS // 4 + 2
    if len(replicates) < MANY:
        each = [
            [w for c in range(n_counters) for w in philox4x32_scalar((c, 0, 0, 0), (k0, k1))]
            for k0, k1 in keys.tolist()
        ]
        words = np.array(each, dtype=np.uint32).reshape(len(replicates), 4 * n_counters)
    else:
        drawn = philox4x32(np.arange(n_counters)[None, :], 0, 0, 0, keys[:, :1], keys[:, 1:])
        words = np.stack(drawn, axis=2).reshape(len(replicates), 4 * n_counters)
    swaps = np.array([_transposition(row, size) for row in words[:, ROUNDS:].tolist()], dtype=np.int64).reshape(-1, 2)
    return ShuffleKeys(np.ascontiguousarray(words[:, :ROUNDS]), swaps, size)


def _transposition(words: list[int], size: int) -> tuple[int, int]:
    """Two distinct outputs, uniform over pairs, with probability one half; else (0, 0)."""
    if size < 2 or not words[4] & 1:
        return 0, 0
    first = (((words[0] << 32) | words[1]) * size) >> 64
    step = (((words[2] << 32) | words[3]) * (size - 1)) >> 64
    return first, (first + 1 + step) % size
