"""The official pipeline on all cores of the machine, on W1 and W1p: what a null network costs without this package."""

from __future__ import annotations

import time

from benchmarks.gpu.bench import Bench
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.official_pool import OfficialPool
from netspectra.bindings.bench.workloads import WORKLOADS

__all__ = ["measure_official"]

FEWEST_NULLS = 40


def measure_official(bench: Bench, names: tuple[str, ...] = ("W1", "W1p"), processes: int | None = None) -> None:
    """Seconds per null network, at least 40 of them, one process per core; starting them is left out."""
    processes = processes or n_cores()
    n_nulls = max(FEWEST_NULLS, 4 * processes)
    bench.record.put(processes=processes, n_nulls=n_nulls)
    for name in names:
        if not bench.has_time(20, f"official pipeline on {name}"):
            continue
        with OfficialPool(WORKLOADS[name], processes) as pool:
            started = time.perf_counter()
            ncuts = pool.ncuts(range(n_nulls))
            seconds = time.perf_counter() - started
        figures = {"seconds": seconds, "per_null": seconds / n_nulls, "mean": ncuts.mean(), "sd": ncuts.std(ddof=1)}
        bench.record.put(**{name: {**figures, "ncuts": ncuts}})
        bench.say(f"official pipeline, {name}: {seconds / n_nulls * 1e3:.1f} ms per null on {processes} processes")
