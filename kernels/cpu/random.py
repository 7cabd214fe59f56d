"""Philox on the CPU: keyed uniform and normal numbers, and the resampling of weights for the KDE null models.

A kernel, because NumPy's Philox cannot be re-keyed per element without making a generator object each time.
"""

import math

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper

__all__ = ["resample_nonzero", "standard_normals", "uniform_double"]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_MASK, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@helper
def philox(c0, c1, c2, c3, key):
    """Philox4x32-10: four words, each in a uint64."""
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(10):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1, x2, x3 = (p1 >> _HALF) ^ x1 ^ k0, p1 & _MASK, (p0 >> _HALF) ^ x3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return x0, x1, x2, x3


@helper
def uniform_double(key, c0, c1, c2):
    """Uniform number in [0, 1) with 53 bits."""
    a, b, _, _ = philox(c0, c1, c2, 0, key)
    high, low = a >> np.uint64(5), b >> np.uint64(6)
    return (np.float64(high) * 67108864.0 + np.float64(low)) * (1.0 / 9007199254740992.0)


@helper
def normal(key, low, high):
    """Standard normal number of element ``(high << 32) | low``, by Box and Muller."""
    a, b, _, _ = philox(low, high, 0, 0, key)
    u = (np.float64(a) + 0.5) * (1.0 / 4294967296.0)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * np.float64(b) * (1.0 / 4294967296.0))


@compiled("void(uint32[::1], int64, float32[::1])", "void(uint32[::1], int64, float64[::1])")
def standard_normals(key, first, out):
    """Standard normals of elements ``first .. first + out.size - 1``."""
    for i in range(out.shape[0]):
        element = np.uint64(first + i)
        out[i] = normal(key, element & _MASK, element >> _HALF)


@compiled(
    "void(float32[::1], uint32[::1], uint32[::1], float64, float32[::1])",
    "void(float64[::1], uint32[::1], uint32[::1], float64, float64[::1])",
)
def resample_nonzero(values, index_key, noise_key, bandwidth, out):
    """``out[r] = |values[j_r] + bandwidth * z_r|`` with j_r by 64-bit multiply-high and z_r normal, keyed by r."""
    count = np.uint64(values.shape[0])
    for r in range(values.shape[0]):
        element = np.uint64(r)
        a, b, _, _ = philox(element & _MASK, element >> _HALF, 0, 0, index_key)
        j = (a * count + ((b * count) >> _HALF)) >> _HALF
        out[r] = abs(values[j] + bandwidth * normal(noise_key, element & _MASK, element >> _HALF))
