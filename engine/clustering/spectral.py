"""Spectral clustering of one graph, or of several as one batch."""

import time
from collections.abc import Sequence
from typing import Any, get_args, overload

import numpy as np

from netspectra.clustering.build import build_partition
from netspectra.clustering.cluster import Clustering, cluster_batch
from netspectra.clustering.ncut import cluster_volumes, ncut_of
from netspectra.clustering.packing import pack_components
from netspectra.clustering.partition import Partition
from netspectra.clustering.precision import solve_for_embedding
from netspectra.clustering.recipe import Recipe, SelectName
from netspectra.graph.admission import as_graphs, check_live
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.components import components_of
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.placement import backend_for
from netspectra.kernels import Backend
from netspectra.spectrum import Solution, SolverName, plan_solver
from netspectra.validation import MAX_N_INIT, require_choice, require_count, require_seed, require_tolerance

__all__ = ["SelectName", "cluster_graphs", "spectral_clustering"]


@overload
def spectral_clustering(
    graph: LayerGraph,
    n_clusters: int,
    *,
    n_init: int = 25,
    select: SelectName = "inertia",
    solver: SolverName = "auto",
    tol: float | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> Partition: ...
@overload
def spectral_clustering(
    graph: Sequence[LayerGraph],
    n_clusters: int,
    *,
    n_init: int = 25,
    select: SelectName = "inertia",
    solver: SolverName = "auto",
    tol: float | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> list[Partition]: ...
def spectral_clustering(
    graph: LayerGraph | Sequence[LayerGraph],
    n_clusters: int,
    *,
    n_init: int = 25,
    select: SelectName = "inertia",
    solver: SolverName = "auto",
    tol: float | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> Partition | list[Partition]:
    """Partition the nodes into `n_clusters` groups of small normalized cut.

    Embedding by the bottom eigenvectors of the normalized Laplacian divided by ``sqrt(degree)``, then k-means: the
    procedure of arXiv:2103.03386 and of scikit-learn's ``SpectralClustering(affinity="precomputed")``.

    Parameters
    ----------
    graph : LayerGraph, or sequence of LayerGraph of equal layer sizes
        A sequence is solved as one batch.
    n_clusters : int
        At least 2 and at most the number of non-isolated nodes.
    n_init : int, default 25
        k-means restarts.
    select : {"inertia", "ncut"}
        Keep the restart of least inertia (as published) or of least n-cut.
    solver, tol, seed, backend
        As of :func:`netspectra.eigenpairs`; the seed also keys k-means.

    Returns
    -------
    Partition, or list of Partition
        A graph with at least `n_clusters` connected components is not solved: its components are packed into clusters
        by volume, n-cut 0, ``status="disconnected"``.

    Raises
    ------
    GraphError
        If an argument makes no sense for the graph.

    Examples
    --------
    >>> import numpy as np, netspectra as ns
    >>> graph = ns.LayerGraph.from_weights([np.kron(np.eye(2), np.ones((3, 3))) + 0.01])
    >>> part = ns.spectral_clustering(graph, 2)
    >>> [row["counts"] for row in part.by_layer()]
    [[3, 3], [3, 3]]
    """
    graphs = as_graphs(graph)
    machine = backend_for(graphs, backend)
    require_choice("solver", solver, get_args(SolverName))
    require_choice("select", select, get_args(SelectName))
    n_clusters, n_init = require_count("n_clusters", n_clusters, 2), require_count("n_init", n_init, 1, MAX_N_INIT)
    tol, seed = require_tolerance(tol), require_seed(seed)
    started = time.perf_counter()
    with machine.session():
        batch = load_batch(graphs, machine)
        check_live(batch, graphs, "n_clusters", n_clusters)
        plan = plan_solver(batch, n_clusters, solver, tol, None, seed)
        recipe = Recipe(n_clusters, n_init, select, plan)
        prepared = time.perf_counter()
        solution, clustering = cluster_graphs(graphs, batch, recipe)
        machine.synchronize()
    timings = {
        "prepare": prepared - started,
        "cluster": time.perf_counter() - prepared,
        "total": time.perf_counter() - started,
        "compile": machine.compile_seconds,
    }
    parts = [
        build_partition(g, batch, solution, clustering, recipe, index=i, timings=timings) for i, g in enumerate(graphs)
    ]
    return parts[0] if isinstance(graph, LayerGraph) else parts


def cluster_graphs(graphs: list[LayerGraph], batch: GraphBatch, recipe: Recipe) -> tuple[Solution, Clustering]:
    """Solve and cluster real networks; those with at least as many components as clusters are packed instead."""
    xp, machine, n_clusters = batch.backend.xp, batch.backend, recipe.n_clusters
    packed = [_packed_labels(graph, batch, i, n_clusters) for i, graph in enumerate(graphs)]
    nobody: list[int | None] = [None] * len(graphs)
    if all(labels is not None for labels in packed):
        solution = _zero_solution(batch, n_clusters)
        clustering = Clustering(*([None] * 4))  # type: ignore[arg-type]
    else:
        solution = solve_for_embedding(batch, n_clusters, recipe.solver, nobody)
        clustering = cluster_batch(batch, solution, recipe, [recipe.seed] * len(graphs), nobody)
    if all(labels is None for labels in packed):
        return solution, clustering
    zero = _zero_solution(batch.member(0), n_clusters)
    rows = []
    for i, labels in enumerate(packed):
        rows.append(clustering.labels[i, :] if labels is None else machine.asarray(labels))
        if labels is not None:
            solution = solution.with_member(xp, i, zero)
    labels = xp.stack(rows)
    volumes = cluster_volumes(batch, labels, n_clusters)
    inertia = xp.asarray([np.nan if p is not None else float(clustering.inertia[i]) for i, p in enumerate(packed)])
    return solution, Clustering(labels, ncut_of(batch, volumes), inertia, volumes)


def _packed_labels(graph: LayerGraph, batch: GraphBatch, index: int, n_clusters: int) -> Any:
    """Labels of a graph with at least `n_clusters` components among its live nodes, else None."""
    degrees = batch.backend.to_numpy(batch.degrees)[index]
    count, components = components_of(batch, index, lambda: graph)
    return pack_components(components, degrees, n_clusters) if count >= n_clusters else None


def _zero_solution(batch: GraphBatch, k: int) -> Solution:
    """What is known without solving: k eigenvalues are exactly 0."""
    xp, members = batch.backend.xp, batch.n_members
    zero = xp.zeros((members, k), dtype=xp.float64)
    vectors = xp.zeros((members, batch.structure.n_nodes, k), dtype=batch.dtype)
    none = xp.zeros((members,), dtype=xp.int32)
    return Solution(zero, vectors, zero, zero[:, 0] + xp.nan, none, ("disconnected",) * members)
