"""What a GPU would answer with a hang or with garbage, and the emulator names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_kernels.conftest import InlineKernel
from cuda_kernels.emulated import EmulatedLauncher, EmulationError
from cuda_kernels.host_compiler import CompilationError
from numpy.testing import assert_array_equal

Run = Callable[..., Any]
pytestmark = pytest.mark.requires("cxx")


def kernel(body: str, parameters: str = "float* x") -> str:
    return f'extern "C" __global__ void k({parameters}) {{\n{body}\n}}'


DIVERGENT = {
    "a barrier in one branch": "if (threadIdx.x < 7) __syncthreads(); else __syncwarp();",
    "another barrier in each branch": "if (threadIdx.x < 40)\n __syncthreads();\n else\n __syncthreads();",
    "a shuffle in one branch": "if (threadIdx.x % 32 < 9) x[0] = __shfl_sync(~0u, x[0], 3); else __syncthreads();",
    "a shuffle against a vote": "if (threadIdx.x % 2) x[0] = __shfl_sync(~0u, x[0], 3); else __any_sync(~0u, 1);",
    "masks that differ": "__syncwarp(threadIdx.x % 2 ? ~0u : 0xfffffffdu);",
    "a mask without the caller": "__syncwarp(0xffffu);",
}


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("body", DIVERGENT.values(), ids=DIVERGENT.keys())
def test_divergence(inline: Run, body: str, order: str) -> None:
    x = np.zeros(4, np.float32)
    with pytest.raises(EmulationError, match=r"^k: (divergent (barrier|warp operation)|thread \d+ calls)"):
        inline(kernel(body), [x], block=64, order=order)


def test_a_divergent_barrier_is_named(inline: Run) -> None:
    with pytest.raises(EmulationError, match=r"divergent barrier: thread 40 waits at line 5, .* at line 3"):
        inline(kernel(DIVERGENT["another barrier in each branch"]), [np.zeros(1, np.float32)], order="ascending")


def test_threads_that_have_ended_hold_nobody_up(inline: Run) -> None:
    body = """
        if (threadIdx.x % 3 == 0) return;
        __syncthreads();
        x[threadIdx.x] = 1;
        if (threadIdx.x % 3 == 1) return;
        __syncwarp();
        __syncthreads();
        x[threadIdx.x] = 2;"""
    x = np.zeros(96, np.float32)
    inline(kernel(body), [x], block=96)
    assert_array_equal(x, np.arange(96) % 3)


def test_the_launcher_goes_on_after_an_error() -> None:
    source = kernel(
        "int lane = threadIdx.x % 32;"
        "if (n) { if (lane == 0) return; if (lane == 1) __syncthreads(); else __syncwarp(~1u); }"
        "\nelse x[threadIdx.x] = 1;",
        "float* x, long long n",
    )
    launcher, x = EmulatedLauncher(), np.zeros(64, np.float32)
    for _ in range(3):
        with pytest.raises(EmulationError, match="divergent"):
            launcher.launch(InlineKernel("k", source), (2, 1, 1), 64, [x, 1])
        x[:] = 0
        launcher.launch(InlineKernel("k", source), (2, 1, 1), 64, [x, 0])
        assert x.all()


def test_a_missing_barrier_shows_in_one_of_the_orders(inline: Run) -> None:
    body = """
        __shared__ float part[64];
        part[threadIdx.x] = threadIdx.x;
        x[threadIdx.x] = part[threadIdx.x ^ 32];"""
    found = []
    for order in ("ascending", "descending"):
        x = np.zeros(64, np.float32)
        inline(kernel(body), [x], order=order)
        found.append(np.isnan(x))
    assert_array_equal(found, [np.arange(64) < 32, np.arange(64) >= 32])


@pytest.mark.parametrize(
    "declaration",
    ["__shared__ double s[64];", "extern __shared__ unsigned char shared[]; double* s = (double*)shared;"],
)
def test_shared_memory_starts_as_nan_in_every_block(inline: Run, declaration: str) -> None:
    body = f"{declaration} x[blockIdx.x * 64 + threadIdx.x] = s[threadIdx.x]; __syncthreads(); s[threadIdx.x] = 1;"
    x = np.zeros((3, 64))
    inline(kernel(body, "double* x"), [x], (3, 1, 1), 64, 512)
    assert np.isnan(x).all()


@pytest.mark.parametrize("place", [100, 101, 5000, 200_000])
def test_writing_past_the_shared_memory(inline: Run, place: int) -> None:
    source = kernel("extern __shared__ unsigned char shared[]; if (threadIdx.x == 3) shared[n] = 1;", "long long n")
    inline(source, [99], shared=100)
    with pytest.raises(
        EmulationError, match=rf"k: block \(\d, 0, 0\) writes past its 100 bytes of shared memory, at byte {place}"
    ):
        inline(source, [place], (2, 1, 1), shared=100)


@pytest.mark.parametrize(
    ("place", "message"),
    [(10, "[0-3] bytes past the end"), (13, "1[2-5] bytes past the end"), (-2, "[5-8] bytes before the start")],
)
def test_writing_past_an_array(inline: Run, place: int, message: str) -> None:
    source = kernel("if (threadIdx.x == 3) x[n] = 1;", "const double* y, float* x, long long n")
    memory = np.zeros(30, np.float32)
    with pytest.raises(EmulationError, match=f"k writes {message} of argument 1"):
        inline(source, [np.zeros(3), memory[10:20], place])
    assert not memory.any()
    with pytest.raises(EmulationError, match="of argument 1"):
        inline(source, [np.zeros(3), memory[:0], 0])


@pytest.mark.parametrize(
    ("dtype", "c_type"), [(np.float32, "float"), (np.float64, "double"), (np.float16, "unsigned short")]
)
def test_reading_past_an_array_gives_nan(inline: Run, dtype: Any, c_type: str) -> None:
    x, out = np.zeros(7, dtype), np.zeros(64, dtype)
    if dtype is np.float16:
        x, out = x.view(np.uint16), out.view(np.uint16)
    inline(
        kernel("x[threadIdx.x] = y[2 * threadIdx.x + n];", f"const {c_type}* y, {c_type}* x, long long n"), [x, out, 7]
    )
    assert np.isnan(out.view(dtype)).any()
    assert dtype is np.float16 or np.isnan(out).all()


def test_a_shuffle_from_an_absent_lane_gives_nan(inline: Run) -> None:
    x = np.arange(32, dtype=np.float32)
    inline(
        kernel("if (threadIdx.x >= 20) return; x[threadIdx.x] = __shfl_down_sync(0xfffffu, x[threadIdx.x], 4);"),
        [x],
        block=32,
    )
    assert_array_equal(x, np.r_[4:20, [np.nan] * 4, 20:32])


def test_a_thread_that_needs_too_much_stack(inline: Run) -> None:
    body = "volatile char deep[40000]; for (int i = 0; i < 40000; ++i) deep[i] = 0; x[0] = deep[threadIdx.x];"
    with pytest.raises(CompilationError, match="frame"):
        inline(kernel(body), [np.zeros(4, np.float32)], block=32)


def test_traps_are_reported(inline: Run) -> None:
    with pytest.raises(EmulationError, match="k: thread 5 calls __trap"):
        inline(kernel("if (threadIdx.x == 5) __trap();"), [np.zeros(4, np.float32)])


X = np.zeros(64, np.float32)
BAD_LAUNCHES: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "too few arguments": (TypeError, "k takes 4 arguments, got 3", {"arguments": [X, X, 1]}),
    "an int for an array": (
        TypeError,
        "argument 0 of k is a pointer and needs an ndarray, got int",
        {"arguments": [1, X, 1, 1.0]},
    ),
    "an array for an int": (TypeError, "argument 2 of k is an int64, got ndarray", {"arguments": [X, X, X, 1.0]}),
    "a bool for an int": (TypeError, "argument 2 of k is an int64, got bool", {"arguments": [X, X, True, 1.0]}),
    "an int too large": (OverflowError, "argument 2 of k is an int64", {"arguments": [X, X, 2**63, 1.0]}),
    "an int for a float": (TypeError, "argument 3 of k is a double, got int", {"arguments": [X, X, 1, 1]}),
    "items too wide": (
        TypeError,
        "points at floats of 4 bytes, got float64",
        {"arguments": [X.astype(float), X, 1, 1.0]},
    ),
    "items of another kind": (TypeError, "floats of 4 bytes, got int32", {"arguments": [X.view(np.int32), X, 1, 1.0]}),
    "read-only": (
        ValueError,
        "argument 1 of k may be written to",
        {"arguments": [X, np.broadcast_to(X[:1], 64), 1, 1.0]},
    ),
    "half a warp": (ValueError, "a multiple of 32 threads up to 128, got 48", {"block": 48}),
    "no threads": (ValueError, "a multiple of 32 threads up to 128, got 0", {"block": 0}),
    "beyond the launch bounds": (ValueError, "a multiple of 32 threads up to 128, got 256", {"block": 256}),
    "shared memory": (ValueError, "232449 bytes of shared memory, the limit is 232448", {"shared": 232449}),
    "a high grid": (ValueError, "a grid is three sizes up to", {"grid": (1, 65536, 1)}),
    "a flat grid": (ValueError, "a grid is three sizes up to", {"grid": (1, 1)}),
    "another name": (ValueError, r"there is no kernel 'other' in the source, only \['k'\]", {"name": "other"}),
}


@pytest.mark.parametrize(("error", "message", "change"), BAD_LAUNCHES.values(), ids=BAD_LAUNCHES.keys())
def test_bad_launches(error: type[Exception], message: str, change: dict[str, Any]) -> None:
    source = """
    #define THREADS 128
    extern "C" __global__ void __launch_bounds__(THREADS, 2) k(const float* x, float* y, long long n, double a) {}
    """
    call: dict[str, Any] = {
        "name": "k",
        "grid": (1, 1, 1),
        "block": 64,
        "arguments": [X, X, 1, 1.0],
        "shared": 0,
    } | change
    with pytest.raises(error, match=message):
        EmulatedLauncher().launch(InlineKernel(call.pop("name"), source), **call)


def test_parameters_that_are_not_of_the_convention(inline: Run) -> None:
    with pytest.raises(CompilationError, match="a kernel's parameters are pointers, int64"):
        inline(kernel("", "int n"), [1])
