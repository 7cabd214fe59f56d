"""The keyed bijection of :mod:`netspectra.kernels.keys`, the whole array walked in lockstep."""

from typing import Any

from netspectra.kernels.backend import Array
from netspectra.kernels.keys import MIX_1, MIX_2, ShuffleKeys, feistel_bits
from netspectra.kernels.reference.random import multiply_words

__all__ = ["permute_positions"]


def permute_positions(xp: Any, places: Array, keys: ShuffleKeys, member: int) -> Array:
    """Image of every place, int64 in ``{0 .. keys.size-1}``, under the bijection of one replicate."""
    rounds = [int(word) for word in keys.rounds[member]]
    image = _feistel(places, keys.size, rounds)
    while bool(xp.any(image >= keys.size)):
        image = xp.where(image >= keys.size, _feistel(image, keys.size, rounds), image)
    first, second = (int(place) for place in keys.swaps[member])
    swapped = xp.where(image == first, xp.full_like(image, second), image)
    return xp.where(image == second, xp.full_like(image, first), swapped)


def _feistel(places: Array, size: int, rounds: list[int]) -> Array:
    """All rounds of the alternating network on words of ``feistel_bits(size)`` bits."""
    left_bits, right_bits = feistel_bits(size)
    left_mask, right_mask = (1 << left_bits) - 1, (1 << right_bits) - 1
    left, right = places >> right_bits, places & right_mask
    for even, odd in zip(rounds[::2], rounds[1::2], strict=True):
        left = left ^ (_mix(right ^ even) & left_mask)
        right = right ^ (_mix(left ^ odd) & right_mask)
    return (left << right_bits) | right


def _mix(x: Array) -> Array:
    h = multiply_words(x, MIX_1)[1]
    h = multiply_words(h ^ (h >> 13), MIX_2)[1]
    return h ^ (h >> 16)
