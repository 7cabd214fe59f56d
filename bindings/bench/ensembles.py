"""Null networks by the ensemble: ours beside the official pipeline, all cores on both sides, and one on both.

*Per null* is the wall-clock time of the ensemble by the number of null networks. Starting processes, importing,
compiling and a first warm-up are left out on both sides, and so is the clustering of the observed network. Sides take
turns, so a ratio is taken within a repeat, where both saw the same machine.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspectra.bindings.bench.accuracy import require, require_same_distribution
from netspectra.bindings.bench.contests import OURS, has_sklearn
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.official_pool import OfficialPool
from netspectra.bindings.bench.records import Measurement
from netspectra.bindings.bench.timing import seconds_of
from netspectra.bindings.bench.workloads import ChainWorkload
from netspectra.kernels import get_backend
from netspectra.significance import ClusterabilityResult, clusterability_test

__all__ = ["OFFICIAL", "EnsembleSizes", "measure_ensemble", "our_ensemble"]

OFFICIAL = "official pipeline"
UNIT = "null network"


@dataclass(frozen=True)
class EnsembleSizes:
    """How many null networks each side scores per repeat; no peer where `peer_nulls` is 0."""

    nulls: int = 200
    peer_nulls: int = 40
    repeats: int = 5
    one_core: bool = True


@dataclass
class _Side:
    laps: list[float] = field(default_factory=list)
    ncuts: list[NDArray[np.float64]] = field(default_factory=list)
    last: Any = None


def measure_ensemble(
    workload: ChainWorkload, sizes: EnsembleSizes, say: Callable[[str], None] = lambda _: None
) -> list[Measurement]:
    """Time one workload on both sides and check its accuracy.

    Raises
    ------
    AccuracyError
        Unless null n-cuts of both sides have the same distribution (Kolmogorov-Smirnov p > 0.01), and ours are
        bit-identical on one core and on all.
    """
    counts = (n_cores(), 1) if sizes.one_core and n_cores() > 1 else (n_cores(),)
    with_peer = sizes.peer_nulls > 0 and has_sklearn()
    sides = {(side, n): _Side() for n in counts for side in (OURS, OFFICIAL) if side == OURS or with_peer}
    with ExitStack() as stack:
        say(f"{workload.name}: starting processes, warming up")
        pools = {n: stack.enter_context(OfficialPool(workload, n)) for n in counts} if with_peer else {}
        for n in counts:
            our_ensemble(workload, n, n, seed=0)
        for repeat in range(sizes.repeats):
            say(f"{workload.name}: repeat {repeat + 1} of {sizes.repeats}")
            for (side, n), each in sides.items():
                if side == OURS:
                    _time_ours(each, workload, n, sizes.nulls, repeat)
                else:
                    _time_official(each, pools[n], range(repeat * sizes.peer_nulls, (repeat + 1) * sizes.peer_nulls))
    return _as_measurements(workload, sizes, sides)


def our_ensemble(
    workload: ChainWorkload, n_threads: int, n_nulls: int, seed: int, n_init: int | None = None
) -> ClusterabilityResult:
    """One test; ``timings["nulls"]`` are the seconds of its null networks."""
    restarts = workload.n_init if n_init is None else n_init
    backend = get_backend("cpu", n_threads=n_threads)
    return clusterability_test(
        workload.graph, workload.k, n_nulls=n_nulls, n_init=restarts, seed=seed, backend=backend, progress=False
    )


def _time_ours(side: _Side, workload: ChainWorkload, n_threads: int, n_nulls: int, seed: int) -> None:
    seconds, result = seconds_of(lambda: our_ensemble(workload, n_threads, n_nulls, seed))
    # The laps that a test reports, of which ours is one, account for the time it took from outside.
    reported = sum(result.timings[lap] for lap in ("prepare", "observed", "seeds", "nulls"))
    accounted = abs(seconds - reported) < 0.05 * (1 + seconds)
    require(accounted, f"{workload.name}: {seconds:.3f} s by the clock, {reported:.3f} s reported")
    side.laps.append(result.timings["nulls"] / n_nulls)
    side.ncuts.append(result.null_ncuts)
    side.last = result


def _time_official(side: _Side, pool: OfficialPool, seeds: range) -> None:
    seconds, ncuts = seconds_of(lambda: pool.ncuts(seeds))
    side.laps.append(seconds / len(seeds))
    side.ncuts.append(ncuts)


def _as_measurements(
    workload: ChainWorkload, sizes: EnsembleSizes, sides: dict[tuple[str, int], _Side]
) -> list[Measurement]:
    found = []
    for (name, n), side in sides.items():
        ours = sides[OURS, n]
        figures: dict[str, Any] = _moments(np.concatenate(side.ncuts))
        if name == OURS:
            others = [other for (whose, m), other in sides.items() if whose == OURS and m != n]
            same = all(np.array_equal(a, b) for other in others for a, b in zip(other.ncuts, ours.ncuts, strict=True))
            require(same, f"{workload.name}: our null n-cuts differ between numbers of threads")
            figures |= {"solver": side.last.solver, "dtype": side.last.dtype, "null_status": side.last.null_status}
        else:
            figures["ks_p"] = require_same_distribution(np.concatenate(ours.ncuts), np.concatenate(side.ncuts))
        parameters = {
            "nodes": workload.graph.n_nodes,
            "edges": workload.graph.n_edges,
            "k": workload.k,
            "n_init": workload.n_init,
            "nulls": sizes.nulls if name == OURS else sizes.peer_nulls,
            "threads": n,
        }
        cores = "one core" if n == 1 else f"{n} cores"
        found.append(Measurement(f"{workload.title}; per null, {cores}", name, side.laps, UNIT, parameters, figures))
    return found


def _moments(sample: NDArray[np.float64]) -> dict[str, float]:
    spread = float(sample.std(ddof=1)) if sample.size > 1 else 0.0
    return {"null_mean": float(sample.mean()), "null_sd": spread, "n_ncuts": sample.size}
