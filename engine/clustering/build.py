"""From arrays on a backend to one :class:`~netspectra.clustering.Partition` on the host."""

from typing import Any

import numpy as np

from netspectra.clustering.certificate import certify
from netspectra.clustering.cluster import Clustering
from netspectra.clustering.partition import ClusterSummary, Partition
from netspectra.clustering.recipe import Recipe
from netspectra.graph.batch import GraphBatch
from netspectra.graph.layer_graph import LayerGraph
from netspectra.records.version import installed_version
from netspectra.spectrum import Solution
from netspectra.spectrum.plan import is_unique

__all__ = ["build_partition"]


def build_partition(
    graph: LayerGraph,
    batch: GraphBatch,
    solution: Solution,
    clustering: Clustering,
    recipe: Recipe,
    *,
    index: int,
    timings: dict[str, float],
) -> Partition:
    """Partition of member `index`, certificate included."""
    host = batch.backend.to_numpy
    labels = host(clustering.labels)[index].astype(np.int32)
    volumes, cuts, values, residuals = (
        np.asarray(host(numbers)[index], np.float64)
        for numbers in (
            clustering.volumes.volume,
            clustering.volumes.cut,
            solution.eigenvalues,
            solution.residual_norms,
        )
    )
    clusters = _summaries(labels, volumes, cuts)
    n_nonempty = sum(c.volume > 0 for c in clusters)
    value, status = float(host(clustering.ncut)[index]), solution.status[index]
    epsilon = float(np.finfo(recipe.dtype).eps)
    dense = recipe.solver.solver == "dense" or status in ("escalated_dense", "disconnected")
    slack = residuals + labels.size * epsilon
    proof = certify(values, slack, n_nonempty, value, proved=dense)
    gap = float(host(solution.next_eigenvalue)[index]) - float(values[-1])
    return Partition(
        version=installed_version(),
        backend=batch.backend.name,
        device=batch.backend.device,
        dtype=recipe.dtype,
        solver=recipe.solver.solver,
        tol=recipe.solver.tol,
        seed=recipe.seed,
        timings=timings,
        labels=labels,
        n_clusters=recipe.n_clusters,
        n_nonempty=n_nonempty,
        ncut=value,
        ncut_lower_bound=proof.ncut_lower_bound,
        bound_status=proof.bound_status,
        relative_gap=proof.relative_gap,
        eigenvalues=values,
        residual_norms=residuals,
        gap=gap,
        unique=is_unique(gap, epsilon, recipe.solver, status),
        inertia=float(host(clustering.inertia)[index]),
        clusters=clusters,
        layer_names=tuple(layer.name for layer in graph.layers),
        layer_sizes=tuple(layer.size for layer in graph.layers),
        converged=solution.converged[index],
        status="fewer_clusters" if n_nonempty < recipe.n_clusters and solution.converged[index] else status,
        n_iterations=int(host(solution.n_iterations)[index]),
        n_init=recipe.n_init,
        select=recipe.select,
    )


def _summaries(labels: Any, volumes: Any, cuts: Any) -> tuple[ClusterSummary, ...]:
    sizes = np.bincount(labels[labels >= 0], minlength=volumes.size)
    return tuple(
        ClusterSummary(label=c, size=int(sizes[c]), volume=float(v), cut=float(x), ncut=float(x / v) if v > 0 else 0.0)
        for c, (v, x) in enumerate(zip(volumes, cuts, strict=True))
    )
