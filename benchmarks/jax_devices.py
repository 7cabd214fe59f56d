"""One graph over 1, 2, 4 and 8 devices of JAX: the same eigenvalues, and what each device has to hold.

The devices are *host devices*: XLA cuts one CPU into as many as asked for. They share its cores and its memory, so the
seconds here are no evidence of any speed-up, and the process as a whole holds the graph once whatever their number.
What is evidence is the memory per device, which on devices of their own is what bounds the size of a graph: bytes of
weights, and the peak of one product as XLA plans it (arguments, temporaries and results of one device).

Each number of devices has a process of its own, for JAX settles it once. The graph is a chain of dense layers with
random weights, which have no modules: the hardest spectrum of their size. Exits with 1 where the eigenvalues differ by
more than 10 tol or a solve has not converged. Run it from the root of the repository with::

    python -m benchmarks.jax_devices
    python -m benchmarks.jax_devices --width 4096 --output benchmarks/results/cpu/jax_devices.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from netspectra.bindings.bench.machine import describe_machine

__all__ = ["main"]

COUNTS = (1, 2, 4, 8)
TOL = 1e-5
VECTORS = 16
"""Columns of the block that a product is timed with: about those of the solve."""
REPEATS = 5


def main() -> int:
    """Measure every number of devices, print the table, and return the exit status."""
    options = _parse_options()
    if options.measure:
        _measure(options)
        return 0
    machine = describe_machine() | {"jax": version("jax")}
    runs = [_run_child(count, options) for count in options.devices]
    for run in runs:
        run["difference"] = float(np.abs(np.subtract(run["eigenvalues"], runs[0]["eigenvalues"])).max())
    _print_table(runs, machine)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine, "tol": TOL, "runs": runs}
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(run["difference"] <= 10 * TOL and run["status"] == "converged" for run in runs) else 1


# -- the parent


def _run_child(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """What a process of `count` devices has measured."""
    command = [sys.executable, "-m", "benchmarks.jax_devices", "--measure", "--devices", str(count)]
    command += ["--width", str(options.width), "--layers", str(options.layers), "--clusters", str(options.clusters)]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}".strip()
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        msg = f"the process of {count} devices ended with status {done.returncode}"
        raise RuntimeError(msg)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _print_table(runs: list[dict[str, Any]], machine: dict[str, Any]) -> None:
    first = runs[0]
    print(
        f"{first['layers']} dense layers of {first['width']:,} nodes, {first['edges']:,} edges, float32, k = "
        f"{first['clusters']}, LOBPCG tol {TOL:g}; JAX {machine['jax']}, {machine['cores']} cores"
    )
    heading = "devices | weights per device | of one | peak of a product | product | compile | solve | its | difference"
    print(heading + "\n" + "|".join("-" * len(part) for part in heading.split("|")))
    for run in runs:
        share = run["weights_per_device"] / first["weights_per_device"]
        cells = [
            f"{run['devices']}",
            f"{run['weights_per_device'] / 1e6:.1f} MB",
            f"{share:.3f}",
            f"{run['product_peak'] / 1e6:.1f} MB",
            f"{run['product_seconds'] * 1e3:.1f} ms",
            f"{run['compile_seconds']:.1f} s",
            f"{run['solve_seconds']:.2f} s",
            f"{run['iterations']}",
            f"{run['difference']:.1e}",
        ]
        print(" | ".join(cell.rjust(len(name.strip())) for cell, name in zip(cells, heading.split("|"), strict=True)))
    resident = ", ".join(f"{run['resident_peak'] / 1e9:.2f}" for run in runs)
    print(
        "\nHost devices of one machine share its cores: the seconds say nothing about speed-up, and all of them\n"
        "together hold the graph once. The memory per device is what carries over to devices of their own. "
        f"Largest resident set of the processes: {resident} GB."
    )


# -- the child


def _measure(options: argparse.Namespace) -> None:
    """Solve one graph over this process's devices and write the figures to standard output."""
    import jax

    import netspectra as ns
    from netspectra.graph.batch import load_batch

    (count,) = options.devices
    weights = _weights(options)
    graph = ns.LayerGraph.from_weights(weights)
    mesh = jax.sharding.Mesh(jax.devices()[:count], ("devices",))
    backend = ns.get_backend("jax", mesh=mesh)
    batch = load_batch([graph], backend)
    shards = [sum(block.values.addressable_shards[i].data.nbytes for block in batch.weights) for i in range(count)]
    peak, product = _product(backend, batch)
    pairs = ns.eigenpairs(graph, options.clusters, solver="lobpcg", tol=TOL, backend=backend)
    compile_seconds = backend.compile_seconds
    solve_seconds = _seconds(
        lambda: ns.eigenpairs(graph, options.clusters, solver="lobpcg", tol=TOL, backend=backend), repeats=1
    )
    figures = {
        "devices": count,
        "width": options.width,
        "layers": options.layers,
        "clusters": options.clusters,
        "edges": sum(W.size for W in weights),
        "weights_per_device": max(shards),
        "product_peak": peak,
        "product_seconds": _seconds(product, REPEATS),
        "compile_seconds": compile_seconds,
        "solve_seconds": solve_seconds,
        "iterations": pairs.n_iterations,
        "status": pairs.status,
        "residual": float(pairs.residual_norms.max()),
        "eigenvalues": pairs.eigenvalues.tolist(),
        "resident_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _product(backend: Any, batch: Any) -> tuple[int, Callable[[], Any]]:
    """Bytes that one device needs for a product with the graph's operator, as XLA plans them, and the product."""
    import jax

    from netspectra.kernels.jax.trees import hold

    size = batch.structure.n_nodes
    X = backend.asarray(np.random.default_rng(1).standard_normal((1, size, VECTORS), dtype=np.float32))

    def apply(held: Any) -> Any:
        return hold(_applied(*held.value()))

    held = hold((batch, X))
    spread = backend._spread  # noqa: SLF001 - the very program that a solve repeats, for XLA's account of its memory
    plan = jax.jit(spread.place(apply, held)).lower(held).compile().memory_analysis()
    peak = plan.argument_size_in_bytes + plan.temp_size_in_bytes + plan.output_size_in_bytes
    return int(peak), lambda: jax.block_until_ready(backend.run(_applied, batch, X))


def _applied(batch: Any, X: Any) -> Any:
    from netspectra.spectrum.operator import NormalizedAdjacency

    return NormalizedAdjacency(batch).apply(X)


def _seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median seconds of a call, after one that compiles."""
    function()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def _weights(options: argparse.Namespace) -> list[Any]:
    rng = np.random.Generator(np.random.PCG64(0))
    shape = (options.width, options.width)
    return [rng.standard_normal(shape, dtype=np.float32) for _ in range(options.layers - 1)]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, nargs="+", default=list(COUNTS), help="numbers of host devices")
    parser.add_argument("--width", type=int, default=2048, help="nodes per layer")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--clusters", type=int, default=8)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write all figures to this JSON file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
