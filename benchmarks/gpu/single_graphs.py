"""W3 and W4: one large graph on the device, in place: seconds, memory beyond the weights, residuals in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

import netspectra as ns
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.device_graphs import Shape, draw_weights, layer_graph
from benchmarks.gpu.memory import PeakMemory
from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT
from netspectra.bindings.bench.residual import float64_residual
from netspectra.kernels.weights import DenseWeights
from netspectra.spectrum.plan import block_width

__all__ = ["measure_single"]

REPEATS = 5


def measure_single(
    bench: Bench,
    title: str,
    shape: Shape,
    k: int,
    *,
    dtype: str = "float32",
    goal: float | None = None,
    memory_goal: int | None = None,
) -> None:
    """Cluster one graph whose weights are drawn on the device.

    Parameters
    ----------
    bench : Bench
    title : str
    shape : Shape
    k : int
    dtype : {"float32", "bfloat16"}
    goal, memory_goal : optional
        Seconds of a clustering, and bytes beyond the weights.
    """
    record = bench.record
    record.put(title=title, k=k, dtype_stored=dtype, goal_seconds=goal, goal_bytes=memory_goal)
    drawn = bench.clock.time(lambda: draw_weights(bench.lib, shape, dtype))
    weights = drawn.result
    bench.release()
    record.put(
        edges=sum(W.size for W in weights),
        nodes=sum(size for _, size in shape.layers),
        weight_bytes=sum(W.nbytes for W in weights),
        seconds_drawing=drawn.seconds,
    )
    made = bench.clock.time(lambda: layer_graph(shape, weights))
    graph = made.result
    record.put(seconds_of_graph=made.seconds, device=graph.device)

    def cluster() -> ns.Partition:
        return ns.spectral_clustering(graph, k, backend=bench.backend)

    with PeakMemory(bench.lib) as memory:
        first = bench.clock.time(cluster)
    record.put(first_seconds=first.seconds, memory=memory.as_dict(), compile_seconds=bench.backend.compile_seconds)
    bench.say(f"first call {first.seconds:.2f} s, memory {memory.as_dict()}")
    laps = bench.repeat(cluster, 2 if bench.quick else REPEATS, share=0.4)
    part = laps.last
    record.put(
        clustering=laps.as_dict(),
        median_seconds=laps.median,
        laps=part.timings,
        solver=part.solver,
        status=part.status,
        iterations=part.n_iterations,
        ncut=part.ncut,
        ncut_lower_bound=part.ncut_lower_bound,
    )
    bench.say(f"one clustering {laps.median:.3f} s, {part.n_iterations} iterations, {part.status}")
    record.check("converged", float(part.converged), 1, at_least=True)
    record.check("n-cut by its lower bound", part.ncut, part.ncut_lower_bound - 1e-6, at_least=True)
    _eigenpairs(bench, graph, shape, weights, k)
    with bench.attempt("one product"):
        _one_product(bench, weights, k)


def _eigenpairs(bench: Bench, graph: ns.LayerGraph, shape: Shape, weights: list[Any], k: int) -> None:
    """The eigenproblem alone, and its residuals in float64 from the weights."""
    laps = bench.repeat(lambda: ns.eigenpairs(graph, k, backend=bench.backend), 2, share=0.3)
    pairs = laps.last
    reported = float(np.max(bench.backend.to_numpy(bench.backend.asarray(pairs.residual_norms))))
    bench.record.put(eigenpairs=laps.as_dict(), residual_reported=reported)
    bench.release()
    residual = float64_residual(bench.lib, shape, weights, pairs.eigenvalues, pairs.eigenvectors)
    bench.release()
    bench.record.put(residual=residual)
    bench.record.check("largest |Lx - λx|, float64", residual, RESIDUAL_LIMIT)


def _one_product(bench: Bench, weights: list[Any], k: int) -> None:
    """The symmetric product with the largest block: both halves, and each alone, in GB of weights per second."""
    W = max(weights, key=lambda block: block.size)
    block = DenseWeights(W[None, :, :])
    width = block_width(k, min(W.shape))
    x_source, x_target = (bench.lib.ones((1, size, width), dtype=bench.lib.float32) for size in W.shape)
    halves = {"both": (x_source, x_target), "|W| x": (None, x_target), "|W|^T x": (x_source, None)}
    found: dict[str, Any] = {"shape": W.shape, "vectors": width, "bytes": W.nbytes}
    with bench.backend.session():
        for name, (source, target) in halves.items():
            laps = bench.repeat(lambda s=source, t=target: bench.backend.block_product(block, s, t), 7)
            figures = laps.as_dict()
            seconds = figures.get("device_median", figures["median"])
            found[name] = {"seconds": seconds, "gb_per_s": W.nbytes / max(seconds, 1e-12) / 1e9}
    bench.record.put(one_product=found)
