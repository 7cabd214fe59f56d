"""Null replicates from weights to n-cut: drawn, solved, clustered and scored, one verdict each."""

from dataclasses import dataclass

from netspectra.clustering import Recipe
from netspectra.clustering.cluster import cluster_batch
from netspectra.clustering.ncut import cluster_volumes, ncut_of
from netspectra.clustering.packing import pack_components
from netspectra.clustering.precision import solve_for_embedding
from netspectra.graph.batch import GraphBatch
from netspectra.graph.components import components_of
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels.backend import Backend
from netspectra.nulls.model import NullModel
from netspectra.nulls.network import graph_of

__all__ = ["NullOutcome", "NullSolver"]

ZERO_EIGENVALUE = {"float32": 1e-6, "float64": 1e-12}
"""If all k Ritz values are below this, k components are suspected (a count then confirms them)."""


@dataclass(frozen=True)
class NullOutcome:
    """One null network: its n-cut (NaN if it failed), status, iterations and largest residual."""

    ncut: float
    status: str
    n_iterations: int
    residual: float


@dataclass(frozen=True)
class NullSolver:
    """Solves replicates of one null model exactly as the observed network is solved."""

    graph: LayerGraph
    model: NullModel
    recipe: Recipe

    def __call__(self, backend: Backend, replicates: list[int]) -> list[NullOutcome]:
        """Outcomes of some replicates, as one batch on `backend`."""
        batch = self.model.draw(backend, replicates)
        n_live = backend.to_numpy(backend.xp.sum(backend.xp.astype(batch.live, backend.xp.int64), axis=1))
        able = [i for i in range(len(replicates)) if n_live[i] >= self.recipe.n_clusters]
        outcomes = [NullOutcome(float("nan"), "too_few_nodes", 0, float("nan")) for _ in replicates]
        if able:
            found = self._solve(batch.select(able), [replicates[i] for i in able])
            for i, outcome in zip(able, found, strict=True):
                outcomes[i] = outcome
        return outcomes

    def _solve(self, batch: GraphBatch, replicates: list[int]) -> list[NullOutcome]:
        backend, xp = batch.backend, batch.backend.xp
        solution = solve_for_embedding(batch, self.recipe.n_clusters, self.recipe.solver, list(replicates))
        found = cluster_batch(batch, solution, self.recipe, [self.recipe.seed] * len(replicates), list(replicates))
        ncuts, iterations = backend.to_numpy(found.ncut), backend.to_numpy(solution.n_iterations)
        residuals = backend.to_numpy(xp.max(solution.residual_norms, axis=1))
        n_nonempty = (backend.to_numpy(found.volumes.volume) > 0).sum(axis=1)
        largest = backend.to_numpy(solution.eigenvalues[:, -1])
        outcomes = []
        for i, solved in enumerate(solution.status):
            few = solution.converged[i] and n_nonempty[i] < self.recipe.n_clusters
            status = "fewer_clusters" if few else solved
            value = float(ncuts[i]) if solution.converged[i] else float("nan")
            suspected = largest[i] < ZERO_EIGENVALUE[self.recipe.dtype]
            packed = self._disconnected_ncut(batch, i) if suspected else None
            verdict = (value, status) if packed is None else (packed, "disconnected")
            outcomes.append(NullOutcome(*verdict, int(iterations[i]), float(residuals[i])))
        return outcomes

    def _disconnected_ncut(self, batch: GraphBatch, index: int) -> float | None:
        """n-cut of the packed components of a member with as many of them as clusters, else None."""
        backend = batch.backend
        degrees = backend.to_numpy(batch.degrees)[index]
        count, components = components_of(batch, index, lambda: graph_of(self.graph, batch, index))
        if count < self.recipe.n_clusters:
            return None
        labels = backend.asarray(pack_components(components, degrees, self.recipe.n_clusters)[None])
        one = batch.member(index)
        return float(backend.to_numpy(ncut_of(one, cluster_volumes(one, labels, self.recipe.n_clusters)))[0])
