"""One null network, cut in the stages that the engine runs one after the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspectra.bindings.bench.workloads import ChainWorkload
from netspectra.clustering import Recipe
from netspectra.clustering.embedding import embed
from netspectra.clustering.kmeans import KMeansResult, kmeans
from netspectra.clustering.ncut import cluster_volumes, ncut_of
from netspectra.graph.batch import GraphBatch, load_batch
from netspectra.graph.compact import compact
from netspectra.kernels import Backend, get_backend
from netspectra.nulls.model import prepare_null
from netspectra.significance.replicates import NullOutcome, NullSolver
from netspectra.spectrum import Solution, plan_solver, solve
from netspectra.spectrum.attempts import reduce
from netspectra.spectrum.operator import SymmetricOperator

__all__ = ["NullStages", "prepare_stages"]


@dataclass(frozen=True)
class NullStages:
    """The stages of a null network on one thread; call them where BLAS is held to one thread.

    Attributes
    ----------
    backend : Backend
    whole_solver : NullSolver
        What the test itself calls; the other stages are its parts.
    """

    backend: Backend
    whole_solver: NullSolver

    @property
    def recipe(self) -> Recipe:
        """How the observed network and all nulls are solved and clustered."""
        return self.whole_solver.recipe

    @property
    def live_weights(self) -> list[NDArray[np.float32]]:
        """Weights of the observed network without its isolated nodes: what is permuted."""
        return [np.array(block.weights, order="C") for block in self.whole_solver.graph.blocks]

    def shuffle(self, replicate: int) -> GraphBatch:
        """Permute every block, and sum the new degrees."""
        return self.whole_solver.model.draw(self.backend, [replicate])

    def operator(self, batch: GraphBatch) -> SymmetricOperator:
        """Return what is solved: G of the bipartite reduction, or S."""
        return reduce(batch)

    def gram(self, batch: GraphBatch) -> Any:
        """Build the explicit matrix: the normalized B, and ``G = B B^T``."""
        return self.operator(batch).dense(self.recipe.solver.dtype)

    def eigen(self, gram: Any) -> Any:
        """Return the largest eigenpairs of the explicit matrix, of a copy: the solver overwrites it."""
        return self.backend.largest_eigenpairs(gram.copy(), self.recipe.n_clusters)

    def solve(self, batch: GraphBatch, replicate: int) -> Solution:
        """Gram, eigen, and the assembly of the Laplacian's eigenvectors with their residuals."""
        return solve(batch, self.recipe.n_clusters, self.recipe.solver, [replicate])

    def embed(self, batch: GraphBatch, solution: Solution) -> Any:
        """Return the points that k-means clusters."""
        return embed(batch, solution.vectors)

    def kmeans(self, batch: GraphBatch, points: Any, replicate: int) -> KMeansResult:
        """Run all restarts, keep the one of least inertia."""
        return kmeans(batch, points, self.recipe, [self.recipe.seed], [replicate])

    def ncut(self, batch: GraphBatch, labels: Any) -> float:
        """Score a partition."""
        return float(ncut_of(batch, cluster_volumes(batch, labels, self.recipe.n_clusters))[0])

    def whole(self, replicate: int) -> NullOutcome:
        """All stages, as the test runs them."""
        return self.whole_solver(self.backend, [replicate])[0]

    def weights(self, batch: GraphBatch) -> list[NDArray[np.float32]]:
        """Return the weight matrices of a drawn network, for a peer."""
        return [np.asarray(block.values[0]) for block in batch.weights]


def prepare_stages(workload: ChainWorkload, seed: int = 0) -> NullStages:
    """Settle what all null networks of a workload share, as ``clusterability_test`` does."""
    backend = get_backend("cpu", n_threads=1)
    observed = load_batch([workload.graph], backend)
    small = compact(workload.graph, observed.degrees[0]).graph
    observed = load_batch([small], backend)
    recipe = Recipe(workload.k, workload.n_init, "inertia", plan_solver(observed, workload.k, "auto", None, None, seed))
    return NullStages(backend, NullSolver(small, prepare_null(small, observed, "shuffle", seed), recipe))
