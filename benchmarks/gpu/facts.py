"""What the figures are measured on, and what this device can do at best: bandwidths and matrix products."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import Bench
from netspectra.bindings.bench.machine import describe_machine

__all__ = ["device_facts", "measure_ceilings", "run", "slug"]

ROOT = Path(__file__).resolve().parents[2]
"""The package itself may be a copy in ``build/gpu``, which knows of no commit."""
PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "array-api-compat", "ml_dtypes", "nvidia-cuda-nvrtc")


def run(bench: Bench) -> None:
    """Stage: facts and ceilings."""
    bench.record.put(device=device_facts(bench.lib), versions=versions())
    with bench.attempt("machine"):
        bench.record.put(machine=describe_machine(ROOT))
    bench.record.put(ceilings=measure_ceilings(bench))


def slug(name: str) -> str:
    """File name for a device, e.g. ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"


def versions() -> dict[str, str]:
    """Installed releases of what the GPU figures depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_facts(cupy: Any) -> dict[str, Any]:
    """Name, memory, driver and limits of the current device."""
    device, runtime = cupy.cuda.Device(), cupy.cuda.runtime
    free, total = runtime.memGetInfo()
    attributes = device.attributes
    return {
        "name": runtime.getDeviceProperties(device.id)["name"].decode(),
        "compute_capability": device.compute_capability,
        "memory_bytes": int(total),
        "free_bytes": int(free),
        "multiprocessors": int(attributes["MultiProcessorCount"]),
        "l2_bytes": int(attributes["L2CacheSize"]),
        "shared_bytes": int(attributes["MaxSharedMemoryPerBlockOptin"]),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "devices": runtime.getDeviceCount(),
    }


def measure_ceilings(bench: Bench) -> dict[str, float]:
    """GB/s of copying and of reading, TFLOP/s of matrix products in float32 and bfloat16; medians of 10."""
    n_bytes, n = (1 << 24, 256) if bench.quick else (1 << 31, 8192)
    found = {**_bandwidths(bench, n_bytes), "float32_tflop_per_s": _float32_product(bench, n)}
    bench.release()
    with bench.attempt("bfloat16 matrix product (torch)"):
        found["bfloat16_tflop_per_s"] = _bfloat16_product(bench, n)
    return found


def _bandwidths(bench: Bench, n_bytes: int) -> dict[str, float]:
    source = bench.lib.ones(n_bytes // 4, dtype=bench.lib.float32)
    target = bench.lib.empty_like(source)
    copying = _seconds(bench, lambda: bench.lib.copyto(target, source))
    return {
        "copy_gb_per_s": 2 * n_bytes / copying / 1e9,
        "read_gb_per_s": n_bytes / _seconds(bench, source.sum) / 1e9,
    }


def _float32_product(bench: Bench, n: int) -> float:
    A = bench.lib.ones((n, n), dtype=bench.lib.float32)
    return 2 * n**3 / _seconds(bench, lambda: bench.lib.matmul(A, A)) / 1e12


def _bfloat16_product(bench: Bench, n: int) -> float:
    import torch

    device = "cuda" if hasattr(bench.lib, "cuda") else "cpu"
    A = torch.ones((n, n), dtype=torch.bfloat16, device=device)

    def product() -> Any:
        result = A @ A
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return 2 * n**3 / bench.repeat(product, 10).median / 1e12


def _seconds(bench: Bench, call: Any) -> float:
    laps = bench.repeat(call, 10)
    return float(laps.as_dict().get("device_median", laps.median))
