"""What ``netspectra bench`` asks: a selection of all questions, sized for the machine and the time there is."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from netspectra.bindings.bench.ensembles import EnsembleSizes, our_ensemble
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.suites import Run
from netspectra.bindings.bench.workloads import WORKLOADS, ChainWorkload
from netspectra.kernels.memory import available_bytes

__all__ = ["Selection", "select", "steps_of"]

_PEER_BY_OURS = 20
"""How much longer the official pipeline takes on a null network, roughly: by that its share is sized."""


@dataclass(frozen=True)
class Selection:
    """Sizes of a run.

    Attributes
    ----------
    workloads : tuple of ChainWorkload
    ensemble : EnsembleSizes
    stage_seconds, clustering_seconds : float
        Budgets per workload.
    stage_repeats : int
    chain : tuple of int
        Layers of the dense chain, empty for none.
    nodes : int
        Of the planted partition, 0 for none.
    peer_seconds : float
        After which a peer on large graphs is stopped.
    nulls : tuple of int
        Points of the growth in null networks.
    """

    workloads: tuple[ChainWorkload, ...]
    ensemble: EnsembleSizes
    stage_seconds: float
    clustering_seconds: float
    stage_repeats: int
    chain: tuple[int, ...]
    nodes: int
    peer_seconds: float
    nulls: tuple[int, ...]


def select(*, quick: bool) -> Selection:
    """Time one null network of W1 and look at the memory, and size a run of about a minute, or of 15 s."""
    W1, W1p = WORKLOADS["W1"], WORKLOADS["W1p"]
    per_null = _seconds_per_null(W1)
    seconds = 0.7 if quick else 3.0
    repeats = 1 if quick else 3
    nulls = _between(seconds / per_null, 4, 1000)
    peer_nulls = _between(2 * seconds / (_PEER_BY_OURS * per_null), 2 * n_cores(), 40)
    width, layers = (1024, 4) if quick else (2048, 8)
    while 3 * 4 * layers * width**2 > available_bytes() / 4 and width > 64:
        width //= 2
    return Selection(
        (W1,) if quick else (W1, W1p),
        EnsembleSizes(nulls, peer_nulls, repeats, one_core=False),
        stage_seconds=1.5 if quick else 4.0,
        clustering_seconds=1.0 if quick else 3.0,
        stage_repeats=1 if quick else 5,
        chain=(width,) * layers,
        nodes=20_000 if quick else 100_000,
        peer_seconds=3.0 if quick else 10.0,
        nulls=() if quick else tuple(10**i for i in range(1, 4) if 10**i * per_null < 6),
    )


def steps_of(run: Run, chosen: Selection) -> list[tuple[str, Callable[[], None]]]:
    """Name and call of each step of a run; the caller shows how far it is."""
    steps: list[tuple[str, Callable[[], None]]] = []
    for w in chosen.workloads:
        steps += [
            (f"{w.name}: stages", lambda w=w: run.stages(w, chosen.stage_repeats, chosen.stage_seconds)),  # type: ignore[misc]
            (f"{w.name}: one clustering", lambda w=w: run.clustering(w, 5, chosen.clustering_seconds)),  # type: ignore[misc]
            (f"{w.name}: null networks", lambda w=w: run.ensemble(w, chosen.ensemble)),  # type: ignore[misc]
        ]
    if len(chosen.nulls) > 1:
        steps.append(("growth in null networks", lambda: run.growth_in_nulls(chosen.nulls)))
    if chosen.chain:
        edges = sum(a * b for a, b in pairwise(chosen.chain))
        name = f"dense chain of {edges:.1g} edges"
        steps.append((name, lambda: run.dense_chain(chosen.chain, 12, peer_seconds=chosen.peer_seconds)))
    if chosen.nodes:
        steps.append((f"planted partition of {chosen.nodes:,} nodes", lambda: _planted(run, chosen)))
    return steps


def _planted(run: Run, chosen: Selection) -> None:
    run.planted(chosen.nodes)
    run.planted_peer(chosen.nodes, "lobpcg", 10 + chosen.peer_seconds)


def _seconds_per_null(workload: ChainWorkload) -> float:
    our_ensemble(workload, n_cores(), n_cores(), seed=0)
    count = 4 * n_cores()
    result = our_ensemble(workload, n_cores(), count, seed=0)
    return result.timings["nulls"] / count


def _between(value: float, least: int, most: int) -> int:
    return int(min(max(round(value), least), most))
