"""Philox4x32-10, the counter-based generator behind every random number in netspectra.

Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Tested against
the Random123 known answers. This is the host version over NumPy arrays; each backend has its own for the device, tested
against this one.
"""

from typing import Any, TypeAlias

import numpy as np

__all__ = ["philox4x32", "philox4x32_scalar"]

Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
_ROUNDS = 10


def philox4x32_scalar(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Four 32-bit words for one counter and key, in plain Python integers (key schedules on the host)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def philox4x32(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Words, Words, Words, Words]:
    """Four words per counter; the six arguments are integers or arrays of uint32 that broadcast together."""
    x0, x1, x2, x3, y0, y1 = (np.asarray(a, dtype=np.uint64) for a in np.broadcast_arrays(c0, c1, c2, c3, k0, k1))
    mask, half = np.uint64(_MASK), np.uint64(32)
    for _ in range(_ROUNDS):
        p0, p1 = x0 * np.uint64(_M0), x2 * np.uint64(_M1)
        x0, x1, x2, x3 = (p1 >> half) ^ x1 ^ y0, p1 & mask, (p0 >> half) ^ x3 ^ y1, p0 & mask
        y0, y1 = (y0 + np.uint64(_W0)) & mask, (y1 + np.uint64(_W1)) & mask
    a, b, c, d = (x.astype(np.uint32) for x in (x0, x1, x2, x3))
    return a, b, c, d
