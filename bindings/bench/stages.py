"""The stages of one null network on one thread, each beside its peers: what the whole test spends its time on.

Peers work on the same null network: NumPy's permutation, SciPy's sparse product, ``eigh``, ``eigsh`` and ``lobpcg``,
scikit-learn's spectral embedding and k-means, the official n-cut.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT, require
from netspectra.bindings.bench.contests import OURS, Contest, has_sklearn
from netspectra.bindings.bench.null_stages import prepare_stages
from netspectra.bindings.bench.official_pipeline import official_adjacency, official_ncut, official_null
from netspectra.bindings.bench.residual import largest_residual
from netspectra.bindings.bench.sparse_peers import SparsePeers
from netspectra.bindings.bench.workloads import ChainWorkload
from netspectra.spectrum.plan import block_width

__all__ = ["STAGES", "StageContests", "one_thread"]

STAGES = ("shuffle", "build", "operator", "dense eigenpairs", "eigen", "k-means", "n-cut", "whole null")
REPLICATE = 0

Sides = dict[str, Callable[[], Any]]
Figures = dict[str, Any]


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, for all sides alike."""
    if has_sklearn():
        import sklearn.cluster  # noqa: F401  (only libraries that are loaded can be held)
    with threadpool_limits(limits=1):
        yield


class StageContests:
    """Contests over the stages of null network 0 of a workload; make and run them within :func:`one_thread`.

    Parameters
    ----------
    workload : ChainWorkload

    Attributes
    ----------
    names : list of str
        Of :data:`STAGES`, those that its solver has.
    is_dense : bool
        Whether LAPACK solves it, instead of LOBPCG.
    batch, solution, points, labels, rounds
        What the stages make of the null network; `rounds` are those of every restart of k-means.
    """

    def __init__(self, workload: ChainWorkload) -> None:
        self.workload = workload
        self.stages = prepare_stages(workload)
        plan = self.stages.recipe.solver
        self.is_dense, self._is_explicit = plan.solver == "dense", plan.solver == "dense" or plan.explicit
        absent: dict[str, bool] = {"build": not self._is_explicit, "dense eigenpairs": not self.is_dense}
        self.names = [name for name in STAGES if not absent.get(name)]
        with self.stages.backend.session():
            self.batch = self.stages.shuffle(REPLICATE)
            self.solution = self.stages.solve(self.batch, REPLICATE)
            self.points = self.stages.embed(self.batch, self.solution)
            clusters = self.stages.kmeans(self.batch, self.points, REPLICATE)
            self.labels, self.rounds = clusters.labels[:, 0, :], clusters.n_iter

    def contest(self, stage: str) -> Contest:
        """One of :data:`STAGES`."""
        makers = {
            "shuffle": self._shuffle,
            "build": self._build,
            "operator": self._operator,
            "dense eigenpairs": self._dense_eigenpairs,
            "eigen": self._eigen,
            "k-means": self._kmeans,
            "n-cut": self._ncut,
            "whole null": self._whole,
        }
        sides, check = makers[stage]()
        graph, solver = self.workload.graph, self.stages.recipe.solver
        parameters: dict[str, Any] = {
            "nodes": graph.n_nodes,
            "edges": graph.n_edges,
            "k": self.workload.k,
            "threads": 1,
        }
        parameters |= {"solver": solver.solver, "explicit": solver.explicit}
        return Contest(f"{self.workload.name} {stage}", sides, check, parameters)

    @cached_property
    def weights(self) -> list[NDArray[np.float32]]:
        """Of the null network, for peers."""
        return self.stages.weights(self.batch)

    @cached_property
    def sparse(self) -> SparsePeers:
        """The null network as peers have it."""
        return SparsePeers(official_adjacency(self.weights), self.workload.k)

    # -- one method per stage: who answers, and what the answer must be

    def _shuffle(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        rng, live = np.random.Generator(np.random.PCG64(0)), self.stages.live_weights

        def numpy() -> list[NDArray[np.float32]]:
            return [rng.permutation(weight.ravel()).reshape(weight.shape) for weight in live]

        def check(side: str, result: Any) -> Figures:
            drawn = self.stages.weights(result) if side == OURS else result
            same = all(np.array_equal(np.sort(a, None), np.sort(b, None)) for a, b in zip(drawn, live, strict=True))
            require(same, f"{side}: a block has other weights after the shuffle")
            return {}

        return {OURS: lambda: self.stages.shuffle(REPLICATE), "NumPy permutation": numpy}, check

    def _build(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        def check(side: str, result: Any) -> Figures:
            if side == OURS and self.batch.structure.sides is not None:
                largest = np.linalg.eigvalsh(result[0].astype(np.float64))[::-1][: self.workload.k - 1]
                self._require_eigenvalues(side, 1 - np.sqrt(largest), self.solution.eigenvalues[0, 1:])
            return {}

        return {
            OURS: lambda: self.stages.gram(self.batch),
            "official adjacency matrix": lambda: official_adjacency(self.weights),
        }, check

    def _operator(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        """One product with a block of LOBPCG's width: by G or S as the solver has it, and by SciPy's sparse S."""
        operator = self.stages.operator(self.batch)
        rng, width = np.random.default_rng(0), block_width(self.workload.k, operator.size)
        X = rng.standard_normal((1, operator.size, width)).astype(np.float32)
        whole = rng.standard_normal((self.sparse.normalized.shape[0], width))
        S = self.sparse.normalized
        product = operator.apply
        if self._is_explicit:
            gram = self.stages.gram(self.batch)
            product = lambda X: gram @ X  # noqa: E731

        def check(side: str, result: Any) -> Figures:
            require(np.isfinite(np.asarray(result)).all(), f"{side}: a product is not finite")
            return {"columns": width}

        return {OURS: lambda: product(X), "SciPy CSR S X (both halves)": lambda: S @ whole}, check

    def _dense_eigenpairs(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        gram = self.stages.gram(self.batch)
        n, k = gram.shape[1], self.workload.k

        def eigh() -> Any:
            values, vectors = scipy.linalg.eigh(gram[0], subset_by_index=[n - k, n - 1])
            return values[None, ::-1], vectors[None]

        def check(side: str, result: Any) -> Figures:
            values = np.asarray(result[0])[0, : k - 1]
            sigma = np.sqrt(values) if self.batch.structure.sides is not None else values
            self._require_eigenvalues(side, 1 - sigma, self.solution.eigenvalues[0, 1:])
            return {}

        return {OURS: lambda: self.stages.eigen(gram), "SciPy eigh": eigh}, check

    def _eigen(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        """Bottom eigenpairs of the Laplacian, from the weights (peers: from the sparse S, ready-made)."""
        sides: Sides = {
            OURS: lambda: self.stages.solve(self.batch, REPLICATE),
            "SciPy eigsh": self.sparse.eigsh,
            "SciPy lobpcg": self.sparse.lobpcg,
        }
        if has_sklearn():
            sides["scikit-learn spectral_embedding"] = self.sparse.embedding

        def check(side: str, result: Any) -> Figures:
            expected = self.solution.eigenvalues[0]
            if side == OURS:
                residual = largest_residual(self.weights, result.eigenvalues[0], result.vectors[0])
                require(residual <= RESIDUAL_LIMIT, f"{side}: residual {residual:.2g}")
                require(result.converged == (True,), f"{side}: {result.status[0]}")
                return {"residual": residual, "iterations": int(result.n_iterations[0])}
            if side == "SciPy eigsh":
                self._require_eigenvalues(side, 1 - result[0][::-1], expected)
                return {"residual": self.sparse.residual(*result)}
            if side == "SciPy lobpcg":
                values, vectors, history = result
                residual = self.sparse.residual(values[: self.workload.k], vectors[:, : self.workload.k])
                self._require_eigenvalues(side, 1 - values[: self.workload.k], expected, 10 * RESIDUAL_LIMIT)
                return {"residual": residual, "iterations": len(history)}
            return {}

        return sides, check

    def _kmeans(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        live = self.points[0][self.batch.live[0]]
        sides: Sides = {OURS: lambda: self.stages.kmeans(self.batch, self.points, REPLICATE)}
        if has_sklearn():
            from sklearn.cluster import KMeans

            peer = KMeans(self.workload.k, n_init=self.workload.n_init, random_state=0)
            sides["scikit-learn KMeans"] = lambda: peer.fit(live)

        def check(side: str, result: Any) -> Figures:
            ours = side == OURS
            inertia = float(result.inertia.min() if ours else result.inertia_)
            rounds = float(np.median(result.n_iter) if ours else result.n_iter_)
            return {"inertia": inertia, "iterations": rounds}

        return sides, check

    def _ncut(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        chosen = self.labels[0][self.batch.live[0]]

        def check(side: str, result: Any) -> Figures:
            exact = official_ncut(self.sparse.adjacency, chosen)
            require(abs(result - exact) <= 1e-9 * exact, f"{side}: n-cut {result}, official {exact}")
            return {"ncut": result}

        adjacency = self.sparse.adjacency
        return {
            OURS: lambda: self.stages.ncut(self.batch, self.labels),
            "official n-cut": lambda: official_ncut(adjacency, chosen),
        }, check

    def _whole(self) -> tuple[Sides, Callable[[str, Any], Figures]]:
        w, weights = self.workload, self.stages.live_weights
        sides: Sides = {OURS: lambda: self.stages.whole(REPLICATE)}
        if has_sklearn():
            sides["official pipeline"] = lambda: official_null(weights, REPLICATE, w.k, w.n_init)

        def check(side: str, result: Any) -> Figures:
            if side != OURS:
                return {"ncut": result}
            require(result.status == "converged", f"{side}: {result.status}")
            return {"ncut": result.ncut, "residual": result.residual, "iterations": result.n_iterations}

        return sides, check

    def _require_eigenvalues(self, side: str, found: Any, expected: Any, tolerance: float = RESIDUAL_LIMIT) -> None:
        difference = float(np.max(np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))))
        require(difference <= tolerance, f"{side}: eigenvalues differ by {difference:.2g}")
