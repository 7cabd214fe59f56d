"""How cost grows: in null networks, edges, nodes, k and threads, and the exponents of straight lines through it."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from subprocess import run
from typing import Any

import numpy as np

from netspectra.bindings.bench.accuracy import adjusted_rand_index, require
from netspectra.bindings.bench.ensembles import our_ensemble
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.planted import PlantedPartition
from netspectra.bindings.bench.records import OURS, Measurement
from netspectra.bindings.bench.timing import seconds_of, take_turns
from netspectra.bindings.bench.workloads import ChainWorkload, normal_weights
from netspectra.clustering import spectral_clustering
from netspectra.graph import LayerGraph
from netspectra.graph.batch import load_batch
from netspectra.kernels import Backend, get_backend
from netspectra.kernels.keys import stream_keys
from netspectra.spectrum.attempts import reduce
from netspectra.spectrum.lobpcg import lobpcg
from netspectra.spectrum.plan import block_width

__all__ = [
    "depths_up_to",
    "exponent",
    "grow_clusters",
    "grow_edges",
    "grow_nodes",
    "grow_nulls",
    "grow_threads",
    "measure_start_up",
    "series_of",
]

ITERATIONS = 30
SHORT = 5.0
"""Seconds below which a point is measured three times."""

Say = Callable[[str], None]


def exponent(points: Sequence[Measurement]) -> float:
    """Slope of the least-squares line through log seconds over log of the axis; NaN for fewer than two sizes.

    Start-up, where a point has ``figures["start_up"]``, is subtracted before.
    """
    sizes = [float(each.parameters[each.axis or ""]) for each in points]
    seconds = [each.median - each.figures.get("start_up", 0.0) for each in points]
    if len(set(sizes)) < 2 or min(seconds) <= 0:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def series_of(measurements: Iterable[Measurement]) -> dict[tuple[str, str], list[Measurement]]:
    """Measurements that belong to a series, by question and side, in the order of their sizes."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for each in measurements:
        if each.axis is not None:
            found.setdefault((each.question, each.side), []).append(each)
    return {key: sorted(points, key=lambda m: m.parameters[m.axis or ""]) for key, points in found.items()}


def grow_nulls(workload: ChainWorkload, counts: Sequence[int], say: Say) -> list[Measurement]:
    """Seconds of ensembles of more and more null networks, all cores."""
    question = f"{workload.title}; growth in null networks"

    def seconds(count: int) -> float:
        return our_ensemble(workload, n_cores(), count, seed=0).timings["nulls"]

    seconds(n_cores())
    return _series(question, "nulls", counts, seconds, say, {"k": workload.k, "threads": n_cores()})


def grow_threads(workload: ChainWorkload, n_nulls: int, counts: Sequence[int], say: Say) -> list[Measurement]:
    """Seconds of one ensemble on more and more threads, taking turns."""
    question = f"{workload.title}; {n_nulls} null networks, growth in threads"
    for count in counts:
        our_ensemble(workload, count, count, seed=0)
    laps: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(3):
        for count in counts:
            say(f"{question}: {count} threads, turn {turn + 1} of 3")
            laps[count].append(our_ensemble(workload, count, n_nulls, seed=0).timings["nulls"])
    return [
        Measurement(question, OURS, laps[count], parameters={"threads": count, "nulls": n_nulls}, axis="threads")
        for count in counts
    ]


def grow_edges(width: int, depths: Sequence[int], say: Say, k: int = 12) -> list[Measurement]:
    """Seconds of exactly 30 iterations of LOBPCG on chains of more and more dense layers of one width.

    The time is from the layer graph on: loading it, its degrees, the iterations. The start-up subtracted is that of the
    same on two layers of 64 nodes.
    """
    weights, backend = normal_weights((width,) * (max(depths) + 1)), get_backend("cpu", n_threads=n_cores())
    small = normal_weights((64, 64))
    start_up = min(_seconds_of_iterations(small, k, backend) for _ in range(4))
    question = f"dense layers of width {width:,}; {ITERATIONS} iterations of LOBPCG, growth in edges"
    edges = {depth * width**2: depth for depth in depths}
    found = _series(
        question,
        "edges",
        list(edges),
        lambda n: _seconds_of_iterations(weights[: edges[n]], k, backend),
        say,
        {"k": k, "threads": backend.n_threads},
    )
    for each in found:
        each.figures |= {"start_up": start_up, "iterations": ITERATIONS}
        each.parameters["nodes"] = (edges[each.parameters["edges"]] + 1) * width
    return found


def grow_clusters(workload: ChainWorkload, counts: Sequence[int], say: Say) -> list[Measurement]:
    """Seconds of one clustering into more and more clusters."""
    backend = get_backend("cpu", n_threads=n_cores())

    def seconds(k: int) -> float:
        lap, part = seconds_of(lambda: spectral_clustering(workload.graph, k, n_init=workload.n_init, backend=backend))
        require(part.converged, f"{workload.name}, k = {k}: {part.status}")
        return lap

    seconds(min(counts))
    return _series(f"{workload.title}; one clustering, growth in k", "k", counts, seconds, say, {"threads": n_cores()})


def grow_nodes(sizes: Sequence[int], say: Say, n_init: int = 4) -> list[Measurement]:
    """Seconds of clustering larger and larger planted partitions of mean degree 20 into 8."""
    found, backend = [], get_backend("cpu", n_threads=n_cores())
    question = "planted partition, mean degree 16 + 4; k = 8, growth in nodes"
    for size in sizes:
        say(f"{question}: {size:,}")
        planted = PlantedPartition(size)
        graph = LayerGraph.from_adjacency(planted.adjacency())
        laps = take_turns(
            {OURS: lambda: spectral_clustering(graph, planted.n_groups, n_init=n_init, backend=backend)},  # noqa: B023
            3,
            budget=SHORT,
            warm_up=size == min(sizes),
        )[OURS]
        ari = adjusted_rand_index(laps.last.labels, planted.labels)
        require(ari > 0.95, f"planted partition of {size} nodes: ARI {ari:.3f}")
        figures = {"ari": ari, "iterations": laps.last.n_iterations, "residual": float(laps.last.residual_norms.max())}
        parameters = {"nodes": planted.n_nodes, "edges": graph.n_stored // 2, "k": planted.n_groups}
        found.append(Measurement(question, OURS, laps.seconds, "", parameters, figures, "nodes"))
    return found


def measure_start_up(n_nulls: int = 100, repeats: int = 7) -> list[Measurement]:
    """Seconds of new processes: an empty one, ``import netspectra``, ``netspectra test`` on the shipped network."""
    command = ["test", "example:mnist-mlp", "--nulls", str(n_nulls)]
    programs = {
        "empty process": "pass",
        "import netspectra": "import netspectra",
        f"netspectra {' '.join(command)}": f"from netspectra.bindings.cli import main; main({command!r})",
    }

    def start(program: str) -> None:
        run([sys.executable, "-c", program], check=True, capture_output=True)

    laps = take_turns({name: lambda p=program: start(p) for name, program in programs.items()}, repeats)  # type: ignore[misc]
    empty = laps["empty process"].seconds
    found = []
    for name, each in laps.items():
        beyond = float(np.median([a - b for a, b in zip(each.seconds, empty, strict=True)]))
        figures = {} if name == "empty process" else {"beyond_empty_process": beyond}
        found.append(Measurement(f"start-up: {name}", OURS, each.seconds, figures=figures))
    return found


def _series(
    question: str,
    axis: str,
    sizes: Sequence[int],
    seconds: Callable[[int], float],
    say: Say,
    parameters: dict[str, Any],
) -> list[Measurement]:
    """One measurement per size; short ones three times, the sizes in turn."""
    laps: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(3):
        for size in sizes:
            if turn and laps[size][0] > SHORT:
                continue
            say(f"{question}: {size:,}, turn {turn + 1}")
            laps[size].append(seconds(size))
    return [
        Measurement(question, OURS, each, parameters={**parameters, axis: size}, axis=axis)
        for size, each in laps.items()
    ]


def _seconds_of_iterations(weights: Sequence[Any], k: int, backend: Backend) -> float:
    graph = LayerGraph.from_weights(weights)
    started = time.perf_counter()
    with backend.session():
        operator = reduce(load_batch([graph], backend))
        xp, width = backend.xp, block_width(k, operator.size)
        start = backend.standard_normals(stream_keys(0, "start-block", [None]), (operator.size, width), xp.float32)
        never = 1e-30
        state = lobpcg(
            backend,
            operator.apply,
            start,
            operator.trivial(xp.float32),
            k - 1,
            lambda values: xp.full_like(values, never),
            ITERATIONS,
        )
    elapsed = time.perf_counter() - started
    done = int(state.iteration)
    require(done == ITERATIONS, f"expected {ITERATIONS} iterations, LOBPCG made {done}")
    return elapsed


def depths_up_to(width: int, n_edges: int) -> list[int]:
    """Numbers of blocks, three per decade, whose edges are at most `n_edges`."""
    most = max(1, n_edges // width**2)
    steps = [round(10 ** (i / 2)) for i in range(2 * len(str(most)) + 1)]
    return sorted({min(step, most) for step in steps})
