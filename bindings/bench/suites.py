"""The questions that runs are made of, each at any size: what ``netspectra bench`` and ``benchmarks.run`` ask.

A suite adds its measurements to a record, and goals where it was asked at the size that the goal is about.
"""

from collections.abc import Sequence
from typing import Any

from netspectra.bindings.bench.accuracy import require
from netspectra.bindings.bench.children import run_child
from netspectra.bindings.bench.clusterings import clustering_contest
from netspectra.bindings.bench.contests import has_sklearn, run_contest
from netspectra.bindings.bench.ensembles import OFFICIAL, EnsembleSizes, measure_ensemble, our_ensemble
from netspectra.bindings.bench.floors import floor_seconds
from netspectra.bindings.bench.growth import (
    depths_up_to,
    exponent,
    grow_clusters,
    grow_edges,
    grow_nodes,
    grow_nulls,
    grow_threads,
    measure_start_up,
    series_of,
)
from netspectra.bindings.bench.inertia import compare_inertia
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.recording import Recording
from netspectra.bindings.bench.records import OURS, Measurement
from netspectra.bindings.bench.solvers import EIGEN_PEERS
from netspectra.bindings.bench.stages import StageContests, one_thread
from netspectra.bindings.bench.workloads import DEEP, VGG16, WIDE_EDGES, WORKLOADS, ChainWorkload, wide_sizes

__all__ = ["Run"]

MOST_GROWTH = 1.05
GB = 1e9


class Run(Recording):
    """The suites, each adding to a record in the making."""

    # -- null networks and clusterings of one workload

    def ensemble(self, workload: ChainWorkload, sizes: EnsembleSizes, least_ratio: float | None = None) -> None:
        """Null networks beside the official pipeline."""
        found = measure_ensemble(workload, sizes, self.say)
        self.add(found)
        sides = {(each.side, each.parameters["threads"]): each for each in found}
        ours, theirs = sides.get((OURS, n_cores())), sides.get((OFFICIAL, n_cores()))
        if least_ratio is not None and ours is not None and theirs is not None:
            name = f"{workload.name}, per null: times as fast as the official pipeline on {n_cores()} cores"
            self.goal(name, theirs.by(ours), least_ratio, at_least=True)

    def many_nulls(self, workload: ChainWorkload, n_nulls: int, n_init: int, goal: float | None = None) -> None:
        """One long ensemble of ours."""
        self.say(f"{workload.name}: {n_nulls} null networks, {n_init} restarts")
        our_ensemble(workload, n_cores(), n_cores(), seed=0)
        result = our_ensemble(workload, n_cores(), n_nulls, seed=0, n_init=n_init)
        seconds = result.timings["nulls"]
        require(result.n_failed == 0, f"{workload.name}: {result.n_failed} null networks failed")
        parameters = {"nulls": n_nulls, "n_init": n_init, "k": workload.k, "threads": n_cores()}
        figures = {"solver": result.solver, "null_mean": result.null_mean, "null_sd": result.null_sd}
        question = f"{workload.title}; {n_nulls:,} null networks, {n_init} restarts"
        self.add([Measurement(question, OURS, [seconds], "", parameters, figures)])
        if goal is not None:
            self.goal(f"{workload.name}, {n_nulls:,} null networks, {n_init} restarts", seconds, goal, unit=" s")

    def stages(self, workload: ChainWorkload, repeats: int, budget: float = 60.0, inertia_sets: int = 0) -> None:
        """Every stage of a null network beside its peers, one thread each."""
        with one_thread():
            contests = StageContests(workload)
            if inertia_sets and has_sklearn():
                self._inertia(contests, inertia_sets)
            floors = floor_seconds(contests)
            for stage in contests.names:
                self.say(f"{workload.name}: {stage}")
                found = run_contest(contests.contest(stage), repeats, budget / len(contests.names))
                found[0].figures["floor"] = floors[stage]
                self.add(found)

    def _inertia(self, contests: StageContests, n_sets: int) -> None:
        """Ours beside scikit-learn's, before anything is timed: a failed check leaves no times."""
        w = contests.workload
        self.say(f"{w.name}: inertia over {n_sets} embeddings")
        figures = compare_inertia(contests, n_sets)
        low, high = figures["interval"]
        name = f"{w.name}: inertia by scikit-learn's best of {w.n_init}, minus 1, median of {n_sets}"
        self.goal(
            f"{name} ({100 * low:+.3f} to {100 * high:+.3f}%)", 100 * figures["inertia_difference"], 0.1, unit="%"
        )

    def clustering(self, workload: ChainWorkload, repeats: int, budget: float = 60.0) -> None:
        """One clustering beside scikit-learn."""
        self.add(run_contest(clustering_contest(workload), repeats, budget))

    # -- large graphs, in processes of their own

    def dense_chain(
        self,
        sizes: Sequence[int],
        k: int,
        *,
        orientation: str = "in-out",
        peers: Sequence[str] | None = EIGEN_PEERS,
        peer_seconds: float = 600.0,
        timeout: float | None = None,
    ) -> None:
        """One graph of dense layers: seconds and memory of a clustering, eigenpairs beside SciPy's solvers."""
        options: dict[str, Any] = {"sizes": list(sizes), "k": k, "orientation": orientation}
        options |= {"peers": None if peers is None else list(peers), "peer_seconds": peer_seconds}
        found = run_child("cluster_chain", options, timeout)
        if not found["finished"]:
            self.record.failures.append(f"chain of {sizes}: not finished after {timeout} s")
            return
        require(found["converged"], f"chain of {sizes}: {found['status']}")
        parameters = {name: found[name] for name in ("nodes", "edges", "k", "threads")}
        whose = "W3: " if tuple(sizes) == DEEP.sizes else ""
        name = f"{whose}dense chain, {found['edges']:.3g} edges, k = {k}" + (
            ", stored transposed" * (orientation != "in-out")
        )
        solvers = [Measurement(**each) for each in found.pop("solvers", [])]
        for each in solvers:
            each.question = f"{name}; eigenpairs on the same operator"
        self.add([Measurement(f"{name}; one clustering", OURS, [found["seconds"]], "", parameters, found), *solvers])
        beyond = found.get("beyond_weights")
        if tuple(sizes) == DEEP.sizes:
            self.goal("W3, one clustering", found["seconds"], 90.0, unit=" s")
        if beyond is not None and found["edges"] in (DEEP.n_edges, WIDE_EDGES):
            self.goal(f"{name}: memory beyond the weights", beyond / GB, 1.0, unit=" GB")

    def wide(self) -> None:
        """Memory beyond the weights of 2e8 edges, as stored and transposed."""
        for orientation in ("in-out", "out-in"):
            self.dense_chain(wide_sizes(), 12, orientation=orientation, peers=None)

    def planted(self, nodes: int, timeout: float | None = None) -> None:
        """A sparse planted partition, construction included, found again."""
        self.say(f"planted partition of {nodes:,} nodes")
        found = run_child("cluster_planted", {"nodes": nodes}, timeout)
        question = f"planted partition of {nodes:,} nodes, from nothing to 8 clusters"
        if found["finished"]:
            require(found["ari"] > 0.95, f"{question}: ARI {found['ari']:.3f}")
        self._add_planted(question, OURS, found)
        if not found["finished"]:
            return
        if nodes == 10_000_000:
            self.goal("planted partition of 1e7 nodes", found["seconds"], 900.0, unit=" s")
            self.goal("planted partition of 1e7 nodes: ARI", found["ari"], 0.95, at_least=True)
            if "peak" in found:
                self.goal("planted partition of 1e7 nodes: peak memory", found["peak"] / GB, 20.0, unit=" GB")

    def planted_peer(
        self, nodes: int, eigen_solver: str, timeout: float | None, eigen_tol: float | None = None
    ) -> bool:
        """Let scikit-learn find the same partition, to its default tolerance or to another; whether it did in time."""
        if not has_sklearn():
            return False
        self.say(f"planted partition of {nodes:,} nodes: scikit-learn, {eigen_solver}")
        options: dict[str, Any] = {"nodes": nodes, "eigen_solver": eigen_solver}
        options |= {} if eigen_tol is None else {"eigen_tol": eigen_tol}
        found = run_child("peer_on_planted", options, timeout)
        question = f"planted partition of {nodes:,} nodes, from nothing to 8 clusters"
        tolerance = "" if eigen_tol is None else f", eigen_tol={eigen_tol:g}"
        self._add_planted(question, f'scikit-learn, eigen_solver="{eigen_solver}"{tolerance}', found)
        return bool(found["finished"])

    def largest_arpack(self, first: int, seconds: float) -> None:
        """Double the nodes until scikit-learn with ARPACK takes more than that; ours beside it at each size."""
        nodes = first
        while self.planted_peer(nodes, "arpack", seconds):
            self.planted(nodes)
            nodes *= 2
        self.planted(nodes)

    def _add_planted(self, question: str, side: str, found: dict[str, Any]) -> None:
        parameters: dict[str, Any] = {name: found[name] for name in ("nodes", "edges") if name in found}
        m = Measurement(question, side, [found["seconds"]], "", parameters, found, finished=found["finished"])
        self.add([m])

    # -- growth

    def growth_in_nulls(self, counts: Sequence[int]) -> None:
        """W1."""
        self._series(grow_nulls(WORKLOADS["W1"], counts, self.say), bounded=max(counts) >= 10_000)

    def growth_in_threads(self, n_nulls: int) -> None:
        """W1 on 1, 2, 4 ... threads."""
        counts = sorted({2**i for i in range(n_cores().bit_length()) if 2**i <= n_cores()} | {n_cores()})
        found = grow_threads(WORKLOADS["W1"], n_nulls, counts, self.say)
        self._series(found)
        at = {each.parameters["threads"]: each for each in found}
        if n_nulls >= 1000 and 2 in at:
            self.goal("W1, 1,000 null networks: 2 threads by 1", at[1].by(at[2]), 1.7, at_least=True)

    def growth_in_edges(self, n_edges: int, width: int = 1024) -> None:
        """Depth growing at a fixed width, forced LOBPCG, 30 iterations."""
        self._series(grow_edges(width, depths_up_to(width, n_edges), self.say), bounded=n_edges >= 1e9)

    def growth_in_clusters(self, counts: Sequence[int]) -> None:
        """W2."""
        self._series(grow_clusters(VGG16, counts, self.say))

    def growth_in_nodes(self, sizes: Sequence[int]) -> None:
        """Planted partitions."""
        self._series(grow_nodes(sizes, self.say))

    def start_up(self, repeats: int = 7) -> None:
        """New processes."""
        found = measure_start_up(100, repeats)
        self.add(found)
        for each, bound in zip(found[1:], (0.3, 3.0), strict=True):
            self.goal(each.question, each.figures["beyond_empty_process"], bound, unit=" s")

    def _series(self, found: list[Measurement], *, bounded: bool = False) -> None:
        self.add(found)
        for (question, _), points in series_of(found).items():
            if bounded:
                self.goal(f"{question}: exponent", exponent(points), MOST_GROWTH)
