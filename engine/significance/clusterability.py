"""The clusterability test: is the network's n-cut smaller than that of its shuffled selves?"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

import numpy as np

from netspectra.clustering import Partition, Recipe, SelectName
from netspectra.clustering.build import build_partition
from netspectra.clustering.spectral import cluster_graphs
from netspectra.graph.admission import check_live
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.compact import compact
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.placement import backend_for
from netspectra.kernels import Backend
from netspectra.nulls.model import NULL_MODELS, NullName, prepare_null
from netspectra.progress import ProgressCallback, ProgressSetting, progress_for
from netspectra.significance.conclusion import conclude, judge_failures, ncuts_of, tie_of
from netspectra.significance.planning import RunPlan, plan_run, replicate_bytes
from netspectra.significance.question import Question, StopName
from netspectra.significance.replicates import NullOutcome, NullSolver
from netspectra.significance.result import ClusterabilityResult
from netspectra.significance.sensitivity import N_SEEDS, further_ncuts
from netspectra.significance.sequential import SequentialTest
from netspectra.significance.statistics import at_or_below
from netspectra.significance.waves import solve_waves
from netspectra.spectrum import SolverName, plan_solver
from netspectra.validation import (
    MAX_N_INIT,
    MAX_N_NULLS,
    require_choice,
    require_count,
    require_graph,
    require_seed,
    require_tolerance,
)

__all__ = ["clusterability_test"]


def clusterability_test(
    graph: LayerGraph,
    n_clusters: int = 12,
    *,
    n_nulls: int = 1000,
    stop: StopName | None = None,
    null: NullName = "shuffle",
    seed: int | None = 0,
    n_init: int = 25,
    select: SelectName = "inertia",
    solver: SolverName = "auto",
    tol: float | None = None,
    backend: str | Backend = "auto",
    batch_size: int | RunPlan | None = None,
    memory_limit: int | None = None,
    progress: ProgressSetting = None,
) -> ClusterabilityResult:
    """Compare a network's n-cut with those of `n_nulls` null networks: z-score, p-value and the partition.

    Source: arXiv:2103.03386. The observed network and every null are solved and clustered in exactly the same way.

    Parameters
    ----------
    graph : LayerGraph
    n_clusters : int, default 12
        At least 2 and at most the number of non-isolated nodes.
    n_nulls : int, default 1000
        0 gives the partition alone, with ``p_value=None``.
    stop : {"fixed", "sequential"}, optional
        By default all of `n_nulls` are drawn. ``"sequential"`` takes that for a maximum and stops where p is clear of
        0.05, on either side: the probability that all of them would have put it on the other is at most 0.001, and p
        and its interval are those of a test that stops so (:mod:`netspectra.significance.sequential`). A clear verdict
        takes 32 to 160 null networks, one near 0.05 most of them. That no k-means seed changes the verdict is told from
        the nulls drawn for the run's own; draw a fixed number where that, or a p below 0.006, is wanted exactly.
    null : {"shuffle", "shuffle-nonzero", "kde", "kde-nonzero"}
        What the null networks keep; see :mod:`netspectra.nulls.model`.
    seed : int, optional
        In [0, 2**64); None draws one, which the result records. Null network *i* depends on (seed, i) alone.
    n_init : int, default 25
        k-means restarts.
    select : {"inertia", "ncut"}
        Which restart is kept, for the observed network and the nulls alike.
    solver, tol : as of :func:`netspectra.eigenpairs`
    backend : str or Backend
        E.g. ``netspectra.get_backend("cpu", n_threads=2)``. The result does not depend on the number of threads.
    batch_size : int or RunPlan, optional
        Null networks per wave (``stop="sequential"`` begins with smaller ones), by default what shapes, machine and
        `memory_limit` allow. On a CPU the result does not depend on it; on a GPU equal waves give equal results, and
        ``batch_size=result.plan`` runs those of an earlier result again.
    memory_limit : int, optional
        Bytes that the null networks in flight may take together; default half of what is free.
    progress : None, bool or callable
        None draws a line on stderr after two seconds if somebody is looking; a callable gets
        ``(done, total, seconds)``, with the maximum for a total until a sequential test stops.

    Returns
    -------
    ClusterabilityResult

    Raises
    ------
    GraphError
        If an argument makes no sense for the graph.
    LimitError
        If a single null network does not fit the memory limit.
    NullFailureError
        If more than one null network in a hundred failed, and more than one where a sequential test stopped before a
        hundred; it carries the partial result.

    Warns
    -----
    RuntimeWarning
        If any null network failed (each counts as at or below the observed n-cut).
    """
    require_graph("graph", graph, LayerGraph)
    machine = backend_for(graph, backend)
    question = Question(
        graph,
        require_count("n_clusters", n_clusters, 2),
        require_count("n_nulls", n_nulls, 0, MAX_N_NULLS),
        "fixed" if stop is None else require_choice("stop", stop, get_args(StopName)),
        require_choice("null", null, NULL_MODELS),
        require_seed(seed),
        require_count("n_init", n_init, 1, MAX_N_INIT),
        require_choice("select", select, get_args(SelectName)),
        require_choice("solver", solver, get_args(SolverName)),
        require_tolerance(tol),
    )
    with machine.session(), progress_for(progress) as callback:
        return _run(machine, question, batch_size, memory_limit, callback)


def _run(
    machine: Backend,
    q: Question,
    batch_size: int | RunPlan | None,
    memory_limit: int | None,
    callback: ProgressCallback | None,
) -> ClusterabilityResult:
    clock = _Clock()
    batch = load_batch([q.graph], machine)
    check_live(batch, [q.graph], "n_clusters", q.n_clusters)
    recipe = Recipe(q.n_clusters, q.n_init, q.select, plan_solver(batch, q.n_clusters, q.solver, q.tol, None, q.seed))
    need = replicate_bytes(q.graph, recipe, q.null, machine.product_bytes)
    sizes: dict[str, Any] = {"batch_size": batch_size, "memory_limit": memory_limit}
    run_plan = plan_run(machine, recipe, need, q.n_nulls, **sizes, at_most=q.stop == "sequential")
    nulls = _null_solver(machine, q, batch, recipe) if q.n_nulls else None
    clock.lap("prepare")
    solution, clustering = cluster_graphs([q.graph], batch, recipe)
    timings = clock.so_far(machine)
    partition = build_partition(q.graph, batch, solution, clustering, recipe, index=0, timings=timings)
    clock.lap("observed")
    if partition.status == "disconnected":
        further = np.full(N_SEEDS, partition.ncut)
    else:
        further = further_ncuts(batch, solution, recipe)
    clock.lap("seeds")
    outcomes: list[NullOutcome] = []
    rule = SequentialTest(q.n_nulls) if nulls and q.stop == "sequential" else None
    if nulls:
        n_enough = None if rule is None else partial(_n_enough, rule, partition)
        outcomes, run_plan = solve_waves(machine, nulls, q.n_nulls, run_plan, callback, n_enough)
    clock.lap("nulls")
    result = conclude(machine, q, run_plan, partition, further, outcomes, clock.so_far(machine), rule)
    return judge_failures(result)


def _n_enough(rule: SequentialTest, partition: Partition, outcomes: Sequence[NullOutcome]) -> int | None:
    """How many outcomes decide about the observed network, None where more are needed."""
    return rule.n_enough(at_or_below(partition.ncut, ncuts_of(outcomes), tie_of(partition)))


def _null_solver(machine: Backend, q: Question, batch: GraphBatch, recipe: Recipe) -> NullSolver:
    small = compact(q.graph, machine.to_numpy(batch.degrees)[0]).graph
    observed = batch if small is q.graph else load_batch([small], machine)
    return NullSolver(small, prepare_null(small, observed, q.null, q.seed), recipe)


class _Clock:
    """Seconds per stage, and in total."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name], self._last = now - self._last, now

    def so_far(self, machine: Backend) -> dict[str, float]:
        return {**self._laps, "total": time.perf_counter() - self._start, "compile": machine.compile_seconds}
