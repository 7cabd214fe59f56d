"""Device functions under emulation: shuffles, votes, atomics, bits and numbers are what CUDA says they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

Run = Callable[..., Any]

# One line per type; all four shuffles, with and without a width.
SHUFFLES = """
#define T %s
extern "C" __global__ void k(const T* x, T* out) {
    int t = threadIdx.x, n = blockDim.x;
    unsigned all = ~0u;
    out[0 * n + t] = __shfl_sync(all, x[t], 5);
    out[1 * n + t] = __shfl_sync(all, x[t], t * 7 + 3, 8);
    out[2 * n + t] = __shfl_down_sync(all, x[t], 3);
    out[3 * n + t] = __shfl_down_sync(all, x[t], 3, 16);
    out[4 * n + t] = __shfl_up_sync(all, x[t], 2);
    out[5 * n + t] = __shfl_up_sync(all, x[t], 2, 4);
    out[6 * n + t] = __shfl_xor_sync(all, x[t], 9);
    out[7 * n + t] = __shfl_xor_sync(all, x[t], 9, 8);
}
"""


@pytest.mark.parametrize(
    ("c_type", "dtype"),
    [
        ("int", np.int32),
        ("unsigned", np.uint32),
        ("long long", np.int64),
        ("unsigned long long", np.uint64),
        ("float", np.float32),
        ("double", np.float64),
    ],
)
def test_shuffles(inline: Run, c_type: str, dtype: Any) -> None:
    x = np.random.default_rng(1).integers(0, 1 << 31, 64).astype(dtype)
    if np.dtype(dtype).itemsize == 8:
        x *= dtype(1 << 20)
    out = np.zeros((8, 64), dtype)
    inline(SHUFFLES % c_type, [x, out])
    t = np.arange(64)
    lane, warp = t % 32, t // 32 * 32
    within = [
        np.full(64, 5),
        lane // 8 * 8 + (t * 7 + 3) % 8,
        np.where(lane + 3 < 32, lane + 3, lane),
        np.where(lane % 16 + 3 < 16, lane + 3, lane),
        np.where(lane >= 2, lane - 2, lane),
        np.where(lane % 4 >= 2, lane - 2, lane),
        lane ^ 9,
        # Into the segment below, but not into the one above.
        np.where((lane ^ 9) < lane // 8 * 8 + 8, lane ^ 9, lane),
    ]
    assert_array_equal(out, x[warp + np.array(within)])


def test_votes(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(const unsigned* x, unsigned* out) {
        unsigned t = threadIdx.x, even = 0x55555555u;
        out[t] = __ballot_sync(~0u, x[t] > 7u);
        out[64 + t] = __any_sync(~0u, x[t] > 7u) + 2 * __all_sync(~0u, x[t] < 100u) + 4 * __all_sync(~0u, x[t] > 7u);
        if (t % 2 == 0) out[128 + t] = __ballot_sync(even, x[t] > 7u);
        __syncwarp();
        out[192 + t] = __syncthreads_count(x[t] > 7u);
    }
    """
    x = np.random.default_rng(2).integers(0, 15, 64).astype(np.uint32)
    out = np.zeros((4, 64), np.uint32)
    inline(source, [x, out])
    bits = np.uint64(1) << np.arange(32, dtype=np.uint64)
    ballots = np.array([(bits * (half > 7)).sum() for half in x.reshape(2, 32)], np.uint32)
    assert_array_equal(out[0], np.repeat(ballots, 32))
    assert_array_equal(out[1], np.full(64, 3))
    assert_array_equal(out[2, ::2], np.repeat(ballots & np.uint32(0x55555555), 16))
    assert_array_equal(out[3], np.full(64, (x > 7).sum()))


def test_atomics(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(int* i, unsigned* u, unsigned long long* l, float* f, double* d, int* slots) {
        int t = blockIdx.x * blockDim.x + threadIdx.x;
        slots[atomicAdd(i, 1)] = 1;
        atomicMax(i + 1, t); atomicMin(i + 2, -t); atomicSub(i + 3, 2); atomicExch(i + 4, 5);
        atomicAdd(u, 3u); atomicOr(u + 1, 1u << t % 32); atomicAnd(u + 2, ~(1u << t % 7));
        atomicXor(u + 3, (unsigned)t);
        atomicAdd(l, 1ull << 33); atomicMax(l + 1, (unsigned long long)t << 40);
        unsigned long long seen = l[2], old;  // the loop around a compare-and-swap
        do { old = seen; seen = atomicCAS(l + 2, old, old + t); } while (seen != old);
        atomicAdd(f, 0.5f); atomicAdd(d, 0.25);
    }
    """
    i, u, wide = np.zeros(5, np.int32), np.array([0, 0, 2**32 - 1, 0], np.uint32), np.zeros(3, np.uint64)
    f, d, slots = np.zeros(1, np.float32), np.zeros(1), np.zeros(192, np.int32)
    inline(source, [i, u, wide, f, d, slots], (3, 1, 1))
    assert_array_equal(i, [192, 191, -191, -384, 5])
    assert_array_equal(u, [576, 2**32 - 1, 2**32 - 128, np.bitwise_xor.reduce(np.arange(192))])
    assert_array_equal(wide, [192 << 33, 191 << 40, 191 * 96])
    assert (f[0], d[0], slots.min()) == (96, 48, 1)


def test_bit_functions(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(const unsigned* a, const unsigned* b, long long* out, long long n) {
        for (long long j = threadIdx.x; j < n; j += blockDim.x) {
            unsigned x = a[j], y = b[j];
            unsigned long long wide = (unsigned long long)x << 32 | y;
            long long* o = out + j * 10;
            o[0] = __popc(x); o[1] = __clz((int)x); o[2] = __ffs((int)x); o[3] = __brev(x); o[4] = __umulhi(x, y);
            o[5] = (long long)__umul64hi(wide, wide * 3ull); o[6] = __popcll(wide); o[7] = __clzll((long long)wide);
            o[8] = min(x, y) + max((long long)x, (long long)y); o[9] = __funnelshift_l(x, y, 5);
        }
    }
    """
    rng = np.random.default_rng(3)
    a, b = (np.append([0, 1, 2**31, 2**32 - 1], rng.integers(0, 2**32, 60)).astype(np.uint32) for _ in "ab")
    out = np.zeros((64, 10), np.int64)
    inline(source, [a, b, out, 64])
    for x, y, row in zip(a.tolist(), b.tolist(), out.tolist(), strict=True):
        wide = x << 32 | y
        assert row == [
            x.bit_count(),
            32 - x.bit_length(),
            (x & -x).bit_length(),
            int(f"{x:032b}"[::-1], 2),
            x * y >> 32,
            _signed(wide * (wide * 3 % 2**64) >> 64),
            wide.bit_count(),
            64 - wide.bit_length(),
            min(x, y) + max(x, y),
            ((y << 32 | x) << 5) % 2**64 >> 32,
        ]


def _signed(bits: int) -> int:
    return bits - 2**64 if bits >= 2**63 else bits


def test_numbers(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(const double* x, double* out, const float* y, float* single, double scale) {
        int t = threadIdx.x;
        out[t] = sqrt(x[t]) + log(x[t]) * cos(x[t]) + fma(x[t], 3.0, scale) + fabs(-x[t]);
        out[64 + t] = t % 2 ? __longlong_as_double(0x7ff0000000000000LL) : -(double)__int_as_float(0x7f800000);
        out[128 + t] = fmax(__longlong_as_double(-1LL), x[t]) + __ldg(x + t);
        single[t] = y[t] * y[t] + 1.0f;  // two roundings
    }
    """
    rng = np.random.default_rng(4)
    x, y = rng.random(64) + 0.1, rng.random(64, np.float32)
    out, single = np.zeros((3, 64)), np.zeros(64, np.float32)
    inline(source, [x, out, y, single, 0.5])
    expected = np.sqrt(x) + np.log(x) * np.cos(x) + (3 * x + 0.5) + x
    np.testing.assert_allclose(out[0], expected, rtol=1e-14)
    assert_array_equal(out[1], np.where(np.arange(64) % 2, np.inf, -np.inf))
    assert_array_equal(out[2], 2 * x)
    assert_array_equal(single, y * y + np.float32(1))


def test_half_conversion_of_every_bit_pattern(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(const unsigned short* x, float* out) {
        long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        out[j] = emulated_half_to_float(x[j]);
    }
    """
    bits, out = np.arange(65536, dtype=np.uint16), np.zeros(65536, np.float32)
    inline(source, [bits, out], (64, 1, 1), 1024)
    expected = bits.view(np.float16).astype(np.float32)
    assert_array_equal(out, expected)
    assert_array_equal(np.signbit(out), np.signbit(expected))
