"""W1, W1p and W2: a thousand null networks, timed, broken down into stages, and held against the CPU."""

from __future__ import annotations

import zlib
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

import netspectra as ns
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.breakdown import measure_breakdown
from netspectra.bindings.bench.accuracy import KS_LEVEL, RESIDUAL_LIMIT
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.residual import largest_residual
from netspectra.graph.batch import load_batch
from netspectra.graph.compact import compact
from netspectra.nulls.model import prepare_null

__all__ = ["measure_ensemble", "null_checksums"]

REPEATS = 7
MORE_RESTARTS = 100
"""Of k-means, beside the usual ones, on W2."""
CHECKED_REPLICATES = (0, 1, 17)


def measure_ensemble(
    bench: Bench, workload: Any, *, goal: float | None, n_nulls: int = 1000, cpu_nulls: int = 200
) -> None:
    """Time `n_nulls` null networks, then compare with the CPU backend.

    Parameters
    ----------
    bench : Bench
    workload : Workload or RandomWorkload
    goal : float or None
        Seconds for the null networks.
    n_nulls, cpu_nulls : int
        Null networks on the device, and on the CPU for the comparison of distributions.
    """
    record = bench.record
    record.put(title=workload.title, n_nulls=n_nulls, n_init=workload.n_init, k=workload.k, goal_seconds=goal)
    nulls: list[float] = []

    def test(n_init: int = workload.n_init) -> ns.ClusterabilityResult:
        found = ns.clusterability_test(
            workload.graph, workload.k, n_nulls=n_nulls, n_init=n_init, backend=bench.backend, progress=False
        )
        nulls.append(found.timings["nulls"])
        return found

    laps = bench.repeat(test, 3 if bench.quick else REPEATS, share=0.4)
    result = laps.last
    warm = nulls[1:] or nulls
    record.put(
        whole_test=laps.as_dict(),
        seconds_nulls=warm,
        median_seconds=median(warm),
        first_seconds_nulls=nulls[0],
        compile_seconds=bench.backend.compile_seconds,
        laps=result.timings,
        plan=_plan(result.plan),
        solver=result.solver,
        dtype=result.dtype,
        ncut=result.ncut,
        null_mean=result.null_mean,
        null_sd=result.null_sd,
        null_status=result.null_status,
    )
    bench.say(f"{n_nulls} nulls: {median(warm) * 1e3:.1f} ms (median of {len(warm)}), first call {laps.first:.1f} s")
    record.check("null networks that failed", result.n_failed, 0)
    _check_eigenpairs(bench, workload, result)
    with bench.attempt("breakdown"):
        measure_breakdown(bench, workload, min(n_nulls, result.plan.batch_size))
    _compare_with_cpu(bench, workload, result, min(cpu_nulls, n_nulls))
    if workload.name == "W2" and bench.has_time(3 * laps.median + 2, f"{MORE_RESTARTS} restarts"):
        nulls.clear()
        with bench.attempt(f"{MORE_RESTARTS} restarts"):
            bench.repeat(lambda: test(MORE_RESTARTS), 2)
            record.put(seconds_nulls_more_restarts=median(nulls[1:] or nulls))


def null_checksums(backend: Any, graph: ns.LayerGraph, replicates: tuple[int, ...], seed: int = 0) -> list[int]:
    """CRC-32 of the weights of some null networks, as a backend draws them."""
    with backend.session():
        observed = load_batch([graph], backend)
        small = compact(graph, backend.to_numpy(observed.degrees)[0]).graph
        observed = observed if small is graph else load_batch([small], backend)
        model = prepare_null(small, observed, "shuffle", seed)
        sums = []
        for replicate in replicates:
            blocks = [backend.to_numpy(block.values) for block in model.draw(backend, [replicate]).weights]
            sums.append(zlib.crc32(b"".join(np.ascontiguousarray(block).tobytes() for block in blocks)))
    return sums


def _plan(plan: Any) -> dict[str, Any]:
    names = ("bytes_per_replicate", "batch_size", "in_flight", "memory_limit", "model", "waves", "reductions")
    return {name: getattr(plan, name) for name in names}


def _check_eigenpairs(bench: Bench, workload: Any, result: ns.ClusterabilityResult) -> None:
    """Residuals of the observed network, recomputed in float64 by NumPy from the weights."""
    pairs = ns.eigenpairs(workload.graph, workload.k, backend=bench.backend)
    vectors = bench.backend.to_numpy(bench.backend.asarray(pairs.eigenvectors))
    values = np.asarray(pairs.eigenvalues)
    residual = largest_residual(workload.weights, values, vectors)
    bench.record.put(residual=residual, residual_reported=float(np.max(pairs.residual_norms)))
    bench.record.put(iterations=pairs.n_iterations, status=pairs.status)
    bench.record.check("largest |Lx - λx|, float64 by NumPy", residual, RESIDUAL_LIMIT)
    difference = float(np.max(np.abs(values - result.partition.eigenvalues)))
    bench.record.check("eigenvalues of the test and of eigenpairs", difference, RESIDUAL_LIMIT)


def _compare_with_cpu(bench: Bench, workload: Any, ours: ns.ClusterabilityResult, cpu_nulls: int) -> None:
    """The same null networks bit for bit, eigenvalues within ten tolerances, n-cuts of the same distribution."""
    cpu = ns.get_backend("cpu", n_threads=n_cores())
    replicates = tuple(r for r in CHECKED_REPLICATES if r < max(ours.n_nulls, 1))
    sums = [null_checksums(backend, workload.graph, replicates) for backend in (bench.backend, cpu)]
    differing = sum(a != b for a, b in zip(*sums, strict=True))
    bench.record.check("null networks that differ from the CPU's", differing, 0)
    theirs = ns.clusterability_test(
        workload.graph, workload.k, n_nulls=cpu_nulls, n_init=workload.n_init, backend=cpu, progress=False
    )
    difference = float(np.max(np.abs(ours.partition.eigenvalues - theirs.partition.eigenvalues)))
    bench.record.check("eigenvalues on device and CPU", difference, 10 * ours.tol)
    p = float(ks_2samp(ours.null_ncuts, theirs.null_ncuts).pvalue)
    bench.record.check("null n-cuts on device and CPU, Kolmogorov-Smirnov p", p, KS_LEVEL, at_least=True)
    same = np.abs(ours.null_ncuts[:cpu_nulls] - theirs.null_ncuts) <= 1e-6 * np.abs(theirs.null_ncuts)
    bench.record.put(
        cpu={
            "cores": n_cores(),
            "nulls": cpu_nulls,
            "seconds_nulls": theirs.timings["nulls"],
            "ks_p": p,
            "equal_ncuts": float(np.mean(same)),
            "checksums": sums[1],
        }
    )
