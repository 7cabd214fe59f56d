"""Where CSR beats dense storage on this device: the symmetric block product over densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.gpu.bench import Bench
from netspectra.kernels.weights import DenseWeights

__all__ = ["measure_densities"]

DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
TOLERANCE = 1e-4
"""Largest difference between both products, relative to the largest entry, float32."""


def measure_densities(bench: Bench, size: int = 4096, vectors: int = 16) -> None:
    """Seconds of the product with one block, dense and CSR, from density 0.5 down."""
    rng = np.random.Generator(np.random.PCG64(0))
    full = rng.standard_normal((size, size), dtype=np.float32)
    marks = rng.random((size, size), dtype=np.float32)
    x = bench.backend.asarray(rng.standard_normal((1, size, vectors), dtype=np.float32))
    bench.record.put(size=size, vectors=vectors)
    rows: list[dict[str, Any]] = []
    for density in DENSITIES:
        if not bench.has_time(3, f"density {density}"):
            return
        with bench.backend.session():
            rows.append(_compare(bench, density, full * (marks < density), x))
        bench.record.put(densities=rows)
    faster = [row["density"] for row in rows if row["csr"] < row["dense"]]
    bench.record.put(csr_is_faster_from_density=max(faster, default=None))


def _compare(bench: Bench, density: float, W: np.ndarray[Any, Any], x: Any) -> dict[str, Any]:
    backend = bench.backend
    dense = DenseWeights(backend.asarray(W)[None, :, :])
    host = sp.csr_array(W)
    csr = backend.load_block([host], symmetric=False)
    found: dict[str, Any] = {"density": density, "stored": int(host.nnz)}
    results = []
    for name, weights in (("dense", dense), ("csr", csr)):
        laps = bench.repeat(lambda w=weights: backend.block_product(w, x, x), 10, share=0.2)
        figures = laps.as_dict()
        found[name], found[f"{name}_first"] = figures.get("device_median", figures["median"]), laps.first
        results.append([backend.to_numpy(half) for half in laps.last])
    worst = max(float(np.max(np.abs(a - b)) / np.max(np.abs(a))) for a, b in zip(*results, strict=True))
    bench.record.check(f"dense and CSR products at density {density}", worst, TOLERANCE)
    return found
