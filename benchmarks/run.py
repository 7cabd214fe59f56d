"""The runs behind the published page: each suite beside its peers in one run, at the sizes that the goals are about.

    python -m benchmarks.run ensembles --json benchmarks/results/cpu/ensembles.json
    python -m benchmarks.run --list

The JSON file is written after every step. The exit status is 1 where a check of accuracy failed. Sizes can be made
smaller, for a trial; goals are then recorded only where their own size was asked.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import penalty
from netspectra.bindings.bench.contests import missing_peers
from netspectra.bindings.bench.ensembles import EnsembleSizes
from netspectra.bindings.bench.machine import describe_machine
from netspectra.bindings.bench.records import Record
from netspectra.bindings.bench.suites import Run
from netspectra.bindings.bench.tables import comparison_rows, goal_rows, series_lines
from netspectra.bindings.bench.workloads import DEEP, VGG16, WORKLOADS
from netspectra.spectrum.plan import DEFAULT_TOL

__all__ = ["SUITES", "main"]

Steps = list[tuple[str, Callable[[], object]]]


def ensembles(run: Run, o: argparse.Namespace) -> Steps:
    """W1 and W1p: null networks beside the official pipeline, all cores and one; one clustering."""
    sizes = EnsembleSizes(o.nulls, o.peer_nulls, o.repeats)
    steps: Steps = []
    for w in WORKLOADS.values():
        least = 18.0 if w.name == "W1" else None
        steps.append((f"{w.name} ensemble", partial(run.ensemble, w, sizes, least)))
        steps.append((f"{w.name} clustering", partial(run.clustering, w, 2 * o.repeats)))
    return steps


def vgg(run: Run, o: argparse.Namespace) -> Steps:
    """W2: the ensemble with 25 and with 100 restarts, and the official pipeline on a few null networks."""
    sizes = EnsembleSizes(max(2, o.nulls // 5), max(5, o.peer_nulls // 15), 1, one_core=False)
    goal = 60.0 if o.many == 1000 else None
    return [
        ("W2 many", partial(run.many_nulls, VGG16, o.many, 25, goal)),
        ("W2 many, 100 restarts", partial(run.many_nulls, VGG16, o.many, 100)),
        ("W2 ensemble", partial(run.ensemble, VGG16, sizes)),
        ("W2 clustering", partial(run.clustering, VGG16, 3)),
    ]


def stages(run: Run, o: argparse.Namespace) -> Steps:
    """W1, W1p and W2: every stage of a null network, one thread; k-means inertia beside scikit-learn's."""
    steps: Steps = [(f"{w.name} stages", partial(run.stages, w, 15, 60.0, o.inertia_sets)) for w in WORKLOADS.values()]
    return [*steps, ("W2 stages", partial(run.stages, VGG16, 5, 60.0, o.inertia_sets))]


def deep(run: Run, o: argparse.Namespace) -> Steps:
    """W3: a dense graph of 1e9 edges, seconds and memory; eigenpairs beside SciPy's solvers."""
    sizes = (o.width,) * DEEP.n_layers
    return [("W3", partial(run.dense_chain, sizes, 16, peer_seconds=o.peer_seconds))]


def memory(run: Run, o: argparse.Namespace) -> Steps:
    """Memory beyond the weights of a dense graph of 2e8 edges, as stored and transposed."""
    del o
    return [("memory", run.wide)]


def sparse(run: Run, o: argparse.Namespace) -> Steps:
    """A planted partition; scikit-learn's lobpcg at 1e6 nodes at most, arpack at the largest size in 120 s."""
    shared = min(o.nodes, 1_000_000)
    steps: Steps = [("planted", partial(run.planted, o.nodes))]
    if shared != o.nodes:
        steps.append(("planted beside lobpcg", partial(run.planted, shared)))
    for tolerance in (None, DEFAULT_TOL):
        call = partial(run.planted_peer, shared, "lobpcg", o.peer_seconds, tolerance)
        steps.append(("scikit-learn lobpcg", call))
    steps.append(("scikit-learn arpack", partial(run.largest_arpack, o.arpack_first, o.arpack_seconds)))
    return steps


def growth(run: Run, o: argparse.Namespace) -> Steps:
    """Time against nulls (W1), edges (width 1,024, 30 iterations), k (W2), nodes (planted), threads (W1)."""
    nulls = [count for i in range(1, 5) for count in (10**i, 3 * 10**i) if count <= o.most_nulls]
    nodes = [count for i in range(4, 8) for count in (10**i, 3 * 10**i) if count <= o.most_nodes]
    return [
        ("threads", partial(run.growth_in_threads, min(1000, o.most_nulls))),
        ("nulls", partial(run.growth_in_nulls, nulls)),
        ("k", partial(run.growth_in_clusters, o.clusters)),
        ("nodes", partial(run.growth_in_nodes, nodes)),
        ("edges", partial(run.growth_in_edges, o.most_edges, o.growth_width)),
    ]


def start_up(run: Run, o: argparse.Namespace) -> Steps:
    """New processes: an empty one, ``import netspectra``, ``netspectra test`` with 100 null networks."""
    del o
    return [("start-up", run.start_up)]


def training(run: Run, o: argparse.Namespace) -> Steps:
    """W5: a training step with the penalty, and its gradient, per installed framework."""

    def measure(framework: str) -> None:
        found = penalty.measure_steps(framework, o.steps)
        run.add(found)
        without, with_it, gradient, _, per_edge = found
        run.goal(f"W5, {framework}: added to a training step", 100 * (with_it.by(without) - 1), 20.0, unit="%")
        formula = per_edge.by(gradient)
        run.goal(f"W5, {framework}: gradient, times as fast as the per-edge formula", formula, 1000.0, at_least=True)

    return [(f"W5 {name}", partial(measure, name)) for name in penalty.installed_frameworks()]


SUITES: dict[str, Callable[[Run, Any], Steps]] = {
    "ensembles": ensembles,
    "vgg": vgg,
    "stages": stages,
    "deep": deep,
    "memory": memory,
    "sparse": sparse,
    "growth": growth,
    "start-up": start_up,
    "training": training,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the suites asked for, print what they found, and return the exit status."""
    options = parse_options(arguments)
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        print(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    if options.list or not options.suites:
        for name, suite in SUITES.items():
            print(f"{name:10}  {(suite.__doc__ or '').splitlines()[0]}")
        return 0
    chosen = {name: value for name, value in vars(options).items() if name not in ("json", "list", "only")}
    record = Record(describe_machine(), chosen, missing=missing_peers())
    began = time.perf_counter()
    run = Run(record, lambda what: print(f"{time.perf_counter() - began:7.1f} s  {what}", file=sys.stderr, flush=True))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        run.path = options.json
    steps = [each for name in options.suites for each in SUITES[name](run, options)]
    steps = [(step, call) for step, call in steps if options.only is None or options.only in step]
    if not steps:
        print("nothing to do: no step has such a name, or what it needs is not installed", file=sys.stderr)
        return 2
    for step, call in steps:
        run.attempt(step, call)
    run.finish()
    for row in comparison_rows(record.measurements):
        print(" | ".join(row))
    for line in (*series_lines(record.measurements), *(" | ".join(row) for row in goal_rows(record.goals))):
        print(line)
    for failure in record.failures:
        print(f"FAILED {failure}")
    return 1 if record.failures else 0


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Sizes; the defaults are those of the published runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--list", action="store_true", help="say what the suites are")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", metavar="TEXT", help="steps whose name contains this")
    parser.add_argument("--nulls", type=int, default=200, help="ours, per repeat")
    parser.add_argument("--peer-nulls", type=int, default=100, help="of the official pipeline, per repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--many", type=int, default=1000, help="null networks of W2")
    parser.add_argument("--inertia-sets", type=int, default=1600)
    parser.add_argument("--width", type=int, default=DEEP.width, help="of W3's layers")
    parser.add_argument("--peer-seconds", type=float, default=600.0, help="after which a large peer is stopped")
    parser.add_argument("--nodes", type=int, default=10_000_000, help="of the planted partition")
    parser.add_argument("--arpack-first", type=int, default=4000, help="nodes, doubled until time is up")
    parser.add_argument("--arpack-seconds", type=float, default=120.0)
    parser.add_argument("--most-nulls", type=int, default=10_000)
    parser.add_argument("--most-nodes", type=int, default=1_000_000)
    parser.add_argument("--most-edges", type=int, default=1_000_000_000)
    parser.add_argument("--growth-width", type=int, default=1024)
    parser.add_argument("--clusters", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--steps", type=int, default=600, help="of training")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
