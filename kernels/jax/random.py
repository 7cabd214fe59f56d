"""Philox4x32-10 in JAX, and the uniform and normal numbers and indices made of it.

Words are uint32 arrays, products of two words come from 16-bit limbs: without x64 JAX has no wider integer. Where x64
is on, normals and uniforms are float64 as in :mod:`netspectra.kernels.reference.random`; else they are float32.
"""

import math
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax

from netspectra.kernels.backend import Array

__all__ = ["indices", "multiply_words", "normals", "philox", "uniform", "wide_float"]

Words: TypeAlias = tuple[Array, Array]

_M0, _M1 = np.uint32(0xD2511F53), np.uint32(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_LOW, _HALF = np.uint32(0xFFFF), np.uint32(16)


def wide_float() -> Any:
    """Dtype of sums and thresholds: float64 with x64, else float32."""
    return jnp.result_type(float)


def multiply_words(x: Array, y: Any) -> Words:
    """High and low word of ``x * y`` for uint32 `x` and `y`."""
    x0, x1, y0, y1 = x & _LOW, x >> _HALF, y & _LOW, y >> _HALF
    middle = x1 * y0 + ((x0 * y0) >> _HALF)  # at most (2**16 - 1)**2 + 2**16 - 2: no carry is lost
    lower = x0 * y1 + (middle & _LOW)
    return x1 * y1 + (middle >> _HALF) + (lower >> _HALF), x * y


def philox(c0: Any, c1: Any, c2: Any, c3: Any, key: Array) -> tuple[Array, Array, Array, Array]:
    """Four words per counter, for uint32 counters that broadcast together and one key (2,)."""
    c0, c1, c2, c3 = jnp.broadcast_arrays(*(jnp.asarray(c, jnp.uint32) for c in (c0, c1, c2, c3)))
    key = jnp.asarray(key)
    for r in range(_ROUNDS):
        k0, k1 = (key[i] + np.uint32(r * w & 0xFFFFFFFF) for i, w in enumerate((_W0, _W1)))
        (high0, low0), (high1, low1) = multiply_words(c0, _M0), multiply_words(c2, _M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def indices(elements: Array, count: Any, key: Array) -> Array:
    """For each element an index below `count` (uint32, may be traced): 64 random bits times `count`, its high word.

    Parameters
    ----------
    elements : array of uint32
        Numbers of the elements drawn for.
    count : int or uint32
    key : array, shape (2,), uint32
    """
    first, second, _, _ = philox(elements, 0, 0, 0, key)
    count = jnp.asarray(count, jnp.uint32)
    high, low = multiply_words(first, count)
    carried = low + multiply_words(second, count)[0]
    return high + (carried < low).astype(jnp.uint32)


def normals(elements: Array, key: Array) -> Array:
    """Standard normal numbers of `elements` (uint32), by Box and Muller; float64 with x64, else float32."""
    first, second, _, _ = philox(elements, 0, 0, 0, key)
    if wide_float() == jnp.float64:
        u = (first.astype(jnp.float64) + 0.5) * 2.0**-32
        return jnp.sqrt(-2.0 * jnp.log(u)) * jnp.cos(2.0 * math.pi * second.astype(jnp.float64) * 2.0**-32)
    return jnp.sqrt(-2.0 * _log_fraction(first)) * _cos_turns(second)


def uniform(c0: Any, c1: Any, c2: Any, key: Array) -> Array:
    """Uniform numbers in [0, 1) of counters (c0, c1, c2, 0): 53 bits with x64, else the upper 24 of them."""
    first, second, _, _ = philox(c0, c1, c2, 0, key)
    if wide_float() == jnp.float64:
        upper, lower = (first >> 5).astype(jnp.float64), (second >> 6).astype(jnp.float64)
        return (upper * 67108864.0 + lower) * 2.0**-53
    return (first >> 8).astype(jnp.float32) * 2.0**-24


def _log_fraction(word: Array) -> Array:
    """``log((word + 1/2) / 2**32)`` in float32, also next to 1, where the fraction itself would be rounded."""
    below = (word.astype(jnp.float32) + 0.5) * 2.0**-32
    above = ((~word).astype(jnp.float32) + 0.5) * 2.0**-32  # 1 - below, exactly
    return jnp.where(word >> 31 == 0, jnp.log(below), jnp.log1p(-above))


def _cos_turns(word: Array) -> Array:
    """``cos(2 pi word / 2**32)`` in float32: the angle beyond the nearest quarter turn is taken in integers."""
    quarter = (word + np.uint32(1 << 29)) >> 30
    rest = lax.bitcast_convert_type(word - (quarter << 30), jnp.int32)
    angle = rest.astype(jnp.float32) * (2.0 * math.pi * 2.0**-32)
    value = jnp.where(quarter % 2 == 0, jnp.cos(angle), jnp.sin(angle))
    return jnp.where((quarter == 1) | (quarter == 2), -value, value)
