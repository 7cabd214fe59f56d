"""Memory of one spectral clustering of 2e8 edges beyond the weights, measured in a child process (Linux).

The figure is the largest RssAnon over time, minus RssAnon after import, minus the bytes of the caller's weights; pages
of memory-mapped files do not count, 1 GB = 1e9 bytes. *After import* is right after ``import netspectra``, so NumPy,
Numba and the compiled kernels, which load at first use, count as ours. The parent reads ``/proc/PID/status`` of the
child every 5 ms: no interpreter lock hides a peak.

Exits with 1 where the figure is above 1 GB or the clustering has not converged. Run it from the root of the repository
with::

    python -m benchmarks.memory
    python -m benchmarks.memory --orientation out-in
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

__all__ = ["main"]

LIMIT = 1e9
EVERY = 0.005
ORIENTATIONS = ("in-out", "out-in")


def main() -> int:
    """Measure one orientation or both, print the figures, and return the exit status."""
    options = _parse_options()
    if options.measure:
        _measure(options)
        return 0
    if not Path("/proc/self/status").is_file():
        print("memory is measured on Linux only: there is no /proc/self/status here")
        return 1
    machine = describe_machine()
    orientations = ORIENTATIONS if options.orientation == "both" else (options.orientation,)
    found = [_run_child(orientation, options) for orientation in orientations]
    for figures in found:
        print(_as_line(figures))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine, "limit": LIMIT, "runs": found}
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(figures["beyond_weights"] <= LIMIT and figures["converged"] for figures in found) else 1


def resident_anonymous(pid: int | str = "self") -> int:
    """RssAnon of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    msg = f"process {pid} has no RssAnon: it has ended, or this is not Linux"
    raise OSError(msg)


# -- the parent


def _run_child(orientation: str, options: argparse.Namespace) -> dict[str, Any]:
    """Start the child, sample it until it ends, and put both halves of the measurement together."""
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", "--orientation", orientation]
    command += ["--clusters", str(options.clusters), "--seed", str(options.seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        samples = _sample(child)
        assert child.stdout is not None
        text = child.stdout.read()
    if child.returncode != 0:
        msg = f"the measured process ended with status {child.returncode}"
        raise RuntimeError(msg)
    figures: dict[str, Any] = json.loads(text)
    start, end = figures["started"], figures["ended"]
    during = [resident for moment, resident in samples if start <= moment <= end]
    peak = max(*during, figures["at_end"])
    figures |= {"samples": len(during), "peak": peak}
    figures["beyond_weights"] = peak - figures["after_import"] - figures["weights"]
    return figures


def _sample(child: subprocess.Popen[str]) -> list[tuple[float, int]]:
    """RssAnon of the child every 5 ms, with the moment; both processes read the same monotonic clock."""
    samples = []
    while child.poll() is None:
        try:
            samples.append((time.monotonic(), resident_anonymous(child.pid)))
        except OSError:  # it has just ended
            break
        time.sleep(EVERY)
    return samples


def _as_line(figures: dict[str, Any]) -> str:
    return (
        f"{figures['orientation']}: {figures['beyond_weights'] / 1e9:.3f} GB beyond the weights of "
        f"{figures['weights'] / 1e9:.3f} GB ({figures['edges']:,} edges), limit {LIMIT / 1e9:g} GB; "
        f"{figures['seconds']:.1f} s for k = {figures['clusters']}, {figures['threads']} threads, {figures['solver']} "
        f"{figures['status']} after {figures['iterations']} iterations, residual {figures['residual']:.1e}, n-cut "
        f"{figures['ncut']:.4f} ({figures['samples']} samples)"
    )


# -- the child


def _measure(options: argparse.Namespace) -> None:
    """Cluster the graph and write what only the process itself knows to standard output."""
    import netspectra as ns

    after_import = resident_anonymous()

    from benchmarks.workloads import WIDE_EDGES, wide_weights

    weights = wide_weights(options.seed)
    started, clock = time.monotonic(), time.perf_counter()
    graph = ns.LayerGraph.from_weights(weights, orientation=options.orientation)
    part = ns.spectral_clustering(graph, options.clusters)
    seconds, ended = time.perf_counter() - clock, time.monotonic()
    figures = {
        "orientation": options.orientation,
        "edges": WIDE_EDGES,
        "clusters": options.clusters,
        "threads": ns.get_backend().n_threads,
        "weights": sum(block.nbytes for block in weights),
        "after_import": after_import,
        "at_end": resident_anonymous(),
        "started": started,
        "ended": ended,
        "seconds": seconds,
        "seconds_compiling": part.timings["compile"],
        "solver": part.solver,
        "status": part.status,
        "converged": part.converged,
        "iterations": part.n_iterations,
        "residual": float(part.residual_norms.max()),
        "ncut": part.ncut,
    }
    sys.stdout.write(json.dumps(figures))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orientation", choices=(*ORIENTATIONS, "both"), default="both")
    parser.add_argument("--clusters", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write all figures to this JSON file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
