"""Every kernel compiles for every architecture without a driver and without a warning, and fits into the registers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import pytest
from cuda_kernels.device_compiler import ARCHITECTURES, Cubin, compile_cubin, variants
from cuda_kernels.host_compiler import CompilationError, kernel_names

from netspectra.kernels.cuda.sources import VARIANTS, Kernel

# Bytes of a thread. The assembler spills a little to fit more threads onto a multiprocessor; an array that was meant
# for registers and went to memory is more. `python -m cuda_kernels.report` lists the figures.
MOST_SPILLED = 128
MOST_REGISTERS = 255
STATIC_SHARED = 48 * 1024


def _label(variant: Kernel) -> str:
    return "-".join([variant.file.removesuffix(".cu"), *(dtype for _, dtype in variant.types)])


@pytest.fixture(scope="module")
def cubin_of(request: pytest.FixtureRequest, require: Callable[[str], Any]) -> Iterator[Callable[[Kernel, str], Cubin]]:
    """Compile, two at a time, what the selected tests of this module are about."""
    require("nvrtc")
    chosen = [
        item.callspec.params
        for item in request.session.items
        if item.path == request.path
        if "variant" in item.fixturenames
    ]
    with ThreadPoolExecutor(2) as pool:
        jobs: dict[tuple[Kernel, str], Future[Cubin]] = {}
        for asked in chosen:
            key = (asked["variant"], asked["architecture"])
            jobs[key] = pool.submit(compile_cubin, key[0].source, key[1])
        yield lambda variant, architecture: jobs[variant, architecture].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("variant", variants(), ids=_label)
def test_compiles(cubin_of: Callable[[Kernel, str], Cubin], variant: Kernel, architecture: str) -> None:
    cubin = cubin_of(variant, architecture)
    assert not cubin.warnings
    names = kernel_names(variant.source)
    assert names
    assert cubin.kernels.keys() == names.keys()
    for name, usage in cubin.kernels.items():
        assert 0 < usage.registers <= MOST_REGISTERS, name
        assert max(usage.spill_stores, usage.spill_loads) <= MOST_SPILLED, (name, usage)
        assert usage.shared <= STATIC_SHARED, name


def test_every_source_file_has_its_variants() -> None:
    found = {path.name for path in files("netspectra.kernels.cuda").iterdir() if path.name.endswith(".cu")}
    assert found == VARIANTS.keys()


@pytest.mark.requires("nvrtc")
def test_figures_warnings_and_errors_are_read() -> None:
    source = """
    extern "C" __global__ void __launch_bounds__(1024) tight(double* x, long long n) {
        __shared__ double part[1024];
        double v[48];
        #pragma unroll
        for (int i = 0; i < 48; ++i) v[i] = x[threadIdx.x + i * 1024];
        for (long long step = 0; step < n; ++step) {
            part[threadIdx.x] = v[47];
            __syncthreads();
            #pragma unroll
            for (int i = 0; i < 48; ++i) v[i] = v[i] * v[(i + 7) % 48] + part[(threadIdx.x + i) % 1024];
            __syncthreads();
        }
        #pragma unroll
        for (int i = 0; i < 48; ++i) x[threadIdx.x + i * 1024] = v[i];
    }
    extern "C" __global__ void loose(float* x) { int never; x[0] = 1; }
    """
    cubin = compile_cubin(source, "sm_90")
    assert cubin == compile_cubin(source, "sm_90")  # the second time from the cache
    assert cubin.kernels.keys() == {"tight", "loose"}
    tight, loose = cubin.kernels["tight"], cubin.kernels["loose"]
    assert (tight.registers <= 64, tight.shared) == (True, 8192)
    assert min(tight.stack, tight.spill_stores, tight.spill_loads) > MOST_SPILLED
    assert (loose.stack, loose.spill_stores, loose.spill_loads, loose.shared) == (0, 0, 0, 0)
    assert "never" in cubin.warnings
    with pytest.raises(CompilationError, match='identifier "nonsense" is undefined'):
        compile_cubin('extern "C" __global__ void k() { nonsense; }', "sm_80")
