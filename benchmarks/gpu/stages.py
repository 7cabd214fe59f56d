"""The stages of a check, in their order, with the seconds that each needs at least and gets at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu import device_tests, facts
from benchmarks.gpu.bench import Bench, device_bench
from benchmarks.gpu.record import Record

__all__ = ["GOALS", "STAGES", "Stage"]

GOALS = {"W1": 0.150, "W1p": None, "W2": 0.500, "W3": 0.4, "W4": 1.5}
"""Seconds on one H100, from the design."""
W4_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name : str
    least, most : float
        Seconds without which it is not started, and after which it is stopped.
    run : callable
        Called with a record, the seconds it has, and ``quick``.
    """

    name: str
    least: float
    most: float
    run: Callable[..., None]


def _on_device(measure: Callable[[Bench], None]) -> Callable[..., None]:
    def run(record: Record, seconds: float, *, quick: bool) -> None:
        measure(device_bench(record, seconds, quick=quick))

    return run


def _ensemble(name: str) -> Callable[..., None]:
    def measure(bench: Bench) -> None:
        from benchmarks.gpu.ensembles import measure_ensemble
        from netspectra.bindings.bench.workloads import VGG16, WORKLOADS

        workload: Any = VGG16 if name == "W2" else WORKLOADS[name]
        counts = (100, 40) if bench.quick else (1000, 100 if name == "W2" else 200)
        measure_ensemble(bench, workload, goal=GOALS[name], n_nulls=counts[0], cpu_nulls=counts[1])

    return _on_device(measure)


def _deep(bench: Bench) -> None:
    from benchmarks.gpu.single_graphs import measure_single
    from netspectra.bindings.bench.workloads import DEEP, ChainShape

    shape = ChainShape(16, 1024) if bench.quick else DEEP
    title = f"W3: {shape.n_layers} layers of {shape.width:,}, float32"
    measure_single(bench, title, shape, 16, goal=GOALS["W3"])


def _language_model(bench: Bench) -> None:
    from benchmarks.gpu.single_graphs import measure_single
    from netspectra.bindings.bench.workloads import LANGUAGE_MODEL, LanguageModelShape

    shape = LanguageModelShape(n_blocks=2) if bench.quick else LANGUAGE_MODEL
    title = f"W4: language model of {shape.n_blocks} blocks, bfloat16"
    measure_single(bench, title, shape, 32, dtype="bfloat16", goal=GOALS["W4"], memory_goal=W4_BYTES)


def _official(record: Record, seconds: float, *, quick: bool) -> None:
    import time

    from benchmarks.gpu.official import measure_official
    from benchmarks.gpu.timing import HostClock

    bench = Bench(None, None, HostClock(), record, time.monotonic() + seconds, quick)
    measure_official(bench, ("W1",) if quick else ("W1", "W1p"))


def _densities(bench: Bench) -> None:
    from benchmarks.gpu.density import measure_densities

    measure_densities(bench)


def _peers(library: str) -> Callable[..., None]:
    def measure(bench: Bench) -> None:
        from benchmarks.gpu import peers

        peers.run(bench, getattr(peers, f"{library}_solvers"))

    return _on_device(measure)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("facts", 10, 60, _on_device(facts.run)),
        Stage("tests", 20, 190, device_tests.run),
        Stage("W1", 15, 90, _ensemble("W1")),
        Stage("W3", 15, 50, _on_device(_deep)),
        Stage("W4", 15, 60, _on_device(_language_model)),
        Stage("W2", 20, 75, _ensemble("W2")),
        Stage("W1p", 15, 50, _ensemble("W1p")),
        Stage("official", 30, 90, _official),
        Stage("peers-cupyx", 15, 50, _peers("cupyx")),
        Stage("peers-torch", 15, 40, _peers("torch")),
        Stage("peers-jax", 15, 60, _peers("jax")),
        Stage("density", 10, 40, _on_device(_densities)),
    )
}
"""By name, in the order in which they run: what is least expendable comes first."""
