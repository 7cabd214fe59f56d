"""The table of the README: netspectra beside the official pipeline, in one run on one machine.

*Per null* is the wall-clock time of the ensemble by the number of null networks, all cores on both sides: the official
pipeline with one process per core and one BLAS thread each, netspectra with as many threads. Starting processes,
importing, compiling and a first warm-up are left out on both sides. The one-core ratio has one process against one
thread. Repeats are interleaved (official, netspectra, official, netspectra ...): a ratio is taken within a repeat,
where both sides saw the same machine, and the median over repeats is printed.

One clustering of the trained network: scikit-learn's from the adjacency matrix on, at the faster of its default threads
and one thread; ours from the layer graph on, with the certificate.

The run fails unless our null n-cuts and the official ones have the same distribution (Kolmogorov-Smirnov p > 0.01), and
unless ours are bit-identical on one core and on all.

Run it from the root of the repository with::

    python -m benchmarks.ratio_table --output benchmarks/results/cpu/ratio_table.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import netspectra as ns
from benchmarks.accuracy import require_same_distribution
from benchmarks.machine import describe_machine, n_cores
from benchmarks.official_pipeline import official_adjacency, official_clustering
from benchmarks.official_pool import OfficialPool
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["main"]

FEWEST_PEER_NULLS = 40
CLUSTERINGS = 5
"""Clusterings of the trained network per repeat and side."""


def main() -> None:
    """Measure, check, print the tables, and write the figures behind them."""
    options = _parse_options()
    machine = describe_machine()
    measured = {name: measure(WORKLOADS[name], options) for name in options.workloads}
    report = {
        "machine": machine,
        "options": {"nulls": options.nulls, "peer_nulls": options.peer_nulls, "repeats": options.repeats},
        "trial": options.peer_nulls < FEWEST_PEER_NULLS,
        "workloads": measured,
    }
    print(as_markdown(report))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1) + "\n")


def measure(workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """Time one workload on both sides, check its accuracy, and return the figures as plain JSON types."""
    cores = n_cores()
    laps: dict[str, list[float]] = {side: [] for side in ("official", "ours", "official_one_core", "ours_one_core")}
    clusterings: dict[str, list[float]] = {side: [] for side in ("sklearn_default", "sklearn_one_thread", "ours")}
    whole: list[float] = []
    theirs, ours = [], []
    with OfficialPool(workload, cores) as all_cores, OfficialPool(workload, 1) as one_core:
        for n_threads in (cores, 1):
            _ensemble(workload, n_threads, n_nulls=n_threads, seed=0)
        for repeat in range(options.repeats):
            seeds = range(repeat * options.peer_nulls, (repeat + 1) * options.peer_nulls)
            laps["official"].append(_per_null(all_cores, seeds, theirs))
            result, seconds = _ensemble(workload, cores, options.nulls, repeat)
            _require_accounted(result, seconds)
            laps["ours"].append(result.timings["nulls"] / options.nulls)
            whole.append(seconds)
            ours.append(result.null_ncuts)
            laps["official_one_core"].append(_per_null(one_core, seeds, []))
            alone, _ = _ensemble(workload, 1, options.nulls, repeat)
            laps["ours_one_core"].append(alone.timings["nulls"] / options.nulls)
            np.testing.assert_array_equal(alone.null_ncuts, result.null_ncuts)
            _time_clusterings(workload, clusterings)
    return {
        "title": workload.title,
        "seconds_per_null": laps,
        "seconds_of_whole_test": whole,
        "seconds_of_one_clustering": clusterings,
        "ks_p": require_same_distribution(np.concatenate(ours), np.concatenate(theirs)),
        "null_ncut": {side: _moments(np.concatenate(s)) for side, s in (("official", theirs), ("ours", ours))},
        "solver": result.solver,
        "dtype": result.dtype,
        "median": _summary(laps, clusterings),
    }


def as_markdown(report: dict[str, Any]) -> str:
    """Tables, and the lines that say on what and at which accuracy they were measured."""
    m, o = report["machine"], report["options"]
    lines = [
        "| workload | official, per null | netspectra, per null | ratio | one-core ratio |",
        "|---|---|---|---|---|",
    ]
    for found in report["workloads"].values():
        s = found["median"]
        lines.append(
            f"| {found['title']} | {s['official'] * 1e3:.0f} ms | {s['ours'] * 1e3:.1f} ms | {s['ratio']:.1f} | "
            f"{s['one_core_ratio']:.1f} |"
        )
    lines += ["", "| one clustering | scikit-learn | netspectra | ratio |", "|---|---|---|---|"]
    for found in report["workloads"].values():
        s = found["median"]
        lines.append(
            f"| {found['title']} | {s['sklearn_clustering'] * 1e3:.0f} ms | {s['our_clustering'] * 1e3:.1f} ms | "
            f"{s['clustering_ratio']:.1f} |"
        )
    versions = ", ".join(f"{name} {m[name]}" for name in ("netspectra", "numpy", "scipy", "numba", "scikit-learn"))
    where = (
        f"{m['date'][:10]}, commit {m['commit']}; {m['cores']} cores, {m['processor']}, {m['system']}, load before the "
        f"run {m['load']}; Python {m['python']}, {versions}, {', '.join(m['blas'])}."
    )
    ks = ", ".join(f"{found['ks_p']:.2f} ({name})" for name, found in report["workloads"].items())
    how = (
        f"Medians of {o['repeats']} interleaved repeats of {o['peer_nulls']} official and {o['nulls']} netspectra null "
        f"networks; Kolmogorov-Smirnov p between their n-cuts: {ks}."
    )
    lines += ["", where, how]
    if report["trial"]:
        lines.append(f"**A trial: fewer than {FEWEST_PEER_NULLS} official null networks, not to be published.**")
    return "\n".join(lines)


# -- one measurement


def _per_null(pool: OfficialPool, seeds: range, samples: list[NDArray[np.float64]]) -> float:
    start = time.perf_counter()
    samples.append(pool.ncuts(seeds))
    return (time.perf_counter() - start) / len(seeds)


def _ensemble(workload: Workload, n_threads: int, n_nulls: int, seed: int) -> tuple[ns.ClusterabilityResult, float]:
    """One test, and its seconds from outside."""
    graph, backend = workload.graph, ns.get_backend("cpu", n_threads=n_threads)
    start = time.perf_counter()
    result = ns.clusterability_test(
        graph, workload.k, n_nulls=n_nulls, n_init=workload.n_init, seed=seed, backend=backend, progress=False
    )
    return result, time.perf_counter() - start


def _require_accounted(result: ns.ClusterabilityResult, seconds: float) -> None:
    """Fail unless the laps that a test reports, of which ours is one, account for the time it took from outside."""
    reported = sum(result.timings[lap] for lap in ("prepare", "observed", "seeds", "nulls"))
    assert abs(seconds - reported) < 0.05 * (1 + seconds), f"{seconds:.3f} s by the clock, {reported:.3f} s reported"


def _time_clusterings(workload: Workload, seconds: dict[str, list[float]]) -> None:
    """Append the seconds of some clusterings of the trained network, the sides taking turns."""
    adjacency = official_adjacency(workload.weights)
    backend = ns.get_backend("cpu", n_threads=n_cores())

    def sklearn() -> None:
        official_clustering(adjacency, workload.k, workload.n_init, 0)

    def sklearn_one_thread() -> None:
        with threadpool_limits(limits=1):
            sklearn()

    def ours() -> None:
        ns.spectral_clustering(workload.graph, workload.k, n_init=workload.n_init, backend=backend)

    sides = {"sklearn_default": sklearn, "sklearn_one_thread": sklearn_one_thread, "ours": ours}
    for turn in range(CLUSTERINGS + 1):
        for side, call in sides.items():
            lap = _seconds(call)
            if turn > 0:  # the first warms up
                seconds[side].append(lap)


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# -- figures


def _summary(laps: dict[str, list[float]], clusterings: dict[str, list[float]]) -> dict[str, float]:
    sklearn = min(median(clusterings["sklearn_default"]), median(clusterings["sklearn_one_thread"]))
    our_clustering = median(clusterings["ours"])
    return {
        **{side: median(values) for side, values in laps.items()},
        "ratio": median(a / b for a, b in zip(laps["official"], laps["ours"], strict=True)),
        "one_core_ratio": median(a / b for a, b in zip(laps["official_one_core"], laps["ours_one_core"], strict=True)),
        "sklearn_clustering": sklearn,
        "our_clustering": our_clustering,
        "clustering_ratio": sklearn / our_clustering,
    }


def _moments(sample: NDArray[np.float64]) -> dict[str, float]:
    return {"mean": float(sample.mean()), "sd": float(sample.std(ddof=1)), "n": sample.size}


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nulls", type=_at_least_two, default=200, help="of netspectra, per repeat (default 200)")
    parser.add_argument(
        "--peer-nulls", type=_at_least_two, default=40, help="of the official pipeline, per repeat (default 40)"
    )
    parser.add_argument("--repeats", type=_positive, default=5, help="interleaved repeats (default 5)")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write all figures to this JSON file")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = f"expected a positive number, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value


def _at_least_two(text: str) -> int:
    value = int(text)
    if value < 2:
        msg = f"expected at least 2, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value


if __name__ == "__main__":
    main()
