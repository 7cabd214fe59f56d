"""Philox, uniform and normal numbers in int64 arithmetic that never exceeds 2**63.

The array-API standard promises no wrap-around, and PyTorch lacks most operations on uint32: so a word of 32 bits is
held in an int64, and products are formed from 16-bit limbs.
"""

import math
from typing import Any

from netspectra.kernels.backend import Array
from netspectra.kernels.philox import philox4x32_scalar

__all__ = ["indices", "multiply_words", "normals", "philox", "uniform"]

MASK = 0xFFFFFFFF
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85


def multiply_words(x: Array, factor: int) -> tuple[Array, Array]:
    """High and low word of ``x * factor``, both below 2**32."""
    low, high = x * (factor & 0xFFFF), x * (factor >> 16)  # each below 2**48
    carried = high + (low >> 16)
    return carried >> 16, ((carried & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(c0: Array, c1: Array, c2: Array, c3: Array, key: Any) -> tuple[Array, Array, Array, Array]:
    """Philox4x32-10 for int64 arrays of counters and one key (2,)."""
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        (high0, low0), (high1, low1) = multiply_words(c0, _M0), multiply_words(c2, _M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _W0) & MASK, (k1 + _W1) & MASK
    return c0, c1, c2, c3


def _words(xp: Any, count: int, key: Any) -> tuple[Array, Array]:
    """First two words of elements 0 .. count-1: counter (element mod 2**32, element div 2**32, 0, 0)."""
    element = xp.arange(count, dtype=xp.int64)
    zero = xp.zeros_like(element)
    first, second, _, _ = philox(element & MASK, element >> 32, zero, zero, key)
    return first, second


def indices(xp: Any, count: int, key: Any) -> Array:
    """For each of `count` elements an index below `count` (int64): 64 random bits times `count`, its high word."""
    first, second = _words(xp, count, key)
    high, low = multiply_words(first, count)
    return high + ((low + multiply_words(second, count)[0]) >> 32)


def normals(xp: Any, count: int, key: Any) -> Array:
    """Standard normal numbers (float64) of elements 0 .. count-1, by Box and Muller."""
    first, second = (xp.astype(word, xp.float64) for word in _words(xp, count, key))
    u = (first + 0.5) * 2.0**-32
    return xp.sqrt(-2.0 * xp.log(u)) * xp.cos(2.0 * math.pi * second * 2.0**-32)


def uniform(key: Any, c0: int, c1: int, c2: int) -> float:
    """Uniform number in [0, 1) with 53 bits, on the host."""
    first, second, _, _ = philox4x32_scalar((c0, c1, c2, 0), (int(key[0]), int(key[1])))
    return ((first >> 5) * 67108864.0 + (second >> 6)) * 2.0**-53
