"""The emulator itself: what small kernels compute is what CUDA says they compute."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from cuda_kernels.conftest import InlineKernel
from cuda_kernels.emulated import EmulatedLauncher, Launch
from numpy.testing import assert_array_equal

Run = Callable[..., Any]
ORDERS = ("ascending", "descending", "alternating")

TREE = """
extern "C" __global__ void k(const float* x, double* out, long long n) {
    extern __shared__ unsigned char shared[];
    double* part = (double*)shared;
    double sum = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        sum += x[i];
    part[threadIdx.x] = sum;
    __syncthreads();
    #pragma unroll
    for (int half = blockDim.x / 2; half >= 32; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x >= 32) return;  // whole warps leave early
    sum = part[threadIdx.x];
    for (int half = 16; half; half /= 2) sum += __shfl_down_sync(0xffffffffu, sum, half);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}
"""

GRID = """
extern "C" __global__ void k(long long* out) {
    long long block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * blockDim.x + threadIdx.x] += 1 + threadIdx.x + 1000LL * blockIdx.x + 100000LL * blockIdx.y
                                             + 10000000LL * blockIdx.z + 0 * (threadIdx.y + threadIdx.z);
}
"""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("block", [32, 256, 1024])
def test_sums_through_shared_memory_barriers_and_shuffles(inline: Run, order: str, block: int) -> None:
    x = np.random.default_rng(0).integers(-1000, 1000, 10_007).astype(np.float32)
    out = np.full(7, np.nan)
    inline(TREE, [x, out, x.size], (7, 1, 1), block, 8 * block, order=order)
    lanes = np.zeros(-(-x.size // block) * block)
    lanes[: x.size] = x
    rows = lanes.reshape(-1, block)
    assert_array_equal(out, [rows[b::7].sum() for b in range(7)])


@pytest.mark.parametrize("grid", [(5, 1, 1), (3, 4, 1), (2, 3, 4)])
def test_every_thread_of_every_block_runs_once(inline: Run, grid: tuple[int, int, int]) -> None:
    out = np.zeros((*grid[::-1], 64), np.int64)
    inline(GRID, [out], grid)
    z, y, x, t = np.indices(out.shape)
    assert_array_equal(out, 1 + t + 1000 * x + 100_000 * y + 10_000_000 * z)


def test_an_empty_grid_runs_nothing(inline: Run) -> None:
    out = np.zeros(64, np.int64)
    launcher = inline(GRID, [out], (0, 1, 1))
    assert not out.any()
    assert [launch.grid for launch in launcher.launches] == [(0, 1, 1)]


def test_halves_of_a_warp_go_separate_ways(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(int* out) {
        int lane = threadIdx.x % 32, value = lane;
        if (lane < 16) {
            for (int step = 0; step < 3; ++step) value += __shfl_xor_sync(0x0000ffffu, value, 1);
        } else {
            for (int step = 0; step < 2; ++step) value += __shfl_xor_sync(0xffff0000u, value, 2);
        }
        out[threadIdx.x] = value;
    }
    """
    out = np.zeros(64, np.int32)
    inline(source, [out])
    lane = np.arange(32)
    low, high = (lane + (lane ^ 1)) * 4, (lane + (lane ^ 2)) * 2
    assert_array_equal(out, np.tile(np.where(lane < 16, low, high), 2))


def test_arguments_keep_their_bits_and_their_place(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(const short* x, long long stride, double* out, long long wide, double number) {
        if (threadIdx.x < 5) out[threadIdx.x] = x[threadIdx.x * stride];
        if (threadIdx.x == 5) out[5] = wide == (1LL << 62) + 1 ? number : 0;
    }
    """
    x, out = np.arange(60, dtype=np.int16).reshape(6, 10), np.zeros(8)
    inline(source, [x[1:, 3], 10, out[1:-1], 2**62 + 1, 1 / 3])
    assert_array_equal(out, [0, 13, 23, 33, 43, 53, 1 / 3, 0])


def test_arguments_that_overlap_stay_so(inline: Run) -> None:
    source = """
    extern "C" __global__ void k(double* all, double* tail) {
        if (threadIdx.x == 0) { all[4] = 7; tail[0] += 1; all[5] = tail[0]; }
    }
    """
    x = np.zeros(8)
    inline(source, [x, x[4:]])
    assert_array_equal(x, [0, 0, 0, 0, 8, 8, 0, 0])


@pytest.mark.parametrize("flags", [("-DEMULATED_UCONTEXT",), ("-O0",)])
def test_other_ways_to_compile(inline: Run, flags: tuple[str, ...]) -> None:
    x, out = np.ones(1000, np.float32), np.zeros(3)
    inline(TREE, [x, out, 1000], (3, 1, 1), 128, 1024, flags=flags)
    assert out.sum() == 1000


def test_no_undefined_behaviour_in_the_emulator(inline: Run, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ("-fsanitize=undefined",)
    x, out = np.ones(1000, np.float32), np.zeros(3)
    inline(TREE, [x, out, 1000], (3, 1, 1), 128, 1024, flags=flags)
    assert out.sum() == 1000
    assert "runtime error" not in capfd.readouterr().err
    inline(
        'extern "C" __global__ void k(int* x) { x[threadIdx.x] <<= 40 - x[0]; }', [np.zeros(64, np.int32)], flags=flags
    )
    assert "shift exponent 40" in capfd.readouterr().err


def test_threads_of_the_host_take_turns(require: Callable[[str], Any]) -> None:
    require("cxx")
    launcher, out = EmulatedLauncher(), np.zeros((8, 7))

    def sum_ones(i: int) -> None:
        launcher.launch(
            InlineKernel("k", TREE), (7, 1, 1), 128, [np.ones(7 * 10_000 * i, np.float32), out[i], 7 * 10_000 * i], 1024
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sum_ones, range(8)))
    assert_array_equal(out.sum(axis=1), 70_000 * np.arange(8))


def test_launches_and_compile_time_are_recorded(inline: Run) -> None:
    source = f"// {uuid.uuid4()}: compiled by this run{GRID}"
    launcher = inline(source, [np.zeros(256, np.int64)], (2, 2, 1))
    assert launcher.launches == [Launch("k", (2, 2, 1), 64, 0)]
    assert launcher.compile_seconds > 0
    assert inline(source, [np.zeros(256, np.int64)], (2, 2, 1)).compile_seconds == 0
